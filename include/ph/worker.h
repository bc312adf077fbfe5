/*
 * A worker: a process that serves some devices, forked before the guest starts. It owns its
 * devices' file descriptors, guest RAM and nothing else.
 */
#ifndef PH_WORKER_H
#define PH_WORKER_H

#include "ph/virtio.h"

struct worker {
	const char *name;
	pid_t pid;
	int pid_fd;
	struct virtio_host_client client; /* requests for its devices, by their index in the array given */
};

/*
 * Fork the worker; in it, only what the devices have (own_fds among it), guest RAM and stderr stay open. The
 * child never returns. Must be called while the process has one thread. 0 or -errno.
 */
int worker_start(struct worker *worker, const char *name, const struct guest_memory *memory,
	struct virtio_device *const *devices, unsigned count);
/* Close the socket, which ends the worker, and reap it; killed after a grace time. Accepts a zeroed worker.
 */
void worker_stop(struct worker *worker);

#endif
