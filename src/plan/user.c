/*
 * The caller's identity: the guest gets a user with the same uid, gid, names, home and groups. A uid without
 * a passwd entry (a container, a directory service that is down) still works, with made-up names.
 *
 * ph's first thread; the input is the caller's own and the host's databases.
 */
#include "plan/parts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *numbered(const char *prefix, unsigned number) {
	char *name = NULL;
	return asprintf(&name, "%s%u", prefix, number) < 0 ? NULL : name;
}

/* Where the home is in the guest: the caller's own place, so that paths kept in files stay right. */
static char *find_home(const struct passwd *entry) {
	const char *home = getenv("HOME");
	char *normal = home != NULL ? path_normalize(home) : NULL;
	if (normal == NULL && home != NULL && home[0] == '/') {
		normal = realpath(home, NULL); /* it has ".." */
	}
	if (normal == NULL && entry != NULL) {
		normal = path_normalize(entry->pw_dir);
	}
	return normal != NULL ? normal : strdup("/home/user");
}

static char *find_shell(const struct passwd *entry, const struct plan_request *request) {
	/* Of an image nothing is known but that it should have the one shell every system has. */
	bool known = request->rootfs == NULL && request->realmfs == NULL && entry != NULL &&
		     entry->pw_shell[0] == '/';
	return strdup(known ? entry->pw_shell : "/bin/sh");
}

static int add_group(struct plan_user *user, gid_t gid) {
	for (size_t i = 0; i < user->group_count; i++) {
		if (user->groups[i].gid == gid) {
			return 0;
		}
	}
	const struct group *entry = getgrgid(gid);
	char *name = entry != NULL ? strdup(entry->gr_name) : numbered("g", gid);
	if (name == NULL) {
		return -ENOMEM;
	}
	user->groups[user->group_count++] = (struct plan_group){.gid = gid, .name = name};
	return 0;
}

static int resolve_groups(struct plan_user *user) {
	int count = getgroups(0, NULL);
	if (count < 0) {
		return -errno;
	}
	gid_t *gids = calloc((size_t)count + 1, sizeof(*gids));
	user->groups = calloc((size_t)count + 1, sizeof(*user->groups));
	int ret = gids == NULL || user->groups == NULL ? -ENOMEM : add_group(user, user->gid);
	if (ret == 0 && count > 0) {
		count = getgroups(count, gids);
	}
	for (int i = 0; i < count && ret == 0; i++) {
		ret = add_group(user, gids[i]);
	}
	free(gids);
	return ret;
}

/* In a realm works the user its images have: the owner of its home, under a name of Citadel's. */
static int resolve_realm_user(struct plan_user *user, struct error *error) {
	user->name = strdup("user");
	user->gecos = strdup("");
	user->home = strdup("/home/user");
	user->shell = strdup("/bin/bash");
	user->groups = calloc(1, sizeof(*user->groups));
	char *group = strdup("user");
	if (user->groups != NULL && group != NULL) {
		user->groups[user->group_count++] = (struct plan_group){.gid = user->gid, .name = group};
	} else {
		free(group);
	}
	bool failed = user->name == NULL || user->gecos == NULL || user->home == NULL ||
		      user->shell == NULL || user->group_count == 0;
	return failed ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int plan_resolve_user(struct plan *plan, const struct plan_request *request, struct error *error) {
	struct plan_user *user = &plan->user;
	if (plan->realm != NULL) {
		plan_realm_owner(plan, &user->uid, &user->gid);
		return resolve_realm_user(user, error);
	}
	user->uid = getuid();
	user->gid = getgid();
	const struct passwd *entry = getpwuid(user->uid);
	user->name = entry != NULL ? strdup(entry->pw_name) : numbered("u", user->uid);
	user->gecos = strdup(entry != NULL && entry->pw_gecos != NULL ? entry->pw_gecos : "");
	user->home = find_home(entry);
	user->shell = find_shell(entry, request);
	if (user->name == NULL || user->gecos == NULL || user->home == NULL || user->shell == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	int ret = resolve_groups(user);
	return ret < 0 ? error_set(error, ret, "cannot tell your groups: %s", strerror(-ret)) : 0;
}
