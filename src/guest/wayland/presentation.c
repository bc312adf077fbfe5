/*
 * The clock of presentation times. The compositor tells those of the host's monotonic clock; programs compare
 * them with the VM's. The distance is taken from the messages themselves: no frame is told of before it was
 * shown, so the shortest time that one of them seemed to take lately tells the clocks apart, to within the
 * time a message takes. Lately, because clocks drift, and one of them may stand still while a machine sleeps.
 * The proxy's only thread; times are the compositor's.
 */
#include "guest/wayland/presentation.h"

#include "guest/wayland/hooks.h"

#include <stdint.h>
#include <time.h>

#define NS 1000000000
/* What is older than two of these is forgotten. */
#define HALF (5ull * NS)
/* No message takes that long: a clock was set, or stood still. If it did, the next one tells. */
#define JUMP (1 * NS)

static struct distance distance;

void presentation_clock_id(struct message *message) {
	message->args[0].u = CLOCK_MONOTONIC;
	message_forward_event(message);
}

static int64_t smaller(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static bool jumped(const struct distance *known, int64_t seen) {
	int64_t least = smaller(known->present, known->previous);
	return seen > least && (uint64_t)seen - (uint64_t)least > JUMP;
}

uint64_t distance_translate(struct distance *known, uint64_t time, uint64_t now) {
	int64_t seen = (int64_t)(now - time);
	if (known->since == 0 || now - known->since >= 2 * HALF || jumped(known, seen)) {
		*known = (struct distance){.since = now, .present = seen, .previous = seen};
	} else if (now - known->since >= HALF) {
		*known = (struct distance){.since = now, .present = seen, .previous = known->present};
	}
	known->present = smaller(known->present, seen);
	return time + (uint64_t)smaller(known->present, known->previous);
}

/* The time on this machine's clock of what the compositor says happened at that time. */
static uint64_t translate(uint64_t host) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return distance_translate(&distance, host, (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec);
}

/* tv_sec_hi, tv_sec_lo, tv_nsec, refresh, sequence, flags */
void presentation_presented(struct message *message) {
	union wire_arg *args = message->args;
	uint64_t seconds = (uint64_t)args[0].u << 32 | args[1].u;
	uint64_t time = translate(seconds * NS + args[2].u);
	args[0].u = (uint32_t)(time / NS >> 32);
	args[1].u = (uint32_t)(time / NS);
	args[2].u = (uint32_t)(time % NS);
	message_forward_event(message);
}
