/*
 * Moves the bytes of one command between its pipes or terminal and the control port, and knows
 * when it is over: the command has exited and what it wrote is sent. Runs in ph-init's loop and
 * never blocks; what a command does with its streams is hostile in the sense that it must not
 * hold up another session.
 *
 * The streams are edge-triggered: a session is pumped when something happened to it, until
 * nothing moves any more.
 */
#include "guest/init/session.h"

#include "guest/init/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* The driver takes 32 KiB a write: one piece with its header is one write. */
#define PIECE (32 * 1024 - sizeof(struct guest_frame))
/* Output waits in the command's pipe rather than here. */
#define PENDING_MAX (128 * 1024)
/* What of the window is left to standard error: nobody may read standard output for now, as a pager does. */
#define ERROR_RESERVE (GUEST_WINDOW / 4)
/* The most a terminal holds between the two ends. */
#define TTY_BUFFER (128 * 1024)

/* The terminal's master, which is the input, too. */
static bool is_terminal(const struct session *session, const struct session_output *output) {
	return session->tty && output == &session->outputs[0];
}

static int watch(struct session *session, int fd, uint32_t events) {
	struct epoll_event event = {.events = events | EPOLLET, .data.ptr = session};
	return epoll_ctl(session->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_streams(struct session *session) {
	int result = watch(session, session->in, EPOLLIN | EPOLLOUT);
	if (result == 0 && !session->tty) {
		result = watch(session, session->outputs[0].fd, EPOLLIN);
	}
	if (result == 0 && session->outputs[1].fd >= 0) {
		result = watch(session, session->outputs[1].fd, EPOLLIN);
	}
	return result;
}

int session_create(struct session **created, uint32_t id, const struct exec *exec,
	const struct config *config, struct port *port, int epoll) {
	struct spawned spawned;
	struct session *session = calloc(1, sizeof(*session));
	*created = NULL;
	if (session == NULL) {
		return -ENOMEM;
	}
	int result = spawn_command(exec, config, &spawned);
	if (result < 0) {
		free(session);
		return result;
	}
	*session = (struct session){.port = port,
		.epoll = epoll,
		.id = id,
		.pid = spawned.pid,
		.tty = exec->tty,
		.in = spawned.in,
		.outputs = {{.fd = spawned.out, .type = GUEST_FRAME_STDOUT},
			{.fd = spawned.err, .type = GUEST_FRAME_STDERR}},
		.credit = GUEST_WINDOW};
	result = watch_streams(session);
	if (result < 0) {
		kill(session->pid, SIGKILL);
		session_destroy(session);
		return result;
	}
	*created = session;
	return 0;
}

/* A child of init's that has yet to execute its program holds the stream, too: closing it here would leave it
 * in epoll, with a session that is gone. */
static void close_stream(struct session *session, int fd) {
	epoll_ctl(session->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static void close_input(struct session *session) {
	if (session->in >= 0 && !session->tty) {
		close_stream(session, session->in);
	}
	session->in = -1;
	session->input_size = 0;
}

static void close_output(struct session *session, struct session_output *output) {
	if (output->fd < 0) {
		return;
	}
	if (is_terminal(session, output)) {
		close_input(session);
	}
	close_stream(session, output->fd);
	output->fd = -1;
}

void session_destroy(struct session *session) {
	if (session == NULL) {
		return;
	}
	close_input(session);
	close_output(session, &session->outputs[0]);
	close_output(session, &session->outputs[1]);
	free(session->input);
	free(session);
}

int session_input(struct session *session, const uint8_t *data, size_t len) {
	session->ready = true;
	if (len == 0) {
		session->input_end = true;
		return 0;
	}
	if (session->in < 0) {
		return 0;
	}
	if (session->input == NULL) {
		session->input = malloc(GUEST_WINDOW);
	}
	if (session->input == NULL || len > GUEST_WINDOW - session->input_size) {
		return -EPROTO;
	}
	size_t end = (session->input_start + session->input_size) % GUEST_WINDOW;
	size_t first = len < GUEST_WINDOW - end ? len : GUEST_WINDOW - end;
	memcpy(session->input + end, data, first);
	memcpy(session->input, data + first, len - first);
	session->input_size += len;
	return 0;
}

void session_credit(struct session *session, uint32_t bytes) {
	uint32_t room = GUEST_WINDOW - session->credit;
	session->credit += bytes < room ? bytes : room;
	session->ready = true;
}

void session_signal(struct session *session, int signo) {
	pid_t group = 0;
	if (session->exited) {
		return;
	}
	if (session->tty && session->in >= 0 && ioctl(session->in, TIOCGPGRP, &group) == 0 && group > 0 &&
		kill(-group, signo) == 0) {
		return;
	}
	/* The child may not have made its group yet. */
	if (kill(-session->pid, signo) < 0) {
		kill(session->pid, signo);
	}
}

void session_resize(struct session *session, uint16_t rows, uint16_t columns) {
	const struct winsize size = {.ws_row = rows, .ws_col = columns};
	if (session->tty && session->in >= 0) {
		ioctl(session->in, TIOCSWINSZ, &size);
	}
}

void session_hangup(struct session *session) {
	session_signal(session, SIGHUP);
	session_signal(session, SIGCONT);
	session->dropped = true;
	session->ready = true;
	close_input(session);
	close_output(session, &session->outputs[0]);
	close_output(session, &session->outputs[1]);
}

void session_close_output(struct session *session, enum guest_frame_type type) {
	for (int i = 0; i < 2; i++) {
		struct session_output *output = &session->outputs[i];
		if (output->type == type && !is_terminal(session, output)) {
			close_output(session, output);
		}
	}
	session->ready = true;
}

/* A process left behind may hold the stream open and even go on writing: what the command itself wrote is no
 * more than the stream can hold now. */
static void limit_output(struct session *session, struct session_output *output) {
	bool pipe = output->fd >= 0 && !is_terminal(session, output);
	int capacity = pipe ? fcntl(output->fd, F_GETPIPE_SZ) : -1;
	output->left = capacity < 0 ? TTY_BUFFER : (size_t)capacity;
}

void session_exited(struct session *session, int wait_status) {
	session->exited = true;
	session->ready = true;
	session->status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
	limit_output(session, &session->outputs[0]);
	limit_output(session, &session->outputs[1]);
}

static void credit_input(struct session *session, size_t taken) {
	session->untold += (uint32_t)taken;
	if (session->untold >= GUEST_WINDOW / 4) {
		port_send_u32(session->port, GUEST_FRAME_STDIN_CREDIT, session->id, session->untold);
		session->untold = 0;
	}
}

/* The end of the input: a closed pipe, or what a terminal's user types for it. */
static void end_input(struct session *session) {
	struct termios termios;
	session->input_end = false;
	if (!session->tty) {
		close_input(session);
	} else if (session->in >= 0 && tcgetattr(session->in, &termios) == 0 &&
		   (termios.c_lflag & ICANON) != 0) {
		ssize_t ignored = write(session->in, &termios.c_cc[VEOF], 1);
		(void)ignored;
	}
}

static void pump_input(struct session *session) {
	while (session->in >= 0 && session->input_size > 0) {
		size_t len = GUEST_WINDOW - session->input_start;
		len = len < session->input_size ? len : session->input_size;
		ssize_t n = write(session->in, session->input + session->input_start, len);
		if (n < 0 && errno == EAGAIN) {
			return;
		}
		if (n < 0 && !session->tty) {
			close_input(session);
			return;
		}
		/* A terminal nobody has open loses what is typed, as a real one does. */
		size_t taken = n < 0 ? len : (size_t)n;
		session->input_start = (session->input_start + taken) % GUEST_WINDOW;
		session->input_size -= taken;
		credit_input(session, taken);
	}
	if (session->input_end && session->input_size == 0) {
		end_input(session);
	}
}

static void end_output(struct session *session, struct session_output *output) {
	close_output(session, output);
	port_send(session->port, output->type, session->id, NULL, 0);
}

/* One piece. True when there may be more. */
static bool pump_output(struct session *session, struct session_output *output) {
	bool others = output == &session->outputs[0] && session->outputs[1].fd >= 0;
	size_t reserve = others ? ERROR_RESERVE : 0;
	size_t room = session->credit > reserve ? session->credit - reserve : 0;
	room = room < PIECE ? room : PIECE;
	if (output->fd < 0 || room == 0) {
		return false;
	}
	if (port_pending(session->port) >= PENDING_MAX) {
		session->blocked = true;
		return false;
	}
	if (session->exited && output->left < room) {
		room = output->left;
	}
	ssize_t n = room == 0 ? 0 : read(output->fd, port_reserve(session->port, room), room);
	if (n > 0) {
		port_commit(session->port, output->type, session->id, (size_t)n);
		session->credit -= (uint32_t)n;
		output->left -= session->exited ? (size_t)n : 0;
		return true;
	}
	/* A terminal nobody has open (EIO) may be opened again as long as the command runs. */
	bool again = n < 0 && (errno == EAGAIN || errno == EINTR || is_terminal(session, output));
	if (session->exited || !again) {
		end_output(session, output);
	}
	return false;
}

bool session_unblock(struct session *session) {
	if (!session->blocked || port_pending(session->port) >= PENDING_MAX) {
		return false;
	}
	session->blocked = false;
	session->ready = true;
	return true;
}

bool session_pump(struct session *session) {
	session->ready = false;
	pump_input(session);
	session->ready |= pump_output(session, &session->outputs[0]);
	session->ready |= pump_output(session, &session->outputs[1]);
	if (!session->exited || session->outputs[0].fd >= 0 || session->outputs[1].fd >= 0) {
		return false;
	}
	port_send_u32(session->port, GUEST_FRAME_EXIT, session->id, (uint32_t)session->status);
	return true;
}
