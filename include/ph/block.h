/*
 * virtio-blk (virtio 1.2, section 5.2) over a raw image.
 *
 * Runs in the monitor: each disk has threads of its own that serve its queues, so a slow disk
 * stalls neither the loop nor another disk. The image's content and the requests are hostile;
 * the device interprets only the requests.
 */
#ifndef PH_BLOCK_H
#define PH_BLOCK_H

#include "ph/virtio.h"

enum block_mode {
	BLOCK_READ_ONLY,
	BLOCK_READ_WRITE,
	BLOCK_EPHEMERAL, /* writes go to a sparse memfd and are gone afterwards; the image is only read */
};

struct block_options {
	int fd;           /* the open image; taken over on success */
	const char *path; /* for messages */
	uint64_t offset;  /* of the disk's first byte in the image */
	uint64_t size;    /* bytes of the disk, a multiple of 512 */
	enum block_mode mode;
	uint64_t overlay_limit; /* BLOCK_EPHEMERAL: bytes of memory that writes may take, 0: no limit */
	char id[20];            /* GET_ID */
	unsigned queues;        /* 1 .. 16 */
};

int block_create(struct virtio_device **device, const struct block_options *options);
void block_destroy(struct virtio_device *device);

#endif
