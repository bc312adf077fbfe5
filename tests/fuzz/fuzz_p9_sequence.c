/*
 * Fuzz a session: messages one after the other, so that fids are made, changed, opened, renamed under
 * each other and used after their end.
 *
 * Input: for each message a byte of type, a byte of length, and as many bytes of body; size and tag are
 * filled in. From 128 on it is a message whose fields are what the type has: see bodies[].
 */
#include "input.h"
#include "p9_share.h"

#include "files/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BODY_MAX 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* f: a fid; s: a name; w: up to three names, with their count; b, h, d, q: a number of 1, 2, 4, 8 bytes; D:
 * up to 255 bytes of data, with their count. */
static const struct {
	uint8_t type;
	const char *fields;
} bodies[] = {
	{P9_TSTATFS, "f"},
	{P9_TLOPEN, "fd"},
	{P9_TLCREATE, "fsddd"},
	{P9_TSYMLINK, "fssd"},
	{P9_TMKNOD, "fsdddd"},
	{P9_TRENAME, "ffs"},
	{P9_TREADLINK, "f"},
	{P9_TGETATTR, "fq"},
	{P9_TSETATTR, "fddddqqqqq"},
	{P9_TXATTRWALK, "ffs"},
	{P9_TXATTRCREATE, "fsqd"},
	{P9_TREADDIR, "fqd"},
	{P9_TFSYNC, "fd"},
	{P9_TLOCK, "fbdqqds"},
	{P9_TGETLOCK, "fbqqds"},
	{P9_TLINK, "ffs"},
	{P9_TMKDIR, "fsdd"},
	{P9_TRENAMEAT, "fsfs"},
	{P9_TUNLINKAT, "fsd"},
	{P9_TVERSION, "ds"},
	{P9_TAUTH, "fssd"},
	{P9_TATTACH, "ffssd"},
	{P9_TFLUSH, "h"},
	{P9_TWALK, "ffw"},
	{P9_TREAD, "fqd"},
	{P9_TWRITE, "fqD"},
	{P9_TCLUNK, "f"},
	{P9_TREMOVE, "f"},
};

struct body {
	uint8_t bytes[BODY_MAX];
	size_t size;
};

static void put(struct body *body, uint64_t value, unsigned len) {
	for (unsigned i = 0; i < len; i++) {
		body->bytes[body->size++] = (uint8_t)(value >> 8 * i);
	}
}

static void put_name(struct input *input, struct body *body) {
	static const char *const names[] = {"f", "d", "l", "hidden", "a", "b", "..", ".", "", "a/b", "user.x",
		"user.y", "trusted.x", "9P2000.L"};
	const uint32_t byte = take(input, 1), count = sizeof(names) / sizeof(names[0]);
	char name[260];
	memset(name, 'n', sizeof(name));
	name[255 + byte % 2] = '\0';
	if (byte < 250) {
		snprintf(name, sizeof(name), "%s", names[byte % count]);
	}
	put(body, strlen(name), 2);
	memcpy(body->bytes + body->size, name, strlen(name));
	body->size += strlen(name);
}

static uint64_t take_number(struct input *input) {
	static const uint64_t special[] = {UINT64_MAX, INT64_MAX, UINT32_MAX, INT32_MAX, O_RDWR | O_CREAT,
		O_WRONLY | O_TRUNC, O_RDWR | O_APPEND, O_WRONLY | O_CREAT | O_EXCL, S_IFIFO | 0644,
		S_IFCHR | 0644, S_IFSOCK | 0600, 0755, AT_REMOVEDIR, 4096, 8192, 65536, 1u << 30};
	const uint32_t byte = take(input, 1), count = sizeof(special) / sizeof(special[0]);
	return byte < 200 ? byte : byte - 200 < count ? special[byte - 200] : take(input, 4);
}

static void put_data(struct input *input, struct body *body) {
	uint32_t size = take(input, 1);
	put(body, size, 4);
	memset(body->bytes + body->size, 'x', size);
	body->size += size;
}

static void put_field(struct input *input, struct body *body, char field) {
	uint32_t byte;
	switch (field) {
	case 'f':
		byte = take(input, 1);
		put(body, byte >= 250 ? P9_NOFID : byte % 12, 4);
		break;
	case 's':
		put_name(input, body);
		break;
	case 'w':
		byte = take(input, 1) % 4;
		put(body, byte, 2);
		for (uint32_t i = 0; i < byte; i++) {
			put_name(input, body);
		}
		break;
	case 'D':
		put_data(input, body);
		break;
	default:
		put(body, take_number(input), field == 'b' ? 1 : field == 'h' ? 2 : field == 'd' ? 4 : 8);
	}
}

static void send_built(struct input *input, unsigned number) {
	struct body body = {.size = 0};
	number %= sizeof(bodies) / sizeof(bodies[0]);
	for (const char *field = bodies[number].fields; *field != '\0'; field++) {
		put_field(input, &body, *field);
	}
	p9_share_send_body(bodies[number].type, body.bytes, body.size);
}

static void send_bytes(struct input *input, uint8_t type) {
	size_t size = take(input, 1);
	size = size < input->left ? size : input->left;
	p9_share_send_body(type, input->next, size);
	input->next += size;
	input->left -= size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	p9_share_begin();
	for (unsigned count = 0; input.left >= 2 && count < 64; count++) {
		uint8_t type = (uint8_t)take(&input, 1);
		if (type >= 128) {
			send_built(&input, type - 128u);
		} else {
			send_bytes(&input, type);
		}
	}
	p9_share_end();
	return 0;
}
