/*
 * Fuzz a session: messages one after the other, so that fids are made, changed, opened, renamed under
 * each other and used after their end. Input: for each message a byte of type, a byte of length, and as many
 * bytes of body; size and tag are filled in.
 */
#include "p9_share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	p9_share_begin();
	for (unsigned count = 0; size >= 2 && count < 64; count++) {
		size_t body = data[1] < size - 2 ? data[1] : size - 2;
		p9_share_send_body(data[0], data + 2, body);
		data += 2 + body;
		size -= 2 + body;
	}
	p9_share_end();
	return 0;
}
