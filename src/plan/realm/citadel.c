/*
 * Citadel's places. ph's first thread, as the caller or, at most, as root; what lies in them belongs to the
 * host's administrator, but for what is in the homes of realms, and links could be anyone's.
 */
#include "plan/realm/citadel.h"

#include "plan/realm/header.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REALM_PREFIX "realm-"

char *citadel_path(const char *rest) {
	const char *top = getenv("PH_CITADEL");
	char *path = NULL;
	return asprintf(&path, "%s%s", top != NULL ? top : "", rest) < 0 ? NULL : path;
}

int citadel_open_realms(struct error *error) {
	char *path = citadel_path("/realms");
	if (path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fd = -errno;
		error_set(error, fd, "%s: %s", path,
			fd == -ENOENT ? "there is no such directory: this is no Citadel" : strerror(-fd));
	}
	free(path);
	return fd;
}

static int open_resolving(int dir_fd, const char *path, int flags, uint64_t resolve) {
	/* openat2() refuses flags that mean nothing to O_PATH. */
	int more = (flags & O_PATH) != 0 ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK;
	const struct open_how how = {.flags = (uint64_t)(flags | more), .resolve = resolve};
	int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int citadel_open(int dir_fd, const char *path, int flags) {
	return open_resolving(
		dir_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int citadel_open_inside(int dir_fd, const char *path, int flags) {
	return open_resolving(dir_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

static ssize_t read_open_file(int fd, char *text, size_t size) {
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	size_t used = 0;
	while (used < size) {
		ssize_t n = read(fd, text + used, size - used);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n == 0) {
			text[used] = '\0';
			return (ssize_t)used;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	return -EFBIG;
}

ssize_t citadel_read(int dir_fd, const char *path, char *text, size_t size) {
	int fd = citadel_open(dir_fd, path, O_RDONLY | O_NOCTTY);
	if (fd < 0) {
		return fd;
	}
	ssize_t length = read_open_file(fd, text, size);
	fd_close(&fd);
	return length;
}

int citadel_read_realm_link(const char *path, char name[PLAN_REALM_MAX + 1]) {
	char target[4096];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 0) {
		return -ENOENT;
	}
	target[length] = '\0';
	const char *slash = strrchr(target, '/');
	const char *last = slash != NULL ? slash + 1 : target;
	if (strncmp(last, REALM_PREFIX, strlen(REALM_PREFIX)) != 0 ||
		!header_is_name(last + strlen(REALM_PREFIX), PLAN_REALM_MAX)) {
		return -EINVAL;
	}
	snprintf(name, PLAN_REALM_MAX + 1, "%s", last + strlen(REALM_PREFIX));
	return 0;
}

/* VALUE, or "VALUE" or 'VALUE', up to the end of the line. */
static void copy_value(const char *text, char *value, size_t size) {
	size_t length = strcspn(text, "\n");
	if (length >= 2 && (text[0] == '"' || text[0] == '\'') && text[length - 1] == text[0]) {
		text++;
		length -= 2;
	}
	snprintf(value, size, "%.*s", (int)length, text);
}

int citadel_os_release(const char *name, char *value, size_t size) {
	char text[16384];
	char *path = citadel_path("/etc/os-release");
	ssize_t n = path != NULL ? fd_read_file(path, text, sizeof(text)) : -ENOMEM;
	free(path);
	size_t length = strlen(name);
	for (const char *line = n > 0 ? text : NULL; line != NULL && *line != '\0';) {
		if (strncmp(line, name, length) == 0 && line[length] == '=') {
			copy_value(line + length + 1, value, size);
			return 0;
		}
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return -ENOENT;
}
