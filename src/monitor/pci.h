/* The PCI bus: type 1 configuration access, a host bridge and one function per virtio device. */
#ifndef MONITOR_PCI_H
#define MONITOR_PCI_H

#include "monitor/irq.h"
#include "ph/error.h"
#include "ph/log.h"
#include "ph/virtio_pci.h"

#include <pthread.h>

#define PCI_FUNCTIONS_MAX 31
#define PCI_COPY_SIZE ((size_t)(PCI_FUNCTIONS_MAX + 1) * PCI_CONFIG_SIZE)
/* Where BARs start out: in the 32-bit hole, below the local APIC. */
#define PCI_BAR_BASE 0xd0000000ULL

struct pci_function {
	struct pci_bus *bus;
	struct virtio_pci pci;
	uint64_t notify_address; /* where KVM signals the queues' eventfds; 0: nowhere */
	unsigned first_line;     /* of irq_router; vector i is first_line + i */
	bool unmasked[VIRTIO_VECTORS_MAX];
};

struct pci_bus {
	pthread_mutex_t
		lock; /* all below; the loop thread never takes it: it answers what lock holders ask */
	int vm_fd;
	struct irq_router irqs;
	/* Writes of the configuration address, which KVM collects without leaving for user space; NULL: it
	 * cannot. */
	struct kvm_coalesced_mmio_ring *writes;
	uint32_t writes_max; /* entries */
	uint32_t config_address;
	uint8_t *copy; /* of configuration space, for the guest to read and never read here; or NULL */
	struct pci_function *functions[PCI_FUNCTIONS_MAX];
	unsigned count;
	struct log_limit errors;
};

/* Accepts an uninitialised bus. 0 or -errno. */
int pci_init(struct pci_bus *bus, int vm_fd);
void pci_finish(struct pci_bus *bus);
/* Use KVM's ring of collected writes. 0 or -errno. */
int pci_collect_writes(struct pci_bus *bus, struct kvm_coalesced_mmio_ring *ring, uint32_t entries);
/* Keep a copy of configuration space, PCI_CONFIG_SIZE bytes a slot, at this place of guest RAM, where reads
 * of it cost the guest no exit. Before devices are added. */
void pci_copy_config(struct pci_bus *bus, uint8_t *place);
/* Add a device, before the guest starts. 0 or -errno. */
int pci_add(struct pci_bus *bus, struct virtio_device *device, struct virtio_host_client *host,
	unsigned host_index);

/* Accesses by the guest: ports 0xcf8-0xcff, and memory. A read that nobody answers is all ones; len is 1, 2,
 * 4 or (memory) 8. */
uint32_t pci_port_read(struct pci_bus *bus, uint16_t port, unsigned len);
void pci_port_write(struct pci_bus *bus, uint16_t port, unsigned len, uint32_t value);
uint64_t pci_memory_read(struct pci_bus *bus, uint64_t address, unsigned len);
void pci_memory_write(struct pci_bus *bus, uint64_t address, unsigned len, uint64_t value);

#endif
