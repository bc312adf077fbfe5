/*
 * Sealed images. ph's first thread. The file is hostile and may be changed or put in another's place at any
 * time: it is opened once, and what was read of its header is all that ph goes by. Its blocks are checked
 * where they are read, by the guest's kernel, against the hash that was in that header.
 */
#include "plan/realm/image.h"

#include "plan/realm/citadel.h"
#include "plan/realm/header.h"
#include "plan/realm/signature.h"
#include "plan/strings.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGES "realmfs-images"
#define SUFFIX "-realmfs.img"

bool image_is_realmfs(int fd) {
	char magic[4];
	return fd_pread_all(fd, magic, sizeof(magic), 0) == 0 && memcmp(magic, "SGOS", 4) == 0;
}

static void print_hex(char *text, const uint8_t *bytes, size_t size) {
	for (size_t i = 0; i < size; i++) {
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	}
	text[2 * size] = '\0';
}

/* Read and check header and tree of a file of so many bytes; messages get the path in front. */
static int read_header(struct header *header, int fd, uint64_t size, const struct plan_request *request,
	char said[256], struct error *error) {
	uint8_t tree[HEADER_BLOCK];
	if (size < HEADER_SIZE || size % HEADER_BLOCK != 0) {
		return error_set(error, -EINVAL,
			"the image is truncated: its size is no multiple of %d bytes", HEADER_BLOCK);
	}
	int ret = fd_pread_all(fd, header->bytes, HEADER_SIZE, 0);
	if (ret < 0) {
		return error_set(error, ret, "%s", strerror(-ret));
	}
	ret = header_parse(header, size, error);
	if (ret < 0) {
		return ret;
	}
	ret = fd_pread_all(fd, tree, sizeof(tree), (off_t)header_tree_offset(header));
	if (ret < 0) {
		return error_set(error, ret, "the hash tree is missing: the file ends where it should begin");
	}
	ret = header_check_tree(header, tree, size, error);
	return ret < 0 ? ret
		       : signature_check(
				 header, request->realmfs_key, request->require_signature, said, error);
}

static void fill_disk(struct plan_disk *disk, const struct header *header, uint64_t size) {
	disk->mode = BLOCK_READ_ONLY;
	disk->offset = HEADER_SIZE;
	disk->size = size - HEADER_SIZE;
	disk->verity.blocks = header->blocks;
	print_hex(disk->verity.root, header->root, HEADER_HASH_SIZE);
	print_hex(disk->verity.salt, header->salt, header->salt_size);
}

int image_add_file(struct plan *plan, const struct plan_request *request, int fd, const char *path,
	struct error *error) {
	struct header header = {0};
	struct error cause = {0};
	struct stat st;
	char said[256] = "";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return error_set(error, -EINVAL, "%s: is not a file", path);
	}
	int ret = plan_lock_image(fd, path, false, error);
	if (ret < 0) {
		return ret;
	}
	ret = read_header(&header, fd, (uint64_t)st.st_size, request, said, &cause);
	if (ret < 0) {
		return error_set(error, ret, "%s: %s", path, cause.message);
	}
	log_verbose("%s: realmfs '%s', channel '%s', %llu blocks; %s", path, header.name, header.channel,
		(unsigned long long)header.blocks, said);
	struct plan_disk *disk = &plan->disks[plan->disk_count];
	*disk = (struct plan_disk){.path = strdup(path)};
	if (disk->path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	fill_disk(disk, &header, (uint64_t)st.st_size);
	disk->fd = fd;
	plan->disk_count++;
	plan->root = PLAN_ROOT_IMAGE;
	return 0;
}

/* ---- by name ---- */

/* Names of the images there are, for the message that one is not. */
static void list_images(int images_fd, char *text, size_t size) {
	int fd = openat(images_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	size_t used = 0;
	snprintf(text, size, "none");
	while (dir != NULL && (entry = readdir(dir)) != NULL && used < size) {
		size_t length = strlen(entry->d_name), tail = strlen(SUFFIX);
		if (length > tail && strcmp(entry->d_name + length - tail, SUFFIX) == 0) {
			used += (size_t)snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "",
				(int)(length - tail), entry->d_name);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	} else {
		fd_close(&fd);
	}
}

static int fail_open(int images_fd, const char *path, int ret, struct error *error) {
	if (ret == -ELOOP) {
		return error_set(error, ret, "%s: is a symbolic link, which ph does not follow", path);
	}
	if (ret != -ENOENT) {
		return error_set(error, ret, "%s: %s", path, strerror(-ret));
	}
	char names[256];
	list_images(images_fd, names, sizeof(names));
	return error_set(error, ret, "%s: there is no such image; images there are: %s", path, names);
}

int image_add_named(
	struct plan *plan, const struct plan_request *request, const char *name, struct error *error) {
	char file[64], path[128];
	if (!header_is_name(name, HEADER_NAME_SIZE - 1)) {
		return error_set(error, -EINVAL,
			"'%s' cannot be a realmfs image: a name is made of letters, digits and '-', with a "
			"letter first",
			name);
	}
	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	snprintf(path, sizeof(path), "/realms/" IMAGES "/%s", file);
	int realms_fd = citadel_open_realms(error);
	if (realms_fd < 0) {
		return realms_fd;
	}
	int images_fd = citadel_open(realms_fd, IMAGES, O_PATH | O_DIRECTORY);
	int fd = images_fd < 0 ? images_fd : citadel_open(images_fd, file, O_RDONLY);
	int ret = fd < 0 ? fail_open(images_fd, path, fd, error)
			 : image_add_file(plan, request, fd, path, error);
	if (ret < 0) {
		fd_close(&fd);
	}
	fd_close(&images_fd);
	fd_close(&realms_fd);
	return ret;
}

bool plan_is_image_name(const char *realmfs) {
	return header_is_name(realmfs, HEADER_NAME_SIZE - 1);
}

int image_add_option(struct plan *plan, const struct plan_request *request, struct error *error) {
	const char *path = request->realmfs;
	if (plan_is_image_name(path)) {
		return image_add_named(plan, request, path, error);
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return error_set(error, -errno, "--realmfs %s: %s", path, strerror(errno));
	}
	int ret = image_add_file(plan, request, fd, path, error);
	if (ret < 0) {
		fd_close(&fd);
	}
	return ret;
}
