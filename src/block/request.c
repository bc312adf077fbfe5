/*
 * virtio-blk requests (see request.h). Runs on the disks' threads; a request belongs to the one of
 * its queue. Everything in the chain is hostile: the header is copied once, lengths are bounded in
 * u64 before anything is multiplied, and a refused request gets its status and one log line.
 */
#include "block/request.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define ZEROES_UNMAP 1u
#define ID_SIZE 20u
#define OVERLAY_PAGE 4096u

struct request_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct zero_segment {
	uint64_t sector;
	uint32_t sectors, flags;
};

static void refuse(struct block_request *request, uint8_t status, const char *rule, uint64_t sector) {
	request->status = status;
	request->left = 0;
	request->sync = false;
	block_disk_report_guest(request->disk, rule, sector);
}

/* The bytes [sector, sector + sectors) of the disk become what is to be done. */
static bool take_range(struct block_request *request, uint64_t sector, uint64_t sectors) {
	uint64_t capacity = request->disk->size / BLOCK_SECTOR_SIZE;
	if (sector > capacity || sectors > capacity - sector) {
		refuse(request, VIRTIO_BLK_S_IOERR, "beyond the end of the disk", sector);
		return false;
	}
	request->offset = sector * BLOCK_SECTOR_SIZE;
	request->left = sectors * BLOCK_SECTOR_SIZE;
	return true;
}

static void parse_data(struct block_request *request, const struct virtqueue_chain *chain, uint64_t sector,
	bool writable, uint64_t at, uint64_t len) {
	if (len % BLOCK_SECTOR_SIZE != 0) {
		refuse(request, VIRTIO_BLK_S_IOERR, "not a whole number of sectors", sector);
	} else if (take_range(request, sector, len / BLOCK_SECTOR_SIZE) && len > 0) {
		request->count =
			virtqueue_chain_slice(chain, writable, at, len, request->iov, VIRTQUEUE_SIZE_MAX);
	}
}

static void parse_in(struct block_request *request, const struct virtqueue_chain *chain, uint64_t sector) {
	uint64_t len = chain->writable_size - 1;
	parse_data(request, chain, sector, true, 0, len);
	request->written = (uint32_t)(len + 1);
}

static void parse_out(struct block_request *request, const struct virtqueue_chain *chain, uint64_t sector) {
	if (request->disk->mode == BLOCK_READ_ONLY) {
		refuse(request, VIRTIO_BLK_S_IOERR, "a write to a read-only disk", sector);
		return;
	}
	uint64_t at = sizeof(struct request_header);
	request->sync = request->disk->write_through;
	parse_data(request, chain, sector, false, at, chain->readable_size - at);
}

/* DISCARD and WRITE_ZEROES: one segment, as the configuration space says. */
static void parse_zero(struct block_request *request, const struct virtqueue_chain *chain) {
	bool discard = request->type == VIRTIO_BLK_T_DISCARD;
	struct zero_segment segment;
	if (request->disk->mode == BLOCK_READ_ONLY) {
		refuse(request, VIRTIO_BLK_S_UNSUPP, "a discard on a read-only disk", 0);
		return;
	}
	if (chain->readable_size != sizeof(struct request_header) + sizeof(segment)) {
		refuse(request, VIRTIO_BLK_S_IOERR, "a discard or zeroing of not one segment", 0);
		return;
	}
	virtqueue_chain_read(chain, sizeof(struct request_header), &segment, sizeof(segment));
	uint64_t sector = le64toh(segment.sector);
	uint32_t sectors = le32toh(segment.sectors), flags = le32toh(segment.flags);
	if ((flags & ~(discard ? 0 : ZEROES_UNMAP)) != 0) {
		refuse(request, VIRTIO_BLK_S_UNSUPP, "a discard or zeroing with unknown flags", sector);
		return;
	}
	if (sectors > (discard ? BLOCK_DISCARD_SECTORS_MAX : BLOCK_WRITE_ZEROES_SECTORS_MAX)) {
		refuse(request, VIRTIO_BLK_S_IOERR, "a discard or zeroing of too much", sector);
		return;
	}
	if (take_range(request, sector, sectors)) {
		request->zero_kind = discard || flags != 0 ? BLOCK_IO_PUNCH : BLOCK_IO_ZERO;
		request->sync = request->disk->write_through && !discard;
	}
}

static void parse_id(struct block_request *request, struct virtqueue_chain *chain) {
	if (chain->writable_size != ID_SIZE + 1) {
		refuse(request, VIRTIO_BLK_S_IOERR, "GET_ID with a buffer of the wrong size", 0);
		return;
	}
	virtqueue_chain_write(chain, 0, request->disk->id, ID_SIZE);
	request->written = ID_SIZE + 1;
}

static void parse_body(struct block_request *request, struct virtqueue_chain *chain, uint64_t sector) {
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		parse_in(request, chain, sector);
		break;
	case VIRTIO_BLK_T_OUT:
		parse_out(request, chain, sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		/* Nothing outlives the VM but what went into a writable image. */
		request->sync = request->disk->mode == BLOCK_READ_WRITE;
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		parse_zero(request, chain);
		break;
	case VIRTIO_BLK_T_GET_ID:
		parse_id(request, chain);
		break;
	default:
		refuse(request, VIRTIO_BLK_S_UNSUPP, "an unknown type", sector);
		break;
	}
}

int block_request_parse(struct block_request *request, struct block_disk *disk, struct virtqueue_chain *chain,
	const char **rule) {
	struct request_header header;
	struct iovec status;
	if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header)) {
		*rule = "a block request without a whole header";
		return -EPROTO;
	}
	if (chain->writable_size == 0 ||
		virtqueue_chain_slice(chain, true, chain->writable_size - 1, 1, &status, 1) != 1) {
		*rule = "a block request without a place for its status";
		return -EPROTO;
	}
	request->disk = disk;
	request->type = le32toh(header.type);
	request->status = VIRTIO_BLK_S_OK;
	request->status_at = status.iov_base;
	/* The used ring counts bytes from the first one on, and the status is the last. */
	request->written_bad = chain->writable_size == 1 ? 1 : 0;
	request->written = request->written_bad;
	request->offset = request->left = 0;
	request->sync = false;
	request->first = request->count = 0;
	request->cut_rest = 0;
	parse_body(request, chain, le64toh(header.sector));
	return 0;
}

/* The operation: the first len bytes of what is left, len at most that. */
static void set_io(struct block_request *request, enum block_io_kind kind, uint64_t len) {
	unsigned end = request->first;
	uint64_t total = 0;
	while (end < request->count && total < len) {
		total += request->iov[end++].iov_len;
	}
	if (total > len) {
		request->cut = end - 1;
		request->cut_rest = (size_t)(total - len);
		request->iov[request->cut].iov_len -= request->cut_rest;
	}
	request->io = (struct block_io){.kind = kind,
		.iov = &request->iov[request->first],
		.iov_count = end - request->first,
		.offset = request->disk->offset + request->offset,
		.len = len};
}

/* Zeros where the file system cannot make them: written. */
static void set_io_zeros(struct block_request *request, uint64_t len) {
	static const uint8_t zeros[65536] __attribute__((aligned(4096)));
	uint64_t left = len;
	request->first = request->count = 0;
	while (left > 0) {
		size_t part = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
		request->iov[request->count++] = (struct iovec){.iov_base = (void *)zeros, .iov_len = part};
		left -= part;
	}
	set_io(request, BLOCK_IO_WRITE, len);
}

static uint64_t operation_size(const struct block_request *request) {
	return request->left < BLOCK_OPERATION_MAX ? request->left : BLOCK_OPERATION_MAX;
}

/* Up to a page's end: a part of a page that becomes zeros gives no memory back. */
static ssize_t zero_overlay(struct block_request *request) {
	uint64_t len = BLOCK_OPERATION_MAX - request->offset % OVERLAY_PAGE;
	set_io(request, BLOCK_IO_PUNCH, request->left < len ? request->left : len);
	return block_overlay_zero(&request->disk->overlay, request->offset, request->io.len);
}

/* One operation on the overlay, or one on the image if it is about sectors that only that has. No more at a
 * time: between them the caller looks for a reset. */
static enum block_next next_overlay(struct block_request *request) {
	struct block_overlay *overlay = &request->disk->overlay;
	uint64_t len = operation_size(request);
	ssize_t n;
	if (request->type == VIRTIO_BLK_T_IN) {
		bool written;
		len = BLOCK_SECTOR_SIZE * block_overlay_run(overlay, request->offset / BLOCK_SECTOR_SIZE,
						  len / BLOCK_SECTOR_SIZE, &written);
		set_io(request, BLOCK_IO_READ, len);
		if (!written) {
			return BLOCK_NEXT_OPERATION;
		}
		n = block_overlay_read(overlay, request->io.iov, request->io.iov_count, request->offset);
	} else if (request->type == VIRTIO_BLK_T_OUT) {
		set_io(request, BLOCK_IO_WRITE, len);
		n = block_overlay_write(
			overlay, request->io.iov, request->io.iov_count, request->offset, len);
	} else {
		n = zero_overlay(request);
	}
	block_request_done(request, n);
	return BLOCK_NEXT_DONE;
}

static enum block_next next_image(struct block_request *request) {
	uint64_t len = operation_size(request);
	if (request->type == VIRTIO_BLK_T_IN) {
		set_io(request, BLOCK_IO_READ, len);
	} else if (request->type == VIRTIO_BLK_T_OUT) {
		set_io(request, BLOCK_IO_WRITE, len);
	} else if (request->zero_kind == BLOCK_IO_WRITE) {
		set_io_zeros(request, len);
	} else {
		set_io(request, request->zero_kind, request->left);
	}
	return BLOCK_NEXT_OPERATION;
}

enum block_next block_request_next(struct block_request *request) {
	if (request->left > 0 && request->disk->mode == BLOCK_EPHEMERAL) {
		return next_overlay(request);
	}
	if (request->left > 0) {
		return next_image(request);
	}
	if (request->sync) {
		request->io = (struct block_io){.kind = BLOCK_IO_SYNC};
		return BLOCK_NEXT_OPERATION;
	}
	return BLOCK_NEXT_NONE;
}

static void fail(struct block_request *request, int error) {
	static const char *const names[] = {
		[BLOCK_IO_READ] = "reading the image",
		[BLOCK_IO_WRITE] = "writing the image",
		[BLOCK_IO_SYNC] = "making what was written safe",
		[BLOCK_IO_PUNCH] = "making a hole",
		[BLOCK_IO_ZERO] = "writing zeros",
	};
	request->status = VIRTIO_BLK_S_IOERR;
	request->left = 0;
	request->sync = false;
	block_disk_report(request->disk, names[request->io.kind], error);
}

/* The file system cannot make a hole or zeros: go on in the next way. */
static void zero_otherwise(struct block_request *request) {
	if (request->type == VIRTIO_BLK_T_DISCARD) {
		request->left = 0; /* only a hint */
	} else {
		request->zero_kind = request->io.kind == BLOCK_IO_PUNCH ? BLOCK_IO_ZERO : BLOCK_IO_WRITE;
	}
}

static void done_error(struct block_request *request, int error) {
	bool zeroing = request->io.kind == BLOCK_IO_PUNCH || request->io.kind == BLOCK_IO_ZERO;
	if (error == -EINTR) {
		return; /* the same once more */
	}
	/* A block device answers -EINVAL to what its sectors do not fit. */
	if (zeroing && request->disk->mode == BLOCK_READ_WRITE &&
		(error == -EOPNOTSUPP || error == -EINVAL)) {
		zero_otherwise(request);
		return;
	}
	fail(request, error);
}

static void advance(struct block_request *request, uint64_t bytes) {
	request->offset += bytes;
	request->left -= bytes;
	while (bytes > 0) {
		struct iovec *iov = &request->iov[request->first];
		size_t part = bytes < iov->iov_len ? (size_t)bytes : iov->iov_len;
		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		bytes -= part;
		request->first += iov->iov_len == 0;
	}
}

void block_request_done(struct block_request *request, ssize_t result) {
	if (request->cut_rest > 0) {
		request->iov[request->cut].iov_len += request->cut_rest;
		request->cut_rest = 0;
	}
	if (result < 0) {
		done_error(request, (int)result);
		return;
	}
	switch (request->io.kind) {
	case BLOCK_IO_READ:
	case BLOCK_IO_WRITE:
		if (result == 0) {
			fail(request, request->io.kind == BLOCK_IO_READ ? -ENODATA : -ENOSPC);
			return;
		}
		advance(request, (uint64_t)result);
		break;
	case BLOCK_IO_SYNC:
		request->sync = false;
		break;
	case BLOCK_IO_PUNCH:
	case BLOCK_IO_ZERO:
		request->offset += request->io.len;
		request->left -= request->io.len;
		break;
	}
}

uint32_t block_request_complete(struct block_request *request) {
	bool ok = request->status == VIRTIO_BLK_S_OK;
	*(volatile uint8_t *)request->status_at = request->status;
	return ok ? request->written : request->written_bad;
}
