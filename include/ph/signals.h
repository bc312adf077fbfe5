/*
 * The signals that end a ph in order or tell it something.
 */
#ifndef PH_SIGNALS_H
#define PH_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* SIGTERM, SIGHUP, SIGINT and SIGWINCH. Without SIGTERM or SIGHUP where the caller has them ignored, as
 * nohup(1) does: Linux keeps one that is blocked all the same, and signalfd would tell of it. SIGINT, which
 * shells ignore for what they start in the background, is the command's business and stays. */
void signals_handled(sigset_t *set);
/* Whether the caller has it ignored. */
bool signals_is_ignored(int signo);

#endif
