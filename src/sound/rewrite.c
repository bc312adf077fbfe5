/*
 * What a program of the VM says of itself, its streams and its formats: properties, which are keys with
 * values of any kind, and titles. In the sound filter's process; all of it is hostile.
 *
 * Servers act on properties. With filter.apply PulseAudio loads a module of that name, with arguments that
 * are properties, too, and one of these is the path of a library. What PipeWire's clients may set of a node
 * makes it a microphone of the host's, or changes the rate at which everything plays. By a stream's role
 * other streams are paused, and by that or the program's id its volume is remembered, for programs of the
 * host, too. So only what mixers show passes; and as volumes are also remembered by the program's name, that
 * has the VM's before it.
 */
#include "sound/rewrite.h"

#include "ph/text.h"
#include "sound/tags.h"

#include <string.h>

#define NAME_SIZE 256 /* of a program, with its VM's */

enum value {
	UNLISTED,
	TEXT,
	ICON, /* the name of one: mixers may take anything else for a path or an address */
	NAME,
};

static const struct {
	const char *key;
	enum value value;
} listed[] = {
	{"application.icon_name", ICON},
	{"application.language", TEXT},
	{"application.name", NAME},
	{"application.process.binary", TEXT},
	{"application.version", TEXT},
	{"event.description", TEXT},
	{"event.id", TEXT},
	{"format.channel_map", TEXT},
	{"format.channels", TEXT},
	{"format.rate", TEXT},
	{"format.sample_format", TEXT},
	{"media.artist", TEXT},
	{"media.copyright", TEXT},
	{"media.icon_name", ICON},
	{"media.language", TEXT},
	{"media.name", TEXT},
	{"media.software", TEXT},
	{"media.title", TEXT},
};

static enum value find_value(const char *key) {
	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
		if (strcmp(listed[i].key, key) == 0) {
			return listed[i].value;
		}
	}
	return UNLISTED;
}

static bool is_icon(const char *text) {
	while (text_is_name_letter(*text)) {
		text++;
	}
	return *text == '\0';
}

/* One text, with the zero at its end. */
static bool is_value(enum value kind, const char *value, size_t size) {
	return size > 0 && strnlen(value, size) == size - 1 && (kind != ICON || is_icon(value));
}

struct writer {
	const char *tag;
	uint8_t *next;
	size_t left;
	bool full, named;
};

/* Room for size bytes; NULL: there was too little. */
static uint8_t *reserve(struct writer *writer, size_t size) {
	uint8_t *to = writer->next;
	writer->full |= size > writer->left;
	if (writer->full) {
		return NULL;
	}
	writer->next += size;
	writer->left -= size;
	return to;
}

static void put(struct writer *writer, const void *data, size_t size) {
	uint8_t *to = reserve(writer, size);
	if (to != NULL) {
		memcpy(to, data, size);
	}
}

/* With the zero at its end, which is counted. */
static size_t put_line(struct writer *writer, enum value kind, const char *text) {
	char *to = (char *)writer->next;
	size_t room = writer->left < NAME_SIZE ? writer->left : NAME_SIZE;
	if (writer->left == 0) {
		writer->full = true;
		return 0;
	}
	size_t size = kind == NAME ? text_tag(to, room, writer->tag, text)
				   : text_copy_plain(to, writer->left, text);
	reserve(writer, size + 1);
	return size + 1;
}

static void put_property(struct writer *writer, const char *key, enum value kind, const char *value) {
	put(writer, "t", 1);
	put(writer, key, strlen(key) + 1);
	uint8_t *head = reserve(writer, 10);
	size_t size = put_line(writer, kind, value);
	if (head != NULL) {
		tags_put_number(head, (uint32_t)size)[0] = 'x';
		tags_put(head + 6, (uint32_t)size);
	}
	writer->named |= kind == NAME;
}

/* Behind the letter of a list: keys, sizes and values, up to the string that is none. False: it is no list.
 */
static bool rewrite_list(struct tags *tags, struct writer *writer) {
	for (;;) {
		const char *key;
		uint32_t size;
		uint8_t *bytes;
		if (!tags_property(tags, &key, &bytes, &size)) {
			return false;
		}
		if (key == NULL) {
			put(writer, "N", 1);
			return true;
		}
		const char *value = (const char *)bytes;
		enum value kind = find_value(key);
		if (kind != UNLISTED && is_value(kind, value, size)) {
			put_property(writer, key, kind, value);
		}
	}
}

/* False: it is no value. */
static bool rewrite_value(struct tags *tags, struct writer *writer) {
	const uint8_t *from = tags->next;
	const char *text;
	if (tags_string(tags, &text)) {
		put(writer, from, 1);
		if (text != NULL) {
			put_line(writer, TEXT, text);
		}
		return true;
	}
	if (!tags_any(tags)) {
		return false;
	}
	put(writer, from, (size_t)(tags->next - from));
	return *from != TAG_PROPERTIES || rewrite_list(tags, writer);
}

size_t sound_rewrite(const char *tag, uint8_t *command, size_t size, uint8_t *to, size_t room, bool *named) {
	struct tags tags = {.next = command, .left = size};
	struct writer writer = {.tag = tag, .next = to, .left = room};
	while (tags.left > 0) {
		if (!rewrite_value(&tags, &writer)) {
			return 0;
		}
	}
	*named = writer.named;
	return writer.full ? 0 : (size_t)(writer.next - to);
}
