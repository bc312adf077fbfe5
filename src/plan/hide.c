/*
 * What of this system's / the guest does not see: what the guest has its own of, the homes of people, and
 * secrets that root could read. The file server treats these paths as not there; init makes the mount points
 * it needs in the overlay. And what of the home and of shares it is not to see either.
 *
 * ph's first thread; the input is the caller's own and the host's tree.
 */
#include "plan/parts.h"

#include "plan/strings.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of a path, as Linux follows. */
#define LINKS_MAX 40

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

/* Whether an automounter has the folder of a path: it makes no links there, and mounts what is asked for,
 * from a server that may be away. */
static bool is_automounted(const char *path) {
	char folder[PATH_MAX];
	struct statfs fs;
	int size = snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	return size > 0 && size < (int)sizeof(folder) && statfs(folder, &fs) == 0 &&
	       fs.f_type == AUTOFS_SUPER_MAGIC;
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
		bool known = home != NULL && plan_is_hidden(hide->items, home) && is_automounted(home);
		if (home != NULL && strcmp(home, "/") != 0 && !known) {
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

static void show_path(struct strings *hide, const char *path) {
	for (size_t i = hide->count; i-- > 0;) {
		if (lies_in(hide->items[i], path + 1)) {
			strings_remove(hide, i);
		}
	}
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
	show_path(hide, normal);
	char *real = realpath(normal, NULL);
	if (real != NULL) {
		show_path(hide, real);
	}
	free(real);
	int ret = 0;
	struct stat st;
	bool is_file = stat(normal, &st) == 0 && !S_ISDIR(st.st_mode);
	if (plan_is_hidden(hide->items, normal)) {
		ret = is_file ? error_set(error, -EINVAL,
					"--show %s: a directory above it is hidden; --show that one", path)
			      : error_set(error, -EINVAL,
					"--show %s: a directory above it is hidden; use --share %s:ro", path,
					path);
	}
	free(normal);
	return ret;
}

int plan_hide_list(
	char ***hide, const struct plan *plan, const struct plan_request *request, struct error *error) {
	struct strings list = {0};
	int ret = 0;
	for (size_t i = 0; i < sizeof(hidden_always) / sizeof(hidden_always[0]); i++) {
		char path[PATH_MAX];
		snprintf(path, sizeof(path), "/%s", hidden_always[i]);
		hide_path(&list, path);
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

/* ---- in the home and in shares ---- */

/* A path as it is being resolved: what lies behind, without links, and what is still to come. */
struct way {
	char done[PATH_MAX], rest[PATH_MAX];
	unsigned links;
};

/* Whether what is to come leads up again: then it is no path in a share yet. */
static bool leads_up(const char *rest) {
	for (const char *at = strstr(rest, ".."); at != NULL; at = strstr(at + 2, "..")) {
		if ((at == rest || at[-1] == '/') && (at[2] == '/' || at[2] == '\0')) {
			return true;
		}
	}
	return false;
}

static void add_below(struct strings *hide, const struct plan_share *share, const struct way *way) {
	const char *below = path_below(way->done[0] != '\0' ? way->done : "/", share->host_path);
	char text[2 * PATH_MAX];
	if (below == NULL || leads_up(way->rest)) {
		return;
	}
	snprintf(text, sizeof(text), "%s/%s", below, way->rest);
	char *entry = path_normalize(text);
	if (entry == NULL) {
		hide->failed = true;
	} else if (entry[1] != '\0' && !plan_is_hidden(hide->items, entry)) {
		strings_add(hide, strdup(entry + 1));
	}
	free(entry);
}

/* A link's target takes its place. False: it is none, or one too many. */
static bool follow(struct way *way, const char *link, const char *behind) {
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t size = way->links++ < LINKS_MAX ? readlink(link, target, sizeof(target) - 1) : -1;
	if (size <= 0) {
		return false;
	}
	target[size] = '\0';
	if (snprintf(rest, sizeof(rest), "%s/%s", target, behind) >= (int)sizeof(rest)) {
		return false;
	}
	if (target[0] == '/') {
		way->done[0] = '\0';
	}
	strcpy(way->rest, rest);
	return true;
}

/* One component on. */
static void go_on(struct way *way) {
	char component[PATH_MAX], next[2 * PATH_MAX];
	const char *rest = way->rest + strspn(way->rest, "/");
	size_t length = strcspn(rest, "/");
	const char *behind = rest + length;
	snprintf(component, sizeof(component), "%.*s", (int)length, rest);
	if (strcmp(component, "..") == 0) {
		char *slash = strrchr(way->done, '/');
		*(slash != NULL ? slash : way->done) = '\0';
	} else if (length > 0 && strcmp(component, ".") != 0) {
		int size = snprintf(next, sizeof(next), "%s/%s", way->done, component);
		if (size < PATH_MAX && follow(way, next, behind)) {
			return;
		}
		snprintf(way->done, sizeof(way->done), "%.*s", PATH_MAX - 1, next);
	}
	memmove(way->rest, behind, strlen(behind) + 1);
}

/*
 * Add what a path is in a share, step by step as it is resolved. Without links it is the same each time; each
 * link adds the way by it, which the file server keeps from being led elsewhere, and where it goes.
 */
static void hide_in_share(struct strings *hide, const struct plan_share *share, const char *path) {
	struct way way = {.done = ""};
	snprintf(way.rest, sizeof(way.rest), "%s", path);
	add_below(hide, share, &way);
	while (way.rest[strspn(way.rest, "/")] != '\0') {
		go_on(&way);
		add_below(hide, share, &way);
	}
}

static bool is_home(const struct plan *plan, const struct plan_share *share) {
	return !plan->private_home && strcmp(share->guest_path, plan->user.home) == 0;
}

/* To share a directory and to hide it contradict each other. To hide one and share what is in it does not: of
 * all that is there it is shown alone. But whoever hides where the home is does not mean it to be shown. */
static int check_shared(const struct plan *plan, const struct plan_share *share,
	const struct plan_request *request, const char *path, struct error *error) {
	char *real = realpath(path, NULL);
	bool same = real != NULL && strcmp(real, share->host_path) == 0;
	bool above = real != NULL && path_below(share->host_path, real) != NULL;
	free(real);
	if (is_home(plan, share) && request->home == NULL && same) {
		return error_set(error, -EINVAL,
			"--hide %s: it is shared as the home; --private-home leaves it out", path);
	}
	if (is_home(plan, share) && request->home == NULL && above) {
		return error_set(error, -EINVAL,
			"--hide %s: the home %s is in it, and shared; --private-home leaves it out", path,
			share->host_path);
	}
	return !same ? 0
		     : error_set(error, -EINVAL, "--hide %s: %s shares it at %s; leave out one of the two",
			       path, is_home(plan, share) ? "--home" : "--share", share->guest_path);
}

static int hide_requests_in(struct plan *plan, struct plan_share *share, const struct plan_request *request,
	struct error *error) {
	struct strings hide = {0};
	int ret = 0;
	for (size_t i = 0; i < request->hide_count && ret == 0; i++) {
		char *path = path_normalize(request->hide[i]);
		ret = path == NULL ? error_set(error, -ENOMEM, "out of memory")
				   : check_shared(plan, share, request, path, error);
		if (ret == 0) {
			hide_in_share(&hide, share, path);
		}
		free(path);
	}
	if (ret == 0 && (hide.count > 0 || hide.failed)) {
		share->files.hide = strings_take(&hide);
		ret = share->files.hide == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
	}
	strings_finish(&hide);
	return ret;
}

/* A share cannot be mounted where another one does not show a directory. */
static int check_places(const struct plan *plan, const struct plan_share *inner, struct error *error) {
	for (size_t i = 0; i < plan->share_count; i++) {
		const struct plan_share *outer = &plan->shares[i];
		const char *below = outer->guest_path == NULL || outer == inner
					    ? NULL
					    : path_below(inner->guest_path, outer->guest_path);
		if (below != NULL && below[0] != '\0' && plan_is_hidden(outer->files.hide, below)) {
			return error_set(error, -EINVAL,
				"--share %s: its place %s is hidden there; give it another with --share "
				"HOST:GUEST",
				inner->host_path, inner->guest_path);
		}
	}
	return 0;
}

int plan_hide_in_shares(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = 0;
	for (size_t i = 0; i < plan->share_count && ret == 0; i++) {
		if (plan->shares[i].guest_path != NULL) {
			ret = hide_requests_in(plan, &plan->shares[i], request, error);
		}
	}
	for (size_t i = 0; i < plan->share_count && ret == 0; i++) {
		if (plan->shares[i].guest_path != NULL) {
			ret = check_places(plan, &plan->shares[i], error);
		}
	}
	return ret;
}
