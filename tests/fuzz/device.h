/*
 * What the fuzz targets of devices share: a device that is started without a host, its rings at places of the
 * target's RAM, and RAM that the input changes. The target calls the device's operations itself.
 */
#ifndef FUZZ_DEVICE_H
#define FUZZ_DEVICE_H

#include "input.h"

#include "ph/virtio.h"

struct device_layout {
	const struct guest_memory *memory; /* one region at address 0 */
	/* From one queue's descriptors to the next one's, and from there to its other rings. */
	unsigned stride, avail, used;
	uint16_t queue_size;
};

struct device_buffers {
	uint32_t address, stride, len;
	uint16_t flags;   /* of each descriptor */
	uint16_t offered; /* how many of them at once */
};

/* Describe a buffer for each entry of a queue, each a chain by itself. */
void device_fill_queue(
	const struct device_layout *layout, unsigned queue, const struct device_buffers *buffers);
/* loop: NULL for devices that need none. */
void device_start(struct virtio_device *device, const struct device_layout *layout, struct loop *loop,
	uint64_t features);
void device_stop(struct virtio_device *device);
/* One more of the entries is offered, and the device told. */
void device_offer(struct virtio_device *device, const struct device_layout *layout, unsigned queue);
/* The input's bytes, len of them, to where its first two say. */
void device_patch(const struct device_layout *layout, struct input *input, unsigned len);
/* One event after the other, at most so many. */
void device_run_loop(struct loop *loop, unsigned turns);

/* Serve the host's devices on a thread of its own, which ends with the process; client is who asks. */
void device_start_host(struct virtio_host *host, struct loop *loop, const struct guest_memory *memory,
	struct virtio_host_client *client);

/* What a good driver writes to a function's BAR, one after the other, until its first queue is served: rings
 * from 0x1000 on, a page each. */
struct device_write {
	unsigned offset, len;
	uint64_t value;
};
#define DEVICE_WRITES 9
extern const struct device_write device_set_up[DEVICE_WRITES];

#endif
