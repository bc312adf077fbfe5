/*
 * A ph that takes part in a VM which another process runs: it stands between its own stdio and signals and a
 * command there. Its one thread; the bytes of the streams are the guest's and pass through, messages are the
 * monitor's.
 *
 * Nothing of standard input is read, and the terminal stays as it is, until the VM has taken the command: one
 * that is about to end does not, and who asks the next one has it all still.
 *
 * When the command was the VM's last, the wait goes on until the VM is gone and its disks are closed.
 */
#include "instance/relay.h"
#include "ph/fd.h"
#include "ph/instance.h"
#include "ph/keeper.h"
#include "ph/log.h"
#include "ph/loop.h"
#include "ph/progress.h"
#include "ph/signals.h"
#include "ph/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long a command may take to end after a signal to ph. */
#define HANG_UP_MS 5000
#define STATUS_LOST 125

struct attendance {
	struct loop loop;
	struct loop_source connection, signals, deadline;
	struct relay relays[3];
	unsigned relay_count;
	struct keeper keeper;
	struct error *error;
	uint8_t *buffer;
	struct instance_streams *streams;
	bool taken;    /* by the VM: the command */
	bool starting; /* the VM, so that nobody reads keys yet */
	bool exited, last, lost;
	sigset_t mask; /* the caller's */
	int status;    /* of the command, once it has ended */
	int signal;    /* that asked to end, or 0 */
	int waited_ms; /* for the VM to end */
};

static struct attendance *attendance_of(struct loop_source *source, size_t offset) {
	return (struct attendance *)(void *)((char *)source - offset);
}

/* ---- ends ---- */

static int final_status(const struct attendance *attendance) {
	return attendance->status == 0 && attendance->lost ? STATUS_LOST : attendance->status;
}

static bool outputs_are_over(const struct attendance *attendance) {
	for (unsigned i = 1; i < attendance->relay_count; i++) {
		if (!attendance->relays[i].over) {
			return false;
		}
	}
	return true;
}

/* What is not written out by now is lost, and that is no success. */
static void leave(struct attendance *attendance, int signo) {
	bool cut = attendance->status == 0 && !outputs_are_over(attendance);
	loop_stop(&attendance->loop, !attendance->exited || cut ? 128 + signo : final_status(attendance));
}

static void set_deadline(struct attendance *attendance, int ms) {
	const struct itimerspec timer = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};
	timerfd_settime(attendance->deadline.fd, 0, &timer, NULL);
}

/* The command has ended and all it wrote is written out. */
static void settle(struct attendance *attendance) {
	if (!attendance->exited || !outputs_are_over(attendance)) {
		return;
	}
	terminal_restore();
	if (!attendance->last) {
		loop_stop(&attendance->loop, final_status(attendance));
	} else if (attendance->signal == 0) {
		set_deadline(attendance, PROGRESS_MS);
	}
}

static void input_ended(struct relay *relay, int error) {
	if (error < 0 && error != -EPIPE && error != -ECONNRESET && error != -EIO) {
		log_error("standard input: %s", strerror(-error));
	}
	(void)relay;
}

static void output_ended(struct relay *relay, int error, unsigned which) {
	struct attendance *attendance =
		(struct attendance *)(void *)((char *)(relay - which) - offsetof(struct attendance, relays));
	if (error < 0 && error != -EPIPE && error != -ECONNRESET && error != -EIO) {
		log_error("%s: %s", which == 1 ? "standard output" : "standard error", strerror(-error));
		attendance->lost = true;
	}
	settle(attendance);
}

static void stdout_ended(struct relay *relay, int error) {
	output_ended(relay, error, 1);
}

static void stderr_ended(struct relay *relay, int error) {
	output_ended(relay, error, 2);
}

/* ---- streams ---- */

static int start_relays(struct attendance *attendance) {
	const int *ours = attendance->streams->ours;
	int ret = relay_init(
		&attendance->relays[0], &attendance->loop, STDIN_FILENO, ours[0], true, input_ended);
	if (ret == 0) {
		attendance->relay_count = 2;
		ret = relay_init(&attendance->relays[1], &attendance->loop, ours[1], STDOUT_FILENO, false,
			stdout_ended);
	}
	if (ret == 0 && ours[2] >= 0) {
		attendance->relay_count = 3;
		ret = relay_init(&attendance->relays[2], &attendance->loop, ours[2], STDERR_FILENO, false,
			stderr_ended);
	}
	for (unsigned i = 1; i < attendance->relay_count; i++) {
		attendance->relays[i].to.only_text = !attendance->streams->tty;
	}
	return ret;
}

static int take_terminal(struct attendance *attendance) {
	if (!attendance->streams->tty) {
		return 0;
	}
	const char *palette = attendance->streams->palette;
	bool colored = palette != NULL;
	int ret = keeper_start(&attendance->keeper, STDIN_FILENO, colored ? STDOUT_FILENO : -1, JAIL_DEFAULT);
	if (ret < 0) {
		log_verbose("the terminal has no keeper: %s", strerror(-ret));
	}
	ret = attendance->starting ? terminal_raw_with_signals(STDIN_FILENO) : terminal_raw(STDIN_FILENO);
	return ret == 0 && colored ? terminal_color(STDOUT_FILENO, palette) : ret;
}

static void send_size(struct attendance *attendance) {
	uint16_t rows, columns;
	if (attendance->streams->tty && terminal_size(STDOUT_FILENO, &rows, &columns)) {
		instance_send(attendance->connection.fd, INSTANCE_WINSIZE, (uint32_t)rows << 16 | columns,
			NULL, 0, NULL, 0);
	}
}

/* The VM has the command: from now on its streams are carried. */
static int take_streams(struct attendance *attendance) {
	int ret = take_terminal(attendance);
	if (ret == 0) {
		ret = start_relays(attendance);
	}
	/* The relays have copies: the end of theirs shall be the end. */
	instance_close_streams(attendance->streams->ours);
	if (ret == 0) {
		send_size(attendance); /* it may be another by now */
	}
	for (unsigned i = 0; i < attendance->relay_count && ret == 0; i++) {
		relay_pump(&attendance->relays[i]);
	}
	return ret;
}

/* ---- messages ---- */

/* A raw terminal needs to be told to go back to the first column, too. */
static void print_text(const struct instance_message *message) {
	const char *text = (const char *)message->data;
	size_t left = message->size;
	while (left > 0) {
		const char *newline = memchr(text, '\n', left);
		size_t length = newline != NULL ? (size_t)(newline - text) : left;
		fd_write_all(STDERR_FILENO, text, length);
		if (newline == NULL) {
			return;
		}
		bool raw = terminal_is_raw(STDERR_FILENO);
		fd_write_all(STDERR_FILENO, raw ? "\r\n" : "\n", raw ? 2 : 1);
		text += length + 1;
		left -= length + 1;
	}
}

/* The VM ends or is gone, and the command with it. What this wrote before still goes to whoever reads it
 * slowly. */
static void drain_outputs(struct attendance *attendance) {
	terminal_restore();
	relay_stop(&attendance->relays[0]);
	attendance->exited = true;
	attendance->last = false;
	for (unsigned i = 1; i < attendance->relay_count; i++) {
		relay_drain(&attendance->relays[i]);
	}
	settle(attendance);
}

static void handle_failed(struct attendance *attendance, const struct instance_message *message) {
	attendance->status =
		error_set(attendance->error, -EIO, "%.*s", (int)message->size, (const char *)message->data);
	drain_outputs(attendance);
}

static void handle_state(struct attendance *attendance, bool starting) {
	bool was_starting = attendance->starting;
	int ret = 0;
	attendance->starting = starting;
	if (!attendance->taken) {
		ret = take_streams(attendance);
	} else if (was_starting && !starting && !attendance->exited && attendance->streams->tty) {
		ret = terminal_raw(STDIN_FILENO);
	}
	attendance->taken = true;
	if (ret < 0) {
		terminal_restore();
		loop_stop(&attendance->loop, ret);
	}
}

/* The VM is ending or gone, and has not taken the command. */
static void refused(struct attendance *attendance) {
	loop_stop(&attendance->loop, attendance->signal != 0 ? 128 + attendance->signal : -EAGAIN);
}

static void handle_message(struct attendance *attendance, const struct instance_message *message) {
	switch (message->type) {
	case INSTANCE_STATE:
		handle_state(attendance, message->value >> 16 == INSTANCE_STARTING);
		return;
	case INSTANCE_EXITED:
		attendance->exited = true;
		attendance->status = (int)(message->value & 0xff);
		attendance->last = (message->value & INSTANCE_EXITED_LAST) != 0;
		relay_stop(&attendance->relays[0]);
		settle(attendance);
		return;
	case INSTANCE_TEXT:
		progress_clear();
		print_text(message);
		return;
	case INSTANCE_REFUSED:
		refused(attendance);
		return;
	case INSTANCE_FAILED:
		handle_failed(attendance, message);
		return;
	default:
		return; /* a newer ph's */
	}
}

/* The process that ran the VM is gone. */
static void connection_ended(struct attendance *attendance) {
	loop_remove(&attendance->loop, &attendance->connection);
	if (!attendance->taken) {
		terminal_restore();
		refused(attendance);
		return;
	}
	if (!attendance->exited) {
		attendance->status = attendance->signal != 0 ? 128 + attendance->signal
							     : error_set(attendance->error, -EIO,
								       "the VM ended before the command did");
	}
	drain_outputs(attendance);
}

static void connection_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct attendance *attendance = attendance_of(source, offsetof(struct attendance, connection));
	struct instance_message message;
	int ret = -EAGAIN;
	while (!attendance->loop.stopped &&
		(ret = instance_receive(source->fd, attendance->buffer, &message)) > 0) {
		instance_close_streams(message.fds);
		handle_message(attendance, &message);
	}
	if (!attendance->loop.stopped && ret != -EAGAIN) {
		connection_ended(attendance);
	}
}

/* ---- signals ---- */

/* Whether the signal is about the terminal. */
static bool handle_job_signal(struct attendance *attendance, int signo) {
	switch (signo) {
	case SIGTSTP:
		terminal_stop();
		return true;
	case SIGCONT:
		terminal_resume();
		send_size(attendance);
		return true;
	case SIGWINCH:
		send_size(attendance);
		return true;
	default:
		return false;
	}
}

static void handle_signal(struct attendance *attendance, int signo) {
	if (handle_job_signal(attendance, signo)) {
		return;
	}
	bool up = attendance->taken && !attendance->starting;
	if (signo == SIGINT && !up && !signals_is_ignored(SIGINT)) {
		loop_stop(&attendance->loop, 128 + SIGINT); /* there is no command yet whose business it is */
		return;
	}
	if (signo != SIGINT && attendance->signal == 0) {
		attendance->signal = signo;
		set_deadline(attendance, HANG_UP_MS);
	}
	if (attendance->exited) {
		leave(attendance, signo);
		return;
	}
	bool gone = signo == SIGHUP && attendance->streams->tty; /* the terminal */
	instance_send(attendance->connection.fd, gone ? INSTANCE_HANGUP : INSTANCE_SIGNAL, (uint32_t)signo,
		NULL, 0, NULL, 0);
}

static void signalled(struct loop_source *source, uint32_t events) {
	(void)events;
	struct signalfd_siginfo info;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		handle_signal(
			attendance_of(source, offsetof(struct attendance, signals)), (int)info.ssi_signo);
	}
}

/* The command was asked to end and has not: leave it, which hangs it up. Or it has, and the VM takes its
 * time. */
static void deadline_passed(struct loop_source *source, uint32_t events) {
	(void)events;
	struct attendance *attendance = attendance_of(source, offsetof(struct attendance, deadline));
	fd_event_drain(source->fd);
	if (attendance->signal == 0) {
		attendance->waited_ms += PROGRESS_MS;
		progress_show(
			"the VM is ending and stores what was written (%d s)", attendance->waited_ms / 1000);
		set_deadline(attendance, PROGRESS_MS);
		return;
	}
	terminal_restore();
	leave(attendance, attendance->signal);
}

/* ---- beginning and end ---- */

static int watch(struct attendance *attendance, struct loop_source *source, int fd,
	void (*ready)(struct loop_source *source, uint32_t events)) {
	*source = (struct loop_source){.fd = fd, .ready = ready};
	return fd < 0 ? -errno : loop_add(&attendance->loop, source, EPOLLIN);
}

static int watch_all(struct attendance *attendance, int connection) {
	sigset_t set;
	signals_handled(&set);
	sigprocmask(SIG_BLOCK, &set, &attendance->mask);
	signal(SIGPIPE, SIG_IGN);
	int ret = watch(
		attendance, &attendance->signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), signalled);
	if (ret == 0) {
		ret = watch(attendance, &attendance->deadline,
			timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), deadline_passed);
	}
	return ret < 0 ? ret : watch(attendance, &attendance->connection, connection, connection_ready);
}

static void finish(struct attendance *attendance) {
	progress_clear();
	for (unsigned i = 0; i < 3; i++) {
		relay_finish(&attendance->relays[i]);
	}
	loop_finish(&attendance->loop);
	if (attendance->signals.fd > 0) {
		fd_close(&attendance->signals.fd);
	}
	if (attendance->deadline.fd > 0) {
		fd_close(&attendance->deadline.fd);
	}
	terminal_restore();
	keeper_stop(&attendance->keeper);
	free(attendance->buffer);
	free(attendance);
}

int instance_attend(int connection, struct instance_streams *streams, struct error *error) {
	struct attendance *attendance = calloc(1, sizeof(*attendance));
	if (attendance == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	attendance->error = error;
	attendance->streams = streams;
	attendance->buffer = malloc(INSTANCE_MESSAGE_MAX);
	int ret = attendance->buffer == NULL ? -ENOMEM : loop_init(&attendance->loop);
	if (ret == 0) {
		ret = watch_all(attendance, connection);
	}
	if (ret == 0) {
		ret = loop_run(&attendance->loop);
	}
	if (ret == -EAGAIN) {
		/* The next try has not begun to wait for them. */
		sigprocmask(SIG_SETMASK, &attendance->mask, NULL);
	}
	finish(attendance);
	return ret < 0 && ret != -EAGAIN
		       ? error_set(error, ret, "cannot take part in the VM: %s", strerror(-ret))
		       : ret;
}
