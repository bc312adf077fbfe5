/*
 * The parts of the virtio-pci transport among themselves: pci.c has the configuration space and sends
 * accesses of the BAR to common.c (common configuration) and msix.c (vector table and pending bits).
 * All offsets are relative to the part and any value may come; len is 1, 2 or 4.
 */
#ifndef VIRTIO_PCI_PRIVATE_H
#define VIRTIO_PCI_PRIVATE_H

#include "ph/virtio_pci.h"

/* Everything the driver may set through the common configuration, back to where it starts. */
void virtio_pci_common_clear(struct virtio_pci *pci);
uint32_t virtio_pci_common_read(struct virtio_pci *pci, unsigned offset, unsigned len);
void virtio_pci_common_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value);

/* All vectors masked. enabled and function_masked are the bits of the MSI-X capability. */
void virtio_pci_msix_init(struct virtio_pci *pci);
uint32_t virtio_pci_msix_table_read(struct virtio_pci *pci, unsigned offset, unsigned len);
void virtio_pci_msix_table_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value);
uint32_t virtio_pci_msix_pending_read(struct virtio_pci *pci, unsigned offset, unsigned len);
/* The MSI-X capability's message control was written. */
void virtio_pci_msix_control_written(struct virtio_pci *pci);
/* Whether MSI-X is on and not masked as a whole (pci.c: the bits are in its configuration space). */
bool virtio_pci_msix_unmasked(const struct virtio_pci *pci);

#endif
