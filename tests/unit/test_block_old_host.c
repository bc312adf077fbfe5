/*
 * Disks on hosts whose io_uring knows less than this one's: what the linker puts in the place of liburing's
 * functions refuses what they refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "block_fixture.h"

#include "block/device.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DISK_SIZE (256u * 512u)
#define REQUESTS 20u

/* What this host is without. */
static bool without_ring_fds;        /* before Linux 5.18 */
static bool without_multishot_polls; /* before Linux 5.13 */
static bool without_polls;           /* none */
static atomic_uint waits;

int __real_io_uring_register_restrictions(
	struct io_uring *ring, struct io_uring_restriction *list, unsigned count);
int __wrap_io_uring_register_restrictions(
	struct io_uring *ring, struct io_uring_restriction *list, unsigned count);
int __wrap_io_uring_register_restrictions(
	struct io_uring *ring, struct io_uring_restriction *list, unsigned count) {
	for (unsigned i = 0; i < count && without_ring_fds; i++) {
		if (list[i].opcode == IORING_RESTRICTION_REGISTER_OP &&
			list[i].register_op >= IORING_REGISTER_RING_FDS) {
			return -EINVAL;
		}
	}
	return __real_io_uring_register_restrictions(ring, list, count);
}

int __real_io_uring_register_ring_fd(struct io_uring *ring);
int __wrap_io_uring_register_ring_fd(struct io_uring *ring);
int __wrap_io_uring_register_ring_fd(struct io_uring *ring) {
	return without_ring_fds ? -EINVAL : __real_io_uring_register_ring_fd(ring);
}

/* Flags that no kernel knows are refused as multishot polls were before there were any. */
static void spoil_polls(struct io_uring *ring) {
	struct io_uring_sq *sq = &ring->sq;
	for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];
		if (sqe->opcode == IORING_OP_POLL_ADD &&
			(without_polls || (without_multishot_polls && sqe->len != 0))) {
			sqe->len = 1u << 31;
		}
	}
}

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count) {
	spoil_polls(ring);
	waits++;
	return __real_io_uring_submit_and_wait(ring, count);
}

int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring) {
	spoil_polls(ring);
	return __real_io_uring_submit_and_get_events(ring);
}

static struct block_queue *queue_of(struct block_fixture *fixture) {
	return &((struct block_device *)(void *)((char *)fixture->device -
						 offsetof(struct block_device, base)))
			->queues[0];
}

static int set_up(void **state) {
	static struct block_fixture fixture;
	without_ring_fds = without_multishot_polls = without_polls = false;
	*state = &fixture;
	return 0;
}

/* Requests that come one by one, each written and read again. */
static void ask_some(struct block_fixture *fixture) {
	for (unsigned i = 0; i < REQUESTS; i++) {
		uint8_t *data = driver_at(&fixture->driver, fixture->data);
		struct block_ask ask = {.type = VIRTIO_BLK_T_OUT, .sector = i, .len = 512};
		memset(data, (int)i, 512);
		assert_int_equal(fixture_ask(fixture, &ask), VIRTIO_BLK_S_OK);
		memset(data, 0xaa, 512);
		ask.type = VIRTIO_BLK_T_IN;
		assert_int_equal(fixture_ask(fixture, &ask), VIRTIO_BLK_S_OK);
		assert_int_equal(data[0], i);
		assert_int_equal(data[511], i);
	}
}

/* The disk serves with or without a ring, is idle when nothing is asked of it, and stops. */
static void expect_served(struct block_fixture *fixture, bool ring) {
	fixture_start(fixture, fixture->device->features);
	waits = 0;
	ask_some(fixture);
	usleep(20000);
	assert_true(waits < 10 * REQUESTS);
	assert_int_equal(queue_of(fixture)->has_ring, ring);
	fixture_finish(fixture);
}

static bool has_io_uring(struct block_fixture *fixture) {
	return queue_of(fixture)->ring_waits;
}

static void test_without_ring_fds(void **state) {
	struct block_fixture *fixture = *state;
	fixture_init(fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	bool ring = has_io_uring(fixture);
	fixture_finish(fixture);
	without_ring_fds = true;
	fixture_init(fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	assert_int_equal(has_io_uring(fixture), ring);
	expect_served(fixture, ring);
}

static void test_without_multishot_polls(void **state) {
	struct block_fixture *fixture = *state;
	without_ring_fds = without_multishot_polls = true;
	fixture_init(fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	expect_served(fixture, has_io_uring(fixture));
}

static void test_without_polls(void **state) {
	struct block_fixture *fixture = *state;
	without_polls = true;
	fixture_init(fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	expect_served(fixture, false);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_without_ring_fds, set_up),
		cmocka_unit_test_setup(test_without_multishot_polls, set_up),
		cmocka_unit_test_setup(test_without_polls, set_up),
	};
	return cmocka_run_group_tests_name("disks on old hosts", tests, NULL, NULL);
}
