/*
 * Namespaces of a worker: no network but an unconfigured loopback, no IPC objects, a root directory with
 * nothing in it but the sockets to connect to. In the worker, before it meets the guest, while it has one
 * thread. Nothing hostile comes in.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKETS_MAX 16
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

/* The directories above a path of the new root, and an empty file for something to be mounted on. */
static int make_place(char *path) {
	for (char *slash = strchr(path + sizeof(NEW_ROOT), '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int ret = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (ret < 0) {
			return ret;
		}
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : 0;
	fd_close(&fd);
	return ret;
}

/* Show a socket, held open as fd, under its own path. */
static int show_socket(const char *path, int fd) {
	char source[32], target[sizeof(NEW_ROOT) + sizeof(((struct sockaddr_un *)0)->sun_path)];
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if ((size_t)snprintf(target, sizeof(target), NEW_ROOT "%s", path) >= sizeof(target)) {
		return -ENAMETOOLONG;
	}
	struct stat status;
	if (stat(target, &status) == 0 && S_ISSOCK(status.st_mode)) {
		return 0; /* under another name, too */
	}
	int ret = make_place(target);
	return ret == 0 && mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : ret;
}

/* The sockets are taken hold of before the new root, which may cover them. */
static int mount_new_root(const struct jail_reach *reach, int *sockets) {
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	for (size_t i = 0; i < reach->socket_count; i++) {
		sockets[i] = open(reach->sockets[i], O_PATH | O_CLOEXEC);
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", NEW_ROOT, "tmpfs", flags, "mode=0755,nr_inodes=200,size=64k") < 0) {
		return -errno;
	}
	int ret = 0;
	for (size_t i = 0; i < reach->socket_count && ret == 0; i++) {
		ret = sockets[i] < 0 ? 0 : show_socket(reach->sockets[i], sockets[i]);
		fd_close(&sockets[i]);
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
	int ret = 0, sockets[SOCKETS_MAX];
	if (reach->socket_count > SOCKETS_MAX) {
		return -E2BIG;
	}
	if (geteuid() != 0) {
		ret = traits->shows_owners ? -EPERM : enter_user_namespace();
	}
	if (ret == 0 && unshare(NAMESPACES) < 0) {
		ret = -errno;
	}
	if (ret == 0) {
		ret = mount_new_root(reach, sockets);
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
