/*
 * virtio-balloon with nothing but free page reporting: what the guest reports as free is punched out of
 * the RAM memfd, and reads as zeros when the guest takes it again. Runs on the monitor's loop. The chains
 * are hostile; a guest that reports pages it uses loses their content and nothing else.
 */
#include "ph/balloon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define F_REPORTING 5
#define QUEUE_SIZE 32 /* the least Linux takes for reporting: it reports 32 ranges at a time */
/* No more is taken of a chain, and one chain a turn, so that no guest holds up the loop: 32 times the largest
 * range that Linux has. The rest of a larger one stays, as it may: a report is a hint. */
#define REPORT_MAX (128ULL << 20)

/*
 * The specification numbers the reporting queue 4, after two queues of features that are not offered. Linux
 * numbers only the queues it uses, so that it finds the queue at 2. A driver uses one of them, and neither
 * is anything else to a driver without the other features.
 */
enum {
	INFLATE_QUEUE = 0,
	DEFLATE_QUEUE = 1,
	REPORTING_QUEUE_LINUX = 2,
	REPORTING_QUEUE = 4,
	QUEUE_COUNT = 5,
};

/* num_pages and actual: the balloon is never asked to grow. */
#define CONFIG_SIZE 8

static const struct guest_region *region_at(const struct guest_memory *memory, const uint8_t *host) {
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		if (host >= region->host && (uint64_t)(host - region->host) < region->size) {
			return region;
		}
	}
	return NULL;
}

/* Give the whole pages of a segment, at most len bytes of it, back to the host. */
static void punch(const struct guest_memory *memory, const struct iovec *iov, uint64_t len) {
	const struct guest_region *region = region_at(memory, iov->iov_base);
	if (region == NULL) {
		return;
	}
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = region->offset + (uint64_t)((const uint8_t *)iov->iov_base - region->host);
	uint64_t end = (start + len) & ~(page - 1);
	start = (start + page - 1) & ~(page - 1);
	if (start < end) {
		/* Failure leaves the pages as they are, which costs memory and nothing else. */
		fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
			(off_t)(end - start));
	}
}

static uint32_t serve_reporting(struct virtio_device *device, struct virtqueue_chain *chain) {
	uint64_t left = REPORT_MAX;
	for (unsigned i = 0; i < chain->writable_count; i++) {
		const struct iovec *iov = &chain->iov[chain->readable_count + i];
		uint64_t len = iov->iov_len < left ? iov->iov_len : left;
		punch(device->memory, iov, len);
		left -= len;
	}
	return 0;
}

/* Inflating and deflating, which nobody asked for: the page numbers are not looked at. */
static uint32_t serve_nothing(struct virtio_device *device, struct virtqueue_chain *chain) {
	(void)device;
	(void)chain;
	return 0;
}

static bool is_reporting(const struct virtio_device *device, const struct virtqueue *queue) {
	return (device->driver_features >> F_REPORTING & 1) != 0 && queue->index >= REPORTING_QUEUE_LINUX;
}

static void balloon_notify(struct virtio_device *device, struct virtqueue *queue) {
	if (is_reporting(device, queue)) {
		virtio_device_serve_some(device, queue, 1, serve_reporting);
	} else {
		virtio_device_serve_queue(device, queue, serve_nothing);
	}
}

static int balloon_start(struct virtio_device *device) {
	(void)device;
	return 0;
}

static void balloon_stop(struct virtio_device *device) {
	(void)device;
}

static const struct virtio_device_ops balloon_ops = {
	.start = balloon_start,
	.stop = balloon_stop,
	.notify = balloon_notify,
};

int balloon_create(struct virtio_device **device) {
	struct virtio_device *balloon = calloc(1, sizeof(*balloon));
	if (balloon == NULL) {
		return -ENOMEM;
	}
	balloon->ops = &balloon_ops;
	strcpy(balloon->name, "balloon");
	balloon->type = VIRTIO_TYPE_BALLOON;
	balloon->pci_class = 0x00ff00; /* unclassified */
	balloon->features = 1ULL << F_REPORTING;
	balloon->config_size = CONFIG_SIZE;
	balloon->queue_count = QUEUE_COUNT;
	balloon->queue_size[INFLATE_QUEUE] = QUEUE_SIZE;
	balloon->queue_size[DEFLATE_QUEUE] = QUEUE_SIZE;
	balloon->queue_size[REPORTING_QUEUE_LINUX] = QUEUE_SIZE;
	balloon->queue_size[REPORTING_QUEUE] = QUEUE_SIZE;
	int ret = virtio_device_init(balloon);
	if (ret < 0) {
		free(balloon);
		return ret;
	}
	*device = balloon;
	return 0;
}

void balloon_destroy(struct virtio_device *device) {
	if (device == NULL) {
		return;
	}
	virtio_device_finish(device);
	free(device);
}
