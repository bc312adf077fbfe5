/*
 * What is behind a virtio disk: an image file, perhaps with an ephemeral overlay, and the few
 * operations that requests are made of.
 */
#ifndef BLOCK_DISK_H
#define BLOCK_DISK_H

#include "block/overlay.h"

#include "ph/block.h"

#define BLOCK_SECTOR_SIZE 512u

/* One operation on the image. It may do less than asked for, as the system calls do. */
struct block_io {
	enum block_io_kind {
		BLOCK_IO_READ,
		BLOCK_IO_WRITE,
		BLOCK_IO_SYNC,  /* what was written is safe from a power failure */
		BLOCK_IO_PUNCH, /* make a hole, which reads as zeros */
		BLOCK_IO_ZERO,  /* zeros that keep their place in the file */
	} kind;
	const struct iovec *iov; /* READ and WRITE */
	unsigned iov_count;
	uint64_t offset, len; /* bytes in the image; unused by SYNC */
};

struct block_disk {
	int fd;
	char *path;
	uint64_t offset, size; /* bytes: where the disk lies in the image */
	enum block_mode mode;
	struct block_overlay overlay; /* BLOCK_EPHEMERAL */
	char id[20];
	bool direct;          /* the image was opened with O_DIRECT */
	bool write_through;   /* this driver sends no FLUSH: every write must be safe at once */
	pthread_mutex_t lock; /* of the messages */
	bool full_reported;   /* one line is enough for a disk that ran full */
	struct log_limit errors, guest_errors;
};

/* Takes options->fd over on success. 0 or -errno. */
int block_disk_init(struct block_disk *disk, const struct block_options *options);
/* Accepts a zeroed disk. */
void block_disk_finish(struct block_disk *disk);

/* Do the operation, with these RWF_* flags if it is a read or a write. The bytes done (0 for those without
 * data), or -errno. */
ssize_t block_disk_perform(const struct block_disk *disk, const struct block_io *io, int flags);

/* Tell the user that the host failed the guest's request (a negative errno), or that the guest broke a rule.
 * Any thread. */
void block_disk_report(struct block_disk *disk, const char *operation, int error);
void block_disk_report_guest(struct block_disk *disk, const char *rule, uint64_t sector);

#endif
