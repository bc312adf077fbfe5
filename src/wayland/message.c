/*
 * Messages: their headers, their arguments by signature, and how they are written. Runs in the display worker
 * and in the guest's proxy, in whichever thread has the connection. Every byte of a message is hostile.
 */
#include "ph/wayland.h"

#include <errno.h>
#include <string.h>

/* ---- signatures ---- */

char wire_signature_next(const char **signature, bool *nullable) {
	const char *s = *signature;
	*nullable = false;
	while (*s == '?' || (*s >= '0' && *s <= '9')) {
		*nullable = *nullable || *s == '?';
		s++;
	}
	*signature = *s != '\0' ? s + 1 : s;
	return *s;
}

uint32_t wire_since(const struct wl_message *type) {
	uint32_t since = 0;
	for (const char *s = type->signature; *s >= '0' && *s <= '9'; s++) {
		since = since * 10 + (uint32_t)(*s - '0');
	}
	return since > 0 ? since : 1;
}

unsigned wire_count(const struct wl_message *type, char wanted) {
	unsigned count = 0;
	for (const char *s = type->signature; *s != '\0'; s++) {
		count += *s == wanted;
	}
	return count;
}

/* ---- reading ---- */

static uint32_t word_at(const uint8_t *data) {
	uint32_t word;
	memcpy(&word, data, sizeof(word));
	return word;
}

int wire_peek(const void *data, size_t len, struct wire_message *message) {
	if (len < WIRE_HEADER_SIZE) {
		return 0;
	}
	uint32_t second = word_at((const uint8_t *)data + 4);
	*message = (struct wire_message){
		.object = word_at(data),
		.opcode = (uint16_t)second,
		.size = (uint16_t)(second >> 16),
		.data = data,
	};
	if (message->size < WIRE_HEADER_SIZE || message->size % 4 != 0) {
		return -EPROTO;
	}
	return len >= message->size;
}

struct reader {
	const uint8_t *data; /* what is left */
	size_t left;         /* bytes, a multiple of 4 */
};

static bool read_word(struct reader *reader, uint32_t *word) {
	if (reader->left < sizeof(*word)) {
		return false;
	}
	*word = word_at(reader->data);
	reader->data += sizeof(*word);
	reader->left -= sizeof(*word);
	return true;
}

/* Bytes with their length before them and padding after. */
static bool read_bytes(struct reader *reader, const uint8_t **bytes, uint32_t *size) {
	if (!read_word(reader, size) || *size > reader->left) {
		return false;
	}
	size_t padded = ((size_t)*size + 3) / 4 * 4; /* left is a multiple of 4 as well */
	*bytes = reader->data;
	reader->data += padded;
	reader->left -= padded;
	return true;
}

static const char *read_string(struct reader *reader, bool nullable, union wire_arg *arg) {
	const uint8_t *bytes;
	uint32_t size; /* with its NUL */
	arg->string = NULL;
	if (!read_bytes(reader, &bytes, &size)) {
		return "a string is longer than its message";
	}
	if (size == 0) {
		return nullable ? NULL : "a string is missing";
	}
	if (memchr(bytes, '\0', size) != bytes + size - 1) {
		return "a string does not end where it says";
	}
	arg->string = (const char *)bytes;
	return NULL;
}

static const char *read_array(struct reader *reader, union wire_arg *arg) {
	const uint8_t *bytes = NULL;
	arg->array.data = NULL;
	arg->array.size = 0;
	if (!read_bytes(reader, &bytes, &arg->array.size)) {
		return "an array is longer than its message";
	}
	arg->array.data = bytes;
	return NULL;
}

static const char *read_arg(struct reader *reader, char type, bool nullable, union wire_arg *arg) {
	switch (type) {
	case 's':
		return read_string(reader, nullable, arg);
	case 'a':
		return read_array(reader, arg);
	case 'h':
		return NULL;
	default:
		break;
	}
	uint32_t word;
	if (!read_word(reader, &word)) {
		return "a message is shorter than its arguments";
	}
	arg->u = word;
	bool is_object = type == 'o' || type == 'n';
	return is_object && word == 0 && !nullable ? "an object is missing" : NULL;
}

const char *wire_parse(const struct wire_message *message, const struct wl_message *type,
	union wire_arg args[WIRE_ARGS_MAX]) {
	struct reader reader = {message->data + WIRE_HEADER_SIZE, message->size - WIRE_HEADER_SIZE};
	const char *signature = type->signature, *rule = NULL;
	bool nullable;
	char next;
	for (unsigned i = 0; rule == NULL && (next = wire_signature_next(&signature, &nullable)) != '\0';
		i++) {
		rule = read_arg(&reader, next, nullable, &args[i]);
	}
	if (rule == NULL && reader.left > 0) {
		rule = "a message is longer than its arguments";
	}
	return rule;
}

/* ---- writing ---- */

static uint32_t padded_size(uint32_t size) {
	return (size + 3) / 4 * 4;
}

/* Strings count with their NUL. */
static const void *bytes_of(char type, const union wire_arg *arg, bool nullable, uint32_t *size) {
	if (type == 'a') {
		*size = arg->array.size;
		return arg->array.data;
	}
	const char *string = arg->string != NULL || nullable ? arg->string : "";
	size_t length = string != NULL ? strlen(string) + 1 : 0;
	*size = length < WIRE_MESSAGE_MAX ? (uint32_t)length : WIRE_MESSAGE_MAX;
	return string;
}

static uint64_t size_of(const struct wl_message *type, const union wire_arg *args) {
	uint64_t total = WIRE_HEADER_SIZE;
	const char *signature = type->signature;
	bool nullable;
	char next;
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		uint32_t size = 0;
		if (next == 's' || next == 'a') {
			bytes_of(next, &args[i], nullable, &size);
		}
		total += next == 'h' ? 0 : 4 + ((uint64_t)size + 3) / 4 * 4;
	}
	return total;
}

static uint8_t *put_word(uint8_t *at, uint32_t word) {
	memcpy(at, &word, sizeof(word));
	return at + sizeof(word);
}

static uint8_t *put_arg(uint8_t *at, char type, bool nullable, const union wire_arg *arg) {
	if (type == 'h') {
		return at;
	}
	if (type != 's' && type != 'a') {
		return put_word(at, arg->u);
	}
	uint32_t size;
	const void *bytes = bytes_of(type, arg, nullable, &size);
	at = put_word(at, size);
	if (size > 0) {
		memset(at + padded_size(size) - 4, 0, 4);
		memcpy(at, bytes, size);
	}
	return at + padded_size(size);
}

int wire_write(struct wire_queue *queue, uint32_t object, uint16_t opcode, const struct wl_message *type,
	const union wire_arg *args, size_t max) {
	uint64_t size = size_of(type, args);
	if (size > max || size > WIRE_MESSAGE_MAX) {
		return -EMSGSIZE;
	}
	uint8_t *at = wire_queue_reserve(queue, size);
	if (at == NULL) {
		return -ENOMEM;
	}
	at = put_word(at, object);
	at = put_word(at, (uint32_t)size << 16 | opcode);
	const char *signature = type->signature;
	bool nullable;
	char next;
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		at = put_arg(at, next, nullable, &args[i]);
	}
	wire_queue_commit(queue, size);
	return 0;
}
