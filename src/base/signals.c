/*
 * Which signals ph takes. First thread; the dispositions are the caller's.
 */
#include "ph/signals.h"

#include <stddef.h>

static void add_unless_ignored(sigset_t *set, int signo) {
	struct sigaction action;
	if (sigaction(signo, NULL, &action) < 0 || action.sa_handler != SIG_IGN) {
		sigaddset(set, signo);
	}
}

void signals_handled(sigset_t *set) {
	sigemptyset(set);
	add_unless_ignored(set, SIGTERM);
	add_unless_ignored(set, SIGHUP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGWINCH);
}
