/* This host's name servers, as the process that tends passt watches them. */
#ifndef PASST_NAMES_H
#define PASST_NAMES_H

#include "ph/passt.h"

#include <netinet/in.h>

struct passt_names {
	int fd;     /* readable when they may be others; -1: not watched */
	char *text; /* the guest's resolv.conf, as it was told last */
};

void passt_names_init(struct passt_names *names, const struct passt_options *options);
/* fd is readable. Whether text is another one now. */
bool passt_names_update(struct passt_names *names, const struct passt_options *options);
/* Whether text leads to this host's own server, by the address that passt forwards. */
bool passt_names_forwarded(const struct passt_names *names, const struct passt_options *options);
/* The server that a passt which is started now forwards to, if it is this host's own, else "". */
void passt_names_own_server(char address[INET_ADDRSTRLEN]);

#endif
