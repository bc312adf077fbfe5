/*
 * The clock of presentation times. The compositor tells those of the host's monotonic clock; programs compare
 * them with the VM's. The distance is taken from the messages themselves: no frame is told of before it was
 * shown, so the shortest time that one of them ever seemed to take tells the clocks apart, to within the
 * time a message takes. The proxy's only thread; times are the compositor's.
 */
#include "guest/wayland/hooks.h"

#include <stdint.h>
#include <time.h>

#define NS 1000000000

/* Guest minus host; the smallest that was seen. */
static int64_t distance;
static bool distance_known;

void presentation_clock_id(struct message *message) {
	message->args[0].u = CLOCK_MONOTONIC;
	message_forward_event(message);
}

/* The time on this machine's clock of what the compositor says happened at that time. */
static uint64_t translate(uint64_t host) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	uint64_t now = (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
	int64_t seen = (int64_t)(now - host);
	if (!distance_known || seen < distance) {
		distance = seen;
		distance_known = true;
	}
	return host + (uint64_t)distance;
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
