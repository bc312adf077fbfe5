/* What the bench's guest asks of its partner on the host (wl_peer.c): a struct at a time, on a stream. */
#ifndef BENCH_WL_PEER_H
#define BENCH_WL_PEER_H

#include <stdint.h>

enum wl_request_type {
	WL_ECHO = 1,  /* messages come: each goes back; the first 16 bytes tell when it came and left again */
	WL_SINK = 2,  /* messages come: one byte goes back after the last */
	WL_BURST = 3, /* messages are to go back */
	WL_COUNT = 4, /* a struct wl_counters is to go back */
};

struct wl_request {
	uint32_t type;
	uint32_t count, size; /* of messages */
	uint32_t padding;
};

/* KVM's, of all VMs there ever were */
struct wl_counters {
	uint64_t exits, halts, interrupts;
};

struct wl_times {
	uint64_t came, left; /* the host's time stamp counter */
};

static inline uint64_t wl_time_stamp(void) {
	uint32_t low, high;
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

#endif
