/*
 * Images: opened, checked and locked before anything starts. The lock is an open-file-description lock on
 * the whole file, shared for a disk that is only read and exclusive for one that is written, so two VMs never
 * mount one file system for writing, and it goes when the last process that holds the file ends. The host's
 * own mounts take no such lock: a disk that is written is one that the host does not use, as far as it tells.
 *
 * ph's first thread. An image's bytes are hostile: the few superblock fields read here are compared, not
 * followed.
 */
#include "plan/parts.h"
#include "plan/realm/image.h"

#include "ph/fd.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

/* The superblock's place and the fields looked at (ext4: magic, block count, block size). */
#define EXT4_SUPERBLOCK 1024
#define EXT4_BLOCKS_LO 4
#define EXT4_LOG_BLOCK_SIZE 24
#define EXT4_MAGIC_OFFSET 56
#define EXT4_MAGIC 0xef53

static int image_size(int fd, const char *path, uint64_t *size, struct error *error) {
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	}
	if (S_ISDIR(st.st_mode)) {
		return error_set(
			error, -EISDIR, "%s: is a directory, not an image; --share shares directories", path);
	}
	*size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0) {
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		return error_set(error, -EINVAL, "%s: is neither a file nor a block device", path);
	}
	*size -= *size % SECTOR;
	return *size == 0 ? error_set(error, -EINVAL, "%s: the image is empty", path) : 0;
}

int plan_lock_image(int fd, const char *path, bool exclusive, struct error *error) {
	struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		return 0;
	}
	if (errno == EAGAIN || errno == EACCES) {
		return error_set(error, -EBUSY, "%s: in use by another program%s", path,
			exclusive ? "" : ", which writes to it");
	}
	return error_set(error, -errno, "%s: cannot lock the image: %s", path, strerror(errno));
}

static uint32_t superblock_u32(const uint8_t *superblock, size_t offset) {
	uint32_t value;
	memcpy(&value, superblock + offset, sizeof(value));
	return le32toh(value);
}

/* Only enough to tell the user at once what the guest's kernel would say later and less clearly. */
static int image_check_ext4(const struct plan_disk *disk, struct error *error) {
	uint8_t superblock[64] = {0};
	int ret = fd_pread_all(
		disk->fd, superblock, sizeof(superblock), (off_t)(disk->offset + EXT4_SUPERBLOCK));
	if (ret < 0 && ret != -ENODATA) {
		return error_set(error, ret, "%s: %s", disk->path, strerror(-ret));
	}
	if (disk->offset == 0 && image_is_realmfs(disk->fd)) {
		return error_set(error, -EINVAL, "%s: is a realmfs image; --realmfs %s boots it", disk->path,
			disk->path);
	}
	if (superblock[EXT4_MAGIC_OFFSET] != (EXT4_MAGIC & 0xff) ||
		superblock[EXT4_MAGIC_OFFSET + 1] != EXT4_MAGIC >> 8) {
		return error_set(error, -EINVAL, "%s: not an ext4 file system", disk->path);
	}
	uint32_t log_block_size = superblock_u32(superblock, EXT4_LOG_BLOCK_SIZE);
	uint64_t blocks = superblock_u32(superblock, EXT4_BLOCKS_LO);
	if (log_block_size > 6 || blocks << (10 + log_block_size) > disk->size) {
		return error_set(error, -EINVAL, "%s: the image is truncated or damaged", disk->path);
	}
	return 0;
}

/* Whether a loop device has the file behind it: what it was made of, as far as its path still leads there. */
static bool is_behind(const char *backing_file, const struct stat *image) {
	char path[PATH_MAX];
	struct stat st;
	int fd = open(backing_file, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, path, sizeof(path) - 1);
	fd_close(&fd);
	if (size <= 0) {
		return false;
	}
	path[size - (path[size - 1] == '\n')] = '\0';
	return stat(path, &st) == 0 && st.st_dev == image->st_dev && st.st_ino == image->st_ino;
}

/* The kernel keeps a block device for who mounts it, or for ph; of the files that loop devices lead to it
 * only tells. */
static int check_loop_devices(int fd, const char *path, struct error *error) {
	glob_t loops = {0};
	struct stat st;
	int ret = 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return 0;
	}
	if (glob("/sys/block/loop*/loop/backing_file", GLOB_NOSORT, NULL, &loops) == 0) {
		for (size_t i = 0; i < loops.gl_pathc && ret == 0; i++) {
			const char *name = loops.gl_pathv[i] + strlen("/sys/block/");
			if (is_behind(loops.gl_pathv[i], &st)) {
				ret = error_set(error, -EBUSY,
					"%s: in use on this host by /dev/%.*s: unmount and detach that first",
					path, (int)strcspn(name, "/"), name);
			}
		}
	}
	globfree(&loops);
	return ret;
}

/* O_NONBLOCK: a FIFO in the place of an image must not hang ph. O_EXCL, of a block device: not one that is
 * mounted or part of another, nor one that shares sectors with such. */
static int open_disk(const char *path, bool write, struct error *error) {
	struct stat st;
	bool device = stat(path, &st) == 0 && S_ISBLK(st.st_mode);
	int flags = (write ? O_RDWR : O_RDONLY) | (write && device ? O_EXCL : 0);
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		return fd;
	}
	if (errno == EISDIR) {
		return error_set(
			error, -errno, "%s: is a directory, not an image; --share shares directories", path);
	}
	if (errno == EBUSY && device) {
		return error_set(error, -errno,
			"%s: in use on this host, mounted or as part of another device: unmount it first",
			path);
	}
	return error_set(error, -errno, "%s: %s", path, strerror(errno));
}

static int add_disk(struct plan *plan, char *path, enum block_mode mode, struct error *error) {
	if (path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	if (plan->disk_count == PLAN_DISKS_MAX) {
		free(path);
		return error_set(error, -EINVAL, "more than %d disks are not possible", PLAN_DISKS_MAX);
	}
	struct plan_disk *disk = &plan->disks[plan->disk_count++];
	bool write = mode == BLOCK_READ_WRITE;
	*disk = (struct plan_disk){.path = path, .mode = mode};
	disk->fd = open_disk(path, write, error);
	int ret = disk->fd < 0 ? disk->fd : image_size(disk->fd, path, &disk->size, error);
	if (ret == 0) {
		ret = plan_lock_image(disk->fd, path, write, error);
	}
	return ret == 0 && write ? check_loop_devices(disk->fd, path, error) : ret;
}

static int add_option_disk(struct plan *plan, const char *option, struct error *error) {
	size_t length = strlen(option);
	bool read_only = length > 3 && strcmp(option + length - 3, ":ro") == 0;
	char *path = strndup(option, read_only ? length - 3 : length);
	return add_disk(plan, path, read_only ? BLOCK_READ_ONLY : BLOCK_READ_WRITE, error);
}

static int add_rootfs(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = add_disk(plan, strdup(request->rootfs), request->rootfs_mode, error);
	if (ret == 0 && request->partition > 0) {
		ret = plan_find_partition(&plan->disks[0], request->partition, error);
	}
	plan->root = PLAN_ROOT_IMAGE;
	return ret < 0 ? ret : image_check_ext4(&plan->disks[0], error);
}

/* --direct, once everything that ph itself reads of the images has been read. */
static int make_direct(const struct plan_disk *disk, struct error *error) {
	int flags = fcntl(disk->fd, F_GETFL);
	if (flags < 0 || fcntl(disk->fd, F_SETFL, flags | O_DIRECT) < 0) {
		return error_set(error, -errno,
			"--direct: %s lies on a file system that cannot do without a cache", disk->path);
	}
	/* The guest is told sectors of 512 bytes. */
	static uint8_t sector[SECTOR] __attribute__((aligned(4096)));
	if (pread(disk->fd, sector, SECTOR, (off_t)disk->offset) < 0) {
		return error_set(error, -errno,
			errno == EINVAL
				? "--direct: %s lies on sectors of more than 512 bytes; leave --direct out"
				: "--direct: %s cannot be read; leave --direct out",
			disk->path);
	}
	return 0;
}

int plan_resolve_disks(struct plan *plan, const struct plan_request *request, struct error *error) {
	int ret = 0;
	if (plan->realm != NULL) {
		ret = plan_add_realm_image(plan, request, error);
	} else if (request->realmfs != NULL) {
		ret = image_add_option(plan, request, error);
	} else if (request->rootfs != NULL) {
		ret = add_rootfs(plan, request, error);
	}
	for (size_t i = 0; i < request->disk_count && ret == 0; i++) {
		ret = add_option_disk(plan, request->disks[i], error);
	}
	for (size_t i = 0; i < plan->disk_count && request->direct && ret == 0; i++) {
		ret = make_direct(&plan->disks[i], error);
	}
	return ret;
}
