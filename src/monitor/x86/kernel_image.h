/* The guest kernel: an ELF vmlinux or a bzImage, put into guest RAM. */
#ifndef MONITOR_X86_KERNEL_IMAGE_H
#define MONITOR_X86_KERNEL_IMAGE_H

#include "ph/error.h"
#include "ph/guest_memory.h"

#include <asm/bootparam.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_image {
	const char *name;
	const uint8_t *bytes;
	size_t size;
	/* The file that holds the bytes from file_offset on, for mapping instead of copying; -1: copy. Only
	 * for a file that nobody can truncate. */
	int fd;
	uint64_t file_offset;
	void *mapping; /* of a file given by the user */
};

/* Where a loaded kernel starts. */
struct kernel_start {
	uint64_t entry;
	uint64_t end; /* first guest address after everything it needs before it reads its memory map */
	struct setup_header header;
	char version[64]; /* as uname -r tells it; empty: unknown */
};

/* Open the file at path, or the kernel inside ph when path is NULL. -errno with *error set. */
int kernel_image_open(struct kernel_image *image, const char *path, struct error *error);
void kernel_image_close(struct kernel_image *image);
/* Load into region 0 of memory. -errno with *error set. */
int kernel_image_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error);

/* ---- for kernel_image.c: the two formats ---- */

#define KERNEL_LOAD_MINIMUM 0x100000ULL

int kernel_elf_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error);
int kernel_bzimage_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error);
/* The host address of a kernel's [address, address + size), or NULL with *error set. */
uint8_t *kernel_image_place(const struct kernel_image *image, const struct guest_memory *memory,
	uint64_t address, uint64_t size, struct error *error);

#endif
