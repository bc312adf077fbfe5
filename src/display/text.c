/*
 * The VM's name in what windows are called. Runs on the display's loop. Titles are hostile: whatever they
 * hold, the name stays in front of them and readable.
 */
#include "display/filter_parts.h"

#include "ph/text.h"

#include <stdio.h>
#include <string.h>

/* The code point at *text, and past it; -1: no UTF-8. */
static int32_t next_point(const char **text) {
	const uint8_t *bytes = (const uint8_t *)*text;
	unsigned more = bytes[0] < 0x80 ? 0 : bytes[0] < 0xe0 ? 1 : bytes[0] < 0xf0 ? 2 : 3;
	int32_t point = bytes[0];
	++*text;
	if (bytes[0] < 0x80) {
		return point;
	}
	if (bytes[0] < 0xc2 || bytes[0] > 0xf4) {
		return -1;
	}
	point &= 0x3f >> more;
	for (unsigned i = 1; i <= more; i++) {
		if ((bytes[i] & 0xc0) != 0x80) {
			return -1;
		}
		point = point << 6 | (bytes[i] & 0x3f);
	}
	static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
	if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
		return -1;
	}
	*text += more;
	return point;
}

/* Control characters, and what turns the direction of text around: they could hide what is in front. */
static bool is_plain(int32_t point) {
	return point >= 0x20 && (point < 0x7f || point > 0x9f) && point != 0x061c &&
	       !(point >= 0x200b && point <= 0x200f) && !(point >= 0x2028 && point <= 0x202e) &&
	       !(point >= 0x2060 && point <= 0x206f) && point != 0xfeff;
}

void filter_tag_title(char text[FILTER_TITLE_SIZE], const char *tag, const char *title) {
	size_t at = (size_t)snprintf(text, FILTER_TITLE_SIZE, "[%s]%s", tag, title[0] != '\0' ? " " : "");
	while (*title != '\0') {
		const char *start = title;
		int32_t point = next_point(&title);
		size_t size = (size_t)(title - start);
		if (at + size >= FILTER_TITLE_SIZE) {
			break;
		}
		if (is_plain(point)) {
			memcpy(text + at, start, size);
			at += size;
		} else {
			text[at++] = '?';
		}
	}
	text[at] = '\0';
}

void filter_tag_app_id(char text[FILTER_APP_ID_SIZE], const char *tag, const char *app_id) {
	snprintf(text, FILTER_APP_ID_SIZE, "ph.%s%s%s", tag, app_id[0] != '\0' ? "." : "", app_id);
	for (char *c = text; *c != '\0'; c++) {
		*c = text_is_name_letter(*c) ? *c : '_';
	}
}
