/*
 * The one encoding ph and its guest's init share: a sequence of records, each
 *
 *     u16 key · u16 zero · u32 length · length bytes      (little endian, no padding)
 *
 * Used for the boot configuration in the initramfs and for the body of control frames. Compiled
 * into both ph and ph-init; a reader trusts nothing of what it reads.
 */
#ifndef PH_RECORD_H
#define PH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing buffer of records. Zeroed is empty. After a failed allocation it stays failed and drops what is
 * put. */
struct record_buffer {
	uint8_t *data;
	size_t size, capacity;
	bool failed;
};

void record_put(struct record_buffer *buffer, uint16_t key, const void *data, size_t size);
void record_put_string(struct record_buffer *buffer, uint16_t key, const char *string); /* without the NUL */
void record_put_u64(struct record_buffer *buffer, uint16_t key, uint64_t value);
/* A list of strings as one record: each ends with a NUL. The list ends with NULL. */
void record_put_list(struct record_buffer *buffer, uint16_t key, const char *const *strings);
void record_buffer_finish(struct record_buffer *buffer);

struct record {
	uint16_t key;
	uint32_t size;
	const uint8_t *data; /* points into the bytes being read */
};

struct record_reader {
	const uint8_t *next;
	size_t left;
};

/* 1 and the next record, 0 at the end, -EPROTO for bytes that are no record. */
int record_next(struct record_reader *reader, struct record *record);

/* The value of a u64 record, or fallback when the size is wrong. */
uint64_t record_u64(const struct record *record, uint64_t fallback);
/* A malloc'ed copy with a NUL behind it, or NULL when memory is out or the bytes hold a NUL. */
char *record_string(const struct record *record);
/*
 * The strings of a list record, NULL-terminated, in one allocation for free(); NULL when it is
 * malformed (last byte not NUL) or memory is out. *count gets their number when count is not NULL.
 */
char **record_list(const struct record *record, size_t *count);

#endif
