/* Descriptors that the host's side sends to the guest: what each becomes, also when its owner is hostile. */
#include "wl_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define R(name) VIRTIO_WL_RESP_##name
#define C(name) VIRTIO_WL_CMD_##name

struct state {
	struct wl_fixture *f;
	int server;
	uint64_t none; /* the pfn of no memory */
	unsigned fds;
};

static struct state *create(uint64_t features) {
	struct state *s = calloc(1, sizeof(*s));
	s->f = wl_set_up(features);
	s->server = wl_connect(s->f, 1);
	s->none = s->f->window.size / WL_PAGE;
	s->fds = wl_count_fds();
	return s;
}

static int setup(void **state) {
	*state = create(WL_ALL_FEATURES);
	return 0;
}

static int setup_plain(void **state) {
	*state = create(F(USE_SHMEM));
	return 0;
}

static int teardown(void **state) {
	struct state *s = *state;
	close(s->server);
	wl_tear_down(s->f);
	free(s);
	return 0;
}

/* Send one descriptor, and close it here; how it was announced to the guest. */
static struct virtio_wl_vfd_new announce(struct state *s, int fd) {
	struct wl_received news, message;
	assert_true(fd >= 0);
	wl_server_send(s->server, "x", 1, &fd, 1);
	close(fd);
	assert_true(wl_receive(s->f, &news));
	assert_int_equal(news.header.type, C(VFD_NEW));
	assert_int_equal(news.len, 64);
	assert_int_equal(news.news.vfd_id & 0xc0000000, 0x40000000);
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.header.type, C(VFD_RECV));
	assert_int_equal(message.transfer.vfd_count, 1);
	assert_int_equal(message.len, 16 + 4 + 1);
	assert_memory_equal(message.bytes + 16, &news.news.vfd_id, 4);
	return news.news;
}

/* The guest closes it, and nothing of it is left. */
static void end(struct state *s, const struct virtio_wl_vfd_new *news) {
	assert_int_equal(wl_close(s->f, news->vfd_id), R(OK));
	assert_int_equal(s->f->window.count, 0);
	assert_int_equal(wl_count_fds(), s->fds);
}

static int create_memfd(size_t size, int seals) {
	int fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	assert_int_equal(pwrite(fd, "memory", 6, 0), 6);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int reopen_read_only(int fd) {
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return again;
}

/* Both sides see what the other writes. */
static void test_sealed_memory(void **state) {
	struct state *s = *state;
	int fd = create_memfd(10000, F_SEAL_SHRINK), kept = dup(fd);
	struct virtio_wl_vfd_new news = announce(s, fd);
	assert_int_equal(news.size, 10000);
	assert_int_equal(news.flags, 0);
	uint8_t *memory = wl_memory(s->f, news.pfn);
	assert_memory_equal(memory, "memory", 6);
	assert_int_equal(pwrite(kept, "M", 1, 0), 1);
	assert_int_equal(memory[0], 'M');
	memory[9999] = 'E';
	char byte;
	assert_int_equal(pread(kept, &byte, 1, 9999), 1);
	assert_int_equal(byte, 'E');
	close(kept);
	end(s, &news);
}

/* The guest may be told not to write, but if it does, it keeps that to itself. */
static void check_read_only(struct state *s, int fd, bool shared) {
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct virtio_wl_vfd_new news = announce(s, fd);
	assert_int_equal(news.flags, VIRTIO_WL_VFD_MAP_READ_ONLY);
	uint8_t *memory = wl_memory(s->f, news.pfn);
	assert_memory_equal(memory, "memory", 6);
	memory[1] = 'X';
	char text[6];
	assert_int_equal(pread(kept, text, 6, 0), 6);
	assert_memory_equal(text, "memory", 6);
	if (!shared) {
		assert_int_equal(memory[WL_PAGE - 1], 0);
	}
	close(kept);
	end(s, &news);
}

static void test_read_only_sealed(void **state) {
	check_read_only(*state, reopen_read_only(create_memfd(5000, F_SEAL_SHRINK)), true);
}

static void test_write_sealed(void **state) {
	check_read_only(*state, create_memfd(5000, F_SEAL_SHRINK | F_SEAL_WRITE), true);
}

static void test_future_write_sealed(void **state) {
	check_read_only(*state, create_memfd(5000, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE), true);
}

static void test_unsealed_is_copied(void **state) {
	check_read_only(*state, create_memfd(5000, 0), false);
}

/* Its owner may take the pages away. */
static void test_truncated_by_its_owner(void **state) {
	struct state *s = *state;
	int fd = create_memfd(100000, 0), kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct virtio_wl_vfd_new news = announce(s, fd);
	assert_int_equal(ftruncate(kept, 0), 0);
	assert_memory_equal(wl_memory(s->f, news.pfn), "memory", 6);
	assert_int_equal(wl_memory(s->f, news.pfn)[99999], 0);
	close(kept);
	end(s, &news);
}

static void test_huge_unsealed(void **state) {
	struct state *s = *state;
	struct virtio_wl_vfd_new news = announce(s, create_memfd(3u << 20, 0));
	assert_int_equal(news.pfn, s->none);
	assert_int_equal(news.size, 0);
	/* It can still be sent on. */
	int fd;
	unsigned count;
	char byte;
	assert_int_equal(wl_send(s->f, 1, &news.vfd_id, 1, "x", 1), R(OK));
	assert_int_equal(wl_server_receive(s->server, &byte, 1, &fd, &count), 1);
	assert_int_equal(count, 1);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3 << 20);
	close(fd);
	end(s, &news);
}

static void test_larger_than_the_window(void **state) {
	struct state *s = *state;
	int fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, (off_t)1 << 33), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	struct virtio_wl_vfd_new news = announce(s, fd);
	assert_int_equal(news.pfn, s->none);
	end(s, &news);
	fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, (off_t)s->f->window.size + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	news = announce(s, fd);
	assert_int_equal(news.pfn, s->none);
	end(s, &news);
}

/* Whatever it is, the guest gets a vfd, which holds nothing but a number. */
static void test_what_is_nothing(void **state) {
	struct state *s = *state;
	int fds[] = {
		open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		open("/", O_PATH | O_CLOEXEC),
		open("/dev/null", O_RDWR | O_CLOEXEC),
		open("/proc/self/stat", O_RDONLY | O_CLOEXEC),
		epoll_create1(EPOLL_CLOEXEC),
		eventfd(0, EFD_CLOEXEC),
		create_memfd(6, 0),
	};
	assert_int_equal(ftruncate(fds[6], 0), 0);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		s->fds = wl_count_fds() - 1;
		struct virtio_wl_vfd_new news = announce(s, fds[i]);
		assert_int_equal(news.flags, 0);
		assert_int_equal(news.pfn, s->none);
		assert_int_equal(wl_send(s->f, news.vfd_id, NULL, 0, "x", 1), R(INVALID_TYPE));
		end(s, &news);
	}
}

static void test_regular_file(void **state) {
	struct state *s = *state;
	char path[] = "/tmp/ph-foreign-XXXXXX";
	int fd = mkstemp(path);
	unlink(path);
	assert_int_equal(write(fd, "file", 4), 4);
	struct virtio_wl_vfd_new news = announce(s, fd);
	assert_int_equal(news.size, 4);
	assert_memory_equal(wl_memory(s->f, news.pfn), "file\0", 5);
	assert_int_equal(wl_close(s->f, news.vfd_id), R(OK));
}

/* ---- streams ---- */

static void test_pipe_from_host(void **state) {
	struct state *s = *state;
	struct wl_received message;
	int ends[2];
	char text[8];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	s->fds++;
	struct virtio_wl_vfd_new news = announce(s, ends[1]);
	assert_int_equal(news.flags, VIRTIO_WL_VFD_WRITE);
	assert_int_equal(news.pfn, s->none);
	assert_int_equal(wl_send(s->f, news.vfd_id, NULL, 0, "hello", 5), R(OK));
	assert_int_equal(read(ends[0], text, 8), 5);
	assert_int_equal(wl_send(s->f, 1, &news.vfd_id, 1, "x", 1), R(INVALID_TYPE));
	end(s, &news);
	assert_int_equal(read(ends[0], text, 8), 0); /* the end of the file */
	close(ends[0]);
	s->fds--;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	news = announce(s, ends[0]);
	assert_int_equal(news.flags, VIRTIO_WL_VFD_READ);
	assert_int_equal(write(ends[1], "data", 4), 4);
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.transfer.vfd_id, news.vfd_id);
	assert_memory_equal(message.bytes + 16, "data", 4);
	close(ends[1]);
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	end(s, &news);
}

static void test_socket_from_host(void **state) {
	struct state *s = *state;
	struct wl_received message;
	int ends[2];
	char text[8];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	s->fds++;
	struct virtio_wl_vfd_new news = announce(s, ends[1]);
	assert_int_equal(news.flags, VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE);
	assert_int_equal(wl_send(s->f, news.vfd_id, NULL, 0, "hello", 5), R(OK));
	assert_int_equal(read(ends[0], text, 8), 5);
	/* Descriptors do not travel on it. */
	wl_server_send(ends[0], "back", 4, ends, 1);
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.len, 16 + 4);
	assert_int_equal(message.transfer.vfd_count, 0);
	end(s, &news);
	close(ends[0]);
}

/* ---- many ---- */

static void test_28_at_once(void **state) {
	struct state *s = *state;
	int fds[29];
	struct wl_received message;
	for (unsigned i = 0; i < 29; i++) {
		fds[i] = create_memfd(4096, F_SEAL_SHRINK);
	}
	wl_server_send(s->server, "many", 4, fds, 28);
	uint32_t ids[28];
	for (unsigned i = 0; i < 28; i++) {
		assert_true(wl_receive(s->f, &message));
		assert_int_equal(message.header.type, C(VFD_NEW));
		ids[i] = message.news.vfd_id;
	}
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.len, 16 + 28 * 4 + 4);
	assert_memory_equal(message.bytes + 16, ids, sizeof(ids));
	/* One more than there may be: the connection is at its end. */
	wl_server_send(s->server, "too many", 8, fds, 29);
	assert_true(wl_receive(s->f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	for (unsigned i = 0; i < 29; i++) {
		close(fds[i]);
	}
	for (unsigned i = 0; i < 28; i++) {
		assert_int_equal(wl_close(s->f, ids[i]), R(OK));
	}
	assert_int_equal(wl_count_fds(), s->fds - 1); /* that of the connection is gone */
}

/* Flags as they were before TRANS_FLAGS. */
static void test_old_flags(void **state) {
	struct state *s = *state;
	int ends[2];
	struct virtio_wl_vfd_new news = announce(s, create_memfd(4096, F_SEAL_SHRINK));
	assert_int_equal(news.flags, VIRTIO_WL_VFD_MAP | VIRTIO_WL_VFD_WRITE);
	news = announce(s, create_memfd(4096, 0));
	assert_int_equal(news.flags, VIRTIO_WL_VFD_MAP);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	news = announce(s, ends[1]);
	assert_int_equal(news.flags, VIRTIO_WL_VFD_WRITE);
	news = announce(s, ends[0]);
	assert_int_equal(news.flags, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sealed_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_future_write_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsealed_is_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_by_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_unsealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_larger_than_the_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_from_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_from_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_28_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_flags, setup_plain, teardown),
	};
	return cmocka_run_group_tests_name("wl foreign", tests, NULL, NULL);
}
