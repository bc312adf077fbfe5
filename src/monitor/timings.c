/* The table of --timings. The loop's thread; step names and times from the guest are hostile and only shown.
 */
#include "monitor/timings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock) {
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

void timings_init(struct timings *timings) {
	memset(timings, 0, sizeof(*timings));
	/* ph has not waited for anything yet: its processor time is its age. */
	timings->start_ns = clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	timings_mark(timings, "options and plan");
}

static void add(struct timings_step *steps, unsigned *count, const char *name, uint64_t ns) {
	if (*count == TIMINGS_MAX) {
		return;
	}
	struct timings_step *step = &steps[(*count)++];
	size_t length = strnlen(name, TIMINGS_NAME - 1);
	for (size_t i = 0; i < length; i++) {
		step->name[i] = isprint((unsigned char)name[i]) ? name[i] : '?';
	}
	step->name[length] = '\0';
	step->ns = ns;
}

void timings_mark(struct timings *timings, const char *name) {
	add(timings->host, &timings->host_count, name, clock_ns(CLOCK_MONOTONIC) - timings->start_ns);
}

/* Init tells its steps as soon as it can be heard, which is not their order in time. */
void timings_guest(struct timings *timings, const char *name, uint64_t ns) {
	unsigned i = timings->guest_count;
	add(timings->guest, &timings->guest_count, name, ns);
	for (; i > 0 && i < timings->guest_count && timings->guest[i - 1].ns > ns; i--) {
		const struct timings_step step = timings->guest[i];
		timings->guest[i] = timings->guest[i - 1];
		timings->guest[i - 1] = step;
	}
}

static void print_steps(const char *title, const struct timings_step *steps, unsigned count) {
	uint64_t last = 0;
	fprintf(stderr, "%-40s %10s %10s\n", title, "ms", "at ms");
	for (unsigned i = 0; i < count; i++) {
		uint64_t taken = steps[i].ns > last ? steps[i].ns - last : 0;
		fprintf(stderr, "  %-38s %10.3f %10.3f\n", steps[i].name, (double)taken / 1e6,
			(double)steps[i].ns / 1e6);
		last = steps[i].ns;
	}
}

void timings_print(const struct timings *timings) {
	print_steps("ph", timings->host, timings->host_count);
	if (timings->guest_count > 0) {
		print_steps("guest, since its boot", timings->guest, timings->guest_count);
	}
}
