/*
 * The virtio-blk device as a driver sees it: configuration, each operation, each bound, each
 * malformed request, resets. Everything runs twice: with io_uring, and with io_uring refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "block_fixture.h"

#include "block/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define F_SEG_MAX (1u << 2)
#define F_RO (1u << 5)
#define F_BLK_SIZE (1u << 6)
#define F_FLUSH (1u << 9)
#define F_MQ (1u << 12)
#define F_DISCARD (1u << 13)
#define F_WRITE_ZEROES (1u << 14)

#define SECTORS 64u
#define DISK_SIZE (SECTORS * 512u)

static uint8_t ask(struct block_fixture *fixture, uint32_t type, uint64_t sector, uint32_t len) {
	return fixture_ask(fixture, &(struct block_ask){.type = type, .sector = sector, .len = len});
}

static uint8_t ask_zero(
	struct block_fixture *fixture, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags) {
	fixture_segment(fixture, fixture->data, sector, sectors, flags);
	return ask(fixture, type, 0, 16);
}

static uint8_t *data(struct block_fixture *fixture) {
	return driver_at(&fixture->driver, fixture->data);
}

static uint64_t config(const struct virtio_device *device, unsigned offset, unsigned len) {
	uint64_t value = 0;
	for (unsigned i = len; i-- > 0;) {
		value = value << 8 | device->config[offset + i];
	}
	return value;
}

static void four_queues(struct block_options *options) {
	options->queues = 4;
}

static void test_config_writable(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, four_queues);
	struct virtio_device *device = fixture.device;
	assert_int_equal(device->type, 2);
	assert_int_equal(
		device->features, F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_MQ | F_DISCARD | F_WRITE_ZEROES);
	assert_int_equal(device->config_size, 60);
	assert_int_equal(config(device, 0, 8), SECTORS);
	assert_int_equal(config(device, 12, 4), 254);
	assert_int_equal(config(device, 20, 4), 512);
	assert_int_equal(config(device, 34, 2), 4);
	assert_int_equal(config(device, 36, 4), BLOCK_DISCARD_SECTORS_MAX);
	assert_int_equal(config(device, 40, 4), 1);
	assert_int_equal(config(device, 44, 4), 8);
	assert_int_equal(config(device, 48, 4), BLOCK_WRITE_ZEROES_SECTORS_MAX);
	assert_int_equal(config(device, 52, 4), 1);
	assert_int_equal(config(device, 56, 1), 1);
	assert_int_equal(device->queue_count, 4);
	fixture_finish(&fixture);
}

static void test_config_read_only(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, NULL);
	assert_int_equal(fixture.device->features, F_SEG_MAX | F_BLK_SIZE | F_RO);
	for (unsigned i = 36; i < 60; i++) {
		assert_int_equal(fixture.device->config[i], 0);
	}
	fixture_finish(&fixture);
}

static void test_create_refuses(void **state) {
	(void)state;
	struct virtio_device *device;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct block_options good = {.fd = fd, .path = "x", .size = 512, .queues = 1}, bad;
	bad = good, bad.size = 0;
	assert_int_equal(block_create(&device, &bad), -EINVAL);
	bad = good, bad.size = 513;
	assert_int_equal(block_create(&device, &bad), -EINVAL);
	bad = good, bad.offset = UINT64_MAX - 100;
	assert_int_equal(block_create(&device, &bad), -EINVAL);
	bad = good, bad.queues = 0;
	assert_int_equal(block_create(&device, &bad), -EINVAL);
	bad = good, bad.queues = 17;
	assert_int_equal(block_create(&device, &bad), -EINVAL);
	bad = good, bad.fd = -1;
	assert_int_equal(block_create(&device, &bad), -EBADF);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* not taken over */
	close(fd);
	block_destroy(NULL);
}

static void check_pattern(const uint8_t *bytes, uint64_t offset, uint64_t len) {
	for (uint64_t i = 0; i < len; i++) {
		assert_int_equal(bytes[i], fixture_pattern(offset + i));
	}
}

static void test_read(void **state) {
	(void)state;
	for (enum block_mode mode = BLOCK_READ_ONLY; mode <= BLOCK_EPHEMERAL; mode++) {
		struct block_fixture fixture;
		uint32_t used;
		fixture_init(&fixture, mode, 4096, DISK_SIZE, NULL);
		fixture_start(&fixture, fixture.device->features);
		assert_int_equal(fixture_ask(&fixture, &(struct block_ask){.type = VIRTIO_BLK_T_IN,
							       .sector = 3,
							       .len = 1024,
							       .used_len = &used}),
			VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1025);
		check_pattern(data(&fixture), 3 * 512, 1024);
		assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 0, DISK_SIZE), VIRTIO_BLK_S_OK);
		check_pattern(data(&fixture), 0, DISK_SIZE);
		fixture_finish(&fixture);
	}
}

static void test_write_and_flush(void **state) {
	(void)state;
	struct block_fixture fixture;
	uint8_t image[1024];
	fixture_init(&fixture, BLOCK_READ_WRITE, 4096, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	memset(data(&fixture), 0x5a, 1024);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_OUT, 9, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(fixture.image, image, 1024, 4096 + 9 * 512), 1024);
	assert_memory_equal(image, data(&fixture), 1024);
	assert_int_equal(pread(fixture.image, image, 512, 4096 + 8 * 512), 512);
	check_pattern(image, 8 * 512, 512);
	fixture_finish(&fixture);
}

/* A driver that does not know FLUSH gets its writes safe at once. */
static void test_write_through(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features & ~(uint64_t)F_FLUSH);
	memset(data(&fixture), 0x11, 512);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_WRITE_ZEROES, 1, 1, 0), VIRTIO_BLK_S_OK);
	fixture_finish(&fixture);
}

static void test_get_id(void **state) {
	(void)state;
	struct block_fixture fixture;
	uint32_t used;
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	assert_int_equal(
		fixture_ask(&fixture,
			&(struct block_ask){.type = VIRTIO_BLK_T_GET_ID, .len = 20, .used_len = &used}),
		VIRTIO_BLK_S_OK);
	assert_int_equal(used, 21);
	assert_string_equal((char *)data(&fixture), "the disk's own name");
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_GET_ID, 0, 19), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_GET_ID, 0, 512), VIRTIO_BLK_S_IOERR);
	fixture_finish(&fixture);
}

static void test_zeroes(void **state) {
	(void)state;
	for (unsigned flags = 0; flags <= 1; flags++) {
		struct block_fixture fixture;
		uint8_t image[DISK_SIZE], zeros[1024] = {0};
		fixture_init(&fixture, BLOCK_READ_WRITE, 4096, DISK_SIZE, NULL);
		fixture_start(&fixture, fixture.device->features);
		assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_WRITE_ZEROES, 5, 2, flags), VIRTIO_BLK_S_OK);
		assert_int_equal(pread(fixture.image, image, DISK_SIZE, 4096), DISK_SIZE);
		check_pattern(image, 0, 5 * 512);
		assert_memory_equal(image + 5 * 512, zeros, 1024);
		check_pattern(image + 7 * 512, 7 * 512, DISK_SIZE - 7 * 512);
		assert_int_equal(lseek(fixture.image, 0, SEEK_END), 4096 + DISK_SIZE);
		fixture_finish(&fixture);
	}
}

static void test_discard(void **state) {
	(void)state;
	struct block_fixture fixture;
	uint8_t image[DISK_SIZE];
	fixture_init(&fixture, BLOCK_READ_WRITE, 4096, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(fixture.image, image, DISK_SIZE, 4096), DISK_SIZE);
	check_pattern(image, 0, 8 * 512);
	check_pattern(image + 24 * 512, 24 * 512, DISK_SIZE - 24 * 512);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_DISCARD, 0, 32), VIRTIO_BLK_S_IOERR);
	fixture_finish(&fixture);
}

static void check_bounds(struct block_fixture *fixture, uint32_t type) {
	assert_int_equal(ask(fixture, type, SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(ask(fixture, type, SECTORS, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ask(fixture, type, SECTORS + 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, SECTORS, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, SECTORS - 1, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, UINT64_MAX / 512, 512), VIRTIO_BLK_S_IOERR);
	/* multiplied without a check these would be sector 0 */
	assert_int_equal(ask(fixture, type, UINT64_C(1) << 55, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, UINT64_C(1) << 63, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, 0, 511), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(fixture, type, 0, 513), VIRTIO_BLK_S_IOERR);
}

static void check_zero_bounds(struct block_fixture *fixture, uint32_t type, uint32_t max) {
	assert_int_equal(ask_zero(fixture, type, SECTORS - 1, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(ask_zero(fixture, type, SECTORS, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(fixture, type, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(fixture, type, UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(fixture, type, UINT64_C(1) << 55, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(fixture, type, 0, max + 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(fixture, type, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
}

static void test_bounds(void **state) {
	(void)state;
	for (enum block_mode mode = BLOCK_READ_WRITE; mode <= BLOCK_EPHEMERAL; mode++) {
		struct block_fixture fixture;
		uint8_t after[512];
		fixture_init(&fixture, mode, 4096, DISK_SIZE, NULL);
		/* bytes of the image behind the disk are none of the guest's */
		memset(after, 0x77, sizeof(after));
		assert_int_equal(pwrite(fixture.image, after, 512, 4096 + DISK_SIZE), 512);
		fixture_start(&fixture, fixture.device->features);
		check_bounds(&fixture, VIRTIO_BLK_T_IN);
		check_bounds(&fixture, VIRTIO_BLK_T_OUT);
		check_zero_bounds(&fixture, VIRTIO_BLK_T_DISCARD, BLOCK_DISCARD_SECTORS_MAX);
		check_zero_bounds(&fixture, VIRTIO_BLK_T_WRITE_ZEROES, BLOCK_WRITE_ZEROES_SECTORS_MAX);
		assert_int_equal(pread(fixture.image, after, 512, 4096 + DISK_SIZE), 512);
		assert_int_equal(after[0], 0x77);
		assert_int_equal(after[511], 0x77);
		fixture_finish(&fixture);
	}
}

static void test_read_only_refuses(void **state) {
	(void)state;
	struct block_fixture fixture;
	uint8_t image[512];
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ask_zero(&fixture, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(fixture.image, image, 512, 0), 512);
	check_pattern(image, 0, 512);
	fixture_finish(&fixture);
}

static void test_unknown_types(void **state) {
	(void)state;
	static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 0x80000000u, UINT32_MAX};
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(ask(&fixture, types[i], 0, 512), VIRTIO_BLK_S_UNSUPP);
	}
	fixture_finish(&fixture);
}

/* The split of a request into descriptors carries no meaning. */
static void test_framing(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_EPHEMERAL, 0, DISK_SIZE, NULL);
	fixture_start(&fixture, fixture.device->features);
	gpa_t header = fixture.header, bytes = fixture.data;
	fixture_header(&fixture, header, VIRTIO_BLK_T_IN, 2);
	/* header in three parts; data of odd parts, the last one of which ends with the status */
	fixture.status = (gpa_t){bytes.value + 512};
	struct driver_buffer read_request[] = {{header, 1, false}, {{header.value + 1}, 10, false},
		{{header.value + 11}, 5, false}, {bytes, 1, true}, {{bytes.value + 1}, 300, true},
		{{bytes.value + 301}, 212, true}};
	assert_int_equal(fixture_ask_chain(&fixture, 0, read_request, 6, NULL), VIRTIO_BLK_S_OK);
	check_pattern(driver_at(&fixture.driver, bytes), 2 * 512, 512);
	/* header and data in one descriptor */
	gpa_t joined = driver_alloc(&fixture.driver, 16 + 512);
	fixture_header(&fixture, joined, VIRTIO_BLK_T_OUT, 2);
	memset((uint8_t *)driver_at(&fixture.driver, joined) + 16, 0x3c, 512);
	struct driver_buffer write_request[] = {{joined, 16 + 512, false}, {fixture.status, 1, true}};
	assert_int_equal(fixture_ask_chain(&fixture, 0, write_request, 2, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(fixture_ask_chain(&fixture, 0, read_request, 6, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(data(&fixture)[0], 0x3c);
	assert_int_equal(data(&fixture)[511], 0x3c);
	fixture_finish(&fixture);
}

static bool needs_reset(struct block_fixture *fixture) {
	for (int ms = 0; ms < 10000 && !atomic_load(&fixture->device->shared->needs_reset); ms++) {
		usleep(1000);
	}
	return atomic_load(&fixture->device->shared->needs_reset);
}

/* A request without a header or a status cannot be answered: the device stops, and works after a reset. */
static void test_unanswerable(void **state) {
	(void)state;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, four_queues);
	struct driver_buffer bad[][2] = {
		{{fixture.header, 15, false}, {fixture.status, 1, true}},
		{{fixture.header, 16, false}, {fixture.data, 512, false}},
		{{fixture.data, 512, true}, {fixture.status, 1, true}},
		{{fixture.header, 16, false}, {{DRIVER_RAM_SIZE - 10}, 11, true}},
	};
	for (unsigned i = 0; i < 4; i++) {
		fixture_start(&fixture, fixture.device->features);
		atomic_store(&fixture.device->shared->needs_reset, false);
		fixture_header(&fixture, fixture.header, VIRTIO_BLK_T_IN, 0);
		driver_add(&fixture.driver, 1, bad[i], 2);
		driver_kick(&fixture.driver, 1);
		assert_true(needs_reset(&fixture));
		assert_false(driver_wait_used(&fixture.driver, 1, 0, NULL, NULL));
		driver_stop(&fixture.driver);
	}
	fixture_start(&fixture, fixture.device->features);
	assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	fixture_finish(&fixture);
}

/* The image is cut short underneath: reads of what is gone fail, the process lives. */
static void test_truncated(void **state) {
	(void)state;
	for (enum block_mode mode = BLOCK_READ_ONLY; mode <= BLOCK_EPHEMERAL; mode++) {
		struct block_fixture fixture;
		fixture_init(&fixture, mode, 0, DISK_SIZE, NULL);
		fixture_start(&fixture, fixture.device->features);
		assert_int_equal(ftruncate(fixture.image, 10 * 512 + 100), 0);
		assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 9, 512), VIRTIO_BLK_S_OK);
		assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 10, 512), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 8, 4096), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask(&fixture, VIRTIO_BLK_T_IN, 30, 512), VIRTIO_BLK_S_IOERR);
		fixture_finish(&fixture);
	}
}

/* The host cannot take a write: an error for the guest, no signal for the process. */
static void test_image_full(void **state) {
	(void)state;
	struct rlimit before, small;
	struct block_fixture fixture;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, DISK_SIZE, NULL);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 8192;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	fixture_start(&fixture, fixture.device->features);
	uint8_t inside = ask(&fixture, VIRTIO_BLK_T_OUT, 0, 512);
	uint8_t outside = ask(&fixture, VIRTIO_BLK_T_OUT, 32, 512);
	uint8_t across = ask(&fixture, VIRTIO_BLK_T_OUT, 15, 1024);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(inside, VIRTIO_BLK_S_OK);
	assert_int_equal(outside, VIRTIO_BLK_S_IOERR);
	assert_int_equal(across, VIRTIO_BLK_S_IOERR);
	fixture_finish(&fixture);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_writable),
		cmocka_unit_test(test_config_read_only),
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write_and_flush),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_read_only_refuses),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_unanswerable),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_image_full),
	};
	return fixture_run_tests("block", tests, sizeof(tests) / sizeof(tests[0]));
}
