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
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define LINKS_MAX 16

/* Parts of the RAM. What lies in a tmpfs nothing can take back, so that a fifth is left to programs and the
 * kernel when all are full. */
enum { CHANGES_PERCENT = 60, SHARED_MEMORY_PERCENT = 15, RUN_PERCENT = 5 };
/* An inode costs the kernel an eighth of this, beside what is counted. */
#define BYTES_PER_INODE 8192
#define INODES_MIN 1024

static int changes = -1;

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

static void tmpfs_options(char *text, size_t size, unsigned mode, uint64_t bytes) {
	snprintf(text, size, "mode=%o,size=%" PRIu64 ",nr_inodes=%" PRIu64, mode, bytes,
		bytes / BYTES_PER_INODE + INODES_MIN);
}

/* The kernel's own default is half of the RAM at the time of the mount, which here is little of what there
 * will be. */
static uint64_t part_of_memory(const struct config *config, unsigned percent) {
	return mounts_total_memory(config) / 100 * percent;
}

int mounts_make_changes(const struct config *config, const char *target, const char *size) {
	char options[96];
	uint64_t bytes = strtoull(size, NULL, 10);
	tmpfs_options(
		options, sizeof(options), 0755, bytes > 0 ? bytes : part_of_memory(config, CHANGES_PERCENT));
	if (mount("tmpfs", target, "tmpfs", 0, options) < 0) {
		return -errno;
	}
	changes = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return changes < 0 ? -errno : 0;
}

int mounts_changes(void) {
	return changes;
}

/* Mount a new folder of the tmpfs for changes. */
static int add_changes(const char *path, mode_t mode, uid_t uid, gid_t gid) {
	static unsigned count;
	char name[16], source[64];
	snprintf(name, sizeof(name), "%u", count++);
	snprintf(source, sizeof(source), "/proc/self/fd/%d/%s", changes, name);
	const struct mount_spec spec = {source, path, NULL, MS_BIND, NULL};
	if (mkdirat(changes, name, 0700) < 0 || fchownat(changes, name, uid, gid, 0) < 0 ||
		fchmodat(changes, name, mode, 0) < 0) {
		return -errno;
	}
	int result = mounts_add(&spec);
	if (result < 0) {
		return result;
	}
	const unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
	return mount(NULL, path, NULL, flags, NULL) < 0 ? -errno : 0;
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
	char shared[96], run[96];
	tmpfs_options(shared, sizeof(shared), 01777, part_of_memory(config, SHARED_MEMORY_PERCENT));
	tmpfs_options(run, sizeof(run), 0755, part_of_memory(config, RUN_PERCENT));
	const unsigned long safe = MS_NOSUID | MS_NODEV, inert = safe | MS_NOEXEC;
	const struct mount_spec system[] = {
		{"proc", "/proc", "proc", inert, NULL},
		{"sysfs", "/sys", "sysfs", inert, NULL},
		{"devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL},
		{"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666,gid=5"},
		{"tmpfs", "/dev/shm", "tmpfs", safe, shared},
		{"mqueue", "/dev/mqueue", "mqueue", inert, NULL},
		{"tmpfs", "/run", "tmpfs", safe, run},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", inert, "nsdelegate,memory_recursiveprot"},
	};
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
		try_mount(&system[i]);
	}
	int result = add_changes("/tmp", 01777, 0, 0);
	if (result < 0) {
		report_problem("cannot mount /tmp: %s", strerror(-result));
	}
	/* What /var/lock leads to. */
	if (mkdir("/run/lock", 01777) < 0) {
		report_problem("cannot make /run/lock: %s", strerror(errno));
	}
	link_standard_streams();
	open_devices();
	link_nixos_system(config);
}

static int mount_9p(const char *tag, const char *path, const char *options, bool writable) {
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOATIME;
	const struct mount_spec spec = {tag, path, "9p", writable ? flags : flags | MS_RDONLY, options};
	return mounts_add(&spec);
}

static int add_9p(char **fields) {
	const char *tag = fields[0], *path = fields[1];
	int result = mount_9p(tag, path, fields[2], strcmp(fields[3], "rw") == 0);
	if (result < 0) {
		report_failure(
			"cannot mount the shared directory on %s in the VM: %s; another path there may do",
			path, strerror(-result));
	} else {
		report_verbose("the share %s is on %s (%s)", tag, path, fields[3]);
	}
	return result;
}

static int add_tmpfs(char **fields) {
	int result = add_changes(fields[0], (mode_t)strtoul(fields[1], NULL, 8),
		(uid_t)strtoul(fields[2], NULL, 10), (gid_t)strtoul(fields[3], NULL, 10));
	if (result < 0) {
		report_failure(
			"cannot mount the private home on %s in the VM: %s", fields[0], strerror(-result));
	}
	return result;
}

#define SKELETON "/run/ph/skeleton"

static void add_skeleton(char **fields) {
	int result = mount_9p(fields[0], SKELETON, fields[1], false);
	if (result == 0) {
		result = copy_tree(SKELETON, fields[2], (uid_t)strtoul(fields[3], NULL, 10),
			(gid_t)strtoul(fields[4], NULL, 10));
		umount2(SKELETON, MNT_DETACH);
	}
	if (result < 0) {
		report_error("cannot copy the whole skeleton to %s: %s", fields[2], strerror(-result));
	}
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

int mounts_add_configured(const struct config *config) {
	int result = 0;
	for (size_t i = 0; result == 0 && i < config->mount_count; i++) {
		char **fields = config->mounts[i].fields;
		switch (config->mounts[i].kind) {
		case CONFIG_MOUNT_9P:
			result = add_9p(fields);
			break;
		case CONFIG_MOUNT_TMPFS:
			result = add_tmpfs(fields);
			break;
		case CONFIG_SKELETON:
			add_skeleton(fields);
			break;
		case CONFIG_FILE:
			add_file(fields);
			break;
		}
	}
	return result;
}

bool mounts_will_seal_root(const struct config *config) {
	return config->overlay != NULL && strcmp(config->overlay[1], "ro") == 0;
}

void mounts_seal_root(const struct config *config) {
	if (!mounts_will_seal_root(config)) {
		return;
	}
	if ((mount("/var", "/var", NULL, MS_BIND | MS_REC, NULL) < 0 && errno != ENOENT) ||
		mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0) {
		report_problem("cannot make the root read-only: %s", strerror(errno));
	}
}
