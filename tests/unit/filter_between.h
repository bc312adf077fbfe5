/* A socket behind which is a compositor with the filter before it, for clients that run natively. */
#ifndef TEST_FILTER_BETWEEN_H
#define TEST_FILTER_BETWEEN_H

#include "display/filter.h"

/* Serve at listener for ever, each connection by one of its own to the compositor; broken rules go to
 * standard error. Returns only when the listener is of no use. */
void filter_between(int listener, const char *compositor, const char *tag, enum display_clipboard clipboard);

/* A listening socket at path; a connection to the one at path. -1: there is none. */
int between_listen(const char *path);
int between_connect(const char *path);

#endif
