/*
 * Fields of 9P2000.L messages (see wire.h). Pure functions on private memory, on any thread. What is
 * read is the guest's and hostile: each field is bounded by the message, each name checked here.
 */
#include "files/wire.h"

#include <errno.h>
#include <string.h>

static void fail(struct p9_reader *reader, int error) {
	if (reader->error == 0) {
		reader->error = error;
	}
	reader->at = reader->end;
}

static uint64_t get(struct p9_reader *reader, size_t size) {
	if ((size_t)(reader->end - reader->at) < size) {
		fail(reader, -EINVAL);
		return 0;
	}
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++) {
		value |= (uint64_t)reader->at[i] << (8 * i);
	}
	reader->at += size;
	return value;
}

uint8_t p9_get_u8(struct p9_reader *reader) {
	return (uint8_t)get(reader, 1);
}

uint16_t p9_get_u16(struct p9_reader *reader) {
	return (uint16_t)get(reader, 2);
}

uint32_t p9_get_u32(struct p9_reader *reader) {
	return (uint32_t)get(reader, 4);
}

uint64_t p9_get_u64(struct p9_reader *reader) {
	return get(reader, 8);
}

const char *p9_get_string(struct p9_reader *reader, size_t max) {
	uint8_t *start = reader->at;
	size_t len = p9_get_u16(reader);
	if (reader->error != 0) {
		return "";
	}
	if ((size_t)(reader->end - reader->at) < len || memchr(reader->at, '\0', len) != NULL) {
		fail(reader, -EINVAL);
		return "";
	}
	if (len > max) {
		fail(reader, -ENAMETOOLONG);
		return "";
	}
	reader->at += len;
	/* The two bytes of the length make room for the terminator. */
	memmove(start, start + 2, len);
	start[len] = '\0';
	return (const char *)start;
}

const char *p9_get_name(struct p9_reader *reader) {
	const char *name = p9_get_string(reader, P9_NAME_MAX);
	if (reader->error != 0) {
		return "";
	}
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		strchr(name, '/') != NULL) {
		fail(reader, -EINVAL);
		return "";
	}
	return name;
}

int p9_get_end(const struct p9_reader *reader) {
	if (reader->error != 0) {
		return reader->error;
	}
	return reader->at == reader->end ? 0 : -EINVAL;
}

static uint8_t *reserve(struct p9_writer *writer, size_t size) {
	if (writer->size - writer->len < size) {
		writer->full = true;
		return NULL;
	}
	uint8_t *at = writer->data + writer->len;
	writer->len += size;
	return at;
}

static void put(struct p9_writer *writer, uint64_t value, size_t size) {
	uint8_t *at = reserve(writer, size);
	for (size_t i = 0; at != NULL && i < size; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

void p9_put_u8(struct p9_writer *writer, uint8_t value) {
	put(writer, value, 1);
}

void p9_put_u16(struct p9_writer *writer, uint16_t value) {
	put(writer, value, 2);
}

void p9_put_u32(struct p9_writer *writer, uint32_t value) {
	put(writer, value, 4);
}

void p9_put_u64(struct p9_writer *writer, uint64_t value) {
	put(writer, value, 8);
}

void p9_put_string(struct p9_writer *writer, const char *string, size_t len) {
	p9_put_u16(writer, (uint16_t)len);
	uint8_t *at = reserve(writer, len);
	if (at != NULL) {
		memcpy(at, string, len);
	}
}

void p9_put_qid(struct p9_writer *writer, const struct p9_qid *qid) {
	p9_put_u8(writer, qid->type);
	p9_put_u32(writer, qid->version);
	p9_put_u64(writer, qid->path);
}
