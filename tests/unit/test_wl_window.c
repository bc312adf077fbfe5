/* The monitor's window: what it maps, what it refuses, and that holes are always there. */
#include "monitor/window.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE WINDOW_PAGE
#define SIZE (1ULL << 30)

static const struct guest_memory memory = {
	.region_count = 2, .regions = {{.base = 0, .size = 3ULL << 30}, {.base = 4ULL << 30, .size = 5000}}};

static int setup(void **state) {
	struct window *window = calloc(1, sizeof(*window));
	*state = window;
	return window_init(window, &memory) < 0 ? -1 : window_reserve(window);
}

static int teardown(void **state) {
	window_finish(*state);
	free(*state);
	return 0;
}

static int sealed(size_t size, int seals) {
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int map_fd(struct window *window, uint64_t offset, uint64_t size, uint32_t flags, int fd) {
	const struct window_request request = {
		.operation = WINDOW_MAP, .flags = flags, .offset = offset, .size = size};
	return window_handle(window, &request, fd);
}

static int map(struct window *window, uint64_t offset, uint64_t size) {
	return map_fd(window, offset, size, 0, sealed(size, F_SEAL_SHRINK));
}

static int unmap(struct window *window, uint64_t offset, uint64_t size) {
	const struct window_request request = {.operation = WINDOW_UNMAP, .offset = offset, .size = size};
	return window_handle(window, &request, -1);
}

/* Behind all RAM, where a BAR of its size may be. */
static void test_place(void **state) {
	struct window *window = *state;
	assert_int_equal(window->size, SIZE);
	assert_int_equal(window->address, 5ULL << 30);
}

/* The guest may touch any of it. */
static void test_holes(void **state) {
	struct window *window = *state;
	for (uint64_t offset = 0; offset < SIZE; offset += 7 * PAGE) {
		volatile uint8_t *byte = window->host + offset;
		*byte = (uint8_t)(*byte + 1);
	}
	window->host[SIZE - 1] = 1;
}

static void test_map_and_unmap(void **state) {
	struct window *window = *state;
	int fd = sealed(3 * PAGE, F_SEAL_SHRINK), kept = dup(fd);
	assert_int_equal(pwrite(kept, "there", 5, PAGE), 5);
	assert_int_equal(map_fd(window, 5 * PAGE, 3 * PAGE, 0, fd), 0);
	assert_memory_equal(window->host + 6 * PAGE, "there", 5);
	window->host[6 * PAGE] = 'T';
	char byte;
	assert_int_equal(pread(kept, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 'T');
	assert_int_equal(unmap(window, 5 * PAGE, 3 * PAGE), 0);
	window->host[6 * PAGE] = 'x';
	assert_int_equal(pread(kept, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 'T');
	assert_int_equal(window->count, 0);
	close(kept);
}

static void test_private(void **state) {
	struct window *window = *state;
	int fd = sealed(PAGE, F_SEAL_SHRINK | F_SEAL_WRITE), kept = dup(fd);
	assert_int_equal(map_fd(window, 0, PAGE, WINDOW_PRIVATE, dup(fd)), 0);
	window->host[0] = 'x';
	char byte;
	assert_int_equal(pread(kept, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, fd), -EPERM);
	close(kept);
}

static void test_ranges(void **state) {
	struct window *window = *state;
	static const struct {
		uint64_t offset, size;
	} wrong[] = {{0, 0}, {1, PAGE}, {0, PAGE + 1}, {SIZE, PAGE}, {SIZE - PAGE, 2 * PAGE},
		{0, SIZE + PAGE}, {~0ULL - PAGE + 1, PAGE}, {PAGE, ~0ULL - PAGE + 1},
		{~0ULL << 12, ~0ULL << 12}};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(
			map_fd(window, wrong[i].offset, wrong[i].size, 0, sealed(PAGE, F_SEAL_SHRINK)),
			-ERANGE);
		assert_int_equal(unmap(window, wrong[i].offset, wrong[i].size), -ERANGE);
	}
	assert_int_equal(map(window, SIZE - PAGE, PAGE), 0);
	assert_int_equal(map(window, 0, SIZE - PAGE), 0);
}

static void test_overlaps(void **state) {
	struct window *window = *state;
	assert_int_equal(map(window, 10 * PAGE, 4 * PAGE), 0);
	assert_int_equal(map(window, 10 * PAGE, 4 * PAGE), -EEXIST);
	assert_int_equal(map(window, 13 * PAGE, PAGE), -EEXIST);
	assert_int_equal(map(window, 9 * PAGE, 2 * PAGE), -EEXIST);
	assert_int_equal(map(window, 0, 20 * PAGE), -EEXIST);
	assert_int_equal(map(window, 14 * PAGE, PAGE), 0);
	assert_int_equal(map(window, 9 * PAGE, PAGE), 0);
	/* Only what was mapped can be unmapped. */
	assert_int_equal(unmap(window, 10 * PAGE, PAGE), -ENOENT);
	assert_int_equal(unmap(window, 11 * PAGE, 3 * PAGE), -ENOENT);
	assert_int_equal(unmap(window, 0, PAGE), -ENOENT);
	assert_int_equal(unmap(window, 10 * PAGE, 4 * PAGE), 0);
	assert_int_equal(unmap(window, 10 * PAGE, 4 * PAGE), -ENOENT);
}

static void test_what_may_be_mapped(void **state) {
	struct window *window = *state;
	char path[] = "/tmp/ph-window-XXXXXX";
	assert_int_equal(map_fd(window, 0, PAGE, 0, sealed(PAGE, 0)), -EPERM);
	assert_int_equal(map_fd(window, 0, PAGE, 0, sealed(PAGE, F_SEAL_GROW)), -EPERM);
	assert_int_equal(map_fd(window, 0, 2 * PAGE, 0, sealed(PAGE, F_SEAL_SHRINK)), -EFBIG);
	assert_int_equal(map_fd(window, 0, PAGE, 0, sealed(0, F_SEAL_SHRINK)), -EFBIG);
	assert_int_equal(map_fd(window, 0, PAGE, 0, sealed(1, F_SEAL_SHRINK)), 0);
	int file = mkstemp(path);
	unlink(path);
	assert_int_equal(ftruncate(file, PAGE), 0);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, file), -EPERM);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, open("/dev/zero", O_RDWR | O_CLOEXEC)), -EPERM);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, open("/", O_PATH | O_CLOEXEC)), -EPERM);
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, pipes[0]), -EPERM);
	close(pipes[1]);
	assert_int_equal(map_fd(window, PAGE, PAGE, 2, sealed(PAGE, F_SEAL_SHRINK)), -EINVAL);
	assert_int_equal(map_fd(window, PAGE, PAGE, 0, -1), -EINVAL);
	const struct window_request unknown = {.operation = 3, .size = PAGE};
	assert_int_equal(window_handle(window, &unknown, -1), -EINVAL);
	const struct window_request with_fd = {.operation = WINDOW_UNMAP, .size = PAGE};
	assert_int_equal(window_handle(window, &with_fd, sealed(PAGE, 0)), -EINVAL);
}

static void test_quota(void **state) {
	struct window *window = *state;
	for (uint64_t i = 0; i < WINDOW_MAPPINGS_MAX; i++) {
		/* Not in order. */
		assert_int_equal(map(window, (i * 7 % WINDOW_MAPPINGS_MAX) * 2 * PAGE, PAGE), 0);
	}
	assert_int_equal(map(window, PAGE, PAGE), -ENOSPC);
	for (uint64_t i = 0; i < WINDOW_MAPPINGS_MAX; i++) {
		assert_int_equal(unmap(window, i * 2 * PAGE, PAGE), 0);
	}
	assert_int_equal(map(window, 0, SIZE), 0);
}

static unsigned count_maps(void) {
	unsigned lines = 0;
	char buffer[4096];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			lines += buffer[i] == '\n';
		}
	}
	close(fd);
	return lines;
}

/* However much came and went, this process has as many mappings as before. */
static void test_holes_merge(void **state) {
	struct window *window = *state;
	unsigned seed = 1;
	assert_int_equal(map(window, 0, SIZE), 0);
	assert_int_equal(unmap(window, 0, SIZE), 0);
	unsigned before = count_maps();
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t offset = (uint64_t)rand_r(&seed) % 200000 * PAGE;
		uint64_t size = (1 + (uint64_t)rand_r(&seed) % 10000) * PAGE;
		assert_int_equal(map(window, offset, size), 0);
		assert_int_equal(unmap(window, offset, size), 0);
	}
	assert_in_range(count_maps(), 1, before + 4);
}

/* ---- calls ---- */

static int32_t call(struct window *window, const void *data, size_t size, const int *fds, unsigned count) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct window_reply reply = {.result = 1};
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(window->client_fd, &message, 0), size);
	assert_int_equal(recv(window->client_fd, &reply, sizeof(reply), 0), sizeof(reply));
	return reply.result;
}

static void test_calls(void **state) {
	struct window *window = *state;
	int user = fcntl(window->client_fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(window_serve(window), 0);
	window->client_fd = user;
	struct window_request request = {.operation = WINDOW_MAP, .offset = PAGE, .size = PAGE};
	int fds[3] = {sealed(PAGE, F_SEAL_SHRINK), sealed(PAGE, F_SEAL_SHRINK), sealed(PAGE, F_SEAL_SHRINK)};
	static const char junk[100];
	assert_int_equal(call(window, &request, sizeof(request), fds, 1), 0);
	assert_int_equal(call(window, &request, sizeof(request), fds, 1), -EEXIST);
	assert_int_equal(call(window, &request, sizeof(request), NULL, 0), -EINVAL);
	assert_int_equal(call(window, &request, sizeof(request), fds, 3), -EINVAL);
	assert_int_equal(call(window, &request, 1, fds, 1), -EINVAL);
	assert_int_equal(call(window, junk, sizeof(junk), NULL, 0), -EINVAL);
	request.operation = WINDOW_UNMAP;
	assert_int_equal(call(window, &request, sizeof(request), NULL, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		close(fds[i]);
	}
}

/* What the user leaves behind when it dies goes. */
static void test_user_gone(void **state) {
	struct window *window = *state;
	int user = fcntl(window->client_fd, F_DUPFD_CLOEXEC, 0), own = window->client_fd;
	assert_int_equal(map(window, PAGE, PAGE), 0);
	memset(window->host + PAGE, 'x', PAGE);
	window->client_fd = -1;
	assert_int_equal(window_serve(window), 0);
	close(own);
	close(user);
	pthread_join(window->thread, NULL);
	window->serving = false;
	assert_int_equal(window->count, 0);
	assert_int_equal(window->host[PAGE], 0);
}

/* A user that never stops asking waits, however fast the machine is. */
static void test_paced(void **state) {
	struct window *window = *state;
	int user = fcntl(window->client_fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(window_serve(window), 0);
	window->client_fd = user;
	struct window_request request = {.operation = WINDOW_UNMAP, .offset = 0, .size = SIZE};
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(call(window, &request, sizeof(request), NULL, 0), -ENOENT);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* 10 GiB at 50 us a MiB, less what is saved up. */
	uint64_t took = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000ULL + (uint64_t)end.tv_nsec -
			(uint64_t)start.tv_nsec;
	assert_in_range(took, 300000000, UINT64_MAX);
}

/* Memory whose owner takes it away: by address where KVM tells one, else all that it can be. */
static void test_lost(void **state) {
	struct window *window = *state;
	uint64_t inside = window->address + 5 * PAGE, hole = window->address + 8 * PAGE;
	uint64_t before = window->address - PAGE, behind = window->address + SIZE;
	assert_int_equal(map(window, 4 * PAGE, 2 * PAGE), 0);
	memset(window->host + 4 * PAGE, 'x', 2 * PAGE);
	assert_false(window_lose(window, &hole));
	assert_false(window_lose(window, &before));
	assert_false(window_lose(window, &behind));
	assert_false(window_lose(window, NULL)); /* no dma-buf */
	assert_int_equal(window->host[5 * PAGE], 'x');
	assert_true(window_lose(window, &inside));
	assert_int_equal(window->host[5 * PAGE], 0);
	assert_false(window_lose(window, &inside)); /* a hole cannot be at fault */
	assert_int_equal(map(window, 4 * PAGE, PAGE), -EEXIST);
	assert_int_equal(unmap(window, 4 * PAGE, 2 * PAGE), 0);
	assert_int_equal(window->count, 0);
	/* As if it were a dma-buf. */
	assert_int_equal(map(window, 0, PAGE), 0);
	assert_int_equal(map(window, PAGE, PAGE), 0);
	window->mappings[1].dmabuf = true;
	memset(window->host, 'x', 2 * PAGE);
	assert_true(window_lose(window, NULL));
	assert_int_equal(window->host[0], 'x');
	assert_int_equal(window->host[PAGE], 0);
	assert_false(window_lose(window, NULL));
}

static void test_no_window(void **state) {
	(void)state;
	struct window window = {0};
	assert_false(window_lose(&window, NULL));
	assert_int_equal(window_reserve(&window), 0);
	window_finish(&window);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_and_unmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlaps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_may_be_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holes_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test(test_no_window),
	};
	return cmocka_run_group_tests_name("wl window", tests, NULL, NULL);
}
