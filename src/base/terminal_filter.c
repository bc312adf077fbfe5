/*
 * What a guest writes to a terminal that it has not for itself. Any thread; every byte is the guest's. Each
 * is judged where it stands, so that nothing is held back: a sequence that is cut in two by the end of what
 * is there is taken for one that is not wanted.
 */
#include "ph/terminal.h"

#define ESCAPE 0x1b
#define DELETE 0x7f

/* The length of a sequence that sets colours and the like (ECMA-48: SGR), 0 when there is none. */
static size_t color_sequence(const uint8_t *bytes, size_t size) {
	if (size < 3 || bytes[0] != ESCAPE || bytes[1] != '[') {
		return 0;
	}
	for (size_t i = 2; i < size; i++) {
		if (bytes[i] == 'm') {
			return i + 1;
		}
		if ((bytes[i] < '0' || bytes[i] > '9') && bytes[i] != ';' && bytes[i] != ':') {
			return 0;
		}
	}
	return 0;
}

static bool is_harmless_control(uint8_t byte) {
	return byte == '\a' || byte == '\b' || byte == '\t' || byte == '\n' || byte == '\r';
}

/*
 * A byte from 0x80 on: part of a character of UTF-8 (RFC 3629, section 4), and not of a control character.
 * Where the second byte lies depends on the first: longer forms than needed are none, although some terminals
 * would find control characters in them.
 */
static bool is_printable(struct terminal_filter *filter, uint8_t byte) {
	if (byte >= 0xc0) {
		const bool begins = byte >= 0xc2 && byte <= 0xf4;
		filter->continuation = !begins ? 0 : byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
		filter->least = byte == 0xc2 || byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
		filter->most = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
		return begins;
	}
	const bool printable = filter->continuation > 0 && byte >= filter->least && byte <= filter->most;
	filter->continuation = printable ? filter->continuation - 1 : 0;
	filter->least = 0x80;
	filter->most = 0xbf;
	return printable;
}

void terminal_filter(struct terminal_filter *filter, uint8_t *to, const uint8_t *from, size_t size) {
	size_t passed = 0; /* so far everything passes */
	for (size_t i = 0; i < size; i++) {
		const uint8_t byte = from[i];
		bool good;
		if (byte >= 0x80) {
			good = is_printable(filter, byte);
		} else {
			*filter = (struct terminal_filter){0};
			size_t sequence = color_sequence(from + i, size - i);
			passed = sequence > 0 ? i + sequence : passed;
			good = i < passed || (byte >= ' ' && byte != DELETE) || is_harmless_control(byte);
		}
		to[i] = good ? byte : '?';
	}
}
