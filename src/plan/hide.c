/*
 * What of this system's / the guest does not see: what the guest has its own of, the homes of people, and
 * secrets that root could read. The file server treats these paths as not there; init makes the mount points
 * it needs in the overlay.
 *
 * ph's first thread; the input is the caller's own and the host's tree.
 */
#include "plan/parts.h"

#include "plan/strings.h"

#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const hidden_always[] = {
	/* the guest's own */
	"proc",
	"sys",
	"dev",
	"run",
	"tmp",
	/* people's files */
	"home",
	"root",
	"var/mail",
	"var/spool/mail",
	"var/spool/cron",
	/* secrets of the host, readable when root runs ph */
	"etc/shadow",
	"etc/shadow-",
	"etc/gshadow",
	"etc/gshadow-",
	"etc/ssl/private",
	"etc/krb5.keytab",
	"etc/letsencrypt",
	"etc/ppp",
	"etc/wireguard",
	"etc/NetworkManager/system-connections",
	"var/lib/bluetooth",
	"var/lib/systemd/coredump",
};

#define GUEST_OWN 5 /* the first of them */

static const char *const hidden_patterns[] = {"/etc/ssh/ssh_host_*_key"};

/* Both without a leading '/'. */
static bool lies_in(const char *path, const char *top) {
	size_t length = strlen(top);
	return strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

bool plan_is_hidden(char *const *hide, const char *path) {
	for (size_t i = 0; hide != NULL && hide[i] != NULL; i++) {
		if (lies_in(path + 1, hide[i])) {
			return true;
		}
	}
	return false;
}

/* Add an absolute path and what it really is, when it is a link. */
static void hide_path(struct strings *hide, const char *path) {
	char *real = realpath(path, NULL);
	if (real != NULL && strcmp(real, path) != 0 && strcmp(real, "/") != 0 &&
		!plan_is_hidden(hide->items, real)) {
		strings_add(hide, strdup(real + 1));
	}
	free(real);
	if (!plan_is_hidden(hide->items, path)) {
		strings_add(hide, strdup(path + 1));
	}
}

static void hide_pattern(struct strings *hide, const char *pattern) {
	glob_t found = {0};
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			hide_path(hide, found.gl_pathv[i]);
		}
	}
	globfree(&found);
}

/* People's homes may be anywhere; those of system accounts are places that programs need. */
static void hide_homes(struct strings *hide) {
	const uid_t first_person = 1000, last_person = 59999;
	const struct passwd *entry;
	setpwent();
	while ((entry = getpwent()) != NULL) {
		if (entry->pw_uid < first_person || entry->pw_uid > last_person) {
			continue;
		}
		char *home = path_normalize(entry->pw_dir);
		if (home != NULL && strcmp(home, "/") != 0) {
			hide_path(hide, home);
		}
		free(home);
	}
	endpwent();
}

static int hide_requested(struct strings *hide, const char *path, struct error *error) {
	char *normal = path_normalize(path);
	if (normal == NULL || strcmp(normal, "/") == 0) {
		free(normal);
		return error_set(
			error, -EINVAL, "--hide %s: must be an absolute path below /, without ..", path);
	}
	if (access(normal, F_OK) < 0) {
		/* A slip of the pen here would show what was to be hidden. */
		free(normal);
		return error_set(error, -ENOENT, "--hide %s: there is no such file", path);
	}
	hide_path(hide, normal);
	free(normal);
	return 0;
}

/* The guest has its own of these; nothing of the host's may take their place. */
static bool guest_has_its_own(const char *path) {
	for (size_t i = 0; i < GUEST_OWN; i++) {
		if (strcmp(path + 1, hidden_always[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Take a path that is hidden by default off the list, with what is listed below it. */
static int show_requested(struct strings *hide, const char *path, struct error *error) {
	char *normal = path_normalize(path);
	if (normal == NULL) {
		return error_set(error, -EINVAL, "--show %s: must be an absolute path without ..", path);
	}
	if (guest_has_its_own(normal)) {
		free(normal);
		return error_set(error, -EINVAL, "--show %s: the VM has its own", path);
	}
	for (size_t i = hide->count; i-- > 0;) {
		if (lies_in(hide->items[i], normal + 1)) {
			strings_remove(hide, i);
		}
	}
	int ret = 0;
	if (plan_is_hidden(hide->items, normal)) {
		ret = error_set(error, -EINVAL,
			"--show %s: a directory above it is hidden; use --share %s:ro", path, path);
	}
	free(normal);
	return ret;
}

int plan_hide_list(
	char ***hide, const struct plan *plan, const struct plan_request *request, struct error *error) {
	struct strings list = {0};
	int ret = 0;
	for (size_t i = 0; i < sizeof(hidden_always) / sizeof(hidden_always[0]); i++) {
		strings_add(&list, strdup(hidden_always[i]));
	}
	for (size_t i = 0; i < sizeof(hidden_patterns) / sizeof(hidden_patterns[0]); i++) {
		hide_pattern(&list, hidden_patterns[i]);
	}
	hide_homes(&list);
	hide_path(&list, plan->user.home);
	for (size_t i = 0; i < request->show_count && ret == 0; i++) {
		ret = show_requested(&list, request->show[i], error);
	}
	for (size_t i = 0; i < request->hide_count && ret == 0; i++) {
		ret = hide_requested(&list, request->hide[i], error);
	}
	if (ret < 0) {
		strings_finish(&list);
		return ret;
	}
	*hide = strings_take(&list);
	return *hide == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}
