/*
 * Reading from sockets and pipes of the host. Runs on the display's loop. What comes is passed on to the
 * guest as it is; descriptors that come along are strangers (foreign.c). The other end may send too many of
 * them, vanish, or never send anything.
 */
#include "display/receive.h"

#include "display/device.h"
#include "display/filtered.h"
#include "display/foreign.h"

#include "ph/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILTERED_PIECE 16384 /* bytes that are read at a time of what is filtered */

struct received {
	int fds[VIRTIO_WL_FDS_MAX];
	unsigned count;
	bool too_many;
};

/* ---- hanging up ---- */

void wl_vfd_hang_up(struct wl_vfd *vfd) {
	struct wl_inbox *inbox = &vfd->device->inbox;
	vfd->hung_up = true;
	inbox->taken = true;
	inbox->type = VIRTIO_WL_CMD_VFD_HUP;
	inbox->vfd_id = vfd->id;
	inbox->id_count = 0;
	inbox->len = 0;
	wl_inbox_deliver(vfd->device);
	wl_vfd_update(vfd);
}

/* ---- reading ---- */

static void collect(struct msghdr *message, struct received *received) {
	received->too_many = (message->msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		received->count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(received->fds, CMSG_DATA(c), received->count * sizeof(int));
	}
}

/* One message of a connection, or bytes of a pipe; -errno, 0 at the end. */
static ssize_t read_some(struct wl_vfd *vfd, void *data, size_t size, struct received *received) {
	if (!vfd->is_socket) {
		return read(vfd->fd, data, size);
	}
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(VIRTIO_WL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (vfd->kind == WL_CONTEXT) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	ssize_t n = recvmsg(vfd->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0 && vfd->kind == WL_CONTEXT) {
		collect(&message, received);
	}
	return n;
}

static void close_all(struct received *received) {
	for (unsigned i = 0; i < received->count; i++) {
		fd_close(&received->fds[i]);
	}
}

/* Make vfds of the descriptors: all of them, or none. */
static bool adopt(struct wl_device *device, struct received *received, struct wl_inbox *inbox) {
	inbox->id_count = 0;
	for (unsigned i = 0; i < received->count; i++) {
		struct wl_vfd *vfd = wl_foreign_create(device, received->fds[i]);
		if (vfd == NULL) {
			break;
		}
		received->fds[i] = -1;
		inbox->ids[inbox->id_count++] = vfd->id;
	}
	if (inbox->id_count == received->count) {
		return true;
	}
	while (inbox->id_count > 0) {
		wl_vfd_destroy(wl_vfd_introduce(device, inbox->ids[--inbox->id_count]));
	}
	close_all(received);
	return false;
}

static void take_inbox(struct wl_vfd *vfd, size_t len) {
	struct wl_device *device = vfd->device;
	struct wl_inbox *inbox = &device->inbox;
	inbox->taken = true;
	inbox->type = VIRTIO_WL_CMD_VFD_RECV;
	inbox->vfd_id = vfd->id;
	inbox->len = len;
	if (wl_has_feature(device, VIRTIO_WL_F_RECV_CREDIT) && --vfd->credit == 0) {
		wl_vfd_update(vfd);
	}
	wl_inbox_deliver(device);
}

static void refuse(struct wl_vfd *vfd, struct received *received) {
	struct wl_device *device = vfd->device;
	log_guest(&device->host_errors, "%s: a connection sent more descriptors than there is room for",
		device->base.name);
	close_all(received);
	wl_vfd_break(vfd);
}

void wl_vfd_deliver(struct wl_vfd *vfd) {
	struct wire_queue *queue = &vfd->filter->to_guest;
	struct wl_inbox *inbox = &vfd->device->inbox;
	struct received received = {0};
	if (wire_queue_size(queue) == 0 && !wl_filtered_refill(vfd)) {
		return;
	}
	while (queue->fd_count > 0) {
		received.fds[received.count++] = wire_queue_pop_fd(queue, NULL);
	}
	if (!adopt(vfd->device, &received, inbox)) {
		wire_queue_finish(queue);
		refuse(vfd, &received);
		return;
	}
	size_t size =
		wire_queue_size(queue) < sizeof(inbox->data) ? wire_queue_size(queue) : sizeof(inbox->data);
	memcpy(inbox->data, wire_queue_data(queue), size);
	wire_queue_consume(queue, size);
	take_inbox(vfd, size);
}

static void receive_filtered(struct wl_vfd *vfd) {
	struct received received = {0};
	uint8_t *data = wire_queue_reserve(&vfd->filter->from_host, FILTERED_PIECE);
	ssize_t n = data != NULL ? read_some(vfd, data, FILTERED_PIECE, &received) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0 || received.too_many) {
		close_all(&received);
		wl_vfd_hang_up(vfd);
		return;
	}
	wl_filtered_receive(vfd, (size_t)n, received.fds, received.count);
}

static void receive(struct wl_vfd *vfd) {
	struct wl_device *device = vfd->device;
	struct wl_inbox *inbox = &device->inbox;
	struct received received = {0};
	ssize_t n = read_some(vfd, inbox->data, sizeof(inbox->data), &received);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		close_all(&received);
		wl_vfd_hang_up(vfd);
		return;
	}
	if (received.too_many || !adopt(device, &received, inbox)) {
		refuse(vfd, &received);
		return;
	}
	take_inbox(vfd, (size_t)n);
}

void wl_vfd_ready(struct loop_source *source, uint32_t events) {
	struct wl_vfd *vfd = (struct wl_vfd *)(void *)((char *)source - offsetof(struct wl_vfd, source));
	struct wl_device *device = vfd->device;
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && vfd->output.first != NULL) {
		bool lingers = vfd->lingering;
		wl_output_flush(vfd);
		if (lingers) {
			return;
		}
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || !wl_vfd_listens(vfd)) {
		return;
	}
	if (device->inbox.taken) {
		wl_vfd_pause(vfd);
	} else if (vfd->filter != NULL) {
		receive_filtered(vfd);
	} else if (vfd->readable) {
		receive(vfd);
	} else {
		wl_vfd_hang_up(vfd);
	}
}
