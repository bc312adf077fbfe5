/*
 * The virtio-blk device: features, configuration space, start and reset. Runs on the loop of the
 * device's host; requests are served by the threads of queue.c. Nothing here reads guest memory.
 */
#include "block/device.h"

#include "ph/fd.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_RO 5
#define VIRTIO_BLK_F_BLK_SIZE 6
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

#define BIT(n) (UINT64_C(1) << (n))

/* Virtio 1.2, section 5.2.4; little endian. Fields of features that are not offered are zero. */
struct block_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t topology[8];
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};
_Static_assert(sizeof(struct block_config) == 64, "60 bytes and the padding of a u64");
#define BLOCK_CONFIG_SIZE 60

static struct block_device *from_base(struct virtio_device *base) {
	return (struct block_device *)((char *)base - offsetof(struct block_device, base));
}

/* Waits for what the host does already; a flush may take it long (docs/architecture.md). */
static void stop(struct virtio_device *base) {
	struct block_device *device = from_base(base);
	atomic_store(&device->stopping, true);
	for (unsigned i = 0; i < base->queue_count; i++) {
		if (device->queues[i].running) {
			fd_event_signal(base->queues[i].kick_fd);
		}
	}
	for (unsigned i = 0; i < base->queue_count; i++) {
		block_queue_stop(&device->queues[i]);
	}
}

static int start(struct virtio_device *base) {
	struct block_device *device = from_base(base);
	atomic_store(&device->stopping, false);
	atomic_store(&device->broken, false);
	device->disk.write_through = device->disk.mode == BLOCK_READ_WRITE &&
				     (base->driver_features & BIT(VIRTIO_BLK_F_FLUSH)) == 0;
	for (unsigned i = 0; i < base->queue_count; i++) {
		if (base->queues[i].size == 0) {
			continue;
		}
		int ret = block_queue_start(&device->queues[i], device, &base->queues[i]);
		if (ret < 0) {
			stop(base);
			return ret;
		}
	}
	return 0;
}

/* No notify: the queues' threads wait for their kicks themselves. */
static const struct virtio_device_ops block_ops = {.start = start, .stop = stop};

/* FLUSH is offered for a writable image only: the rest does not outlive the VM, and a guest that
 * knows of no write cache saves an exit for every fsync. */
static uint64_t features(enum block_mode mode, unsigned queues) {
	uint64_t bits = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE);
	bits |= queues > 1 ? BIT(VIRTIO_BLK_F_MQ) : 0;
	if (mode == BLOCK_READ_ONLY) {
		return bits | BIT(VIRTIO_BLK_F_RO);
	}
	bits |= mode == BLOCK_READ_WRITE ? BIT(VIRTIO_BLK_F_FLUSH) : 0;
	return bits | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

static void fill_config(struct virtio_device *base, const struct block_options *options) {
	struct block_config config = {
		.capacity = htole64(options->size / BLOCK_SECTOR_SIZE),
		.seg_max = htole32(BLOCK_SEG_MAX),
		.blk_size = htole32(BLOCK_SECTOR_SIZE),
		.num_queues = htole16((uint16_t)options->queues),
	};
	if (options->mode != BLOCK_READ_ONLY) {
		config.max_discard_sectors = htole32(BLOCK_DISCARD_SECTORS_MAX);
		config.max_discard_seg = htole32(1);
		config.discard_sector_alignment = htole32(4096 / BLOCK_SECTOR_SIZE);
		config.max_write_zeroes_sectors = htole32(BLOCK_WRITE_ZEROES_SECTORS_MAX);
		config.max_write_zeroes_seg = htole32(1);
		config.write_zeroes_may_unmap = 1;
	}
	memcpy(base->config, &config, BLOCK_CONFIG_SIZE);
	base->config_size = BLOCK_CONFIG_SIZE;
}

static void fill_base(struct virtio_device *base, const struct block_options *options) {
	const char *slash = strrchr(options->path, '/');
	snprintf(base->name, sizeof(base->name), "disk %s", slash != NULL ? slash + 1 : options->path);
	base->ops = &block_ops;
	base->type = VIRTIO_TYPE_BLOCK;
	base->pci_class = 0x018000; /* mass storage, other */
	base->features = features(options->mode, options->queues);
	base->queue_count = options->queues;
	for (unsigned i = 0; i < options->queues; i++) {
		base->queue_size[i] = BLOCK_QUEUE_SIZE;
	}
	fill_config(base, options);
}

int block_create(struct virtio_device **out, const struct block_options *options) {
	if (options->queues == 0 || options->queues > BLOCK_QUEUES_MAX) {
		return -EINVAL;
	}
	struct block_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		return -ENOMEM;
	}
	fill_base(&device->base, options);
	int ret = virtio_device_init(&device->base);
	if (ret < 0) {
		goto err_free;
	}
	ret = block_disk_init(&device->disk, options);
	if (ret < 0) {
		goto err_base;
	}
	for (unsigned i = 0; i < options->queues; i++) {
		block_queue_prepare(&device->queues[i]);
	}
	*out = &device->base;
	return 0;

err_base:
	virtio_device_finish(&device->base);
err_free:
	free(device);
	return ret;
}

void block_destroy(struct virtio_device *base) {
	if (base == NULL) {
		return;
	}
	struct block_device *device = from_base(base);
	stop(base);
	for (unsigned i = 0; i < base->queue_count; i++) {
		block_queue_finish(&device->queues[i]);
	}
	block_disk_finish(&device->disk);
	virtio_device_finish(base);
	free(device);
}
