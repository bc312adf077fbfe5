/* The network device, its worker, and passt: what a VM has that asked for a network. */
#ifndef MONITOR_NETWORK_H
#define MONITOR_NETWORK_H

#include "monitor/pci.h"
#include "ph/passt.h"
#include "ph/plan.h"
#include "ph/worker.h"

struct network {
	struct virtio_device *device; /* NULL: none */
	struct worker worker;         /* that serves it, unless it runs in the monitor */
	struct passt passt;
};

/* Start passt if need be, create the device and fork its worker, if the plan has a network. 0 or -errno.
 * network_finish() accepts any state from zeroed on. */
int network_start(struct network *network, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode);
/* Put it on the bus if it has a worker. 0 or -errno. */
int network_attach(struct network *network, struct pci_bus *pci);
/* The worker has ended: the driver learns it. */
void network_lost(struct network *network);
void network_hang_up(struct network *network);
void network_finish(struct network *network);

#endif
