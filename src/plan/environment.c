/*
 * The command's environment and working directory. What describes the person and the terminal goes along;
 * what names things of the host (buses, agents, displays) does not: there is nothing behind it in the VM.
 *
 * ph's first thread; the input is the caller's own.
 */
#include "plan/parts.h"

#include "ph/guest.h"
#include "ph/log.h"
#include "plan/strings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const passed_on[] = {"LANG", "LANGUAGE", "COLORTERM", "COLORFGBG", "NO_COLOR", "TZ",
	"EDITOR", "VISUAL", "PAGER", "LESS", "LS_COLORS"};
/* What the terminal is, and where it is described, if its own program brought that along. */
static const char *const passed_on_terminal[] = {"TERM", "TERMINFO", "TERMINFO_DIRS"};
/* How the person's desktop looks; with a screen only. */
static const char *const passed_on_screen[] = {"XCURSOR_THEME", "XCURSOR_SIZE", "XDG_CURRENT_DESKTOP",
	"GTK_THEME", "GDK_SCALE", "GDK_DPI_SCALE", "QT_QPA_PLATFORMTHEME", "QT_STYLE_OVERRIDE",
	"QT_SCALE_FACTOR", "QT_AUTO_SCREEN_SCALE_FACTOR", "QT_FONT_DPI", "ADW_DEBUG_COLOR_SCHEME",
	"FREETYPE_PROPERTIES"};
/* Where programs look for data and settings: where this system's root is the VM's, too. */
static const char *const passed_on_self[] = {"XDG_DATA_DIRS", "XDG_CONFIG_DIRS"};
/* Of the home: as long as they are in it. */
static const char *const passed_on_home[] = {
	"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"};

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

static void pass_on(struct strings *list, bool tty) {
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		set_name(list, passed_on[i], getenv(passed_on[i]));
	}
	for (size_t i = 0; tty && i < sizeof(passed_on_terminal) / sizeof(passed_on_terminal[0]); i++) {
		set_name(list, passed_on_terminal[i], getenv(passed_on_terminal[i]));
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

static void set_folders(struct strings *list, const struct plan *plan) {
	for (size_t i = 0;
		plan->root == PLAN_ROOT_SELF && i < sizeof(passed_on_self) / sizeof(passed_on_self[0]); i++) {
		set_name(list, passed_on_self[i], getenv(passed_on_self[i]));
	}
	for (size_t i = 0; i < sizeof(passed_on_home) / sizeof(passed_on_home[0]); i++) {
		const char *value = getenv(passed_on_home[i]);
		if (value != NULL && path_below(value, plan->user.home) != NULL) {
			set_name(list, passed_on_home[i], value);
		}
	}
}

/* The bus that init offers; nobody there answers for portals. */
static void set_session(struct strings *list, const struct plan *plan) {
	strings_add_format(list, "XDG_RUNTIME_DIR=/run/user/%u", plan->user.uid);
	strings_add_format(list, "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%u/bus", plan->user.uid);
	set_name(list, "GTK_USE_PORTAL", "0");
	if (plan->open_urls) {
		set_name(list, "BROWSER", GUEST_BIN "/xdg-open");
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
	strings_add_format(list, "PATH=" GUEST_BIN ":%s",
		path != NULL     ? path
		: user->uid == 0 ? path_root
				 : path_user);
	set_session(list, plan);
	if (plan->realm_name == NULL) {
		set_folders(list, plan);
	}
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
	pass_on(&list, plan->tty);
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

/* Where a directory of the host is in the guest: in the deepest share that holds it, or in the root, when it
 * is not hidden there. NULL: nowhere. malloc'ed. */
static char *guest_directory(const struct plan *plan, const char *host) {
	const struct plan_share *best = NULL;
	const char *best_rest = NULL;
	for (size_t i = 0; i < plan->share_count; i++) {
		const char *rest = path_below(host, plan->shares[i].host_path);
		bool hidden =
			rest == NULL || (rest[0] != '\0' && plan_is_hidden(plan->shares[i].files.hide, rest));
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

/* Who is in a directory of this system expects it: what a command removes or makes would be at home. */
void plan_tell_directory(const struct plan *plan) {
	if (plan->hidden_cwd != NULL) {
		log_error("%s is not shown in the VM, which starts in %s%s", plan->hidden_cwd, plan->cwd,
			plan_is_free_place(plan->hidden_cwd) ? "; --share . shows it" : "");
	}
}

static int resolve_cwd(struct plan *plan, struct error *error) {
	char *here = getcwd(NULL, 0);
	/* A directory that was removed, or lies outside this root, reads "(unreachable)...". */
	bool known = here != NULL && here[0] == '/';
	plan->cwd = known ? guest_directory(plan, here) : NULL;
	if (plan->cwd == NULL) {
		plan->cwd = strdup(plan->as_root && plan->user.uid != 0 ? "/root" : plan->user.home);
		if (known && plan->root == PLAN_ROOT_SELF && plan->cwd != NULL &&
			strcmp(here, plan->cwd) != 0) {
			plan->hidden_cwd = here;
			here = NULL;
		}
	}
	free(here);
	return plan->cwd == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int plan_resolve_environment(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = resolve_variables(plan, request, error);
	return ret < 0 ? ret : resolve_cwd(plan, error);
}
