/* virtio-wl's commands over the unit tests' driver: each with what it answers, right and wrong. */
#include "wl_fixture.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define R(name) VIRTIO_WL_RESP_##name
#define C(name) VIRTIO_WL_CMD_##name

static int setup(void **state) {
	*state = wl_set_up(WL_ALL_FEATURES);
	return 0;
}

static int setup_plain(void **state) {
	*state = wl_set_up(0);
	return 0;
}

static int teardown(void **state) {
	wl_tear_down(*state);
	return 0;
}

static void test_description(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(f->device->type, 63);
	assert_int_equal(f->device->queue_count, 2);
	assert_int_equal(f->device->queue_size[0], 256);
	assert_int_equal(f->device->queue_size[1], 256);
	assert_int_equal(f->device->config_size, 0);
	assert_int_equal(f->device->features & WL_ALL_FEATURES, WL_ALL_FEATURES);
	assert_int_equal(f->device->shared_memory_size, f->window.size);
}

/* ---- memory ---- */

static void test_memory(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 5000), R(VFD_NEW));
	assert_int_equal(f->reply_len, 64);
	assert_int_equal(f->reply.vfd_id, 1);
	assert_int_equal(f->reply.flags, 0);
	assert_int_equal(f->reply.size, 8192);
	uint8_t *memory = wl_memory(f, f->reply.pfn);
	assert_int_equal(memory[8191], 0);
	memset(memory, 0x5a, 8192);
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 1), R(VFD_NEW));
	assert_int_equal(f->reply.size, 4096);
	assert_int_equal(wl_memory(f, f->reply.pfn)[0], 0);
}

static void test_memory_errors(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(wl_new(f, C(VFD_NEW), 0, 0, 4096), R(INVALID_ID));
	assert_int_equal(f->reply_len, 4);
	assert_int_equal(wl_new(f, C(VFD_NEW), 0x40000001, 0, 4096), R(INVALID_ID));
	assert_int_equal(wl_new(f, C(VFD_NEW), 0x80000001, 0, 4096), R(INVALID_ID));
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 0), R(ERR));
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 0xffffffff), R(OUT_OF_MEMORY));
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, (uint32_t)f->window.size + 1), R(OUT_OF_MEMORY));
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 4096), R(VFD_NEW));
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 4096), R(INVALID_ID));
	assert_int_equal(wl_new(f, C(VFD_NEW_CTX), 1, 0, 0), R(INVALID_ID));
}

/* Without USE_SHMEM pfns are guest-physical; without TRANS_FLAGS flags mean something else. */
static void test_without_features(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 4096), R(VFD_NEW));
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_MAP | VIRTIO_WL_VFD_WRITE);
	assert_in_range(f->reply.pfn, f->window.address / 4096, (f->window.address + f->window.size) / 4096);
	assert_int_equal(wl_new(f, C(VFD_NEW_CTX), 2, 0, 0), R(VFD_NEW));
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_CONTROL);
	assert_int_equal(f->reply.pfn, 0);
	const struct virtio_wl_credit credit = {.header.type = C(VFD_CREDIT), .vfd_id = 2, .messages = 0};
	assert_int_equal(wl_execute(f, &credit, sizeof(credit), 8), R(INVALID_CMD));
}

/* The window is as large as it was, whatever came and went in whatever order. */
static void test_window_does_not_fragment(void **state) {
	struct wl_fixture *f = *state;
	unsigned seed = 1;
	uint32_t whole = (uint32_t)f->window.size;
	bool used[64] = {false};
	for (unsigned i = 0; i < 4000; i++) {
		unsigned slot = (unsigned)rand_r(&seed) % 64;
		if (used[slot]) {
			assert_int_equal(wl_close(f, slot + 1), R(OK));
		} else {
			uint32_t size = 4096u * (1 + (uint32_t)rand_r(&seed) % 2048);
			assert_int_equal(wl_new(f, C(VFD_NEW), slot + 1, 0, size), R(VFD_NEW));
		}
		used[slot] = !used[slot];
	}
	for (unsigned slot = 0; slot < 64; slot++) {
		assert_int_equal(wl_close(f, slot + 1), used[slot] ? R(OK) : R(INVALID_ID));
	}
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, whole), R(VFD_NEW));
	assert_int_equal(f->reply.pfn, 0);
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 1), R(OUT_OF_MEMORY));
	assert_int_equal(f->window.count, 1);
}

/* ---- connections ---- */

static void test_context(void **state) {
	struct wl_fixture *f = *state;
	int server = wl_connect(f, 7);
	assert_true(server >= 0);
	assert_int_equal(f->reply.vfd_id, 7);
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE);
	assert_int_equal(f->reply.pfn, f->window.size / 4096);
	assert_int_equal(f->reply.size, 0);
	assert_int_equal(wl_new_named(f, 8, "other"), R(VFD_NEW));
	int other = accept(f->other_listener, NULL, NULL);
	assert_true(other >= 0);
	assert_int_equal(wl_send(f, 8, NULL, 0, "hello", 5), R(OK));
	char text[8];
	assert_int_equal(recv(other, text, sizeof(text), 0), 5);
	assert_int_equal(wl_new_named(f, 9, ""), R(VFD_NEW));
	close(accept(f->listener, NULL, NULL));
	close(other);
	close(server);
}

static void test_context_errors(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(wl_new_named(f, 1, "nobody"), R(ERR));
	assert_int_equal(wl_new_named(f, 1, "unknown"), R(ERR));
	assert_int_equal(wl_new_named(f, 1, "other, but longer than thirty-two bytes"), R(ERR));
	assert_int_equal(wl_new_named(f, 0, ""), R(INVALID_ID));
	assert_int_equal(wl_close(f, 1), R(INVALID_ID));
}

static void test_data_both_ways(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	char text[16];
	int server = wl_connect(f, 1);
	assert_int_equal(wl_send(f, 1, NULL, 0, "to the host", 11), R(OK));
	assert_int_equal(f->reply_len, 4);
	assert_int_equal(recv(server, text, sizeof(text), 0), 11);
	assert_memory_equal(text, "to the host", 11);
	wl_server_send(server, "to the guest", 12, NULL, 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.len, 16 + 12);
	assert_int_equal(message.header.type, C(VFD_RECV));
	assert_int_equal(message.transfer.vfd_id, 1);
	assert_int_equal(message.transfer.vfd_count, 0);
	assert_memory_equal(message.bytes + 16, "to the guest", 12);
	assert_int_equal(wl_send(f, 1, NULL, 0, NULL, 0), R(OK));
	close(server);
}

/* More than fits one buffer comes in several, nothing lost. */
static void test_long_data(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t sent[100000], received[100000];
	int server = wl_connect(f, 1);
	for (size_t i = 0; i < sizeof(sent); i++) {
		sent[i] = (uint8_t)(i * 7 + i / 251);
	}
	wl_server_send(server, sent, sizeof(sent), NULL, 0);
	size_t done = 0;
	struct wl_received message;
	while (done < sizeof(sent) && wl_receive(f, &message)) {
		assert_true(message.len > 16 && message.len <= 16 + VIRTIO_WL_RECV_DATA_MAX);
		memcpy(received + done, message.bytes + 16, message.len - 16);
		done += message.len - 16;
	}
	assert_int_equal(done, sizeof(sent));
	assert_memory_equal(sent, received, sizeof(sent));
	close(server);
}

static void test_hang_up_once(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	int server = wl_connect(f, 1);
	wl_server_send(server, "last", 4, NULL, 0);
	close(server);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_RECV));
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(message.len, 12);
	assert_int_equal(message.vfd.vfd_id, 1);
	assert_int_equal(wl_send(f, 1, NULL, 0, "x", 1), R(ERR));
	assert_true(wl_silent(f));
	assert_int_equal(wl_close(f, 1), R(OK));
	assert_true(wl_silent(f));
}

/* ---- pipes ---- */

static void test_pipe_to_read(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	char text[4];
	int fd;
	unsigned count;
	int server = wl_connect(f, 1);
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 2, VIRTIO_WL_VFD_READ, 0), R(VFD_NEW));
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_READ);
	const uint32_t id = 2;
	assert_int_equal(wl_send(f, 1, &id, 1, "p", 1), R(OK));
	assert_int_equal(wl_server_receive(server, text, sizeof(text), &fd, &count), 1);
	assert_int_equal(count, 1);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	assert_int_equal(write(fd, "paste", 5), 5);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_id, 2);
	assert_memory_equal(message.bytes + 16, "paste", 5);
	/* The far end is the server's alone: it ends the stream, and cannot be sent again. */
	assert_int_equal(wl_send(f, 1, &id, 1, "p", 1), R(INVALID_TYPE));
	close(fd);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(message.vfd.vfd_id, 2);
	assert_int_equal(wl_send(f, 2, NULL, 0, "x", 1), R(INVALID_TYPE));
	close(server);
}

static void test_pipe_to_write(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	char text[8];
	int fd;
	unsigned count;
	int server = wl_connect(f, 1);
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 2, VIRTIO_WL_VFD_WRITE, 0), R(VFD_NEW));
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_WRITE);
	const uint32_t id = 2;
	assert_int_equal(wl_send(f, 2, &id, 1, "x", 1), R(INVALID_TYPE));
	assert_int_equal(wl_send(f, 1, &id, 1, "p", 1), R(OK));
	assert_int_equal(wl_server_receive(server, text, sizeof(text), &fd, &count), 1);
	assert_int_equal(wl_send(f, 2, NULL, 0, "copied", 6), R(OK));
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	close(fd);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(wl_close(f, 2), R(OK));
	close(server);
}

static void test_pipe_flags(void **state) {
	struct wl_fixture *f = *state;
	static const uint32_t wrong[] = {0, 3, 4, 6, 0x80000001};
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 2, wrong[i], 0), R(INVALID_FLAGS));
	}
}

/* What the guest was told is sent arrives although it closes the pipe, and then the end of file. */
static void test_close_lingers(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t data[300000];
	uint8_t *received = malloc(sizeof(data));
	int fd;
	unsigned count;
	int server = wl_connect(f, 1);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i ^ i >> 8);
	}
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 2, VIRTIO_WL_VFD_WRITE, 0), R(VFD_NEW));
	const uint32_t id = 2;
	assert_int_equal(wl_send(f, 1, &id, 1, "p", 1), R(OK));
	assert_int_equal(wl_server_receive(server, received, 1, &fd, &count), 1);
	assert_int_equal(wl_send(f, 2, NULL, 0, data, sizeof(data)), R(OK));
	assert_int_equal(wl_close(f, 2), R(OK));
	assert_int_equal(wl_close(f, 2), R(INVALID_ID));
	size_t done = 0;
	ssize_t n = 1;
	while (n > 0 && wl_run_until_readable(f, fd)) {
		n = read(
			fd, received + done, sizeof(data) - done + 1 > 4096 ? 4096 : sizeof(data) - done + 1);
		done += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(n, 0);
	assert_int_equal(done, sizeof(data));
	assert_memory_equal(data, received, sizeof(data));
	free(received);
	close(fd);
	close(server);
}

/* ---- what is no command ---- */

static void test_wrong_commands(void **state) {
	struct wl_fixture *f = *state;
	const struct virtio_wl_vfd_new wrong = {.header.type = 0x1fff, .vfd_id = 1};
	assert_int_equal(wl_execute(f, &wrong, sizeof(wrong), 8), R(INVALID_CMD));
	assert_int_equal(wl_execute(f, &wrong, 1, 8), R(INVALID_CMD));
	const struct virtio_wl_vfd_new memory = {.header.type = C(VFD_NEW), .vfd_id = 1, .size = 1};
	assert_int_equal(wl_execute(f, &memory, 27, 64), R(INVALID_CMD));
	assert_int_equal(wl_execute(f, &memory, 28, 64), R(VFD_NEW));
	const struct virtio_wl_vfd_new context = {.header.type = C(VFD_NEW_CTX), .vfd_id = 2};
	assert_int_equal(wl_execute(f, &context, 12, 20), R(VFD_NEW));
	assert_int_equal(f->reply_len, 20); /* as much as there is room for */
	/* Nowhere to answer to: done, and the chain comes back. */
	const struct virtio_wl_vfd close = {.header.type = C(VFD_CLOSE), .vfd_id = 1};
	assert_int_equal(wl_execute(f, &close, sizeof(close), 0), 0);
	assert_int_equal(f->reply_len, 0);
	assert_int_equal(wl_close(f, 1), R(INVALID_ID));
	assert_false(f->device->shared->needs_reset);
}

static void test_wrong_sends(void **state) {
	struct wl_fixture *f = *state;
	uint32_t ids[32];
	int server = wl_connect(f, 1);
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 4096), R(VFD_NEW));
	for (unsigned i = 0; i < 32; i++) {
		ids[i] = 2;
	}
	assert_int_equal(wl_send(f, 9, NULL, 0, "x", 1), R(INVALID_ID));
	assert_int_equal(wl_send(f, 2, NULL, 0, "x", 1), R(INVALID_TYPE));
	assert_int_equal(wl_send(f, 1, ids, 29, "x", 1), R(INVALID_CMD));
	assert_int_equal(wl_send(f, 1, ids, 28, NULL, 0), R(INVALID_TYPE));
	struct virtio_wl_transfer head = {.header.type = C(VFD_SEND), .vfd_id = 1, .vfd_count = 0xffffffff};
	assert_int_equal(wl_execute(f, &head, sizeof(head), 8), R(INVALID_CMD));
	head.vfd_count = 1;
	assert_int_equal(wl_execute(f, &head, sizeof(head), 8), R(INVALID_CMD));
	ids[3] = 1;
	assert_int_equal(wl_send(f, 1, ids, 5, "x", 1), R(INVALID_TYPE));
	ids[3] = 0x40000000;
	assert_int_equal(wl_send(f, 1, ids, 5, "x", 1), R(INVALID_ID));
	char byte;
	assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), -1);
	close(server);
}

/* ---- sending vfds ---- */

static void test_send_28_memories(void **state) {
	struct wl_fixture *f = *state;
	uint32_t ids[28];
	int fds[64];
	unsigned count;
	char byte;
	int server = wl_connect(f, 100);
	for (uint32_t i = 0; i < 28; i++) {
		ids[i] = i + 1;
		assert_int_equal(wl_new(f, C(VFD_NEW), ids[i], 0, 4096), R(VFD_NEW));
		wl_memory(f, f->reply.pfn)[5] = (uint8_t)i;
	}
	assert_int_equal(wl_send(f, 100, ids, 28, "x", 1), R(OK));
	assert_int_equal(wl_server_receive(server, &byte, 1, fds, &count), 1);
	assert_int_equal(count, 28);
	for (unsigned i = 0; i < 28; i++) {
		uint8_t *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		assert_ptr_not_equal(mapped, MAP_FAILED);
		assert_int_equal(mapped[5], i);
		assert_int_equal(ftruncate(fds[i], 0), -1);
		munmap(mapped, 4096);
		close(fds[i]);
	}
	close(server);
}

static void test_send_foreign(void **state) {
	struct wl_fixture *f = *state;
	struct {
		struct virtio_wl_transfer head;
		struct virtio_wl_foreign elements[2];
		char data;
	} __attribute__((packed))
	command = {.head = {.header.type = C(VFD_SEND_FOREIGN_ID), .vfd_id = 1, .vfd_count = 2}, .data = 'x'};
	int fds[64], server = wl_connect(f, 1);
	unsigned count;
	char byte;
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 4096), R(VFD_NEW));
	command.elements[0].id = command.elements[1].id = 2;
	assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(OK));
	assert_int_equal(wl_server_receive(server, &byte, 1, fds, &count), 1);
	assert_int_equal(count, 2);
	close(fds[0]);
	close(fds[1]);
	for (uint32_t kind = 1; kind < 5; kind++) {
		command.elements[1].kind = kind;
		assert_int_equal(wl_execute(f, &command, sizeof(command), 8), R(INVALID_TYPE));
	}
	close(server);
}

/* Without SEND_FENCES an element has 8 bytes. */
static void test_send_old_foreign(void **state) {
	struct wl_fixture *f = *state;
	const uint32_t command[] = {C(VFD_SEND_FOREIGN_ID), 0, 1, 1, 0, 2, 0x78787878};
	int fd, server = wl_connect(f, 1);
	unsigned count;
	char text[8];
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 4096), R(VFD_NEW));
	assert_int_equal(wl_execute(f, command, sizeof(command), 8), R(OK));
	assert_int_equal(wl_server_receive(server, text, sizeof(text), &fd, &count), 4);
	assert_int_equal(count, 1);
	close(fd);
	close(server);
}

/* Nobody there wants any: those that nobody reads count as the user's, whose other programs could send none.
 */
static void test_none_through_a_door(void **state) {
	struct wl_fixture *f = *state;
	bool ended;
	unsigned count;
	char text[8];
	int fds[28];
	assert_int_equal(wl_new_named(f, 1, "house"), R(VFD_NEW));
	int server = fd_receive(f->house, &ended);
	assert_true(server >= 0);
	assert_int_equal(wl_new(f, C(VFD_NEW), 2, 0, 4096), R(VFD_NEW));
	assert_int_equal(wl_send(f, 1, (const uint32_t[]){2}, 1, "with", 4), R(INVALID_TYPE));
	assert_int_equal(wl_send(f, 1, NULL, 0, "alone", 5), R(OK));
	assert_int_equal(wl_server_receive(server, text, sizeof(text), fds, &count), 5);
	assert_int_equal(count, 0);
	close(server);
}

/* Whether the device has let go of the other end of this connection; so has the connector, soon after it made
 * it. */
static bool is_let_go(struct wl_fixture *f, int server) {
	char byte;
	return wl_run_until_readable(f, server) && recv(server, &byte, 1, MSG_DONTWAIT) == 0;
}

/* A stream that is over is let go of at once, and not when the guest gets round to closing it: descriptors
 * may be on their way in it. */
static void test_over_is_let_go(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	unsigned before = wl_count_fds();
	int server = wl_connect(f, 1);
	assert_int_equal(shutdown(server, SHUT_WR), 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_true(is_let_go(f, server));
	close(server);
	assert_int_equal(wl_count_fds(), before);
	assert_int_equal(wl_send(f, 1, NULL, 0, "x", 1), R(ERR));
	assert_int_equal(wl_close(f, 1), R(OK));
}

/* Nor when a guest without buffers can be told. */
static void test_broken_is_let_go(void **state) {
	struct wl_fixture *f = *state;
	uint8_t command[64];
	wl_restart(f, WL_ALL_FEATURES, 0);
	int other = wl_connect(f, 1), server = wl_connect(f, 2);
	wl_server_send(other, "first", 5, NULL, 0);
	wl_settle(f);
	size_t size = wl_build_send(command, 2, (const uint32_t[]){99}, 1, "x", 1);
	((struct virtio_wl_header *)(void *)command)->flags = VIRTIO_WL_FLAG_NO_ANSWER;
	unsigned before = wl_count_fds();
	wl_submit(f, command, size, 8);
	wl_settle(f);
	assert_true(is_let_go(f, server));
	assert_int_equal(wl_count_fds(), before - 1);
	close(server);
	close(other);
}

/* Not before what the guest was told is sent has been taken. */
static void test_over_but_not_written(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	static char data[800000], buffer[65536];
	int server = wl_connect(f, 1);
	assert_int_equal(wl_send(f, 1, NULL, 0, data, sizeof(data)), R(OK));
	assert_int_equal(shutdown(server, SHUT_WR), 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	size_t came = 0;
	ssize_t n;
	while (wl_run_until_readable(f, server) && (n = read(server, buffer, sizeof(buffer))) > 0) {
		came += (size_t)n;
	}
	assert_int_equal(came, sizeof(data));
	assert_true(is_let_go(f, server));
	close(server);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_description, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_features, setup_plain, teardown),
		cmocka_unit_test_setup_teardown(test_window_does_not_fragment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_to_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_to_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_lingers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_sends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_28_memories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_old_foreign, setup_plain, teardown),
		cmocka_unit_test_setup_teardown(test_none_through_a_door, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_is_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_is_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_but_not_written, setup, teardown),
	};
	return cmocka_run_group_tests_name("wl", tests, NULL, NULL);
}
