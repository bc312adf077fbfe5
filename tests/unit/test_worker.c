/* A worker process: it serves its devices, keeps nothing else, and ends with its monitor or by its hand. */
#include "driver.h"

#include "ph/connector.h"
#include "ph/fd.h"
#include "ph/rng.h"
#include "ph/sound.h"
#include "ph/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET_FD 777

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	struct worker worker;
};

/* Unconfined: the sanitizers make system calls of their own. The jail has tests of its own. */
static int start(struct fixture *f, struct worker *worker, const char *name) {
	const struct worker_options options = {.name = name,
		.kind = JAIL_NET,
		.mode = JAIL_OFF,
		.memory = &f->driver.memory,
		.devices = &f->device,
		.device_count = 1};
	return worker_start(worker, &options);
}

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	driver_init(&f->driver);
	if (rng_create(&f->device) < 0 || dup2(STDIN_FILENO, SECRET_FD) < 0) {
		return -1;
	}
	return start(f, &f->worker, "test");
}

static int teardown(void **state) {
	struct fixture *f = *state;
	worker_stop(&f->worker);
	rng_destroy(f->device);
	driver_finish(&f->driver);
	close(SECRET_FD);
	free(f);
	return 0;
}

static struct virtio_activation activation(struct fixture *f) {
	const uint16_t size = 16;
	return (struct virtio_activation){.driver_features = 1ULL << VIRTIO_RING_F_VERSION_1,
		.config_vector = VIRTIO_NO_VECTOR,
		.queues[0] = {.descriptor_area = driver_alloc(&f->driver, 16 * size),
			.driver_area = driver_alloc(&f->driver, 4096),
			.device_area = driver_alloc(&f->driver, 4096),
			.size = size,
			.vector = 1}};
}

static void test_serves_in_shared_memory(void **state) {
	struct fixture *f = *state;
	const struct virtio_activation a = activation(f);
	gpa_t buffer = driver_alloc(&f->driver, 4096);
	f->driver.queues[0].config = a.queues[0];
	assert_int_equal(virtio_host_activate(&f->worker.client, 0, &a), 0);
	driver_descriptor(&f->driver, 0, 0, buffer, 64, DRIVER_WRITE, 0);
	driver_offer(&f->driver, 0, 0);
	fd_event_signal(f->device->queues[0].kick_fd);
	struct pollfd call = {.fd = f->device->vector_fds[1], .events = POLLIN};
	assert_int_equal(poll(&call, 1, 10000), 1);
	static const uint8_t zeros[64];
	assert_memory_not_equal(driver_at(&f->driver, buffer), zeros, 64);
	assert_int_equal(virtio_host_reset(&f->worker.client, 0), 0);
}

/* The numbers of the worker's descriptors that are neither its own nor those it may keep. */
static void test_keeps_only_what_it_needs(void **state) {
	struct fixture *f = *state;
	assert_int_equal(virtio_host_reset(&f->worker.client, 0), 0); /* it is up */
	char path[64], target[256];
	snprintf(path, sizeof(path), "/proc/%d/fd", f->worker.pid);
	DIR *folder = opendir(path);
	if (folder == NULL) {
		skip(); /* not dumpable, so only root may look */
	}
	unsigned count = 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
		if (len <= 0) {
			continue;
		}
		target[len] = '\0';
		count++;
		assert_int_not_equal(atoi(entry->d_name), SECRET_FD);
		assert_true(atoi(entry->d_name) > 1 || strcmp(target, "/dev/null") == 0);
	}
	closedir(folder);
	/* stdio, /dev/null, socket, RAM, epoll, the device's eventfds (1 queue, 2 vectors) and timer */
	assert_in_range(count, 9, 11);
}

/* The flags of a process's standard error, or -1. */
static long stderr_flags(pid_t pid) {
	char path[64], text[512];
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/2", pid);
	const char *flags = fd_read_file(path, text, sizeof(text)) > 0 ? strstr(text, "flags:") : NULL;
	return flags == NULL ? -1 : strtol(flags + strlen("flags:"), NULL, 8);
}

/* The shell's own open file is not a worker's to read, nor its flags to change. */
static void test_terminal_is_for_writing(void **state) {
	struct fixture *f = *state;
	struct worker worker = {0};
	int master, slave, err = dup(STDERR_FILENO);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	dup2(slave, STDERR_FILENO);
	int ret = start(f, &worker, "terminal");
	ret = ret < 0 ? ret : virtio_host_reset(&worker.client, 0);
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	long flags = stderr_flags(worker.pid);
	/* And it is that terminal. */
	char path[64], ours[64] = "", theirs[64] = "";
	snprintf(path, sizeof(path), "/proc/%d/fd/2", worker.pid);
	ssize_t size = readlink(path, theirs, sizeof(theirs) - 1);
	dup2(err, STDERR_FILENO);
	worker_stop(&worker);
	assert_int_equal(ttyname_r(slave, ours, sizeof(ours)), 0);
	close(master);
	close(slave);
	close(err);
	assert_int_equal(ret, 0);
	if (flags < 0 || size < 0) {
		skip(); /* not dumpable, so only root may look */
	}
	assert_int_equal(flags & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	assert_string_equal(theirs, ours);
}

static bool status_has(pid_t pid, const char *line) {
	char path[64], text[4096];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return fd_read_file(path, text, sizeof(text)) > 0 && strstr(text, line) != NULL;
}

static void test_gives_up_privileges(void **state) {
	struct fixture *f = *state;
	assert_int_equal(virtio_host_reset(&f->worker.client, 0), 0);
	assert_true(status_has(f->worker.pid, "NoNewPrivs:\t1"));
	assert_true(status_has(f->worker.pid, "Name:\tph-test"));
}

static void test_survives_signals(void **state) {
	struct fixture *f = *state;
	assert_int_equal(virtio_host_reset(&f->worker.client, 0), 0);
	kill(f->worker.pid, SIGINT);
	kill(f->worker.pid, SIGTERM);
	kill(f->worker.pid, SIGHUP);
	kill(f->worker.pid, SIGXFSZ); /* what a caller's ulimit -f sends */
	assert_int_equal(virtio_host_reset(&f->worker.client, 0), 0);
}

static void test_its_death_is_seen(void **state) {
	struct fixture *f = *state;
	kill(f->worker.pid, SIGKILL);
	struct pollfd ended = {.fd = f->worker.pid_fd, .events = POLLIN};
	assert_int_equal(poll(&ended, 1, 10000), 1);
	assert_true(virtio_host_reset(&f->worker.client, 0) < 0);
}

/* RAM that the host cannot give ends who touches it. A process of the test's, as the sanitizers take the
 * signal. */
static void test_no_memory_is_said(void **state) {
	(void)state;
	char end[80];
	struct worker worker = {.pid = fork()};
	if (worker.pid == 0) {
		signal(SIGBUS, SIG_DFL);
		raise(SIGBUS);
		_exit(0);
	}
	worker_describe_end(&worker, end, sizeof(end));
	assert_string_equal(end, "was killed by signal 7, as this host has no more memory for the VM");
	assert_int_equal(waitpid(worker.pid, NULL, 0), worker.pid);
}

static void test_ends_when_hung_up(void **state) {
	struct fixture *f = *state;
	pid_t pid = f->worker.pid;
	worker_stop(&f->worker);
	assert_int_equal(kill(pid, 0), -1);
	worker_stop(&f->worker);
}

/* One that was stopped, or was taken over and stays, does not keep its monitor from ending. */
static void test_who_stays_is_killed(void **state) {
	struct fixture *f = *state;
	const struct connector_socket socket = {.path = "/nonexistent/socket"};
	struct connector_door door = {.sockets = &socket, .count = 1};
	struct connector connector;
	struct sound sound;
	assert_int_equal(connector_start(&connector, &door, 1, "test", JAIL_OFF), 0);
	const struct sound_rules rules = {.tag = "test"};
	assert_int_equal(sound_start(&sound, door.fd, &rules, JAIL_OFF), 0);
	const pid_t pids[] = {f->worker.pid, sound.pid, connector.pid};
	for (size_t i = 0; i < 3; i++) {
		kill(pids[i], SIGSTOP);
	}
	close(door.fd);
	alarm(60);
	worker_stop(&f->worker);
	sound_stop(&sound);
	connector_stop(&connector);
	alarm(0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(kill(pids[i], 0), -1);
	}
	sound_stop(&sound);
	connector_stop(&connector);
}

/* A parent that dies without a word takes its worker along. */
static void test_dies_with_its_parent(void **state) {
	struct fixture *f = *state;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	pid_t parent = fork();
	if (parent == 0) {
		struct worker worker = {0};
		bool ok = start(f, &worker, "orphan") == 0 && virtio_host_reset(&worker.client, 0) == 0 &&
			  write(pipe_fds[1], &worker.pid, sizeof(worker.pid)) == sizeof(worker.pid);
		int keep = dup(worker.client.fd); /* so that it is not the socket that ends it */
		(void)keep;
		pause();
		_exit(ok ? 0 : 1);
	}
	pid_t worker_pid;
	assert_int_equal(fd_read_all(pipe_fds[0], &worker_pid, sizeof(worker_pid)), 0);
	struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, worker_pid, 0), .events = POLLIN};
	assert_true(ended.fd >= 0);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	close(ended.fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_serves_in_shared_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keeps_only_what_it_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terminal_is_for_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gives_up_privileges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_survives_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_its_death_is_seen, setup, teardown),
		cmocka_unit_test(test_no_memory_is_said),
		cmocka_unit_test_setup_teardown(test_ends_when_hung_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_stays_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_with_its_parent, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
