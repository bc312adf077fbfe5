/* The guest's first file system: init, a console node and the boot configuration, as a cpio archive. */
#ifndef MONITOR_INITRAMFS_H
#define MONITOR_INITRAMFS_H

#include <stddef.h>
#include <stdint.h>

/* A growing archive. Zeroed is empty. After a failed allocation it stays failed. */
struct initramfs {
	uint8_t *data;
	size_t size, capacity;
	unsigned next_inode;
	int error; /* 0 or -errno */
};

void initramfs_add_directory(struct initramfs *initramfs, const char *path);
void initramfs_add_device(struct initramfs *initramfs, const char *path, unsigned major, unsigned minor);
void initramfs_add_file(
	struct initramfs *initramfs, const char *path, unsigned mode, const void *data, size_t size);
/* Close the archive. 0 or the first -errno. */
int initramfs_end(struct initramfs *initramfs);
void initramfs_finish(struct initramfs *initramfs);

#endif
