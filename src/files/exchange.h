/*
 * One request and the room for its reply, as the transport has them: two lists of segments, usually
 * in guest memory, which may change at any time.
 */
#ifndef FILES_EXCHANGE_H
#define FILES_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct p9_exchange {
	const struct iovec *in, *out;
	unsigned in_count, out_count;
	uint64_t in_size, out_size; /* bytes in total */
	uint64_t cookie;            /* the transport's name for it */
};

/* What one message can have at most: more segments than that are not looked at. */
#define P9_SEGMENTS_MAX 256

/* Copy between the request or the reply, from offset on, and a buffer; returns the bytes copied. */
size_t p9_exchange_read(const struct p9_exchange *exchange, uint64_t offset, void *data, size_t len);
size_t p9_exchange_write(const struct p9_exchange *exchange, uint64_t offset, const void *data, size_t len);

/* At most len bytes of the list from offset on as segments of their own; returns how many. */
unsigned p9_segments_slice(
	const struct iovec *list, unsigned count, uint64_t offset, uint64_t len, struct iovec *slice);

#endif
