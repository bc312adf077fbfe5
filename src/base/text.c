/* Text of anybody's, looked at byte by byte; any thread. Hostile: all of it. */
#include "ph/text.h"

#include <stdio.h>
#include <string.h>

#define NO_UTF8 (-1)

/* The character at text, which has size bytes, and its length; where it is no UTF-8, that of a byte. */
static int32_t character(const unsigned char *text, size_t size, unsigned *length) {
	static const struct {
		unsigned char mask, lead;
		int32_t least;
	} forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	*length = 1;
	for (unsigned more = 0; more <= 3 && more < size; more++) {
		if ((text[0] & forms[more].mask) != forms[more].lead) {
			continue;
		}
		int32_t code = text[0] & (unsigned char)~forms[more].mask;
		for (unsigned i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80) {
				return NO_UTF8;
			}
			code = code << 6 | (text[i] & 0x3f);
		}
		if (code < forms[more].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
			return NO_UTF8;
		}
		*length = more + 1;
		return code;
	}
	return NO_UTF8;
}

/* Control characters could drive the user's terminal. */
static bool is_printable(int32_t code) {
	return code >= 0x20 && (code < 0x7f || code > 0x9f);
}

/* What is not seen, or turns the direction of text around, could hide what is in front of it. */
static bool is_plain(int32_t code) {
	return is_printable(code) && code != 0x061c && !(code >= 0x200b && code <= 0x200f) &&
	       !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f) && code != 0xfeff;
}

void text_make_printable(char *text, size_t size) {
	unsigned char *c = (unsigned char *)text;
	unsigned length;
	for (; size > 0; c += length, size -= length) {
		if (!is_printable(character(c, size, &length))) {
			memset(c, '?', length);
		}
	}
}

size_t text_copy_plain(char *to, size_t room, const char *text) {
	const unsigned char *c = (const unsigned char *)text;
	size_t at = 0, left = strlen(text);
	unsigned length;
	for (; left > 0; c += length, left -= length) {
		bool plain = is_plain(character(c, left, &length));
		unsigned size = plain ? length : 1;
		if (at + size >= room) {
			break;
		}
		memcpy(to + at, plain ? (const char *)c : "?", size);
		at += size;
	}
	to[at] = '\0';
	return at;
}

size_t text_tag(char *to, size_t room, const char *tag, const char *text) {
	size_t size = (size_t)snprintf(to, room, "[%s]%s", tag, text[0] != '\0' ? " " : "");
	return size < room ? size + text_copy_plain(to + size, room - size, text) : room - 1;
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
