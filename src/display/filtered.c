/*
 * Between the device and the filter: bytes of the guest's commands go in, whole messages that passed go out,
 * and the other way round. Runs on the display's loop. Commands may hold any part of a message, or thousands
 * of them.
 */
#include "display/filtered.h"

#include "display/device.h"
#include "display/rest.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE 65536u /* bytes of a command that are copied at a time */
#define PIECES_MAX 4 /* of one command, before others get their turn: it may be of any length */

int wl_filtered_open(struct wl_vfd *vfd) {
	vfd->filter = filter_create(&vfd->device->screen);
	return vfd->filter != NULL ? 0 : -ENOMEM;
}

enum filter_fd wl_filtered_kind(const struct wl_vfd *vfd) {
	switch (vfd->kind) {
	case WL_MEMORY:
		return FILTER_FD_MEMORY;
	case WL_DMABUF:
		return vfd->page_bytes > 0 ? FILTER_FD_PAGES : FILTER_FD_DMABUF;
	case WL_PIPE:
		return vfd->readable ? FILTER_FD_PIPE : FILTER_FD_OTHER;
	default:
		return FILTER_FD_OTHER;
	}
}

/* One line tells which rule it was; the connection is over. */
static int refuse(struct wl_vfd *vfd) {
	struct wl_device *device = vfd->device;
	log_guest(&device->broken_rules, "%s: a program has lost its connection to the compositor: %s",
		device->screen.tag, vfd->filter->rule);
	wl_vfd_break(vfd);
	return -EPROTO;
}

/* ---- from the guest ---- */

/* Copies, as many as there are: all of them, or none. */
static bool copy_fds(const struct wl_feed *feed, int copies[VIRTIO_WL_FDS_MAX]) {
	for (unsigned i = 0; i < feed->fd_count; i++) {
		copies[i] = fcntl(feed->fds[i], F_DUPFD_CLOEXEC, 0);
		if (copies[i] < 0) {
			while (i > 0) {
				close(copies[--i]);
			}
			return false;
		}
	}
	return true;
}

static int add_fds(struct wl_vfd *vfd, struct wl_feed *feed) {
	struct filter *filter = vfd->filter;
	int copies[VIRTIO_WL_FDS_MAX];
	if (feed->fd_count > WIRE_FDS_MAX - filter->from_guest.fd_count || !copy_fds(feed, copies)) {
		return -ENOMEM;
	}
	bool passes = true;
	for (unsigned i = 0; i < feed->fd_count; i++) {
		if (passes) {
			passes = filter_add_fd(filter, copies[i], feed->kinds[i]);
		} else {
			close(copies[i]);
		}
	}
	feed->fd_count = 0;
	return passes ? 0 : refuse(vfd);
}

/* A compositor that has hung up may have said why: reading finds that, and then the end. Until then what is
 * for it goes nowhere. */
static int write_passed(struct wl_vfd *vfd) {
	int ret = wl_output_write(vfd, &vfd->filter->to_host);
	return ret == -EPIPE || ret == -ECONNRESET ? 0 : ret;
}

/* Until all of it went through the filter, or it has to rest. What passed is the output's. */
static int filter_all(struct wl_vfd *vfd) {
	struct filter *filter = vfd->filter;
	int ret = 0;
	do {
		bool passes = filter_guest(filter);
		if (wire_queue_size(&filter->to_host) > 0) {
			ret = write_passed(vfd);
		}
		if (!passes) {
			return refuse(vfd);
		}
	} while (ret == 0 && filter_guest_waits(filter));
	if (ret < 0) {
		wl_vfd_break(vfd);
	} else if (filter->rests) {
		wl_rest_begin(vfd);
	}
	return ret;
}

int wl_filtered_feed(struct wl_vfd *vfd, struct wl_feed *feed) {
	struct filter *filter = vfd->filter;
	int ret = add_fds(vfd, feed);
	for (unsigned i = 0;
		i < PIECES_MAX && ret == 0 && feed->left > 0 && !vfd->resting && wl_output_has_room(vfd);
		i++) {
		size_t size = feed->left < PIECE ? (size_t)feed->left : PIECE;
		uint8_t *at = wire_queue_reserve(&filter->from_guest, size);
		if (at == NULL) {
			wl_vfd_break(vfd); /* with half of it gone already */
			return -EPROTO;
		}
		wire_queue_commit(
			&filter->from_guest, virtqueue_chain_read(feed->chain, feed->offset, at, size));
		feed->offset += size;
		feed->left -= size;
		ret = filter_all(vfd);
	}
	if (ret == 0 && wl_filtered_waits(vfd)) {
		wl_vfd_continue(vfd); /* the filter has answered itself */
		ret = vfd->broken ? -EPROTO : 0;
	}
	return ret;
}

void wl_filtered_resume(struct wl_vfd *vfd) {
	if (filter_all(vfd) == 0) {
		wl_vfd_continue(vfd);
		wl_vfd_update(vfd);
	}
}

/* ---- from the compositor ---- */

void wl_filtered_receive(struct wl_vfd *vfd, size_t size, int *fds, unsigned fd_count) {
	struct filter *filter = vfd->filter;
	wire_queue_commit(&filter->from_host, size);
	for (unsigned i = 0; i < fd_count; i++) {
		if (wire_queue_push_fd(&filter->from_host, fds[i], 0) < 0) {
			close(fds[i]);
		}
		fds[i] = -1;
	}
	if (!filter_host(filter)) {
		refuse(vfd);
	} else {
		wl_vfd_continue(vfd);
	}
}

bool wl_filtered_waits(const struct wl_vfd *vfd) {
	const struct filter *filter = vfd->filter;
	return filter != NULL && (wire_queue_size(&filter->to_guest) > 0 ||
					 (filter->rule[0] == '\0' && filter_host_waits(filter)));
}

bool wl_filtered_refill(struct wl_vfd *vfd) {
	struct filter *filter = vfd->filter;
	if (filter->rule[0] == '\0' && !filter_host(filter)) {
		refuse(vfd);
		return false;
	}
	return wire_queue_size(&filter->to_guest) > 0;
}
