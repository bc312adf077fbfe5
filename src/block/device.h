/*
 * A disk as a device: one thread for each queue the driver uses.
 */
#ifndef BLOCK_DEVICE_H
#define BLOCK_DEVICE_H

#include "block/disk.h"
#include "block/request.h"

#include <liburing.h>

#define BLOCK_QUEUES_MAX 16
#define BLOCK_QUEUE_SIZE VIRTQUEUE_SIZE_MAX
#define BLOCK_SEG_MAX (VIRTQUEUE_SIZE_MAX - 2) /* a chain less its header and its status */

/* A queue and the thread that serves it. */
struct block_queue {
	struct block_device *device;
	struct virtqueue *virtqueue;
	pthread_t thread;
	bool running;
	struct block_request *requests; /* by the head of their chain; memory is touched when used */
	struct virtqueue_chain chain;   /* the one just popped */
	struct io_uring ring;
	bool ring_waits; /* made ahead, for the first start */
	bool has_ring;
	bool kick_armed;
	bool kick_once;     /* the kernel's polls fire once only */
	unsigned in_flight; /* operations in the ring */
};

struct block_device {
	struct virtio_device base;
	struct block_disk disk;
	struct block_queue queues[BLOCK_QUEUES_MAX];
	atomic_bool stopping; /* a reset: begin nothing more */
	atomic_bool broken;   /* the driver broke a rule: the same until the reset */
};

/* Make what the first start will need, while nothing keeps this process from it. Accepts a zeroed queue. */
void block_queue_prepare(struct block_queue *queue);
void block_queue_finish(struct block_queue *queue);
/* Start the queue's thread. 0 or -errno. */
int block_queue_start(struct block_queue *queue, struct block_device *device, struct virtqueue *virtqueue);
/* After device->stopping was set: wait until nothing is in flight and end the thread. Accepts a zeroed queue.
 */
void block_queue_stop(struct block_queue *queue);

/* Take at most a ring's size of requests and serve each to its end, or as far as it goes without
 * waiting when there is an io_uring. True: there may be more. */
bool block_queue_take(struct block_queue *queue);

#endif
