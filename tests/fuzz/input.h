/*
 * What the fuzz targets share: numbers taken from the fuzzer's input, and the demand that a rule holds.
 */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct input {
	const uint8_t *next;
	size_t left;
};

/* What must hold whatever the input is; else the target has found something. */
static inline void require(bool condition) {
	if (!condition) {
		abort();
	}
}

/* The next len (up to 8) bytes, lowest first; 0 for those that are missing. */
static inline uint64_t take_long(struct input *input, unsigned len) {
	uint64_t value = 0;
	for (unsigned i = 0; i < len && input->left > 0; i++) {
		value |= (uint64_t)*input->next++ << (8 * i);
		input->left--;
	}
	return value;
}

/* Likewise, of up to 4. */
static inline uint32_t take(struct input *input, unsigned len) {
	return (uint32_t)take_long(input, len);
}

#endif
