/*
 * A realm becomes a plan: what of its configuration a VM honours, what it refuses and what does not matter to
 * it (docs/citadel.md has the table). ph's first thread, as the caller or root.
 */
#include "plan/parts.h"
#include "plan/realm/bus.h"
#include "plan/realm/image.h"
#include "plan/realm/places.h"
#include "plan/realm/scheme.h"

#include "ph/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VM_NAME_MAX 63

static const struct realm_value *value_of(const struct plan *plan, enum realm_key key) {
	return &plan->realm->config.values[key];
}

/* ---- one home is served once ---- */

/* Realms that run in containers, by realmsd or, without it, by the files. */
struct running {
	struct bus_realm realms[BUS_REALMS_MAX];
	int count; /* or -errno: there is no realmsd */
};

static bool is_running(const struct running *running, const char *name) {
	if (running->count < 0) {
		return realm_has_container(name);
	}
	for (int i = 0; i < running->count; i++) {
		if (strcmp(running->realms[i].name, name) == 0) {
			return running->realms[i].running;
		}
	}
	return false;
}

static int refuse_busy(const struct plan *plan, bool force, const char *who, struct error *error) {
	const char *name = plan->realm->name;
	if (!force) {
		return error_set(error, -EBUSY,
			"realm %s: %s; programs in both would spoil each other's files (--force starts it "
			"all the same)",
			name, who);
	}
	log_error("realm %s: %s: programs in both may spoil each other's files, their settings above all",
		name, who);
	return 0;
}

static int claim_home(struct plan *plan, const struct running *running, bool force, struct error *error) {
	if (is_running(running, plan->realm->name)) {
		int ret = refuse_busy(plan, force, "its container runs, with the same home", error);
		if (ret < 0) {
			return ret;
		}
	}
	int ret = realm_lock_home(plan->realm);
	if (ret == -EBUSY) {
		return refuse_busy(plan, force, "another ph has its home", error);
	}
	return ret < 0 ? error_set(error, ret, "cannot lock the home of realm %s: %s", plan->realm->name,
				 strerror(-ret))
		       : 0;
}

static void warn_of_missing(const struct plan *plan, const struct running *running) {
	char *const *list = value_of(plan, KEY_REALM_DEPENDS)->list;
	for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
		if (!is_running(running, list[i])) {
			log_error("realm %s depends on realm %s, which does not run", plan->realm->name,
				list[i]);
		}
	}
}

/* ---- keys ---- */

/* Keys that name something a VM has not: in a line for --verbose when they ask for it. */
static void tell_ignored(const struct plan *plan) {
	static const struct {
		enum realm_key key;
		const char *why;
	} ignored[] = {
		{KEY_USE_SOUND, "a VM has no sound"},
		{KEY_USE_X11, "a VM sees no X server of the host"},
		{KEY_USE_KVM, "there are no VMs inside of a VM"},
		{KEY_USE_GPU, "a VM draws without the host's GPU"},
		{KEY_USE_GPU_CARD0, "a VM draws without the host's GPU"},
		{KEY_RESERVED_IP, "the addresses in a VM are its own"},
		{KEY_AUTOSTART, "a VM starts when it is started"},
		{KEY_SYSTEM_REALM, "it only hides the realm from lists"},
	};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		const struct realm_value *value = value_of(plan, ignored[i].key);
		char text[128];
		if (value->flag || value->source != CONFIG_BUILT_IN) {
			realm_value_print(&plan->realm->config, ignored[i].key, text, sizeof(text));
			log_verbose("realm %s: %s = %s is left aside: %s", plan->realm->name,
				realm_key_name(ignored[i].key), text, ignored[i].why);
		}
	}
}

/* A realm's network goes through its zone or namespace, where the host's rules for it are: past them is worse
 * than none. */
static int check_network(const struct plan *plan, const struct plan_request *request, struct error *error) {
	const char *zone = value_of(plan, KEY_NETWORK_ZONE)->text, *netns = value_of(plan, KEY_NETNS)->text;
	const char *name = plan->realm->name;
	if (request->net == NULL) {
		log_verbose("realm %s: has no network; --net gives it one", name);
		return 0;
	}
	if (!value_of(plan, KEY_USE_NETWORK)->flag) {
		return error_set(error, -EPERM, "--net: realm %s has use-network = false", name);
	}
	if (netns != NULL || strcmp(zone, "clear") != 0) {
		return error_set(error, -EPERM,
			"--net: realm %s is to be in %s '%s', which a VM cannot join: it would go past it",
			name, netns != NULL ? "netns" : "network-zone", netns != NULL ? netns : zone);
	}
	return 0;
}

static int take_overlay(struct plan *plan, struct error *error) {
	const char *overlay = value_of(plan, KEY_OVERLAY)->text;
	if (value_of(plan, KEY_REALMFS_WRITE)->flag) {
		return error_set(error, -EINVAL,
			"realm %s: realmfs-write = true: what a VM writes to a sealed image is gone "
			"afterwards; take the "
			"key out (citadel-realmfs update changes an image)",
			plan->realm->name);
	}
	plan->root_sealed = strcmp(overlay, "storage") != 0 && strcmp(overlay, "tmpfs") != 0;
	if (plan->root_sealed && strcmp(overlay, "none") != 0) {
		log_error(
			"realm %s: overlay = '%s' is none of storage, tmpfs and none: the root is read-only",
			plan->realm->name, overlay);
	}
	return 0;
}

static void take_scheme(struct plan *plan) {
	const char *name = value_of(plan, KEY_TERMINAL_SCHEME)->text;
	if (name == NULL || !plan->tty) {
		return;
	}
	plan->palette = scheme_palette(name);
	if (plan->palette == NULL) {
		log_verbose(
			"realm %s: terminal-scheme = '%s' is none that ph knows", plan->realm->name, name);
	}
}

static void compare_key(void *owner, const char *key, const char *theirs) {
	const struct plan *plan = owner;
	char ours[256];
	for (int i = 0; i < REALM_KEYS; i++) {
		if (strcmp(realm_key_name((enum realm_key)i), key) != 0) {
			continue;
		}
		realm_value_print(&plan->realm->config, (enum realm_key)i, ours, sizeof(ours));
		size_t length = strlen(ours);
		bool quoted = ours[0] == '\'';
		if (strlen(theirs) != length - 2 * quoted ||
			strncmp(ours + quoted, theirs, length - 2 * quoted) != 0) {
			log_verbose("realm %s: %s = %s in the files, and %s to realmsd", plan->realm->name,
				key, ours, theirs);
		}
	}
}

/* ---- the steps ---- */

static int open_requested(struct plan *plan, const char *name, struct error *error) {
	char current[CITADEL_REALM_MAX + 1];
	if (strcmp(name, "current") == 0) {
		int ret = realm_current(current, error);
		if (ret < 0) {
			return ret;
		}
		name = current;
	}
	plan->realm = calloc(1, sizeof(*plan->realm));
	if (plan->realm == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	plan->realm_name = plan->realm->name;
	return realm_open(plan->realm, name, error);
}

static int name_vm(struct plan *plan, const char *given, struct error *error) {
	if (given != NULL) {
		return 0;
	}
	free(plan->name);
	plan->name = strndup(plan->realm->name, VM_NAME_MAX);
	return plan->name == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int plan_resolve_realm(struct plan *plan, const struct plan_request *request, struct error *error) {
	static struct running running;
	if (request->realm == NULL) {
		return 0;
	}
	int ret = open_requested(plan, request->realm, error);
	if (ret == 0) {
		ret = name_vm(plan, request->name, error);
	}
	if (ret == 0) {
		ret = check_network(plan, request, error);
	}
	if (ret == 0) {
		ret = take_overlay(plan, error);
	}
	if (ret < 0) {
		return ret;
	}
	running.count = bus_list(running.realms);
	ret = claim_home(plan, &running, request->force, error);
	if (ret == 0) {
		tell_ignored(plan);
		take_scheme(plan);
		warn_of_missing(plan, &running);
	}
	if (ret == 0 && log_verbose_enabled && running.count >= 0) {
		bus_config(plan->realm->name, compare_key, plan);
	}
	return ret;
}

int plan_add_realm_image(struct plan *plan, const struct plan_request *request, struct error *error) {
	if (request->realmfs != NULL) {
		return image_add_option(plan, request, error);
	}
	return image_add_named(plan, request, value_of(plan, KEY_REALMFS)->text, error);
}

int plan_add_realm_shares(struct plan *plan, const struct plan_request *request, struct error *error) {
	(void)request;
	return places_add(plan, plan->realm, error);
}

int plan_add_realm_socket(struct plan *plan, const struct plan_request *request, struct error *error) {
	const char *name = value_of(plan, KEY_WAYLAND_SOCKET)->text;
	if (!value_of(plan, KEY_USE_WAYLAND)->flag || request->no_wayland) {
		return 0;
	}
	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0) {
		return error_set(error, -EINVAL,
			"realm %s: wayland-socket = '%s' must be the name of a socket", plan->realm->name,
			name);
	}
	char rest[300];
	snprintf(rest, sizeof(rest), "/run/user/%u/%.200s", plan->realm->uid, name);
	char *path = citadel_path(rest);
	if (path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	int ret = plan_add_compositor(plan, path, error);
	if (ret == -ENOTSOCK) {
		log_verbose("realm %s: there is no compositor at %s", plan->realm->name, path);
		ret = 0;
	}
	free(path);
	return ret;
}

void plan_realm_owner(const struct plan *plan, uid_t *uid, gid_t *gid) {
	*uid = plan->realm->uid;
	*gid = plan->realm->gid;
}

bool plan_runs_as(const struct plan *plan, uid_t *uid, gid_t *gid) {
	if (plan->realm == NULL || geteuid() != 0) {
		return false;
	}
	plan_realm_owner(plan, uid, gid);
	return true;
}

void plan_finish_realm(struct plan *plan) {
	if (plan->realm != NULL) {
		realm_close(plan->realm);
	}
	free(plan->realm);
	free(plan->palette);
}
