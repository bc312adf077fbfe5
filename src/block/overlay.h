/*
 * The ephemeral layer over an image: a sparse memfd at the disk's own offsets, and a bitmap of
 * the 512-byte sectors that were written since. A sector is read from the memfd when its bit is
 * set, from the image otherwise.
 */
#ifndef BLOCK_OVERLAY_H
#define BLOCK_OVERLAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct block_overlay {
	int fd;
	uint64_t size;             /* bytes of the disk */
	_Atomic uint64_t *written; /* a bit for each sector */
	size_t written_bytes;
	_Atomic uint64_t *pages; /* a bit for each page of the memfd that was paid for */
	size_t pages_bytes;
	uint64_t page_limit, page_count; /* under accounting */
	pthread_mutex_t accounting;
	pthread_rwlock_t shape; /* writers of data share it; giving pages back excludes them */
};

/* limit: bytes of memory the written data may take, 0: no limit. 0 or -errno. */
int block_overlay_init(struct block_overlay *overlay, uint64_t size, uint64_t limit);
/* Accepts a zeroed overlay. */
void block_overlay_finish(struct block_overlay *overlay);

/* How many of the sectors [sector, sector + count), count > 0, are like the first one: *written or not. */
uint64_t block_overlay_run(
	const struct block_overlay *overlay, uint64_t sector, uint64_t count, bool *written);

/* Offsets and lengths are bytes inside the disk. Counts like preadv, or -errno. */
ssize_t block_overlay_read(
	const struct block_overlay *overlay, const struct iovec *iov, unsigned iov_count, uint64_t offset);
/* Whole sectors only; -ENOSPC when the limit is reached. The sectors read from the overlay from then on. */
ssize_t block_overlay_write(struct block_overlay *overlay, const struct iovec *iov, unsigned iov_count,
	uint64_t offset, uint64_t len);
/* Make sectors read as zeros and give their memory back. 0 or -errno. */
int block_overlay_zero(struct block_overlay *overlay, uint64_t offset, uint64_t len);

#endif
