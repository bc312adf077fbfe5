/*
 * Worker processes, both ends: the monitor's main thread forks and reaps them; the child serves its devices
 * on a loop until the monitor's end of the socket closes. The child is the part that meets hostile requests:
 * it keeps what its devices need and nothing else.
 */
#include "ph/worker.h"

#include "ph/child.h"
#include "ph/fd.h"
#include "ph/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A device's eventfds, and what a worker keeps beside them. */
#define KEEP_MAX (VIRTIO_HOST_DEVICES_MAX * (VIRTIO_QUEUES_MAX + VIRTIO_VECTORS_MAX + VIRTIO_OWN_FDS_MAX) + 8)

struct keep_list {
	int fds[KEEP_MAX];
	size_t count;
};

static int keep(struct keep_list *list, int fd) {
	if (fd < 0) {
		return 0;
	}
	if (list->count == KEEP_MAX) {
		return -E2BIG;
	}
	list->fds[list->count++] = fd;
	return 0;
}

static int compare(const void *a, const void *b) {
	return *(const int *)a - *(const int *)b;
}

static int close_others(struct keep_list *list) {
	qsort(list->fds, list->count, sizeof(list->fds[0]), compare);
	unsigned next = 0;
	for (size_t i = 0; i < list->count; i++) {
		unsigned fd = (unsigned)list->fds[i];
		if (fd > next && syscall(SYS_close_range, next, fd - 1, 0) < 0) {
			return -errno;
		}
		next = fd + 1 > next ? fd + 1 : next;
	}
	return syscall(SYS_close_range, next, ~0u, 0) < 0 ? -errno : 0;
}

static int keep_devices(struct keep_list *list, const struct virtio_host *host) {
	int ret = 0;
	for (unsigned i = 0; i < host->device_count; i++) {
		const struct virtio_device *device = host->devices[i];
		for (unsigned q = 0; q < device->queue_count && ret == 0; q++) {
			ret = keep(list, device->queues[q].kick_fd);
		}
		for (unsigned v = 0; v <= device->queue_count && ret == 0; v++) {
			ret = keep(list, device->vector_fds[v]);
		}
		for (unsigned f = 0; f < device->own_fd_count && ret == 0; f++) {
			ret = keep(list, device->own_fds[f]);
		}
	}
	return ret;
}

static struct keep_list list; /* too big for a stack; the child has one thread */

static int keep_streams(void) {
	int ret = keep(&list, STDERR_FILENO);
	ret = ret < 0 ? ret : keep(&list, STDIN_FILENO);
	return ret < 0 ? ret : keep(&list, STDOUT_FILENO);
}

static int keep_only(const struct virtio_host *host, const struct worker_options *options, int socket) {
	int ret = keep_streams();
	ret = ret < 0 ? ret : keep(&list, socket);
	ret = ret < 0 ? ret : keep(&list, host->memory->fd);
	for (size_t i = 0; i < options->reach.tree_count && ret == 0; i++) {
		ret = keep(&list, options->reach.trees[i].fd);
	}
	if (ret == 0) {
		ret = keep_devices(&list, host);
	}
	return ret < 0 ? ret : close_others(&list);
}

/* Standard input and output are the command's; a worker has none. */
static int drop_streams(void) {
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0) {
		return -errno;
	}
	return 0;
}

/* A terminal is written to, and no more: not read, nor changed for the shell, whose open file it would
 * otherwise be. Where it cannot be opened (another user's) there is but that one. */
static void leave_terminal(void) {
	/* A serial line could make us wait for a carrier. */
	int fd = terminal_reopen(STDERR_FILENO, O_WRONLY | O_NONBLOCK);
	if (fd >= 0) {
		fcntl(fd, F_SETFL, O_WRONLY);
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
}

/* Signals to the terminal's process group are for the monitor, which ends the workers in order. A write
 * beyond the caller's RLIMIT_FSIZE is an error of that write. */
static void ignore_signals(void) {
	static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		signal(signals[i], SIG_IGN);
	}
}

static int enclose(const char *name, pid_t parent) {
	char title[16] = "ph-";
	strncat(title, name, sizeof(title) - strlen(title) - 1);
	prctl(PR_SET_NAME, title, 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
		return -errno;
	}
	ignore_signals();
	leave_terminal();
	return getppid() == parent ? drop_streams() : -ESRCH;
}

int worker_leave_monitor(const char *name, pid_t monitor, const int *fds, unsigned count) {
	int ret = enclose(name, monitor);
	ret = ret < 0 ? ret : keep_streams();
	for (unsigned i = 0; i < count && ret == 0; i++) {
		ret = keep(&list, fds[i]);
	}
	return ret < 0 ? ret : close_others(&list);
}

static int enter_devices(const struct virtio_host *host) {
	int ret = 0;
	for (unsigned i = 0; i < host->device_count && ret == 0; i++) {
		struct virtio_device *device = host->devices[i];
		ret = device->ops->enter != NULL ? device->ops->enter(device) : 0;
	}
	return ret;
}

static void hung_up(struct virtio_host *host) {
	loop_stop(host->loop, 0);
}

/* The devices have opened what they keep: the trees have served their purpose. */
static int confine(const struct worker_options *options) {
	int ret = jail_enter(options->kind, options->mode, options->name, &options->reach);
	for (size_t i = 0; i < options->reach.tree_count; i++) {
		close(options->reach.trees[i].fd);
	}
	return ret;
}

static int serve(struct virtio_host *host, const struct worker_options *options, int socket, pid_t parent) {
	struct loop loop;
	int ret = enclose(options->name, parent);
	if (ret == 0) {
		ret = keep_only(host, options, socket);
	}
	if (ret == 0) {
		ret = enter_devices(host);
	}
	if (ret == 0) {
		ret = confine(options);
	}
	if (ret == 0) {
		ret = loop_init(&loop);
	}
	if (ret == 0) {
		ret = virtio_host_init(host, &loop, host->memory, socket);
	}
	if (ret == 0) {
		ret = jail_filter(options->kind, options->mode, options->name);
	}
	if (ret == 0) {
		ret = loop_run(&loop);
	}
	if (ret < 0) {
		log_error("worker %s: %s", options->name, strerror(-ret));
	}
	return ret;
}

static void fill_host(struct virtio_host *host, const struct worker_options *options) {
	*host = (struct virtio_host){
		.memory = options->memory, .device_count = options->device_count, .closed = hung_up};
	memcpy(host->devices, options->devices, options->device_count * sizeof(options->devices[0]));
}

int worker_start(struct worker *worker, const struct worker_options *options) {
	int host_end, client_end;
	if (options->device_count > VIRTIO_HOST_DEVICES_MAX) {
		return -E2BIG;
	}
	int ret = virtio_host_socketpair(&host_end, &client_end);
	if (ret < 0) {
		return ret;
	}
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		struct virtio_host host;
		fill_host(&host, options);
		_exit(serve(&host, options, host_end, parent) < 0 ? 1 : 0);
	}
	ret = -errno;
	fd_close(&host_end);
	if (pid < 0) {
		fd_close(&client_end);
		return ret;
	}
	*worker = (struct worker){.name = options->name, .pid = pid};
	worker->pid_fd = child_watch(pid);
	ret = worker->pid_fd < 0 ? worker->pid_fd : virtio_host_client_init(&worker->client, client_end);
	if (ret < 0) {
		fd_close(&client_end);
		worker_stop(worker);
	}
	return ret;
}

void worker_describe_end(const struct worker *worker, char *text, size_t size) {
	siginfo_t info = {0};
	if (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOWAIT) < 0) {
		snprintf(text, size, "ended");
	} else if (info.si_code == CLD_EXITED) {
		snprintf(text, size, "ended with status %d", info.si_status);
	} else if (info.si_status == SIGSYS) {
		snprintf(text, size, "was killed for a system call that it may not make");
	} else {
		/* Guest RAM is all that a worker maps without having memory for it. */
		snprintf(text, size, "was killed by signal %d%s", info.si_status,
			info.si_status == SIGBUS ? ", as this host has no more memory for the VM" : "");
	}
}

void worker_stop(struct worker *worker) {
	if (worker->pid > 0) {
		virtio_host_client_finish(&worker->client);
	}
	child_reap(&worker->pid, &worker->pid_fd, CHILD_GRACE_MS);
}
