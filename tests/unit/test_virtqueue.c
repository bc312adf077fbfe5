/* Split virtqueues: what the device gets to see of right rings, and that each broken rule breaks the queue.
 */
#include "driver.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 8
#define INDIRECT (1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (1ULL << VIRTIO_RING_F_EVENT_IDX)

struct fixture {
	struct driver driver;
	struct virtio_device device;
	struct virtqueue *queue;
	struct virtqueue_chain chain;
	gpa_t buffer; /* two pages */
};

static int start(struct virtio_device *device) {
	(void)device;
	return 0;
}

static void stop(struct virtio_device *device) {
	(void)device;
}

/* The tests call the queue's functions themselves. */
static const struct virtio_device_ops ops = {.start = start, .stop = stop};

static struct fixture *set_up(uint64_t features) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->device =
		(struct virtio_device){.ops = &ops, .name = "test", .queue_count = 1, .queue_size = {SIZE}};
	assert_int_equal(virtio_device_init(&f->device), 0);
	driver_init(&f->driver);
	assert_int_equal(driver_start(&f->driver, &f->device, features), 0);
	f->queue = &f->device.queues[0];
	f->buffer = driver_alloc(&f->driver, 8192);
	return f;
}

static void tear_down(struct fixture *f) {
	driver_stop(&f->driver);
	virtio_device_finish(&f->device);
	driver_finish(&f->driver);
	free(f);
}

static gpa_t plus(gpa_t address, uint64_t offset) {
	return (gpa_t){address.value + offset};
}

/* One descriptor of the ring. */
static void put(
	struct fixture *f, uint16_t index, gpa_t address, uint32_t len, uint16_t flags, uint16_t next) {
	driver_descriptor(&f->driver, 0, index, address, len, flags, next);
}

static void put_indirect(struct fixture *f, gpa_t table, unsigned index, gpa_t address, uint32_t len,
	uint16_t flags, uint16_t next) {
	uint8_t *d = (uint8_t *)driver_at(&f->driver, table) + 16 * (size_t)index;
	memcpy(d, &address.value, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

static int pop(struct fixture *f) {
	return virtqueue_pop(f->queue, &f->chain);
}

/* The chain at head 0 must break the queue for good, even when a right one follows. */
static void expect_broken(struct fixture *f) {
	driver_offer(&f->driver, 0, 0);
	assert_int_equal(pop(f), -EPROTO);
	assert_non_null(f->queue->rule);
	put(f, 1, f->buffer, 16, 0, 0);
	driver_offer(&f->driver, 0, 1);
	assert_int_equal(pop(f), -EPROTO);
	assert_false(virtqueue_enable_notify(f->queue));
	tear_down(f);
}

static uint16_t *avail(struct fixture *f, unsigned index) {
	return (uint16_t *)driver_at(&f->driver, f->driver.queues[0].config.driver_area) + index;
}

static uint16_t *used(struct fixture *f, unsigned index) {
	return (uint16_t *)driver_at(&f->driver, f->driver.queues[0].config.device_area) + index;
}

static bool interrupted(struct fixture *f) {
	uint64_t count;
	return read(f->queue->call_fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- right rings ---- */

static void test_empty(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	assert_int_equal(pop(f), 0);
	tear_down(f);
}

static void test_chain(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffers[] = {
		{f->buffer, 10, false}, {plus(f->buffer, 100), 20, false}, {plus(f->buffer, 200), 30, true}};
	uint16_t head = driver_add(&f->driver, 0, buffers, 3);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, head);
	assert_int_equal(f->chain.readable_count, 2);
	assert_int_equal(f->chain.writable_count, 1);
	assert_int_equal(f->chain.readable_size, 30);
	assert_int_equal(f->chain.writable_size, 30);
	assert_ptr_equal(f->chain.iov[2].iov_base, driver_at(&f->driver, plus(f->buffer, 200)));
	assert_int_equal(pop(f), 0);
	virtqueue_push(f->queue, head, 7);
	uint16_t id;
	uint32_t len;
	assert_true(driver_wait_used(&f->driver, 0, 0, &id, &len));
	assert_int_equal(id, head);
	assert_int_equal(len, 7);
	tear_down(f);
}

static void test_full_length_chain(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffers[SIZE];
	for (unsigned i = 0; i < SIZE; i++) {
		buffers[i] = (struct driver_buffer){plus(f->buffer, 8 * i), 8, i >= 4};
	}
	driver_add(&f->driver, 0, buffers, SIZE);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.readable_count + f->chain.writable_count, SIZE);
	tear_down(f);
}

static void test_empty_segments_are_left_out(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	/* The address of nothing may be anything. */
	struct driver_buffer buffers[] = {{{UINT64_MAX}, 0, false}, {f->buffer, 4, false}, {{0}, 0, true}};
	driver_add(&f->driver, 0, buffers, 3);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.readable_count, 1);
	assert_int_equal(f->chain.writable_count, 0);
	virtqueue_push(f->queue, f->chain.head, 0);
	driver_add(&f->driver, 0, buffers, 1);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.readable_count, 0);
	tear_down(f);
}

static void test_indirect(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	gpa_t table = plus(f->buffer, 4096 + 8); /* needs no alignment */
	put_indirect(f, table, 0, plus(f->buffer, 16), 16, DRIVER_NEXT, 2);
	put_indirect(f, table, 2, plus(f->buffer, 32), 16, DRIVER_WRITE, 0);
	put(f, 0, f->buffer, 8, DRIVER_NEXT, 3);
	/* The flag for writing means nothing on the descriptor of a table. */
	put(f, 3, table, 3 * 16, DRIVER_INDIRECT | DRIVER_WRITE, 0);
	driver_offer(&f->driver, 0, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.readable_count, 2);
	assert_int_equal(f->chain.readable_size, 24);
	assert_int_equal(f->chain.writable_count, 1);
	tear_down(f);
}

/* Indexes run on through 65535 and 0. */
static void test_index_wrap(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffer = {f->buffer, 4, true};
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t head = driver_add(&f->driver, 0, &buffer, 1);
		assert_int_equal(pop(f), 1);
		virtqueue_push(f->queue, f->chain.head, i);
		uint16_t id;
		uint32_t len;
		assert_true(driver_wait_used(&f->driver, 0, 0, &id, &len));
		assert_int_equal(id, head);
		assert_int_equal(len, i);
	}
	tear_down(f);
}

static void test_out_of_order(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffer = {f->buffer, 4, true};
	uint16_t heads[2], popped[2], id;
	for (unsigned i = 0; i < 2; i++) {
		heads[i] = driver_add(&f->driver, 0, &buffer, 1);
		assert_int_equal(pop(f), 1);
		popped[i] = f->chain.head;
	}
	virtqueue_push(f->queue, popped[1], 0);
	virtqueue_push(f->queue, popped[0], 0);
	assert_true(driver_wait_used(&f->driver, 0, 0, &id, NULL));
	assert_int_equal(id, heads[1]);
	assert_true(driver_wait_used(&f->driver, 0, 0, &id, NULL));
	assert_int_equal(id, heads[0]);
	tear_down(f);
}

static void test_unpop(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	struct driver_buffer buffer = {f->buffer, 4, true};
	uint16_t head = driver_add(&f->driver, 0, &buffer, 1);
	assert_int_equal(pop(f), 1);
	virtqueue_unpop(f->queue);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, head);
	assert_int_equal(pop(f), 0);
	tear_down(f);
}

/* ---- broken rules ---- */

static void test_loop(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 4, DRIVER_NEXT, 1);
	put(f, 1, f->buffer, 4, DRIVER_NEXT, 0);
	expect_broken(f);
}

static void test_loop_of_nothing(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 0, DRIVER_NEXT, 0);
	expect_broken(f);
}

static void test_next_outside(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 4, DRIVER_NEXT, SIZE);
	expect_broken(f);
}

static void test_head_outside(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	driver_offer(&f->driver, 0, SIZE);
	expect_broken(f);
}

static void test_head_in_flight(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 4, 0, 0);
	driver_offer(&f->driver, 0, 0);
	assert_int_equal(pop(f), 1);
	expect_broken(f);
}

static void test_index_jump(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 4, 0, 0);
	f->driver.queues[0].avail_index = SIZE; /* with the one offered: one more than fit */
	expect_broken(f);
}

static void test_readable_after_writable(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 4, DRIVER_NEXT | DRIVER_WRITE, 1);
	put(f, 1, f->buffer, 4, 0, 0);
	expect_broken(f);
}

static void test_outside_of_ram(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, (gpa_t){DRIVER_RAM_SIZE - 4}, 5, 0, 0);
	expect_broken(f);
	f = set_up(0);
	put(f, 0, (gpa_t){UINT64_MAX - 3}, 8, 0, 0);
	expect_broken(f);
}

static void test_total_too_long(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	/* Rings of this size hold no 4 GiB of RAM of the driver's: map the same bytes as a huge region. */
	f->driver.memory.regions[0].size = 1ULL << 33;
	put(f, 0, f->buffer, 0xffffffff, DRIVER_NEXT, 1);
	put(f, 1, f->buffer, 1, DRIVER_NEXT, 2);
	put(f, 2, f->buffer, 1, 0, 0);
	expect_broken(f);
}

static void test_indirect_not_negotiated(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	put(f, 0, f->buffer, 16, DRIVER_INDIRECT, 0);
	expect_broken(f);
}

static void test_indirect_size(void **state) {
	(void)state;
	const uint32_t sizes[] = {0, 15, 17, (SIZE + 1) * 16, 0xfffffff0};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture *f = set_up(INDIRECT);
		put_indirect(f, f->buffer, 0, plus(f->buffer, 4096), 4, 0, 0);
		put(f, 0, f->buffer, sizes[i], DRIVER_INDIRECT, 0);
		expect_broken(f);
	}
}

static void test_indirect_nested(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	put_indirect(f, f->buffer, 0, plus(f->buffer, 4096), 16, DRIVER_INDIRECT, 0);
	put_indirect(f, plus(f->buffer, 4096), 0, f->buffer, 4, 0, 0);
	put(f, 0, f->buffer, 16, DRIVER_INDIRECT, 0);
	expect_broken(f);
}

static void test_indirect_continued(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	put_indirect(f, f->buffer, 0, plus(f->buffer, 4096), 4, 0, 0);
	put(f, 0, f->buffer, 16, DRIVER_INDIRECT | DRIVER_NEXT, 1);
	put(f, 1, f->buffer, 4, 0, 0);
	expect_broken(f);
}

static void test_indirect_next_outside(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	put_indirect(f, f->buffer, 0, plus(f->buffer, 4096), 4, DRIVER_NEXT, 2);
	put_indirect(f, f->buffer, 2, plus(f->buffer, 4096), 4, 0, 0);
	put(f, 0, f->buffer, 2 * 16, DRIVER_INDIRECT, 0);
	expect_broken(f);
}

static void test_indirect_outside_of_ram(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	put(f, 0, (gpa_t){DRIVER_RAM_SIZE - 16}, 32, DRIVER_INDIRECT, 0);
	expect_broken(f);
}

static void test_indirect_too_long_in_total(void **state) {
	(void)state;
	struct fixture *f = set_up(INDIRECT);
	for (unsigned i = 0; i < SIZE; i++) {
		put_indirect(f, f->buffer, i, plus(f->buffer, 4096), 4, i + 1 < SIZE ? DRIVER_NEXT : 0,
			(uint16_t)(i + 1));
	}
	put(f, 0, plus(f->buffer, 4096), 4, DRIVER_NEXT, 2);
	put(f, 2, f->buffer, SIZE * 16, DRIVER_INDIRECT, 0);
	expect_broken(f);
}

static void test_configuration(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	const struct virtqueue_config good = f->driver.queues[0].config;
	const struct virtqueue_config bad[] = {
		{good.descriptor_area, good.driver_area, good.device_area, 0, 0},
		{good.descriptor_area, good.driver_area, good.device_area, 6, 0},
		{good.descriptor_area, good.driver_area, good.device_area, 2 * VIRTQUEUE_SIZE_MAX, 0},
		{plus(good.descriptor_area, 8), good.driver_area, good.device_area, SIZE, 0},
		{good.descriptor_area, plus(good.driver_area, 1), good.device_area, SIZE, 0},
		{good.descriptor_area, good.driver_area, plus(good.device_area, 2), SIZE, 0},
		{{DRIVER_RAM_SIZE - 16 * SIZE + 16}, good.driver_area, good.device_area, SIZE, 0},
		{good.descriptor_area, {DRIVER_RAM_SIZE - 2 * SIZE - 4}, good.device_area, SIZE, 0},
		{good.descriptor_area, good.driver_area, {DRIVER_RAM_SIZE - 8 * SIZE - 4}, SIZE, 0},
		{{UINT64_MAX - 15}, good.driver_area, good.device_area, SIZE, 0},
	};
	struct virtqueue queue = {0};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(virtqueue_start(&queue, &f->driver.memory, &bad[i], 0, -1), -EINVAL);
		assert_int_equal(virtqueue_pop(&queue, &f->chain), 0);
	}
	assert_int_equal(virtqueue_start(&queue, &f->driver.memory, &good, 0, -1), 0);
	tear_down(f);
}

/* ---- interrupts and notifications ---- */

static void serve_one(struct fixture *f) {
	struct driver_buffer buffer = {f->buffer, 4, true};
	driver_add(&f->driver, 0, &buffer, 1);
	assert_int_equal(pop(f), 1);
	virtqueue_push(f->queue, f->chain.head, 0);
}

static void test_interrupt_flag(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	virtqueue_signal(f->queue);
	assert_false(interrupted(f)); /* nothing happened */
	serve_one(f);
	assert_false(interrupted(f)); /* pushing alone does not */
	virtqueue_signal(f->queue);
	assert_true(interrupted(f));
	virtqueue_signal(f->queue);
	assert_false(interrupted(f));
	*avail(f, 0) = 1;
	serve_one(f);
	virtqueue_signal(f->queue);
	assert_false(interrupted(f));
	tear_down(f);
}

static void test_interrupt_event(void **state) {
	(void)state;
	struct fixture *f = set_up(EVENT_IDX);
	*avail(f, 0) = 1;        /* means nothing with EVENT_IDX */
	*avail(f, 2 + SIZE) = 1; /* used_event: interrupt once element 1 is used */
	serve_one(f);
	virtqueue_signal(f->queue);
	assert_false(interrupted(f));
	serve_one(f);
	virtqueue_signal(f->queue);
	assert_true(interrupted(f));
	serve_one(f);
	virtqueue_signal(f->queue);
	assert_false(interrupted(f));
	/* In the middle of a batch counts. */
	*avail(f, 2 + SIZE) = 4;
	serve_one(f);
	serve_one(f);
	serve_one(f);
	virtqueue_signal(f->queue);
	assert_true(interrupted(f));
	tear_down(f);
}

/* After 65536 elements without a signal the indexes look as if nothing had happened. */
static void test_interrupt_event_lap(void **state) {
	(void)state;
	struct fixture *f = set_up(EVENT_IDX);
	*avail(f, 2 + SIZE) = 100;
	for (unsigned i = 0; i < 65536; i++) {
		serve_one(f);
	}
	virtqueue_signal(f->queue);
	assert_true(interrupted(f));
	virtqueue_signal(f->queue);
	assert_false(interrupted(f));
	tear_down(f);
}

static void test_notify_flag(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	virtqueue_disable_notify(f->queue);
	assert_int_equal(*used(f, 0), 1);
	assert_false(virtqueue_enable_notify(f->queue));
	assert_int_equal(*used(f, 0), 0);
	driver_offer(&f->driver, 0, 0);
	assert_true(virtqueue_enable_notify(f->queue));
	tear_down(f);
}

static void test_notify_event(void **state) {
	(void)state;
	struct fixture *f = set_up(EVENT_IDX);
	virtqueue_disable_notify(f->queue);
	assert_int_equal(*used(f, 0), 0);
	serve_one(f);
	assert_false(virtqueue_enable_notify(f->queue));
	assert_int_equal(*used(f, 2 + 4 * SIZE), 1); /* avail_event: tell me of the next */
	driver_offer(&f->driver, 0, 0);
	assert_true(virtqueue_enable_notify(f->queue));
	tear_down(f);
}

static void test_stopped(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	serve_one(f);
	virtqueue_stop(f->queue);
	driver_offer(&f->driver, 0, 0);
	assert_int_equal(pop(f), 0);
	virtqueue_signal(f->queue);
	assert_false(virtqueue_enable_notify(f->queue));
	virtqueue_disable_notify(f->queue);
	tear_down(f);
}

/* ---- bytes of a chain ---- */

static void pop_pieces(struct fixture *f) {
	struct driver_buffer buffers[] = {{f->buffer, 3, false}, {plus(f->buffer, 10), 5, false},
		{plus(f->buffer, 4096), 4, true}, {plus(f->buffer, 4106), 4, true}};
	memcpy(driver_at(&f->driver, f->buffer), "abc", 3);
	memcpy(driver_at(&f->driver, plus(f->buffer, 10)), "defgh", 5);
	driver_add(&f->driver, 0, buffers, 4);
	assert_int_equal(pop(f), 1);
}

static void test_chain_read(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	pop_pieces(f);
	char text[16] = {0};
	assert_int_equal(virtqueue_chain_read(&f->chain, 0, text, sizeof(text)), 8);
	assert_string_equal(text, "abcdefgh");
	memset(text, 0, sizeof(text));
	assert_int_equal(virtqueue_chain_read(&f->chain, 2, text, 2), 2);
	assert_string_equal(text, "cd");
	assert_int_equal(virtqueue_chain_read(&f->chain, 8, text, 1), 0);
	assert_int_equal(virtqueue_chain_read(&f->chain, UINT64_MAX, text, 1), 0);
	tear_down(f);
}

static void test_chain_write(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	pop_pieces(f);
	assert_int_equal(virtqueue_chain_write(&f->chain, 0, "0123456789", 10), 8);
	assert_memory_equal(driver_at(&f->driver, plus(f->buffer, 4096)), "0123\0", 5);
	assert_memory_equal(driver_at(&f->driver, plus(f->buffer, 4106)), "4567\0", 5);
	assert_int_equal(virtqueue_chain_write(&f->chain, 3, "xy", 2), 2);
	assert_memory_equal(driver_at(&f->driver, plus(f->buffer, 4099)), "x", 1);
	assert_memory_equal(driver_at(&f->driver, plus(f->buffer, 4106)), "y", 1);
	assert_int_equal(virtqueue_chain_write(&f->chain, UINT64_MAX, "x", 1), 0);
	tear_down(f);
}

static void test_chain_slice(void **state) {
	(void)state;
	struct fixture *f = set_up(0);
	pop_pieces(f);
	struct iovec iov[4];
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 2, 4, iov, 4), 2);
	assert_ptr_equal(iov[0].iov_base, driver_at(&f->driver, plus(f->buffer, 4098)));
	assert_int_equal(iov[0].iov_len, 2);
	assert_int_equal(iov[1].iov_len, 2);
	assert_int_equal(virtqueue_chain_slice(&f->chain, false, 3, 5, iov, 1), 1);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 2, 4, iov, 1), 0);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 0, 9, iov, 4), 0);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 8, 1, iov, 4), 0);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, UINT64_MAX, 2, iov, 4), 0);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 4, UINT64_MAX, iov, 4), 0);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 0, 0, iov, 4), 0);
	tear_down(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_full_length_chain),
		cmocka_unit_test(test_empty_segments_are_left_out),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_index_wrap),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_unpop),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_loop_of_nothing),
		cmocka_unit_test(test_next_outside),
		cmocka_unit_test(test_head_outside),
		cmocka_unit_test(test_head_in_flight),
		cmocka_unit_test(test_index_jump),
		cmocka_unit_test(test_readable_after_writable),
		cmocka_unit_test(test_outside_of_ram),
		cmocka_unit_test(test_total_too_long),
		cmocka_unit_test(test_indirect_not_negotiated),
		cmocka_unit_test(test_indirect_size),
		cmocka_unit_test(test_indirect_nested),
		cmocka_unit_test(test_indirect_continued),
		cmocka_unit_test(test_indirect_next_outside),
		cmocka_unit_test(test_indirect_outside_of_ram),
		cmocka_unit_test(test_indirect_too_long_in_total),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_interrupt_flag),
		cmocka_unit_test(test_interrupt_event),
		cmocka_unit_test(test_interrupt_event_lap),
		cmocka_unit_test(test_notify_flag),
		cmocka_unit_test(test_notify_event),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_chain_read),
		cmocka_unit_test(test_chain_write),
		cmocka_unit_test(test_chain_slice),
	};
	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
