/* virtio-wl with the filter in its connections: messages in pieces and by the thousand, descriptors, slow
 * receivers, and the end of who breaks a rule. */
#include "wl_fixture.h"

#include "display/device.h"
#include "display/filtered.h"

#include "ph/wayland_protocols.h"

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
#define WORDS(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__})

static int setup(void **state) {
	*state = wl_set_up(WL_ALL_FEATURES);
	return 0;
}

static int teardown(void **state) {
	wl_tear_down(*state);
	return 0;
}

static size_t arrived(int server, uint32_t *words, size_t size, int *fds, unsigned *count) {
	ssize_t n = wl_server_receive(server, words, size, fds, count);
	return n > 0 ? (size_t)n : 0;
}

static const uint32_t hello[] = {1, 12 << 16 | WL_DISPLAY_REQUEST_GET_REGISTRY, 2};

/* A connection that has its registry (2) and knows of this global (1). */
static int connect_with(struct wl_fixture *f, uint32_t id, const char *global) {
	int server = wl_connect_filtered(f, id);
	uint32_t words[64];
	assert_true(server >= 0);
	assert_int_equal(wl_send(f, id, NULL, 0, hello, sizeof(hello)), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), sizeof(hello));
	assert_memory_equal(words, hello, sizeof(hello));
	struct wire_queue queue = {0};
	struct wl_received message;
	const union wire_arg args[] = {{.u = 1}, {.string = global}, {.u = 1}};
	wire_write(&queue, 2, WL_REGISTRY_EVENT_GLOBAL,
		&wl_registry_interface.events[WL_REGISTRY_EVENT_GLOBAL], args, 4096);
	wl_server_send(server, wire_queue_data(&queue), wire_queue_size(&queue), NULL, 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.header.type, C(VFD_RECV));
	assert_int_equal(message.len, sizeof(struct virtio_wl_transfer) + wire_queue_size(&queue));
	wire_queue_finish(&queue);
	const union wire_arg bind[] = {{.u = 1}, {.string = global}, {.u = 1}, {.object = 3}};
	wire_write(&queue, 2, WL_REGISTRY_REQUEST_BIND,
		&wl_registry_interface.methods[WL_REGISTRY_REQUEST_BIND], bind, 4096);
	assert_int_equal(wl_send(f, id, NULL, 0, wire_queue_data(&queue), wire_queue_size(&queue)), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), wire_queue_size(&queue));
	wire_queue_finish(&queue);
	return server;
}

/* A half goes nowhere; the second half brings the whole. */
static void test_pieces(void **state) {
	struct wl_fixture *f = *state;
	uint32_t words[64];
	int server = wl_connect_filtered(f, 1);
	assert_int_equal(wl_send(f, 1, NULL, 0, hello, 7), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), 0);
	assert_int_equal(wl_send(f, 1, NULL, 0, (const uint8_t *)hello + 7, 5), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), 12);
	close(server);
}

/* Half a message from the compositor waits, and what is not for the guest leaves nothing. */
static void test_hidden(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	int server = connect_with(f, 1, "wl_compositor");
	const uint32_t hidden[] = {2, 28 << 16, 7, 8, 0x735f6c77, 0x006c6568, 1}; /* wl_shel */
	wl_server_send(server, hidden, 10, NULL, 0);
	assert_true(wl_silent(f));
	wl_server_send(server, (const uint8_t *)hidden + 10, 18, NULL, 0);
	assert_true(wl_silent(f));
	const uint32_t removed[] = {2, 12 << 16 | 1, 7, 2, 12 << 16 | 1, 1};
	wl_server_send(server, removed, sizeof(removed), NULL, 0);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.len, sizeof(struct virtio_wl_transfer) + 12);
	assert_memory_equal(message.bytes + sizeof(struct virtio_wl_transfer), removed + 3, 12);
	close(server);
}

static void expect_end(struct wl_fixture *f, uint32_t id, int server, const char *rule) {
	struct wl_received message;
	char byte;
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_RECV));
	assert_non_null(memmem(message.bytes, message.len, rule, strlen(rule)));
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	assert_int_equal(message.vfd.vfd_id, id);
	assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), 0);
	close(server);
}

static void test_broken_rule(void **state) {
	struct wl_fixture *f = *state;
	int server = connect_with(f, 1, "wl_compositor"), other = connect_with(f, 2, "wl_shm");
	assert_int_equal(wl_send(f, 1, NULL, 0, WORDS(9, 8 << 16)), R(ERR));
	expect_end(f, 1, server, "ph: a request for object 9");
	assert_int_equal(wl_send(f, 1, NULL, 0, hello, sizeof(hello)), R(ERR));
	uint32_t words[64];
	assert_int_equal(wl_send(f, 2, NULL, 0, WORDS(1, 12 << 16, 4)), R(OK));
	assert_int_equal(arrived(other, words, sizeof(words), NULL, NULL), 12);
	assert_int_equal(wl_close(f, 1), R(OK));
	close(other);
}

/* The compositor says what was wrong and hangs up; the guest, which has not heard of it yet, goes on writing.
 */
static void test_error_before_the_end(void **state) {
	struct wl_fixture *f = *state;
	for (uint32_t id = 1; id <= 2; id++) {
		struct wl_received message;
		uint8_t command[64];
		int server = connect_with(f, id, "wl_compositor");
		size_t size = wl_build_send(command, id, NULL, 0, WORDS(1, 12 << 16, 4));
		((struct virtio_wl_header *)(void *)command)->flags = id == 2 ? VIRTIO_WL_FLAG_NO_ANSWER : 0;
		wl_submit(f, command, size, 8);
		wl_server_send(server, WORDS(1, 24 << 16, 3, 0, 4, 0x00646162), NULL, 0); /* "bad" */
		close(server);
		assert_true(wl_receive(f, &message));
		assert_int_equal(message.header.type, C(VFD_RECV));
		assert_int_equal(message.len, sizeof(struct virtio_wl_transfer) + 24);
		assert_true(wl_receive(f, &message));
		assert_int_equal(message.header.type, C(VFD_HUP));
		uint32_t len;
		assert_true(wl_answered(f, &len));
		assert_int_equal(wl_send(f, id, NULL, 0, hello, sizeof(hello)), R(ERR));
	}
}

/* The compositor is held to the same. */
static void test_broken_by_the_host(void **state) {
	struct wl_fixture *f = *state;
	int server = connect_with(f, 1, "wl_compositor");
	wl_server_send(server, WORDS(77, 8 << 16), NULL, 0);
	expect_end(f, 1, server, "the compositor sent an event for object 77");
}

static void test_pool(void **state) {
	struct wl_fixture *f = *state;
	uint32_t words[64];
	int server = connect_with(f, 1, "wl_shm"), fds[28];
	unsigned count;
	assert_int_equal(wl_new(f, C(VFD_NEW), 5, 0, 8192), R(VFD_NEW));
	assert_int_equal(wl_send(f, 1, (const uint32_t[]){5}, 1, WORDS(3, 16 << 16, 4, 8192)), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), fds, &count), 16);
	assert_int_equal(count, 1);
	assert_int_equal(lseek(fds[0], 0, SEEK_END), 8192);
	close(fds[0]);
	assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), 6, VIRTIO_WL_VFD_READ, 0), R(VFD_NEW));
	assert_int_equal(wl_send(f, 1, (const uint32_t[]){6}, 1, WORDS(3, 16 << 16, 5, 8192)), R(ERR));
	expect_end(f, 1, server, "the descriptor is no memory");
}

/* A dma-buf is memory for a pool only when it is made of the guest's own pages. */
static void test_kinds(void **state) {
	struct wl_fixture *f = *state;
	struct wl_device *device = (struct wl_device *)f->device;
	assert_int_equal(wl_new(f, C(VFD_NEW), 5, 0, 4096), R(VFD_NEW));
	struct wl_vfd *vfd = wl_vfd_find(device, 5);
	assert_int_equal(wl_filtered_kind(vfd), FILTER_FD_MEMORY);
	wl_vfd_set_kind(vfd, WL_DMABUF);
	assert_int_equal(wl_filtered_kind(vfd), FILTER_FD_DMABUF);
	device->page_bytes += 4096;
	vfd->page_bytes = 4096;
	assert_int_equal(wl_filtered_kind(vfd), FILTER_FD_PAGES);
}

static void test_unclaimed_descriptors(void **state) {
	struct wl_fixture *f = *state;
	int server = connect_with(f, 1, "wl_shm");
	uint32_t ids[28], response = R(OK), sent = 0;
	assert_int_equal(wl_new(f, C(VFD_NEW), 5, 0, 4096), R(VFD_NEW));
	for (unsigned i = 0; i < 28; i++) {
		ids[i] = 5;
	}
	for (; response == R(OK) && sent < 10; sent++) {
		response = wl_send(f, 1, ids, 28, WORDS(1, 12 << 16, 4 + sent));
	}
	assert_int_equal(response, R(OUT_OF_MEMORY));
	assert_int_equal(sent, 3);
	close(server);
}

static const uint32_t HALF_GIB = 512u << 20;

/* Memory of that size, which the guest has no more once it was sent along. */
static uint32_t send_memory(struct wl_fixture *f, uint32_t id, const void *data, size_t len) {
	assert_int_equal(wl_new(f, C(VFD_NEW), 500, 0, HALF_GIB), R(VFD_NEW));
	uint32_t response = wl_send(f, id, (const uint32_t[]){500}, 1, data, len);
	assert_int_equal(wl_close(f, 500), R(OK));
	return response;
}

/* What no message has taken is the VM's all the same, until its connection is over. */
static void test_unclaimed_memory(void **state) {
	struct wl_fixture *f = *state;
	const struct wl_device *device = (struct wl_device *)f->device;
	int server = connect_with(f, 1, "wl_shm"), other = connect_with(f, 2, "wl_shm");
	unsigned before = wl_count_fds(), sent = 0;
	for (uint32_t id = 1; id <= 2; id++) {
		assert_int_equal(send_memory(f, id, hello, 1), R(OK));
		sent++;
	}
	while (sent < 20 && send_memory(f, 1, "", 1) == R(OK)) {
		sent++;
	}
	assert_int_equal(sent, FILTER_POOLS_MAX / HALF_GIB);
	expect_end(f, 1, server, "ph: the VM has too much memory with the compositor");
	assert_int_equal(device->screen.pool_bytes, HALF_GIB);
	assert_true(wl_count_fds() < before);
	assert_int_equal(wl_close(f, 2), R(OK));
	assert_int_equal(device->screen.pool_bytes, 0);
	close(other);
}

static void test_keymap(void **state) {
	struct wl_fixture *f = *state;
	uint32_t words[64];
	struct wl_received message;
	int server = connect_with(f, 1, "wl_seat"), map = memfd_create("map", MFD_CLOEXEC);
	assert_int_equal(wl_send(f, 1, NULL, 0, WORDS(3, 12 << 16 | WL_SEAT_REQUEST_GET_KEYBOARD, 4)), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), 12);
	assert_int_equal(ftruncate(map, 4096), 0);
	wl_server_send(server, WORDS(4, 16 << 16, 1, 4096), &map, 1);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_NEW));
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.transfer.vfd_count, 1);
	assert_int_equal(message.len, sizeof(struct virtio_wl_transfer) + 4 + 16);
	close(map);
	close(server);
}

enum { DAMAGE = 24, FRAME = DAMAGE + 8, BATCH = 2000 };

/* Frames of a surface (4), each with damage, numbered. */
static size_t build_frames(uint8_t *command, uint32_t from) {
	static uint32_t words[BATCH * FRAME / 4];
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t frame[] = {4, DAMAGE << 16 | WL_SURFACE_REQUEST_DAMAGE, from + i, 0, 1, 1, 4,
			8 << 16 | WL_SURFACE_REQUEST_COMMIT};
		memcpy(words + i * (FRAME / 4), frame, FRAME);
	}
	return wl_build_send(command, 1, NULL, 0, words, sizeof(words));
}

/* A compositor that stops reading: messages are kept, then commands wait, and at last all comes, in order. */
static void test_slow_compositor(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t command[16 + BATCH * FRAME], data[BATCH * FRAME];
	uint32_t words[64], sent = 0, len, expected = 0;
	int server = connect_with(f, 1, "wl_compositor");
	assert_int_equal(
		wl_send(f, 1, NULL, 0, WORDS(3, 12 << 16 | WL_COMPOSITOR_REQUEST_CREATE_SURFACE, 4)), R(OK));
	assert_int_equal(arrived(server, words, sizeof(words), NULL, NULL), 12);
	bool held = false;
	for (; !held; sent += BATCH) {
		wl_submit(f, command, build_frames(command, sent), 8);
		held = !wl_answered(f, &len);
		assert_true(sent < 1000000);
	}
	size_t have = 0;
	while (expected < sent && wl_run_until_readable(f, server)) {
		ssize_t n = recv(server, data + have, sizeof(data) - have, MSG_DONTWAIT);
		assert_true(n > 0);
		have += (size_t)n;
		size_t used = 0;
		for (; have - used >= FRAME; used += FRAME, expected++) {
			memcpy(words, data + used, FRAME);
			assert_int_equal(words[0], 4);
			assert_int_equal(words[2], expected);
		}
		memmove(data, data + used, have - used);
		have -= used;
	}
	assert_int_equal(expected, sent);
	assert_true(wl_answered(f, &len));
	close(server);
}

/* More from the compositor than fits a message, to a guest without credit: it waits, and all of it comes. */
static void test_slow_guest(void **state) {
	struct wl_fixture *f = *state;
	static uint32_t words[30000];
	struct wl_received message;
	int server = connect_with(f, 1, "wl_seat");
	for (size_t i = 0; i < 10000; i++) {
		const uint32_t capabilities[] = {3, 12 << 16, (uint32_t)i};
		memcpy(words + 3 * i, capabilities, 12);
	}
	wl_server_send(server, words, sizeof(words), NULL, 0);
	size_t came = 0;
	while (came < sizeof(words) && wl_receive(f, &message)) {
		size_t size = message.len - sizeof(struct virtio_wl_transfer);
		assert_int_equal(message.header.type, C(VFD_RECV));
		assert_memory_equal(message.bytes + sizeof(struct virtio_wl_transfer),
			(const uint8_t *)words + came, size);
		came += size;
		const struct virtio_wl_credit credit = {
			.header.type = C(VFD_CREDIT), .vfd_id = 1, .messages = 1};
		assert_int_equal(wl_execute(f, &credit, sizeof(credit), 8), R(OK));
	}
	assert_int_equal(came, sizeof(words));
	close(server);
}

/* ---- what the filter keeps to itself ---- */

static void add_words(struct wire_queue *queue, const uint32_t *words, size_t size) {
	assert_int_equal(wire_queue_append(queue, words, size), 0);
}

/* A program that may put nothing on the clipboard, with a seat (4), a source (5) and a data device (6). */
static int connect_without_clipboard(struct wl_fixture *f, uint32_t id) {
	((struct wl_device *)f->device)->screen.clipboard = DISPLAY_CLIPBOARD_OFF;
	int server = connect_with(f, id, "wl_data_device_manager");
	struct wire_queue queue = {0};
	struct wl_received message;
	const union wire_arg global[] = {{.u = 2}, {.string = "wl_seat"}, {.u = 1}};
	wire_write(&queue, 2, WL_REGISTRY_EVENT_GLOBAL,
		&wl_registry_interface.events[WL_REGISTRY_EVENT_GLOBAL], global, 4096);
	wl_server_send(server, wire_queue_data(&queue), wire_queue_size(&queue), NULL, 0);
	assert_true(wl_receive(f, &message));
	wire_queue_finish(&queue);
	const union wire_arg bind[] = {{.u = 2}, {.string = "wl_seat"}, {.u = 1}, {.object = 4}};
	wire_write(&queue, 2, WL_REGISTRY_REQUEST_BIND,
		&wl_registry_interface.methods[WL_REGISTRY_REQUEST_BIND], bind, 4096);
	add_words(&queue, WORDS(3, 12 << 16 | WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, 5));
	add_words(&queue, WORDS(3, 16 << 16 | WL_DATA_DEVICE_MANAGER_REQUEST_GET_DATA_DEVICE, 6, 4));
	assert_int_equal(wl_send(f, id, NULL, 0, wire_queue_data(&queue), wire_queue_size(&queue)), R(OK));
	wire_queue_finish(&queue);
	return server;
}

static void fill_selections(uint32_t *words, size_t size, uint32_t source) {
	const uint32_t selection[] = {6, 16 << 16 | WL_DATA_DEVICE_REQUEST_SET_SELECTION, source, 77};
	for (size_t at = 0; at + sizeof(selection) <= size; at += sizeof(selection)) {
		memcpy((uint8_t *)words + at, selection, sizeof(selection));
	}
}

/* Each refusal is told; who never listens cannot make the host remember them all. */
static void test_refusals_unread(void **state) {
	struct wl_fixture *f = *state;
	static uint32_t words[16384];
	uint32_t response = R(OK);
	int server = connect_without_clipboard(f, 1);
	fill_selections(words, sizeof(words), 5);
	for (unsigned i = 0; i < 64 && response == R(OK); i++) {
		response = wl_send(f, 1, NULL, 0, words, sizeof(words));
	}
	assert_int_equal(response, R(ERR));
	const struct wl_vfd *vfd = wl_vfd_find((struct wl_device *)f->device, 1);
	assert_true(wire_queue_size(&vfd->filter->to_guest) < 300000);
	assert_non_null(strstr(vfd->filter->rule, "set_selection"));
	close(server);
}

/* A long command of messages that go nowhere does not keep others waiting, and it comes to its end. */
static void test_long_command(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = WL_COMMAND_MAX - 16;
	uint32_t *words = malloc(WL_COMMAND_MAX);
	uint8_t *command = malloc(WL_COMMAND_MAX);
	uint16_t first, second;
	int server = connect_without_clipboard(f, 1), other = connect_with(f, 2, "wl_shm");
	fill_selections(words, size, 0);
	wl_submit(f, command, wl_build_send(command, 1, NULL, 0, words, size), 8);
	const size_t quick = wl_build_send(command, 2, NULL, 0, WORDS(1, 12 << 16, 4));
	wl_submit(f, command, quick, 8);
	wl_settle(f);
	assert_true(driver_wait_used(&f->driver, VIRTIO_WL_QUEUE_OUT, 0, &first, NULL));
	assert_true(driver_wait_used(&f->driver, VIRTIO_WL_QUEUE_OUT, 0, &second, NULL));
	assert_true(first > second); /* the later one was answered before */
	free(command);
	free(words);
	close(server);
	close(other);
}

/* The compositor ends while a long command waits for its turn, of which something is yet to be written. */
static void test_end_under_long_command(void **state) {
	struct wl_fixture *f = *state;
	const size_t size = WL_COMMAND_MAX - 16;
	uint32_t *words = malloc(WL_COMMAND_MAX), len;
	uint8_t *command = malloc(WL_COMMAND_MAX);
	int server = connect_without_clipboard(f, 1);
	fill_selections(words, size, 0);
	for (uint32_t i = 0; i < 8; i++) {
		const uint32_t device[] = {
			3, 16 << 16 | WL_DATA_DEVICE_MANAGER_REQUEST_GET_DATA_DEVICE, 7 + i, 4};
		memcpy(words + (80 + 16 * i) * 1024, device, sizeof(device));
	}
	wl_submit(f, command, wl_build_send(command, 1, NULL, 0, words, size), 8);
	close(server);
	assert_true(wl_answered(f, &len));
	free(command);
	free(words);
}

/* ---- what others are told of ---- */

static uint64_t rest_clock;

static uint64_t rest_now(void) {
	return rest_clock;
}

enum { SELECTION = 16, SELECTIONS = 4096 };

/* Selections of nothing, numbered, that the compositor tells others of: how many of them come. */
static uint32_t count_selections(struct wl_fixture *f, int server, uint32_t first) {
	uint32_t words[SELECTION / 4], count = 0;
	wl_settle(f);
	while (recv(server, words, SELECTION, MSG_DONTWAIT) == SELECTION) {
		assert_int_equal(words[0], 6);
		assert_int_equal(words[3], first + count);
		count++;
	}
	return count;
}

static void send_selections(struct wl_fixture *f, uint8_t *command, uint32_t first) {
	static uint32_t words[SELECTIONS * SELECTION / 4];
	for (uint32_t i = 0; i < SELECTIONS; i++) {
		const uint32_t selection[] = {
			6, SELECTION << 16 | WL_DATA_DEVICE_REQUEST_SET_SELECTION, 0, first + i};
		memcpy(words + i * (SELECTION / 4), selection, SELECTION);
	}
	wl_submit(f, command, wl_build_send(command, 1, NULL, 0, words, sizeof(words)), 8);
}

static int connect_with_clipboard(struct wl_fixture *f) {
	struct wl_device *device = (struct wl_device *)f->device;
	uint32_t words[64];
	int server = connect_without_clipboard(f, 1);
	while (recv(server, words, sizeof(words), MSG_DONTWAIT) > 0) {
	}
	rest_clock = device->screen.news.ns;
	device->screen.now = rest_now;
	device->screen.clipboard = DISPLAY_CLIPBOARD_ON;
	return server;
}

/* Who has told others much waits until there is time for more, unlike other connections, and nothing is lost.
 */
static void test_rest(void **state) {
	struct wl_fixture *f = *state;
	uint8_t *command = malloc(WL_COMMAND_MAX);
	uint32_t words[64], len, told, waits = 0;
	int server = connect_with_clipboard(f), other = connect_with(f, 2, "wl_compositor");
	send_selections(f, command, 0);
	send_selections(f, command, SELECTIONS);
	told = count_selections(f, server, 0);
	assert_in_range(told, FILTER_NEWS_MAX / 400, FILTER_NEWS_MAX / 200);
	assert_true(wl_answered(f, &len));  /* the first one, whose bytes the filter has */
	assert_false(wl_answered(f, &len)); /* the second one, which stays where it is */
	assert_int_equal(wl_send(f, 2, NULL, 0, WORDS(1, 12 << 16, 4)), R(OK));
	assert_int_equal(arrived(other, words, sizeof(words), NULL, NULL), 12);
	for (; told < 2 * SELECTIONS; waits++) {
		assert_int_equal(count_selections(f, server, told), 0);
		rest_clock += 1000000000;
		assert_true(wl_run_until_readable(f, server));
		told += count_selections(f, server, told);
	}
	assert_in_range(waits, 10, 100);
	assert_true(wl_answered(f, &len));
	assert_int_equal(((struct wl_device *)f->device)->held, 0);
	free(command);
	close(server);
	close(other);
}

/* Memory that waits with the commands of a connection that rests is counted, too, and once. */
static void test_rest_with_memory(void **state) {
	struct wl_fixture *f = *state;
	const struct wl_device *device = (struct wl_device *)f->device;
	uint8_t *command = malloc(WL_COMMAND_MAX);
	const uint32_t ids[] = {500, 500, 500, 500};
	uint32_t len, told;
	int server = connect_with_clipboard(f);
	assert_int_equal(wl_new(f, C(VFD_NEW), 500, 0, HALF_GIB), R(VFD_NEW));
	send_selections(f, command, 0);
	send_selections(f, command, SELECTIONS);
	told = count_selections(f, server, 0);
	assert_true(wl_answered(f, &len));
	wl_submit(f, command, wl_build_send(command, 1, ids, 4, "", 1), 8);
	assert_false(wl_answered(f, &len));
	assert_int_equal(device->held, 2);
	assert_int_equal(device->screen.pool_bytes, FILTER_POOLS_MAX);
	assert_int_equal(wl_send(f, 1, ids, 1, "", 1), R(OUT_OF_MEMORY));
	for (unsigned i = 0; device->held > 0 && i < 100; i++) {
		rest_clock += 1000000000;
		assert_true(wl_run_until_readable(f, server));
		told += count_selections(f, server, told);
	}
	assert_int_equal(told, 2 * SELECTIONS);
	assert_int_equal(device->screen.pool_bytes, FILTER_POOLS_MAX); /* no message has taken them */
	while (wl_answered(f, &len)) {
	}
	assert_int_equal(wl_close(f, 1), R(OK));
	assert_int_equal(device->screen.pool_bytes, 0);
	free(command);
	close(server);
}

/* The compositor goes while a connection rests, the guest closes one that does, and nothing runs in circles.
 */
static void test_rest_and_end(void **state) {
	struct wl_fixture *f = *state;
	struct wl_received message;
	uint8_t *command = malloc(WL_COMMAND_MAX);
	uint32_t words[64], len;
	int server = connect_with_clipboard(f), other = connect_with(f, 2, "wl_compositor");
	struct wl_device *device = (struct wl_device *)f->device;
	send_selections(f, command, 0);
	send_selections(f, command, SELECTIONS);
	assert_true(count_selections(f, server, 0) > 0);
	assert_true(wl_answered(f, &len));
	assert_non_null(device->resting);
	close(server);
	assert_true(wl_receive(f, &message));
	assert_int_equal(message.header.type, C(VFD_HUP));
	rest_clock += 100000000;
	assert_int_equal(wl_send(f, 2, NULL, 0, WORDS(1, 12 << 16, 4)), R(OK));
	assert_int_equal(arrived(other, words, sizeof(words), NULL, NULL), 12);
	wl_settle(f);
	assert_int_equal(wl_close(f, 1), R(OK));
	assert_null(device->resting);
	assert_int_equal(device->held, 0);
	free(command);
	close(other);
}

/* As many receivers as fill half of what may be buffered stop reading: nobody else notices. */
static void test_others_stall(void **state) {
	struct wl_fixture *f = *state;
	static uint8_t data[900 << 10];
	for (uint32_t id = 10; id < 20; id++) {
		assert_int_equal(wl_new(f, C(VFD_NEW_PIPE), id, VIRTIO_WL_VFD_WRITE, 0), R(VFD_NEW));
		assert_int_equal(wl_send(f, id, NULL, 0, data, 65536), R(OK)); /* a pipe's worth */
		assert_int_equal(wl_send(f, id, NULL, 0, data, sizeof(data)), R(OK));
	}
	assert_true(((struct wl_device *)f->device)->buffered > WL_BUFFERED_TOTAL_MAX / 2);
	int server = connect_with(f, 1, "wl_compositor");
	wl_settle(f);
	close(server);
}

/* Connections come and go: nothing stays open. */
static void test_many(void **state) {
	struct wl_fixture *f = *state;
	unsigned before = wl_count_fds();
	for (uint32_t i = 0; i < 200; i++) {
		int server = connect_with(f, 1 + i, "wl_shm");
		assert_int_equal(wl_new(f, C(VFD_NEW), 500, 0, 4096), R(VFD_NEW));
		assert_int_equal(
			wl_send(f, 1 + i, (const uint32_t[]){500, 500}, 2, WORDS(1, 12 << 16, 4)), R(OK));
		assert_int_equal(wl_close(f, 500), R(OK));
		assert_int_equal(wl_close(f, 1 + i), R(OK));
		close(server);
	}
	assert_int_equal(wl_count_fds(), before);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_before_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_by_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unclaimed_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unclaimed_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keymap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_compositor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_under_long_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest_with_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_stall, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};
	return cmocka_run_group_tests_name("wl filter", tests, NULL, NULL);
}
