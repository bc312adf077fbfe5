/* The display device, its worker and its window: what a VM has when there is something to show it on. */
#ifndef MONITOR_SCREEN_H
#define MONITOR_SCREEN_H

#include "monitor/pci.h"
#include "monitor/window.h"
#include "ph/connector.h"
#include "ph/plan.h"
#include "ph/sound.h"
#include "ph/worker.h"

struct screen {
	struct virtio_device *device; /* NULL: none */
	struct worker worker;         /* that serves it, unless it runs in the monitor */
	struct window window;
	struct sound sound; /* the filter behind its door, if there is sound */
	struct connector connector;
	int asking[2]; /* the doors to it: the display's, the sound filter's */
};

/* Create the device and fork its worker, if the plan has sockets or sound. 0 or -errno. screen_finish()
 * accepts any state from zeroed on. */
int screen_start(struct screen *screen, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode);
/* Put it on the bus if it has a worker. 0 or -errno. */
int screen_attach(struct screen *screen, struct pci_bus *pci);
/* Answer the device's calls, once only threads are to be started. 0 or -errno. */
int screen_serve(struct screen *screen);
/* The worker has ended: the driver learns it. */
void screen_lost(struct screen *screen);
void screen_hang_up(struct screen *screen);
void screen_finish(struct screen *screen);

#endif
