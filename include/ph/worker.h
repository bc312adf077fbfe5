/*
 * A worker: a process that serves some devices, forked before the guest starts. It owns its
 * devices' file descriptors, guest RAM and nothing else.
 */
#ifndef PH_WORKER_H
#define PH_WORKER_H

#include "ph/jail.h"
#include "ph/virtio.h"

struct worker {
	const char *name;
	pid_t pid;
	int pid_fd;
	struct virtio_host_client client; /* requests for its devices, by their index in the array given */
};

struct worker_options {
	const char *name;
	enum jail_kind kind;
	enum jail_mode mode;
	struct jail_reach reach;
	const struct guest_memory *memory;
	struct virtio_device *const *devices;
	unsigned device_count;
};

/*
 * Fork the worker; in it, only what the devices have (own_fds among it), guest RAM and stderr stay open. The
 * child never returns. Must be called while the process has one thread. 0 or -errno.
 */
int worker_start(struct worker *worker, const struct worker_options *options);
/*
 * In a child forked for another purpose: leave what is the monitor's, but for standard error and these
 * descriptors; end with the monitor, and leave signals to it. name is the process's behind "ph-". 0 or
 * -errno.
 */
int worker_leave_monitor(const char *name, pid_t monitor, const int *fds, unsigned count);
/* Of a worker that has ended, how, as the end of a sentence: "was killed by signal 9". */
void worker_describe_end(const struct worker *worker, char *text, size_t size);
/* Close the socket, which ends the worker, and reap it; killed after a grace time. Accepts a zeroed worker.
 */
void worker_stop(struct worker *worker);

#endif
