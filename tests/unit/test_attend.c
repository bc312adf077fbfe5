/* A ph that takes part in a VM passes on all that the command wrote, however slowly it is read. */
#include "ph/fd.h"
#include "ph/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* More than a pipe and a relay hold, and less than fits into the socket, too. */
#define SIZE 180000
#define STATUS_ENDED 99 /* instance_attend() returned an error */
#define STATUS_AGAIN 98 /* the VM has not taken the command */

struct attending {
	pid_t pid;
	int connection, output;
	int input; /* its standard input; -1: nothing */
	struct instance_streams streams;
};

static int attend(struct attending *attending, int connection, int output) {
	struct error error = {0};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(attending->input >= 0 ? attending->input : null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	close(output);
	if (attending->output >= 0) {
		close(attending->output);
	}
	close(attending->connection);
	instance_close_streams(attending->streams.theirs);
	int ret = instance_attend(connection, &attending->streams, &error);
	return ret == -EAGAIN ? STATUS_AGAIN : ret < 0 ? STATUS_ENDED : ret;
}

static void send_message(struct attending *attending, enum instance_type type, uint32_t value) {
	assert_int_equal(instance_send(attending->connection, type, value, NULL, 0, NULL, 0), 0);
}

/* In a process of its own. */
static void start_between(struct attending *attending, int input, int output, bool tty) {
	int ends[2];
	attending->input = input;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(instance_make_streams(&attending->streams, tty, !tty), 0);
	attending->connection = ends[0];
	attending->pid = fork();
	if (attending->pid == 0) {
		_exit(attend(attending, ends[1], output));
	}
	close(ends[1]);
	instance_close_streams(attending->streams.ours);
}

/* It writes to a pipe that nobody reads yet. */
static void start_with(struct attending *attending, int input, bool tty) {
	int output[2];
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	attending->output = output[0];
	start_between(attending, input, output[1], tty);
	close(output[1]);
}

static void start(struct attending *attending, int input) {
	start_with(attending, input, false);
}

/* The VM has taken the command, and the command has written all. */
static void take(struct attending *attending) {
	send_message(attending, INSTANCE_STATE, INSTANCE_RUNNING << 16 | 1);
	char *bytes = calloc(1, SIZE);
	assert_int_equal(fd_write_all(attending->streams.theirs[1], bytes, SIZE), 0);
	free(bytes);
}

/* Read all: the exit status. */
static int finish(struct attending *attending) {
	char buffer[4096];
	size_t total = 0;
	ssize_t n;
	int status;
	usleep(100000); /* it has noticed by now, or there is nothing to go wrong */
	while ((n = read(attending->output, buffer, sizeof(buffer))) > 0) {
		total += (size_t)n;
	}
	close(attending->output);
	assert_int_equal(waitpid(attending->pid, &status, 0), attending->pid);
	assert_int_equal(total, SIZE);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_last_command(void **state) {
	(void)state;
	struct attending attending;
	start(&attending, -1);
	take(&attending);
	instance_close_streams(attending.streams.theirs);
	send_message(&attending, INSTANCE_EXITED, INSTANCE_EXITED_LAST | 7);
	close(attending.connection);
	assert_int_equal(finish(&attending), 7);
}

/* Another process of the VM's may outlive it by a moment, with copies of the streams. */
static void test_vm_is_gone(void **state) {
	(void)state;
	struct attending attending;
	start(&attending, -1);
	take(&attending);
	close(attending.connection);
	assert_int_equal(finish(&attending), STATUS_ENDED);
	instance_close_streams(attending.streams.theirs);
}

/* With a reason, as a VM that is taken over or breaks down. */
static void test_vm_failed(void **state) {
	(void)state;
	struct attending attending;
	start(&attending, -1);
	take(&attending);
	assert_int_equal(instance_send(attending.connection, INSTANCE_FAILED, 0, "reason", 6, NULL, 0), 0);
	assert_int_equal(finish(&attending), STATUS_ENDED);
	instance_close_streams(attending.streams.theirs);
	close(attending.connection);
}

/* Who does not wait for the rest of what a command wrote is not told that it went well. */
static void interrupted(bool asked_before) {
	struct attending attending;
	int status;
	start(&attending, -1);
	take(&attending);
	instance_close_streams(attending.streams.theirs);
	usleep(100000); /* it waits for signals by now */
	if (asked_before) {
		kill(attending.pid, SIGTERM);
		usleep(100000);
	}
	send_message(&attending, INSTANCE_EXITED, 0);
	usleep(100000);
	if (!asked_before) {
		kill(attending.pid, SIGINT);
	}
	assert_int_equal(waitpid(attending.pid, &status, 0), attending.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + (asked_before ? SIGTERM : SIGINT));
	close(attending.output);
	close(attending.connection);
}

static void test_interrupted(void **state) {
	(void)state;
	interrupted(false);
	interrupted(true);
}

/* Whether the VM says so or is gone: the next one finds all of standard input. */
static void not_taken(bool refused) {
	struct attending attending;
	int input[2], status;
	char text[8];
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(write(input[1], "all", 3), 3);
	start(&attending, input[0]);
	usleep(100000); /* it would have read by now */
	if (refused) {
		send_message(&attending, INSTANCE_REFUSED, 0);
	} else {
		close(attending.connection);
	}
	assert_int_equal(waitpid(attending.pid, &status, 0), attending.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_AGAIN);
	assert_int_equal(read(input[0], text, sizeof(text)), 3);
	if (refused) {
		close(attending.connection);
	}
	close(input[0]);
	close(input[1]);
	close(attending.output);
	instance_close_streams(attending.streams.theirs);
}

static void test_refused(void **state) {
	(void)state;
	not_taken(true);
}

static void test_ended_before(void **state) {
	(void)state;
	not_taken(false);
}

/* Wait until the terminal is raw, and its keys are signals or not. */
static void await_mode(int terminal, bool signals) {
	struct termios now;
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(tcgetattr(terminal, &now), 0);
		if ((now.c_lflag & ICANON) == 0 && ((now.c_lflag & ISIG) != 0) == signals) {
			return;
		}
		usleep(10000);
	}
	fail();
}

/* Ctrl-C ends who waits for a VM that does not come up; then it is the command's. */
static void keys(bool up) {
	struct attending attending;
	struct termios mode;
	int master, slave, status;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	start_with(&attending, slave, true);
	send_message(&attending, INSTANCE_STATE, INSTANCE_STARTING << 16 | 1);
	await_mode(slave, true);
	if (up) {
		send_message(&attending, INSTANCE_STATE, INSTANCE_RUNNING << 16 | 1);
		await_mode(slave, false);
		kill(attending.pid, SIGINT);
		usleep(100000);
		send_message(&attending, INSTANCE_EXITED, 7);
		instance_close_streams(attending.streams.theirs);
	} else {
		kill(attending.pid, SIGINT);
	}
	assert_int_equal(waitpid(attending.pid, &status, 0), attending.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), up ? 7 : 128 + SIGINT);
	assert_int_equal(tcgetattr(slave, &mode), 0);
	assert_true((mode.c_lflag & (ICANON | ISIG)) == (ICANON | ISIG));
	instance_close_streams(attending.streams.theirs);
	close(attending.connection);
	close(attending.output);
	close(master);
	close(slave);
}

static void test_keys_while_starting(void **state) {
	(void)state;
	keys(false);
}

static void test_keys_when_up(void **state) {
	(void)state;
	keys(true);
}

/* Programs of other languages give their children sockets. Who started ph goes on with them. */
static void test_callers_sockets(void **state) {
	(void)state;
	struct attending attending;
	int input[2], output[2], status;
	char text[8];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, output), 0);
	attending.output = -1;
	start_between(&attending, input[0], output[0], false);
	send_message(&attending, INSTANCE_STATE, 0);
	/* It reads no more, and is sent more. */
	close(attending.streams.theirs[0]);
	attending.streams.theirs[0] = -1;
	assert_int_equal(write(input[1], "one", 3), 3);
	usleep(100000);
	assert_int_equal(fd_write_all(attending.streams.theirs[1], "said", 4), 0);
	instance_close_streams(attending.streams.theirs);
	send_message(&attending, INSTANCE_EXITED, 7);
	assert_int_equal(waitpid(attending.pid, &status, 0), attending.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(read(output[1], text, sizeof(text)), 4);
	assert_int_equal(send(output[0], "after", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(write(input[1], "two", 3), 3);
	assert_int_equal(read(input[0], text, sizeof(text)), 3);
	close(attending.connection);
	for (unsigned i = 0; i < 2; i++) {
		close(input[i]);
		close(output[i]);
	}
}

/* SIGHUP is about the command's terminal only where it has one. */
static void hang_up(bool tty) {
	struct attending attending;
	struct instance_message message;
	uint8_t *buffer = malloc(INSTANCE_MESSAGE_MAX);
	int master, slave;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	start_with(&attending, slave, tty);
	send_message(&attending, INSTANCE_STATE, INSTANCE_RUNNING << 16 | 1);
	usleep(100000);
	kill(attending.pid, SIGHUP);
	do {
		struct pollfd wait = {.fd = attending.connection, .events = POLLIN};
		assert_int_equal(poll(&wait, 1, 5000), 1);
		assert_int_equal(instance_receive(attending.connection, buffer, &message), 1);
	} while (message.type == INSTANCE_WINSIZE);
	assert_int_equal(message.type, tty ? INSTANCE_HANGUP : INSTANCE_SIGNAL);
	assert_int_equal(message.value, SIGHUP);
	send_message(&attending, INSTANCE_EXITED, 7);
	instance_close_streams(attending.streams.theirs);
	assert_int_equal(waitpid(attending.pid, NULL, 0), attending.pid);
	close(attending.connection);
	close(attending.output);
	close(master);
	close(slave);
	free(buffer);
}

static void test_hang_up(void **state) {
	(void)state;
	hang_up(false);
	hang_up(true);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_command),
		cmocka_unit_test(test_vm_is_gone),
		cmocka_unit_test(test_vm_failed),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ended_before),
		cmocka_unit_test(test_keys_while_starting),
		cmocka_unit_test(test_keys_when_up),
		cmocka_unit_test(test_callers_sockets),
		cmocka_unit_test(test_hang_up),
	};
	return cmocka_run_group_tests_name("attend", tests, NULL, NULL);
}
