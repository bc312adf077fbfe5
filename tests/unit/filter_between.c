/* See filter_between.h. */
#include "filter_between.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define PIECE 4096

struct pair {
	int guest, host;
	struct filter *filter;
};

static struct sockaddr_un address_of(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

int between_listen(const char *path) {
	const struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 16) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int between_connect(const char *path) {
	const struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What display would know of a descriptor by itself. */
static enum filter_fd kind_of(int fd) {
	struct stat status;
	if (fstat(fd, &status) < 0) {
		return FILTER_FD_OTHER;
	}
	if (S_ISFIFO(status.st_mode)) {
		return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? FILTER_FD_PIPE : FILTER_FD_OTHER;
	}
	return S_ISREG(status.st_mode) ? FILTER_FD_MEMORY : FILTER_FD_OTHER;
}

/* False at the end. */
static bool read_into(int fd, struct wire_queue *queue) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FILTER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = wire_queue_reserve(queue, PIECE), .iov_len = PIECE};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		return false;
	}
	wire_queue_commit(queue, (size_t)n);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	for (size_t i = 0; header != NULL && i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		int received;
		memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
		assert(wire_queue_push_fd(queue, received, (uint8_t)kind_of(received)) == 0);
	}
	return true;
}

static bool write_from(int fd, struct wire_queue *queue) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FILTER_FDS_MAX * sizeof(int))];
	} control = {0};
	while (wire_queue_size(queue) > 0) {
		struct iovec iov = {
			.iov_base = (void *)wire_queue_data(queue), .iov_len = wire_queue_size(queue)};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		if (queue->fd_count > 0) {
			message.msg_control = &control;
			message.msg_controllen = CMSG_SPACE(queue->fd_count * sizeof(int));
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(queue->fd_count * sizeof(int));
			memcpy(CMSG_DATA(&control.header), queue->fds, queue->fd_count * sizeof(int));
		}
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n <= 0) {
			return false;
		}
		while (queue->fd_count > 0) {
			close(wire_queue_pop_fd(queue, NULL));
		}
		wire_queue_consume(queue, (size_t)n);
	}
	return true;
}

static bool pump(struct pair *pair, bool from_guest) {
	struct filter *filter = pair->filter;
	bool reads = !from_guest || !filter->rests;
	if (reads && !(from_guest ? read_into(pair->guest, &filter->from_guest)
				  : read_into(pair->host, &filter->from_host))) {
		return false;
	}
	bool passes, waits;
	do {
		passes = from_guest ? filter_guest(filter) : filter_host(filter);
		if (!write_from(pair->host, &filter->to_host) ||
			!write_from(pair->guest, &filter->to_guest)) {
			return false;
		}
		waits = from_guest ? filter_guest_waits(filter) : filter_host_waits(filter);
	} while (passes && waits);
	if (!passes) {
		fprintf(stderr, "%s\n", filter->rule);
	}
	return passes;
}

static void drop(struct pair *pair) {
	filter_destroy(pair->filter);
	close(pair->guest);
	close(pair->host);
	*pair = (struct pair){.guest = -1, .host = -1};
}

static void take_on(struct pair *pairs, int listener, const char *compositor, struct filter_vm *vm) {
	int guest = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	for (unsigned i = 0; i < CONNECTIONS_MAX && guest >= 0; i++) {
		if (pairs[i].filter == NULL) {
			pairs[i] = (struct pair){guest, between_connect(compositor), filter_create(vm)};
			if (pairs[i].host < 0) {
				drop(&pairs[i]);
			}
			return;
		}
	}
	close(guest);
}

void filter_between(int listener, const char *compositor, const char *tag, enum display_clipboard clipboard) {
	struct pair pairs[CONNECTIONS_MAX];
	struct filter_vm vm;
	assert(filter_vm_init(&vm, tag, clipboard, NULL) == 0);
	memset(pairs, 0, sizeof(pairs));
	for (;;) {
		struct pollfd fds[1 + 2 * CONNECTIONS_MAX] = {{.fd = listener, .events = POLLIN}};
		int wait = -1;
		for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
			bool used = pairs[i].filter != NULL;
			bool rests = used && pairs[i].filter->rests;
			wait = rests ? 20 : wait;
			fds[1 + 2 * i] =
				(struct pollfd){.fd = used && !rests ? pairs[i].guest : -1, .events = POLLIN};
			fds[2 + 2 * i] = (struct pollfd){.fd = used ? pairs[i].host : -1, .events = POLLIN};
		}
		if (poll(fds, 1 + 2 * CONNECTIONS_MAX, wait) < 0) {
			break;
		}
		for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
			bool speaks = fds[1 + 2 * i].revents != 0 ||
				      (pairs[i].filter != NULL && pairs[i].filter->rests);
			bool dead = (speaks && !pump(&pairs[i], true)) ||
				    (fds[2 + 2 * i].revents != 0 && !pump(&pairs[i], false));
			if (dead) {
				drop(&pairs[i]);
			}
		}
		if (fds[0].revents != 0) {
			take_on(pairs, listener, compositor, &vm);
		}
	}
	filter_vm_finish(&vm);
}
