/*
 * The device side of a split virtqueue (virtio 1.2, section 2.7), with VIRTIO_F_INDIRECT_DESC and
 * VIRTIO_F_EVENT_IDX.
 *
 * Everything in the rings is the driver's and hostile: each descriptor is copied once and then
 * checked, each index bounded. A rule the driver breaks breaks the queue: virtqueue_pop() returns
 * -EPROTO from then on and the device reports DEVICE_NEEDS_RESET (virtio_device_break()).
 *
 * A queue belongs to the thread that serves its device (or that the device gives the queue to).
 */
#ifndef PH_VIRTQUEUE_H
#define PH_VIRTQUEUE_H

#include "ph/guest_memory.h"
#include "ph/loop.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQUEUE_SIZE_MAX 256

/* What the driver configured, latched when the device starts. */
struct virtqueue_config {
	gpa_t descriptor_area, driver_area, device_area;
	uint16_t size; /* a power of two, at most VIRTQUEUE_SIZE_MAX; 0: the driver did not enable this queue
			*/
	uint16_t vector; /* MSI-X vector, 0xffff: none */
};

struct virtqueue {
	/* set by virtqueue_start() */
	const struct guest_memory *memory;
	uint16_t size;
	bool event_idx, indirect;
	atomic_bool broken;   /* virtio_device_break() sets it for queues of other threads, too */
	const char *rule;     /* which rule the driver broke, for virtio_device_break(); NULL: none */
	uint8_t *descriptors; /* the three rings, checked to lie in guest RAM */
	uint8_t *avail;
	uint8_t *used;
	uint16_t last_avail, last_head, used_index, signalled_used;
	bool signalled_valid;
	uint64_t in_flight[VIRTQUEUE_SIZE_MAX / 64]; /* heads popped and not yet pushed */
	int call_fd;                                 /* eventfd that raises the queue's interrupt, -1: none */
	/* set once by the device's host */
	unsigned index;
	int kick_fd; /* eventfd that KVM signals on a notify */
	struct virtio_device *device;
	struct loop_source kick; /* watches kick_fd while the device is started */
};

/*
 * One descriptor chain, popped: first the device-readable then the device-writable segments, as
 * host addresses. It must be pushed back exactly once, by its head.
 */
struct virtqueue_chain {
	uint16_t head;
	unsigned readable_count,
		writable_count; /* iov[0 .. readable) then iov[readable .. readable + writable) */
	uint64_t readable_size, writable_size; /* bytes in total */
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
};

/* Check the configuration against guest RAM and start at index 0. features are those the driver accepted. 0,
 * or -EINVAL. */
int virtqueue_start(struct virtqueue *queue, const struct guest_memory *memory,
	const struct virtqueue_config *config, uint64_t features, int call_fd);
/* Forget all guest addresses. */
void virtqueue_stop(struct virtqueue *queue);

/*
 * 1 and the next chain, 0 when none is available, -EPROTO when the driver broke a rule (queue->rule says
 * which). Segments of no length do not appear in the chain; it may have no segment at all.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);
/* Give the last popped chain back to the ring unserved, to be popped again (only directly after its pop). */
void virtqueue_unpop(struct virtqueue *queue);
/* Return a chain with the number of bytes written to its writable segments. Does not interrupt. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
/* Return several, of which the driver sees all or none. */
struct virtqueue_used {
	uint16_t head;
	uint32_t written;
};
void virtqueue_push_all(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count);
/* Interrupt the driver if it asked to hear of what was pushed since the last call. */
void virtqueue_signal(struct virtqueue *queue);
/* The same in two steps: true when queue->call_fd is to be signalled, which the caller then does. */
bool virtqueue_take_signal(struct virtqueue *queue);
/* Ask (or ask no longer) for notifications. Enabling returns true when chains have arrived meanwhile, to be
 * served now. */
bool virtqueue_enable_notify(struct virtqueue *queue);
void virtqueue_disable_notify(struct virtqueue *queue);

/* Copy between a chain's readable/writable bytes, from offset on, and a buffer; returns the bytes copied,
 * short at the chain's end. */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t len);
size_t virtqueue_chain_write(struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t len);
/*
 * The part [offset, offset + len) of a chain's readable (or writable) bytes as an iovec list of at most max
 * entries; returns the entries, 0 when the part is empty, not wholly inside or takes more entries.
 */
unsigned virtqueue_chain_slice(const struct virtqueue_chain *chain, bool writable, uint64_t offset,
	uint64_t len, struct iovec *iov, unsigned max);

#endif
