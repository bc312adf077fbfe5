/*
 * Namespaces of a worker: no network but an unconfigured loopback, no IPC objects, a root directory with
 * nothing in it. In the worker, before it meets the guest, while it has one thread. Nothing hostile comes in.
 *
 * Who is not root can have these only together with a user namespace, and in one that maps the caller alone
 * every other owner of a file shows as 65534. Whoever must show owners does without, unless root runs it.
 */
#include "jail/parts.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* An empty file system over any directory, and everything else gone from under it. What is open stays. */
static int enter_empty_root(void) {
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/tmp", "tmpfs", flags, "mode=0555,nr_inodes=1") < 0 || chdir("/tmp") < 0 ||
		syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
		mount("none", "/", NULL, flags | MS_REMOUNT | MS_RDONLY, NULL) < 0 || chdir("/") < 0) {
		return -errno;
	}
	return 0;
}

int jail_enter_namespaces(bool shows_owners) {
	int ret = 0;
	if (geteuid() != 0) {
		ret = shows_owners ? -EPERM : enter_user_namespace();
	}
	if (ret == 0 && unshare(NAMESPACES) < 0) {
		ret = -errno;
	}
	return ret < 0 ? ret : enter_empty_root();
}

/* In a child: the namespace must not stay. */
bool jail_has_user_namespaces(void) {
	pid_t pid = fork();
	if (pid == 0) {
		_exit(unshare(CLONE_NEWUSER) < 0);
	}
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
