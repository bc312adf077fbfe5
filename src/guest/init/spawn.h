/* Starting a command: its stdio, its identity, its program. */
#ifndef PH_GUEST_INIT_SPAWN_H
#define PH_GUEST_INIT_SPAWN_H

#include "guest/init/config.h"

/* A running command and init's non-blocking ends of its stdio. */
struct spawned {
	pid_t pid;
	int in, out, err; /* with a terminal in and out are its master twice, err is -1
			     unless it is a pipe of its own */
};

/* 0, or -errno when not even a process could be made. A program that cannot be run is the child's own exit
 * status, 126 or 127, and a line on its standard error. */
int spawn_command(const struct exec *exec, const struct config *config, struct spawned *spawned);

#endif
