/*
 * The MSI-X table and pending bits of a virtio-pci function (PCI 3.0, section 6.8.2). Runs on vCPU
 * threads under the lock of the bus; offsets and values are the guest's. Guests write an entry field by
 * field under its mask, so only what has an effect is passed on.
 */
#include "virtio/pci.h"

#include <poll.h>

#define ENTRY_SIZE 16
#define CONTROL_MASKED 1u

static uint32_t *entry_field(struct msix_entry *entry, unsigned offset) {
	switch (offset) {
	case 0:
		return &entry->address_low;
	case 4:
		return &entry->address_high;
	case 8:
		return &entry->data;
	default:
		return &entry->control;
	}
}

static void update_vector(struct virtio_pci *pci, unsigned vector, bool message_changed) {
	const struct msix_entry *entry = &pci->msix[vector];
	bool masked = (entry->control & CONTROL_MASKED) != 0 || !virtio_pci_msix_unmasked(pci);
	if (masked == pci->vector_masked[vector] && (masked || !message_changed)) {
		return;
	}
	pci->vector_masked[vector] = masked;
	pci->ops->vector_changed(pci, vector, entry, masked);
}

void virtio_pci_msix_init(struct virtio_pci *pci) {
	pci->vector_count = pci->device->queue_count + 1;
	for (unsigned i = 0; i < pci->vector_count; i++) {
		pci->msix[i] = (struct msix_entry){.control = CONTROL_MASKED};
		pci->vector_masked[i] = true;
	}
}

void virtio_pci_msix_control_written(struct virtio_pci *pci) {
	for (unsigned i = 0; i < pci->vector_count; i++) {
		update_vector(pci, i, false);
	}
}

uint32_t virtio_pci_msix_table_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	unsigned vector = offset / ENTRY_SIZE;
	if (len != 4 || offset % 4 != 0 || vector >= pci->vector_count) {
		return 0;
	}
	return *entry_field(&pci->msix[vector], offset % ENTRY_SIZE);
}

void virtio_pci_msix_table_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value) {
	unsigned vector = offset / ENTRY_SIZE;
	if (len != 4 || offset % 4 != 0 || vector >= pci->vector_count) {
		return;
	}
	uint32_t *field = entry_field(&pci->msix[vector], offset % ENTRY_SIZE);
	if (field == &pci->msix[vector].control) {
		value &= CONTROL_MASKED;
	}
	bool changed = *field != value;
	*field = value;
	if (changed) {
		update_vector(pci, vector, true);
	}
}

/* A masked vector's interrupt waits as the count of its eventfd, which poll(2) sees and leaves there. */
static bool vector_pending(const struct virtio_pci *pci, unsigned vector) {
	struct pollfd pollfd = {.fd = pci->device->vector_fds[vector], .events = POLLIN};
	return pci->vector_masked[vector] && poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLIN) != 0;
}

uint32_t virtio_pci_msix_pending_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	if (len != 4 || offset % 4 != 0) {
		return 0;
	}
	uint32_t bits = 0;
	for (unsigned i = 0; i < 32 && offset * 8 + i < pci->vector_count; i++) {
		bits |= (uint32_t)vector_pending(pci, offset * 8 + i) << i;
	}
	return bits;
}
