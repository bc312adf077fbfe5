/*
 * Disks under concurrency: several queues at once, each driven by a thread of its own, and resets
 * while requests are in flight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "block_fixture.h"

#include "block/overlay.h"
#include "block/request.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES 4u
#define DEPTH 16u
#define ROUNDS 150u
#define SECTORS 4096u
#define DISK_SIZE (SECTORS * 512u)

static void four_queues(struct block_options *options) {
	options->queues = QUEUES;
}

/* ---- many queues ---- */

/* A driver thread: the sectors that are its own are those that its number is the rest of. */
struct rider {
	struct block_fixture *fixture;
	unsigned queue;
	uint32_t seed;
	gpa_t header[DEPTH], data[DEPTH], status[DEPTH];
	uint32_t sector[DEPTH];
	bool write[DEPTH];
	uint32_t value[SECTORS / QUEUES]; /* what was written last; 0: nothing */
	bool failed;
};

static void rider_fill(uint8_t *data, uint32_t value) {
	for (unsigned i = 0; i < 512; i += 4) {
		memcpy(data + i, &value, 4);
	}
}

/* One request in each place, no two of one round for the same sector. */
static void rider_offer(struct rider *rider, uint32_t round) {
	struct driver *driver = &rider->fixture->driver;
	for (unsigned i = 0; i < DEPTH; i++) {
		rider->seed = rider->seed * 1664525 + 1013904223;
		uint32_t own = (rider->seed >> 8) % (SECTORS / QUEUES / DEPTH) * DEPTH + i;
		rider->write[i] = (rider->seed >> 30 & 1) != 0;
		rider->sector[i] = own;
		uint8_t *data = driver_at(driver, rider->data[i]);
		memset(data, 0xdd, 512);
		if (rider->write[i]) {
			rider->value[own] = round << 8 | rider->queue << 4 | 0x80000001;
			rider_fill(data, rider->value[own]);
		}
		fixture_header(rider->fixture, rider->header[i],
			rider->write[i] ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, own * QUEUES + rider->queue);
		*(uint8_t *)driver_at(driver, rider->status[i]) = 0xee;
		struct driver_buffer buffers[] = {{rider->header[i], 16, false},
			{rider->data[i], 512, !rider->write[i]}, {rider->status[i], 1, true}};
		driver_add(driver, rider->queue, buffers, 3);
	}
	driver_kick(driver, rider->queue);
}

static bool rider_check(struct rider *rider, unsigned i) {
	struct driver *driver = &rider->fixture->driver;
	uint8_t expected[512];
	uint32_t own = rider->sector[i];
	if (rider->value[own] != 0) {
		rider_fill(expected, rider->value[own]);
	} else {
		for (unsigned b = 0; b < 512; b++) {
			expected[b] = fixture_pattern((own * QUEUES + rider->queue) * 512u + b);
		}
	}
	return *(uint8_t *)driver_at(driver, rider->status[i]) == VIRTIO_BLK_S_OK &&
	       memcmp(driver_at(driver, rider->data[i]), expected, 512) == 0;
}

static void *ride(void *arg) {
	struct rider *rider = arg;
	for (uint32_t round = 0; round < ROUNDS && !rider->failed; round++) {
		rider_offer(rider, round);
		for (unsigned i = 0; i < DEPTH; i++) {
			rider->failed |= !fixture_wait(rider->fixture, rider->queue, NULL, NULL);
		}
		for (unsigned i = 0; i < DEPTH; i++) {
			rider->failed |= !rider_check(rider, i);
		}
	}
	return NULL;
}

static void run_riders(enum block_mode mode) {
	static struct rider riders[QUEUES];
	struct block_fixture fixture;
	pthread_t threads[QUEUES];
	fixture_init(&fixture, mode, 4096, DISK_SIZE, four_queues);
	fixture_start(&fixture, fixture.device->features);
	for (unsigned q = 0; q < QUEUES; q++) {
		riders[q] = (struct rider){.fixture = &fixture, .queue = q, .seed = q + 1};
		for (unsigned i = 0; i < DEPTH; i++) {
			riders[q].header[i] = driver_alloc(&fixture.driver, 16);
			riders[q].data[i] = driver_alloc(&fixture.driver, 512);
			riders[q].status[i] = driver_alloc(&fixture.driver, 1);
		}
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		assert_int_equal(pthread_create(&threads[q], NULL, ride, &riders[q]), 0);
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		pthread_join(threads[q], NULL);
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		assert_false(riders[q].failed);
	}
	fixture_finish(&fixture);
}

static void test_queues_ephemeral(void **state) {
	(void)state;
	run_riders(BLOCK_EPHEMERAL);
}

static void test_queues_read_write(void **state) {
	(void)state;
	run_riders(BLOCK_READ_WRITE);
}

/* Two threads that write every other sector, in step: no bit of a word they share may get lost. */
struct weaver {
	struct block_overlay *overlay;
	uint64_t first;
	atomic_uint *step;
};

#define WOVEN 32768u

static void *weave(void *arg) {
	struct weaver *weaver = arg;
	static uint8_t data[512];
	struct iovec iov = {data, sizeof(data)};
	for (unsigned i = 0; i < WOVEN / 2; i++) {
		atomic_fetch_add(weaver->step, 1);
		for (unsigned spins = 1; atomic_load(weaver->step) < 2 * (i + 1); spins++) {
			if (spins % 4096 == 0) {
				sched_yield();
			}
		}
		block_overlay_write(weaver->overlay, &iov, 1, (weaver->first + 2 * i) * 512, 512);
	}
	return NULL;
}

static void test_overlay_bits(void **state) {
	(void)state;
	struct block_overlay overlay;
	atomic_uint step = 0;
	struct weaver weavers[2] = {{&overlay, 0, &step}, {&overlay, 1, &step}};
	pthread_t threads[2];
	bool written;
	assert_int_equal(block_overlay_init(&overlay, WOVEN * 512, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, weave, &weavers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(block_overlay_run(&overlay, 0, WOVEN, &written), WOVEN);
	assert_true(written);
	block_overlay_finish(&overlay);
}

/* ---- resets ---- */

/* Around the page cache, where the file system can do that, so that reads are really under way for a while.
 */
static void direct(struct block_options *options) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", options->fd);
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd >= 0) {
		close(options->fd);
		options->fd = fd;
	}
	options->queues = QUEUES;
}

static void offer_many(struct block_fixture *fixture, uint32_t type, uint32_t len) {
	struct driver_buffer buffers[] = {{fixture->header, 16, false},
		{fixture->data, len, type == VIRTIO_BLK_T_IN}, {fixture->status, 1, true}};
	fixture_header(fixture, fixture->header, type, 0);
	for (unsigned q = 0; q < QUEUES; q++) {
		for (unsigned i = 0; i < 64; i++) {
			driver_add(&fixture->driver, q, buffers, 3);
		}
		driver_kick(&fixture->driver, q);
	}
}

/* After a reset guest memory is the driver's again: nothing of it may change. */
static void test_reset_in_flight(void **state) {
	(void)state;
	static uint8_t before[FIXTURE_DATA_SIZE];
	for (enum block_mode mode = BLOCK_READ_ONLY; mode <= BLOCK_EPHEMERAL; mode++) {
		struct block_fixture fixture;
		fixture_init(&fixture, mode, 0, DISK_SIZE, direct);
		uint64_t free_page = fixture.driver.next_page;
		for (unsigned round = 0; round < 40; round++) {
			fixture.driver.next_page = free_page; /* the rings of the round before */
			memset(driver_at(&fixture.driver, (gpa_t){free_page}), 0, 1 << 20);
			fixture_start(&fixture, fixture.device->features);
			offer_many(&fixture, round % 4 == 3 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 256 * 1024);
			usleep(round * 50);
			driver_stop(&fixture.driver);
			uint8_t *data = driver_at(&fixture.driver, fixture.data);
			memset(data, (int)round, FIXTURE_DATA_SIZE);
			memcpy(before, data, FIXTURE_DATA_SIZE);
			usleep(2000);
			assert_memory_equal(data, before, FIXTURE_DATA_SIZE);
		}
		fixture.driver.device = NULL;
		fixture_finish(&fixture);
	}
}

/* A disk larger than its image, of zeros that take no memory. */
#define HUGE_DISK (UINT64_C(1) << 32)
#define PIECE (16u << 20)
#define PIECES 250u

static void huge(struct block_options *options) {
	options->size = HUGE_DISK;
}

static void discard_all(struct block_fixture *fixture) {
	for (unsigned i = 0; i < 2; i++) {
		fixture_segment(fixture, fixture->data, (uint64_t)i << 22, 1u << 22, 0);
		const struct block_ask ask = {.type = VIRTIO_BLK_T_DISCARD, .len = 16};
		assert_int_equal(fixture_ask(fixture, &ask), VIRTIO_BLK_S_OK);
	}
}

/* A request of 4 GiB, whose pieces but the last are all the same memory, is not waited for. */
static void test_reset_amid_overlay(void **state) {
	(void)state;
	static struct driver_buffer buffers[PIECES + 3];
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_EPHEMERAL, 0, DISK_SIZE, huge);
	fixture_start(&fixture, fixture.device->features);
	gpa_t piece = driver_alloc(&fixture.driver, PIECE), last = driver_alloc(&fixture.driver, 512);
	discard_all(&fixture);
	memset(driver_at(&fixture.driver, piece), 0xaa, PIECE);
	memset(driver_at(&fixture.driver, last), 0xaa, 512);
	fixture_header(&fixture, fixture.header, VIRTIO_BLK_T_IN, 0);
	buffers[0] = (struct driver_buffer){fixture.header, 16, false};
	for (unsigned i = 1; i <= PIECES; i++) {
		buffers[i] = (struct driver_buffer){piece, PIECE, true};
	}
	buffers[PIECES + 1] = (struct driver_buffer){last, 512, true};
	buffers[PIECES + 2] = (struct driver_buffer){fixture.status, 1, true};
	driver_add(&fixture.driver, 0, buffers, PIECES + 3);
	driver_kick(&fixture.driver, 0);
	const volatile uint8_t *first = driver_at(&fixture.driver, piece);
	while (*first != 0) {
		sched_yield();
	}
	driver_stop(&fixture.driver);
	assert_int_equal(*(uint8_t *)driver_at(&fixture.driver, last), 0xaa);
	fixture_finish(&fixture);
}

/* A device that was never reset is quiet before its memory goes. */
static void test_destroy_while_started(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_EPHEMERAL, 0, DISK_SIZE, four_queues);
	fixture_start(&fixture, fixture.device->features);
	offer_many(&fixture, VIRTIO_BLK_T_IN, 4096);
	fixture_finish(&fixture);
}

/* Kicks that come while nothing is there, and requests that come while the thread is busy. */
static void test_kicks(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	struct driver_buffer buffers[] = {
		{fixture.header, 16, false}, {fixture.data, 4096, true}, {fixture.status, 1, true}};
	fixture_header(&fixture, fixture.header, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < 2000; i++) {
		driver_kick(&fixture.driver, 0);
		driver_add(&fixture.driver, 0, buffers, 3);
		driver_kick(&fixture.driver, 0);
		while (!driver_wait_used(&fixture.driver, 0, 0, NULL, NULL)) {
			usleep(1);
		}
	}
	fixture_finish(&fixture);
}

/* ---- a host short of processes ---- */

/* Of those that may ask at all, root has no such limit. */
static void become_limited(void) {
	const struct rlimit none = {1, 1};
	uid_t uid = getuid() != 0 ? getuid() : 65534;
	if (setrlimit(RLIMIT_NPROC, &none) < 0 || setresuid(uid, uid, uid) < 0) {
		abort();
	}
}

/* An io_uring has no thread to wait in then, and gives up what has to wait. Each queue's first write and
 * flush do. */
static void test_without_threads(void **state) {
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct block_fixture fixture;
		unsigned failed = 0;
		fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, four_queues);
		fixture_start(&fixture, fixture.device->features);
		become_limited();
		for (unsigned q = 0; q < QUEUES; q++) {
			const struct block_ask write = {
				.queue = q, .type = VIRTIO_BLK_T_OUT, .sector = q, .len = 512};
			const struct block_ask flush = {.queue = q, .type = VIRTIO_BLK_T_FLUSH};
			failed += fixture_ask(&fixture, &write) != VIRTIO_BLK_S_OK;
			failed += fixture_ask(&fixture, &flush) != VIRTIO_BLK_S_OK;
		}
		_exit((int)failed);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* An image is opened so that a FIFO in its place does not hang ph; disks are waited for. */
static int nonblocking_fd = -1;

static void nonblocking(struct block_options *options) {
	assert_int_equal(fcntl(options->fd, F_SETFL, fcntl(options->fd, F_GETFL) | O_NONBLOCK), 0);
	nonblocking_fd = dup(options->fd);
}

static void test_image_is_waited_for(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, nonblocking);
	assert_int_equal(fcntl(nonblocking_fd, F_GETFL) & O_NONBLOCK, 0);
	close(nonblocking_fd);
	fixture_start(&fixture, fixture.device->features);
	fixture_finish(&fixture);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues_ephemeral),
		cmocka_unit_test(test_queues_read_write),
		cmocka_unit_test(test_overlay_bits),
		cmocka_unit_test(test_reset_in_flight),
		cmocka_unit_test(test_reset_amid_overlay),
		cmocka_unit_test(test_destroy_while_started),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_without_threads),
		cmocka_unit_test(test_image_is_waited_for),
	};
	return fixture_run_tests("block queues", tests, sizeof(tests) / sizeof(tests[0]));
}
