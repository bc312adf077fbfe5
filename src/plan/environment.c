/*
 * The command's environment and working directory. What describes the person and the terminal goes along;
 * what names things of the host (buses, agents, displays) does not: there is nothing behind it in the VM.
 *
 * ph's first thread; the input is the caller's own.
 */
#include "plan/parts.h"

#include "plan/strings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const passed_on[] = {"LANG", "LANGUAGE", "TERM", "COLORTERM", "COLORFGBG", "NO_COLOR",
	"TZ", "EDITOR", "VISUAL", "PAGER", "LESS", "LS_COLORS"};
/* How the person's desktop looks; with a screen only. */
static const char *const passed_on_screen[] = {"XCURSOR_THEME", "XCURSOR_SIZE", "XDG_CURRENT_DESKTOP",
	"GTK_THEME", "QT_QPA_PLATFORMTHEME", "QT_STYLE_OVERRIDE"};

static const char *const path_user = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
static const char *const path_root = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* Set NAME=VALUE, in the place of an earlier value. */
static void set(struct strings *list, const char *name, size_t length, const char *value) {
	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->items[i], name, length) == 0 && list->items[i][length] == '=') {
			strings_remove(list, i);
			break;
		}
	}
	if (value != NULL) {
		strings_add_format(list, "%.*s=%s", (int)length, name, value);
	}
}

static void set_name(struct strings *list, const char *name, const char *value) {
	set(list, name, strlen(name), value);
}

static void pass_on(struct strings *list) {
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		set_name(list, passed_on[i], getenv(passed_on[i]));
	}
	for (char **variable = environ; *variable != NULL; variable++) {
		if (strncmp(*variable, "LC_", 3) == 0 && strchr(*variable, '=') != NULL) {
			strings_add(list, strdup(*variable));
		}
	}
}

/* The guest's own socket, which init makes; by its path, for root too. */
static void set_screen(struct strings *list, const struct plan *plan) {
	if (!plan->has_screen) {
		return;
	}
	for (size_t i = 0; i < sizeof(passed_on_screen) / sizeof(passed_on_screen[0]); i++) {
		set_name(list, passed_on_screen[i], getenv(passed_on_screen[i]));
	}
	set_name(list, "XDG_SESSION_TYPE", "wayland");
	if (plan->as_root && plan->user.uid != 0) {
		strings_add_format(list, "WAYLAND_DISPLAY=/run/user/%u/wayland-0", plan->user.uid);
	} else {
		set_name(list, "WAYLAND_DISPLAY", "wayland-0");
	}
}

/* Of root in the VM only the VM knows where its home is and which shell it has: init fills that in. */
static void set_identity(struct strings *list, const struct plan *plan) {
	const struct plan_user *user = &plan->user;
	if (plan->as_root && user->uid != 0) {
		set_name(list, "PATH", path_root);
		return;
	}
	const char *path = plan->root == PLAN_ROOT_SELF ? getenv("PATH") : NULL;
	set_name(list, "USER", user->name);
	set_name(list, "LOGNAME", user->name);
	set_name(list, "HOME", user->home);
	set_name(list, "SHELL", user->shell);
	set_name(list, "PATH", path != NULL ? path : user->uid == 0 ? path_root : path_user);
	strings_add_format(list, "XDG_RUNTIME_DIR=/run/user/%u", user->uid);
}

/* What Citadel's launcher sets for programs of a realm, as far as there is something behind it here. */
static void set_realm(struct strings *list, const struct plan *plan) {
	set_name(list, "REALM_NAME", plan->realm_name);
	set_name(list, "GNOME_DESKTOP_SESSION_ID", "this-is-deprecated");
	set_name(list, "NO_AT_BRIDGE", "1");
	if (plan->has_screen) {
		set_name(list, "GDK_BACKEND", "wayland");
		set_name(list, "XDG_SESSION_TYPE", "wayland");
	}
}

static int resolve_variables(struct plan *plan, const struct plan_request *request, struct error *error) {
	struct strings list = {0};
	pass_on(&list);
	if (!plan->tty) {
		set_name(&list, "TERM", NULL);
	}
	set_identity(&list, plan);
	if (plan->realm_name != NULL) {
		set_realm(&list, plan);
	}
	set_screen(&list, plan);
	if (plan->has_sound) {
		strings_add_format(&list, "PULSE_SERVER=unix:/run/user/%u/pulse/native", plan->user.uid);
	}
	for (size_t i = 0; i < request->env_count; i++) {
		const char *variable = request->env[i];
		size_t length = strcspn(variable, "=");
		bool given = variable[length] == '=';
		set(&list, variable, length, given ? variable + length + 1 : getenv(variable));
	}
	plan->environment = strings_take(&list);
	return plan->environment == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}

/* Where a directory of the host is in the guest: in the deepest share that holds it, or in the root when it
 * is not hidden there. NULL: nowhere. malloc'ed. */
static char *guest_directory(const struct plan *plan, const char *host) {
	const struct plan_share *best = NULL;
	const char *best_rest = NULL;
	for (size_t i = 0; i < plan->share_count; i++) {
		const char *rest = path_below(host, plan->shares[i].host_path);
		bool hidden = rest == NULL || (plan->shares[i].guest_path == NULL &&
						      plan_is_hidden(plan->shares[i].files.hide, host));
		if (!hidden && (best == NULL || strlen(rest) < strlen(best_rest))) {
			best = &plan->shares[i];
			best_rest = rest;
		}
	}
	if (best == NULL) {
		return NULL;
	}
	struct strings path = {0};
	strings_add_format(&path, "%s%s", best->guest_path != NULL ? best->guest_path : "",
		best->guest_path == NULL && best_rest[0] == '\0' ? "/" : best_rest);
	char **items = strings_take(&path);
	char *directory = items != NULL ? items[0] : NULL;
	free(items);
	return directory;
}

static int resolve_cwd(struct plan *plan, struct error *error) {
	char *here = getcwd(NULL, 0);
	/* A directory that was removed, or lies outside this root, reads "(unreachable)...". */
	plan->cwd = here != NULL && here[0] == '/' ? guest_directory(plan, here) : NULL;
	free(here);
	if (plan->cwd == NULL) {
		plan->cwd = strdup(plan->as_root && plan->user.uid != 0 ? "/root" : plan->user.home);
	}
	return plan->cwd == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int plan_resolve_environment(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = resolve_variables(plan, request, error);
	return ret < 0 ? ret : resolve_cwd(plan, error);
}
