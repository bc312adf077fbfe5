/*
 * The bus, and what ties its functions to KVM. vCPU threads, under the bus lock; ports, addresses, lengths
 * and values are the guest's and may be anything.
 *
 * A vector is attached in KVM only while its device is active and the vector unmasked: the driver sets
 * its vectors up one by one before it starts the device, and only the end of that reaches KVM.
 */
#include "monitor/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define CONFIG_ENABLE 0x80000000u
#define ALL_ONES(len) ((len) >= 8 ? ~0ULL : (1ULL << ((len)*8)) - 1)

/* The host bridge, slot 0: no BARs, no capabilities; the class tells Linux that type 1 access works. The ids
 * are those of a bridge without side effects in any driver. */
static const uint32_t bridge_config[16] = {
	[0] = 0x0d571b36, /* device, vendor */
	[2] = 0x06000000, /* class: host bridge */
};

/* ---- KVM ---- */

static void set_notify(struct pci_function *function, uint64_t address, bool assign) {
	const struct virtio_device *device = function->pci.device;
	for (unsigned i = 0; i < device->queue_count; i++) {
		const struct kvm_ioeventfd ioeventfd = {
			.addr = address + VIRTIO_PCI_NOTIFY_OFFSET + i * VIRTIO_PCI_NOTIFY_MULTIPLIER,
			.len = 0, /* any: KVM need not even decode the instruction */
			.fd = device->queues[i].kick_fd,
			.flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
		};
		/* Another device may own the address already, when the guest lets BARs overlap: its loss. */
		if (ioctl(function->bus->vm_fd, KVM_IOEVENTFD, &ioeventfd) < 0 && assign) {
			log_guest(&function->bus->errors, "%s: cannot watch queue %u: %s", device->name, i,
				strerror(errno));
		}
	}
}

static void bar_changed(struct virtio_pci *pci, uint64_t address) {
	struct pci_function *function = pci->owner;
	if (function->notify_address == address) {
		return;
	}
	if (function->notify_address != 0) {
		set_notify(function, function->notify_address, false);
	}
	if (address != 0) {
		set_notify(function, address, true);
	}
	function->notify_address = address;
}

static void complain(struct pci_function *function, unsigned vector, int error) {
	if (error < 0) {
		log_guest(&function->bus->errors, "%s: cannot set up interrupt %u: %s",
			function->pci.device->name, vector, strerror(-error));
	}
}

/* Bring what KVM does in line with what the driver set up. */
static void update_vectors(struct pci_function *function) {
	struct irq_router *irqs = &function->bus->irqs;
	complain(function, 0, irq_commit(irqs));
	for (unsigned i = 0; i < function->pci.vector_count; i++) {
		complain(function, i,
			irq_attach(irqs, function->first_line + i,
				function->pci.active && function->unmasked[i]));
	}
}

static void vector_changed(
	struct virtio_pci *pci, unsigned vector, const struct msix_entry *entry, bool masked) {
	struct pci_function *function = pci->owner;
	function->unmasked[vector] = !masked;
	if (!masked) {
		uint64_t address = (uint64_t)entry->address_high << 32 | entry->address_low;
		irq_route(&function->bus->irqs, function->first_line + vector, address, entry->data);
	}
	if (pci->active) {
		update_vectors(function);
	}
}

static const struct virtio_pci_ops function_ops = {
	.bar_changed = bar_changed,
	.vector_changed = vector_changed,
};

/* ---- building ---- */

int pci_init(struct pci_bus *bus, int vm_fd) {
	memset(bus, 0, sizeof(*bus));
	bus->vm_fd = vm_fd;
	int ret = irq_init(&bus->irqs, vm_fd, PCI_FUNCTIONS_MAX * VIRTIO_VECTORS_MAX);
	if (ret == 0) {
		ret = -pthread_mutex_init(&bus->lock, NULL);
	}
	return ret;
}

void pci_finish(struct pci_bus *bus) {
	if (bus->irqs.lines == NULL) {
		return;
	}
	for (unsigned i = 0; i < bus->count; i++) {
		free(bus->functions[i]);
	}
	irq_finish(&bus->irqs);
	pthread_mutex_destroy(&bus->lock);
	bus->count = 0;
}

static void update_copy(struct pci_bus *bus, unsigned slot, const void *config, size_t size) {
	if (bus->copy != NULL) {
		memcpy(bus->copy + (size_t)slot * PCI_CONFIG_SIZE, config, size);
	}
}

void pci_copy_config(struct pci_bus *bus, uint8_t *place) {
	bus->copy = place;
	memset(place, 0xff, PCI_COPY_SIZE);
	memset(place, 0, PCI_CONFIG_SIZE);
	update_copy(bus, 0, bridge_config, sizeof(bridge_config));
}

int pci_add(struct pci_bus *bus, struct virtio_device *device, struct virtio_host_client *host,
	unsigned host_index) {
	if (bus->count == PCI_FUNCTIONS_MAX) {
		return -ENOSPC;
	}
	struct pci_function *function = calloc(1, sizeof(*function));
	if (function == NULL) {
		return -ENOMEM;
	}
	function->bus = bus;
	uint64_t bar = PCI_BAR_BASE + bus->count * VIRTIO_PCI_BAR_SIZE;
	virtio_pci_init(&function->pci, device, host, host_index, bar, &function_ops, function);
	function->first_line = bus->irqs.count;
	for (unsigned i = 0; i < function->pci.vector_count; i++) {
		irq_add(&bus->irqs, device->vector_fds[i]);
	}
	bus->functions[bus->count++] = function;
	update_copy(bus, bus->count, function->pci.config, PCI_CONFIG_SIZE);
	return 0;
}

/* ---- configuration space ---- */

/* The function that the address register selects; slot 0 is the bridge. False: nobody. */
static bool select_function(const struct pci_bus *bus, struct pci_function **function) {
	unsigned bus_number = bus->config_address >> 16 & 0xff;
	unsigned slot = bus->config_address >> 11 & 0x1f;
	unsigned number = bus->config_address >> 8 & 7;
	if (!(bus->config_address & CONFIG_ENABLE) || bus_number != 0 || number != 0 || slot > bus->count) {
		return false;
	}
	*function = slot == 0 ? NULL : bus->functions[slot - 1];
	return true;
}

static uint32_t config_read(struct pci_bus *bus, unsigned byte, unsigned len) {
	struct pci_function *function;
	unsigned offset = (bus->config_address & 0xfc) + byte;
	if (!select_function(bus, &function)) {
		return (uint32_t)ALL_ONES(len);
	}
	if (function != NULL) {
		return virtio_pci_config_read(&function->pci, offset, len);
	}
	uint32_t word = offset < sizeof(bridge_config) ? bridge_config[offset / 4] : 0;
	return (uint32_t)(word >> (8 * byte) & ALL_ONES(len));
}

static void after_write(struct pci_function *function, bool was_active) {
	if (function->pci.active != was_active) {
		update_vectors(function);
	}
}

static void config_write(struct pci_bus *bus, unsigned byte, unsigned len, uint32_t value) {
	struct pci_function *function;
	if (select_function(bus, &function) && function != NULL) {
		bool was_active = function->pci.active;
		virtio_pci_config_write(&function->pci, (bus->config_address & 0xfc) + byte, len, value);
		update_copy(bus, bus->config_address >> 11 & 0x1f, function->pci.config, PCI_CONFIG_SIZE);
		after_write(function, was_active);
	}
}

/* Every second exit would be a write of the address register, which does nothing by itself. */
int pci_collect_writes(struct pci_bus *bus, struct kvm_coalesced_mmio_ring *ring, uint32_t entries) {
	const struct kvm_coalesced_mmio_zone zone = {.addr = CONFIG_ADDRESS, .size = 4, .pio = 1};
	if (ioctl(bus->vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone) < 0) {
		return -errno;
	}
	bus->writes = ring;
	bus->writes_max = entries;
	return 0;
}

/* Catch up with the collected writes; KVM fills the ring while other vCPUs run. */
static void apply_writes(struct pci_bus *bus) {
	if (bus->writes == NULL) {
		return;
	}
	uint32_t last = __atomic_load_n(&bus->writes->last, __ATOMIC_ACQUIRE);
	uint32_t first = bus->writes->first;
	for (; first != last; first = (first + 1) % bus->writes_max) {
		const struct kvm_coalesced_mmio *write = &bus->writes->coalesced_mmio[first];
		if (write->phys_addr == CONFIG_ADDRESS && write->len == 4) {
			memcpy(&bus->config_address, write->data, 4);
		}
	}
	__atomic_store_n(&bus->writes->first, first, __ATOMIC_RELEASE);
}

uint32_t pci_port_read(struct pci_bus *bus, uint16_t port, unsigned len) {
	uint32_t value = (uint32_t)ALL_ONES(len);
	pthread_mutex_lock(&bus->lock);
	apply_writes(bus);
	if (port == CONFIG_ADDRESS && len == 4) {
		value = bus->config_address;
	} else if (port >= CONFIG_DATA && port - CONFIG_DATA + len <= 4) {
		value = config_read(bus, port - CONFIG_DATA, len);
	}
	pthread_mutex_unlock(&bus->lock);
	return value;
}

void pci_port_write(struct pci_bus *bus, uint16_t port, unsigned len, uint32_t value) {
	pthread_mutex_lock(&bus->lock);
	apply_writes(bus);
	if (port == CONFIG_ADDRESS && len == 4) {
		bus->config_address = value;
	} else if (port >= CONFIG_DATA && port - CONFIG_DATA + len <= 4) {
		config_write(bus, port - CONFIG_DATA, len, value);
	}
	pthread_mutex_unlock(&bus->lock);
}

/* ---- memory ---- */

static struct pci_function *find_bar(const struct pci_bus *bus, uint64_t address, unsigned len) {
	for (unsigned i = 0; i < bus->count; i++) {
		uint64_t bar = bus->functions[i]->pci.bar_address;
		if (bar != 0 && address >= bar && address - bar <= VIRTIO_PCI_BAR_SIZE - len) {
			return bus->functions[i];
		}
	}
	return NULL;
}

uint64_t pci_memory_read(struct pci_bus *bus, uint64_t address, unsigned len) {
	uint64_t value = ALL_ONES(len);
	pthread_mutex_lock(&bus->lock);
	struct pci_function *function = find_bar(bus, address, len);
	if (function != NULL) {
		value = virtio_pci_bar_read(
			&function->pci, (unsigned)(address - function->pci.bar_address), len);
	}
	pthread_mutex_unlock(&bus->lock);
	return value;
}

void pci_memory_write(struct pci_bus *bus, uint64_t address, unsigned len, uint64_t value) {
	pthread_mutex_lock(&bus->lock);
	struct pci_function *function = find_bar(bus, address, len);
	if (function != NULL) {
		bool was_active = function->pci.active;
		virtio_pci_bar_write(
			&function->pci, (unsigned)(address - function->pci.bar_address), len, value);
		after_write(function, was_active);
	}
	pthread_mutex_unlock(&bus->lock);
}
