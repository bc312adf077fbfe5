/*
 * The table of vfds, and when their descriptors are watched. Runs on the display's loop. Ids are the guest's;
 * one that it may not know yet is as good as none.
 *
 * Only one message for the guest is made at a time (inbox.h): who has something while it waits is paused, so
 * that a guest without buffers costs neither memory nor a busy loop.
 */
#include "display/vfd.h"

#include "display/device.h"
#include "display/filtered.h"
#include "display/receive.h"
#include "display/rest.h"

#include "ph/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define HOST_ID_COUNT 0x40000000u

/* ---- the table ---- */

static struct wl_vfd **bucket(struct wl_device *device, uint32_t id) {
	return &device->buckets[id % WL_BUCKETS];
}

static struct wl_vfd *find(struct wl_device *device, uint32_t id) {
	struct wl_vfd *vfd = *bucket(device, id);
	while (vfd != NULL && vfd->id != id) {
		vfd = vfd->next;
	}
	return vfd;
}

struct wl_vfd *wl_vfd_find(struct wl_device *device, uint32_t id) {
	struct wl_vfd *vfd = find(device, id);
	return vfd != NULL && vfd->announced ? vfd : NULL;
}

struct wl_vfd *wl_vfd_introduce(struct wl_device *device, uint32_t id) {
	struct wl_vfd *vfd = find(device, id);
	assert(vfd != NULL);
	vfd->announced = true;
	return vfd;
}

static void insert(struct wl_vfd **list, struct wl_vfd *vfd) {
	vfd->next = *list;
	*list = vfd;
}

static void unlink_from(struct wl_vfd **list, struct wl_vfd *vfd) {
	while (*list != vfd) {
		list = &(*list)->next;
	}
	*list = vfd->next;
}

static uint32_t next_host_id(struct wl_device *device) {
	uint32_t id;
	do {
		id = VIRTIO_WL_FIRST_HOST_ID | device->next_host_id++ % HOST_ID_COUNT;
	} while (find(device, id) != NULL);
	return id;
}

static const unsigned kind_quota[WL_KINDS] = {
	[WL_CONTEXT] = WL_CONTEXTS_MAX,
	[WL_PIPE] = WL_PIPES_MAX,
	[WL_MEMORY] = WL_VFDS_MAX,
	[WL_DMABUF] = WL_VFDS_MAX,
	[WL_FENCE] = WL_VFDS_MAX,
	[WL_OPAQUE] = WL_VFDS_MAX,
};

struct wl_vfd *wl_vfd_create(struct wl_device *device, uint32_t id, enum wl_kind kind, uint32_t *response) {
	bool from_guest = id != 0;
	if (from_guest && (id >= VIRTIO_WL_FIRST_HOST_ID || find(device, id) != NULL)) {
		*response = VIRTIO_WL_RESP_INVALID_ID;
		return NULL;
	}
	*response = VIRTIO_WL_RESP_OUT_OF_MEMORY;
	if (device->vfd_count == WL_VFDS_MAX || device->kind_count[kind] == kind_quota[kind]) {
		return NULL;
	}
	struct wl_vfd *vfd = calloc(1, sizeof(*vfd));
	if (vfd == NULL) {
		return NULL;
	}
	vfd->device = device;
	vfd->id = from_guest ? id : next_host_id(device);
	vfd->announced = from_guest;
	vfd->kind = kind;
	vfd->fd = vfd->remote_fd = -1;
	vfd->credit = VIRTIO_WL_RECV_CREDIT;
	insert(bucket(device, vfd->id), vfd);
	device->vfd_count++;
	device->kind_count[kind]++;
	return vfd;
}

void wl_vfd_set_kind(struct wl_vfd *vfd, enum wl_kind kind) {
	vfd->device->kind_count[vfd->kind]--;
	vfd->device->kind_count[kind]++;
	vfd->kind = kind;
}

static void unpause(struct wl_vfd *vfd) {
	if (!vfd->paused) {
		return;
	}
	struct wl_vfd **at = &vfd->device->paused;
	while (*at != vfd) {
		at = &(*at)->next_paused;
	}
	*at = vfd->next_paused;
	vfd->paused = false;
}

void wl_vfd_destroy(struct wl_vfd *vfd) {
	struct wl_device *device = vfd->device;
	wl_output_drop(vfd, WL_HELD);
	unpause(vfd);
	wl_rest_end(vfd);
	loop_remove(device->base.loop, &vfd->source);
	unlink_from(vfd->lingering ? &device->lingering : bucket(device, vfd->id), vfd);
	if (vfd->mapped) {
		wl_window_unmap(&device->window, vfd->offset, vfd->mapped_size);
	}
	filter_destroy(vfd->filter);
	fd_close(&vfd->remote_fd);
	fd_close(&vfd->fd);
	device->vfd_count--;
	device->page_bytes -= vfd->page_bytes;
	device->kind_count[vfd->kind]--;
	free(vfd);
}

void wl_vfd_close(struct wl_vfd *vfd) {
	struct wl_device *device = vfd->device;
	unpause(vfd); /* before the inbox is free for what it had to say */
	wl_rest_end(vfd);
	wl_inbox_drop(device, vfd->id);
	wl_output_drop_held(vfd, VIRTIO_WL_RESP_INVALID_ID);
	/* What goes into a pipe whose other end was never sent is for nobody. */
	if (vfd->output.first == NULL || vfd->remote_fd >= 0) {
		wl_vfd_destroy(vfd);
		return;
	}
	unlink_from(bucket(device, vfd->id), vfd);
	vfd->lingering = true;
	insert(&device->lingering, vfd);
	wl_vfd_update(vfd);
}

void wl_vfds_destroy_all(struct wl_device *device) {
	for (unsigned i = 0; i < WL_BUCKETS; i++) {
		while (device->buckets[i] != NULL) {
			wl_vfd_destroy(device->buckets[i]);
		}
	}
	while (device->lingering != NULL) {
		wl_vfd_destroy(device->lingering);
	}
}

/* ---- watching ---- */

/* Who only writes still has to hear of the end. */
bool wl_vfd_listens(const struct wl_vfd *vfd) {
	return !vfd->paused && !vfd->hung_up && !vfd->lingering && (!vfd->readable || vfd->credit > 0);
}

static uint32_t wanted_events(const struct wl_vfd *vfd) {
	uint32_t events = wl_output_is_ready(vfd) ? EPOLLOUT : 0;
	if (wl_vfd_listens(vfd) && (vfd->readable || vfd->kind == WL_FENCE)) {
		events |= EPOLLIN;
	}
	return events;
}

int wl_vfd_watch(struct wl_vfd *vfd) {
	vfd->source = (struct loop_source){.fd = vfd->fd, .ready = wl_vfd_ready};
	vfd->events = wanted_events(vfd);
	return loop_add(vfd->device->base.loop, &vfd->source, vfd->events);
}

/* What is on its way in it, unread, is dropped: descriptors there count as the user's, and the guest may
 * never close it. */
static bool let_go(struct wl_vfd *vfd) {
	bool is_stream = vfd->kind == WL_CONTEXT || vfd->kind == WL_PIPE;
	if (!is_stream || !(vfd->hung_up || vfd->broken) || vfd->output.first != NULL) {
		return false;
	}
	wl_rest_end(vfd);
	loop_remove(vfd->device->base.loop, &vfd->source);
	fd_close(&vfd->fd);
	vfd->source.fd = -1;
	if (vfd->filter != NULL) {
		filter_end_guest(vfd->filter);
	}
	return true;
}

/* The end of a stream is reported whatever one asks for: who does not want to hear it must not watch. */
void wl_vfd_update(struct wl_vfd *vfd) {
	struct loop *loop = vfd->device->base.loop;
	if (let_go(vfd)) {
		return;
	}
	uint32_t events = wanted_events(vfd);
	if (!wl_vfd_listens(vfd) && events == 0) {
		loop_remove(loop, &vfd->source);
		return;
	}
	if (!vfd->source.added) {
		loop_add(loop, &vfd->source, events);
	} else if (events != vfd->events) {
		loop_modify(loop, &vfd->source, events);
	}
	vfd->events = events;
}

void wl_vfd_pause(struct wl_vfd *vfd) {
	if (vfd->paused) {
		return;
	}
	struct wl_vfd **at = &vfd->device->paused;
	while (*at != NULL) {
		at = &(*at)->next_paused;
	}
	*at = vfd;
	vfd->next_paused = NULL;
	vfd->paused = true;
	wl_vfd_update(vfd);
}

void wl_vfds_resume(struct wl_device *device) {
	while (device->paused != NULL && !device->inbox.taken) {
		struct wl_vfd *vfd = device->paused;
		unpause(vfd);
		wl_vfd_continue(vfd);
	}
}

void wl_vfd_break(struct wl_vfd *vfd) {
	wl_rest_end(vfd);
	wl_output_drop(vfd, VIRTIO_WL_RESP_ERR);
	if (vfd->hung_up || vfd->broken || vfd->lingering) {
		return;
	}
	vfd->broken = true;
	if (vfd->is_socket) {
		shutdown(vfd->fd, SHUT_RDWR);
	}
	wl_vfd_update(vfd);
	wl_vfd_continue(vfd);
}

/* What passed the filter goes first; then the end of what is broken. */
void wl_vfd_continue(struct wl_vfd *vfd) {
	const struct wl_inbox *inbox = &vfd->device->inbox;
	if (vfd->hung_up || vfd->lingering) {
		return;
	}
	while (vfd->credit > 0 && !inbox->taken && wl_filtered_waits(vfd)) {
		wl_vfd_deliver(vfd);
	}
	if (vfd->hung_up) {
		return; /* what was on its way broke a rule */
	}
	bool waits = vfd->broken || (vfd->credit > 0 && wl_filtered_waits(vfd));
	if (waits && inbox->taken) {
		wl_vfd_pause(vfd);
	} else if (vfd->broken) {
		wl_vfd_hang_up(vfd);
	} else {
		wl_vfd_update(vfd);
	}
}

/* ---- for the guest ---- */

static uint32_t memory_flags(const struct wl_vfd *vfd) {
	const struct wl_device *device = vfd->device;
	uint32_t flags = 0;
	if (vfd->mapped && !wl_has_feature(device, VIRTIO_WL_F_TRANS_FLAGS)) {
		flags |= VIRTIO_WL_VFD_MAP | (vfd->read_only ? 0 : VIRTIO_WL_VFD_WRITE);
	}
	if (wl_has_feature(device, VIRTIO_WL_F_MAP_INFO)) {
		flags |= vfd->mapped && vfd->read_only ? VIRTIO_WL_VFD_MAP_READ_ONLY : 0;
		flags |= vfd->kind == WL_DMABUF ? VIRTIO_WL_VFD_DMABUF : 0;
	}
	return flags;
}

static uint32_t flags_of(const struct wl_vfd *vfd) {
	bool trans_flags = wl_has_feature(vfd->device, VIRTIO_WL_F_TRANS_FLAGS);
	switch (vfd->kind) {
	case WL_CONTEXT:
		return trans_flags ? VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE : VIRTIO_WL_VFD_CONTROL;
	case WL_PIPE:
		return (vfd->writable ? VIRTIO_WL_VFD_WRITE : 0) |
		       (vfd->readable && trans_flags ? VIRTIO_WL_VFD_READ : 0);
	case WL_MEMORY:
	case WL_DMABUF:
		return memory_flags(vfd);
	case WL_FENCE:
		return VIRTIO_WL_VFD_FENCE;
	default:
		break;
	}
	return 0;
}

static uint64_t pfn_of(const struct wl_vfd *vfd) {
	const struct wl_window *window = &vfd->device->window;
	if (wl_has_feature(vfd->device, VIRTIO_WL_F_USE_SHMEM)) {
		return (vfd->mapped ? vfd->offset : window->size) / WINDOW_PAGE;
	}
	return vfd->mapped ? (window->address + vfd->offset) / WINDOW_PAGE : 0;
}

struct virtio_wl_vfd_new wl_vfd_describe(const struct wl_vfd *vfd, uint32_t type) {
	return (struct virtio_wl_vfd_new){
		.header.type = type,
		.vfd_id = vfd->id,
		.flags = flags_of(vfd),
		.pfn = pfn_of(vfd),
		.size = (uint32_t)vfd->size,
	};
}

int wl_vfd_sendable(const struct wl_vfd *vfd) {
	if (vfd->kind == WL_CONTEXT) {
		return -1;
	}
	return vfd->kind == WL_PIPE ? vfd->remote_fd : vfd->fd;
}
