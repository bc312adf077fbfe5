/*
 * What was written to a terminal, seen from its other end.
 */
#ifndef TEST_ASSERT_SHOWN_H
#define TEST_ASSERT_SHOWN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Fails unless the master of a pty has exactly this text, at most 255 bytes. The kernel hands on what each
 * write left in its own time: one read may get the first alone, and more may follow. */
static inline void assert_shown(int master, const char *expected) {
	char text[256];
	struct pollfd polled = {.fd = master, .events = POLLIN};
	size_t got = 0;
	ssize_t n = 1;
	while (n > 0 && got < sizeof(text) - 1 && poll(&polled, 1, got < strlen(expected) ? 10000 : 20) > 0) {
		n = read(master, text + got, sizeof(text) - 1 - got);
		got += n > 0 ? (size_t)n : 0;
	}
	text[got] = '\0';
	assert_string_equal(text, expected);
}

#endif
