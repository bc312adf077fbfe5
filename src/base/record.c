/* The record encoding, both directions. No I/O; the reader's bytes are hostile (a guest's, or a truncated
 * file's). */
#include "ph/record.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct record_header {
	uint16_t key;
	uint16_t zero;
	uint32_t size;
};

static uint8_t *reserve(struct record_buffer *buffer, size_t size) {
	if (buffer->failed || size > UINT32_MAX) {
		buffer->failed = true;
		return NULL;
	}
	if (buffer->size + size > buffer->capacity) {
		size_t capacity = (buffer->size + size) * 2;
		uint8_t *data = realloc(buffer->data, capacity);
		if (data == NULL) {
			buffer->failed = true;
			return NULL;
		}
		buffer->data = data;
		buffer->capacity = capacity;
	}
	uint8_t *place = buffer->data + buffer->size;
	buffer->size += size;
	return place;
}

void record_put(struct record_buffer *buffer, uint16_t key, const void *data, size_t size) {
	struct record_header header = {.key = htole16(key), .size = htole32((uint32_t)size)};
	uint8_t *place = reserve(buffer, sizeof(header) + size);
	if (place == NULL) {
		return;
	}
	memcpy(place, &header, sizeof(header));
	if (size > 0) {
		memcpy(place + sizeof(header), data, size);
	}
}

void record_put_string(struct record_buffer *buffer, uint16_t key, const char *string) {
	record_put(buffer, key, string, strlen(string));
}

void record_put_u64(struct record_buffer *buffer, uint16_t key, uint64_t value) {
	value = htole64(value);
	record_put(buffer, key, &value, sizeof(value));
}

void record_put_list(struct record_buffer *buffer, uint16_t key, const char *const *strings) {
	size_t start = buffer->size;
	record_put(buffer, key, NULL, 0);
	for (size_t i = 0; strings[i] != NULL; i++) {
		size_t size = strlen(strings[i]) + 1;
		uint8_t *place = reserve(buffer, size);
		if (place != NULL) {
			memcpy(place, strings[i], size);
		}
	}
	if (!buffer->failed) {
		struct record_header header = {.key = htole16(key),
			.size = htole32((uint32_t)(buffer->size - start - sizeof(header)))};
		memcpy(buffer->data + start, &header, sizeof(header));
	}
}

void record_buffer_finish(struct record_buffer *buffer) {
	free(buffer->data);
	*buffer = (struct record_buffer){0};
}

int record_next(struct record_reader *reader, struct record *record) {
	struct record_header header;
	if (reader->left == 0) {
		return 0;
	}
	if (reader->left < sizeof(header)) {
		return -EPROTO;
	}
	memcpy(&header, reader->next, sizeof(header));
	uint32_t size = le32toh(header.size);
	if (header.zero != 0 || size > reader->left - sizeof(header)) {
		return -EPROTO;
	}
	record->key = le16toh(header.key);
	record->size = size;
	record->data = reader->next + sizeof(header);
	reader->next += sizeof(header) + size;
	reader->left -= sizeof(header) + size;
	return 1;
}

uint64_t record_u64(const struct record *record, uint64_t fallback) {
	uint64_t value;
	if (record->size != sizeof(value)) {
		return fallback;
	}
	memcpy(&value, record->data, sizeof(value));
	return le64toh(value);
}

char *record_string(const struct record *record) {
	if (memchr(record->data, 0, record->size) != NULL) {
		return NULL;
	}
	char *string = malloc((size_t)record->size + 1);
	if (string != NULL) {
		memcpy(string, record->data, record->size);
		string[record->size] = '\0';
	}
	return string;
}

char **record_list(const struct record *record, size_t *count) {
	size_t strings = 0;
	for (uint32_t i = 0; i < record->size; i++) {
		strings += record->data[i] == 0;
	}
	if (record->size > 0 && record->data[record->size - 1] != 0) {
		return NULL;
	}
	char **list = malloc((strings + 1) * sizeof(*list) + record->size);
	if (list == NULL) {
		return NULL;
	}
	char *text = (char *)(list + strings + 1);
	if (record->size > 0) {
		memcpy(text, record->data, record->size);
	}
	for (size_t i = 0; i < strings; i++) {
		list[i] = text;
		text += strlen(text) + 1;
	}
	list[strings] = NULL;
	if (count != NULL) {
		*count = strings;
	}
	return list;
}
