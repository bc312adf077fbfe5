/*
 * The signals that end a ph in order, stop it or tell it something.
 */
#ifndef PH_SIGNALS_H
#define PH_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* SIGTERM, SIGHUP, SIGTSTP, SIGINT, SIGWINCH and SIGCONT. Without one of the first three where the caller has
 * it ignored, as nohup(1) does: Linux keeps one that is blocked all the same, and signalfd would tell of it.
 * SIGINT, which shells ignore for what they start in the background, is the command's business and stays. */
void signals_handled(sigset_t *set);
/* Whether the caller has it ignored. */
bool signals_is_ignored(int signo);

#endif
