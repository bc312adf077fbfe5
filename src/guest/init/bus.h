/* The D-Bus session bus of the guest's user. */
#ifndef PH_GUEST_INIT_BUS_H
#define PH_GUEST_INIT_BUS_H

#include "guest/init/service.h"

struct bus {
	struct service service;
	const struct config *config;
};

/* Make the socket, when the configuration has a bus. */
void bus_listen(struct bus *bus, const struct config *config);
/* Whether the bus may start the service of that file, by the fields of GUEST_CONFIG_BUS. */
bool bus_may_start(const char *const *fields, const char *file);

#endif
