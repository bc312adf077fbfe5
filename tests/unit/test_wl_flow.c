/* virtio-wl when somebody is slow or gone: receivers that stop reading, guests without buffers, limits. */
#include "wl_fixture.h"

#include "display/device.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define R(name) VIRTIO_WL_RESP_##name
#define C(name) VIRTIO_WL_CMD_##name

static int setup(void **state) {
	*state = wl_set_up(WL_ALL_FEATURES);
	return 0;
}

static int setup_without_credit(void **state) {
	*state = wl_set_up(WL_ALL_FEATURES & ~F(RECV_CREDIT));
	return 0;
}

static int teardown(void **state) {
	wl_tear_down(*state);
	return 0;
}

/* The n-th byte of a stream, and a stretch of it. */
static uint8_t stream_byte(size_t n) {
	return (uint8_t)(n ^ n >> 7 ^ n >> 13);
}

static void fill(uint8_t *data, size_t from, size_t len) {
	for (size_t i = 0; i < len; i++) {
		data[i] = stream_byte(from + i);
	}
}

/* Read len bytes of the stream on the server's side while the device runs; how many were right. */
static size_t drain(struct wl_fixture *f, int server, size_t from, size_t len) {
	static uint8_t data[65536];
	size_t done = 0;
	while (done < len && wl_run_until_readable(f, server)) {
		ssize_t n = recv(server, data, sizeof(data), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++, done++) {
			if (data[i] != stream_byte(from + done)) {
				return done;
			}
		}
		if (n <= 0) {
			return done;
		}
	}
	return done;
}

/* ---- receivers ---- */

/* A peer that stops reading: what fits is buffered, then commands wait, then they fail; others go on; and
 * once it reads, everything comes in order. */
static void test_peer_stops_reading(void **state) {
	struct wl_fixture *f = *state;
	enum { PIECE = 65536 };
	static uint8_t command[PIECE + 16], data[PIECE];
	int slow = wl_connect(f, 1), other = wl_connect(f, 2);
	size_t sent = 0;
	unsigned held = 0;
	uint32_t len;
	while (held == 0) {
		fill(data, sent, PIECE);
		size_t size = wl_build_send(command, 1, NULL, 0, data, PIECE);
		gpa_t at = wl_submit(f, command, size, 8);
		sent += PIECE;
		if (wl_answered(f, &len)) {
			assert_int_equal(*(uint32_t *)driver_at(&f->driver, at), R(OK));
		} else {
			held = 1;
		}
		assert_true(sent < 8u << 20);
	}
	assert_true(sent > 1u << 20); /* as much as is buffered, at least */
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(wl_send(f, 2, NULL, 0, "quick", 5), R(OK));
	}
	char text[8];
	assert_int_equal(recv(other, text, 5, 0), 5);
	assert_int_equal(drain(f, slow, 0, sent), sent);
	assert_true(wl_answered(f, &len));
	assert_int_equal(len, 4);
	fill(data, sent, 100);
	assert_int_equal(wl_send(f, 1, NULL, 0, data, 100), R(OK));
	assert_int_equal(drain(f, slow, sent, 100), 100);
	close(slow);
	close(other);
}

/* One command may be longer than all that is ever buffered: it waits in the ring. */
static void test_send_beyond_buffers(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = WL_COMMAND_MAX - 16;
	uint8_t *data = malloc(size), *command = malloc(WL_COMMAND_MAX);
	uint32_t len;
	int server = wl_connect(f, 1);
	fill(data, 0, size);
	gpa_t at = wl_submit(f, command, wl_build_send(command, 1, NULL, 0, data, size), 8);
	assert_int_equal(drain(f, server, 0, size), size);
	assert_true(wl_answered(f, &len));
	assert_int_equal(*(uint32_t *)driver_at(&f->driver, at), R(OK));
	free(data);
	free(command);
	close(server);
}

/* Fill a connection that nobody reads until a command of len bytes is held back; the commands that wait. */
static void stuff(struct wl_fixture *f, uint32_t id, uint8_t *command, size_t len) {
	uint32_t used;
	memset(command, 0, len);
	for (;;) {
		wl_submit(f, command, wl_build_send(command, id, NULL, 0, command + 16, len - 16), 8);
		if (!wl_answered(f, &used)) {
			return;
		}
	}
}

static void test_held_are_limited(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = 512 << 10;
	uint8_t *command = malloc(size);
	int server = wl_connect(f, 1);
	stuff(f, 1, command, size);
	for (unsigned i = 1; i < 16; i++) {
		wl_submit(f, command, size, 8);
		assert_false(wl_answered(f, NULL));
	}
	assert_int_equal(wl_execute(f, command, size, 8), R(OUT_OF_MEMORY));
	/* Closing answers them all. */
	const struct virtio_wl_vfd end = {.header.type = C(VFD_CLOSE), .vfd_id = 1};
	wl_submit(f, &end, sizeof(end), 8);
	for (unsigned i = 0; i < 17; i++) {
		assert_true(wl_answered(f, NULL));
	}
	assert_false(wl_answered(f, NULL));
	free(command);
	close(server);
}

static void test_reset_while_held(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = 512 << 10;
	uint8_t *command = malloc(size);
	unsigned fds = wl_count_fds();
	int server = wl_connect(f, 1);
	stuff(f, 1, command, size);
	wl_restart(f, WL_ALL_FEATURES, 256);
	close(server);
	assert_int_equal(wl_count_fds(), fds);
	assert_int_equal(wl_close(f, 1), R(INVALID_ID));
	free(command);
}

static void test_peer_vanishes_while_held(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = 512 << 10;
	uint8_t *command = malloc(size);
	struct wl_received message;
	int server = wl_connect(f, 1);
	stuff(f, 1, command, size);
	close(server);
	assert_true(wl_answered(f, NULL));
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_true(wl_silent(f));
	free(command);
}

/* Descriptors wait with their bytes. */
static void test_vfds_wait_too(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = 512 << 10;
	static uint8_t data[65536];
	uint8_t *command = malloc(size);
	uint32_t id = 5;
	int fd = -1, server = wl_connect(f, 1);
	unsigned count = 0;
	stuff(f, 1, command, size);
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), id, VIRTIO_WL_VFD_READ, 0), R(VFD_NEW));
	wl_submit(f, command, wl_build_send(command, 1, &id, 1, "end", 3), 8);
	while (count == 0 && wl_run_until_readable(f, server)) {
		assert_true(wl_server_receive(server, data, sizeof(data), &fd, &count) > 0);
	}
	assert_int_equal(count, 1);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	struct wl_received message;
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_id, id);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	free(command);
	close(server);
}

/* Memory that waits with its bytes is the VM's, whoever it is for and though the guest has closed it. */
static void test_memory_waits_too(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = 512 << 10;
	uint8_t *command = malloc(size);
	uint32_t id = 5, response = R(OK), sent = 0;
	int server = wl_connect(f, 1);
	while (response == R(OK) && ((struct wl_device *)f->device)->buffered == 0) {
		response = wl_send(f, 1, NULL, 0, command, 1024);
	}
	for (; response == R(OK) && sent < 20; sent++) {
		assert_int_equal(wl_new(f, C(VFD_NEW), id, 0, 1u << 29), R(VFD_NEW));
		response = wl_send(f, 1, &id, 1, "x", 1);
		assert_int_equal(wl_close(f, id), R(OK));
	}
	assert_int_equal(response, R(OUT_OF_MEMORY));
	assert_int_equal(sent, 5);
	assert_int_equal(wl_close(f, 1), R(OK));
	close(server);
	wl_settle(f);
	assert_int_equal(((struct wl_device *)f->device)->screen.pool_bytes, 0);
	free(command);
}

/* Small pieces cost what keeps them, too, and the quota knows. */
static void test_small_pieces(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t command[65536];
	unsigned count = 0;
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 1, VIRTIO_WL_VFD_WRITE, 0), R(VFD_NEW));
	assert_int_equal(wl_send(f, 1, NULL, 0, command, sizeof(command)), R(OK)); /* a pipe's worth */
	do {
		wl_submit(f, command, wl_build_send(command, 1, NULL, 0, "x", 1), 8);
		assert_true(count++ < 16384);
	} while (wl_answered(f, NULL));
}

/* What was written to a pipe whose other end nobody was given is read by nobody. */
static void test_pipe_never_sent(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t data[65536];
	unsigned fds = wl_count_fds();
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 1, VIRTIO_WL_VFD_WRITE, 0), R(VFD_NEW));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(wl_send(f, 1, NULL, 0, data, sizeof(data)), R(OK));
	}
	assert_int_equal(wl_close(f, 1), R(OK));
	wl_settle(f);
	assert_int_equal(wl_count_fds(), fds);
}

/* ---- without answers ---- */

static void test_no_answer(void **state) {
	struct wl_fixture *f = *state;
	struct {
		struct virtio_wl_transfer head;
		char data[4];
	} command = {
		.head = {.header = {C(VFD_SEND), VIRTIO_WL_FLAG_NO_ANSWER}, .vfd_id = 1}, .data = "data"};
	struct wl_received message;
	char text[8];
	int server = wl_connect(f, 1);
	assert_int_equal(wl_execute(f, &command, sizeof(command), 0), 0);
	assert_int_equal(f->reply_len, 0);
	assert_int_equal(recv(server, text, sizeof(text), 0), 4);
	/* What cannot be sent ends the connection. */
	command.head.vfd_count = 1;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 0), 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(message.vfd.vfd_id, 1);
	assert_int_equal(recv(server, text, sizeof(text), 0), 0);
	assert_true(wl_silent(f));
	/* To nobody: nothing happens. */
	command.head.vfd_id = 77;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 0), 0);
	assert_true(wl_silent(f));
	close(server);
}

/* ---- the guest's buffers ---- */

static void send_pieces(int server, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		uint32_t number = i;
		wl_server_send(server, &number, sizeof(number), NULL, 0);
	}
}

/* Without buffers nothing comes, and nothing is lost. */
static void test_guest_without_buffers(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	wl_restart(f, WL_ALL_FEATURES, 0);
	int one = wl_connect(f, 1), two = wl_connect(f, 2);
	wl_server_send(one, "one", 3, NULL, 0);
	wl_server_send(two, "two", 3, NULL, 0);
	close(two);
	assert_true(wl_silent(f));
	assert_int_equal(wl_send(f, 1, NULL, 0, "x", 1), R(OK));
	wl_post_buffers(f, 3);
	unsigned received = 0, hung_up = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(wl_receive(f, &message));
		received += message.header.type == C(VFD_RECV);
		hung_up += message.header.type == C(VFD_HUP);
	}
	assert_int_equal(received, 2);
	assert_int_equal(hung_up, 1);
	close(one);
}

/* A message comes with all its vfds or not at all, however few buffers there are. */
static void test_all_or_nothing(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	int pipes[2], server;
	wl_restart(f, WL_ALL_FEATURES, 0);
	server = wl_connect(f, 1);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	wl_server_send(server, "x", 1, pipes, 2);
	for (unsigned i = 0; i < 2; i++) {
		wl_post_buffers(f, 1);
		wl_settle(f);
		assert_false(driver_wait_used(&f->driver, 0, 0, NULL, NULL));
	}
	/* The guest cannot guess what it was not told. */
	assert_int_equal(wl_close(f, 0x40000000), R(INVALID_ID));
	wl_post_buffers(f, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(wl_receive(f, &message));
		assert_int_equal(message.header.type, i < 2 ? C(VFD_NEW) : C(VFD_RECV));
	}
	close(pipes[0]);
	close(pipes[1]);
	close(server);
}

/* What waits for a vfd that is closed goes with it, and so do the descriptors it would have brought. */
static void test_close_drops_waiting(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	int pipes[2], server, other;
	wl_restart(f, WL_ALL_FEATURES, 0);
	server = wl_connect(f, 1);
	other = wl_connect(f, 2);
	unsigned fds = wl_count_fds();
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	wl_server_send(server, "x", 1, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	assert_true(wl_silent(f));
	wl_server_send(other, "other", 5, NULL, 0);
	assert_true(wl_silent(f));
	assert_int_equal(wl_close(f, 1), R(OK));
	assert_int_equal(wl_count_fds(), fds - 1);
	wl_post_buffers(f, 8);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_id, 2);
	assert_true(wl_silent(f));
	close(server);
	close(other);
}

/* Neither does its hang-up come once it is closed. */
static void test_close_drops_hang_up(void **state) {
	struct wl_fixture *f = *state;
	const struct virtio_wl_transfer wrong = {
		.header = {C(VFD_SEND), VIRTIO_WL_FLAG_NO_ANSWER}, .vfd_id = 1, .vfd_count = 1};
	wl_restart(f, WL_ALL_FEATURES, 0);
	int server = wl_connect(f, 1);
	wl_server_send(server, "x", 1, NULL, 0);
	assert_true(wl_silent(f));
	assert_int_equal(wl_execute(f, &wrong, sizeof(wrong), 0), 0);
	assert_int_equal(wl_close(f, 1), R(OK));
	wl_post_buffers(f, 8);
	assert_true(wl_silent(f));
	close(server);
}

/* One reader who takes nothing stalls only itself. */
static void test_credit(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	const unsigned credit = VIRTIO_WL_RECV_CREDIT;
	int slow = wl_connect(f, 1), other = wl_connect(f, 2);
	unsigned received = 0;
	for (unsigned i = 0; i < credit + 2; i++) {
		uint32_t number = i;
		wl_server_send(slow, &number, sizeof(number), NULL, 0);
		if (i < credit) {
			assert_true(wl_receive(f, &message));
			received++;
		}
	}
	assert_true(wl_silent(f));
	assert_int_equal(received, credit);
	send_pieces(other, 1);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_id, 2);
	struct virtio_wl_credit command = {.header.type = C(VFD_CREDIT), .vfd_id = 1, .messages = 1};
	assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(OK));
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_id, 1);
	assert_int_equal(message.len, 16 + 8); /* it is a stream: both of the rest at once */
	assert_true(wl_silent(f));
	command.messages = credit + 1;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(INVALID_FLAGS));
	command.messages = 0xffffffff;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(INVALID_FLAGS));
	command.vfd_id = 99;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(INVALID_ID));
	close(slow);
	close(other);
}

static void test_small_buffer_breaks(void **state) {
	struct wl_fixture *f = *state;
	wl_restart(f, WL_ALL_FEATURES, 0);
	int server = wl_connect(f, 1);
	const struct driver_buffer buffer = {f->buffers, 4095, true};
	driver_add(&f->driver, 0, &buffer, 1);
	wl_server_send(server, "x", 1, NULL, 0);
	wl_settle(f);
	assert_true(f->device->shared->needs_reset);
	close(server);
}

/* Buffers may be in pieces. */
static void test_buffer_in_pieces(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t data[3000];
	wl_restart(f, WL_ALL_FEATURES, 0);
	int server = wl_connect(f, 1);
	const struct driver_buffer pieces[] = {{f->buffers, 10, true}, {{f->buffers.value + 100}, 1000, true},
		{{f->buffers.value + 4096}, 4096, true}};
	uint32_t len;
	driver_add(&f->driver, 0, pieces, 3);
	fill(data, 0, sizeof(data));
	wl_server_send(server, data, sizeof(data), NULL, 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, &len));
	assert_int_equal(len, 16 + sizeof(data));
	const uint8_t *at = driver_at(&f->driver, f->buffers);
	assert_memory_equal(at + 100 + 6, data, 994);
	assert_memory_equal(at + 4096, data + 994, sizeof(data) - 994);
	close(server);
}

/* ---- quotas ---- */

static void test_vfd_quota(void **state) {
	if (!wl_has_descriptors()) {
		skip();
	}
	struct wl_fixture *f = *state;
	unsigned fds = wl_count_fds();
	uint32_t id = 1;
	while (wl_new(f, C(VFD_NEW), id, 0, 4096) == R(VFD_NEW)) {
		id++;
	}
	assert_int_equal(f->reply.header.type, R(OUT_OF_MEMORY));
	assert_int_equal(id, 1025);
	assert_int_equal(wl_close(f, 500), R(OK));
	assert_int_equal(wl_new(f, C(VFD_NEW), id, 0, 4096), R(VFD_NEW));
	wl_restart(f, WL_ALL_FEATURES, 256);
	assert_int_equal(f->window.count, 0);
	assert_int_equal(wl_count_fds(), fds);
}

static void test_pipe_quota(void **state) {
	struct wl_fixture *f = *state;
	uint32_t id = 1;
	while (wl_new(f, C(VFD_NEW_PIPE), id, VIRTIO_WL_VFD_READ, 0) == R(VFD_NEW)) {
		id++;
	}
	assert_int_equal(f->reply.header.type, R(OUT_OF_MEMORY));
	assert_int_equal(id, 257);
	assert_int_equal(wl_new(f, C(VFD_NEW), id, 0, 4096), R(VFD_NEW));
}

static void test_context_quota(void **state) {
	struct wl_fixture *f = *state;
	uint32_t id = 1;
	int server;
	while ((server = wl_connect(f, id)) >= 0) {
		close(server);
		id++;
	}
	assert_int_equal(f->reply.header.type, R(OUT_OF_MEMORY));
	assert_int_equal(id, 129);
	assert_int_equal(wl_close(f, 1), R(OK));
	close(wl_connect(f, id));
	assert_int_equal(f->reply.header.type, R(VFD_NEW));
}

/* Descriptors from the host need room, too: without it the connection is of no use any more. */
static void test_no_room_for_received(void **state) {
	if (!wl_has_descriptors()) {
		skip();
	}
	struct wl_fixture *f = *state;
	struct wl_received message;
	int pipes[2], server = wl_connect(f, 2000);
	for (uint32_t id = 1; id < 1024; id++) {
		assert_int_equal(wl_new(f, C(VFD_NEW), id, 0, 4096), R(VFD_NEW));
	}
	unsigned fds = wl_count_fds();
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	wl_server_send(server, "x", 1, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(message.vfd.vfd_id, 2000);
	assert_int_equal(wl_count_fds(), fds - 1); /* the connection's own is gone, too */
	close(server);
}

/* ---- many at once ---- */

static void test_many_contexts(void **state) {
	struct wl_fixture *f = *state;
	enum { CONTEXTS = 64, ROUNDS = 20 };
	int servers[CONTEXTS];
	uint32_t next[CONTEXTS] = {0};
	struct wl_received message;
	for (uint32_t i = 0; i < CONTEXTS; i++) {
		servers[i] = wl_connect(f, i + 1);
		assert_true(servers[i] >= 0);
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < CONTEXTS; i++) {
			wl_server_send(servers[i], &round, sizeof(round), NULL, 0);
		}
		for (uint32_t got = 0; got < CONTEXTS; got++) {
			assert_true(wl_receive(f, &message));
			uint32_t i = message.transfer.vfd_id - 1;
			assert_true(i < CONTEXTS && message.len == 20);
			assert_int_equal(*(uint32_t *)(void *)(message.bytes + 16), next[i]);
			next[i]++;
		}
	}
	for (uint32_t i = 0; i < CONTEXTS; i++) {
		assert_int_equal(next[i], ROUNDS);
		close(servers[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_peer_stops_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_beyond_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_while_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_vanishes_while_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vfds_wait_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_waits_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_never_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guest_without_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_drops_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_drops_hang_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_buffer_breaks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buffer_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vfd_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_received, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_contexts, setup_without_credit, teardown),
	};
	return cmocka_run_group_tests_name("wl flow", tests, NULL, NULL);
}
