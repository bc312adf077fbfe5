/*
 * Every device against drivers that break the rules of the ring: it says that it needs a reset, serves
 * nothing until then, and starts again after it. And against drivers that reset it at any moment: after the
 * reset it touches guest memory no more.
 */
#include "abused_devices.h"
#include "driver.h"

#include "ph/balloon.h"
#include "ph/block.h"
#include "ph/console.h"
#include "ph/files.h"
#include "ph/rng.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define VERSION_1 (1ULL << VIRTIO_RING_F_VERSION_1)
#define INDIRECT (1ULL << VIRTIO_RING_F_INDIRECT_DESC)

/* ---- the devices ---- */

static struct virtio_device *create_rng(void) {
	struct virtio_device *device = NULL;
	assert_int_equal(rng_create(&device), 0);
	return device;
}

static struct virtio_device *create_balloon(void) {
	struct virtio_device *device = NULL;
	assert_int_equal(balloon_create(&device), 0);
	return device;
}

/* looks_at: the queues that the device takes chains from as soon as they come, as bits. It takes those of the
 * others when it has something to put into them. */
static const struct kind {
	struct virtio_device *(*create)(void);
	void (*destroy)(struct virtio_device *device);
	unsigned looks_at;
} kinds[] = {
	{create_rng, rng_destroy, 1},
	{create_balloon, balloon_destroy, 0x17},
	{abused_block_create, block_destroy, 3},
	{abused_console_create, console_destroy, 0x2a},
	{abused_files_create, files_destroy, 1},
};

/* ---- a device, and its host on a thread ---- */

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	struct virtio_host host;
	struct virtio_host_client client;
	struct virtio_activation activation;
	pthread_t thread;
	struct loop_source end;
	gpa_t buffer; /* three pages */
	unsigned queue;
};

static struct loop *host_loop;

static void end_host(struct loop_source *source, uint32_t events) {
	(void)source;
	(void)events;
	loop_stop(host_loop, 0);
}

static void *run_host(void *data) {
	struct fixture *f = data;
	loop_run(&f->driver.loop);
	return NULL;
}

static struct fixture *set_up(const struct kind *kind) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	f->device = f->driver.device = kind->create();
	f->buffer = driver_alloc(&f->driver, 12288);
	for (unsigned i = 0; i < f->device->queue_count; i++) {
		struct virtqueue_config *config = &f->driver.queues[i].config;
		config->size = f->device->queue_size[i];
		config->vector = (uint16_t)i;
		config->descriptor_area = driver_alloc(&f->driver, 4096);
		config->driver_area = driver_alloc(&f->driver, 4096);
		config->device_area = driver_alloc(&f->driver, 4096);
		f->activation.queues[i] = *config;
	}
	f->activation.config_vector = (uint16_t)f->device->queue_count;
	int host_end, client_end;
	assert_int_equal(virtio_host_socketpair(&host_end, &client_end), 0);
	f->host.devices[0] = f->device;
	f->host.device_count = 1;
	assert_int_equal(virtio_host_init(&f->host, &f->driver.loop, &f->driver.memory, host_end), 0);
	assert_int_equal(virtio_host_client_init(&f->client, client_end), 0);
	f->end = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = end_host};
	host_loop = &f->driver.loop;
	assert_int_equal(loop_add(&f->driver.loop, &f->end, EPOLLIN), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_host, f), 0);
	return f;
}

static void tear_down(struct fixture *f, const struct kind *kind) {
	uint64_t one = 1;
	assert_int_equal(write(f->end.fd, &one, sizeof(one)), sizeof(one));
	pthread_join(f->thread, NULL);
	close(f->end.fd);
	virtio_host_finish(&f->host);
	virtio_host_client_finish(&f->client);
	kind->destroy(f->device);
	driver_finish(&f->driver);
	free(f);
}

/* Start with empty rings. */
static void activate(struct fixture *f, uint64_t features) {
	for (unsigned i = 0; i < f->device->queue_count; i++) {
		struct driver_queue *queue = &f->driver.queues[i];
		queue->next_descriptor = queue->avail_index = queue->used_seen = 0;
		memset(driver_at(&f->driver, queue->config.descriptor_area), 0, 3 * 4096);
	}
	f->activation.driver_features = VERSION_1 | f->device->features | features;
	assert_int_equal(virtio_host_activate(&f->client, 0, &f->activation), 0);
}

/* ---- what drivers must not do; each prepares descriptor 0 and offers it ---- */

static void put(
	struct fixture *f, uint16_t index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	driver_descriptor(&f->driver, f->queue, index, (gpa_t){address}, len, flags, next);
}

static void put_in_table(struct fixture *f, unsigned index, uint64_t address, uint32_t len, uint16_t flags) {
	uint8_t *entry = (uint8_t *)driver_at(&f->driver, f->buffer) + 16 * (size_t)index;
	memset(entry, 0, 16);
	memcpy(entry, &address, 8);
	memcpy(entry + 8, &len, 4);
	memcpy(entry + 12, &flags, 2);
}

static void loop_of_descriptors(struct fixture *f) {
	put(f, 0, f->buffer.value, 16, DRIVER_NEXT, 1);
	put(f, 1, f->buffer.value, 16, DRIVER_NEXT, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void next_outside(struct fixture *f) {
	put(f, 0, f->buffer.value, 16, DRIVER_NEXT, f->activation.queues[f->queue].size);
	driver_offer(&f->driver, f->queue, 0);
}

static void head_outside(struct fixture *f) {
	driver_offer(&f->driver, f->queue, f->activation.queues[f->queue].size);
}

static void index_jump(struct fixture *f) {
	put(f, 0, f->buffer.value, 16, DRIVER_WRITE, 0);
	f->driver.queues[f->queue].avail_index = 0x8000;
	driver_offer(&f->driver, f->queue, 0);
}

static void readable_after_writable(struct fixture *f) {
	put(f, 0, f->buffer.value, 16, DRIVER_NEXT | DRIVER_WRITE, 1);
	put(f, 1, f->buffer.value, 16, 0, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void outside_of_ram(struct fixture *f) {
	put(f, 0, DRIVER_RAM_SIZE - 8, 16, 0, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void address_wraps(struct fixture *f) {
	put(f, 0, UINT64_MAX - 7, 16, DRIVER_WRITE, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void nested_table(struct fixture *f) {
	put_in_table(f, 0, f->buffer.value, 16, DRIVER_INDIRECT);
	put(f, 0, f->buffer.value, 16, DRIVER_INDIRECT, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void odd_table(struct fixture *f) {
	put_in_table(f, 0, f->buffer.value + 4096, 16, 0);
	put(f, 0, f->buffer.value, 24, DRIVER_INDIRECT, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void huge_table(struct fixture *f) {
	put_in_table(f, 0, f->buffer.value + 4096, 16, 0);
	put(f, 0, f->buffer.value, 0x100000, DRIVER_INDIRECT, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static void table_not_negotiated(struct fixture *f) {
	put_in_table(f, 0, f->buffer.value + 4096, 16, 0);
	put(f, 0, f->buffer.value, 16, DRIVER_INDIRECT, 0);
	driver_offer(&f->driver, f->queue, 0);
}

static const struct abuse {
	void (*commit)(struct fixture *f);
	uint64_t features;
} abuses[] = {
	{loop_of_descriptors, 0},
	{next_outside, 0},
	{head_outside, 0},
	{index_jump, 0},
	{readable_after_writable, 0},
	{outside_of_ram, 0},
	{address_wraps, 0},
	{nested_table, INDIRECT},
	{odd_table, INDIRECT},
	{huge_table, INDIRECT},
	{table_not_negotiated, 0},
};

static bool told_of_reset(struct fixture *f) {
	int fd = f->device->vector_fds[f->device->queue_count];
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	uint64_t count;
	return poll(&pollfd, 1, 10000) == 1 && read(fd, &count, sizeof(count)) == sizeof(count) &&
	       f->device->shared->needs_reset;
}

static void expect_unharmed(struct fixture *f, const struct abuse *abuse, bool noticed) {
	activate(f, abuse->features);
	abuse->commit(f);
	driver_kick(&f->driver, f->queue);
	if (noticed) {
		assert_true(told_of_reset(f));
	}
	assert_int_equal(virtio_host_reset(&f->client, 0), 0);
	assert_false(f->device->shared->needs_reset);
}

static void abuse_device(const struct kind *kind) {
	struct fixture *f = set_up(kind);
	for (f->queue = 0; f->queue < f->device->queue_count; f->queue++) {
		for (size_t i = 0;
			i < sizeof(abuses) / sizeof(abuses[0]) && f->activation.queues[f->queue].size > 0;
			i++) {
			expect_unharmed(f, &abuses[i], (kind->looks_at >> f->queue & 1) != 0);
		}
	}
	activate(f, 0);
	assert_false(f->device->shared->needs_reset);
	tear_down(f, kind);
}

static void test_broken_rings(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		abuse_device(&kinds[i]);
	}
}

/* ---- reset at any moment ---- */

/* As many chains in each queue as fit: 16 bytes to read, but for the rng, which may get none, and a page and
 * a byte to write. To a disk that is the reading of its first sectors; to the others it is more or less
 * nonsense. */
static void fill_queues(struct fixture *f) {
	const struct driver_buffer buffers[] = {
		{f->buffer, 16, false}, {{f->buffer.value + 4096}, 4097, true}};
	unsigned first = f->device->type == VIRTIO_TYPE_RNG ? 1 : 0;
	for (unsigned i = 0; i < f->device->queue_count; i++) {
		for (unsigned k = 0; k + 1 < f->activation.queues[i].size; k += 2) {
			driver_add(&f->driver, i, buffers + first, 2 - first);
		}
		driver_kick(&f->driver, i);
	}
}

static void pass_time(long ns) {
	struct timespec time = {.tv_nsec = ns};
	nanosleep(&time, NULL);
}

static void expect_memory_left_alone(struct fixture *f) {
	const size_t used = f->driver.next_page;
	uint8_t *ram = driver_at(&f->driver, (gpa_t){0});
	memset(ram, 0x5a, used);
	fill_queues(f);
	for (size_t i = 0; i < used; i++) {
		ram[i] = 0x5a; /* and what filling wrote */
	}
	pass_time(1000000);
	for (size_t i = 0; i < used; i++) {
		if (ram[i] != 0x5a) {
			fail_msg("%s wrote to guest address %zu after its reset", f->device->name, i);
		}
	}
}

static void reset_device(const struct kind *kind) {
	struct fixture *f = set_up(kind);
	for (long i = 0; i < 30; i++) {
		memset(driver_at(&f->driver, f->buffer), 0, 12288);
		activate(f, i % 2 != 0 ? INDIRECT | 1ULL << VIRTIO_RING_F_EVENT_IDX : 0);
		fill_queues(f);
		pass_time(i * 10000);
		assert_int_equal(virtio_host_reset(&f->client, 0), 0);
		expect_memory_left_alone(f);
	}
	tear_down(f, kind);
}

static void test_reset_at_any_moment(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		reset_device(&kinds[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_rings),
		cmocka_unit_test(test_reset_at_any_moment),
	};
	return cmocka_run_group_tests_name("virtio_abuse", tests, NULL, NULL);
}
