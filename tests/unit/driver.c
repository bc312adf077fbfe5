/* See driver.h. */
#include "driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct descriptor {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct used_element {
	uint32_t id, len;
};

void driver_init(struct driver *driver) {
	memset(driver, 0, sizeof(*driver));
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(fd >= 0 && ftruncate(fd, DRIVER_RAM_SIZE) == 0);
	void *host = mmap(NULL, DRIVER_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(host != MAP_FAILED);
	driver->memory = (struct guest_memory){
		.fd = fd, .region_count = 1, .regions = {{.base = 0, .size = DRIVER_RAM_SIZE, .host = host}}};
	driver->next_page = 4096;
	assert(loop_init(&driver->loop) == 0);
}

void driver_finish(struct driver *driver) {
	loop_finish(&driver->loop);
	munmap(driver->memory.regions[0].host, DRIVER_RAM_SIZE);
	close(driver->memory.fd);
}

gpa_t driver_alloc(struct driver *driver, size_t size) {
	gpa_t address = {driver->next_page};
	driver->next_page += (size + 4095) & ~(size_t)4095;
	assert(driver->next_page <= DRIVER_RAM_SIZE);
	return address;
}

void *driver_at(struct driver *driver, gpa_t address) {
	return driver->memory.regions[0].host + address.value;
}

static void kicked(struct loop_source *source, uint32_t events) {
	(void)events;
	struct virtqueue *queue =
		(struct virtqueue *)(void *)((char *)source - offsetof(struct virtqueue, kick));
	uint64_t count;
	ssize_t n = read(source->fd, &count, sizeof(count));
	(void)n;
	queue->device->ops->notify(queue->device, queue);
}

static void watch_kicks(struct driver *driver, struct virtio_device *device) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->queues[i].kick =
			(struct loop_source){.fd = device->queues[i].kick_fd, .ready = kicked};
		int ret = loop_add(&driver->loop, &device->queues[i].kick, EPOLLIN);
		assert(ret == 0);
	}
}

int driver_start(struct driver *driver, struct virtio_device *device, uint64_t features) {
	driver->device = device;
	device->loop = &driver->loop;
	device->memory = &driver->memory;
	device->driver_features = features | 1ULL << VIRTIO_RING_F_VERSION_1;
	device->config_call_fd = -1;
	for (unsigned i = 0; i < device->queue_count; i++) {
		struct driver_queue *queue = &driver->queues[i];
		memset(queue, 0, sizeof(*queue));
		queue->config.size = device->queue_size[i];
		if (queue->config.size == 0) {
			continue;
		}
		queue->config.vector = (uint16_t)i;
		queue->config.descriptor_area = driver_alloc(driver, 16u * queue->config.size);
		queue->config.driver_area = driver_alloc(driver, 6 + 2u * queue->config.size);
		queue->config.device_area = driver_alloc(driver, 6 + 8u * queue->config.size);
		int ret = virtqueue_start(&device->queues[i], &driver->memory, &queue->config,
			device->driver_features, device->vector_fds[i]);
		assert(ret == 0);
	}
	int ret = device->ops->start(device);
	device->started = ret == 0;
	if (ret == 0 && device->ops->notify != NULL) {
		watch_kicks(driver, device);
	}
	return ret;
}

void driver_stop(struct driver *driver) {
	struct virtio_device *device = driver->device;
	for (unsigned i = 0; i < device->queue_count; i++) {
		loop_remove(&driver->loop, &device->queues[i].kick);
	}
	if (device->started) {
		device->ops->stop(device);
		device->started = false;
	}
	for (unsigned i = 0; i < device->queue_count; i++) {
		virtqueue_stop(&device->queues[i]);
	}
}

void driver_descriptor(struct driver *driver, unsigned queue, uint16_t index, gpa_t address, uint32_t len,
	uint16_t flags, uint16_t next) {
	struct descriptor *table = driver_at(driver, driver->queues[queue].config.descriptor_area);
	table[index] =
		(struct descriptor){.address = address.value, .len = len, .flags = flags, .next = next};
}

void driver_offer(struct driver *driver, unsigned queue, uint16_t head) {
	struct driver_queue *q = &driver->queues[queue];
	uint16_t *avail = driver_at(driver, q->config.driver_area);
	avail[2 + q->avail_index % q->config.size] = head;
	q->avail_index++;
	__atomic_store_n(&avail[1], q->avail_index, __ATOMIC_RELEASE);
}

uint16_t driver_add(
	struct driver *driver, unsigned queue, const struct driver_buffer *buffers, unsigned count) {
	struct driver_queue *q = &driver->queues[queue];
	uint16_t head = q->next_descriptor % q->config.size;
	for (unsigned i = 0; i < count; i++) {
		uint16_t index = q->next_descriptor++ % q->config.size;
		uint16_t flags =
			(uint16_t)((buffers[i].write ? DRIVER_WRITE : 0) | (i + 1 < count ? DRIVER_NEXT : 0));
		driver_descriptor(driver, queue, index, buffers[i].address, buffers[i].len, flags,
			(uint16_t)((index + 1) % q->config.size));
	}
	driver_offer(driver, queue, head);
	return head;
}

void driver_kick(struct driver *driver, unsigned queue) {
	uint64_t one = 1;
	ssize_t n = write(driver->device->queues[queue].kick_fd, &one, sizeof(one));
	assert(n == sizeof(one));
}

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_once(struct driver *driver, int ms) {
	struct epoll_event events[16];
	int count = epoll_wait(driver->loop.epoll_fd, events, 1, ms);
	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;
		source->ready(source, events[i].events);
	}
}

bool driver_wait_used(struct driver *driver, unsigned queue, int ms, uint16_t *head, uint32_t *len) {
	struct driver_queue *q = &driver->queues[queue];
	uint8_t *used = driver_at(driver, q->config.device_area);
	int64_t end = now_ms() + ms;
	while (__atomic_load_n((uint16_t *)(used + 2), __ATOMIC_ACQUIRE) == q->used_seen) {
		if (now_ms() >= end) {
			return false;
		}
		run_once(driver, 5);
	}
	struct used_element *element = (struct used_element *)(used + 4) + q->used_seen % q->config.size;
	q->used_seen++;
	if (head != NULL) {
		*head = (uint16_t)element->id;
	}
	if (len != NULL) {
		*len = element->len;
	}
	return true;
}

void driver_run(struct driver *driver, int ms) {
	int64_t end = now_ms() + ms;
	while (now_ms() < end) {
		run_once(driver, 5);
	}
}
