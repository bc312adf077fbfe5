/* Devices on their host's loop: starting and stopping by request, in this process and in another; what
 * requests are refused; and how a queue is served. */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUES 3
#define SIZE 8
#define FEATURE 5

struct fixture {
	struct driver driver; /* its loop is the host's */
	struct virtio_device device;
	struct virtio_host host;
	struct virtio_host_client client;
	struct virtio_activation activation;
	gpa_t buffer;
	int start_result;
	unsigned starts, stops, notifies, served;
	void (*while_serving)(struct fixture *f);
};

static struct fixture *fixture_of(struct virtio_device *device) {
	return (struct fixture *)(void *)((char *)device - offsetof(struct fixture, device));
}

static int start(struct virtio_device *device) {
	struct fixture *f = fixture_of(device);
	f->starts++;
	return f->start_result;
}

static void stop(struct virtio_device *device) {
	fixture_of(device)->stops++;
}

static uint32_t serve(struct virtio_device *device, struct virtqueue_chain *chain) {
	struct fixture *f = fixture_of(device);
	f->served++;
	if (f->while_serving != NULL) {
		f->while_serving(f);
	}
	return (uint32_t)virtqueue_chain_write(chain, 0, "pong", 4);
}

static void notify(struct virtio_device *device, struct virtqueue *queue) {
	fixture_of(device)->notifies++;
	virtio_device_serve_queue(device, queue, serve);
}

static const struct virtio_device_ops ops = {.start = start, .stop = stop, .notify = notify};
static const struct virtio_device_ops own_threads = {.start = start, .stop = stop};

static void describe_queue(struct fixture *f, unsigned queue) {
	struct virtqueue_config *config = &f->driver.queues[queue].config;
	config->size = SIZE;
	config->vector = (uint16_t)queue;
	config->descriptor_area = driver_alloc(&f->driver, 16 * SIZE);
	config->driver_area = driver_alloc(&f->driver, 6 + 2 * SIZE);
	config->device_area = driver_alloc(&f->driver, 6 + 8 * SIZE);
	f->activation.queues[queue] = *config;
}

static struct fixture *set_up(void) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->device = (struct virtio_device){.ops = &ops,
		.name = "test",
		.features = 1 << FEATURE,
		.queue_count = QUEUES,
		.queue_size = {SIZE, SIZE, SIZE}};
	assert_int_equal(virtio_device_init(&f->device), 0);
	driver_init(&f->driver);
	f->driver.device = &f->device;
	f->buffer = driver_alloc(&f->driver, 4096);
	describe_queue(f, 0);
	describe_queue(f, 1); /* the third stays disabled */
	f->activation.driver_features = 1ULL << VIRTIO_RING_F_VERSION_1 | 1 << FEATURE;
	f->activation.config_vector = QUEUES;
	int host_end, client_end;
	assert_int_equal(virtio_host_socketpair(&host_end, &client_end), 0);
	f->host.devices[0] = &f->device;
	f->host.device_count = 1;
	assert_int_equal(virtio_host_init(&f->host, &f->driver.loop, &f->driver.memory, host_end), 0);
	assert_int_equal(virtio_host_client_init(&f->client, client_end), 0);
	return f;
}

static void tear_down(struct fixture *f) {
	virtio_host_finish(&f->host);
	virtio_host_client_finish(&f->client);
	virtio_device_finish(&f->device);
	driver_finish(&f->driver);
	free(f);
}

/* ---- requests from another thread while this one runs the loop, as vCPU threads make them ---- */

struct request {
	struct fixture *f;
	bool reset;
	unsigned device;
	int result;
};

static void *request_thread(void *data) {
	struct request *request = data;
	request->result = request->reset ? virtio_host_reset(&request->f->client, request->device)
					 : virtio_host_activate(&request->f->client, request->device,
						   &request->f->activation);
	return NULL;
}

static int run_request(struct request request) {
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, request_thread, &request), 0);
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		driver_run(&request.f->driver, 1);
	}
	return request.result;
}

static int activate(struct fixture *f) {
	return run_request((struct request){.f = f});
}

static int reset(struct fixture *f) {
	return run_request((struct request){.f = f, .reset = true});
}

static uint16_t offer(struct fixture *f, unsigned queue) {
	struct driver_buffer buffer = {f->buffer, 16, true};
	return driver_add(&f->driver, queue, &buffer, 1);
}

static bool readable(int fd) {
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	return poll(&pollfd, 1, 0) == 1;
}

/* ---- the life of a device ---- */

static void test_serves_and_interrupts(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(activate(f), 0);
	assert_int_equal(f->starts, 1);
	assert_true(f->device.driver_features >> FEATURE & 1);
	driver_run(&f->driver, 1);
	offer(f, 1);
	driver_kick(&f->driver, 1);
	uint32_t len;
	assert_true(driver_wait_used(&f->driver, 1, 5000, NULL, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(driver_at(&f->driver, f->buffer), "pong", 4);
	assert_true(readable(f->device.vector_fds[1]));
	assert_false(readable(f->device.vector_fds[0]));
	tear_down(f);
}

static void test_serves_what_waits_at_start(void **state) {
	(void)state;
	struct fixture *f = set_up();
	offer(f, 0);
	assert_int_equal(activate(f), 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
	tear_down(f);
}

static void test_own_threads_get_the_first_kick(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->device.ops = &own_threads;
	assert_int_equal(activate(f), 0);
	driver_run(&f->driver, 1);
	assert_true(readable(f->device.queues[0].kick_fd)); /* the loop left it alone */
	assert_false(readable(f->device.queues[2].kick_fd));
	tear_down(f);
}

static void test_no_vector(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->activation.queues[0].vector = VIRTIO_NO_VECTOR;
	f->activation.config_vector = QUEUES + 1;
	offer(f, 0);
	assert_int_equal(activate(f), 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
	assert_int_equal(f->device.queues[0].call_fd, -1);
	assert_int_equal(f->device.config_call_fd, -1);
	tear_down(f);
}

static void test_reset_stops(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(activate(f), 0);
	driver_run(&f->driver, 1);
	assert_int_equal(reset(f), 0);
	assert_int_equal(f->stops, 1);
	unsigned notifies = f->notifies;
	offer(f, 0);
	driver_kick(&f->driver, 0);
	assert_false(driver_wait_used(&f->driver, 0, 20, NULL, NULL));
	assert_int_equal(f->notifies, notifies);
	assert_null(f->device.queues[0].memory);
	assert_int_equal(reset(f), 0); /* again: nothing to stop */
	assert_int_equal(f->stops, 1);
	assert_false(readable(f->device.queues[0].kick_fd)); /* a kick does not outlive a reset */
	tear_down(f);
}

static void test_starts_again(void **state) {
	(void)state;
	struct fixture *f = set_up();
	for (unsigned i = 0; i < 3; i++) {
		describe_queue(f, 0);
		memset(&f->driver.queues[0].next_descriptor, 0, 3 * sizeof(uint16_t));
		offer(f, 0);
		assert_int_equal(activate(f), 0);
		assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
		assert_int_equal(reset(f), 0);
	}
	tear_down(f);
}

static void test_finish_stops(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(activate(f), 0);
	virtio_host_finish(&f->host);
	assert_int_equal(f->stops, 1);
	assert_int_equal(reset(f), -EPIPE);
	tear_down(f);
}

/* ---- refusals ---- */

static void test_start_fails(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->start_result = -EIO;
	assert_int_equal(activate(f), -EIO);
	assert_false(f->device.started);
	assert_null(f->device.queues[0].memory);
	assert_int_equal(reset(f), 0);
	assert_int_equal(f->stops, 0);
	f->start_result = 0;
	assert_int_equal(activate(f), 0);
	tear_down(f);
}

static void test_started_twice(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(activate(f), 0);
	assert_int_equal(activate(f), -EBUSY);
	assert_int_equal(f->starts, 1);
	tear_down(f);
}

static void expect_refused(struct fixture *f) {
	assert_int_equal(activate(f), -EINVAL);
	assert_int_equal(f->starts, 0);
	assert_null(f->device.queues[0].memory);
	tear_down(f);
}

static void test_features_not_offered(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->activation.driver_features |= 1 << (FEATURE + 1);
	expect_refused(f);
}

static void test_legacy_driver(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->activation.driver_features = 1 << FEATURE;
	expect_refused(f);
}

static void test_queue_larger_than_offered(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->activation.queues[1].size = 2 * SIZE;
	expect_refused(f);
}

static void test_queue_outside_of_ram(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->activation.queues[1].device_area.value = DRIVER_RAM_SIZE;
	expect_refused(f);
}

static void test_no_such_device(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(run_request((struct request){.f = f, .device = 1}), -EINVAL);
	assert_int_equal(run_request((struct request){.f = f, .device = UINT32_MAX, .reset = true}), -EINVAL);
	tear_down(f);
}

/* Whatever bytes come in are answered; the host lives on. */
static void test_malformed_requests(void **state) {
	(void)state;
	struct fixture *f = set_up();
	uint32_t words[2048] = {0};
	const size_t sizes[] = {1, 4, 8, 12, sizeof(struct virtio_activation), sizeof(words)};
	for (uint32_t type = 0; type < 4; type++) {
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			words[0] = type;
			if (type == 2 && sizes[i] == 8) {
				continue; /* that is a reset */
			}
			assert_int_equal(send(f->client.fd, words, sizes[i], 0), sizes[i]);
			driver_run(&f->driver, 2);
			int32_t answer = 0;
			assert_int_equal(recv(f->client.fd, &answer, sizeof(answer), MSG_DONTWAIT), 4);
			assert_int_equal(answer, -EINVAL);
		}
	}
	assert_int_equal(activate(f), 0);
	tear_down(f);
}

/* An activation that is right as far as it goes, but shorter or longer than one. */
static void test_activation_of_wrong_size(void **state) {
	(void)state;
	struct fixture *f = set_up();
	struct {
		uint32_t type, device;
		struct virtio_activation activation;
		uint64_t more;
	} request = {.type = 1, .activation = f->activation};
	const size_t right = offsetof(typeof(request), more);
	const size_t sizes[] = {right - 8, right + 8};
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(send(f->client.fd, &request, sizes[i], 0), sizes[i]);
		driver_run(&f->driver, 2);
		int32_t answer = 0;
		assert_int_equal(recv(f->client.fd, &answer, sizeof(answer), MSG_DONTWAIT), 4);
		assert_int_equal(answer, -EINVAL);
	}
	assert_int_equal(f->starts, 0);
	tear_down(f);
}

static bool closed_called;

static void closed(struct virtio_host *host) {
	(void)host;
	closed_called = true;
}

static void test_client_gone(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->host.closed = closed;
	virtio_host_client_finish(&f->client);
	driver_run(&f->driver, 5);
	assert_true(closed_called);
	tear_down(f);
}

/* ---- serving a queue ---- */

static void offer_another(struct fixture *f) {
	offer(f, 0);
}

/* A driver that offers a chain for each one served does not keep the loop. */
static void test_service_is_bounded(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->while_serving = offer_another;
	offer(f, 0);
	f->device.memory = &f->driver.memory;
	assert_int_equal(
		virtqueue_start(&f->device.queues[0], &f->driver.memory, &f->activation.queues[0], 0, -1), 0);
	virtio_device_serve_queue(&f->device, &f->device.queues[0], serve);
	assert_int_equal(f->served, SIZE);
	assert_true(readable(f->device.queues[0].kick_fd)); /* and goes on at the loop's next turn */
	virtio_device_serve_queue(&f->device, &f->device.queues[0], serve);
	assert_int_equal(f->served, 2 * SIZE);
	tear_down(f);
}

static uint16_t used_flags(struct fixture *f) {
	return *(uint16_t *)driver_at(&f->driver, f->activation.queues[0].device_area);
}

static void expect_no_notify(struct fixture *f) {
	assert_int_equal(used_flags(f), 1);
}

static void test_quiet_while_serving(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->while_serving = expect_no_notify;
	offer(f, 0);
	assert_int_equal(activate(f), 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
	driver_run(&f->driver, 2);
	assert_int_equal(used_flags(f), 0);
	tear_down(f);
}

static void test_broken_rule(void **state) {
	(void)state;
	struct fixture *f = set_up();
	assert_int_equal(activate(f), 0);
	driver_run(&f->driver, 1);
	driver_offer(&f->driver, 0, SIZE);
	driver_kick(&f->driver, 0);
	driver_run(&f->driver, 2);
	assert_true(f->device.shared->needs_reset);
	assert_true(readable(f->device.vector_fds[QUEUES]));
	/* Nothing is served any more, on no queue. */
	offer(f, 1);
	driver_kick(&f->driver, 1);
	assert_false(driver_wait_used(&f->driver, 1, 20, NULL, NULL));
	/* Until a reset. */
	assert_int_equal(reset(f), 0);
	assert_false(f->device.shared->needs_reset);
	describe_queue(f, 0);
	memset(&f->driver.queues[0].next_descriptor, 0, 3 * sizeof(uint16_t));
	offer(f, 0);
	assert_int_equal(activate(f), 0);
	assert_true(driver_wait_used(&f->driver, 0, 5000, NULL, NULL));
	tear_down(f);
}

static void break_device(struct fixture *f) {
	virtio_device_break(&f->device, "a rule of the test");
}

static void test_broken_while_serving(void **state) {
	(void)state;
	struct fixture *f = set_up();
	f->while_serving = break_device;
	offer(f, 0);
	offer(f, 0);
	assert_int_equal(activate(f), 0);
	assert_false(driver_wait_used(&f->driver, 0, 20, NULL, NULL));
	assert_int_equal(f->served, 1);
	tear_down(f);
}

/* ---- in another process ---- */

static pid_t fork_host(struct fixture *f) {
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(f->client.fd);
		_exit(loop_run(&f->driver.loop));
	}
	close(f->host.socket.fd);
	f->host.socket.fd = -1;
	return pid;
}

static void test_in_another_process(void **state) {
	(void)state;
	struct fixture *f = set_up();
	offer(f, 0);
	pid_t pid = fork_host(f);
	assert_int_equal(virtio_host_activate(&f->client, 0, &f->activation), 0);
	struct pollfd interrupt = {.fd = f->device.vector_fds[0], .events = POLLIN};
	assert_int_equal(poll(&interrupt, 1, 10000), 1);
	assert_memory_equal(driver_at(&f->driver, f->buffer), "pong", 4);
	driver_offer(&f->driver, 0, SIZE);
	driver_kick(&f->driver, 0);
	interrupt.fd = f->device.vector_fds[QUEUES];
	assert_int_equal(poll(&interrupt, 1, 10000), 1);
	assert_true(f->device.shared->needs_reset);
	assert_int_equal(virtio_host_reset(&f->client, 0), 0);
	assert_false(f->device.shared->needs_reset);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(virtio_host_activate(&f->client, 0, &f->activation), -EPIPE);
	assert_int_equal(virtio_host_reset(&f->client, 0), -EPIPE);
	tear_down(f);
}

static void test_finish_accepts_nothing(void **state) {
	(void)state;
	struct virtio_device device = {0};
	struct virtio_host host = {0};
	struct virtio_host_client client = {0};
	virtio_device_finish(&device);
	virtio_host_finish(&host);
	virtio_host_client_finish(&client);
	assert_true(fcntl(0, F_GETFD) >= 0); /* zero is a descriptor, but not theirs */
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_and_interrupts),
		cmocka_unit_test(test_serves_what_waits_at_start),
		cmocka_unit_test(test_own_threads_get_the_first_kick),
		cmocka_unit_test(test_no_vector),
		cmocka_unit_test(test_reset_stops),
		cmocka_unit_test(test_starts_again),
		cmocka_unit_test(test_finish_stops),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_started_twice),
		cmocka_unit_test(test_features_not_offered),
		cmocka_unit_test(test_legacy_driver),
		cmocka_unit_test(test_queue_larger_than_offered),
		cmocka_unit_test(test_queue_outside_of_ram),
		cmocka_unit_test(test_no_such_device),
		cmocka_unit_test(test_malformed_requests),
		cmocka_unit_test(test_activation_of_wrong_size),
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_service_is_bounded),
		cmocka_unit_test(test_quiet_while_serving),
		cmocka_unit_test(test_broken_rule),
		cmocka_unit_test(test_broken_while_serving),
		cmocka_unit_test(test_in_another_process),
		cmocka_unit_test(test_finish_accepts_nothing),
	};
	return cmocka_run_group_tests_name("virtio_host", tests, NULL, NULL);
}
