/*
 * Bytes of a popped chain. No state of its own; runs on the thread that owns the chain. Segments and
 * their sizes were checked when the chain was popped; the bytes in them may change at any time.
 */
#include "ph/virtqueue.h"

#include <string.h>

/* The segments of one direction, and how far into them we are. */
struct cursor {
	const struct iovec *iov;
	unsigned left;
	uint64_t skip; /* bytes before the next one wanted, from the start of iov[0] on */
};

static struct cursor cursor_at(const struct virtqueue_chain *chain, bool writable, uint64_t offset) {
	return (struct cursor){
		.iov = chain->iov + (writable ? chain->readable_count : 0),
		.left = writable ? chain->writable_count : chain->readable_count,
		.skip = offset,
	};
}

/* The next piece of at most len bytes; its length, 0 at the end. */
static size_t cursor_next(struct cursor *cursor, uint64_t len, uint8_t **piece) {
	while (cursor->left > 0 && cursor->skip >= cursor->iov->iov_len) {
		cursor->skip -= cursor->iov->iov_len;
		cursor->iov++;
		cursor->left--;
	}
	if (cursor->left == 0) {
		return 0;
	}
	uint64_t here = cursor->iov->iov_len - cursor->skip;
	*piece = (uint8_t *)cursor->iov->iov_base + cursor->skip;
	here = here < len ? here : len;
	cursor->skip += here;
	return here;
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t len) {
	struct cursor cursor = cursor_at(chain, false, offset);
	uint8_t *piece;
	size_t done = 0, n;
	while (done < len && (n = cursor_next(&cursor, len - done, &piece)) > 0) {
		memcpy((uint8_t *)data + done, piece, n);
		done += n;
	}
	/* What the caller checks is the copy: the compiler must not read the guest's bytes again. */
	__asm__ volatile("" : : : "memory");
	return done;
}

size_t virtqueue_chain_write(struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t len) {
	struct cursor cursor = cursor_at(chain, true, offset);
	uint8_t *piece;
	size_t done = 0, n;
	while (done < len && (n = cursor_next(&cursor, len - done, &piece)) > 0) {
		memcpy(piece, (const uint8_t *)data + done, n);
		done += n;
	}
	return done;
}

unsigned virtqueue_chain_slice(const struct virtqueue_chain *chain, bool writable, uint64_t offset,
	uint64_t len, struct iovec *iov, unsigned max) {
	struct cursor cursor = cursor_at(chain, writable, offset);
	uint8_t *piece;
	unsigned count = 0;
	while (len > 0) {
		size_t n = count < max ? cursor_next(&cursor, len, &piece) : 0;
		if (n == 0) {
			return 0;
		}
		iov[count++] = (struct iovec){.iov_base = piece, .iov_len = n};
		len -= n;
	}
	return count;
}
