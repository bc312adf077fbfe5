/* The display server as a VM has it: in a worker process, confined, with the window in this one. */
#include "driver.h"
#include "wl_fixture.h"

#include "monitor/screen.h"
#include "ph/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define R(name) VIRTIO_WL_RESP_##name
#define C(name) VIRTIO_WL_CMD_##name
#define SIZE 64
#define PATIENCE_MS 20000

struct state {
	struct driver driver;
	struct screen screen;
	struct plan plan;
	char path[64];
	int listener;
	gpa_t buffers, command;
	struct virtio_wl_vfd_new reply;
};

static int listen_at(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0 ? -1 : fd;
}

static int activate(struct state *s) {
	struct virtio_activation activation = {
		.driver_features = WL_ALL_FEATURES | 1ULL << VIRTIO_RING_F_VERSION_1,
		.config_vector = VIRTIO_NO_VECTOR};
	s->driver.device = s->screen.device;
	for (unsigned i = 0; i < 2; i++) {
		struct virtqueue_config *config = &s->driver.queues[i].config;
		*config = (struct virtqueue_config){.descriptor_area = driver_alloc(&s->driver, 16 * SIZE),
			.driver_area = driver_alloc(&s->driver, 4096),
			.device_area = driver_alloc(&s->driver, 4096),
			.size = SIZE,
			.vector = (uint16_t)i};
		activation.queues[i] = *config;
	}
	return virtio_host_activate(&s->screen.worker.client, 0, &activation);
}

static void post_buffers(struct state *s) {
	for (unsigned i = 0; i < SIZE; i++) {
		const struct driver_buffer buffer = {{s->buffers.value + i * 4096}, 4096, true};
		driver_add(&s->driver, 0, &buffer, 1);
	}
	driver_kick(&s->driver, 0);
}

static int setup(void **state) {
	struct state *s = calloc(1, sizeof(*s));
	*state = s;
	driver_init(&s->driver);
	snprintf(s->path, sizeof(s->path), "/tmp/ph-display-%d", getpid());
	unlink(s->path);
	s->listener = listen_at(s->path);
	s->plan.sockets[0].path = s->path;
	s->plan.socket_count = 1;
	if (s->listener < 0 || screen_start(&s->screen, &s->plan, &s->driver.memory, JAIL_DEFAULT) < 0 ||
		window_reserve(&s->screen.window) < 0 || screen_serve(&s->screen) < 0 || activate(s) < 0) {
		return -1;
	}
	s->buffers = driver_alloc(&s->driver, SIZE * 4096);
	s->command = driver_alloc(&s->driver, 4096);
	post_buffers(s);
	return 0;
}

static int teardown(void **state) {
	struct state *s = *state;
	screen_hang_up(&s->screen);
	screen_finish(&s->screen);
	close(s->listener);
	unlink(s->path);
	driver_finish(&s->driver);
	free(s);
	return 0;
}

static uint32_t execute(struct state *s, const void *command, size_t len) {
	const struct driver_buffer buffers[] = {{s->command, (uint32_t)len, false}, {s->command, 64, true}};
	memcpy(driver_at(&s->driver, s->command), command, len);
	driver_add(&s->driver, 1, buffers, 2);
	driver_kick(&s->driver, 1);
	if (!driver_wait_used(&s->driver, 1, PATIENCE_MS, NULL, NULL)) {
		return 0;
	}
	memcpy(&s->reply, driver_at(&s->driver, s->command), sizeof(s->reply));
	return s->reply.header.type;
}

static uint32_t new_vfd(struct state *s, uint32_t type, uint32_t id, uint32_t size) {
	const struct virtio_wl_vfd_new command = {.header.type = type, .vfd_id = id, .size = size};
	return execute(s, &command, sizeof(command));
}

static const struct wl_received *receive(struct state *s) {
	uint16_t head;
	assert_true(driver_wait_used(&s->driver, 0, PATIENCE_MS, &head, NULL));
	/* No further than the bytes of the buffer. */
	const uint8_t *buffer = driver_at(&s->driver, (gpa_t){s->buffers.value + head * 4096u});
	static struct wl_received message;
	memcpy(message.bytes, buffer, sizeof(message.bytes));
	return &message;
}

/* A connection, memory over it, and memory back. */
static void test_works_confined(void **state) {
	struct state *s = *state;
	assert_int_equal(new_vfd(s, C(VFD_NEW_CTX), 1, 0), R(VFD_NEW));
	int server = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(new_vfd(s, C(VFD_NEW), 2, 4096), R(VFD_NEW));
	uint8_t *memory = s->screen.window.host + s->reply.pfn * 4096;
	memcpy(memory, "pixels", 6);

	uint8_t command[64];
	uint32_t id = 2;
	size_t len = wl_build_send(command, 1, &id, 1, "x", 1);
	assert_int_equal(execute(s, command, len), R(OK));
	char text[8];
	int fd;
	unsigned count;
	assert_int_equal(wl_server_receive(server, text, sizeof(text), &fd, &count), 1);
	assert_int_equal(count, 1);
	assert_int_equal(pread(fd, text, 6, 0), 6);
	assert_memory_equal(text, "pixels", 6);

	int unsealed = memfd_create("keymap", MFD_CLOEXEC);
	assert_int_equal(write(unsealed, "keymap", 6), 6);
	const int fds[] = {fd, unsealed};
	wl_server_send(server, "back", 4, fds, 2);
	const struct wl_received *message = receive(s);
	assert_int_equal(message->header.type, C(VFD_NEW));
	assert_memory_equal(s->screen.window.host + message->news.pfn * 4096, "pixels", 6);
	message = receive(s);
	assert_memory_equal(s->screen.window.host + message->news.pfn * 4096, "keymap", 6);
	assert_int_equal(receive(s)->header.type, C(VFD_RECV));
	close(fd);
	close(unsealed);
	close(server);
	assert_int_equal(receive(s)->header.type, C(VFD_HUP));
	assert_int_equal(virtio_host_reset(&s->screen.worker.client, 0), 0);
	assert_int_equal(s->screen.window.count, 0);
}

static void test_pipes_confined(void **state) {
	struct state *s = *state;
	const struct virtio_wl_vfd_new pipe = {
		.header.type = C(VFD_NEW_PIPE), .vfd_id = 3, .flags = VIRTIO_WL_VFD_READ};
	assert_int_equal(new_vfd(s, C(VFD_NEW_CTX), 1, 0), R(VFD_NEW));
	int fd, server = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	unsigned count;
	char text[8];
	uint8_t command[64];
	uint32_t id = 3;
	assert_int_equal(execute(s, &pipe, sizeof(pipe)), R(VFD_NEW));
	assert_int_equal(execute(s, command, wl_build_send(command, 1, &id, 1, "x", 1)), R(OK));
	assert_int_equal(wl_server_receive(server, text, sizeof(text), &fd, &count), 1);
	assert_int_equal(write(fd, "paste", 5), 5);
	close(fd);
	const struct wl_received *message = receive(s);
	assert_memory_equal(message->bytes + 16, "paste", 5);
	assert_int_equal(receive(s)->header.type, C(VFD_HUP));
	close(server);
}

/* Errors are answered in the jail, too: none of them is a system call that kills. */
static void test_errors_confined(void **state) {
	struct state *s = *state;
	const struct virtio_wl_dmabuf_sync sync = {.header.type = C(VFD_DMABUF_SYNC), .vfd_id = 2};
	close(s->listener);
	s->listener = -1;
	assert_int_equal(new_vfd(s, C(VFD_NEW_CTX), 1, 0), R(ERR));
	assert_int_equal(new_vfd(s, C(VFD_NEW), 2, 0xffffffff), R(OUT_OF_MEMORY));
	assert_int_equal(new_vfd(s, C(VFD_NEW), 2, 1), R(VFD_NEW));
	assert_int_equal(execute(s, &sync, sizeof(sync)), R(INVALID_TYPE));
	uint32_t probe = new_vfd(s, C(VFD_NEW_DMABUF), 3, 0);
	assert_true(probe == R(INVALID_CMD) || probe == R(INVALID_TYPE));
}

/* What it had mapped goes with it, and the driver learns that it is gone. */
static void test_killed(void **state) {
	struct state *s = *state;
	struct window *window = &s->screen.window;
	assert_int_equal(new_vfd(s, C(VFD_NEW), 2, 4096), R(VFD_NEW));
	uint8_t *memory = window->host + s->reply.pfn * 4096;
	memory[0] = 'x';
	assert_int_equal(kill(s->screen.worker.pid, SIGKILL), 0);
	pthread_join(window->thread, NULL); /* nobody else has the other end of its socket */
	window->serving = false;
	assert_int_equal(window->count, 0);
	memory[0] = 'y';
	screen_lost(&s->screen);
	assert_true(s->screen.device->shared->needs_reset);
	assert_true(virtio_host_reset(&s->screen.worker.client, 0) < 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_works_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipes_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};
	return cmocka_run_group_tests_name("wl worker", tests, NULL, NULL);
}
