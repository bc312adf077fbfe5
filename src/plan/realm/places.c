/*
 * A realm's directories. ph's first thread, as the caller or root. Every one is opened here, without
 * following a link: a realm that can write to one of them could else have another one of the host's served in
 * its next VM.
 */
#include "plan/realm/places.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Add an open directory, which is closed when that fails. */
static int add(
	struct plan *plan, int fd, const char *host, const char *guest, bool read_only, struct error *error) {
	int ret = plan_add_share(plan, fd, host, guest, read_only, error);
	if (ret < 0) {
		fd_close(&fd);
	}
	return ret;
}

static int open_at(int dir_fd, const char *path) {
	int fd = citadel_open(dir_fd, path, O_PATH | O_DIRECTORY);
	if (fd >= 0 && faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	return fd;
}

/* An absolute path. */
static int open_absolute(const char *path) {
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		return -errno;
	}
	int fd = open_at(root, path[1] != '\0' ? path + 1 : ".");
	fd_close(&root);
	return fd;
}

static const char *cause_of(int error) {
	return error == -ELOOP     ? "there is a symbolic link on the way, which ph does not follow"
	       : error == -ENOTDIR ? "not a directory, and a VM is given no single files"
	       : error == -ENOENT  ? "there is no such directory"
	       : error == -EACCES  ? "you may not read it"
				   : strerror(-error);
}

/* What Citadel has anyway and a realm does without where it is missing. */
static int add_optional(
	struct plan *plan, int fd, const char *host, const char *guest, bool read_only, struct error *error) {
	if (fd >= 0) {
		return add(plan, fd, host, guest, read_only, error);
	}
	if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP && fd != -EACCES) {
		return error_set(error, fd, "%s: %s", host, cause_of(fd));
	}
	log_verbose("%s is not in the realm: %s", host, cause_of(fd));
	return 0;
}

static int add_media(struct plan *plan, struct error *error) {
	char *path = citadel_path("/run/media/citadel");
	int ret = path == NULL
			  ? error_set(error, -ENOMEM, "out of memory")
			  : add_optional(plan, open_absolute(path), path, REALM_HOME "/Media", false, error);
	free(path);
	return ret;
}

/* Tools of the host for all realms. */
static int add_tools(struct plan *plan, struct error *error) {
	char *path = citadel_path("/opt/share");
	int fd = path != NULL ? open_absolute(path) : -ENOMEM;
	int ret = fd >= 0 ? add(plan, fd, path, "/opt/share", true, error) : 0;
	free(path);
	return ret;
}

/* ---- the home ---- */

static int add_skeleton(struct plan *plan, int dir_fd, const char *host, struct error *error) {
	char guest[32];
	int fd = open_at(dir_fd, "skel");
	if (fd < 0) {
		return fd == -ENOENT ? 0 : error_set(error, fd, "%s: %s", host, cause_of(fd));
	}
	snprintf(guest, sizeof(guest), "/run/ph/skel%zu", plan->share_count);
	int ret = add(plan, fd, host, guest, true, error);
	if (ret == 0) {
		plan->shares[plan->share_count - 1].skeleton = true;
	}
	return ret;
}

/* A directory of the home that an ephemeral one keeps; its path may go through links inside of the home. */
static int add_kept(struct plan *plan, const struct realm *realm, const char *path, struct error *error) {
	char host[512], *absolute = NULL;
	if (path[0] == '/' || asprintf(&absolute, REALM_HOME "/%s", path) < 0) {
		return error_set(error, -EINVAL,
			"realm %s: ephemeral-persistent-dirs: '%s' must be a path inside of the home",
			realm->name, path);
	}
	char *guest = path_normalize(absolute);
	free(absolute);
	if (guest == NULL || strcmp(guest, REALM_HOME) == 0 || strchr(path, '\n') != NULL) {
		free(guest);
		return error_set(error, -EINVAL,
			"realm %s: ephemeral-persistent-dirs: '%s' must be a path inside of the home",
			realm->name, path);
	}
	snprintf(host, sizeof(host), "/realms/realm-%s/home/%s", realm->name, path);
	int fd = citadel_open_inside(realm->home_fd, path, O_PATH | O_DIRECTORY);
	int ret;
	if (fd == -EXDEV || fd == -ELOOP) {
		ret = error_set(error, fd, "realm %s: ephemeral-persistent-dirs: '%s' leads out of the home",
			realm->name, path);
	} else {
		ret = add_optional(plan, fd, host, guest, false, error);
	}
	free(guest);
	return ret;
}

static int add_ephemeral_home(struct plan *plan, const struct realm *realm, struct error *error) {
	char host[PLAN_REALM_MAX + 32];
	char *const *kept = realm->config.values[KEY_EPHEMERAL_PERSISTENT_DIRS].list;
	plan->private_home = true;
	snprintf(host, sizeof(host), "/realms/realm-%s/skel", realm->name);
	int ret = add_skeleton(plan, realm->realms_fd, "/realms/skel", error);
	if (ret == 0) {
		ret = add_skeleton(plan, realm->fd, host, error);
	}
	for (size_t i = 0; kept != NULL && kept[i] != NULL && ret == 0; i++) {
		ret = add_kept(plan, realm, kept[i], error);
	}
	return ret;
}

static int add_home(struct plan *plan, const struct realm *realm, struct error *error) {
	char host[PLAN_REALM_MAX + 32];
	int fd = openat(realm->home_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return error_set(error, -errno, "the home of realm %s: %s", realm->name, strerror(errno));
	}
	snprintf(host, sizeof(host), "/realms/realm-%s/home", realm->name);
	return add(plan, fd, host, REALM_HOME, false, error);
}

/* ---- bind mounts, as systemd-nspawn writes them: SOURCE[:DESTINATION[:OPTIONS]], "\:" for a colon in a name
 * ---- */

static char *next_part(char **rest) {
	char *start = *rest, *to = *rest;
	if (start == NULL) {
		return NULL;
	}
	for (char *from = start;; from++) {
		if (*from == '\0') {
			*rest = NULL;
			break;
		}
		if (*from == ':') {
			*rest = from + 1;
			break;
		}
		if (*from == '\\' && from[1] != '\0') {
			from++;
		}
		*to++ = *from;
	}
	*to = '\0';
	return start;
}

static int fail_bind(const struct realm *realm, enum realm_key key, const char *text, const char *cause,
	int code, struct error *error) {
	return error_set(
		error, code, "realm %s: %s: '%s': %s", realm->name, realm_key_name(key), text, cause);
}

/* rbind is what a share is; norbind asks for less than it shows, and only of what is mounted inside. */
static bool are_known_options(const char *options) {
	return options == NULL || strcmp(options, "rbind") == 0 || strcmp(options, "norbind") == 0;
}

static int add_bind_parts(struct plan *plan, const struct realm *realm, enum realm_key key, const char *text,
	char *parts, struct error *error) {
	char *source = next_part(&parts), *destination = next_part(&parts);
	bool known = are_known_options(parts);
	char *host = path_normalize(source);
	char *guest = path_normalize(destination != NULL ? destination : source);
	int ret = 0;
	if (host == NULL || guest == NULL || strpbrk(text, "\n\r") != NULL) {
		ret = fail_bind(realm, key, text, "must be SOURCE[:DESTINATION], absolute paths without ..",
			-EINVAL, error);
	} else if (!known) {
		ret = fail_bind(
			realm, key, text, "a VM knows no such option of a bind mount", -EINVAL, error);
	} else if (!plan_is_free_place(guest)) {
		ret = fail_bind(realm, key, text, "that place is the VM's own", -EINVAL, error);
	} else {
		int fd = open_absolute(host);
		ret = fd < 0 ? fail_bind(realm, key, text, cause_of(fd), fd, error)
			     : add(plan, fd, host, guest, key == KEY_EXTRA_BINDMOUNTS_RO, error);
	}
	free(guest);
	free(host);
	return ret;
}

static int add_binds(struct plan *plan, const struct realm *realm, enum realm_key key, struct error *error) {
	char *const *list = realm->config.values[key].list;
	int ret = 0;
	for (size_t i = 0; list != NULL && list[i] != NULL && ret == 0; i++) {
		char *parts = strdup(list[i]);
		ret = parts == NULL ? error_set(error, -ENOMEM, "out of memory")
				    : add_bind_parts(plan, realm, key, list[i], parts, error);
		free(parts);
	}
	return ret;
}

int places_add(struct plan *plan, const struct realm *realm, struct error *error) {
	const struct realm_value *values = realm->config.values;
	int ret = values[KEY_USE_EPHEMERAL_HOME].flag ? add_ephemeral_home(plan, realm, error)
						      : add_home(plan, realm, error);
	if (ret == 0 && values[KEY_USE_SHARED_DIR].flag) {
		ret = add_optional(plan, open_at(realm->realms_fd, "Shared"), "/realms/Shared",
			REALM_HOME "/Shared", false, error);
	}
	if (ret == 0 && values[KEY_USE_MEDIA_DIR].flag) {
		ret = add_media(plan, error);
	}
	if (ret == 0) {
		ret = add_tools(plan, error);
	}
	if (ret == 0) {
		ret = add_binds(plan, realm, KEY_EXTRA_BINDMOUNTS, error);
	}
	return ret < 0 ? ret : add_binds(plan, realm, KEY_EXTRA_BINDMOUNTS_RO, error);
}
