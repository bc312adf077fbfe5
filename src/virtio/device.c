/*
 * What all devices share: their eventfds and the page that the transport reads across processes, the
 * end of service after a broken rule, and the loop over a queue of requests. Runs where the device
 * does; virtio_device_break() on any thread that owns one of its queues. The chains are hostile.
 */
#include "ph/virtio.h"

#include "ph/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static int create_eventfds(struct virtio_device *device) {
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		device->queues[i].kick_fd = -1;
		device->queues[i].call_fd = -1;
	}
	for (unsigned i = 0; i < VIRTIO_VECTORS_MAX; i++) {
		device->vector_fds[i] = -1;
	}
	device->config_call_fd = -1;
	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtqueue *queue = &device->queues[i];
		queue->index = i;
		queue->device = device;
		queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (queue->kick_fd < 0) {
			return -errno;
		}
	}
	for (unsigned i = 0; i <= device->queue_count; i++) {
		device->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (device->vector_fds[i] < 0) {
			return -errno;
		}
	}
	return 0;
}

int virtio_device_init(struct virtio_device *device) {
	void *shared = mmap(
		NULL, sizeof(*device->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		return -errno;
	}
	device->shared = shared;
	int ret = create_eventfds(device);
	if (ret < 0) {
		virtio_device_finish(device);
	}
	return ret;
}

void virtio_device_finish(struct virtio_device *device) {
	if (device->shared == NULL) {
		return; /* never initialized: the descriptors are zero, not ours */
	}
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		fd_close(&device->queues[i].kick_fd);
	}
	for (unsigned i = 0; i < VIRTIO_VECTORS_MAX; i++) {
		fd_close(&device->vector_fds[i]);
	}
	munmap(device->shared, sizeof(*device->shared));
	device->shared = NULL;
}

void virtio_device_break(struct virtio_device *device, const char *rule) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->queues[i].broken = true;
	}
	/* The first of several threads tells; the others' queues are broken already. */
	if (atomic_exchange(&device->shared->needs_reset, true)) {
		return;
	}
	log_guest(&device->guest_errors, "%s: the guest's driver broke a rule: %s", device->name, rule);
	if (device->config_call_fd >= 0) {
		fd_event_signal(device->config_call_fd);
	}
}

void virtio_device_change_config(struct virtio_device *device, unsigned offset, uint16_t value) {
	struct virtio_shared *shared = device->shared;
	for (unsigned i = 0; i < device->config_size && !shared->config_changed; i++) {
		shared->config[i] = device->config[i];
	}
	shared->config[offset] = (uint8_t)value;
	shared->config[offset + 1] = (uint8_t)(value >> 8);
	shared->config_changed = true;
	shared->config_generation++;
	if (device->config_call_fd >= 0) {
		fd_event_signal(device->config_call_fd);
	}
}

/* Serve at most budget chains; the number served, less than budget when the queue is empty or broken. */
static unsigned serve_chains(struct virtio_device *device, struct virtqueue *queue, unsigned budget,
	uint32_t (*serve)(struct virtio_device *device, struct virtqueue_chain *chain)) {
	struct virtqueue_chain chain;
	for (unsigned served = 0; served < budget; served++) {
		int ret = virtqueue_pop(queue, &chain);
		if (ret < 0 && queue->rule != NULL) {
			virtio_device_break(device, queue->rule);
		}
		if (ret <= 0) {
			return served;
		}
		uint32_t written = serve(device, &chain);
		if (queue->broken) {
			return served;
		}
		virtqueue_push(queue, chain.head, written);
	}
	return budget;
}

void virtio_device_serve_some(struct virtio_device *device, struct virtqueue *queue, unsigned budget,
	uint32_t (*serve)(struct virtio_device *device, struct virtqueue_chain *chain)) {
	do {
		virtqueue_disable_notify(queue);
		unsigned served = serve_chains(device, queue, budget, serve);
		budget -= served;
		virtqueue_signal(queue);
		if (budget == 0) {
			fd_event_signal(queue->kick_fd);
			return;
		}
	} while (virtqueue_enable_notify(queue));
}

void virtio_device_serve_queue(struct virtio_device *device, struct virtqueue *queue,
	uint32_t (*serve)(struct virtio_device *device, struct virtqueue_chain *chain)) {
	/* A driver that adds chains as fast as they are served must not keep the loop from its other sources:
	 * after a queue's worth of chains the rest waits for the next turn. */
	virtio_device_serve_some(device, queue, queue->size, serve);
}
