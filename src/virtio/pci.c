/*
 * The PCI function of a virtio device: its configuration space with the capabilities that say where in
 * BAR 0 everything lies, and the way of an access to the part it means. Runs on vCPU threads under the
 * lock of the bus. Offsets, lengths and values are the guest's.
 */
#include "virtio/pci.h"

#include "ph/fd.h"

#include <assert.h>
#include <string.h>

#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS 0x06
#define PCI_STATUS_CAPABILITIES 0x0010
#define PCI_REVISION 0x08
#define PCI_CLASS 0x09
#define PCI_BAR0 0x10
#define PCI_BAR2 0x18
#define PCI_BAR_64BIT 0x4
#define PCI_BAR_PREFETCHABLE 0x8
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID 0x2e
#define PCI_CAPABILITIES 0x34
#define PCI_INTERRUPT_LINE 0x3c

#define VENDOR_RED_HAT 0x1af4
#define DEVICE_ID_BASE 0x1040

#define CAPABILITY_VENDOR 0x09
#define CAPABILITY_MSIX 0x11
#define MSIX_ENABLE 0x8000
#define MSIX_FUNCTION_MASK 0x4000

/* cfg_type of virtio capabilities */
#define CFG_COMMON 1
#define CFG_NOTIFY 2
#define CFG_ISR 3
#define CFG_DEVICE 4
#define CFG_PCI 5
#define CFG_SHARED_MEMORY 8

/* Where the capabilities lie. The MSI-X one comes first: its control word is written most. */
#define CAP_MSIX 0x40
#define CAP_COMMON 0x4c
#define CAP_NOTIFY 0x5c
#define CAP_ISR 0x70
#define CAP_DEVICE 0x80
#define CAP_PCI 0x90
#define CAP_PCI_DATA (CAP_PCI + 16)
#define CAP_SHARED_MEMORY 0xa4

static uint32_t get(const uint8_t *bytes, unsigned len) {
	uint32_t value = 0;
	for (unsigned i = 0; i < len; i++) {
		value |= (uint32_t)bytes[i] << (8 * i);
	}
	return value;
}

static void put(uint8_t *bytes, unsigned len, uint32_t value) {
	for (unsigned i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(value >> (8 * i));
	}
}

static bool overlaps(unsigned offset, unsigned len, unsigned start, unsigned size) {
	return offset < start + size && start < offset + len;
}

bool virtio_pci_msix_unmasked(const struct virtio_pci *pci) {
	uint32_t control = get(pci->config + CAP_MSIX + 2, 2);
	return (control & (MSIX_ENABLE | MSIX_FUNCTION_MASK)) == MSIX_ENABLE;
}

/* ---- building ---- */

static void add_header(struct virtio_pci *pci, uint64_t bar_address) {
	uint8_t *config = pci->config;
	put(config + PCI_VENDOR_ID, 2, VENDOR_RED_HAT);
	put(config + PCI_DEVICE_ID, 2, DEVICE_ID_BASE + pci->device->type);
	put(config + PCI_STATUS, 2, PCI_STATUS_CAPABILITIES);
	put(config + PCI_REVISION, 1, 1);
	put(config + PCI_CLASS, 3, pci->device->pci_class);
	put(config + PCI_BAR0, 4, (uint32_t)bar_address | PCI_BAR_64BIT);
	put(config + PCI_BAR0 + 4, 4, (uint32_t)(bar_address >> 32));
	put(config + PCI_SUBSYSTEM_VENDOR_ID, 2, VENDOR_RED_HAT);
	put(config + PCI_SUBSYSTEM_ID, 2, DEVICE_ID_BASE + pci->device->type);
	put(config + PCI_CAPABILITIES, 1, CAP_MSIX);
	put(pci->writable + PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	put(pci->writable + PCI_BAR0, 4, ~(VIRTIO_PCI_BAR_SIZE - 1u));
	put(pci->writable + PCI_BAR0 + 4, 4, 0xffffffff);
	put(pci->writable + PCI_INTERRUPT_LINE, 1, 0xff);
}

static void add_msix(struct virtio_pci *pci) {
	uint8_t *cap = pci->config + CAP_MSIX;
	put(cap, 1, CAPABILITY_MSIX);
	put(cap + 1, 1, CAP_COMMON);
	put(cap + 2, 2, pci->vector_count - 1);
	put(cap + 4, 4, VIRTIO_PCI_MSIX_TABLE_OFFSET); /* in BAR 0, as the low bits say */
	put(cap + 8, 4, VIRTIO_PCI_MSIX_PBA_OFFSET);
	put(pci->writable + CAP_MSIX + 2, 2, MSIX_ENABLE | MSIX_FUNCTION_MASK);
}

struct capability {
	uint8_t at, next, size, type;
	uint32_t offset, length;
};

static void add_capability(struct virtio_pci *pci, const struct capability *capability) {
	uint8_t *cap = pci->config + capability->at;
	put(cap, 1, CAPABILITY_VENDOR);
	put(cap + 1, 1, capability->next);
	put(cap + 2, 1, capability->size);
	put(cap + 3, 1, capability->type);
	put(cap + 8, 4, capability->offset);
	put(cap + 12, 4, capability->length);
}

static void add_capabilities(struct virtio_pci *pci) {
	unsigned config_size = pci->device->config_size;
	const struct capability capabilities[] = {
		{CAP_COMMON, CAP_NOTIFY, 16, CFG_COMMON, VIRTIO_PCI_COMMON_OFFSET, VIRTIO_PCI_COMMON_SIZE},
		{CAP_NOTIFY, CAP_ISR, 20, CFG_NOTIFY, VIRTIO_PCI_NOTIFY_OFFSET,
			VIRTIO_PCI_NOTIFY_MULTIPLIER * pci->device->queue_count},
		{CAP_ISR, config_size > 0 ? CAP_DEVICE : CAP_PCI, 16, CFG_ISR, VIRTIO_PCI_ISR_OFFSET, 1},
		{CAP_PCI, 0, 20, CFG_PCI, 0, 0},
		{CAP_DEVICE, CAP_PCI, 16, CFG_DEVICE, VIRTIO_PCI_DEVICE_OFFSET, config_size},
	};
	unsigned count = sizeof(capabilities) / sizeof(capabilities[0]) - (config_size == 0);
	for (unsigned i = 0; i < count; i++) {
		add_capability(pci, &capabilities[i]);
	}
	put(pci->config + CAP_NOTIFY + 16, 4, VIRTIO_PCI_NOTIFY_MULTIPLIER);
	/* The window onto the BAR: which BAR, where, how long, and the data. */
	put(pci->writable + CAP_PCI + 4, 1, 0xff);
	memset(pci->writable + CAP_PCI + 8, 0xff, 12);
}

/* A BAR of its own, wholly the shared-memory region (section 4.1.4.7). The memory stays where the device
 * says; a guest that moves the BAR finds nothing there. */
static void add_shared_memory(struct virtio_pci *pci) {
	uint64_t size = pci->device->shared_memory_size, address = pci->device->shared_memory_address;
	if (size == 0) {
		return;
	}
	assert((size & (size - 1)) == 0 && address % size == 0);
	const struct capability capability = {CAP_SHARED_MEMORY, 0, 24, CFG_SHARED_MEMORY, 0, (uint32_t)size};
	add_capability(pci, &capability);
	put(pci->config + CAP_PCI + 1, 1, CAP_SHARED_MEMORY);
	put(pci->config + CAP_SHARED_MEMORY + 4, 1, 2); /* BAR; the id behind it is 0 */
	put(pci->config + CAP_SHARED_MEMORY + 20, 4, (uint32_t)(size >> 32));
	put(pci->config + PCI_BAR2, 4, (uint32_t)address | PCI_BAR_64BIT | PCI_BAR_PREFETCHABLE);
	put(pci->config + PCI_BAR2 + 4, 4, (uint32_t)(address >> 32));
	put(pci->writable + PCI_BAR2, 4, (uint32_t) ~(size - 1));
	put(pci->writable + PCI_BAR2 + 4, 4, (uint32_t)(~(size - 1) >> 32));
}

void virtio_pci_init(struct virtio_pci *pci, struct virtio_device *device, struct virtio_host_client *host,
	unsigned host_index, uint64_t bar_address, const struct virtio_pci_ops *ops, void *owner) {
	assert(bar_address % VIRTIO_PCI_BAR_SIZE == 0 && device->queue_count <= VIRTIO_QUEUES_MAX &&
		device->config_size <= sizeof(device->config));
	memset(pci, 0, sizeof(*pci));
	pci->device = device;
	pci->host = host;
	pci->host_index = host_index;
	pci->ops = ops;
	pci->owner = owner;
	virtio_pci_msix_init(pci);
	virtio_pci_common_clear(pci);
	add_header(pci, bar_address);
	add_msix(pci);
	add_capabilities(pci);
	add_shared_memory(pci);
}

/* ---- BAR 0 ---- */

static uint32_t read_device_config(const struct virtio_device *device, unsigned offset, unsigned len) {
	uint8_t changed[VIRTIO_CONFIG_MAX];
	if (offset + len > device->config_size) {
		return 0;
	}
	if (!atomic_load(&device->shared->config_changed)) {
		return get(device->config + offset, len);
	}
	for (unsigned i = 0; i < len; i++) {
		changed[i] = atomic_load(&device->shared->config[offset + i]);
	}
	return get(changed, len);
}

static uint32_t bar_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	if (offset < VIRTIO_PCI_ISR_OFFSET) {
		return virtio_pci_common_read(pci, offset - VIRTIO_PCI_COMMON_OFFSET, len);
	}
	if (offset < VIRTIO_PCI_DEVICE_OFFSET) {
		return 0; /* the ISR status: without INTx it has nothing to say */
	}
	if (offset < VIRTIO_PCI_NOTIFY_OFFSET) {
		return read_device_config(pci->device, offset - VIRTIO_PCI_DEVICE_OFFSET, len);
	}
	if (offset < VIRTIO_PCI_MSIX_TABLE_OFFSET) {
		return 0; /* notifications are written */
	}
	if (offset < VIRTIO_PCI_MSIX_PBA_OFFSET) {
		return virtio_pci_msix_table_read(pci, offset - VIRTIO_PCI_MSIX_TABLE_OFFSET, len);
	}
	return virtio_pci_msix_pending_read(pci, offset - VIRTIO_PCI_MSIX_PBA_OFFSET, len);
}

/* A notification that KVM did not turn into the queue's eventfd by itself. */
static void notify(struct virtio_pci *pci, unsigned offset) {
	unsigned queue = offset / VIRTIO_PCI_NOTIFY_MULTIPLIER;
	if (offset % VIRTIO_PCI_NOTIFY_MULTIPLIER == 0 && queue < pci->device->queue_count && pci->active) {
		fd_event_signal(pci->device->queues[queue].kick_fd);
	}
}

static void bar_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value) {
	if (offset < VIRTIO_PCI_ISR_OFFSET) {
		virtio_pci_common_write(pci, offset - VIRTIO_PCI_COMMON_OFFSET, len, value);
	} else if (offset >= VIRTIO_PCI_NOTIFY_OFFSET && offset < VIRTIO_PCI_MSIX_TABLE_OFFSET) {
		notify(pci, offset - VIRTIO_PCI_NOTIFY_OFFSET);
	} else if (offset >= VIRTIO_PCI_MSIX_TABLE_OFFSET && offset < VIRTIO_PCI_MSIX_PBA_OFFSET) {
		virtio_pci_msix_table_write(pci, offset - VIRTIO_PCI_MSIX_TABLE_OFFSET, len, value);
	}
	/* The ISR status, the device configuration and the pending bits are read-only. */
}

static bool bar_access_valid(uint64_t offset, unsigned len) {
	return (len == 1 || len == 2 || len == 4) && offset <= VIRTIO_PCI_BAR_SIZE - len;
}

uint64_t virtio_pci_bar_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	if (len == 8 && bar_access_valid(offset, 4) && bar_access_valid((uint64_t)offset + 4, 4)) {
		return bar_read(pci, offset, 4) | (uint64_t)bar_read(pci, offset + 4, 4) << 32;
	}
	return bar_access_valid(offset, len) ? bar_read(pci, offset, len) : 0;
}

void virtio_pci_bar_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint64_t value) {
	if (len == 8 && bar_access_valid(offset, 4) && bar_access_valid((uint64_t)offset + 4, 4)) {
		bar_write(pci, offset, 4, (uint32_t)value);
		bar_write(pci, offset + 4, 4, (uint32_t)(value >> 32));
	} else if (bar_access_valid(offset, len)) {
		bar_write(pci, offset, len, (uint32_t)(value & (0xffffffffu >> (32 - 8 * len))));
	}
}

/* ---- configuration space ---- */

/* The guest accesses the BAR through the window's data. False when what it set up is no valid access. */
static bool window(const struct virtio_pci *pci, uint32_t *offset, uint32_t *len) {
	*offset = get(pci->config + CAP_PCI + 8, 4);
	*len = get(pci->config + CAP_PCI + 12, 4);
	return pci->config[CAP_PCI + 4] == 0 && bar_access_valid(*offset, *len) && *offset % *len == 0;
}

static bool config_access_valid(unsigned offset, unsigned len) {
	return (len == 1 || len == 2 || len == 4) && offset <= PCI_CONFIG_SIZE - len;
}

uint32_t virtio_pci_config_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	if (!config_access_valid(offset, len)) {
		return 0xffffffff;
	}
	uint32_t bar_offset, bar_len;
	if (overlaps(offset, len, CAP_PCI_DATA, 4) && window(pci, &bar_offset, &bar_len)) {
		put(pci->config + CAP_PCI_DATA, bar_len,
			(uint32_t)virtio_pci_bar_read(pci, bar_offset, bar_len));
	}
	return get(pci->config + offset, len);
}

/* Guests size a BAR by writing all ones to it, with decoding off: only where it ends up decoded counts. */
static void update_bar(struct virtio_pci *pci) {
	uint64_t address = 0;
	if ((get(pci->config + PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) != 0) {
		address = (get(pci->config + PCI_BAR0, 4) & ~(VIRTIO_PCI_BAR_SIZE - 1u)) |
			  (uint64_t)get(pci->config + PCI_BAR0 + 4, 4) << 32;
	}
	if (address != pci->bar_address) {
		pci->bar_address = address;
		pci->ops->bar_changed(pci, address);
	}
}

void virtio_pci_config_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value) {
	if (!config_access_valid(offset, len)) {
		return;
	}
	for (unsigned i = 0; i < len; i++) {
		uint8_t mask = pci->writable[offset + i];
		uint8_t byte = (uint8_t)(value >> (8 * i));
		pci->config[offset + i] = (uint8_t)((pci->config[offset + i] & ~mask) | (byte & mask));
	}
	uint32_t bar_offset, bar_len;
	if (overlaps(offset, len, PCI_COMMAND, 2) || overlaps(offset, len, PCI_BAR0, 8)) {
		update_bar(pci);
	} else if (overlaps(offset, len, CAP_MSIX + 2, 2)) {
		virtio_pci_msix_control_written(pci);
	} else if (overlaps(offset, len, CAP_PCI_DATA, 4) && window(pci, &bar_offset, &bar_len)) {
		virtio_pci_bar_write(pci, bar_offset, bar_len, get(pci->config + CAP_PCI_DATA, bar_len));
	}
}
