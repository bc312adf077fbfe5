/* Guest addresses: only what lies wholly in one region has a host address, whatever the numbers are. */
#include "ph/guest_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LOW_SIZE 0x3000
#define HIGH_BASE 0x100000000ULL
#define HIGH_SIZE 0x1000

static uint8_t low[LOW_SIZE], high[HIGH_SIZE];

static const struct guest_memory memory = {
	.region_count = 2,
	.regions = {{.base = 0, .size = LOW_SIZE, .host = low},
		{.base = HIGH_BASE, .size = HIGH_SIZE, .host = high, .offset = LOW_SIZE}},
};

static void *at(uint64_t address, uint64_t len) {
	return guest_memory_at(&memory, (gpa_t){address}, len);
}

static void test_inside(void **state) {
	(void)state;
	assert_ptr_equal(at(0, 1), low);
	assert_ptr_equal(at(0, LOW_SIZE), low);
	assert_ptr_equal(at(LOW_SIZE - 1, 1), low + LOW_SIZE - 1);
	assert_ptr_equal(at(HIGH_BASE + 16, HIGH_SIZE - 16), high + 16);
}

static void test_outside(void **state) {
	(void)state;
	assert_null(at(LOW_SIZE, 1));
	assert_null(at(0, LOW_SIZE + 1));
	assert_null(at(LOW_SIZE - 1, 2));
	assert_null(at(HIGH_BASE - 1, 2));
	assert_null(at(HIGH_BASE + HIGH_SIZE, 1));
	assert_null(at(HIGH_BASE + 1, HIGH_SIZE));
}

static void test_wrapping(void **state) {
	(void)state;
	assert_null(at(1, UINT64_MAX));
	assert_null(at(UINT64_MAX, 2));
	assert_null(at(UINT64_MAX, UINT64_MAX));
	assert_null(at(HIGH_BASE + 1, UINT64_MAX - HIGH_BASE + 1));
	assert_null(at(HIGH_BASE, 0ULL - HIGH_BASE + 1));
}

static void test_no_length(void **state) {
	(void)state;
	assert_null(at(0, 0));
	assert_null(at(HIGH_BASE, 0));
}

static void test_copies(void **state) {
	(void)state;
	uint8_t bytes[4] = {1, 2, 3, 4}, back[4] = {0};
	assert_int_equal(guest_memory_write(&memory, (gpa_t){HIGH_BASE + 8}, bytes, 4), 0);
	assert_memory_equal(high + 8, bytes, 4);
	assert_int_equal(guest_memory_read(&memory, (gpa_t){HIGH_BASE + 8}, back, 4), 0);
	assert_memory_equal(back, bytes, 4);
}

static void test_refused_copies_touch_nothing(void **state) {
	(void)state;
	uint8_t bytes[4] = {9, 9, 9, 9};
	memset(low + LOW_SIZE - 3, 7, 3);
	assert_int_equal(guest_memory_write(&memory, (gpa_t){LOW_SIZE - 3}, bytes, 4), -EFAULT);
	assert_int_equal(low[LOW_SIZE - 3], 7);
	assert_int_equal(guest_memory_read(&memory, (gpa_t){LOW_SIZE - 3}, bytes, 4), -EFAULT);
	assert_int_equal(bytes[0], 9);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_no_length),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_refused_copies_touch_nothing),
	};
	return cmocka_run_group_tests_name("guest_memory", tests, NULL, NULL);
}
