/* The host's name servers: the guest is told when they are others. */
#ifndef MONITOR_NAMES_H
#define MONITOR_NAMES_H

#include "ph/control.h"
#include "ph/loop.h"

struct host_names {
	struct loop_source source;
	struct loop *loop;
	struct control *control;
};

/* Pass on what comes over fd, which stays the caller's (struct passt, names). 0 or -errno. Finish accepts
 * zeroed. */
int names_init(struct host_names *names, struct loop *loop, struct control *control, int fd);
void names_finish(struct host_names *names);

#endif
