/* Reading tagged values. In the sound filter; every byte is hostile, from the guest's side. */
#include "sound/tags.h"

#include <arpa/inet.h>
#include <string.h>

uint32_t tags_get(const uint8_t *bytes) {
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return ntohl(value);
}

void tags_put(uint8_t *bytes, uint32_t value) {
	value = htonl(value);
	memcpy(bytes, &value, sizeof(value));
}

uint8_t *tags_put_number(uint8_t *bytes, uint32_t value) {
	bytes[0] = 'L';
	tags_put(bytes + 1, value);
	return bytes + 5;
}

/* The value behind a letter, size bytes of it; NULL when the next one is another. */
static uint8_t *take(struct tags *tags, char letter, size_t size) {
	if (tags->left == 0 || tags->next[0] != (uint8_t)letter || tags->left - 1 < size) {
		return NULL;
	}
	uint8_t *value = tags->next + 1;
	tags->next += 1 + size;
	tags->left -= 1 + size;
	return value;
}

bool tags_number(struct tags *tags, uint32_t *value) {
	const uint8_t *bytes = take(tags, 'L', 4);
	if (bytes != NULL) {
		*value = tags_get(bytes);
	}
	return bytes != NULL;
}

bool tags_sample_spec(struct tags *tags) {
	return take(tags, 'a', 6) != NULL;
}

bool tags_channel_map(struct tags *tags) {
	return tags->left >= 2 && take(tags, 'm', 1 + (size_t)tags->next[1]) != NULL;
}

bool tags_string(struct tags *tags, const char **string) {
	*string = NULL;
	if (take(tags, 'N', 0) != NULL) {
		return true;
	}
	const uint8_t *end = tags->left > 1 ? memchr(tags->next + 1, 0, tags->left - 1) : NULL;
	if (end == NULL) {
		return false;
	}
	*string = (const char *)take(tags, 't', (size_t)(end - tags->next));
	return *string != NULL;
}

bool tags_bytes(struct tags *tags, size_t size, uint8_t **bytes) {
	if (tags->left < 5 || tags_get(tags->next + 1) != size) {
		return false;
	}
	uint8_t *value = take(tags, 'x', 4 + size);
	*bytes = value == NULL ? NULL : value + 4;
	return value != NULL;
}

bool tags_property(struct tags *tags, const char **key, uint8_t **value, uint32_t *size) {
	return tags_string(tags, key) &&
	       (*key == NULL || (tags_number(tags, size) && tags_bytes(tags, *size, value)));
}

bool tags_list(struct tags *tags) {
	struct tags rest = *tags;
	const char *key;
	uint8_t *value;
	uint32_t size;
	bool whole = take(&rest, TAG_PROPERTIES, 0) != NULL;
	do {
		whole = whole && tags_property(&rest, &key, &value, &size);
	} while (whole && key != NULL);
	*tags = whole ? rest : *tags;
	return whole;
}

/* The size of a value whose size is known; the others have it in them. */
static bool find_size(const struct tags *tags, size_t *size) {
	static const struct {
		char letter;
		uint8_t size;
	} sizes[] = {{'0', 0}, {'1', 0}, {'N', 0}, {TAG_PROPERTIES, 0}, {'f', 0}, {'B', 1}, {'L', 4},
		{'V', 4}, {'a', 6}, {'R', 8}, {'T', 8}, {'U', 8}, {'r', 8}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (tags->next[0] == (uint8_t)sizes[i].letter) {
			*size = sizes[i].size;
			return true;
		}
	}
	return false;
}

bool tags_any(struct tags *tags) {
	const char *string;
	uint8_t *bytes;
	size_t size;
	if (tags->left == 0) {
		return false;
	}
	char letter = (char)tags->next[0];
	if (find_size(tags, &size)) {
		return take(tags, letter, size) != NULL;
	}
	switch (letter) {
	case 't':
		return tags_string(tags, &string);
	case 'm':
		return tags_channel_map(tags);
	case 'v': /* a volume for each channel */
		return tags->left >= 2 && take(tags, 'v', 1 + 4 * (size_t)tags->next[1]) != NULL;
	case 'x':
		return tags->left >= 5 && tags_bytes(tags, tags_get(tags->next + 1), &bytes);
	default:
		return false;
	}
}
