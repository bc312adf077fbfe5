/*
 * Fuzz one 9P2000.L message, header included, against a session with something to work on. The input is
 * the message.
 */
#include "p9_share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	p9_share_begin();
	p9_share_send(data, size);
	p9_share_end();
	return 0;
}
