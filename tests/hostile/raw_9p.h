/*
 * A virtio-9p device driven from user space (raw_virtio.h). Every message is put together here, byte by byte,
 * so that anything can be wrong with it.
 */
#ifndef RAW_9P_H
#define RAW_9P_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_MSIZE 65536u
#define RAW_NOFID UINT32_MAX

enum {
	TSTATFS = 8,
	TLOPEN = 12,
	TLCREATE = 14,
	TSYMLINK = 16,
	TMKNOD = 18,
	TRENAME = 20,
	TREADLINK = 22,
	TGETATTR = 24,
	TSETATTR = 26,
	TXATTRWALK = 30,
	TXATTRCREATE = 32,
	TREADDIR = 40,
	TFSYNC = 50,
	TLOCK = 52,
	TGETLOCK = 54,
	TLINK = 70,
	TMKDIR = 72,
	TRENAMEAT = 74,
	TUNLINKAT = 76,
	TVERSION = 100,
	TAUTH = 102,
	TATTACH = 104,
	TFLUSH = 108,
	TWALK = 110,
	TREAD = 116,
	TWRITE = 118,
	TCLUNK = 120,
	TREMOVE = 122,
};

/* Take the device with this mount tag from the kernel; the program ends when that cannot be done. */
void raw_open(const char *tag);

/*
 * A request and its reply: 0, the error number of Rlerror, or -1 when no reply comes. The format has a letter
 * for each field: b, h, w, q for 1, 2, 4 and 8 bytes (int, int, unsigned, uint64_t), s for a string, S for
 * one given with its length (size_t), D for bytes given so without a length in front.
 */
int raw_call(uint8_t type, const char *format, ...);
/* The same with a size in the header that need not be true. */
int raw_call_sized(uint32_t size, uint8_t type, const char *format, ...);
/* Queue a request without waiting, slot below RAW_SLOTS; raw_collect() waits for all that were: how many
 * replies came. */
#define RAW_SLOTS 8u
void raw_queue(unsigned slot, uint8_t type, const char *format, ...);
unsigned raw_collect(void);

/* Fields of the last reply, in order; beyond its end 0. */
uint64_t raw_number(unsigned size);
const uint8_t *raw_bytes(size_t size);
/* Bytes of the last reply, and what the ring says of it. */
extern uint32_t raw_size, raw_written;

/* A chain of one descriptor as given; whether the device still works afterwards. */
bool raw_chain(uint64_t address, uint32_t len, uint16_t flags, uint16_t next);
/* Status 0 and the ring from the start. */
void raw_9p_start(void);

#endif
