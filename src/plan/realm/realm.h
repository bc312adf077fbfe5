/* One realm of Citadel's, open; and finding it. */
#ifndef PLAN_REALM_REALM_H
#define PLAN_REALM_REALM_H

#include "plan/realm/citadel.h"
#include "plan/realm/config.h"
#include "plan/strings.h"

#include <sys/types.h>

struct realm {
	char name[PLAN_REALM_MAX + 1];
	struct realm_config config;
	int realms_fd, fd, home_fd; /* O_PATH, but for the home, which is locked */
	uid_t uid;                  /* the home's owner: who works in the realm */
	gid_t gid;
};

/* Find and open a realm by a name that a realm can have, with its configuration and home. 0, or -errno with
 * *error set; close it in each case. Accepts a zeroed one to close. */
int realm_open(struct realm *realm, const char *name, struct error *error);
void realm_close(struct realm *realm);

/* The names of all realms, sorted. 0 or -errno. */
int realm_list(int realms_fd, struct strings *names);
/* The name of the current realm, from realmsd or the files. 0, or -errno with *error set. */
int realm_current(char name[PLAN_REALM_MAX + 1], struct error *error);

/* Keep others from serving the home: 0, -EBUSY or -errno. Lasts until the realm is closed. */
int realm_lock_home(struct realm *realm);
/* Whether some ph serves the home of a realm. */
bool realm_is_locked(int realms_fd, const char *name);
/* Whether the files say that Citadel runs it in a container. */
bool realm_has_container(const char *name);

#endif
