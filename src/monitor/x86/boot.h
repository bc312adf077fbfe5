/* What a PC's firmware and boot loader would leave in memory for the kernel. */
#ifndef MONITOR_X86_BOOT_H
#define MONITOR_X86_BOOT_H

#include "monitor/x86/kernel_image.h"
#include "ph/error.h"
#include "ph/guest_memory.h"

#include <stdbool.h>

#define BOOT_GDT_ADDRESS 0x6000
#define BOOT_PARAMS_ADDRESS 0x7000
#define BOOT_PAGE_TABLES 0x9000
#define BOOT_COMMAND_LINE_MAX 2048

struct boot_options {
	const struct kernel_start *kernel;
	const char *command_line;
	const void *initramfs;
	size_t initramfs_size;
	unsigned cpus;
	bool late_memory; /* only region 0 is in the kernel's memory map */
};

/* Write the zero page, command line, initramfs, page tables, descriptor table and MP table. -errno with
 * *error set. */
int boot_write(const struct guest_memory *memory, const struct boot_options *options, struct error *error);
/* The MP table alone, at its place below 640 KiB. */
void boot_write_mp_table(const struct guest_memory *memory, unsigned cpus);

#endif
