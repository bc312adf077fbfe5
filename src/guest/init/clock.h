/* The guest's wall clock, which follows the host's. */
#ifndef PH_GUEST_INIT_CLOCK_H
#define PH_GUEST_INIT_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* The payload of GUEST_FRAME_TIME: 0 or -EPROTO. */
int clock_follow(const uint8_t *payload, size_t size);
/* What to do about a clock that is off by so many nanoseconds. */
enum clock_step { CLOCK_LEAVE, CLOCK_STEER, CLOCK_SET };
enum clock_step clock_choose_step(int64_t off);

#endif
