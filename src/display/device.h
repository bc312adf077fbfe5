/* The virtio-wl device: what its parts share. */
#ifndef DISPLAY_DEVICE_H
#define DISPLAY_DEVICE_H

#include "display/filter.h"
#include "display/inbox.h"
#include "display/vfd.h"
#include "display/window.h"

#include "ph/display.h"
#include "ph/wl_wire.h"

/* Quotas. Whoever exceeds one is told RESP_OUT_OF_MEMORY; window bytes are bounded by the window. */
#define WL_VFDS_MAX 1024
#define WL_CONTEXTS_MAX 128
#define WL_PIPES_MAX 256
#define WL_BUFFERED_MAX (1u << 20)        /* bytes waiting for one receiver */
#define WL_BUFFERED_TOTAL_MAX (16u << 20) /* and for all of them */
#define WL_HELD_MAX 16                    /* commands waiting for one receiver */
#define WL_HELD_SPARED 8                  /* and for all: this part of the queue is left to others */

#define WL_BUCKETS 256

struct wl_device {
	struct virtio_device base;
	struct display_socket sockets[DISPLAY_SOCKETS_MAX];
	unsigned socket_count;
	int connector; /* or -1 */
	struct wl_window window;
	int card_fd, udmabuf_fd; /* or -1 */

	struct wl_vfd *buckets[WL_BUCKETS]; /* by id */
	struct wl_vfd *lingering;           /* closed by the guest, with bytes still to be written */
	struct wl_vfd *resting;             /* have requests that others are told of, and no allowance */
	struct loop_source rest_timer;
	struct wl_vfd *paused; /* have something for the guest, but the inbox is taken */
	unsigned vfd_count, kind_count[WL_KINDS];
	uint32_t next_host_id;
	unsigned held;       /* commands, by all vfds */
	size_t buffered;     /* bytes, by all vfds */
	uint64_t page_bytes; /* of guest RAM, in dma-bufs of all vfds */
	struct wl_inbox inbox;
	struct filter_vm screen;
	bool chords_sought;
	struct log_limit host_errors, broken_rules;
};

static inline struct virtqueue *wl_in_queue(struct wl_device *device) {
	return &device->base.queues[VIRTIO_WL_QUEUE_IN];
}

static inline struct virtqueue *wl_out_queue(struct wl_device *device) {
	return &device->base.queues[VIRTIO_WL_QUEUE_OUT];
}

static inline bool wl_has_feature(const struct wl_device *device, unsigned bit) {
	return (device->base.driver_features >> bit & 1) != 0;
}

/* Write the answer to a command that was held back, and return its chain. */
void wl_answer(struct wl_device *device, struct virtqueue_chain *chain, bool answer, uint32_t type);

#endif
