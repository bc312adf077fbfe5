/* The directories a realm's configuration puts into its container, as shares of the VM. */
#ifndef PLAN_REALM_PLACES_H
#define PLAN_REALM_PLACES_H

#include "plan/parts.h"
#include "plan/realm/realm.h"

#define REALM_HOME "/home/user"

/* Home, Shared, media, bind mounts: 0, or -errno with *error set. */
int places_add(struct plan *plan, const struct realm *realm, struct error *error);

#endif
