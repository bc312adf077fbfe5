/*
 * Which signals ph takes. First thread; the dispositions are the caller's.
 */
#include "ph/signals.h"

#include <stddef.h>

bool signals_is_ignored(int signo) {
	struct sigaction action;
	return sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void add_unless_ignored(sigset_t *set, int signo) {
	if (!signals_is_ignored(signo)) {
		sigaddset(set, signo);
	}
}

void signals_handled(sigset_t *set) {
	sigemptyset(set);
	add_unless_ignored(set, SIGTERM);
	add_unless_ignored(set, SIGHUP);
	add_unless_ignored(set, SIGTSTP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGWINCH);
	sigaddset(set, SIGCONT);
}
