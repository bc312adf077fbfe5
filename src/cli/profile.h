/* Profiles: the options that a name stands for, in files. See docs/ph.conf.5.scd. */
#ifndef CLI_PROFILE_H
#define CLI_PROFILE_H

#include "ph/cli.h"

#include <stdio.h>

/* Apply the profiles of a name, the system's and then the user's, as far as there are any. The user is sudo's
 * caller, whom this process becomes, unless what the system's asks for needs root, or the command line
 * (given) does. 0, or -errno with *error set. */
int profile_apply(
	struct cli_options *options, const struct plan_request *given, const char *name, struct error *error);
/* One of them; path is for messages. */
int profile_read(struct cli_options *options, FILE *file, const char *path, struct error *error);

#endif
