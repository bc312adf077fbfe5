/*
 * A virtio-pci function for unit tests: a device that counts, its host on a thread of its own, and the
 * accesses of a driver. The tests need no notify: they look at the kick eventfds.
 */
#ifndef TEST_PCI_FIXTURE_H
#define TEST_PCI_FIXTURE_H

#include "driver.h"

#include "ph/virtio_pci.h"

#include <pthread.h>

#define QUEUES 3
#define SIZE 16
#define FEATURE 40
#define BAR 0xc0000000ULL

/* Registers, as the specification numbers them. */
#define COMMAND 0x04
#define BAR_LOW 0x10
#define BAR_HIGH 0x14
#define MEMORY 0x2
#define CONFIG_VECTOR 0x10
#define NUM_QUEUES 0x12
#define STATUS 0x14
#define Q_SELECT 0x16
#define Q_SIZE 0x18
#define Q_VECTOR 0x1a
#define Q_ENABLE 0x1c
#define Q_NOTIFY_OFF 0x1e
#define Q_DESC 0x20
#define Q_DRIVER 0x28
#define Q_DEVICE 0x30

#define ACK_DRIVER 3
#define DRIVER_OK 4
#define FEATURES_OK 8
#define NEEDS_RESET 0x40
#define FAILED 0x80

#define VERSION_1 (1ULL << VIRTIO_RING_F_VERSION_1)

struct pci_fixture {
	struct driver driver; /* guest memory and the host's loop */
	struct virtio_device device;
	struct virtio_host host;
	struct virtio_host_client client;
	struct virtio_pci pci;
	gpa_t rings[3];
	int start_result;
	unsigned starts, stops;
	/* what the ops were told */
	unsigned bar_changes, vector_changes;
	uint64_t bar;
	unsigned vector;
	struct msix_entry entry;
	bool masked;
	/* the host's thread */
	pthread_t thread;
	struct loop_source end;
};

struct pci_fixture *pci_fixture_create(void);
void pci_fixture_destroy(struct pci_fixture *f);

uint32_t config_get(struct pci_fixture *f, unsigned offset, unsigned len);
void config_set(struct pci_fixture *f, unsigned offset, unsigned len, uint32_t value);
uint64_t bar_get(struct pci_fixture *f, unsigned offset, unsigned len);
void bar_set(struct pci_fixture *f, unsigned offset, unsigned len, uint64_t value);

/* The place of the capability with this id and (for vendor ones) this type, 0 when there is none. */
unsigned pci_find_capability(struct pci_fixture *f, uint8_t id, uint8_t type);

/* What a driver does: its features, then up to FEATURES_OK, its queue 0, and all of it up to DRIVER_OK. */
void pci_set_features(struct pci_fixture *f, uint64_t features);
void pci_negotiate(struct pci_fixture *f);
void pci_configure_queue(struct pci_fixture *f);
void pci_bring_up(struct pci_fixture *f);

bool fd_readable(int fd);

#endif
