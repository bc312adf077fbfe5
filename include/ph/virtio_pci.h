/*
 * The modern virtio-pci transport (virtio 1.2, section 4.1): one PCI function with one 64-bit
 * memory BAR that holds common configuration, device configuration, notifications, the MSI-X
 * table and its pending bits; and a second one for the shared memory of devices that have it. No INTx, no
 * legacy interface, no I/O BAR.
 *
 * Runs on vCPU threads, under the PCI bus lock of the monitor. Offsets, widths and values are the
 * guest's and hostile. It knows nothing of KVM: what must reach KVM goes through struct virtio_pci_ops.
 */
#ifndef PH_VIRTIO_PCI_H
#define PH_VIRTIO_PCI_H

#include "ph/virtio.h"

#define PCI_CONFIG_SIZE 256

/* Layout of BAR 0 */
#define VIRTIO_PCI_COMMON_OFFSET 0x0000
#define VIRTIO_PCI_COMMON_SIZE 0x38
#define VIRTIO_PCI_ISR_OFFSET 0x0800
#define VIRTIO_PCI_DEVICE_OFFSET 0x0c00
#define VIRTIO_PCI_NOTIFY_OFFSET 0x1000
#define VIRTIO_PCI_NOTIFY_MULTIPLIER 4
#define VIRTIO_PCI_MSIX_TABLE_OFFSET 0x2000
#define VIRTIO_PCI_MSIX_PBA_OFFSET 0x3000
#define VIRTIO_PCI_BAR_SIZE 0x4000

struct msix_entry {
	uint32_t address_low, address_high, data, control; /* control bit 0: masked */
};

struct virtio_pci;

struct virtio_pci_ops {
	/* The address the BAR is decoded at changed: (re)register the notify addresses. 0: not decoded. Any
	 * other value is the guest's choice, aligned to the BAR's size but possibly over RAM or another
	 * function. */
	void (*bar_changed)(struct virtio_pci *pci, uint64_t address);
	/* What a vector does changed: it was masked (by its own bit, the function's, or MSI-X being off), or
	 * it was unmasked or its message changed while it was. All start masked. */
	void (*vector_changed)(
		struct virtio_pci *pci, unsigned vector, const struct msix_entry *entry, bool masked);
};

struct virtio_pci {
	struct virtio_device *device;
	struct virtio_host_client *host;
	unsigned host_index; /* of device in its host */
	const struct virtio_pci_ops *ops;
	void *owner; /* for the ops */

	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* which bits of config the guest may set */
	uint64_t bar_address;              /* where the BAR is decoded now; 0: nowhere */

	uint8_t status;
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	uint16_t queue_select, config_vector;
	struct virtqueue_config queues[VIRTIO_QUEUES_MAX]; /* size is kept apart from enabled */
	bool queue_enabled[VIRTIO_QUEUES_MAX];
	bool active; /* activated in its host */
	struct log_limit guest_errors;

	unsigned vector_count;
	struct msix_entry msix[VIRTIO_VECTORS_MAX];
	bool vector_masked[VIRTIO_VECTORS_MAX]; /* as ops->vector_changed was told */
};

/* Build the configuration space; bar_address is where the BAR starts out (the guest may move it, and it is
 * not decoded until the guest sets the command bit for memory). */
void virtio_pci_init(struct virtio_pci *pci, struct virtio_device *device, struct virtio_host_client *host,
	unsigned host_index, uint64_t bar_address, const struct virtio_pci_ops *ops, void *owner);

/*
 * Accesses of 1, 2 or 4 bytes within the 256-byte configuration space. Here and in the BAR an access of
 * another length or out of bounds reads as all ones or zero and writes nothing.
 *
 * A write may wait for the device's host (activation, reset): nothing that host does may need a lock which
 * the caller holds.
 */
uint32_t virtio_pci_config_read(struct virtio_pci *pci, unsigned offset, unsigned len);
void virtio_pci_config_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value);

/* Accesses of 1, 2, 4 or 8 bytes within BAR 0 (offset + len <= VIRTIO_PCI_BAR_SIZE). */
uint64_t virtio_pci_bar_read(struct virtio_pci *pci, unsigned offset, unsigned len);
void virtio_pci_bar_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint64_t value);

#endif
