/* The balloon over the unit tests' driver: reported pages leave the memfd, everything else stays. */
#include "driver.h"

#include "ph/balloon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define REPORTING (1ULL << 5)
#define PAGE 4096
#define PAGES 16

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	gpa_t pages;
};

static struct fixture *set_up(uint64_t features) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(balloon_create(&f->device), 0);
	assert_int_equal(driver_start(&f->driver, f->device, features), 0);
	f->pages = driver_alloc(&f->driver, PAGES * PAGE);
	memset(driver_at(&f->driver, f->pages), 0xaa, PAGES * PAGE);
	return f;
}

static void tear_down(struct fixture *f) {
	driver_stop(&f->driver);
	balloon_destroy(f->device);
	driver_finish(&f->driver);
	free(f);
}

static void send(struct fixture *f, unsigned queue, const struct driver_buffer *buffers, unsigned count) {
	driver_add(&f->driver, queue, buffers, count);
	driver_kick(&f->driver, queue);
	uint32_t len;
	assert_true(driver_wait_used(&f->driver, queue, 5000, NULL, &len));
	assert_int_equal(len, 0);
}

static struct driver_buffer range(struct fixture *f, uint32_t offset, uint32_t len) {
	return (struct driver_buffer){{f->pages.value + offset}, len, true};
}

static uint8_t byte(struct fixture *f, uint32_t offset) {
	return ((uint8_t *)driver_at(&f->driver, f->pages))[offset];
}

static blkcnt_t blocks(struct fixture *f) {
	struct stat status;
	assert_int_equal(fstat(f->driver.memory.fd, &status), 0);
	return status.st_blocks;
}

static void test_description(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	assert_int_equal(f->device->type, VIRTIO_TYPE_BALLOON);
	assert_true(f->device->features == REPORTING);
	const uint8_t zeros[8] = {0};
	assert_int_equal(f->device->config_size, 8);
	assert_memory_equal(f->device->config, zeros, 8);
	assert_int_equal(f->device->queue_size[3], 0);
	tear_down(f);
}

static void expect_reported(unsigned queue) {
	struct fixture *f = set_up(REPORTING);
	struct driver_buffer buffers[] = {range(f, PAGE, 2 * PAGE), range(f, 8 * PAGE, PAGE)};
	send(f, queue, buffers, 2);
	for (uint32_t page = 0; page < PAGES; page++) {
		bool reported = page == 1 || page == 2 || page == 8;
		assert_int_equal(byte(f, page * PAGE), reported ? 0 : 0xaa);
		assert_int_equal(byte(f, page * PAGE + PAGE - 1), reported ? 0 : 0xaa);
	}
	tear_down(f);
}

static void test_reporting(void **state) {
	(void)state;
	expect_reported(4);
}

static void test_reporting_where_linux_looks(void **state) {
	(void)state;
	expect_reported(2);
}

/* The memory is really given back. */
static void test_frees_memory(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	struct driver_buffer buffer = range(f, PAGE, 4 * PAGE);
	send(f, 4, &buffer, 1); /* touches the pages of the rings for the first time, too */
	memset(driver_at(&f->driver, buffer.address), 0xaa, buffer.len);
	blkcnt_t before = blocks(f);
	send(f, 4, &buffer, 1);
	assert_int_equal(before - blocks(f), buffer.len / 512);
	tear_down(f);
}

/* Only whole pages go. */
static void test_partial_pages(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	struct driver_buffer buffers[] = {range(f, 1, 2 * PAGE), range(f, 8 * PAGE + 8, PAGE - 16)};
	send(f, 4, buffers, 2);
	assert_int_equal(byte(f, 1), 0xaa);
	assert_int_equal(byte(f, PAGE - 1), 0xaa);
	assert_int_equal(byte(f, PAGE), 0);
	assert_int_equal(byte(f, 2 * PAGE - 1), 0);
	assert_int_equal(byte(f, 2 * PAGE), 0xaa);
	assert_int_equal(byte(f, 8 * PAGE + 100), 0xaa);
	tear_down(f);
}

/* A region's place in the memfd is its own, not its guest address. */
static void test_region_offset(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	struct guest_memory *memory = &f->driver.memory;
	const uint32_t base = (uint32_t)f->pages.value;
	uint8_t *host = memory->regions[0].host;
	memory->regions[0].size = base + 8 * PAGE;
	memory->regions[1] = (struct guest_region){.base = 1ULL << 32,
		.size = 8 * PAGE,
		.host = host + base + 8 * PAGE,
		.offset = base + 8 * PAGE};
	memory->region_count = 2;
	struct driver_buffer buffer = {{(1ULL << 32) + PAGE}, PAGE, true};
	send(f, 4, &buffer, 1);
	for (uint32_t page = 0; page < PAGES; page++) {
		assert_int_equal(byte(f, page * PAGE), page == 9 ? 0 : 0xaa);
	}
	tear_down(f);
}

static void test_readable_is_not_reported(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	struct driver_buffer buffers[] = {range(f, 0, PAGE), range(f, PAGE, PAGE)};
	buffers[0].write = false;
	send(f, 4, buffers, 2);
	assert_int_equal(byte(f, 0), 0xaa);
	assert_int_equal(byte(f, PAGE), 0);
	tear_down(f);
}

static void test_not_negotiated(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffer = range(f, 0, PAGE);
	send(f, 4, &buffer, 1);
	send(f, 2, &buffer, 1);
	assert_int_equal(byte(f, 0), 0xaa);
	tear_down(f);
}

static void test_inflating_does_nothing(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	struct driver_buffer buffer = range(f, 0, PAGE);
	for (unsigned queue = 0; queue < 2; queue++) {
		buffer.write = false;
		send(f, queue, &buffer, 1);
		buffer.write = true;
		send(f, queue, &buffer, 1);
	}
	assert_int_equal(byte(f, 0), 0xaa);
	tear_down(f);
}

static void test_bad_chain_breaks(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	driver_descriptor(&f->driver, 4, 0, (gpa_t){DRIVER_RAM_SIZE}, PAGE, DRIVER_WRITE, 0);
	driver_offer(&f->driver, 4, 0);
	driver_kick(&f->driver, 4);
	driver_run(&f->driver, 2);
	assert_true(f->device->shared->needs_reset);
	tear_down(f);
}

static void test_destroy_accepts_null(void **state) {
	(void)state;
	balloon_destroy(NULL);
}

/* One chain is as much as Linux reports at a time; what is beyond that stays. */
static void test_large_report(void **state) {
	(void)state;
	const uint32_t mib = 1 << 20;
	struct fixture *f = set_up(REPORTING);
	gpa_t same = driver_alloc(&f->driver, 4 * mib), last = driver_alloc(&f->driver, 8 * mib);
	struct driver_buffer buffers[32];
	for (unsigned i = 0; i < 31; i++) {
		buffers[i] = (struct driver_buffer){same, 4 * mib, true};
	}
	buffers[31] = (struct driver_buffer){last, 8 * mib, true};
	uint8_t *bytes = driver_at(&f->driver, last);
	memset(bytes, 0xaa, 8 * mib);
	send(f, 4, buffers, 32);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[4 * mib - 1], 0);
	assert_int_equal(bytes[4 * mib], 0xaa);
	assert_int_equal(bytes[8 * mib - 1], 0xaa);
	tear_down(f);
}

/* The loop's other sources have their turn after each chain. */
static void test_one_report_a_turn(void **state) {
	(void)state;
	struct fixture *f = set_up(REPORTING);
	const uint8_t *used = driver_at(&f->driver, f->driver.queues[4].config.device_area);
	struct driver_buffer buffer = range(f, 0, PAGE);
	for (unsigned i = 0; i < 3; i++) {
		driver_add(&f->driver, 4, &buffer, 1);
	}
	driver_kick(&f->driver, 4);
	for (uint8_t i = 1; i <= 3; i++) {
		assert_true(driver_wait_used(&f->driver, 4, 5000, NULL, NULL));
		assert_int_equal(used[2], i);
	}
	tear_down(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_reporting),
		cmocka_unit_test(test_reporting_where_linux_looks),
		cmocka_unit_test(test_frees_memory),
		cmocka_unit_test(test_partial_pages),
		cmocka_unit_test(test_region_offset),
		cmocka_unit_test(test_readable_is_not_reported),
		cmocka_unit_test(test_large_report),
		cmocka_unit_test(test_one_report_a_turn),
		cmocka_unit_test(test_not_negotiated),
		cmocka_unit_test(test_inflating_does_nothing),
		cmocka_unit_test(test_bad_chain_breaks),
		cmocka_unit_test(test_destroy_accepts_null),
	};
	return cmocka_run_group_tests_name("balloon", tests, NULL, NULL);
}
