/*
 * Copies a skeleton into a new home. Runs in ph-init before the first command; the tree is the host's.
 */
#include "guest/init/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32

struct copy {
	uid_t uid;
	gid_t gid;
	int error; /* the first one */
};

static void note(struct copy *copy, int error) {
	copy->error = copy->error == 0 ? error : copy->error;
}

static int copy_bytes(int from, int to) {
	static char buffer[65536];
	ssize_t n;
	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		for (ssize_t done = 0, m; done < n; done += m) {
			m = write(to, buffer + done, (size_t)(n - done));
			if (m <= 0) {
				return m < 0 ? -errno : -ENOSPC;
			}
		}
	}
	return n < 0 ? -errno : 0;
}

static int copy_file(const struct copy *copy, int from_dir, int to_dir, const char *name, mode_t mode) {
	int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	unlinkat(to_dir, name, 0);
	int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = from < 0 || to < 0 ? -errno : copy_bytes(from, to);
	if (result == 0 && (fchown(to, copy->uid, copy->gid) < 0 || fchmod(to, mode & 0777) < 0)) {
		result = -errno;
	}
	if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
	return result;
}

static int copy_link(const struct copy *copy, int from_dir, int to_dir, const char *name) {
	char target[PATH_MAX];
	ssize_t length = readlinkat(from_dir, name, target, sizeof(target) - 1);
	if (length < 0) {
		return -errno;
	}
	target[length] = '\0';
	unlinkat(to_dir, name, 0);
	if (symlinkat(target, to_dir, name) < 0 ||
		fchownat(to_dir, name, copy->uid, copy->gid, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	return 0;
}

static void copy_folder(struct copy *copy, int from, int to, unsigned depth);

static int copy_subfolder(
	struct copy *copy, int from_dir, int to_dir, const char *name, mode_t mode, unsigned depth) {
	if (depth == DEPTH_MAX) {
		return -ELOOP;
	}
	if (mkdirat(to_dir, name, 0700) < 0 && errno != EEXIST) {
		return -errno;
	}
	int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = from < 0 || to < 0 ? -errno : 0;
	if (result == 0) {
		copy_folder(copy, from, to, depth + 1);
		if (fchown(to, copy->uid, copy->gid) < 0 || fchmod(to, mode & 0777) < 0) {
			result = -errno;
		}
	} else if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
	return result;
}

static int copy_entry(struct copy *copy, int from, int to, const char *name, unsigned depth) {
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(copy, from, to, name, st.st_mode);
	case S_IFLNK:
		return copy_link(copy, from, to, name);
	case S_IFDIR:
		return copy_subfolder(copy, from, to, name, st.st_mode, depth);
	default:
		return 0;
	}
}

/* from is closed. */
static void copy_folder(struct copy *copy, int from, int to, unsigned depth) {
	DIR *dir = fdopendir(from);
	const struct dirent *entry;
	if (dir == NULL) {
		note(copy, -errno);
		close(from);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			note(copy, copy_entry(copy, dirfd(dir), to, entry->d_name, depth));
		}
	}
	closedir(dir);
}

int copy_tree(const char *from, const char *to, uid_t uid, gid_t gid) {
	struct copy copy = {.uid = uid, .gid = gid};
	int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from_fd < 0 || to_fd < 0) {
		copy.error = -errno;
	} else {
		copy_folder(&copy, from_fd, to_fd, 0);
		from_fd = -1;
	}
	if (from_fd >= 0) {
		close(from_fd);
	}
	if (to_fd >= 0) {
		close(to_fd);
	}
	return copy.error;
}
