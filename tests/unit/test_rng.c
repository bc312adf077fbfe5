/* The rng over the unit tests' driver: random bytes in the right places, and no more than the allowance. */
#include "driver.h"

#include "ph/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALLOWANCE 65536

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	gpa_t buffer;
};

static struct fixture *set_up(void) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(rng_create(&f->device), 0);
	assert_int_equal(driver_start(&f->driver, f->device, 0), 0);
	f->buffer = driver_alloc(&f->driver, 4 * ALLOWANCE);
	return f;
}

static void tear_down(struct fixture *f) {
	driver_stop(&f->driver);
	rng_destroy(f->device);
	driver_finish(&f->driver);
	free(f);
}

/* Ask for len bytes; the bytes that came. */
static uint32_t ask(struct fixture *f, uint32_t len) {
	struct driver_buffer buffer = {f->buffer, len, true};
	uint32_t got = 0;
	driver_add(&f->driver, 0, &buffer, 1);
	driver_kick(&f->driver, 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, &got));
	return got;
}

static bool all_zero(const uint8_t *bytes, size_t len) {
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

static void test_description(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(f->device->type, VIRTIO_TYPE_RNG);
	assert_int_equal(f->device->queue_count, 1);
	assert_true(f->device->features == 0 && f->device->config_size == 0);
	tear_down(f);
}

static void test_fills_what_was_asked(void **state) {
	(void)state;
	struct fixture *f = set_up();
	uint8_t *bytes = driver_at(&f->driver, f->buffer);
	assert_int_equal(ask(f, 64), 64);
	assert_false(all_zero(bytes, 64));
	assert_true(all_zero(bytes + 64, 64));
	uint8_t first[64];
	memcpy(first, bytes, 64);
	assert_int_equal(ask(f, 64), 64);
	assert_memory_not_equal(first, bytes, 64);
	tear_down(f);
}

static void test_several_segments(void **state) {
	(void)state;
	struct fixture *f = set_up();
	uint8_t *bytes = driver_at(&f->driver, f->buffer);
	struct driver_buffer buffers[] = {{f->buffer, 32, true}, {{f->buffer.value + 100}, 32, true}};
	uint32_t got;
	driver_add(&f->driver, 0, buffers, 2);
	driver_kick(&f->driver, 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, &got));
	assert_int_equal(got, 64);
	assert_false(all_zero(bytes, 32));
	assert_true(all_zero(bytes + 32, 68));
	assert_false(all_zero(bytes + 100, 32));
	tear_down(f);
}

static void test_empty_request(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(ask(f, 0), 0);
	tear_down(f);
}

/* A request beyond the allowance gets what is left; the next one waits until the timer has renewed it. */
static void test_allowance(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(ask(f, 3 * ALLOWANCE), ALLOWANCE);
	struct driver_buffer buffer = {f->buffer, 16, true};
	uint16_t head = driver_add(&f->driver, 0, &buffer, 1);
	f->device->ops->notify(f->device, &f->device->queues[0]);
	assert_false(driver_wait_used(&f->driver, 0, 0, NULL, NULL));
	uint16_t id;
	uint32_t got;
	assert_true(driver_wait_used(&f->driver, 0, 5000, &id, &got)); /* no kick */
	assert_int_equal(id, head);
	assert_int_equal(got, 16);
	tear_down(f);
}

/* Nothing is served beyond the allowance, in the same turn neither; and asking again does not put off its
 * renewal. */
static void test_waits_with_patience(void **state) {
	(void)state;
	struct fixture *f = set_up();
	struct driver_buffer buffers[] = {{f->buffer, ALLOWANCE, true}, {f->buffer, 16, true}};
	driver_add(&f->driver, 0, &buffers[0], 1);
	driver_add(&f->driver, 0, &buffers[1], 1);
	f->device->ops->notify(f->device, &f->device->queues[0]);
	uint32_t got = 0;
	assert_true(driver_wait_used(&f->driver, 0, 0, NULL, &got));
	assert_int_equal(got, ALLOWANCE);
	for (unsigned i = 0; i < 500 && !driver_wait_used(&f->driver, 0, 0, NULL, &got); i++) {
		driver_kick(&f->driver, 0);
		driver_run(&f->driver, 10);
	}
	assert_int_equal(got, 16);
	tear_down(f);
}

/* Requests count, not only bytes: one call of notify ends however many empty ones come. */
static void test_requests_cost(void **state) {
	(void)state;
	struct fixture *f = set_up();
	struct driver_buffer buffer = {f->buffer, 0, true};
	unsigned served = 0;
	for (bool got = true; got; served += got) {
		assert_true(served <= ALLOWANCE / 64);
		driver_add(&f->driver, 0, &buffer, 1);
		f->device->ops->notify(f->device, &f->device->queues[0]);
		got = driver_wait_used(&f->driver, 0, 0, NULL, NULL);
	}
	assert_int_equal(served, ALLOWANCE / 64);
	tear_down(f);
}

/* Resetting does not renew the allowance, and what waits is still served after it. */
static void test_reset_while_waiting(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(ask(f, ALLOWANCE), ALLOWANCE);
	driver_stop(&f->driver);
	assert_int_equal(driver_start(&f->driver, f->device, 0), 0);
	struct driver_buffer buffer = {f->buffer, 16, true};
	driver_add(&f->driver, 0, &buffer, 1);
	f->device->ops->notify(f->device, &f->device->queues[0]);
	assert_false(driver_wait_used(&f->driver, 0, 0, NULL, NULL));
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
	tear_down(f);
}

static void test_readable_buffer_breaks(void **state) {
	(void)state;
	struct fixture *f = set_up();
	struct driver_buffer buffers[] = {{f->buffer, 16, false}, {f->buffer, 16, true}};
	driver_add(&f->driver, 0, buffers, 2);
	driver_kick(&f->driver, 0);
	assert_false(driver_wait_used(&f->driver, 0, 20, NULL, NULL));
	assert_true(f->device->shared->needs_reset);
	tear_down(f);
}

static void test_bad_head_breaks(void **state) {
	(void)state;
	struct fixture *f = set_up();
	driver_offer(&f->driver, 0, 0xffff);
	driver_kick(&f->driver, 0);
	driver_run(&f->driver, 2);
	assert_true(f->device->shared->needs_reset);
	driver_kick(&f->driver, 0);
	driver_run(&f->driver, 2);
	tear_down(f);
}

static void test_destroy_accepts_null(void **state) {
	(void)state;
	rng_destroy(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_fills_what_was_asked),
		cmocka_unit_test(test_several_segments),
		cmocka_unit_test(test_empty_request),
		cmocka_unit_test(test_allowance),
		cmocka_unit_test(test_waits_with_patience),
		cmocka_unit_test(test_requests_cost),
		cmocka_unit_test(test_reset_while_waiting),
		cmocka_unit_test(test_readable_buffer_breaks),
		cmocka_unit_test(test_bad_head_breaks),
		cmocka_unit_test(test_destroy_accepts_null),
	};
	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
