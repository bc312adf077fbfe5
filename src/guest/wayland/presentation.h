/* How far the compositor's clock is from this machine's. */
#ifndef PH_GUEST_WAYLAND_PRESENTATION_H
#define PH_GUEST_WAYLAND_PRESENTATION_H

#include <stdint.h>

/* Zeroed at first. Nanoseconds. */
struct distance {
	uint64_t since;            /* when the present half began; 0: nothing is known */
	int64_t present, previous; /* this clock minus the other: the smallest that each half saw */
};

/* What this clock showed when the other one showed that time, as the message says that is here now. */
uint64_t distance_translate(struct distance *distance, uint64_t time, uint64_t now);

#endif
