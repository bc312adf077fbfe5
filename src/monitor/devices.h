/* The devices of a VM, and where each of them runs. */
#ifndef MONITOR_DEVICES_H
#define MONITOR_DEVICES_H

#include "monitor/network.h"
#include "monitor/pci.h"
#include "monitor/screen.h"
#include "ph/plan.h"
#include "ph/virtio.h"
#include "ph/worker.h"

struct devices {
	struct virtio_device *console, *rng, *balloon;
	struct virtio_device *disks[PLAN_DISKS_MAX];
	struct virtio_device *shares[PLAN_SHARES_MAX];
	unsigned disk_count, share_count;
	struct worker files; /* serves the shares, unless all runs in the monitor */
	struct screen screen;
	struct network network;
	struct virtio_host local;
	struct virtio_host_client local_client;
};

/* What --sandbox asked for, as the jail has it. */
enum jail_mode devices_jail_mode(const struct plan *plan);
/*
 * Two steps, because workers are forked while the process has one thread and little else: first the
 * shares and their worker, then all that runs on the monitor's loop. -errno with *error set;
 * devices_destroy() accepts any state from zeroed on.
 */
int devices_start_workers(struct devices *devices, const struct plan *plan, const struct guest_memory *memory,
	struct error *error);
int devices_create(struct devices *devices, const struct plan *plan, struct error *error);
/* Serve what runs in the monitor, once all its devices are complete. 0 or -errno. */
int devices_serve(struct devices *devices, struct loop *loop, const struct guest_memory *memory);
/* Put all devices on the bus. 0 or -errno. */
int devices_attach(struct devices *devices, struct pci_bus *pci);
/* No request is answered any more. */
void devices_hang_up(struct devices *devices);
void devices_destroy(struct devices *devices);

#endif
