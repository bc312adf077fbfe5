/*
 * Disks served in the monitor's jail, on threads with the disks' own filter: every kind of request, on the
 * ring that was made ahead, and after a reset without one. Linked without sanitizers, which make system calls
 * of their own.
 */
#include "block_fixture.h"

#include "block/device.h"
#include "ph/jail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FLUSH 9
#define DISCARD 13
#define WRITE_ZEROES 14

static void confine_thread(void) {
	jail_filter(JAIL_DISK, JAIL_DEFAULT, "disk");
}

static void expect(bool condition, int where) {
	if (!condition) {
		_exit(where);
	}
}

static uint64_t features(const struct block_fixture *f) {
	return UINT64_C(1) << VIRTIO_RING_F_VERSION_1 | f->device->features;
}

static void ask_all(struct block_fixture *f, bool writable, int where) {
	static const uint32_t zeroing[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct block_ask read = {.type = VIRTIO_BLK_T_IN, .sector = 8, .len = 65536};
	struct block_ask write = {.type = VIRTIO_BLK_T_OUT, .sector = 8, .len = 65536};
	struct block_ask flush = {.type = VIRTIO_BLK_T_FLUSH};
	expect(fixture_ask(f, &read) == VIRTIO_BLK_S_OK, where);
	if (!writable) {
		return;
	}
	expect(fixture_ask(f, &write) == VIRTIO_BLK_S_OK, where + 1);
	if ((f->device->features >> FLUSH & 1) != 0) {
		expect(fixture_ask(f, &flush) == VIRTIO_BLK_S_OK, where + 2);
	}
	for (size_t i = 0; i < 2; i++) {
		fixture_segment(f, f->data, 64, 64, 0);
		struct block_ask ask = {.type = zeroing[i], .len = 16};
		expect(fixture_ask(f, &ask) == VIRTIO_BLK_S_OK, where + 3);
	}
}

static void serve_jailed(enum block_mode mode) {
	struct block_fixture f;
	const struct jail_reach nothing = {0};
	fixture_init(&f, mode, 0, 8 << 20, NULL);
	f.device->confine_thread = confine_thread;
	struct block_queue *queue = &((struct block_device *)f.device)->queues[0];
	bool has_rings = queue->ring_waits;
	expect(jail_enter(JAIL_MONITOR, JAIL_DEFAULT, "test", &nothing) == 0, 1);
	expect(jail_filter(JAIL_MONITOR, JAIL_DEFAULT, "test") == 0, 2);
	fixture_start(&f, features(&f));
	ask_all(&f, mode != BLOCK_READ_ONLY, 10);
	expect(queue->has_ring == has_rings, 3);
	driver_stop(&f.driver);
	fixture_start(&f, features(&f));
	ask_all(&f, mode != BLOCK_READ_ONLY, 20);
	expect(!queue->has_ring || !jail_has_filters(), 4);
	fixture_finish(&f);
	_exit(0);
}

static void test_mode(enum block_mode mode) {
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		serve_jailed(mode);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_read_only(void **state) {
	(void)state;
	test_mode(BLOCK_READ_ONLY);
}

static void test_read_write(void **state) {
	(void)state;
	test_mode(BLOCK_READ_WRITE);
}

static void test_ephemeral(void **state) {
	(void)state;
	test_mode(BLOCK_EPHEMERAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_ephemeral),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
