/*
 * The wire format of 9P2000.L: message types, and readers and writers of their little-endian fields.
 * A reader works on a private copy of the message, never on guest memory.
 */
#ifndef FILES_WIRE_H
#define FILES_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each request's reply has the next number. */
enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
};

#define P9_NOFID UINT32_MAX
#define P9_HEADER_SIZE 7
#define P9_ERROR_SIZE (P9_HEADER_SIZE + 4)
#define P9_QID_SIZE 13
#define P9_NAME_MAX 255
#define P9_WALK_MAX 16

#define P9_QID_DIR 0x80
#define P9_QID_SYMLINK 0x02
#define P9_QID_FILE 0x00

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

struct p9_reader {
	uint8_t *at, *end;
	int error; /* the first one, as -errno; fields read after it are 0 or "" */
};

uint8_t p9_get_u8(struct p9_reader *reader);
uint16_t p9_get_u16(struct p9_reader *reader);
uint32_t p9_get_u32(struct p9_reader *reader);
uint64_t p9_get_u64(struct p9_reader *reader);
/* A string of at most max bytes without NUL among them, terminated in place. Never NULL. */
const char *p9_get_string(struct p9_reader *reader, size_t max);
/* A string that can name a directory entry: any bytes but '/', and neither "", "." nor "..". */
const char *p9_get_name(struct p9_reader *reader);
/* The error met, or -EINVAL when bytes are left over, or 0. */
int p9_get_end(const struct p9_reader *reader);

/* Writers have room for whatever one reply can hold; what does not fit marks the writer as full. */
struct p9_writer {
	uint8_t *data;
	size_t size, len;
	bool full;
};

void p9_put_u8(struct p9_writer *writer, uint8_t value);
void p9_put_u16(struct p9_writer *writer, uint16_t value);
void p9_put_u32(struct p9_writer *writer, uint32_t value);
void p9_put_u64(struct p9_writer *writer, uint64_t value);
void p9_put_string(struct p9_writer *writer, const char *string, size_t len);
void p9_put_qid(struct p9_writer *writer, const struct p9_qid *qid);

#endif
