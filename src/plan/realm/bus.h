/*
 * What realmsd, Citadel's service on the system bus, says about realms: in each of its three generations.
 */
#ifndef PLAN_REALM_BUS_H
#define PLAN_REALM_BUS_H

#include "plan/realm/citadel.h"

#define BUS_REALMS_MAX 256

struct bus_realm {
	char name[PLAN_REALM_MAX + 1];
	char realmfs[64]; /* empty: it does not say */
	bool running, current, system;
};

/* All waits are bounded. -errno, after a line for --verbose, where there is no bus, no realmsd, no answer in
 * time or one that makes no sense: then the files decide. */

/* At most BUS_REALMS_MAX: how many, or -errno. */
int bus_list(struct bus_realm *realms);
/* 0 or -errno. */
int bus_current_realm(char name[PLAN_REALM_MAX + 1]);
/* What realmsd takes for the realm's configuration: entry is called with each key and value as text. 0 or
 * -errno. */
int bus_config(
	const char *realm, void (*entry)(void *owner, const char *key, const char *value), void *owner);

#endif
