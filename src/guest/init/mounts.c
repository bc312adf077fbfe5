/*
 * Mounts everything but the root itself. Runs in ph-init before the first command, with the root
 * in place, so that paths and symbolic links mean what they mean to programs. The root is the
 * user's own system or an image: its layout is taken as it comes.
 */
#include "guest/init/mounts.h"

#include "guest/init/copy.h"
#include "guest/init/identity.h"
#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define LINKS_MAX 16

static int make_folder(const char *path, mode_t mode, int links);

/* path is a symbolic link to nowhere: make the folder it names. */
static int make_link_target(const char *path, mode_t mode, int links) {
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len < 0) {
		return -errno;
	}
	if (links == 0) {
		return -ELOOP;
	}
	target[len] = '\0';
	if (target[0] == '/') {
		return make_folder(target, mode, links - 1);
	}
	const char *slash = strrchr(path, '/');
	int parent = slash == NULL ? 0 : (int)(slash - path + 1);
	if (snprintf(joined, sizeof(joined), "%.*s%s", parent, path, target) >= (int)sizeof(joined)) {
		return -ENAMETOOLONG;
	}
	return make_folder(joined, mode, links - 1);
}

/* One component whose parents exist. */
static int make_last(const char *path, mode_t mode, int links) {
	struct stat st;
	if (mkdir(path, mode) == 0) {
		return 0;
	}
	int error = errno;
	if (stat(path, &st) == 0) {
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	return error == EEXIST ? make_link_target(path, mode, links) : -error;
}

static int make_folder(const char *path, mode_t mode, int links) {
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(part)) {
		return -ENAMETOOLONG;
	}
	for (size_t i = 1; i < len; i++) {
		if (path[i] == '/' && path[i - 1] != '/') {
			memcpy(part, path, i);
			part[i] = '\0';
			int result = make_last(part, 0755, links);
			if (result < 0) {
				return result;
			}
		}
	}
	return make_last(path, mode, links);
}

int mounts_make_folder(const char *path, mode_t mode) {
	return make_folder(path, mode, LINKS_MAX);
}

int mounts_add(const struct mount_spec *spec) {
	for (int attempt = 0;; attempt++) {
		if (mount(spec->source, spec->target, spec->type, spec->flags, spec->options) == 0) {
			return 0;
		}
		if (errno != ENOENT || attempt > 0) {
			return -errno;
		}
		/* The mount point is missing, or (9p) the share is: the second attempt tells. */
		int result = mounts_make_folder(spec->target, 0755);
		if (result < 0) {
			return result;
		}
	}
}

uint64_t mounts_total_memory(const struct config *config) {
	struct sysinfo info;
	uint64_t total = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
	for (size_t i = 0; i < config->memory_count; i++) {
		total += config->memory[i].size;
	}
	return total;
}

/* The kernel's own default is half of the RAM at the time of the mount, which here is little of what there
 * will be. */
void mounts_tmpfs_options(char *text, size_t size, const struct config *config, unsigned mode) {
	unsigned long long half = mounts_total_memory(config) / 2;
	snprintf(text, size, "mode=%o,size=%llu,nr_inodes=%llu", mode, half, half / 4096);
}

static void try_mount(const struct mount_spec *spec) {
	int result = mounts_add(spec);
	if (result < 0) {
		report_problem("cannot mount %s on %s: %s", spec->type, spec->target, strerror(-result));
	}
}

static void link_standard_streams(void) {
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"},
		{"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST) {
			report_problem("cannot make %s: %s", links[i][1], strerror(errno));
		}
	}
}

/* Devices that check who uses them themselves; elsewhere udev opens them to all. */
static void open_devices(void) {
	static const char *const devices[] = {"/dev/fuse", "/dev/net/tun"};
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (chmod(devices[i], 0666) < 0 && errno != ENOENT) {
			report_problem("cannot open %s to all: %s", devices[i], strerror(errno));
		}
	}
}

/* On NixOS programs are found through a link in /run, which here is empty. */
static void link_nixos_system(const struct config *config) {
	const char *path = config->has_exec ? identity_env_value(config->exec.env, "PATH") : NULL;
	if (path != NULL && strstr(path, "/run/current-system") != NULL &&
		symlink("/nix/var/nix/profiles/system", "/run/current-system") < 0) {
		report_problem("cannot make /run/current-system: %s", strerror(errno));
	}
}

void mounts_add_system(const struct config *config) {
	char open_to_all[96], private[96];
	mounts_tmpfs_options(open_to_all, sizeof(open_to_all), config, 01777);
	mounts_tmpfs_options(private, sizeof(private), config, 0755);
	const unsigned long safe = MS_NOSUID | MS_NODEV, inert = safe | MS_NOEXEC;
	const struct mount_spec system[] = {
		{"proc", "/proc", "proc", inert, NULL},
		{"sysfs", "/sys", "sysfs", inert, NULL},
		{"devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL},
		{"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666,gid=5"},
		{"tmpfs", "/dev/shm", "tmpfs", safe, open_to_all},
		{"mqueue", "/dev/mqueue", "mqueue", inert, NULL},
		{"tmpfs", "/run", "tmpfs", safe, private},
		{"tmpfs", "/tmp", "tmpfs", safe, open_to_all},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", inert, "nsdelegate,memory_recursiveprot"},
	};
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
		try_mount(&system[i]);
	}
	link_standard_streams();
	open_devices();
	link_nixos_system(config);
}

static void add_9p(char **fields) {
	const char *tag = fields[0], *path = fields[1], *options = fields[2];
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOATIME;
	if (strcmp(fields[3], "rw") != 0) {
		flags |= MS_RDONLY;
	}
	const struct mount_spec spec = {tag, path, "9p", flags, options};
	int result = mounts_add(&spec);
	if (result < 0) {
		report_problem("cannot mount the share %s on %s: %s", tag, path, strerror(-result));
	} else {
		report_verbose("the share %s is on %s (%s)", tag, path, fields[3]);
	}
}

static void add_tmpfs(const struct config *config, char **fields) {
	char options[160], size[64];
	unsigned long long half = mounts_total_memory(config) / 2;
	const char *path = fields[0];
	if (fields[4][0] != '\0') {
		snprintf(size, sizeof(size), "%s", fields[4]);
	} else {
		snprintf(size, sizeof(size), "%llu", half);
	}
	snprintf(options, sizeof(options), "mode=%s,uid=%s,gid=%s,size=%s,nr_inodes=%llu", fields[1],
		fields[2], fields[3], size, half / 4096);
	const struct mount_spec spec = {"tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options};
	int result = mounts_add(&spec);
	if (result < 0) {
		report_problem("cannot mount a tmpfs on %s: %s", path, strerror(-result));
	}
}

#define SKELETON "/run/ph/skeleton"

static void add_skeleton(char **fields) {
	char *share[] = {fields[0], (char *)SKELETON, fields[1], (char *)"ro"};
	add_9p(share);
	int result = copy_tree(SKELETON, fields[2], (uid_t)strtoul(fields[3], NULL, 10),
		(gid_t)strtoul(fields[4], NULL, 10));
	if (result < 0) {
		report_problem("cannot copy the skeleton to %s: %s", fields[2], strerror(-result));
	}
	umount2(SKELETON, MNT_DETACH);
}

static void add_file(char **fields) {
	const char *path = fields[0], *text = fields[2], *slash = strrchr(path, '/');
	char *folder = strndup(path, slash == NULL ? 0 : (size_t)(slash - path));
	if (folder != NULL && folder[0] != '\0') {
		mounts_make_folder(folder, 0755);
	}
	free(folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)strtoul(fields[1], NULL, 8));
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		report_problem("cannot write %s: %s", path, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

void mounts_add_configured(const struct config *config) {
	for (size_t i = 0; i < config->mount_count; i++) {
		char **fields = config->mounts[i].fields;
		switch (config->mounts[i].kind) {
		case CONFIG_MOUNT_9P:
			add_9p(fields);
			break;
		case CONFIG_MOUNT_TMPFS:
			add_tmpfs(config, fields);
			break;
		case CONFIG_SKELETON:
			add_skeleton(fields);
			break;
		case CONFIG_FILE:
			add_file(fields);
			break;
		}
	}
}

void mounts_seal_root(const struct config *config) {
	if (config->overlay == NULL || strcmp(config->overlay[1], "ro") != 0) {
		return;
	}
	if ((mount("/var", "/var", NULL, MS_BIND | MS_REC, NULL) < 0 && errno != ENOENT) ||
		mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0) {
		report_problem("cannot make the root read-only: %s", strerror(errno));
	}
}
