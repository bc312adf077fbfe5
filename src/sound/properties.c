/*
 * Properties of clients, streams and formats: keys with values of any kind. In the sound filter's process;
 * all of it is hostile.
 *
 * Servers act on them. With filter.apply PulseAudio loads a module of that name, with arguments that are
 * properties, too, and one of these is the path of a library. What PipeWire's clients may set of a node makes
 * it a microphone of the host's, or changes the rate at which everything plays. By a stream's role other
 * streams are paused, and by that or the program's id its volume is remembered, for programs of the host,
 * too. So only what mixers show passes.
 */
#include "sound/properties.h"

#include "ph/text.h"
#include "sound/tags.h"

#include <stdbool.h>
#include <string.h>

enum value {
	TEXT,
	ICON, /* the name of one: mixers may take anything else for a path or an address */
};

static const struct {
	const char *key;
	enum value value;
} listed[] = {
	{"application.icon_name", ICON},
	{"application.language", TEXT},
	{"application.name", TEXT},
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

static bool is_name(const char *text, size_t size) {
	size_t i = 0;
	while (i < size && text_is_name_letter(text[i])) {
		i++;
	}
	return i == size;
}

/* One line of text, with the zero at its end. */
static bool is_value(enum value kind, const uint8_t *value, size_t size) {
	const char *text = (const char *)value;
	if (size == 0 || value[size - 1] != 0) {
		return false;
	}
	return kind == ICON ? is_name(text, size - 1) : text_is_printable(text, size - 1);
}

static bool is_listed(const char *key, const uint8_t *value, size_t size) {
	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
		if (strcmp(listed[i].key, key) == 0) {
			return is_value(listed[i].value, value, size);
		}
	}
	return false;
}

/* What of a command is kept moves to where the last of it ended. */
static uint8_t *keep(uint8_t *to, const uint8_t *from, const struct tags *tags) {
	size_t size = (size_t)(tags->next - from);
	memmove(to, from, size);
	return to + size;
}

/* Behind the letter of a list: keys, sizes and values, up to the string that is none. NULL: it is no list. */
static uint8_t *keep_list(struct tags *tags, uint8_t *to) {
	for (;;) {
		const uint8_t *from = tags->next;
		const char *key;
		uint32_t size;
		uint8_t *value;
		if (!tags_string(tags, &key)) {
			return NULL;
		}
		if (key == NULL) {
			return keep(to, from, tags);
		}
		if (!tags_number(tags, &size) || !tags_bytes(tags, size, &value)) {
			return NULL;
		}
		if (is_listed(key, value, size)) {
			to = keep(to, from, tags);
		}
	}
}

size_t sound_keep_properties(uint8_t *command, size_t size) {
	struct tags tags = {.next = command, .left = size};
	uint8_t *to = command;
	while (tags.left > 0) {
		const uint8_t *from = tags.next;
		bool list = *from == TAG_PROPERTIES;
		if (!tags_any(&tags)) {
			return 0;
		}
		to = keep(to, from, &tags);
		to = list ? keep_list(&tags, to) : to;
		if (to == NULL) {
			return 0;
		}
	}
	return (size_t)(to - command);
}
