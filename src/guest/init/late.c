/*
 * What may come after the first command has started: most of the RAM, above all, whose page
 * tables would take longer to make than all the rest of the start. Runs in a process of its own,
 * a child of PID 1, which ends when it is done.
 *
 * Only memory that cannot be added is worth a message; the rest is as good as the kernel allows.
 */
#include "guest/init/late.h"

#include "guest/init/identity.h"
#include "guest/init/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMORY_FOLDER "/sys/devices/system/memory"
#define CGROUPS "/sys/fs/cgroup"

/* 0 or an errno. */
static int write_text(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return errno;
	}
	int error = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return error;
}

static ssize_t read_text(const char *path, char *text, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	ssize_t n = read(fd, text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	return n;
}

/* 0 or an errno. */
static int add_range(const struct config_memory *range, uint64_t block) {
	char text[32];
	for (uint64_t done = 0; done + block <= range->size; done += block) {
		snprintf(text, sizeof(text), "0x%" PRIx64, range->start + done);
		int error = write_text(MEMORY_FOLDER "/probe", text);
		if (error != 0 && error != EEXIST) {
			return error;
		}
	}
	return 0;
}

static int add_memory(const struct config *config) {
	char text[32];
	if (config->memory_count == 0) {
		return 0;
	}
	if (read_text(MEMORY_FOLDER "/block_size_bytes", text, sizeof(text)) <= 0) {
		return ENOSYS;
	}
	uint64_t block = strtoull(text, NULL, 16);
	int error = block == 0 ? ENOSYS : 0;
	for (size_t i = 0; error == 0 && i < config->memory_count; i++) {
		error = add_range(&config->memory[i], block);
	}
	return error;
}

/* The kernel's defaults are from an age of no untrusted users. */
static void set_kernel_rules(void) {
	write_text("/proc/sys/fs/protected_symlinks", "1");
	write_text("/proc/sys/fs/protected_hardlinks", "1");
	/* Where there is a network, it was set with that. */
	write_text("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

/* All controllers the kernel has, for the cgroups below. */
static void enable_controllers(const char *cgroup) {
	char path[128], names[256], text[512];
	size_t len = 0;
	snprintf(path, sizeof(path), "%s/cgroup.controllers", cgroup);
	if (read_text(path, names, sizeof(names)) <= 0) {
		return;
	}
	for (char *rest = names, *name; (name = strtok_r(rest, " \n", &rest)) != NULL;) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "+%s ", name);
	}
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", cgroup);
	write_text(path, text);
}

static void give_cgroup(const char *cgroup, const struct config_user *user) {
	static const char *const files[] = {
		"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"};
	char path[128];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", cgroup, files[i]);
		if (chown(path, user->uid, user->gid) < 0) {
			return;
		}
	}
}

/* A subtree the user may divide. Commands live in a leaf of it, since a cgroup with children holds no
 * process. */
static void make_cgroup(const struct config *config, pid_t first) {
	char pid[16];
	if (config->user.fields == NULL || mkdir(IDENTITY_CGROUP, 0755) < 0) {
		return;
	}
	enable_controllers(CGROUPS);
	if (mkdir(IDENTITY_CGROUP_LEAF, 0755) < 0) {
		return;
	}
	give_cgroup(IDENTITY_CGROUP, &config->user);
	give_cgroup(IDENTITY_CGROUP_LEAF, &config->user);
	if (first > 0) {
		snprintf(pid, sizeof(pid), "%d", (int)first);
		write_text(IDENTITY_CGROUP_LEAF "/cgroup.procs", pid);
	}
}

pid_t late_start(const struct config *config, pid_t first) {
	pid_t pid = fork();
	if (pid != 0) {
		return pid < 0 ? -errno : pid;
	}
	/* The ends of the first command's streams, among others: they would stay open for as long as this
	 * takes. */
	syscall(SYS_close_range, 3U, ~0U, 0U);
	setpriority(PRIO_PROCESS, 0, 10);
	set_kernel_rules();
	limits_set_kernel(config);
	int error = add_memory(config);
	make_cgroup(config, first);
	_exit(error);
}
