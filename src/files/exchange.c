/*
 * Access to requests and replies (see exchange.h). On any thread. The segments were checked by the
 * transport; their bytes are the guest's and change under the reader's hands.
 */
#include "files/exchange.h"

#include <string.h>

unsigned p9_segments_slice(
	const struct iovec *list, unsigned count, uint64_t offset, uint64_t len, struct iovec *slice) {
	unsigned used = 0;
	for (unsigned i = 0; i < count && len > 0 && used < P9_SEGMENTS_MAX; i++) {
		if (offset >= list[i].iov_len) {
			offset -= list[i].iov_len;
			continue;
		}
		size_t left = list[i].iov_len - (size_t)offset;
		size_t take = left < len ? left : (size_t)len;
		slice[used++] = (struct iovec){(char *)list[i].iov_base + offset, take};
		len -= take;
		offset = 0;
	}
	return used;
}

size_t p9_exchange_read(const struct p9_exchange *exchange, uint64_t offset, void *data, size_t len) {
	struct iovec slice[P9_SEGMENTS_MAX];
	unsigned count = p9_segments_slice(exchange->in, exchange->in_count, offset, len, slice);
	size_t done = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy((char *)data + done, slice[i].iov_base, slice[i].iov_len);
		done += slice[i].iov_len;
	}
	return done;
}

size_t p9_exchange_write(const struct p9_exchange *exchange, uint64_t offset, const void *data, size_t len) {
	struct iovec slice[P9_SEGMENTS_MAX];
	unsigned count = p9_segments_slice(exchange->out, exchange->out_count, offset, len, slice);
	size_t done = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(slice[i].iov_base, (const char *)data + done, slice[i].iov_len);
		done += slice[i].iov_len;
	}
	return done;
}
