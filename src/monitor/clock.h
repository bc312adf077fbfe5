/* The host's wall clock: the guest is told when it was set, and now and then what it says. */
#ifndef MONITOR_CLOCK_H
#define MONITOR_CLOCK_H

#include "ph/control.h"
#include "ph/loop.h"

struct host_clock {
	struct loop_source source; /* a timer that ends early when somebody sets the clock */
	struct loop *loop;
	struct control *control;
};

/* Watch the clock, on this loop. 0 or -errno. Finish accepts zeroed. */
int clock_init(struct host_clock *clock, struct loop *loop, struct control *control);
void clock_finish(struct host_clock *clock);

#endif
