/* Local descriptors, by the ways a stream finds to never wait for them. */
#include "ph/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 5000

static struct loop loop;

static int set_up(void **state) {
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_init(&loop), 0);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	loop_finish(&loop);
	return 0;
}

static void nothing(struct stream *stream) {
	(void)stream;
}

/* Whether the loop would call the stream, within ms milliseconds: a terminal passes on what is written from a
 * workqueue of the kernel. */
static bool is_ready(int ms) {
	struct epoll_event event;
	return epoll_wait(loop.epoll_fd, &event, 1, ms) == 1;
}

static enum stream_kind kind_of(int fd, bool writing) {
	struct stream stream = {0};
	assert_int_equal(stream_open(&stream, &loop, fd, writing, nothing), 0);
	enum stream_kind kind = stream.kind;
	stream_close(&stream);
	stream_close(&stream);
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	return kind;
}

static void test_kinds(void **state) {
	(void)state;
	int pipes[2], sockets[2], master, slave;
	assert_true(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(kind_of(pipes[0], false), STREAM_NONBLOCK);
	assert_int_equal(kind_of(pipes[1], true), STREAM_NONBLOCK);
	assert_int_equal(kind_of(sockets[0], true), STREAM_SOCKET);
	assert_int_equal(kind_of(slave, false), STREAM_NONBLOCK);
	assert_int_equal(kind_of(null, true), STREAM_FILE);
	assert_int_equal(kind_of(file, false), STREAM_FILE);
	/* Opened once more, it would be the master of another terminal. */
	assert_int_equal(kind_of(master, true), STREAM_GATED);
	struct stream stream = {0};
	assert_int_equal(stream_open(&stream, &loop, 9999, false, nothing), -EBADF);
	stream_close(&stream);
	const int all[] = {pipes[0], pipes[1], sockets[0], sockets[1], master, slave, null, file};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		close(all[i]);
	}
}

/* Write until the stream takes no more, as a blocking descriptor would make us wait; the bytes it took. */
static size_t fill(struct stream *stream) {
	static const uint8_t data[1 << 20];
	size_t total = 0;
	ssize_t n;
	while ((n = stream_write(stream, data, sizeof(data))) > 0) {
		total += (size_t)n;
	}
	assert_int_equal(n, 0);
	return total;
}

static void test_gated_write(void **state) {
	(void)state;
	int master, slave;
	struct stream stream = {0};
	struct termios raw = {0};
	uint8_t buffer[4096];
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	assert_int_equal(stream_open(&stream, &loop, master, true, nothing), 0);
	assert_true(fill(&stream) > 0);
	stream_wait(&stream, true);
	assert_false(is_ready(20));
	assert_true(read(slave, buffer, sizeof(buffer)) > 0);
	while (poll(&(struct pollfd){.fd = slave, .events = POLLIN}, 1, 50) == 1) {
		assert_true(read(slave, buffer, sizeof(buffer)) > 0);
	}
	assert_true(is_ready(WAIT_MS));
	assert_int_equal(stream_write(&stream, "x", 1), 1);
	stream_close(&stream);
	close(master);
	close(slave);
}

static void test_full_pipe(void **state) {
	(void)state;
	int pipes[2];
	struct stream stream = {0};
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(stream_open(&stream, &loop, pipes[1], true, nothing), 0);
	assert_int_equal(fill(&stream), 65536);
	close(pipes[0]);
	assert_int_equal(stream_write(&stream, "x", 1), -EPIPE);
	stream_close(&stream);
	close(pipes[1]);
}

/* ---- job control; in a process of its own, which answers by its exit status ---- */

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			_exit(__LINE__ % 200 + 2); \
		} \
	} while (0)

static void check_background(int master, int slave, pid_t other) {
	struct stream stream = {0};
	char text[16];
	CHECK(stream_open(&stream, &loop, slave, false, nothing) == 0);
	stream_wait(&stream, true);
	CHECK(tcsetpgrp(slave, other) == 0);
	CHECK(write(master, "x\n", 2) == 2);
	CHECK(poll(&(struct pollfd){.fd = slave, .events = POLLIN}, 1, 2000) == 1);
	CHECK(is_ready(WAIT_MS));
	CHECK(stream_read(&stream, text, sizeof(text)) == -EAGAIN);
	CHECK(!is_ready(20)); /* told once */
	CHECK(tcsetpgrp(slave, getpgrp()) == 0);
	CHECK(write(master, "y\n", 2) == 2);
	CHECK(is_ready(WAIT_MS));
	CHECK(stream_read(&stream, text, sizeof(text)) == 2 && memcmp(text, "x\n", 2) == 0);
	stream_wait(&stream, true);
	CHECK(is_ready(WAIT_MS)); /* the second line was there before the wait */
	CHECK(stream_read(&stream, text, sizeof(text)) == 2 && memcmp(text, "y\n", 2) == 0);
	stream_wait(&stream, true);
	CHECK(!is_ready(20));
	stream_close(&stream);
}

static void run_session(void) {
	int master, slave;
	CHECK(setsid() > 0 && openpty(&master, &slave, NULL, NULL, NULL) == 0);
	CHECK(ioctl(slave, TIOCSCTTY, 0) == 0);
	signal(SIGTTOU, SIG_IGN);
	pid_t other = fork();
	CHECK(other >= 0);
	if (other == 0) {
		alarm(20); /* when a check fails nobody kills it */
		pause();
		_exit(0);
	}
	CHECK(setpgid(other, other) == 0);
	check_background(master, slave, other);
	kill(other, SIGKILL);
	_exit(1);
}

static void test_background_job(void **state) {
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(20);
		run_session();
	}
	int status;
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fail_msg("stopped by signal %d", WSTOPSIG(status));
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* nohup(1) gives such a standard input. */
static void test_unreadable(void **state) {
	(void)state;
	struct stream stream = {0};
	char text[8];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(stream_open(&stream, &loop, null, false, nothing), 0);
	assert_int_equal(stream_read(&stream, text, sizeof(text)), 0);
	stream_close(&stream);
	close(null);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),
		TEST(test_gated_write),
		TEST(test_full_pipe),
		TEST(test_background_job),
		TEST(test_unreadable),
	};
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
