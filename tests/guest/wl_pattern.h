/* What the two ends of a test of virtio-wl agree on: bytes that tell where in their stream they belong. */
#ifndef WL_PATTERN_H
#define WL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WL_FDS_MAX 28

/* A record of a stream that several threads write to. */
struct wl_record {
	uint32_t thread, number;
	uint8_t fill[56];
};

static inline uint8_t wl_pattern_at(uint32_t seed, uint64_t position) {
	uint64_t x = (position + seed) * 0x9e3779b97f4a7c15u;
	return (uint8_t)(x >> 56 ^ x >> 24);
}

static inline void wl_pattern_fill(uint32_t seed, uint64_t position, void *data, size_t size) {
	uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		bytes[i] = wl_pattern_at(seed, position + i);
	}
}

static inline bool wl_pattern_holds(uint32_t seed, uint64_t position, const void *data, size_t size) {
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != wl_pattern_at(seed, position + i)) {
			return false;
		}
	}
	return true;
}

#endif
