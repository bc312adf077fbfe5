/* Tagged values, of which each command of PulseAudio's consists: a letter, then the value. */
#ifndef SOUND_TAGS_H
#define SOUND_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAG_PROPERTIES 'P' /* behind it keys, sizes and values, up to the string that is none */

struct tags {
	uint8_t *next;
	size_t left;
};

/* Each takes the next value if it is of that kind; false, and nothing taken, if not. */
bool tags_number(struct tags *tags, uint32_t *value);
bool tags_sample_spec(struct tags *tags);
bool tags_channel_map(struct tags *tags);
/* NULL for the string that is none. */
bool tags_string(struct tags *tags, const char **string);
/* size bytes, where they are. */
bool tags_bytes(struct tags *tags, size_t size, uint8_t **bytes);
/* The next property of a list, its value where it is; *key NULL: that was the list's end. */
bool tags_property(struct tags *tags, const char **key, uint8_t **value, uint32_t *size);
/* A list of properties, its letter included. */
bool tags_list(struct tags *tags);
/* Whatever comes next; of a list of properties, and of a format, which is a number and a list, the letter. */
bool tags_any(struct tags *tags);

uint32_t tags_get(const uint8_t *bytes);
void tags_put(uint8_t *bytes, uint32_t value);
/* A number with its letter: 5 bytes. */
uint8_t *tags_put_number(uint8_t *bytes, uint32_t value);

#endif
