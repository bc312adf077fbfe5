/* The guest as a host: its name and its loopback network. */
#ifndef PH_GUEST_INIT_HOST_H
#define PH_GUEST_INIT_HOST_H

#include "guest/init/config.h"

/* Write hosts and hostname, for this name, into a folder. Failures are reported. */
void host_write_names(const char *folder, const char *name);
/* Set the kernel's host name. On a root without an overlay of init's the files are mounted over the root's,
 * which stay as they are. */
void host_set_name(const struct config *config);
void host_raise_loopback(void);

#endif
