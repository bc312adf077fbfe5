/* The way to the guest: its empty buffers, and the one message that waits for enough of them. */
#ifndef DISPLAY_INBOX_H
#define DISPLAY_INBOX_H

#include "ph/virtqueue.h"
#include "ph/wl_wire.h"

struct wl_device;

#define WL_BUFFER_SEGMENTS 4

struct wl_buffer {
	uint16_t head;
	uint8_t count;
	struct iovec iov[WL_BUFFER_SEGMENTS];
};

struct wl_inbox {
	struct wl_buffer buffers[VIRTQUEUE_SIZE_MAX]; /* popped, not yet used */
	unsigned count;
	/* the message */
	bool taken;
	uint32_t type; /* VFD_RECV or VFD_HUP */
	uint32_t vfd_id;
	uint32_t id_count;
	uint32_t ids[VIRTIO_WL_FDS_MAX]; /* of vfds that it brings and that the guest does not know yet */
	size_t len;
	uint8_t data[VIRTIO_WL_RECV_DATA_MAX];
};

/* Send the message, when there is one, with the vfds it brings; all or nothing. True: the inbox is free. */
bool wl_inbox_deliver(struct wl_device *device);
/* Forget the message if it is for this vfd, and destroy what it brings. */
void wl_inbox_drop(struct wl_device *device, uint32_t vfd_id);
void wl_inbox_reset(struct wl_device *device);

#endif
