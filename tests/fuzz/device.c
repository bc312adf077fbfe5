/* See device.h. */
#include "device.h"

#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

static uint8_t *ram(const struct device_layout *layout) {
	return layout->memory->regions[0].host;
}

void device_fill_queue(
	const struct device_layout *layout, unsigned queue, const struct device_buffers *buffers) {
	uint8_t *area = ram(layout) + queue * layout->stride;
	for (uint16_t i = 0; i < layout->queue_size; i++) {
		const uint64_t address = buffers->address + i * buffers->stride;
		memcpy(area + 16 * i, &address, 8);
		memcpy(area + 16 * i + 8, &buffers->len, 4);
		memcpy(area + 16 * i + 12, &buffers->flags, 2);
		memcpy(area + layout->avail + 4 + 2 * i, &i, 2);
	}
	memcpy(area + layout->avail + 2, &buffers->offered, 2);
}

void device_start(struct virtio_device *device, const struct device_layout *layout, struct loop *loop,
	uint64_t features) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		const struct virtqueue_config config = {.descriptor_area = {i * layout->stride},
			.driver_area = {i * layout->stride + layout->avail},
			.device_area = {i * layout->stride + layout->used},
			.size = layout->queue_size};
		if (device->queue_size[i] != 0) {
			require(virtqueue_start(&device->queues[i], layout->memory, &config, features, -1) ==
				0);
		}
	}
	device->memory = layout->memory;
	device->loop = loop;
	device->driver_features = features;
	atomic_store(&device->shared->needs_reset, false);
	device->config_call_fd = -1;
	device->started = true;
	require(device->ops->start(device) == 0);
}

void device_stop(struct virtio_device *device) {
	device->ops->stop(device);
	device->started = false;
	for (unsigned i = 0; i < device->queue_count; i++) {
		virtqueue_stop(&device->queues[i]);
	}
}

void device_offer(struct virtio_device *device, const struct device_layout *layout, unsigned queue) {
	ram(layout)[queue * layout->stride + layout->avail + 2]++;
	if (!device->queues[queue].broken) {
		device->ops->notify(device, &device->queues[queue]);
	}
}

void device_patch(const struct device_layout *layout, struct input *input, unsigned len) {
	uint32_t address = take(input, 2);
	for (unsigned i = 0; i < len && address + i < layout->memory->regions[0].size; i++) {
		ram(layout)[address + i] = (uint8_t)take(input, 1);
	}
}

void device_run_loop(struct loop *loop, unsigned turns) {
	struct epoll_event event;
	for (unsigned i = 0; i < turns && epoll_wait(loop->epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
}

static void *run_host(void *data) {
	loop_run(data);
	return NULL;
}

void device_start_host(struct virtio_host *host, struct loop *loop, const struct guest_memory *memory,
	struct virtio_host_client *client) {
	int host_end, client_end;
	pthread_t thread;
	require(loop_init(loop) == 0);
	require(virtio_host_socketpair(&host_end, &client_end) == 0);
	require(virtio_host_init(host, loop, memory, host_end) == 0);
	require(virtio_host_client_init(client, client_end) == 0);
	require(pthread_create(&thread, NULL, run_host, loop) == 0);
}

const struct device_write device_set_up[DEVICE_WRITES] = {{0x14, 1, 3}, {0x08, 4, 1}, {0x0c, 4, 1},
	{0x14, 1, 3 | 8}, {0x20, 8, 0x1000}, {0x28, 8, 0x2000}, {0x30, 8, 0x3000}, {0x1c, 2, 1},
	{0x14, 1, 3 | 8 | 4}};
