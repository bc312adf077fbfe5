/* The cpio archive ("newc") that Linux unpacks as its first root. Main thread; all content is ph's own. */
#include "monitor/initramfs.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_SIZE 110
#define TRAILER "TRAILER!!!"
#define FILE_SIZE_MAX UINT32_MAX

struct entry {
	const char *path;
	unsigned mode, links, major, minor;
	const void *data;
	size_t size;
};

static size_t aligned(size_t size) {
	return (size + 3) & ~(size_t)3;
}

static uint8_t *reserve(struct initramfs *initramfs, size_t size) {
	if (initramfs->error < 0) {
		return NULL;
	}
	if (initramfs->size + size > initramfs->capacity) {
		size_t capacity = initramfs->size + size + 65536;
		uint8_t *data = realloc(initramfs->data, capacity);
		if (data == NULL) {
			initramfs->error = -ENOMEM;
			return NULL;
		}
		initramfs->data = data;
		initramfs->capacity = capacity;
	}
	uint8_t *place = initramfs->data + initramfs->size;
	memset(place, 0, size);
	initramfs->size += size;
	return place;
}

static void add(struct initramfs *initramfs, const struct entry *entry) {
	size_t name_size = strlen(entry->path) + 1;
	size_t data_start = aligned(HEADER_SIZE + name_size);
	if (entry->size > FILE_SIZE_MAX) {
		initramfs->error = -EFBIG;
	}
	uint8_t *place = reserve(initramfs, data_start + aligned(entry->size));
	if (place == NULL) {
		return;
	}
	char header[HEADER_SIZE + 1];
	snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		++initramfs->next_inode, entry->mode, 0u, 0u, entry->links, 0u, (unsigned)entry->size, 0u, 0u,
		entry->major, entry->minor, (unsigned)name_size, 0u);
	memcpy(place, header, HEADER_SIZE);
	memcpy(place + HEADER_SIZE, entry->path, name_size);
	if (entry->size > 0) {
		memcpy(place + data_start, entry->data, entry->size);
	}
}

void initramfs_add_directory(struct initramfs *initramfs, const char *path) {
	const struct entry entry = {.path = path, .mode = S_IFDIR | 0755, .links = 2};
	add(initramfs, &entry);
}

void initramfs_add_device(struct initramfs *initramfs, const char *path, unsigned major, unsigned minor) {
	const struct entry entry = {
		.path = path, .mode = S_IFCHR | 0600, .links = 1, .major = major, .minor = minor};
	add(initramfs, &entry);
}

void initramfs_add_file(
	struct initramfs *initramfs, const char *path, unsigned mode, const void *data, size_t size) {
	const struct entry entry = {
		.path = path, .mode = S_IFREG | mode, .links = 1, .data = data, .size = size};
	add(initramfs, &entry);
}

int initramfs_end(struct initramfs *initramfs) {
	const struct entry trailer = {.path = TRAILER, .links = 1};
	add(initramfs, &trailer);
	return initramfs->error;
}

void initramfs_finish(struct initramfs *initramfs) {
	free(initramfs->data);
	*initramfs = (struct initramfs){0};
}
