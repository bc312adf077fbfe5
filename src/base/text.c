/* Text of anybody's, looked at byte by byte; any thread. Hostile: all of it. */
#include "ph/text.h"

#include <stdint.h>

/* The bytes of the UTF-8 character at text, 0 when it is none, or a control character of 0x80 to 0x9f. */
static unsigned utf8_length(const unsigned char *text, size_t size) {
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = {{0xe0, 0xc0, 0xa0}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	for (unsigned more = 1; more <= 3 && more < size; more++) {
		if ((text[0] & forms[more - 1].mask) != forms[more - 1].lead) {
			continue;
		}
		uint32_t code = text[0] & (unsigned char)~forms[more - 1].mask;
		for (unsigned i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80) {
				return 0;
			}
			code = code << 6 | (text[i] & 0x3f);
		}
		bool surrogate = code >= 0xd800 && code < 0xe000;
		return code >= forms[more - 1].least && code < 0x110000 && !surrogate ? more + 1 : 0;
	}
	return 0;
}

/* The bytes of the printable character at text, 0 when it is none. */
static unsigned printable_length(const unsigned char *text, size_t size) {
	return *text >= 0x20 && *text < 0x7f ? 1 : utf8_length(text, size);
}

/* Control characters could drive the user's terminal. */
void text_make_printable(char *text, size_t size) {
	unsigned char *c = (unsigned char *)text;
	while (size > 0) {
		unsigned length = printable_length(c, size);
		if (length == 0) {
			*c = '?';
			length = 1;
		}
		c += length;
		size -= length;
	}
}

bool text_is_printable(const char *text, size_t size) {
	const unsigned char *c = (const unsigned char *)text;
	unsigned length = 1;
	for (; size > 0 && length > 0; c += length, size -= length) {
		length = printable_length(c, size);
	}
	return length > 0;
}

bool text_is_name_letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.';
}

size_t text_cut(const char *text, size_t size) {
	for (size_t i = 0; i <= 3 && i <= size; i++) {
		if (((unsigned char)text[size - i] & 0xc0) != 0x80) {
			return size - i;
		}
	}
	return size; /* no character is that long */
}

uint32_t text_hash(uint32_t beside, const char *text) {
	uint32_t hash = 2166136261u ^ beside;
	for (; *text != '\0'; text++) {
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	}
	return hash;
}
