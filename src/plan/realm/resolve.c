/*
 * A realm becomes a plan: what of its configuration a VM honours, what it refuses and what does not matter to
 * it (docs/citadel.md has the table). ph's first thread, as the caller or root.
 */
#include "plan/parts.h"
#include "plan/realm/bus.h"
#include "plan/realm/header.h"
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
#define SCRIPT ".base16rc"
#define SCRIPT_SIZE_MAX 16384

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
		{KEY_USE_X11, "a VM sees no X server of the host, only its Wayland compositor"},
		{KEY_USE_KVM, "there are no VMs inside of a VM"},
		{KEY_USE_GPU_CARD0, "a VM is given no card, only buffers of one (use-gpu)"},
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

/* The interface's bridge is the zone's. */
static bool is_in_zone(const char *tap, const char *zone) {
	char path[64], target[256];
	snprintf(path, sizeof(path), "/sys/class/net/%.15s/master", tap);
	ssize_t length = strchr(tap, '/') == NULL ? readlink(path, target, sizeof(target) - 1) : -1;
	if (length < 0) {
		return false;
	}
	target[length] = '\0';
	const char *slash = strrchr(target, '/');
	const char *bridge = slash != NULL ? slash + 1 : target;
	return strncmp(bridge, "vz-", 3) == 0 && strcmp(bridge + 3, zone) == 0;
}

/* A realm's network goes through its zone or namespace, where the host's rules for it are: past them is worse
 * than none. */
static int check_network(const struct plan *plan, const struct plan_request *request, struct error *error) {
	const char *zone = value_of(plan, KEY_NETWORK_ZONE)->text, *netns = value_of(plan, KEY_NETNS)->text;
	const char *name = plan->realm->name;
	if (request->net == NULL) {
		return 0;
	}
	if (!value_of(plan, KEY_USE_NETWORK)->flag) {
		return error_set(error, -EPERM, "--net: realm %s has use-network = false", name);
	}
	if (netns != NULL) {
		return error_set(error, -EPERM,
			"--net: realm %s is to be in netns '%s', which a VM cannot join: it would go past it",
			name, netns);
	}
	bool tap = strncmp(request->net, "tap:", 4) == 0;
	if (strcmp(zone, "clear") != 0 && !(tap && is_in_zone(request->net + 4, zone))) {
		return error_set(error, -EPERM,
			"--net: realm %s is to be in network-zone '%s', past which this would go; a tap of "
			"the "
			"bridge vz-%s leads there (--net=tap:NAME)",
			name, zone, zone);
	}
	return 0;
}

bool plan_realm_has_net(const struct plan *plan, const struct plan_request *request) {
	if (plan->realm == NULL || request->net != NULL || request->no_net) {
		return false;
	}
	const char *zone = value_of(plan, KEY_NETWORK_ZONE)->text, *netns = value_of(plan, KEY_NETNS)->text;
	if (!value_of(plan, KEY_USE_NETWORK)->flag) {
		return false;
	}
	if (netns == NULL && strcmp(zone, "clear") == 0) {
		return true;
	}
	log_error("realm %s has no network: it is to be in %s '%s', past which passt would go",
		plan->realm->name, netns != NULL ? "netns" : "network-zone", netns != NULL ? netns : zone);
	return false;
}

/* Nobody asked for what is only Citadel's default. */
void plan_realm_lacks_net(const struct plan *plan) {
	static const char format[] = "realm %s has no network: the program passt is not here (package passt)";
	if (value_of(plan, KEY_USE_NETWORK)->source != CONFIG_BUILT_IN) {
		log_error(format, plan->realm->name);
	} else {
		log_verbose(format, plan->realm->name);
	}
}

int plan_realm_sound(
	const struct plan *plan, const struct plan_request *request, char **path, struct error *error) {
	char rest[64];
	bool allowed = value_of(plan, KEY_USE_SOUND)->flag;
	*path = NULL;
	if (!allowed || request->no_sound) {
		return request->sound ? error_set(error, -EPERM, "--sound: realm %s has use-sound = false",
						plan->realm->name)
				      : 0;
	}
	snprintf(rest, sizeof(rest), "/run/user/%u/pulse/native", plan->realm->uid);
	*path = citadel_path(rest);
	return *path == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
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

/* What Citadel made of the scheme when it was chosen. */
static char *read_scheme(const struct realm *realm) {
	static char text[SCRIPT_SIZE_MAX];
	ssize_t length = citadel_read(realm->home_fd, SCRIPT, text, sizeof(text));
	if (length < 0) {
		length = citadel_read(realm->fd, "skel/" SCRIPT, text, sizeof(text));
	}
	return length < 0 ? NULL : scheme_palette_of_script(text);
}

static void take_scheme(struct plan *plan) {
	const char *name = value_of(plan, KEY_TERMINAL_SCHEME)->text;
	if (name == NULL) {
		return;
	}
	plan->palette = scheme_palette(name);
	if (plan->palette == NULL) {
		plan->palette = read_scheme(plan->realm);
	}
	if (plan->palette == NULL) {
		log_verbose("realm %s: terminal-scheme = '%s' is none that ph knows, and the realm has "
			    "no " SCRIPT,
			plan->realm->name, name);
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

int plan_realm_name(const struct plan_request *request, char name[PLAN_REALM_MAX + 1], struct error *error) {
	if (strcmp(request->realm, "current") == 0) {
		return realm_current(name, error);
	}
	if (!header_is_name(request->realm, PLAN_REALM_MAX)) {
		return error_set(error, -EINVAL,
			"'%s' cannot be a realm: a name is made of letters, digits and '-', with a letter "
			"first",
			request->realm);
	}
	snprintf(name, PLAN_REALM_MAX + 1, "%s", request->realm);
	return 0;
}

static int open_requested(struct plan *plan, const struct plan_request *request, struct error *error) {
	char name[PLAN_REALM_MAX + 1];
	int ret = plan_realm_name(request, name, error);
	if (ret < 0) {
		return ret;
	}
	plan->realm = calloc(1, sizeof(*plan->realm));
	if (plan->realm == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	ret = realm_open(plan->realm, name, error);
	if (ret == 0) {
		plan->realm_name = strdup(plan->realm->name);
		ret = plan->realm_name == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
	}
	return ret;
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
	int ret = open_requested(plan, request, error);
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
		plan->no_card = !value_of(plan, KEY_USE_GPU)->flag;
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
	free(plan->realm_name);
	free(plan->palette);
}
