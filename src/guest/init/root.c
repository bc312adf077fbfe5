/*
 * Mounts the root and moves into it. Runs in ph-init first of all, in the initramfs, which can be
 * neither unmounted nor pivoted away from: the new root is moved over it.
 *
 * A root which must stay as it is gets a tmpfs overlay. What init itself has to change there goes
 * into the overlay's upper folder before it is mounted: over 9p, that saves the kernel a copy and
 * its many requests.
 */
#include "guest/init/root.h"

#include "guest/init/host.h"
#include "guest/init/mounts.h"
#include "guest/init/report.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NEW_ROOT "/newroot"
#define LOWER "/lower"
#define OVER "/overlay"
#define UPPER OVER "/upper"
#define WORK OVER "/work"

/* With less than this left, programs fail. */
#define FULL_BYTES 65536
/* It is looked for so often that nothing is full for long, and seldom while there is much room, since it
 * wakes the CPU: programs fill no more than 1 MiB a millisecond. */
#define FILL_SHIFT 20
#define LOOK_MS_MIN 250
#define LOOK_MS_MAX 10000

static int make_folders(const char *const *paths, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (mkdir(paths[i], 0755) < 0 && errno != EEXIST) {
			report_failure("cannot make %s in the initramfs: %s", paths[i], strerror(errno));
			return -errno;
		}
	}
	return 0;
}

static bool is_writable(const struct config *config) {
	return config->root_block && strcmp(config->root[2], "rw") == 0;
}

static int mount_9p(char **fields, const char *target) {
	const char *tag = fields[0], *options = fields[1];
	if (mount(tag, target, "9p", MS_RDONLY | MS_NOATIME | MS_NODEV, options) == 0) {
		return 0;
	}
	int error = errno;
	report_failure("cannot mount the root: the 9p share %s with options %s: %s", tag, options,
		error == ENOENT ? "there is no such share" : strerror(error));
	return -error;
}

static int mount_block(char **fields, const char *target, bool writable) {
	const char *device = fields[0], *type = fields[1];
	if (mkdir("/dev", 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	/* EBUSY: the kernel has mounted it already. */
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL) < 0 && errno != EBUSY) {
		report_failure("cannot mount /dev: %s", strerror(errno));
		return -errno;
	}
	if (mount(device, target, type, writable ? MS_NOATIME : MS_RDONLY | MS_NOATIME, NULL) == 0) {
		return 0;
	}
	int error = errno;
	report_failure("cannot mount the root: %s as %s: %s", device, type,
		error == ENOENT ? "there is no such disk"
				: (error == EINVAL ? "it holds no such file system, or a damaged one"
						   : strerror(error)));
	return -error;
}

/* The guest's own names, in the upper folder's etc, which the overlay merges with the root's. */
static void name_host(const struct config *config) {
	struct stat st;
	bool found = lstat(LOWER "/etc", &st) == 0;
	if (config->hostname == NULL || (found && !S_ISDIR(st.st_mode))) {
		return;
	}
	if (mkdir(UPPER "/etc", 0755) < 0 || (found && chown(UPPER "/etc", st.st_uid, st.st_gid) < 0)) {
		report_problem("cannot prepare /etc: %s", strerror(errno));
		return;
	}
	host_write_names(UPPER "/etc", config);
}

/* A root that shows the host's files hides its administrator's home; the guest's root needs one. */
static void make_root_home(void) {
	struct stat st;
	if (lstat(LOWER "/root", &st) < 0 && mkdir(UPPER "/root", 0700) < 0) {
		report_problem("cannot make /root: %s", strerror(errno));
	}
}

/* Where the system's own mounts will be. An opaque folder hides the root's, so that the kernel need not ask
 * for it over 9p, and it is one even where the root has a link or nothing. */
static void make_mount_points(void) {
	static const char *const points[] = {
		UPPER "/dev", UPPER "/proc", UPPER "/run", UPPER "/sys", UPPER "/tmp"};
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		if (mkdir(points[i], 0755) < 0 ||
			setxattr(points[i], "trusted.overlay.opaque", "y", 1, 0) < 0) {
			report_problem("cannot make %s: %s", points[i], strerror(errno));
		}
	}
}

/* Blocks of a writable root are kept elsewhere, and their number is limited there. */
static int make_changes(const struct config *config) {
	bool sized = config->overlay != NULL && !is_writable(config);
	int result = mounts_make_changes(config, OVER, sized ? config->overlay[0] : "");
	if (result < 0) {
		report_failure("cannot mount the tmpfs for changes: %s", strerror(-result));
	}
	return result;
}

/* The root is mounted on LOWER: put the tmpfs over it. */
static int mount_overlay(const struct config *config) {
	static const char *const folders[] = {UPPER, WORK};
	int result = make_folders(folders, 2);
	if (result < 0) {
		return result;
	}
	make_mount_points();
	name_host(config);
	make_root_home();
	if (mount("overlay", NEW_ROOT, "overlay", 0,
		    "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" WORK ",redirect_dir=on") < 0) {
		report_failure("cannot mount the overlay over the root: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

static int mount_root(const struct config *config) {
	static const char *const folders[] = {NEW_ROOT, LOWER, OVER};
	int result = make_folders(folders, 3);
	if (result < 0) {
		return result;
	}
	if (config->root == NULL) {
		report_failure("cannot mount the root: the configuration names none");
		return -ENODEV;
	}
	result = make_changes(config);
	if (result < 0) {
		return result;
	}
	if (is_writable(config)) {
		return mount_block(config->root, NEW_ROOT, true);
	}
	result = config->root_block ? mount_block(config->root, LOWER, false) : mount_9p(config->root, LOWER);
	return result < 0 ? result : mount_overlay(config);
}

/* The files of the initramfs are RAM nobody can reach any more once the root has moved. */
static void free_initramfs(void) {
	DIR *dir = opendir("/");
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_type == DT_REG) {
			unlinkat(dirfd(dir), entry->d_name, 0);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

int root_enter(const struct config *config) {
	int result = mount_root(config);
	if (result < 0) {
		return result;
	}
	report_verbose("the root is %s, %s", config->root[0], config->root[1]);
	free_initramfs();
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0) {
		report_failure("cannot enter the root: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

/* What shares the tmpfs for changes. */
static const char *describe_changes(const struct config *config) {
	bool has_home = false;
	for (size_t i = 0; i < config->mount_count; i++) {
		has_home |= config->mounts[i].kind == CONFIG_MOUNT_TMPFS;
	}
	if (is_writable(config)) {
		return has_home ? "in /tmp and the private home" : "in /tmp";
	}
	return has_home ? "for changes to the root, /tmp and the private home"
			: "for changes to the root and /tmp";
}

int root_report_full(const struct config *config) {
	static bool reported;
	struct statvfs fs;
	if (reported || config->root == NULL || fstatvfs(mounts_changes(), &fs) < 0 || fs.f_blocks == 0) {
		return -1;
	}
	unsigned long long left = fs.f_bavail * fs.f_bsize, ms = left >> FILL_SHIFT;
	if (left >= FULL_BYTES && fs.f_ffree > 0) {
		return ms < LOOK_MS_MIN ? LOOK_MS_MIN : ms > LOOK_MS_MAX ? LOOK_MS_MAX : (int)ms;
	}
	reported = true;
	report_error("no room is left %s (%llu MiB; %s makes it larger)", describe_changes(config),
		(unsigned long long)(fs.f_blocks * fs.f_bsize >> 20),
		is_writable(config) ? "--mem" : "--overlay-size");
	return -1;
}
