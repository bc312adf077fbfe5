/*
 * Messages to the guest. Runs on the display's loop. The buffers are the guest's: any segmentation, and
 * they may not come at all; nothing is read from them.
 *
 * A message with vfds takes a buffer for each of them and goes out as a whole or not at all, so that the
 * guest never knows a vfd without the message that carries it.
 */
#include "display/inbox.h"

#include "display/device.h"

#include <string.h>

/* ---- buffers ---- */

static bool take_buffer(struct wl_device *device, const struct virtqueue_chain *chain) {
	struct wl_inbox *inbox = &device->inbox;
	struct wl_buffer *buffer = &inbox->buffers[inbox->count];
	unsigned count = virtqueue_chain_slice(
		chain, true, 0, VIRTIO_WL_IN_BUFFER_SIZE, buffer->iov, WL_BUFFER_SEGMENTS);
	if (count == 0) {
		virtio_device_break(
			&device->base, "a receive buffer is smaller than a page or in too many pieces");
		return false;
	}
	buffer->head = chain->head;
	buffer->count = (uint8_t)count;
	inbox->count++;
	return true;
}

/* Take buffers from the ring until there are as many as needed. The guest's notifications are wanted only
 * while there are not: else each buffer it gives back would cost it an exit. */
static bool have_buffers(struct wl_device *device, unsigned needed) {
	struct virtqueue *queue = wl_in_queue(device);
	struct virtqueue_chain chain;
	while (device->inbox.count < needed) {
		int ret = virtqueue_pop(queue, &chain);
		if (ret < 0 && queue->rule != NULL) {
			virtio_device_break(&device->base, queue->rule);
		}
		if (ret < 0 || (ret == 0 && !virtqueue_enable_notify(queue)) ||
			(ret > 0 && !take_buffer(device, &chain))) {
			return false;
		}
	}
	virtqueue_disable_notify(queue);
	return true;
}

static size_t put(const struct wl_buffer *buffer, size_t offset, const void *data, size_t len) {
	const uint8_t *bytes = data;
	size_t start = 0;
	for (unsigned i = 0; i < buffer->count && len > 0; i++) {
		size_t size = buffer->iov[i].iov_len, inside = offset - start;
		if (inside < size) {
			size_t n = len < size - inside ? len : size - inside;
			memcpy((uint8_t *)buffer->iov[i].iov_base + inside, bytes, n);
			bytes += n;
			offset += n;
			len -= n;
		}
		start += size;
	}
	return offset;
}

/* The oldest buffer goes back with what was put into it. */
static void push(struct wl_device *device, unsigned index, size_t len) {
	virtqueue_push(wl_in_queue(device), device->inbox.buffers[index].head, (uint32_t)len);
}

/* ---- messages ---- */

static void write_news(struct wl_device *device, unsigned index, uint32_t id) {
	struct wl_vfd *vfd = wl_vfd_introduce(device, id);
	const struct virtio_wl_vfd_new news = wl_vfd_describe(vfd, VIRTIO_WL_CMD_VFD_NEW);
	push(device, index, put(&device->inbox.buffers[index], 0, &news, sizeof(news)));
}

static void write_message(struct wl_device *device, unsigned index) {
	const struct wl_inbox *inbox = &device->inbox;
	const struct wl_buffer *buffer = &inbox->buffers[index];
	if (inbox->type == VIRTIO_WL_CMD_VFD_HUP) {
		const struct virtio_wl_vfd hup = {.header.type = inbox->type, .vfd_id = inbox->vfd_id};
		push(device, index, put(buffer, 0, &hup, sizeof(hup)));
		return;
	}
	const struct virtio_wl_transfer head = {
		.header.type = inbox->type, .vfd_id = inbox->vfd_id, .vfd_count = inbox->id_count};
	size_t end = put(buffer, 0, &head, sizeof(head));
	end = put(buffer, end, inbox->ids, inbox->id_count * sizeof(inbox->ids[0]));
	push(device, index, put(buffer, end, inbox->data, inbox->len));
}

bool wl_inbox_deliver(struct wl_device *device) {
	struct wl_inbox *inbox = &device->inbox;
	if (!inbox->taken) {
		return true;
	}
	unsigned needed = inbox->id_count + 1;
	if (!have_buffers(device, needed)) {
		return false;
	}
	for (unsigned i = 0; i < inbox->id_count; i++) {
		write_news(device, i, inbox->ids[i]);
	}
	write_message(device, inbox->id_count);
	inbox->taken = false;
	inbox->count -= needed;
	memmove(inbox->buffers, inbox->buffers + needed, inbox->count * sizeof(inbox->buffers[0]));
	virtqueue_signal(wl_in_queue(device));
	return true;
}

void wl_inbox_drop(struct wl_device *device, uint32_t vfd_id) {
	struct wl_inbox *inbox = &device->inbox;
	if (!inbox->taken || inbox->vfd_id != vfd_id) {
		return;
	}
	inbox->taken = false;
	for (unsigned i = 0; i < inbox->id_count; i++) {
		wl_vfd_destroy(wl_vfd_introduce(device, inbox->ids[i]));
	}
	wl_vfds_resume(device);
}

void wl_inbox_reset(struct wl_device *device) {
	device->inbox.taken = false;
	device->inbox.count = 0;
}
