/*
 * The ephemeral layer (see overlay.h). Runs on the disks' threads, several at once: bits are set
 * after the data they announce. Callers have bounded sectors and lengths; the guest chooses them
 * within the disk, so memory grows as the guest likes up to the limit.
 *
 * The memfd is read and written, never mapped: when the host has no page left, a write fails with
 * an error, where a store would kill the process.
 */
#include "block/overlay.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR_SHIFT 9
#define PAGE_SHIFT 12
#define BITS 64u

/* A bitmap of a huge disk costs only the pages of it that are used. */
static _Atomic uint64_t *bitmap_create(uint64_t bits, size_t *bytes) {
	*bytes = (size_t)((bits + BITS - 1) / BITS * sizeof(uint64_t));
	void *map = mmap(
		NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return map == MAP_FAILED ? NULL : map;
}

static void bitmap_destroy(_Atomic uint64_t *map, size_t bytes) {
	if (map != NULL) {
		munmap((void *)map, bytes);
	}
}

static void bitmap_set(_Atomic uint64_t *map, uint64_t first, uint64_t count) {
	while (count > 0) {
		unsigned shift = first % BITS;
		uint64_t n = BITS - shift < count ? BITS - shift : count;
		uint64_t mask = (n == BITS ? UINT64_MAX : (UINT64_C(1) << n) - 1) << shift;
		atomic_fetch_or_explicit(&map[first / BITS], mask, memory_order_release);
		first += n;
		count -= n;
	}
}

static bool bitmap_test(const _Atomic uint64_t *map, uint64_t bit) {
	return (atomic_load_explicit(&map[bit / BITS], memory_order_acquire) >> bit % BITS & 1) != 0;
}

static void bitmap_clear(_Atomic uint64_t *map, uint64_t bit) {
	atomic_fetch_and_explicit(&map[bit / BITS], ~(UINT64_C(1) << bit % BITS), memory_order_relaxed);
}

int block_overlay_init(struct block_overlay *overlay, uint64_t size, uint64_t limit) {
	memset(overlay, 0, sizeof(*overlay));
	overlay->size = size;
	overlay->page_limit = limit == 0 ? UINT64_MAX : limit >> PAGE_SHIFT;
	pthread_mutex_init(&overlay->accounting, NULL);
	pthread_rwlock_init(&overlay->shape, NULL);
	overlay->fd = memfd_create("ph-overlay", MFD_CLOEXEC);
	if (overlay->fd < 0 || ftruncate(overlay->fd, (off_t)size) < 0) {
		int ret = -errno;
		block_overlay_finish(overlay);
		return ret;
	}
	overlay->written = bitmap_create(size >> SECTOR_SHIFT, &overlay->written_bytes);
	overlay->pages = bitmap_create((size >> PAGE_SHIFT) + 1, &overlay->pages_bytes);
	if (overlay->written == NULL || overlay->pages == NULL) {
		block_overlay_finish(overlay);
		return -ENOMEM;
	}
	return 0;
}

void block_overlay_finish(struct block_overlay *overlay) {
	if (overlay->size == 0) {
		return;
	}
	bitmap_destroy(overlay->written, overlay->written_bytes);
	bitmap_destroy(overlay->pages, overlay->pages_bytes);
	fd_close(&overlay->fd);
	pthread_rwlock_destroy(&overlay->shape);
	pthread_mutex_destroy(&overlay->accounting);
	memset(overlay, 0, sizeof(*overlay));
}

uint64_t block_overlay_run(
	const struct block_overlay *overlay, uint64_t sector, uint64_t count, bool *written) {
	*written = bitmap_test(overlay->written, sector);
	uint64_t run = 0;
	while (run < count) {
		uint64_t at = sector + run;
		uint64_t word = atomic_load_explicit(&overlay->written[at / BITS], memory_order_acquire);
		unsigned shift = at % BITS, left = BITS - shift;
		uint64_t differ = (*written ? ~word : word) >> shift;
		unsigned same = differ == 0 ? left : (unsigned)__builtin_ctzll(differ);
		run += same;
		if (same < left) {
			break;
		}
	}
	return run < count ? run : count;
}

ssize_t block_overlay_read(
	const struct block_overlay *overlay, const struct iovec *iov, unsigned iov_count, uint64_t offset) {
	ssize_t n = preadv(overlay->fd, iov, (int)iov_count, (off_t)offset);
	return n < 0 ? -errno : n;
}

/* Pay for the pages of [offset, offset + len) that hold nothing yet. */
static int pages_take(struct block_overlay *overlay, uint64_t offset, uint64_t len) {
	uint64_t first = offset >> PAGE_SHIFT, last = (offset + len - 1) >> PAGE_SHIFT, fresh = 0;
	int ret = 0;
	pthread_mutex_lock(&overlay->accounting);
	for (uint64_t page = first; page <= last; page++) {
		fresh += !bitmap_test(overlay->pages, page);
	}
	if (fresh > overlay->page_limit - overlay->page_count) {
		ret = -ENOSPC;
	} else if (fresh > 0) {
		bitmap_set(overlay->pages, first, last - first + 1);
		overlay->page_count += fresh;
	}
	pthread_mutex_unlock(&overlay->accounting);
	return ret;
}

/* The pages that lie wholly inside [offset, offset + len) were given back to the host. */
static void pages_give(struct block_overlay *overlay, uint64_t offset, uint64_t len) {
	uint64_t first = (offset + (1u << PAGE_SHIFT) - 1) >> PAGE_SHIFT, end = (offset + len) >> PAGE_SHIFT;
	pthread_mutex_lock(&overlay->accounting);
	for (uint64_t page = first; page < end; page++) {
		if (bitmap_test(overlay->pages, page)) {
			bitmap_clear(overlay->pages, page);
			overlay->page_count--;
		}
	}
	pthread_mutex_unlock(&overlay->accounting);
}

ssize_t block_overlay_write(struct block_overlay *overlay, const struct iovec *iov, unsigned iov_count,
	uint64_t offset, uint64_t len) {
	pthread_rwlock_rdlock(&overlay->shape);
	ssize_t n = pages_take(overlay, offset, len);
	if (n == 0) {
		n = pwritev(overlay->fd, iov, (int)iov_count, (off_t)offset);
		n = n < 0 ? -errno : n;
	}
	if (n > 0) {
		/* A sector that was cut short counts as unwritten: the rest of the request starts with it. */
		n -= n % (1 << SECTOR_SHIFT);
		bitmap_set(overlay->written, offset >> SECTOR_SHIFT, (uint64_t)n >> SECTOR_SHIFT);
	}
	pthread_rwlock_unlock(&overlay->shape);
	return n;
}

int block_overlay_zero(struct block_overlay *overlay, uint64_t offset, uint64_t len) {
	pthread_rwlock_wrlock(&overlay->shape);
	int ret =
		fallocate(overlay->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	ret = ret < 0 ? -errno : 0;
	if (ret == 0) {
		pages_give(overlay, offset, len);
		bitmap_set(overlay->written, offset >> SECTOR_SHIFT, len >> SECTOR_SHIFT);
	}
	pthread_rwlock_unlock(&overlay->shape);
	return ret;
}
