/*
 * The terminal's keeper: a small process that puts the terminal back when the monitor was killed before it
 * could. It has the terminal and a pipe open and nothing else (but the terminal that has a realm's colours,
 * if one has), and a session of its own, so that no signal from the terminal reaches it.
 */
#ifndef PH_KEEPER_H
#define PH_KEEPER_H

#include "ph/jail.h"

#include <sys/types.h>

struct keeper {
	pid_t pid;
	int pid_fd;
	int fd; /* its pipe: the end of file is the monitor's death */
};

/* Before fd, a terminal, is made raw, and while the process has one thread. color_fd is a terminal that is to
 * get back its colours, or -1. 0 or -errno. */
int keeper_start(struct keeper *keeper, int fd, int color_fd, enum jail_mode mode);
/* Once the terminal has been put back. Accepts a zeroed keeper. */
void keeper_stop(struct keeper *keeper);

#endif
