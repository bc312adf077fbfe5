/* The guest as a host: its names and its networks. */
#ifndef PH_GUEST_INIT_HOST_H
#define PH_GUEST_INIT_HOST_H

#include "guest/init/config.h"

/* Write hosts, hostname and, with a network, resolv.conf into a folder. Failures are reported. */
void host_write_names(const char *folder, const struct config *config);
/* Set the kernel's host name. On a root without an overlay of init's the files are mounted over the root's,
 * which stay as they are. */
void host_set_name(const struct config *config);
/* Give a root that is not kept the host's time zone, if it knows it. */
void host_set_zone(const struct config *config);
/* The host's name servers are others now. */
void host_follow_names(const char *text, size_t size);
void host_raise_loopback(void);
/* network.c: give eth0 its addresses and routes, if the configuration has a network. */
void host_raise_network(const struct config *config);

#endif
