/*
 * Images and the operations on them (see disk.h). Created on the main thread, used by the disk's
 * own threads, several at once. Callers have bounded offsets and lengths to the disk; the image
 * may be changed or cut short by others meanwhile, so it is read and written, never mapped.
 */
#include "block/disk.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int block_disk_init(struct block_disk *disk, const struct block_options *options) {
	uint64_t end;
	if (options->size == 0 || options->size % BLOCK_SECTOR_SIZE != 0 ||
		__builtin_add_overflow(options->offset, options->size, &end) || end > INT64_MAX) {
		return -EINVAL;
	}
	*disk = (struct block_disk){
		.fd = -1, .offset = options->offset, .size = options->size, .mode = options->mode};
	memcpy(disk->id, options->id, sizeof(disk->id));
	int flags = fcntl(options->fd, F_GETFL);
	if (flags < 0) {
		return -errno;
	}
	/* What was opened without waiting for a FIFO: an io_uring would not wait for the disk either. */
	if ((flags & O_NONBLOCK) != 0 && fcntl(options->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		return -errno;
	}
	disk->direct = (flags & O_DIRECT) != 0;
	pthread_mutex_init(&disk->lock, NULL);
	disk->path = strdup(options->path);
	int ret = disk->path == NULL ? -ENOMEM : 0;
	if (ret == 0 && disk->mode == BLOCK_EPHEMERAL) {
		ret = block_overlay_init(&disk->overlay, options->size, options->overlay_limit);
	}
	if (ret < 0) {
		block_disk_finish(disk);
		return ret;
	}
	disk->fd = options->fd;
	return 0;
}

void block_disk_finish(struct block_disk *disk) {
	if (disk->size == 0) {
		return;
	}
	block_overlay_finish(&disk->overlay);
	free(disk->path);
	fd_close(&disk->fd);
	pthread_mutex_destroy(&disk->lock);
	memset(disk, 0, sizeof(*disk));
}

static int zero(const struct block_disk *disk, const struct block_io *io) {
	int mode = io->kind == BLOCK_IO_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	return fallocate(disk->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)io->offset, (off_t)io->len);
}

ssize_t block_disk_perform(const struct block_disk *disk, const struct block_io *io, int flags) {
	ssize_t n = -1;
	switch (io->kind) {
	case BLOCK_IO_READ:
		n = preadv2(disk->fd, io->iov, (int)io->iov_count, (off_t)io->offset, flags);
		break;
	case BLOCK_IO_WRITE:
		n = pwritev2(disk->fd, io->iov, (int)io->iov_count, (off_t)io->offset, flags);
		break;
	case BLOCK_IO_SYNC:
		n = fdatasync(disk->fd);
		break;
	case BLOCK_IO_PUNCH:
	case BLOCK_IO_ZERO:
		n = zero(disk, io);
		break;
	}
	return n < 0 ? -errno : n;
}

static bool is_full(int error) {
	return error == -ENOSPC || error == -EDQUOT || error == -ENOMEM || error == -EFBIG;
}

static void report_full(struct block_disk *disk, int error) {
	if (disk->full_reported) {
		return;
	}
	disk->full_reported = true;
	if (disk->mode == BLOCK_EPHEMERAL) {
		log_error("disk %s: the memory for the guest's writes is used up (%s): it sees I/O errors",
			disk->path, error == -ENOSPC ? "limit reached" : strerror(-error));
	} else {
		log_error("disk %s: no space is left on the host for the guest's writes (%s): make room "
			  "there",
			disk->path, strerror(-error));
	}
}

void block_disk_report(struct block_disk *disk, const char *operation, int error) {
	pthread_mutex_lock(&disk->lock);
	if (is_full(error)) {
		report_full(disk, error);
	} else if (error == -ENODATA) {
		log_guest(&disk->errors, "disk %s: the image is shorter than when it was opened", disk->path);
	} else {
		log_guest(&disk->errors, "disk %s: %s: %s", disk->path, operation, strerror(-error));
	}
	pthread_mutex_unlock(&disk->lock);
}

void block_disk_report_guest(struct block_disk *disk, const char *rule, uint64_t sector) {
	pthread_mutex_lock(&disk->lock);
	log_guest(&disk->guest_errors, "disk %s: request refused: %s (sector %llu)", disk->path, rule,
		(unsigned long long)sector);
	pthread_mutex_unlock(&disk->lock);
}
