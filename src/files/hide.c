/*
 * The hide list (see hide.h). Made when the share is created, in the monitor; only read afterwards, on
 * any thread. The paths are the user's or ph's own, not the guest's.
 */
#include "files/hide.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Symbolic links on the way are followed, as the guest would, within the root. */
static int open_in_root(int root, const char *path, uint64_t flags) {
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOSYS) {
		fd = openat(root, path, (int)flags | O_CLOEXEC);
	}
	return fd >= 0 ? fd : -errno;
}

static int identify(int root, const char *path, uint64_t flags, struct p9_identity *identity) {
	struct statx stat;
	int fd = open_in_root(root, path, flags);
	if (fd < 0) {
		return fd;
	}
	int ret = p9_host_stat(fd, "", &stat);
	if (ret == 0) {
		*identity = p9_identity_of(&stat);
	}
	fd_close(&fd);
	return ret;
}

static int add(struct p9_hide *hide, int root, char *path) {
	struct p9_hidden *entry = &hide->entries[hide->count];
	char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	int ret;
	if (slash != NULL) {
		*slash = '\0';
		ret = identify(root, path, O_PATH | O_DIRECTORY, &entry->directory);
		*slash = '/';
	} else {
		ret = identify(root, ".", O_PATH | O_DIRECTORY, &entry->directory);
	}
	if (ret < 0) {
		return ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES ? 0 : ret;
	}
	entry->exists = identify(root, path, O_PATH | O_NOFOLLOW, &entry->self) == 0;
	entry->name = strdup(name);
	if (entry->name == NULL) {
		return -ENOMEM;
	}
	hide->count++;
	return 0;
}

static int add_copy(struct p9_hide *hide, int root, const char *path) {
	char *copy = strdup(path);
	if (copy == NULL) {
		return -ENOMEM;
	}
	size_t len = strlen(copy);
	while (len > 0 && copy[len - 1] == '/') {
		copy[--len] = '\0';
	}
	/* The root itself cannot be hidden. */
	int ret = len > 0 ? add(hide, root, copy) : 0;
	free(copy);
	return ret;
}

int p9_hide_init(struct p9_hide *hide, int root, char *const *paths) {
	*hide = (struct p9_hide){0};
	size_t count = 0;
	while (paths != NULL && paths[count] != NULL) {
		count++;
	}
	hide->entries = calloc(count + 1, sizeof(*hide->entries));
	if (hide->entries == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		int ret = add_copy(hide, root, paths[i]);
		if (ret < 0) {
			p9_hide_finish(hide);
			return ret;
		}
	}
	return 0;
}

void p9_hide_finish(struct p9_hide *hide) {
	for (size_t i = 0; i < hide->count; i++) {
		free(hide->entries[i].name);
	}
	free(hide->entries);
	*hide = (struct p9_hide){0};
}

bool p9_hide_has_name(const struct p9_hide *hide, struct p9_identity directory, const char *name) {
	for (size_t i = 0; i < hide->count; i++) {
		const struct p9_hidden *entry = &hide->entries[i];
		if (p9_identity_equal(entry->directory, directory) && strcmp(entry->name, name) == 0) {
			return true;
		}
	}
	return false;
}

bool p9_hide_has(const struct p9_hide *hide, struct p9_identity identity) {
	for (size_t i = 0; i < hide->count; i++) {
		if (hide->entries[i].exists && p9_identity_equal(hide->entries[i].self, identity)) {
			return true;
		}
	}
	return false;
}
