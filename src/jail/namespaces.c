/*
 * Namespaces of a worker: no network but an unconfigured loopback, no IPC objects, a root directory with
 * nothing in it but the folders of the sockets to connect to. In the worker, before it meets the guest, while
 * it has one thread. Nothing hostile comes in.
 *
 * Who is not root can have these only together with a user namespace, and in one that maps the caller alone
 * every other owner of a file shows as 65534. Whoever must show owners does without, unless root runs it.
 */
#include "jail/parts.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDERS_MAX 16
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static int write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
	fd_close(&fd);
	return ret;
}

/* The caller stays who he is, and everybody else is nobody. */
static int enter_user_namespace(void) {
	char users[64], groups[64];
	snprintf(users, sizeof(users), "%u %u 1", geteuid(), geteuid());
	snprintf(groups, sizeof(groups), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER) < 0) {
		return -errno;
	}
	int ret = write_file("/proc/self/setgroups", "deny");
	ret = ret < 0 ? ret : write_file("/proc/self/gid_map", groups);
	return ret < 0 ? ret : write_file("/proc/self/uid_map", users);
}

/* ---- the root directory ---- */

#define NEW_ROOT "/tmp" /* any directory: it is covered */

/* A directory of the new root, and those above it. */
static int make_place(char *path) {
	char *slash = path + sizeof(NEW_ROOT) - 1;
	do {
		slash = strchr(slash + 1, '/');
		if (slash != NULL) {
			*slash = '\0';
		}
		int ret = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (slash != NULL) {
			*slash = '/';
		}
		if (ret < 0) {
			return ret;
		}
	} while (slash != NULL);
	return 0;
}

/* Show a folder, of which fd is a copy that is mounted nowhere yet, under its own path. */
static int show_folder(const char *path, int fd) {
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
	char target[sizeof(NEW_ROOT) + PATH_MAX];
	snprintf(target, sizeof(target), NEW_ROOT "%s", path);
	int ret = make_place(target);
	if (ret == 0 && move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		ret = -errno;
	}
	return ret == 0 && mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | flags, NULL) < 0 ? -errno : ret;
}

/* The folders are copied before the new root, which may cover them; with what is mounted in them, since
 * nobody may look beneath that. */
static int mount_new_root(const struct jail_reach *reach, int *folders) {
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const unsigned copy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		return -errno;
	}
	for (size_t i = 0; i < reach->folder_count; i++) {
		folders[i] = open_tree(AT_FDCWD, reach->folders[i], copy);
	}
	int ret =
		mount("none", NEW_ROOT, "tmpfs", flags, "mode=0755,nr_inodes=200,size=64k") < 0 ? -errno : 0;
	for (size_t i = 0; i < reach->folder_count; i++) {
		bool shown = ret == 0 && folders[i] >= 0;
		ret = shown ? show_folder(reach->folders[i], folders[i]) : ret;
		fd_close(&folders[i]);
	}
	return ret;
}

/* Everything else goes away from under the new root. What is open stays. */
static int enter_new_root(void) {
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
	if (chdir(NEW_ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
		mount("none", "/", NULL, flags | MS_REMOUNT, NULL) < 0 || chdir("/") < 0) {
		return -errno;
	}
	return 0;
}

int jail_enter_namespaces(const struct jail_traits *traits, const struct jail_reach *reach) {
	int ret = 0, folders[FOLDERS_MAX];
	if (reach->folder_count > FOLDERS_MAX) {
		return -E2BIG;
	}
	if (geteuid() != 0) {
		ret = traits->shows_owners ? -EPERM : enter_user_namespace();
	}
	if (ret == 0 && unshare(NAMESPACES) < 0) {
		ret = -errno;
	}
	if (ret == 0) {
		ret = mount_new_root(reach, folders);
	}
	return ret < 0 ? ret : enter_new_root();
}

/* In a child, for which there is no way back. */
bool jail_has_namespaces(void) {
	pid_t pid = fork();
	if (pid == 0) {
		_exit(jail_enter_namespaces(&jail_traits[JAIL_NET], &(struct jail_reach){0}) < 0);
	}
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
