/*
 * The connector's process, both ends: the monitor's main thread starts it and waits for its end; the process
 * answers at its doors until all are closed. Hostile: those who ask, who are other processes of ph and may
 * have been taken over; each can have what its table has, and no more.
 */
#include "ph/connector.h"

#include "connector/context.h"
#include "connector/request.h"
#include "ph/child.h"
#include "ph/fd.h"
#include "ph/log.h"
#include "ph/loop.h"
#include "ph/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* for a compositor that is busy */
#define FOLDERS_MAX (CONNECTOR_DOORS_MAX * CONNECTOR_SOCKETS_MAX)

struct place {
	char path[PATH_MAX], folder[PATH_MAX];
	bool sandboxed;
	struct context context;
};

struct door {
	struct loop_source source;
	struct process *process;
	struct place places[CONNECTOR_SOCKETS_MAX];
	unsigned count;
};

struct process {
	struct loop loop;
	struct door doors[CONNECTOR_DOORS_MAX];
	unsigned door_count, open_doors;
	struct context_names names;
	struct log_limit messages;
};

/* ---- serving ---- */

static void close_door(struct door *door) {
	struct process *process = door->process;
	loop_remove(&process->loop, &door->source);
	fd_close(&door->source.fd);
	if (--process->open_doors == 0) {
		loop_stop(&process->loop, 0);
	}
}

static int connect_place(struct process *process, struct place *place) {
	int fd = place->sandboxed ? context_connect(&place->context, place->path, &process->names)
				  : context_connect_path(place->path);
	if (fd == -ENAMETOOLONG) {
		log_guest(&process->messages, "%s: the path of a socket has %zu bytes at most", place->path,
			sizeof(place->context.address.sun_path) - 1);
	} else if (fd < 0) {
		log_guest(&process->messages, "%s: %s", place->path, strerror(-fd));
	}
	return fd;
}

static int send_answer(int door, const struct connector_answer *answer, int fd) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)answer, .iov_len = sizeof(*answer)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	return sendmsg(door, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Who does not take its answers is not owed any. */
static void answer(struct door *door, const struct connector_request *request) {
	int fd = request->index < door->count ? connect_place(door->process, &door->places[request->index])
					      : -EINVAL;
	const struct connector_answer reply = {.number = request->number, .error = fd < 0 ? fd : 0};
	int ret = send_answer(door->source.fd, &reply, fd);
	fd_close(&fd);
	if (ret < 0) {
		close_door(door);
	}
}

static void knock(struct loop_source *source, uint32_t events) {
	(void)events;
	struct door *door = (struct door *)(void *)((char *)source - offsetof(struct door, source));
	struct connector_request request;
	ssize_t n = recv(source->fd, &request, sizeof(request), MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(request)) {
		answer(door, &request);
	} else if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
		close_door(door);
	}
}

/* ---- the process ---- */

/* Where the socket really is: its folder is what will be seen of the host. One that is not there yet, or not
 * any more, may come. */
static int find_place(struct place *place, const struct connector_socket *socket) {
	char folder[PATH_MAX];
	place->sandboxed = socket->sandboxed;
	if (realpath(socket->path, place->path) == NULL) {
		snprintf(folder, sizeof(folder), "%s", socket->path);
		char *slash = strrchr(folder, '/');
		if (slash == NULL) {
			return -EINVAL;
		}
		*slash = '\0';
		if (realpath(folder[0] != '\0' ? folder : "/", place->folder) == NULL) {
			snprintf(place->folder, sizeof(place->folder), "/");
		}
		snprintf(place->path, sizeof(place->path), "%s", socket->path);
		return 0;
	}
	size_t length = (size_t)(strrchr(place->path, '/') - place->path);
	snprintf(place->folder, sizeof(place->folder), "%.*s", length > 0 ? (int)length : 1, place->path);
	return 0;
}

static int fill_doors(struct process *process, const struct connector_door *doors, unsigned count) {
	int ret = 0;
	for (unsigned i = 0; i < count; i++) {
		struct door *door = &process->doors[i];
		door->process = process;
		door->source.ready = knock;
		for (; door->count < doors[i].count && ret == 0; door->count++) {
			ret = find_place(&door->places[door->count], &doors[i].sockets[door->count]);
		}
	}
	process->door_count = process->open_doors = count;
	return ret;
}

static uint64_t network_namespace(void) {
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0) {
		cookie = 0; /* before Linux 5.14 */
	}
	fd_close(&fd);
	return cookie;
}

static int confine(struct process *process, enum jail_mode mode) {
	const char *folders[FOLDERS_MAX];
	struct jail_reach reach = {.folders = folders};
	for (unsigned i = 0; i < process->door_count; i++) {
		for (unsigned k = 0; k < process->doors[i].count; k++) {
			folders[reach.folder_count++] = process->doors[i].places[k].folder;
		}
	}
	uint64_t before = network_namespace();
	int ret = jail_enter(JAIL_CONNECTOR, mode, "connector", &reach);
	process->names.wanted = before != 0 && network_namespace() != before;
	return ret;
}

static int run(struct process *process, const int *ends, enum jail_mode mode, pid_t parent) {
	int ret = worker_leave_monitor("connector", parent, ends, process->door_count);
	for (unsigned i = 0; i < process->door_count; i++) {
		process->doors[i].source.fd = ends[i];
	}
	if (ret == 0) {
		ret = confine(process, mode);
	}
	if (ret == 0) {
		ret = loop_init(&process->loop);
	}
	for (unsigned i = 0; i < process->door_count && ret == 0; i++) {
		ret = loop_add(&process->loop, &process->doors[i].source, EPOLLIN);
	}
	if (ret == 0) {
		ret = jail_filter(JAIL_CONNECTOR, mode, "connector");
	}
	return ret < 0 ? ret : loop_run(&process->loop);
}

static int serve(const struct connector_door *doors, unsigned count, const int *ends, const char *tag,
	enum jail_mode mode, pid_t parent) {
	static struct process process; /* large, and the child has one thread */
	process.names.patience_ms = PATIENCE_MS;
	snprintf(process.names.app_id, sizeof(process.names.app_id), "ph.%s", tag);
	snprintf(process.names.instance_id, sizeof(process.names.instance_id), "%s.%d", tag, parent);
	int ret = fill_doors(&process, doors, count);
	if (ret == 0) {
		ret = run(&process, ends, mode, parent);
	}
	if (ret < 0) {
		log_error("connector: %s", strerror(-ret));
	}
	return ret;
}

/* ---- the monitor's end ---- */

static void close_ends(int *ends, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		fd_close(&ends[i]);
	}
}

static int open_doors(struct connector_door *doors, int *ends, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
			int ret = -errno;
			close_ends(ends, i);
			while (i-- > 0) {
				fd_close(&doors[i].fd);
			}
			return ret;
		}
		doors[i].fd = pair[0];
		ends[i] = pair[1];
	}
	return 0;
}

int connector_start(struct connector *connector, struct connector_door *doors, unsigned count,
	const char *tag, enum jail_mode mode) {
	int ends[CONNECTOR_DOORS_MAX];
	pid_t parent = getpid();
	int ret = open_doors(doors, ends, count);
	if (ret < 0) {
		return ret;
	}
	pid_t pid = fork();
	if (pid == 0) {
		_exit(serve(doors, count, ends, tag, mode, parent) < 0 ? 1 : 0);
	}
	ret = pid < 0 ? -errno : 0;
	close_ends(ends, count);
	if (ret < 0) {
		return ret;
	}
	*connector = (struct connector){.pid = pid};
	connector->pid_fd = child_watch(pid);
	return connector->pid_fd < 0 ? connector->pid_fd : 0;
}

void connector_stop(struct connector *connector) {
	child_reap(&connector->pid, &connector->pid_fd, CHILD_GRACE_MS);
}
