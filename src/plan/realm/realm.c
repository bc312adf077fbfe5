/*
 * Finding realms. ph's first thread, as the caller or root; nothing is followed that a realm could have put
 * there.
 */
#include "plan/realm/realm.h"

#include "plan/realm/bus.h"
#include "plan/realm/header.h"

#include "ph/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "realm-"
#define PREFIX_LENGTH (sizeof(PREFIX) - 1)

static int open_realm(int realms_fd, const char *name) {
	char folder[PREFIX_LENGTH + PLAN_REALM_MAX + 1];
	snprintf(folder, sizeof(folder), PREFIX "%s", name);
	return citadel_open(realms_fd, folder, O_PATH | O_DIRECTORY);
}

/* ---- the list ---- */

static int compare(const void *a, const void *b) {
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_entry(int realms_fd, const char *entry, struct strings *names) {
	if (strncmp(entry, PREFIX, PREFIX_LENGTH) != 0 ||
		!header_is_name(entry + PREFIX_LENGTH, PLAN_REALM_MAX)) {
		return;
	}
	int fd = open_realm(realms_fd, entry + PREFIX_LENGTH);
	if (fd >= 0) {
		strings_add(names, strdup(entry + PREFIX_LENGTH));
		fd_close(&fd);
	}
}

int realm_list(int realms_fd, struct strings *names) {
	int fd = openat(realms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		add_entry(realms_fd, entry->d_name, names);
	}
	closedir(dir);
	if (names->count > 0) {
		qsort(names->items, names->count, sizeof(*names->items), compare);
	}
	return names->failed ? -ENOMEM : 0;
}

static void list_text(int realms_fd, char *text, size_t size) {
	struct strings names = {0};
	size_t used = 0;
	realm_list(realms_fd, &names);
	text[0] = '\0';
	for (size_t i = 0; i < names.count && used < size; i++) {
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", names.items[i]);
	}
	if (names.count == 0) {
		snprintf(text, size, "none");
	}
	strings_finish(&names);
}

/* ---- one of them ---- */

static int open_directory(struct realm *realm, struct error *error) {
	realm->fd = open_realm(realm->realms_fd, realm->name);
	if (realm->fd >= 0) {
		return 0;
	}
	int ret = realm->fd;
	if (ret == -ELOOP || ret == -ENOTDIR) {
		return error_set(error, ret,
			"/realms/realm-%s is no directory of its own (a symbolic link?), so it is no realm",
			realm->name);
	}
	if (ret != -ENOENT) {
		return error_set(error, ret, "/realms/realm-%s: %s", realm->name, strerror(-ret));
	}
	char names[256];
	list_text(realm->realms_fd, names, sizeof(names));
	return error_set(error, ret, "there is no realm '%s'; realms there are: %s", realm->name, names);
}

/* Open for reading, since a lock needs that. */
static int open_home(struct realm *realm, struct error *error) {
	struct stat st;
	realm->home_fd = citadel_open(realm->fd, "home", O_RDONLY | O_DIRECTORY);
	if (realm->home_fd < 0) {
		int ret = realm->home_fd;
		const char *cause = ret == -ELOOP || ret == -ENOTDIR ? "it is no directory"
				    : ret == -ENOENT
					    ? "there is none; Citadel makes it when the realm first starts"
				    : ret == -EACCES ? "you may not read it"
						     : strerror(-ret);
		return error_set(error, ret, "the home of realm %s (/realms/realm-%s/home): %s", realm->name,
			realm->name, cause);
	}
	if (fstat(realm->home_fd, &st) < 0) {
		return error_set(error, -errno, "the home of realm %s: %s", realm->name, strerror(errno));
	}
	if (faccessat(realm->home_fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
		return error_set(error, -errno,
			"the home of realm %s (/realms/realm-%s/home): you may not write to it; it belongs "
			"to user %u",
			realm->name, realm->name, st.st_uid);
	}
	if (st.st_uid == 0) {
		return error_set(error, -EPERM,
			"the home of realm %s belongs to root; on Citadel it belongs to the user (chown "
			"1000:1000)",
			realm->name);
	}
	realm->uid = st.st_uid;
	realm->gid = st.st_gid;
	return 0;
}

int realm_open(struct realm *realm, const char *name, struct error *error) {
	*realm = (struct realm){.realms_fd = -1, .fd = -1, .home_fd = -1};
	snprintf(realm->name, sizeof(realm->name), "%s", name);
	realm->realms_fd = citadel_open_realms(error);
	if (realm->realms_fd < 0) {
		return realm->realms_fd;
	}
	int ret = open_directory(realm, error);
	if (ret == 0) {
		ret = realm_config_read(&realm->config, realm->realms_fd, realm->fd, realm->name, error);
	}
	return ret < 0 ? ret : open_home(realm, error);
}

void realm_close(struct realm *realm) {
	if (realm->name[0] == '\0') {
		return;
	}
	fd_close(&realm->home_fd);
	fd_close(&realm->fd);
	fd_close(&realm->realms_fd);
	realm_config_finish(&realm->config);
	*realm = (struct realm){0};
}

/* ---- who runs ---- */

/* Another ph that lists realms holds such a lock for an instant. */
int realm_lock_home(struct realm *realm) {
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	for (int attempt = 0; flock(realm->home_fd, LOCK_EX | LOCK_NB) < 0; attempt++) {
		if (errno != EWOULDBLOCK || attempt == 10) {
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

bool realm_is_locked(int realms_fd, const char *name) {
	int fd = open_realm(realms_fd, name);
	int home = fd >= 0 ? citadel_open(fd, "home", O_RDONLY | O_DIRECTORY) : -1;
	bool locked = home >= 0 && flock(home, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	fd_close(&home);
	fd_close(&fd);
	return locked;
}

/* The links of a realm's root and home are there for as long as its container is. */
bool realm_has_container(const char *name) {
	char rest[64 + PLAN_REALM_MAX];
	struct stat st;
	snprintf(rest, sizeof(rest), "/run/citadel/realms/realm-%s/rootfs", name);
	char *path = citadel_path(rest);
	bool there = path != NULL && lstat(path, &st) == 0;
	free(path);
	return there;
}

int realm_current(char name[PLAN_REALM_MAX + 1], struct error *error) {
	if (bus_current_realm(name) == 0) {
		return 0;
	}
	char *path = citadel_path("/run/citadel/realms/current/current.realm");
	int ret = path != NULL ? citadel_read_realm_link(path, name) : -ENOMEM;
	free(path);
	if (ret == 0) {
		return 0;
	}
	return error_set(error, ret, "no realm is the current one%s; ph --realms lists the realms",
		ret == -EINVAL ? " (current.realm leads to something else)" : "");
}
