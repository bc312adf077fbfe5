/*
 * The virtio-9p device as a driver sees it: configuration, requests in chains of any shape, several at
 * once, resets, and chains that are no requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"

#include "ph/fd.h"
#include "ph/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	char directory[32];
	int directory_fd;
	gpa_t request, reply;
};

static void create(struct fixture *fixture, bool read_only) {
	strcpy(fixture->directory, "/tmp/ph-files-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	fixture->directory_fd = open(fixture->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct files_share share = {.tag = "home", .root_fd = fixture->directory_fd, .read_only = read_only};
	assert_int_equal(files_create(&fixture->device, &share), 0);
	driver_init(&fixture->driver);
	assert_int_equal(driver_start(&fixture->driver, fixture->device,
				 UINT64_C(1) << VIRTIO_RING_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX),
		0);
	fixture->request = driver_alloc(&fixture->driver, 1 << 20);
	fixture->reply = driver_alloc(&fixture->driver, 1 << 20);
}

static int setup(void **state) {
	*state = calloc(1, sizeof(struct fixture));
	create(*state, false);
	return 0;
}

static int teardown(void **state) {
	struct fixture *fixture = *state;
	driver_stop(&fixture->driver);
	files_destroy(fixture->device);
	driver_finish(&fixture->driver);
	close(fixture->directory_fd);
	char file[64];
	strcpy(file, fixture->directory);
	strcat(file, "/file");
	unlink(file);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static uint8_t *put(uint8_t *at, uint64_t value, unsigned size) {
	for (unsigned i = 0; i < size; i++) {
		*at++ = (uint8_t)(value >> (8 * i));
	}
	return at;
}

static uint8_t *put_string(uint8_t *at, const char *string) {
	at = put(at, strlen(string), 2);
	memcpy(at, string, strlen(string));
	return at + strlen(string);
}

static uint8_t *begin(struct fixture *fixture, uint8_t type) {
	uint8_t *at = driver_at(&fixture->driver, fixture->request);
	return put(put(at + 4, type, 1), 1, 2);
}

static uint32_t finish(struct fixture *fixture, const uint8_t *end) {
	uint8_t *start = driver_at(&fixture->driver, fixture->request);
	uint32_t size = (uint32_t)(end - start);
	put(start, size, 4);
	return size;
}

static const uint8_t *reply(struct fixture *fixture) {
	return driver_at(&fixture->driver, fixture->reply);
}

/* One descriptor each way; the length the device reports. */
static uint32_t transact(struct fixture *fixture, const uint8_t *end, uint32_t room) {
	struct driver_buffer buffers[] = {
		{fixture->request, finish(fixture, end), false}, {fixture->reply, room, true}};
	uint16_t head = driver_add(&fixture->driver, 0, buffers, 2), used;
	uint32_t len;
	driver_kick(&fixture->driver, 0);
	assert_true(driver_wait_used(&fixture->driver, 0, 10000, &used, &len));
	assert_int_equal(used, head);
	return len;
}

static void attach(struct fixture *fixture) {
	uint8_t *at = put_string(put(begin(fixture, 100), 65536, 4), "9P2000.L");
	assert_int_equal(transact(fixture, at, 64), 21);
	assert_int_equal(reply(fixture)[4], 101);
	at = put(put(begin(fixture, 104), 0, 4), UINT32_MAX, 4);
	at = put(put_string(put_string(at, "user"), ""), 1000, 4);
	assert_int_equal(transact(fixture, at, 64), 20);
	assert_int_equal(reply(fixture)[4], 105);
}

/* Fid 1 becomes the new file "file", open for reading and writing. */
static void create_file(struct fixture *fixture) {
	uint8_t *at = put(put(put(begin(fixture, 110), 0, 4), 1, 4), 0, 2);
	assert_int_equal(transact(fixture, at, 64), 9);
	at = put_string(put(begin(fixture, 14), 1, 4), "file");
	assert_int_equal(transact(fixture, put(put(put(at, 2, 4), 0600, 4), 0, 4), 64), 24);
	assert_int_equal(reply(fixture)[4], 15);
}

static void test_config(void **state) {
	struct fixture *fixture = *state;
	assert_int_equal(fixture->device->type, VIRTIO_TYPE_9P);
	assert_int_equal(fixture->device->features, 1);
	assert_int_equal(fixture->device->config_size, 6);
	assert_memory_equal(fixture->device->config, "\4\0home", 6);
	assert_string_equal(fixture->device->name, "9p home");
}

static void test_session(void **state) {
	struct fixture *fixture = *state;
	attach(fixture);
	create_file(fixture);
}

/* As Linux does zero-copy: the header in one segment, data in many pages. */
static void test_pages(void **state) {
	struct fixture *fixture = *state;
	const uint32_t count = 40000;
	attach(fixture);
	create_file(fixture);
	gpa_t data = driver_alloc(&fixture->driver, 65536);
	uint8_t *bytes = driver_at(&fixture->driver, data);
	for (uint32_t i = 0; i < count; i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	}
	uint8_t *at = put(put(put(begin(fixture, 118), 1, 4), 0, 8), count, 4);
	finish(fixture, at);
	put(driver_at(&fixture->driver, fixture->request), 23 + count, 4);
	struct driver_buffer buffers[16] = {{fixture->request, 23, false}};
	unsigned n = 1;
	for (uint32_t done = 0; done < count; done += 4096, n++) {
		uint32_t len = count - done < 4096 ? count - done : 4096;
		buffers[n] = (struct driver_buffer){{data.value + done}, len, false};
	}
	buffers[n++] = (struct driver_buffer){fixture->reply, 11, true};
	uint16_t used;
	uint32_t len;
	driver_add(&fixture->driver, 0, buffers, n);
	driver_kick(&fixture->driver, 0);
	assert_true(driver_wait_used(&fixture->driver, 0, 10000, &used, &len));
	assert_int_equal(len, 11);
	assert_memory_equal(reply(fixture) + 4, "\x77\1\0\x40\x9c\0\0", 7);
	/* And back, into pages in another order. */
	at = put(put(put(begin(fixture, 116), 1, 4), 0, 8), count, 4);
	gpa_t back = driver_alloc(&fixture->driver, 65536);
	struct driver_buffer read[16] = {
		{fixture->request, finish(fixture, at), false}, {fixture->reply, 11, true}};
	for (n = 2; n < 12; n++) {
		read[n] = (struct driver_buffer){{back.value + (13 - n) * 4096u}, 4096, true};
	}
	driver_add(&fixture->driver, 0, read, n);
	driver_kick(&fixture->driver, 0);
	assert_true(driver_wait_used(&fixture->driver, 0, 10000, &used, &len));
	assert_int_equal(len, 11 + count);
	for (uint32_t done = 0, page = 11; done < count; done += 4096, page--) {
		uint32_t part = count - done < 4096 ? count - done : 4096;
		assert_memory_equal(
			driver_at(&fixture->driver, (gpa_t){back.value + page * 4096u}), bytes + done, part);
	}
}

/* A Tlock of the whole of fid 1 that waits, in a place of its own. */
struct locking {
	struct driver_buffer buffers[2];
	uint16_t head;
};

static void locking_init(struct fixture *fixture, struct locking *locking) {
	uint8_t *at = put(put(put(begin(fixture, 52), 1, 4), 1, 1), 1, 4);
	at = put_string(put(put(put(at, 0, 8), 0, 8), 1, 4), "guest");
	uint32_t size = finish(fixture, at);
	gpa_t request = driver_alloc(&fixture->driver, 256), answer = driver_alloc(&fixture->driver, 256);
	memcpy(driver_at(&fixture->driver, request), driver_at(&fixture->driver, fixture->request), size);
	locking->buffers[0] = (struct driver_buffer){request, size, false};
	locking->buffers[1] = (struct driver_buffer){answer, 64, true};
	locking->head = driver_add(&fixture->driver, 0, locking->buffers, 2);
	driver_kick(&fixture->driver, 0);
}

/* The next answer: false when it is that to the lock, which has it. A wait that has become long, as on a slow
 * machine, is asked for again. */
static bool next_answer(struct fixture *fixture, struct locking *locking, uint16_t *used, uint32_t *len) {
	for (;;) {
		assert_true(driver_wait_used(&fixture->driver, 0, 10000, used, len));
		if (*used != locking->head) {
			return true;
		}
		assert_int_equal(*len, 8);
		if (((uint8_t *)driver_at(&fixture->driver, locking->buffers[1].address))[7] == 0) {
			return false;
		}
		locking->head = driver_add(&fixture->driver, 0, locking->buffers, 2);
		driver_kick(&fixture->driver, 0);
	}
}

/* A host lock that a request waits for holds up neither other requests nor the reset. */
static void test_slow_request(void **state) {
	struct fixture *fixture = *state;
	struct locking locking;
	uint16_t used;
	uint32_t len;
	attach(fixture);
	create_file(fixture);
	int fd = openat(fixture->directory_fd, "file", O_RDWR | O_CLOEXEC);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	locking_init(fixture, &locking);
	for (int i = 0; i < 20; i++) {
		struct driver_buffer buffers[] = {
			{fixture->request, finish(fixture, put(put(begin(fixture, 24), 1, 4), 0, 8)), false},
			{fixture->reply, 256, true}};
		uint16_t head = driver_add(&fixture->driver, 0, buffers, 2);
		driver_kick(&fixture->driver, 0);
		assert_true(next_answer(fixture, &locking, &used, &len));
		assert_int_equal(used, head);
		assert_int_equal(len, 160);
	}
	close(fd);
	assert_false(next_answer(fixture, &locking, &used, &len));
}

static void test_reset(void **state) {
	struct fixture *fixture = *state;
	for (int i = 0; i < 10; i++) {
		attach(fixture);
		/* A request in the ring at the reset is served or not, but not afterwards. */
		struct driver_buffer buffers[] = {
			{fixture->request, finish(fixture, put(begin(fixture, 120), 0, 4)), false},
			{fixture->reply, 64, true}};
		driver_add(&fixture->driver, 0, buffers, 2);
		driver_kick(&fixture->driver, 0);
		driver_stop(&fixture->driver);
		uint8_t *after = driver_at(&fixture->driver, fixture->reply);
		memset(after, 0xee, 64);
		usleep(1000);
		assert_int_equal(after[0], 0xee);
		assert_int_equal(driver_start(&fixture->driver, fixture->device,
					 UINT64_C(1) << VIRTIO_RING_F_VERSION_1),
			0);
	}
}

static void check_broken(struct fixture *fixture, const struct driver_buffer *buffers, unsigned count) {
	uint16_t used;
	uint32_t len;
	driver_add(&fixture->driver, 0, buffers, count);
	driver_kick(&fixture->driver, 0);
	for (int i = 0; i < 1000 && !fixture->device->shared->needs_reset; i++) {
		assert_false(driver_wait_used(&fixture->driver, 0, 10, &used, &len));
	}
	assert_true(fixture->device->shared->needs_reset);
}

static void test_no_header(void **state) {
	struct fixture *fixture = *state;
	struct driver_buffer buffers[] = {{fixture->request, 6, false}, {fixture->reply, 64, true}};
	check_broken(fixture, buffers, 2);
}

static void test_no_room(void **state) {
	struct fixture *fixture = *state;
	finish(fixture, put(begin(fixture, 120), 0, 4));
	struct driver_buffer buffers[] = {{fixture->request, 11, false}, {fixture->reply, 10, true}};
	check_broken(fixture, buffers, 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};
	return cmocka_run_group_tests_name("files device", tests, NULL, NULL);
}
