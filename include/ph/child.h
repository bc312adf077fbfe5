/*
 * The end of a child process: one that is stopped, or was taken over and stays, keeps nobody waiting.
 */
#ifndef PH_CHILD_H
#define PH_CHILD_H

#include <sys/types.h>

/* How long a child may take that has nothing left to do. */
#define CHILD_GRACE_MS 2000

/* A descriptor that child_reap() can end it by, or -errno. Close-on-exec. */
int child_watch(pid_t pid);
/* Wait for a child whose end was asked for, by its descriptor (-1: none, and it is killed at once); after
 * grace_ms it is killed. Closes *pid_fd and zeroes *pid; accepts 0. */
void child_reap(pid_t *pid, int *pid_fd, int grace_ms);

#endif
