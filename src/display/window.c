/*
 * Where in the window what memory goes. Runs on the display's loop, which waits for the monitor's answers.
 * Sizes are the guest's. Places are given out best-fit and free ones merged with their neighbours, so that
 * when everything is closed the window is as it was.
 */
#include "display/window.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void wl_window_init(struct wl_window *window, int fd, uint64_t address, uint64_t size) {
	*window = (struct wl_window){.fd = fd, .address = address, .size = size};
	window->free[0] = (struct wl_extent){.offset = 0, .size = size};
	window->free_count = size > 0;
}

/* ---- room ---- */

static void remove_extent(struct wl_window *window, unsigned i) {
	window->free_count--;
	memmove(&window->free[i], &window->free[i + 1], (window->free_count - i) * sizeof(window->free[0]));
}

static int take_room(struct wl_window *window, uint64_t size, uint64_t *offset) {
	struct wl_extent *best = NULL;
	for (unsigned i = 0; i < window->free_count; i++) {
		struct wl_extent *extent = &window->free[i];
		if (extent->size >= size && (best == NULL || extent->size < best->size)) {
			best = extent;
		}
	}
	if (best == NULL) {
		return -ENOSPC;
	}
	*offset = best->offset;
	best->offset += size;
	best->size -= size;
	if (best->size == 0) {
		remove_extent(window, (unsigned)(best - window->free));
	}
	return 0;
}

static void give_room(struct wl_window *window, uint64_t offset, uint64_t size) {
	unsigned i = 0;
	while (i < window->free_count && window->free[i].offset < offset) {
		i++;
	}
	memmove(&window->free[i + 1], &window->free[i], (window->free_count - i) * sizeof(window->free[0]));
	window->free[i] = (struct wl_extent){.offset = offset, .size = size};
	window->free_count++;
	if (i + 1 < window->free_count && offset + size == window->free[i + 1].offset) {
		window->free[i].size += window->free[i + 1].size;
		remove_extent(window, i + 1);
	}
	if (i > 0 && window->free[i - 1].offset + window->free[i - 1].size == offset) {
		window->free[i - 1].size += window->free[i].size;
		remove_extent(window, i);
	}
}

/* ---- calls ---- */

static int send_call(int socket, struct window_request *request, int fd) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = request, .iov_len = sizeof(*request)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	ssize_t n;
	do {
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int call(int socket, struct window_request *request, int fd) {
	struct window_reply reply;
	int ret = send_call(socket, request, fd);
	if (ret < 0) {
		return ret;
	}
	ssize_t n;
	do {
		n = recv(socket, &reply, sizeof(reply), 0);
	} while (n < 0 && errno == EINTR);
	return n == sizeof(reply) ? reply.result : -EPIPE;
}

int wl_window_map(struct wl_window *window, int fd, uint64_t size, uint32_t flags, uint64_t *offset) {
	int ret = take_room(window, size, offset);
	if (ret < 0) {
		return ret;
	}
	struct window_request request = {
		.operation = WINDOW_MAP, .flags = flags, .offset = *offset, .size = size};
	ret = call(window->fd, &request, fd);
	if (ret < 0) {
		give_room(window, *offset, size);
	}
	return ret;
}

void wl_window_unmap(struct wl_window *window, uint64_t offset, uint64_t size) {
	struct window_request request = {.operation = WINDOW_UNMAP, .offset = offset, .size = size};
	call(window->fd, &request, -1);
	give_room(window, offset, size);
}
