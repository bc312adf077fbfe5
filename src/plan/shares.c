/*
 * Shared directories: this system's root, the home, and what --share names. Each is opened here, so that
 * what was checked is what is served.
 *
 * ph's first thread; the input is the caller's own.
 */
#include "plan/parts.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In seconds: see ph/files.h. */
#define LOCKS ",locktimeout=1"

/* The root does not change under a running VM in practice: its guest caches. Shares are worked on from both
 * sides: only what is mapped is cached. One user serves it all, so one attach is enough, unless --uid-map
 * tells users apart. */
static const char *const options_root = "cache=loose,access=any" LOCKS;
static const char *const options_share = "cache=mmap,access=any" LOCKS;
static const char *const options_mapped = "cache=mmap,access=user" LOCKS;

static int open_directory(const char *path, const char *what, struct error *error) {
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		const char *cause = errno == ENOENT ? "there is no such directory" : strerror(errno);
		return error_set(error, -errno, "%s %s: %s", what, path, cause);
	}
	if (access(path, R_OK | X_OK) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return error_set(error, ret, "%s %s: you may not read it", what, path);
	}
	return fd;
}

/* Take the next share of the plan; guest is taken over and NULL for the root. what names it in messages. */
static int add_share(struct plan *plan, const char *what, const char *host, char *guest, bool read_only,
	struct error *error) {
	if (plan->share_count == PLAN_SHARES_MAX) {
		free(guest);
		return error_set(error, -EINVAL, "more than %d shares are not possible", PLAN_SHARES_MAX);
	}
	struct plan_share *share = &plan->shares[plan->share_count++];
	*share = (struct plan_share){
		.guest_path = guest, .mount_options = options_share, .files = {.read_only = read_only}};
	share->files.root_fd = open_directory(host, what, error);
	if (share->files.root_fd < 0) {
		return share->files.root_fd;
	}
	share->host_path = realpath(host, NULL);
	return share->host_path == NULL ? error_set(error, -errno, "%s %s: %s", what, host, strerror(errno))
					: 0;
}

int plan_add_share(
	struct plan *plan, int fd, const char *host, const char *guest, bool read_only, struct error *error) {
	if (plan->share_count == PLAN_SHARES_MAX) {
		return error_set(error, -EINVAL, "more than %d shares are not possible", PLAN_SHARES_MAX);
	}
	struct plan_share *share = &plan->shares[plan->share_count];
	*share = (struct plan_share){.host_path = strdup(host),
		.guest_path = strdup(guest),
		.mount_options = options_share,
		.files = {.root_fd = -1, .read_only = read_only}};
	plan->share_count++;
	if (share->host_path == NULL || share->guest_path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	share->files.root_fd = fd;
	return 0;
}

static int add_root(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = add_share(plan, "root", "/", NULL, true, error);
	if (ret < 0) {
		return ret;
	}
	plan->shares[0].mount_options = options_root;
	/* Who may only read the host's files does not get to keep the host from writing them. */
	plan->shares[0].files.private_locks = true;
	return plan_hide_list(&plan->shares[0].files.hide, plan, request, error);
}

static int add_home(struct plan *plan, const struct plan_request *request, struct error *error) {
	plan->private_home = request->private_home;
	if (strcmp(plan->user.home, "/") == 0) {
		return error_set(error, -EINVAL,
			"your home is /, and sharing that would share the whole system; set HOME");
	}
	if (strpbrk(plan->user.home, ":\n") != NULL) {
		return error_set(error, -EINVAL,
			"your home %s has a character no passwd file can hold; set HOME", plan->user.home);
	}
	if (plan->private_home) {
		return 0;
	}
	char *guest = strdup(plan->user.home);
	if (guest == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	const char *host = request->home != NULL ? request->home : plan->user.home;
	struct error cause = {0};
	int ret = add_share(plan, "home", host, guest, false, &cause);
	if (ret < 0) {
		return error_set(
			error, ret, "%s; --home DIR shares another, --private-home none", cause.message);
	}
	return 0;
}

/* The guest's own file systems and the root cannot be mounted over. */
bool plan_is_free_place(const char *path) {
	static const char *const taken[] = {"/proc", "/sys", "/dev"};
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (path_below(path, taken[i]) != NULL) {
			return false;
		}
	}
	return strcmp(path, "/") != 0 && strcmp(path, "/run") != 0 && strcmp(path, "/tmp") != 0;
}

struct share_option {
	char *host, *guest; /* point into text; guest may be NULL */
	bool read_only;
	char *text;
};

/* HOST[:GUEST][:ro] */
static int parse_share(struct share_option *parsed, const char *option, struct error *error) {
	*parsed = (struct share_option){.text = strdup(option)};
	if (parsed->text == NULL) {
		error_set(error, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	char *rest = parsed->text;
	parsed->host = strsep(&rest, ":");
	char *part = strsep(&rest, ":");
	if (part != NULL && part[0] == '/') {
		parsed->guest = part;
		part = strsep(&rest, ":");
	}
	parsed->read_only = part != NULL && strcmp(part, "ro") == 0;
	if (parsed->host[0] == '\0' || rest != NULL || (part != NULL && !parsed->read_only)) {
		return error_set(
			error, -EINVAL, "--share %s: must be HOST[:GUEST][:ro], GUEST absolute", option);
	}
	return 0;
}

static int add_option_share(struct plan *plan, const char *option, struct error *error) {
	struct share_option parsed;
	char *guest = NULL;
	int ret = parse_share(&parsed, option, error);
	if (ret < 0) {
		goto out;
	}
	guest = parsed.guest != NULL ? path_normalize(parsed.guest) : realpath(parsed.host, NULL);
	if (guest == NULL && parsed.guest == NULL) {
		const char *cause = errno == ENOENT ? "there is no such directory" : strerror(errno);
		ret = error_set(error, -errno, "--share %s: %s", parsed.host, cause);
		goto out;
	}
	if (guest == NULL || !plan_is_free_place(guest)) {
		ret = error_set(error, -EINVAL,
			"--share %s: %s cannot be a shared directory's place in the VM", option,
			guest != NULL ? guest : parsed.guest);
		goto out;
	}
	ret = add_share(plan, "--share", parsed.host, guest, parsed.read_only, error);
	guest = NULL;
out:
	free(guest);
	free(parsed.text);
	return ret;
}

static int check_conflicts(const struct plan *plan, struct error *error) {
	const char *home = plan->private_home ? plan->user.home : NULL;
	for (size_t i = 0; i < plan->share_count; i++) {
		const char *path = plan->shares[i].guest_path;
		if (path == NULL || plan->shares[i].skeleton) {
			continue;
		}
		if (home != NULL && path_below(home, path) != NULL) {
			return error_set(
				error, -EINVAL, "--private-home: a share at %s would cover %s", path, home);
		}
		for (size_t j = 0; j < i; j++) {
			const char *other = plan->shares[j].guest_path;
			if (other != NULL && strcmp(path, other) == 0) {
				return error_set(error, -EINVAL, "%s and %s would both be shared at %s",
					plan->shares[j].host_path, plan->shares[i].host_path, path);
			}
		}
	}
	return 0;
}

/* By guest path, the root first: a directory is mounted before what is mounted inside it. */
static int compare_shares(const void *a, const void *b) {
	const char *left = ((const struct plan_share *)a)->guest_path;
	const char *right = ((const struct plan_share *)b)->guest_path;
	return strcmp(left != NULL ? left : "", right != NULL ? right : "");
}

static void name_tags(struct plan *plan) {
	qsort(plan->shares, plan->share_count, sizeof(plan->shares[0]), compare_shares);
	for (size_t i = 0; i < plan->share_count; i++) {
		struct plan_share *share = &plan->shares[i];
		if (share->guest_path == NULL) {
			snprintf(share->files.tag, sizeof(share->files.tag), "%s", PLAN_ROOT_TAG);
		} else {
			snprintf(share->files.tag, sizeof(share->files.tag), "share%zu", i);
		}
	}
}

/* The root shows the host's owners as they are. */
static int map_ids(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = 0;
	for (size_t i = 0; i < plan->share_count && request->uid_map_count > 0 && ret == 0; i++) {
		if (plan->shares[i].guest_path != NULL) {
			plan->shares[i].mount_options = options_mapped;
			ret = plan_map_ids(&plan->shares[i].files, request, error);
		}
	}
	return ret;
}

int plan_resolve_shares(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = plan->root == PLAN_ROOT_SELF ? add_root(plan, request, error) : 0;
	if (ret == 0) {
		ret = plan->realm != NULL ? plan_add_realm_shares(plan, request, error)
					  : add_home(plan, request, error);
	}
	for (size_t i = 0; i < request->share_count && ret == 0; i++) {
		ret = add_option_share(plan, request->shares[i], error);
	}
	if (ret == 0) {
		ret = map_ids(plan, request, error);
	}
	/* Without it an image is the root, and options refuse what asks to hide something of this system. */
	if (ret == 0 && plan->root == PLAN_ROOT_SELF) {
		ret = plan_hide_in_shares(plan, request, error);
	}
	if (ret == 0) {
		ret = check_conflicts(plan, error);
		name_tags(plan);
	}
	return ret;
}
