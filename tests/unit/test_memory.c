/* Guest RAM: how it is laid out, and that it cannot be shrunk under the guest. */
#include "monitor/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static void check_regions(const struct guest_memory *memory, uint64_t size) {
	uint64_t total = 0, end = 0;
	assert_in_range(memory->region_count, 1, GUEST_REGIONS_MAX);
	assert_int_equal(memory->regions[0].base, 0);
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		assert_true(region->base >= end);
		assert_int_equal(region->offset, total);
		end = region->base + region->size;
		assert_true(end <= MEMORY_HOLE_START || region->base >= MEMORY_HOLE_END);
		total += region->size;
		*region->host = 1;
		region->host[region->size - 1] = 2;
	}
	assert_int_equal(total, size);
}

static void lay_out(uint64_t size, bool late, unsigned regions) {
	struct guest_memory memory;
	struct error error = {0};
	assert_int_equal(memory_init(&memory, size, late, &error), 0);
	check_regions(&memory, size);
	assert_int_equal(memory.region_count, regions);
	for (unsigned i = 1; late && i < memory.region_count; i++) {
		assert_int_equal(memory.regions[i].base % MEMORY_BLOCK, 0);
		assert_int_equal(memory.regions[i].size % MEMORY_BLOCK, 0);
	}
	memory_finish(&memory);
}

/* A buffer of the guest may lie across the border of RAM that it got in two parts. */
static void test_a_buffer_across_parts(void **state) {
	(void)state;
	struct guest_memory memory;
	struct error error = {0};
	assert_int_equal(memory_init(&memory, 1 * GIB, true, &error), 0);
	uint64_t border = memory.regions[0].size;
	assert_int_equal(memory.regions[1].base, border);
	uint8_t *across = guest_memory_at(&memory, (gpa_t){border - 8}, 16);
	assert_non_null(across);
	assert_ptr_equal(across + 8, guest_memory_at(&memory, (gpa_t){border}, 8));
	assert_null(guest_memory_at(&memory, (gpa_t){1 * GIB - 8}, 16));
	memory_finish(&memory);
}

static void test_one_region_below_the_hole(void **state) {
	(void)state;
	lay_out(64 * MIB, false, 1);
	lay_out(2 * GIB, false, 1);
	lay_out(3 * GIB, false, 1);
}

static void test_split_around_the_hole(void **state) {
	(void)state;
	lay_out(3 * GIB + 2 * MIB, false, 2);
	lay_out(8 * GIB, false, 2);
}

static void test_late_regions_are_whole_blocks(void **state) {
	(void)state;
	lay_out(256 * MIB, true, 1);
	lay_out(384 * MIB, true, 1);
	lay_out(386 * MIB, true, 2);
	lay_out(1000 * MIB, true, 2);
	lay_out(3 * GIB, true, 2);
	lay_out(3 * GIB + 2 * MIB, true, 3);
	lay_out(8 * GIB, true, 3);
	lay_out(8 * GIB - 2 * MIB, true, 3);
}

static void test_cannot_shrink_or_grow(void **state) {
	(void)state;
	struct guest_memory memory;
	assert_int_equal(memory_init(&memory, 64 * MIB, false, NULL), 0);
	assert_int_equal(ftruncate(memory.fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(memory.fd, 128 * MIB), -1);
	memory_finish(&memory);
}

/* Whether the host has huge pages for it or not. */
static void test_huge_pages_keep_what_is_there(void **state) {
	(void)state;
	struct guest_memory memory;
	struct error error = {0};
	assert_int_equal(memory_init(&memory, 64 * MIB, false, &error), 0);
	uint8_t *ram = memory.regions[0].host;
	ram[5] = 1;
	ram[3 * MIB] = 2;
	if (!memory_use_huge_pages(&memory, 4096, 3 * MIB)) {
		print_message("# no huge pages for shared memory here\n");
	}
	assert_int_equal(ram[5], 1);
	assert_int_equal(ram[3 * MIB], 2);
	assert_int_equal(ram[4], 0);
	assert_int_equal(ram[2 * MIB], 0);
	/* Beyond the end there is nothing to back. */
	assert_false(memory_use_huge_pages(&memory, 64 * MIB, 80 * MIB));
	memory_finish(&memory);
}

static void test_impossible_size_is_an_error(void **state) {
	(void)state;
	struct guest_memory memory;
	struct error error = {0};
	assert_true(memory_init(&memory, 1ULL << 60, false, &error) < 0);
	assert_string_not_equal(error.message, "");
	memory_finish(&memory);
}

/* A limit on the size of files is not to end ph by a signal. */
static void test_limited_files(void **state) {
	(void)state;
	struct guest_memory memory;
	struct error error = {0};
	struct rlimit before, limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 64 * MIB, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(memory_init(&memory, 64 * MIB, false, &error), 0);
	memory_finish(&memory);
	assert_int_equal(memory_init(&memory, 66 * MIB, false, &error), -EFBIG);
	assert_non_null(strstr(error.message, "(ulimit -f) is 64 MiB"));
	memory_finish(&memory);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_buffer_across_parts),
		cmocka_unit_test(test_one_region_below_the_hole),
		cmocka_unit_test(test_split_around_the_hole),
		cmocka_unit_test(test_late_regions_are_whole_blocks),
		cmocka_unit_test(test_cannot_shrink_or_grow),
		cmocka_unit_test(test_huge_pages_keep_what_is_there),
		cmocka_unit_test(test_impossible_size_is_an_error),
		cmocka_unit_test(test_limited_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
