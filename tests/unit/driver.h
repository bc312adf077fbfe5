/*
 * A virtio driver for unit tests: guest RAM in a memfd and split rings written by hand, so that a
 * device can be driven with right and with wrong descriptors. It shares no code with src/virtio.
 */
#ifndef TEST_DRIVER_H
#define TEST_DRIVER_H

#include "ph/virtio.h"

#define DRIVER_RAM_SIZE (64u << 20)
#define DRIVER_NEXT 1
#define DRIVER_WRITE 2
#define DRIVER_INDIRECT 4

struct driver_queue {
	struct virtqueue_config config;
	uint16_t next_descriptor, avail_index, used_seen;
};

struct driver {
	struct guest_memory memory;
	struct loop loop;
	struct virtio_device *device;
	struct driver_queue queues[VIRTIO_QUEUES_MAX];
	uint64_t next_page; /* bump allocator of guest memory */
};

struct driver_buffer {
	gpa_t address;
	uint32_t len;
	bool write;
};

/* Guest RAM of DRIVER_RAM_SIZE at guest address 0 and a loop. */
void driver_init(struct driver *driver);
void driver_finish(struct driver *driver);
/* Start a device on the loop with all its queues at their maximum size and these accepted features. Returns
 * start's answer. */
int driver_start(struct driver *driver, struct virtio_device *device, uint64_t features);
void driver_stop(struct driver *driver);

/* size bytes of zeroed guest memory, page-aligned. */
gpa_t driver_alloc(struct driver *driver, size_t size);
void *driver_at(struct driver *driver, gpa_t address);

/* Write one raw descriptor / put a head into the avail ring. */
void driver_descriptor(struct driver *driver, unsigned queue, uint16_t index, gpa_t address, uint32_t len,
	uint16_t flags, uint16_t next);
void driver_offer(struct driver *driver, unsigned queue, uint16_t head);
/* Chain the buffers with fresh descriptors (they wrap around; keep few in flight) and offer them; returns the
 * head. */
uint16_t driver_add(
	struct driver *driver, unsigned queue, const struct driver_buffer *buffers, unsigned count);
/* Notify as KVM would, through the kick eventfd. */
void driver_kick(struct driver *driver, unsigned queue);
/* Run the loop until the queue's used index moves past what was seen or ms milliseconds went by. True: one
 * used element. */
bool driver_wait_used(struct driver *driver, unsigned queue, int ms, uint16_t *head, uint32_t *len);
/* Run the loop for at least ms milliseconds. */
void driver_run(struct driver *driver, int ms);

#endif
