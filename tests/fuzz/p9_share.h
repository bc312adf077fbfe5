/*
 * The file server under fuzz: one server on a small tree in a directory of its own, the messages
 * handed to its core without a transport.
 */
#ifndef FUZZ_P9_SHARE_H
#define FUZZ_P9_SHARE_H

#include <stddef.h>
#include <stdint.h>

/* A new session with fids 0 (the root), 1 (a directory, open), 2 (a file, open for reading and writing), 3 (a
 * file), 4 (a symbolic link to outside) and 5 (a directory), on a fresh tree. */
void p9_share_begin(void);
/* Send a message; aborts when the answer is not one. */
void p9_share_send(const uint8_t *message, size_t size);
/* The same with the header's size and tag filled in. */
void p9_share_send_body(uint8_t type, const uint8_t *body, size_t size);
/* End the session and remove what it made; aborts when anything outside the share has changed. */
void p9_share_end(void);

#endif
