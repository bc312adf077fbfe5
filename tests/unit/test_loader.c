/* Kernel images good and bad, and what lies in guest RAM before the first instruction. */
#include "monitor/memory.h"
#include "monitor/x86/boot.h"
#include "monitor/x86/kernel_image.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RAM (64ULL << 20)
#define LOAD 0x1000000ULL
#define IMAGE_SIZE 8192
#define DATA 4096

struct fixture {
	struct guest_memory memory;
	struct kernel_start start;
	struct error error;
	uint8_t bytes[IMAGE_SIZE];
};

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	return memory_init(&f->memory, RAM, false, NULL);
}

static int teardown(void **state) {
	struct fixture *f = *state;
	memory_finish(&f->memory);
	free(f);
	return 0;
}

static Elf64_Ehdr *elf_header(struct fixture *f) {
	return (Elf64_Ehdr *)(void *)f->bytes;
}

static Elf64_Phdr *elf_segment(struct fixture *f) {
	return (Elf64_Phdr *)(void *)(f->bytes + sizeof(Elf64_Ehdr));
}

static void make_elf(struct fixture *f) {
	memset(f->bytes, 0, sizeof(f->bytes));
	*elf_header(f) =
		(Elf64_Ehdr){.e_ident = {ELFMAG0, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = LOAD + 16,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1};
	*elf_segment(f) = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = DATA,
		.p_vaddr = 0xffffffff81000000,
		.p_paddr = LOAD,
		.p_filesz = IMAGE_SIZE - DATA,
		.p_memsz = 2 * (IMAGE_SIZE - DATA)};
	memset(f->bytes + DATA, 0x5a, IMAGE_SIZE - DATA);
}

static int load_size(struct fixture *f, size_t size) {
	/* An allocation of its own, so that a read behind the image is caught. */
	uint8_t *copy = malloc(size);
	memcpy(copy, f->bytes, size);
	const struct kernel_image image = {.name = "image", .bytes = copy, .size = size, .fd = -1};
	f->error.message[0] = '\0';
	int ret = kernel_image_load(&image, &f->memory, &f->start, &f->error);
	free(copy);
	return ret;
}

static void expect_error(struct fixture *f, const char *text) {
	assert_true(load_size(f, IMAGE_SIZE) < 0);
	if (strstr(f->error.message, text) == NULL) {
		fail_msg("'%s' is not in '%s'", text, f->error.message);
	}
}

static void test_elf_is_placed(void **state) {
	struct fixture *f = *state;
	make_elf(f);
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	assert_int_equal(f->start.entry, LOAD + 16);
	assert_int_equal(f->start.end, LOAD + 2 * (IMAGE_SIZE - DATA));
	const uint8_t *place = guest_memory_at(&f->memory, (gpa_t){LOAD}, IMAGE_SIZE);
	assert_memory_equal(place, f->bytes + DATA, IMAGE_SIZE - DATA);
	assert_int_equal(place[IMAGE_SIZE - DATA], 0);
}

static void test_truncated_elf(void **state) {
	struct fixture *f = *state;
	make_elf(f);
	for (size_t size = EI_NIDENT; size < IMAGE_SIZE; size += 61) {
		assert_true(load_size(f, size) < 0);
		assert_non_null(strstr(f->error.message, "truncated"));
	}
}

static void test_wrong_kinds_of_elf(void **state) {
	struct fixture *f = *state;
	make_elf(f);
	elf_header(f)->e_ident[EI_CLASS] = ELFCLASS32;
	expect_error(f, "32-bit");
	make_elf(f);
	elf_header(f)->e_machine = EM_386;
	expect_error(f, "32-bit");
	make_elf(f);
	elf_header(f)->e_machine = EM_AARCH64;
	expect_error(f, "not an x86-64 kernel");
	make_elf(f);
	elf_header(f)->e_type = ET_DYN;
	expect_error(f, "not an x86-64 kernel");
	make_elf(f);
	elf_header(f)->e_entry = LOAD - 1;
	expect_error(f, "entry point");
}

static void test_segments_are_bounded(void **state) {
	struct fixture *f = *state;
	make_elf(f);
	elf_segment(f)->p_offset = UINT64_MAX - 10;
	expect_error(f, "truncated");
	make_elf(f);
	elf_segment(f)->p_filesz = UINT64_MAX;
	expect_error(f, "truncated");
	make_elf(f);
	elf_segment(f)->p_memsz = 1;
	expect_error(f, "wrong size");
	make_elf(f);
	elf_segment(f)->p_paddr = RAM - 4096;
	expect_error(f, "does not fit");
	make_elf(f);
	elf_segment(f)->p_paddr = 0;
	expect_error(f, "does not fit");
	make_elf(f);
	elf_segment(f)->p_memsz = UINT64_MAX - LOAD + 1;
	expect_error(f, "does not fit");
}

static struct setup_header *bz_header(struct fixture *f) {
	return (struct setup_header *)(void *)(f->bytes + 0x1f1);
}

static void make_bzimage(struct fixture *f) {
	memset(f->bytes, 0, sizeof(f->bytes));
	*bz_header(f) = (struct setup_header){.setup_sects = 7,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.xloadflags = XLF_KERNEL_64,
		.syssize = (IMAGE_SIZE - DATA) / 16,
		.pref_address = LOAD,
		.init_size = 0x100000,
		.initrd_addr_max = 0x7fffffff};
	memset(f->bytes + DATA, 0xa5, IMAGE_SIZE - DATA);
}

static void test_bzimage_is_placed(void **state) {
	struct fixture *f = *state;
	make_bzimage(f);
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	assert_int_equal(f->start.entry, LOAD + 0x200);
	assert_int_equal(f->start.end, LOAD + 0x100000);
	assert_memory_equal(
		guest_memory_at(&f->memory, (gpa_t){LOAD}, 4096), f->bytes + DATA, IMAGE_SIZE - DATA);
}

static void expect_version(struct fixture *f, const char *text, const char *expected) {
	make_bzimage(f);
	memcpy(f->bytes + 0x200 + 0x500, text, strlen(text) + 1);
	bz_header(f)->kernel_version = 0x500;
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	assert_string_equal(f->start.version, expected);
}

static void test_version_is_a_plain_name(void **state) {
	struct fixture *f = *state;
	char text[200];
	expect_version(f, "6.1.0-13+deb12_amd64 (gcc) #1", "6.1.0-13+deb12_amd64");
	expect_version(f, "../../etc", "");
	expect_version(f, "6.1/../x", "6.1");
	expect_version(f, "", "");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	make_bzimage(f);
	memcpy(f->bytes + 0x700, text, sizeof(text));
	bz_header(f)->kernel_version = 0x500;
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	assert_int_equal(strlen(f->start.version), sizeof(f->start.version) - 1);
	bz_header(f)->kernel_version = 0xffff;
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	assert_string_equal(f->start.version, "");
}

static void test_wrong_bzimages(void **state) {
	struct fixture *f = *state;
	make_bzimage(f);
	assert_true(load_size(f, IMAGE_SIZE - 16) < 0);
	assert_non_null(strstr(f->error.message, "truncated"));
	bz_header(f)->xloadflags = 0;
	expect_error(f, "32-bit");
	make_bzimage(f);
	bz_header(f)->version = 0x203;
	expect_error(f, "too old");
	make_bzimage(f);
	bz_header(f)->boot_flag = 0;
	expect_error(f, "not a kernel");
	make_bzimage(f);
	bz_header(f)->pref_address = UINT64_MAX - 100;
	expect_error(f, "does not fit");
	make_bzimage(f);
	bz_header(f)->init_size = UINT32_MAX;
	expect_error(f, "does not fit");
	make_bzimage(f);
	bz_header(f)->syssize = UINT32_MAX;
	expect_error(f, "truncated");
	memset(f->bytes, 'x', sizeof(f->bytes));
	expect_error(f, "not a kernel");
}

static void test_files_that_are_no_kernel(void **state) {
	(void)state;
	struct kernel_image image;
	struct error error = {0};
	assert_int_equal(kernel_image_open(&image, "/nonexistent", &error), -ENOENT);
	error.message[0] = '\0';
	assert_int_equal(kernel_image_open(&image, "/", &error), -EINVAL);
	assert_non_null(strstr(error.message, "regular"));
	error.message[0] = '\0';
	assert_int_equal(kernel_image_open(&image, "/dev/null", &error), -EINVAL);
}

static const struct boot_params *write_boot(
	struct fixture *f, const char *command_line, size_t initramfs, int expected) {
	static const uint8_t zeros[1 << 20];
	make_elf(f);
	assert_int_equal(load_size(f, IMAGE_SIZE), 0);
	const struct boot_options options = {.kernel = &f->start,
		.command_line = command_line,
		.initramfs = zeros,
		.initramfs_size = initramfs,
		.cpus = 3};
	assert_int_equal(boot_write(&f->memory, &options, &f->error), expected);
	return guest_memory_at(&f->memory, (gpa_t){BOOT_PARAMS_ADDRESS}, sizeof(struct boot_params));
}

static void test_zero_page(void **state) {
	struct fixture *f = *state;
	const struct boot_params *params = write_boot(f, "quiet", 5000, 0);
	assert_string_equal(guest_memory_at(&f->memory, (gpa_t){params->hdr.cmd_line_ptr}, 6), "quiet");
	assert_int_equal(params->hdr.ramdisk_size, 5000);
	assert_int_equal(params->hdr.ramdisk_image, RAM - 8192);
	uint64_t ram = 0, end = 0;
	for (unsigned i = 0; i < params->e820_entries; i++) {
		assert_true(params->e820_table[i].addr >= end);
		end = params->e820_table[i].addr + params->e820_table[i].size;
		ram += params->e820_table[i].type == 1 ? params->e820_table[i].size : 0;
	}
	assert_int_equal(end, RAM);
	assert_int_equal(ram, RAM - 0x100000 + 0x9fc00);
}

static void test_what_does_not_fit(void **state) {
	struct fixture *f = *state;
	char line[BOOT_COMMAND_LINE_MAX + 1];
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	write_boot(f, line, 10, -E2BIG);
	line[BOOT_COMMAND_LINE_MAX - 1] = '\0';
	write_boot(f, line, 10, 0);
	f->error.message[0] = '\0';
	const struct boot_options options = {
		.kernel = &f->start, .command_line = "", .initramfs = line, .initramfs_size = RAM, .cpus = 1};
	assert_int_equal(boot_write(&f->memory, &options, &f->error), -ENOMEM);
}

static uint8_t sum(const uint8_t *bytes, size_t len) {
	uint8_t total = 0;
	for (size_t i = 0; i < len; i++) {
		total = (uint8_t)(total + bytes[i]);
	}
	return total;
}

static void test_mp_table(void **state) {
	struct fixture *f = *state;
	boot_write_mp_table(&f->memory, 3);
	const uint8_t *pointer = guest_memory_at(&f->memory, (gpa_t){0x9fc00}, 16);
	assert_memory_equal(pointer, "_MP_", 4);
	assert_int_equal(sum(pointer, 16), 0);
	uint32_t address;
	memcpy(&address, pointer + 4, 4);
	const uint8_t *table = guest_memory_at(&f->memory, (gpa_t){address}, 44);
	uint16_t length;
	memcpy(&length, table + 4, 2);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(length, 44 + 3 * 20 + 8 + 8);
	assert_int_equal(sum(table, length), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(table[44 + 20 * i], 0);
		assert_int_equal(table[44 + 20 * i + 1], i);
		assert_int_equal(table[44 + 20 * i + 3], i == 0 ? 3 : 1);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_elf_is_placed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_elf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_kinds_of_elf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segments_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bzimage_is_placed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version_is_a_plain_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_bzimages, setup, teardown),
		cmocka_unit_test(test_files_that_are_no_kernel),
		cmocka_unit_test_setup_teardown(test_zero_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mp_table, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
