/* The console device, driven through its queues as a guest's driver would, rightly and wrongly. */
#include "driver.h"
#include "ph/console.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define F_MULTIPORT (1ULL << 1)
#define RX0 0
#define TX0 1
#define CONTROL_RX 2
#define CONTROL_TX 3
#define RX1 4
#define TX1 5
#define WAIT_MS 2000

enum { DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, PORT_OPEN = 6, PORT_NAME };

struct message {
	uint32_t id;
	uint16_t event, value;
	char text[32];
};

/* The owner of a port: takes at most `room` bytes. */
struct owner {
	uint8_t data[1 << 20];
	size_t size, room, calls;
	unsigned writable, opened, closed;
};

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	struct console_port *ports[2];
	struct owner owners[2];
};

static size_t receive(void *opaque, const void *data, size_t len) {
	struct owner *owner = opaque;
	size_t n = len < owner->room ? len : owner->room;
	assert_true(owner->size + n <= sizeof(owner->data));
	memcpy(owner->data + owner->size, data, n);
	owner->size += n;
	owner->room -= n;
	owner->calls++;
	return n;
}

static void writable(void *opaque) {
	((struct owner *)opaque)->writable++;
}

static void opened(void *opaque, bool open) {
	struct owner *owner = opaque;
	owner->opened += open;
	owner->closed += !open;
}

static const struct console_port_ops ops = {.receive = receive, .writable = writable, .opened = opened};

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(console_create(&f->device), 0);
	for (unsigned i = 0; i < 2; i++) {
		f->owners[i].room = SIZE_MAX;
		assert_int_equal(console_add_port(f->device, i == 0 ? NULL : "ph.control", &ops,
					 &f->owners[i], &f->ports[i]),
			0);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	if (f->driver.device != NULL) {
		driver_stop(&f->driver);
	}
	console_destroy(f->device);
	driver_finish(&f->driver);
	free(f);
	return 0;
}

static void boot(struct fixture *f) {
	assert_int_equal(driver_start(&f->driver, f->device, F_MULTIPORT), 0);
}

static gpa_t add_buffer(struct fixture *f, unsigned queue, uint32_t len, bool write) {
	gpa_t address = driver_alloc(&f->driver, len);
	driver_add(&f->driver, queue, &(struct driver_buffer){address, len, write}, 1);
	return address;
}

/* Offer count buffers for control messages. */
static gpa_t offer_control(struct fixture *f, unsigned count) {
	gpa_t first = add_buffer(f, CONTROL_RX, 4096, true);
	for (unsigned i = 1; i < count; i++) {
		add_buffer(f, CONTROL_RX, 4096, true);
	}
	return first;
}

static void send_control(struct fixture *f, uint32_t id, uint16_t event, uint16_t value) {
	struct message message = {.id = id, .event = event, .value = value};
	gpa_t address = driver_alloc(&f->driver, 8);
	memcpy(driver_at(&f->driver, address), &message, 8);
	driver_add(&f->driver, CONTROL_TX, &(struct driver_buffer){address, 8, false}, 1);
	driver_kick(&f->driver, CONTROL_TX);
	assert_true(driver_wait_used(&f->driver, CONTROL_TX, WAIT_MS, NULL, NULL));
}

static void expect_control(
	struct fixture *f, gpa_t *buffer, uint32_t id, uint16_t event, const void *text, size_t text_len) {
	uint32_t len;
	struct message message;
	assert_true(driver_wait_used(&f->driver, CONTROL_RX, WAIT_MS, NULL, &len));
	assert_int_equal(len, 8 + text_len);
	memcpy(&message, driver_at(&f->driver, *buffer), sizeof(message));
	assert_int_equal(message.id, id);
	assert_int_equal(message.event, event);
	assert_int_equal(message.value, 1);
	assert_memory_equal(message.text, text, text_len);
	buffer->value += 4096;
}

static uint64_t interrupts(struct fixture *f, unsigned queue) {
	uint64_t count = 0;
	return read(f->device->vector_fds[queue], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static bool needs_reset(struct fixture *f) {
	return atomic_load(&f->device->shared->needs_reset);
}

static void open_port(struct fixture *f, uint32_t id) {
	send_control(f, id, PORT_OPEN, 1);
	assert_int_equal(f->owners[id].opened, 1);
}

/* Both ports are told in one batch and with one interrupt, the named one first. */
static void test_announce(void **state) {
	struct fixture *f = *state;
	boot(f);
	gpa_t buffer = offer_control(f, 8);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	expect_control(f, &buffer, 1, PORT_ADD, NULL, 0);
	expect_control(f, &buffer, 1, PORT_OPEN, NULL, 0);
	expect_control(f, &buffer, 1, PORT_NAME, "ph.control", 10);
	expect_control(f, &buffer, 0, PORT_ADD, NULL, 0);
	expect_control(f, &buffer, 0, CONSOLE_PORT, NULL, 0);
	assert_int_equal(interrupts(f, CONTROL_RX), 1);
	send_control(f, 1, PORT_READY, 1);
	send_control(f, 0, PORT_READY, 1);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	assert_false(driver_wait_used(&f->driver, CONTROL_RX, 20, NULL, NULL));
}

static void test_announce_waits_for_buffers(void **state) {
	struct fixture *f = *state;
	boot(f);
	gpa_t buffer = offer_control(f, 2);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	expect_control(f, &buffer, 1, PORT_ADD, NULL, 0);
	expect_control(f, &buffer, 1, PORT_OPEN, NULL, 0);
	assert_false(driver_wait_used(&f->driver, CONTROL_RX, 20, NULL, NULL));
	buffer = offer_control(f, 3);
	driver_kick(&f->driver, CONTROL_RX);
	expect_control(f, &buffer, 1, PORT_NAME, "ph.control", 10);
	expect_control(f, &buffer, 0, PORT_ADD, NULL, 0);
	expect_control(f, &buffer, 0, CONSOLE_PORT, NULL, 0);
}

static void test_from_guest(void **state) {
	struct fixture *f = *state;
	boot(f);
	for (unsigned port = 0; port < 2; port++) {
		gpa_t address = add_buffer(f, port == 0 ? TX0 : TX1, 5, false);
		memcpy(driver_at(&f->driver, address), port == 0 ? "hello" : "frame", 5);
		driver_kick(&f->driver, port == 0 ? TX0 : TX1);
		uint32_t len;
		assert_true(driver_wait_used(&f->driver, port == 0 ? TX0 : TX1, WAIT_MS, NULL, &len));
		assert_int_equal(len, 0);
		assert_int_equal(f->owners[port].size, 5);
		assert_memory_equal(f->owners[port].data, port == 0 ? "hello" : "frame", 5);
	}
}

/* What is not taken stays with the guest, and is offered again when the owner says so, and only then. */
static void test_back_pressure(void **state) {
	struct fixture *f = *state;
	boot(f);
	struct owner *owner = &f->owners[1];
	owner->room = 3;
	gpa_t address = driver_alloc(&f->driver, 8192);
	memcpy(driver_at(&f->driver, address), "01234", 5);
	memcpy(driver_at(&f->driver, (gpa_t){address.value + 4096}), "56789", 5);
	driver_add(&f->driver, TX1,
		(struct driver_buffer[]){{address, 5, false}, {{address.value + 4096}, 5, false}}, 2);
	driver_kick(&f->driver, TX1);
	assert_false(driver_wait_used(&f->driver, TX1, 20, NULL, NULL));
	driver_kick(&f->driver, TX1);
	driver_run(&f->driver, 20);
	assert_int_equal(owner->size, 3);
	assert_int_equal(owner->calls, 1);
	owner->room = 4;
	console_port_resume(f->ports[1]);
	assert_false(driver_wait_used(&f->driver, TX1, 20, NULL, NULL));
	owner->room = 100;
	console_port_resume(f->ports[1]);
	assert_true(driver_wait_used(&f->driver, TX1, WAIT_MS, NULL, NULL));
	assert_int_equal(owner->size, 10);
	assert_memory_equal(owner->data, "0123456789", 10);
}

/* A chain of a megabyte takes several turns of the loop, so that the loop's other sources get theirs. */
static void test_turns(void **state) {
	struct fixture *f = *state;
	boot(f);
	gpa_t address = add_buffer(f, TX1, 1 << 20, false);
	uint8_t *data = driver_at(&f->driver, address);
	for (unsigned i = 0; i < 1 << 20; i++) {
		data[i] = (uint8_t)(i * 7 ^ i >> 8);
	}
	f->device->ops->notify(f->device, &f->device->queues[TX1]);
	assert_in_range(f->owners[1].size, 1, 512 * 1024);
	assert_true(driver_wait_used(&f->driver, TX1, WAIT_MS, NULL, NULL));
	assert_int_equal(f->owners[1].size, 1 << 20);
	assert_memory_equal(f->owners[1].data, data, 1 << 20);
}

static void test_to_guest(void **state) {
	struct fixture *f = *state;
	boot(f);
	gpa_t address = add_buffer(f, RX1, 4, true);
	assert_int_equal(console_port_send(f->ports[1], "abcdef", 6), 0);
	open_port(f, 1);
	assert_int_equal(console_port_send(f->ports[1], "abcdef", 6), 4);
	uint32_t len;
	assert_true(driver_wait_used(&f->driver, RX1, WAIT_MS, NULL, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(driver_at(&f->driver, address), "abcd", 4);
	assert_int_equal(interrupts(f, RX1), 1);
	assert_int_equal(f->owners[1].writable, 0);
	add_buffer(f, RX1, 4, true);
	driver_kick(&f->driver, RX1);
	driver_run(&f->driver, 20);
	assert_int_equal(f->owners[1].writable, 1);
	driver_kick(&f->driver, RX1);
	driver_run(&f->driver, 20);
	assert_int_equal(f->owners[1].writable, 1);
	assert_int_equal(console_port_send(f->ports[1], "ef", 2), 2);
}

static void test_senseless_messages_are_ignored(void **state) {
	struct fixture *f = *state;
	boot(f);
	send_control(f, 2, PORT_OPEN, 1);
	send_control(f, 0xfffffffe, PORT_OPEN, 1);
	send_control(f, 0, 0x1234, 1);
	send_control(f, 1, PORT_READY, 0);
	send_control(f, 0, DEVICE_READY, 0);
	add_buffer(f, CONTROL_TX, 7, false);
	driver_kick(&f->driver, CONTROL_TX);
	assert_true(driver_wait_used(&f->driver, CONTROL_TX, WAIT_MS, NULL, NULL));
	add_buffer(f, CONTROL_TX, 64, true);
	driver_kick(&f->driver, CONTROL_TX);
	assert_true(driver_wait_used(&f->driver, CONTROL_TX, WAIT_MS, NULL, NULL));
	assert_false(needs_reset(f));
	assert_int_equal(f->owners[0].opened + f->owners[1].opened, 0);
}

static void test_small_control_buffer_breaks(void **state) {
	struct fixture *f = *state;
	boot(f);
	add_buffer(f, CONTROL_RX, 7, true);
	const struct message message = {.id = 0xffffffff, .event = DEVICE_READY, .value = 1};
	memcpy(driver_at(&f->driver, add_buffer(f, CONTROL_TX, 8, false)), &message, 8);
	driver_kick(&f->driver, CONTROL_TX);
	driver_run(&f->driver, 20);
	assert_true(needs_reset(f));
}

static void test_receive_buffer_without_room_breaks(void **state) {
	struct fixture *f = *state;
	boot(f);
	open_port(f, 1);
	add_buffer(f, RX1, 16, false);
	assert_int_equal(console_port_send(f->ports[1], "x", 1), 0);
	assert_true(needs_reset(f));
	assert_int_equal(console_port_send(f->ports[1], "x", 1), 0);
}

static void test_wild_descriptor_breaks(void **state) {
	struct fixture *f = *state;
	boot(f);
	driver_add(&f->driver, TX1, &(struct driver_buffer){{DRIVER_RAM_SIZE - 2}, 4, false}, 1);
	driver_kick(&f->driver, TX1);
	driver_run(&f->driver, 20);
	assert_true(needs_reset(f));
	assert_int_equal(f->owners[1].size, 0);
}

/* After a reset nothing is left: not the open port, not the half-taken chain, not the announcement. */
static void test_reset(void **state) {
	struct fixture *f = *state;
	boot(f);
	gpa_t buffer = offer_control(f, 2);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	open_port(f, 1);
	f->owners[1].room = 2;
	memcpy(driver_at(&f->driver, add_buffer(f, TX1, 4, false)), "abcd", 4);
	driver_kick(&f->driver, TX1);
	driver_run(&f->driver, 20);
	driver_stop(&f->driver);
	assert_int_equal(f->owners[1].closed, 1);
	assert_int_equal(console_port_send(f->ports[1], "x", 1), 0);
	console_port_resume(f->ports[1]);

	f->owners[1].room = 100;
	boot(f);
	memcpy(driver_at(&f->driver, add_buffer(f, TX1, 4, false)), "efgh", 4);
	driver_kick(&f->driver, TX1);
	assert_true(driver_wait_used(&f->driver, TX1, WAIT_MS, NULL, NULL));
	assert_int_equal(f->owners[1].size, 6);
	assert_memory_equal(f->owners[1].data, "abefgh", 6);
	buffer = offer_control(f, 8);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	expect_control(f, &buffer, 1, PORT_ADD, NULL, 0);
}

/* A driver that knows one port only. */
static void test_without_multiport(void **state) {
	struct fixture *f = *state;
	assert_int_equal(driver_start(&f->driver, f->device, 0), 0);
	assert_int_equal(f->owners[0].opened, 1);
	assert_int_equal(f->owners[1].opened, 0);
	gpa_t address = add_buffer(f, RX0, 16, true);
	assert_int_equal(console_port_send(f->ports[0], "key", 3), 3);
	assert_memory_equal(driver_at(&f->driver, address), "key", 3);
	offer_control(f, 2);
	send_control(f, 0xffffffff, DEVICE_READY, 1);
	assert_false(driver_wait_used(&f->driver, CONTROL_RX, 20, NULL, NULL));
}

static void test_ports_run_out(void **state) {
	struct fixture *f = *state;
	struct console_port *port;
	for (unsigned i = 2; i < CONSOLE_PORTS_MAX; i++) {
		assert_int_equal(console_add_port(f->device, "more", &ops, &f->owners[1], &port), 0);
	}
	assert_int_equal(console_add_port(f->device, "more", &ops, &f->owners[1], &port), -ENOSPC);
	assert_int_equal(f->device->queue_count, 2 * (CONSOLE_PORTS_MAX + 1));
	uint32_t ports;
	memcpy(&ports, f->device->config + 4, sizeof(ports));
	assert_int_equal(ports, CONSOLE_PORTS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_announce),
		TEST(test_announce_waits_for_buffers),
		TEST(test_from_guest),
		TEST(test_back_pressure),
		TEST(test_turns),
		TEST(test_to_guest),
		TEST(test_senseless_messages_are_ignored),
		TEST(test_small_control_buffer_breaks),
		TEST(test_receive_buffer_without_room_breaks),
		TEST(test_wild_descriptor_breaks),
		TEST(test_reset),
		TEST(test_without_multiport),
		TEST(test_ports_run_out),
	};
	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
