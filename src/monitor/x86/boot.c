/*
 * The memory a 64-bit Linux kernel expects at its entry (Documentation/arch/x86/boot.rst). Main thread,
 * before the guest starts; the command line is the user's, the kernel's header fields are hostile.
 *
 *   0x06000  global descriptor table
 *   0x07000  zero page (struct boot_params)
 *   0x08000  command line
 *   0x09000  page tables: the first GiB mapped to itself in 2 MiB pages
 *   0x9fc00  MP table
 *   ...      kernel, and the initramfs at the top of boot memory
 */
#include "monitor/x86/boot.h"

#include "monitor/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define COMMAND_LINE_ADDRESS 0x8000
#define LOW_RAM_END 0x9fc00
#define HIGH_RAM_START 0x100000
#define IDENTITY_MAP_END (1ULL << 30)
#define PAGE 4096ULL

#define E820_RAM 1
#define E820_RESERVED 2

#define PTE_TABLE 0x03      /* present, writable */
#define PTE_LARGE_PAGE 0x83 /* and a 2 MiB page */

static void *low_memory(const struct guest_memory *memory, uint64_t address, uint64_t len) {
	void *place = guest_memory_at(memory, (gpa_t){address}, len);
	assert(place != NULL); /* every VM has MEMORY_MINIMUM bytes from address 0 on */
	return place;
}

static void write_page_tables(const struct guest_memory *memory) {
	uint64_t *level4 = low_memory(memory, BOOT_PAGE_TABLES, 3 * PAGE);
	uint64_t *level3 = level4 + 512;
	uint64_t *level2 = level3 + 512;
	level4[0] = (BOOT_PAGE_TABLES + PAGE) | PTE_TABLE;
	level3[0] = (BOOT_PAGE_TABLES + 2 * PAGE) | PTE_TABLE;
	for (uint64_t i = 0; i < 512; i++) {
		level2[i] = i << 21 | PTE_LARGE_PAGE;
	}
}

static void write_descriptors(const struct guest_memory *memory) {
	uint64_t *gdt = low_memory(memory, BOOT_GDT_ADDRESS, 4 * sizeof(*gdt));
	gdt[2] = 0x00af9b000000ffff; /* 0x10: 64-bit code */
	gdt[3] = 0x00cf93000000ffff; /* 0x18: data */
}

static void add_e820(struct boot_params *params, uint64_t address, uint64_t size, uint32_t type) {
	struct boot_e820_entry *entry = &params->e820_table[params->e820_entries++];
	entry->addr = address;
	entry->size = size;
	entry->type = type;
}

static void write_memory_map(
	struct boot_params *params, const struct guest_memory *memory, const struct boot_options *options) {
	add_e820(params, 0, LOW_RAM_END, E820_RAM);
	add_e820(params, LOW_RAM_END, HIGH_RAM_START - LOW_RAM_END, E820_RESERVED);
	add_e820(params, HIGH_RAM_START, memory->regions[0].size - HIGH_RAM_START, E820_RAM);
	for (unsigned i = 1; i < memory->region_count && !options->late_memory; i++) {
		add_e820(params, memory->regions[i].base, memory->regions[i].size, E820_RAM);
	}
}

/* As high as the kernel allows, so that it is out of the way of what the kernel needs first. */
static int place_initramfs(struct boot_params *params, const struct guest_memory *memory,
	const struct boot_options *options, struct error *error) {
	uint64_t top = memory->regions[0].size;
	uint64_t limit = options->kernel->header.initrd_addr_max;
	top = top > IDENTITY_MAP_END ? IDENTITY_MAP_END : top;
	top = limit != 0 && top > limit + 1 ? limit + 1 : top;
	uint64_t size = options->initramfs_size;
	if (size > top || (top - size) / PAGE * PAGE < options->kernel->end) {
		return error_set(error, -ENOMEM,
			"the kernel does not fit into %llu MiB (use more with --mem)",
			(unsigned long long)(memory->regions[0].size >> 20));
	}
	uint64_t address = (top - size) / PAGE * PAGE;
	if (guest_memory_write(memory, (gpa_t){address}, options->initramfs, size) < 0) {
		return error_set(error, -EFAULT, "the initramfs does not fit into the guest's memory");
	}
	params->hdr.ramdisk_image = (uint32_t)address;
	params->hdr.ramdisk_size = (uint32_t)size;
	return 0;
}

int boot_write(const struct guest_memory *memory, const struct boot_options *options, struct error *error) {
	size_t length = strlen(options->command_line);
	if (length >= BOOT_COMMAND_LINE_MAX) {
		return error_set(error, -E2BIG,
			"the kernel command line is too long (%zu of at most %d bytes)", length,
			BOOT_COMMAND_LINE_MAX - 1);
	}
	struct boot_params *params = low_memory(memory, BOOT_PARAMS_ADDRESS, sizeof(*params));
	memset(params, 0, sizeof(*params));
	params->hdr = options->kernel->header;
	params->hdr.type_of_loader = 0xff;
	params->hdr.cmd_line_ptr = COMMAND_LINE_ADDRESS;
	params->hdr.cmdline_size = (uint32_t)length;
	memcpy(low_memory(memory, COMMAND_LINE_ADDRESS, length + 1), options->command_line, length + 1);
	write_memory_map(params, memory, options);
	write_page_tables(memory);
	write_descriptors(memory);
	boot_write_mp_table(memory, options->cpus);
	return place_initramfs(params, memory, options, error);
}
