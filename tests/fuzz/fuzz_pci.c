/*
 * Fuzz the PCI bus: the input is the accesses of a guest to the ports of configuration space and to memory,
 * and the writes that KVM collects. KVM is this file's: it knows what it was told to watch and to interrupt.
 * Beside memory errors it looks for what stays watched when no BAR is there any more, for interrupts of a
 * device that does not run, and for routes that lead nowhere.
 *
 * Input: operations of a byte (bits 0-1: configuration space, a BAR, anywhere, see other(); bits 2-3 the
 * length as a power of two; bit 4 a read; bits 5-7 of which function, or from which register on), a place
 * and, for writes, a value.
 */
#include "device.h"

#include "monitor/pci.h"
#include "ph/loop.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define DEVICES 2u
#define QUEUES 2u
#define SIZE 8
#define WATCHED_MAX (DEVICES * QUEUES)
#define LINES_MAX 16u
#define RING_ENTRIES 16u
#define ADDRESS 0xcf8
#define DATA 0xcfc
#define COMMAND 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[65536];
static const struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = sizeof(ram), .host = ram}}};
static struct loop loop;
static struct virtio_host host;
static struct virtio_host_client client;
static struct pci_bus bus;
static bool running[DEVICES];
static struct {
	struct kvm_coalesced_mmio_ring ring;
	struct kvm_coalesced_mmio entries[RING_ENTRIES];
} collected;

/* ---- KVM ---- */

static struct kvm_ioeventfd watched[WATCHED_MAX];
static bool attached[LINES_MAX];

static int watch(const struct kvm_ioeventfd *asked) {
	bool assign = (asked->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) == 0;
	struct kvm_ioeventfd *place = NULL;
	require(asked->addr % VIRTIO_PCI_NOTIFY_MULTIPLIER == 0 && asked->fd >= 0);
	for (unsigned i = 0; i < WATCHED_MAX; i++) {
		bool used = watched[i].addr != 0;
		if (assign && used && watched[i].addr == asked->addr) {
			errno = EEXIST; /* as KVM has it, whoever's it is */
			return -1;
		}
		if (assign ? !used : used && watched[i].addr == asked->addr && watched[i].fd == asked->fd) {
			place = &watched[i];
		}
	}
	require(place != NULL || !assign);
	if (place == NULL) {
		errno = ENOENT;
		return -1;
	}
	*place = assign ? *asked : (struct kvm_ioeventfd){0};
	return 0;
}

static int attach(const struct kvm_irqfd *asked) {
	bool assign = (asked->flags & KVM_IRQFD_FLAG_DEASSIGN) == 0;
	require(asked->gsi < bus.irqs.count && asked->gsi < LINES_MAX && attached[asked->gsi] != assign);
	attached[asked->gsi] = assign;
	return 0;
}

static int set_routes(const struct kvm_irq_routing *table) {
	require(table->nr <= bus.irqs.count);
	for (unsigned i = 0; i < table->nr; i++) {
		require(table->entries[i].gsi < bus.irqs.count);
		require(i == 0 || table->entries[i].gsi > table->entries[i - 1].gsi);
	}
	return 0;
}

/* Instead of the C library's. */
int ioctl(int fd, unsigned long request, ...) {
	va_list args;
	require(fd == -1);
	va_start(args, request);
	const void *argument = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case KVM_IOEVENTFD:
		return watch(argument);
	case KVM_IRQFD:
		return attach(argument);
	case KVM_SET_GSI_ROUTING:
		return set_routes(argument);
	default:
		require(request == KVM_REGISTER_COALESCED_MMIO);
		return 0;
	}
}

/* ---- the devices ---- */

static struct virtio_device devices[DEVICES];

static int start(struct virtio_device *device) {
	require(!running[device - devices]);
	running[device - devices] = true;
	return 0;
}

static void stop(struct virtio_device *device) {
	require(running[device - devices]);
	running[device - devices] = false;
}

static void notify(struct virtio_device *device, struct virtqueue *queue) {
	require(running[device - devices] && queue->device == device);
}

static const struct virtio_device_ops device_ops = {.start = start, .stop = stop, .notify = notify};

static void create(void) {
	for (unsigned i = 0; i < DEVICES; i++) {
		devices[i] = (struct virtio_device){.ops = &device_ops,
			.name = "fuzz",
			.type = VIRTIO_TYPE_BLOCK,
			.config_size = 10,
			.queue_count = QUEUES,
			.queue_size = {SIZE, SIZE}};
		require(virtio_device_init(&devices[i]) == 0);
		host.devices[host.device_count++] = &devices[i];
	}
	device_start_host(&host, &loop, &memory, &client);
}

/* ---- the guest ---- */

static void select_register(unsigned slot, unsigned offset) {
	pci_port_write(&bus, ADDRESS, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
}

static void config_write(unsigned slot, unsigned offset, unsigned len, uint32_t value) {
	select_register(slot, offset);
	pci_port_write(&bus, (uint16_t)(DATA + offset % 4), len, value);
}

static uint64_t bar_of(unsigned number) {
	return bus.functions[number]->pci.bar_address;
}

static void set_up(unsigned number) {
	config_write(number + 1, COMMAND, 2, 2);
	for (size_t i = 0; i < DEVICE_WRITES && bar_of(number) != 0; i++) {
		const struct device_write *write = &device_set_up[i];
		pci_memory_write(&bus, bar_of(number) + write->offset, write->len, write->value);
	}
}

/* As KVM does when a vCPU writes the address register, or a part of it. */
static void collect(uint32_t value, unsigned len) {
	struct kvm_coalesced_mmio_ring *ring = &collected.ring;
	uint32_t next = (ring->last + 1) % RING_ENTRIES;
	if (next == ring->first) {
		pci_port_write(&bus, ADDRESS, len, value); /* full: it is an exit */
		return;
	}
	ring->coalesced_mmio[ring->last] =
		(struct kvm_coalesced_mmio){.phys_addr = ADDRESS, .len = len, .pio = 1};
	memcpy(ring->coalesced_mmio[ring->last].data, &value, 4);
	ring->last = next;
}

/* The set-up of a good driver; writes that are collected; any port; any address. */
static void other(struct input *input, unsigned what, unsigned len, bool reading) {
	if (what == 0) {
		set_up(take(input, 1) % DEVICES);
	} else if (what == 1) {
		collect(take(input, 4), len > 4 ? 4 : len);
	} else if (what == 2) {
		uint16_t port = (uint16_t)(ADDRESS + take(input, 1) % 8);
		len = len > 4 ? 4 : len;
		reading ? (void)pci_port_read(&bus, port, len)
			: pci_port_write(&bus, port, len, take(input, len));
	} else {
		uint64_t address = take_long(input, 8);
		reading ? (void)pci_memory_read(&bus, address, len)
			: pci_memory_write(&bus, address, len, take_long(input, len));
	}
}

static void access_bar(struct input *input, unsigned part, unsigned len, bool reading) {
	static const unsigned parts[] = {0, VIRTIO_PCI_ISR_OFFSET, VIRTIO_PCI_DEVICE_OFFSET,
		VIRTIO_PCI_NOTIFY_OFFSET, VIRTIO_PCI_MSIX_TABLE_OFFSET, VIRTIO_PCI_MSIX_PBA_OFFSET,
		VIRTIO_PCI_BAR_SIZE - 128, 0x2080};
	unsigned place = take(input, 1);
	uint64_t address = bar_of(place >> 7) + parts[part] + (place & 127);
	reading ? (void)pci_memory_read(&bus, address, len)
		: pci_memory_write(&bus, address, len, take_long(input, len));
}

static void operate(struct input *input) {
	unsigned operation = take(input, 1), what = operation >> 5, len = 1u << (operation >> 2 & 3);
	bool reading = (operation >> 4 & 1) != 0;
	if ((operation & 3) == 1) {
		access_bar(input, what, len, reading);
	} else if ((operation & 3) == 0) {
		unsigned offset = take(input, 1);
		len = len > 4 ? 4 : len;
		select_register(what, offset);
		reading ? (void)pci_port_read(&bus, (uint16_t)(DATA + offset % 4), len)
			: config_write(what, offset, len, take(input, len));
	} else {
		other(input, what % 4, len, reading);
	}
}

static void check(void) {
	for (unsigned i = 0; i < DEVICES; i++) {
		const struct pci_function *function = bus.functions[i];
		require(function->pci.active == running[i]);
		require(function->notify_address == function->pci.bar_address);
		for (unsigned k = 0; k < function->pci.vector_count; k++) {
			require(attached[function->first_line + k] == (running[i] && function->unmasked[k]));
		}
	}
}

/* Without devices and without BARs nothing is left of either; and there never was a third device. */
static void end(void) {
	select_register(DEVICES + 1, 0);
	require(pci_port_read(&bus, DATA, 4) == UINT32_MAX);
	for (unsigned i = 0; i < DEVICES; i++) {
		config_write(i + 1, COMMAND, 2, 2);
		pci_memory_write(&bus, bar_of(i) + 0x14, 1, 0);
		/* Of two BARs at one place the first is found. */
		require(bar_of(i) == 0 || !running[i] || bar_of(0) == bar_of(1));
		virtio_pci_bar_write(&bus.functions[i]->pci, 0x14, 1, 0);
		config_write(i + 1, COMMAND, 2, 0);
	}
	for (unsigned i = 0; i < WATCHED_MAX; i++) {
		require(watched[i].addr == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static uint8_t copy[PCI_COPY_SIZE];
	static struct log_limit errors; /* one for all inputs, or each could say its five lines */
	struct input input = {.next = data, .left = size};
	if (client.fd == 0) {
		create();
	}
	memset(&collected, 0, sizeof(collected));
	memset(attached, 0, sizeof(attached));
	require(pci_init(&bus, -1) == 0 && pci_collect_writes(&bus, &collected.ring, RING_ENTRIES) == 0);
	bus.errors = errors;
	pci_copy_config(&bus, copy);
	for (unsigned i = 0; i < DEVICES; i++) {
		require(pci_add(&bus, &devices[i], &client, i) == 0);
	}
	while (input.left > 0) {
		operate(&input);
		check();
	}
	end();
	errors = bus.errors;
	pci_finish(&bus);
	return 0;
}
