/* Where the start-up time went (--timings), on the host and in the guest. */
#ifndef MONITOR_TIMINGS_H
#define MONITOR_TIMINGS_H

#include <stdint.h>

#define TIMINGS_MAX 48
#define TIMINGS_NAME 40

struct timings_step {
	char name[TIMINGS_NAME];
	uint64_t ns; /* host: since ph's start; guest: since the guest's boot */
};

struct timings {
	uint64_t start_ns; /* CLOCK_MONOTONIC when ph was executed */
	struct timings_step host[TIMINGS_MAX], guest[TIMINGS_MAX];
	unsigned host_count, guest_count;
};

void timings_init(struct timings *timings);
/* A stage of the host has ended. */
void timings_mark(struct timings *timings, const char *name);
/* What the guest says of itself; the text is hostile. */
void timings_guest(struct timings *timings, const char *name, uint64_t ns);
/* The table, to stderr. */
void timings_print(const struct timings *timings);

#endif
