/* A running passt, as the process that tends it sees it. */
#ifndef PASST_CHILD_H
#define PASST_CHILD_H

#include "ph/passt.h"

#include <stddef.h>

struct passt_child {
	pid_t pid;
	int pid_fd, log_fd;
	size_t line_size;
	char line[256], last[256]; /* of its standard error: under way, and the last that tells something */
};

/* Execute passt with socket as its one connection. 0 or -errno. */
int passt_child_start(
	struct passt_child *child, const struct passt_options *options, bool forwards, int socket);
/* Take what it says: false at the end of file. */
bool passt_child_listen(struct passt_child *child);
/* It has ended: how, as the end of a sentence. */
void passt_child_reap(struct passt_child *child, char *text, size_t size);
/* End it, and do not wait for long. */
void passt_child_stop(struct passt_child *child);

#endif
