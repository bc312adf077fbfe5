/*
 * One virtio-blk request, from its descriptor chain to its status byte. A request is a generator:
 * block_request_next() names the next operation on the image, whoever serves the queue does it and
 * hands the result to block_request_done(), until there is none left.
 */
#ifndef BLOCK_REQUEST_H
#define BLOCK_REQUEST_H

#include "block/disk.h"

/* Request types and status values (virtio 1.2, section 5.2.6) */
#define VIRTIO_BLK_T_IN 0u
#define VIRTIO_BLK_T_OUT 1u
#define VIRTIO_BLK_T_FLUSH 4u
#define VIRTIO_BLK_T_GET_ID 8u
#define VIRTIO_BLK_T_DISCARD 11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

#define VIRTIO_BLK_S_OK 0u
#define VIRTIO_BLK_S_IOERR 1u
#define VIRTIO_BLK_S_UNSUPP 2u

/* Limits of one request, told to the driver. */
#define BLOCK_DISCARD_SECTORS_MAX (1u << 22)
#define BLOCK_WRITE_ZEROES_SECTORS_MAX (1u << 15)

/* No operation is larger, so that a reset need not wait long for one. But for holes and zeros in the image,
 * which the file system makes without writing them. */
#define BLOCK_OPERATION_MAX (4u << 20)

struct block_request {
	struct block_disk *disk;
	uint32_t type;
	uint8_t status;
	uint8_t *status_at;            /* in guest memory */
	uint32_t written, written_bad; /* what the used ring says if all went well, or not */

	/* what is still to be done: these bytes of the disk, and then a SYNC */
	uint64_t offset, left;
	bool sync;
	enum block_io_kind zero_kind; /* DISCARD and WRITE_ZEROES: the way not yet known to fail */

	/* IN and OUT: the guest memory that goes with the bytes left is iov[first .. count) */
	unsigned first, count;
	unsigned cut;    /* for the operation under way this entry was shortened */
	size_t cut_rest; /* by so many bytes */
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	struct block_io io;
};

/* Read and check a request. 0 when it can be served or refused, -EPROTO with *rule when it has no place for a
 * header or a status. */
int block_request_parse(struct block_request *request, struct block_disk *disk, struct virtqueue_chain *chain,
	const char **rule);

enum block_next {
	BLOCK_NEXT_NONE,      /* nothing is left */
	BLOCK_NEXT_OPERATION, /* request->io is to be done */
	BLOCK_NEXT_DONE,      /* it needed memory only and was done at once: ask again */
};
/* The next operation. */
enum block_next block_request_next(struct block_request *request);
/* The operation returned result: bytes done or -errno. */
void block_request_done(struct block_request *request, ssize_t result);

/* Write the status byte. The number of bytes to report in the used ring. */
uint32_t block_request_complete(struct block_request *request);

#endif
