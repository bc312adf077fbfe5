/*
 * Landlock, by its system calls: the kernel's headers here may be older than the kernel ph runs on. In the
 * process that confines itself, before it meets the guest. The trees are the caller's choice; what lies in
 * their first level is the host's, and changes while it is read.
 */
#include "jail/parts.h"

#include "ph/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_RULESET_VERSION 1
#define RULE_PATH_BENEATH 1

#define EXECUTE (1u << 0)
#define WRITE_FILE (1u << 1)
#define READ_FILE (1u << 2)
#define READ_DIR (1u << 3)
#define REMOVE_DIR (1u << 4)
#define REMOVE_FILE (1u << 5)
#define MAKE_CHAR (1u << 6)
#define MAKE_DIR (1u << 7)
#define MAKE_REG (1u << 8)
#define MAKE_SOCK (1u << 9)
#define MAKE_FIFO (1u << 10)
#define MAKE_BLOCK (1u << 11)
#define MAKE_SYM (1u << 12)
#define REFER (1u << 13)     /* version 2 */
#define TRUNCATE (1u << 14)  /* version 3 */
#define IOCTL_DEV (1u << 15) /* version 5 */

#define NET_TCP 3u /* bind, connect: version 4 */
#define SCOPE 3u   /* abstract sockets and signals stay inside: version 6 */

#define ALL_FILES ((1u << 13) - 1)
#define READING (READ_FILE | READ_DIR)
#define WRITING \
	(READING | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | \
		MAKE_SYM | REFER | TRUNCATE)
/* What a rule for a file that is no directory may allow. */
#define OF_FILES (READ_FILE | WRITE_FILE | TRUNCATE)

struct ruleset_attributes {
	uint64_t files, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

int jail_landlock_version(void) {
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	return version > 0 ? (int)version : 0;
}

/* The first version forbids every rename and link from one directory to another. */
int jail_landlock_needed(const struct jail_traits *traits) {
	return traits->any_files ? 2 : 1;
}

static uint64_t file_rights(int version) {
	return ALL_FILES | (version >= 2 ? REFER : 0) | (version >= 3 ? TRUNCATE : 0) |
	       (version >= 5 ? IOCTL_DEV : 0);
}

static int create_ruleset(int version, bool scoped) {
	const struct ruleset_attributes attributes = {
		.files = file_rights(version), .net = NET_TCP, .scoped = scoped ? SCOPE : 0};
	size_t size = version < 4 ? 8 : version < 6 ? 16 : 24;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
	return fd < 0 ? -errno : fd;
}

static int allow(int ruleset, int fd, uint64_t rights) {
	const struct path_beneath rule = {.allowed = rights, .parent_fd = fd};
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static bool is_hidden(const struct jail_tree *tree, const char *name) {
	for (size_t i = 0; tree->hidden != NULL && tree->hidden[i] != NULL; i++) {
		if (strcmp(tree->hidden[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static bool hides_in_first_level(const struct jail_tree *tree) {
	for (size_t i = 0; tree->hidden != NULL && tree->hidden[i] != NULL; i++) {
		if (strchr(tree->hidden[i], '/') == NULL) {
			return true;
		}
	}
	return false;
}

/* Rules only add rights: what cannot be looked at, as another user's FUSE mount, goes without one. */
static int allow_entry(int ruleset, const struct jail_tree *tree, const char *name, uint64_t rights) {
	struct stat stat;
	int ret = 0, fd = openat(tree->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &stat) == 0 && (S_ISDIR(stat.st_mode) || S_ISREG(stat.st_mode))) {
		ret = allow(ruleset, fd, S_ISDIR(stat.st_mode) ? rights : rights & OF_FILES);
	}
	fd_close(&fd);
	return ret;
}

/* Each entry of the tree but the hidden ones. */
static int allow_entries(int ruleset, const struct jail_tree *tree, uint64_t rights) {
	int fd = openat(tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	int ret = 0;
	struct dirent *entry;
	while (ret == 0 && (entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			!is_hidden(tree, entry->d_name)) {
			ret = allow_entry(ruleset, tree, entry->d_name, rights);
		}
	}
	closedir(folder);
	return ret;
}

/*
 * A rule is about a directory and all below it, and can only add rights. So where something in the first
 * level is hidden, the directory itself may be listed, and each of the others has a rule of its own: what
 * the host adds to that level later cannot be read until ph starts anew. Only read-only trees are cut up.
 */
static int allow_tree(int ruleset, const struct jail_tree *tree, int version) {
	uint64_t rights = (tree->writable ? WRITING : READING) & file_rights(version);
	if (tree->writable || !hides_in_first_level(tree)) {
		return allow(ruleset, tree->fd, rights);
	}
	int ret = allow(ruleset, tree->fd, READ_DIR);
	return ret < 0 ? ret : allow_entries(ruleset, tree, rights);
}

int jail_enter_landlock(const struct jail_traits *traits, const struct jail_reach *reach) {
	int version = jail_landlock_version();
	if (version < jail_landlock_needed(traits)) {
		return -EOPNOTSUPP;
	}
	int ruleset = create_ruleset(version, !traits->signals_others);
	if (ruleset < 0) {
		return ruleset;
	}
	int ret = 0;
	for (size_t i = 0; i < reach->tree_count && ret == 0; i++) {
		ret = allow_tree(ruleset, &reach->trees[i], version);
	}
	if (ret == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		ret = -errno;
	}
	fd_close(&ruleset);
	return ret;
}
