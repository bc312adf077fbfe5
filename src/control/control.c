/*
 * The control port: frames from the guest taken apart and checked, frames to the guest collected and
 * sent, and the list of sessions. Runs on the monitor's loop thread. Every byte that comes in is
 * hostile; a frame that breaks the protocol ends the conversation, and the owner ends the VM.
 */
#include "ph/control.h"

#include "control/session.h"
#include "ph/console.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUFFER_SIZE (sizeof(struct guest_frame) + GUEST_FRAME_MAX)
#define TEXT_MAX 1024
#define STATUS_LOST 125

struct control {
	struct loop *loop;
	struct console_port *port;
	const struct control_ops *ops;
	void *owner;
	struct session *sessions;
	bool ready;    /* READY has come, the port is open */
	bool failed;   /* the guest broke the protocol: nothing is read or sent any more */
	bool flushing; /* control_flush() is at work */
	bool shutdown_owed, time_owed;
	uint32_t url_request; /* that an answer is owed to; 0: none */
	enum guest_url url_answer;
	char *names_owed; /* or NULL */

	uint8_t in[BUFFER_SIZE]; /* the beginning of a frame whose end has not come yet */
	size_t in_size;
	uint8_t out[BUFFER_SIZE]; /* frames, of which out_sent bytes went into the port */
	size_t out_size, out_sent;
};

/* A frame being handled; payload is ph's own copy. */
struct frame {
	uint16_t type;
	uint32_t session;
	const uint8_t *payload;
	uint32_t length;
};

static struct session *find_session(struct control *control, uint32_t id) {
	struct session *session = control->sessions;
	while (session != NULL && session->id != id) {
		session = session->next;
	}
	return session;
}

/* Leave standard input alone: nothing can be sent, and what is ready would keep the loop busy. */
static void stop_input(struct control *control) {
	for (struct session *session = control->sessions; session != NULL; session = session->next) {
		session_watch_input(session, false);
	}
}

static void fail(struct control *control, const char *reason) {
	if (control->failed) {
		return;
	}
	control->failed = true;
	stop_input(control);
	control->ops->failed(control->owner, reason);
}

void control_report(struct control *control, const char *what, int error) {
	char text[128];
	snprintf(text, sizeof(text), "%s: %s", what, strerror(-error));
	control->ops->log(control->owner, true, text);
}

void control_settle(struct session *session) {
	if (!session_is_done(session)) {
		return;
	}
	struct control *control = session->control;
	struct session **link = &control->sessions;
	while (*link != session) {
		link = &(*link)->next;
	}
	*link = session->next;
	uint32_t id = session->id;
	/* The command may have ended well before it could meet the error: success would be a lie. */
	int status = session->status == 0 && session->lost ? STATUS_LOST : session->status;
	session_finish(session);
	free(session);
	control->ops->exited(control->owner, id, status);
}

/* ---- to the guest ---- */

/* First of all: a command that follows shall see the clock as it is. */
static void put_time(struct control *control) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ns = htole64((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	control->out_size = frame_put(control->out, control->out_size, GUEST_FRAME_TIME, 0, &ns, sizeof(ns));
	control->time_owed = false;
}

static void put_names(struct control *control) {
	control->out_size = frame_put(control->out, control->out_size, GUEST_FRAME_NAMES, 0,
		control->names_owed, (uint32_t)strlen(control->names_owed));
	free(control->names_owed);
	control->names_owed = NULL;
}

static void fill(struct control *control) {
	control->out_sent = control->out_size = 0;
	if (control->time_owed) {
		put_time(control);
	}
	if (control->url_request != 0) {
		uint32_t answer = htole32((uint32_t)control->url_answer);
		control->out_size = frame_put(control->out, control->out_size, GUEST_FRAME_URL_ANSWER,
			control->url_request, &answer, sizeof(answer));
		control->url_request = 0;
	}
	if (control->names_owed != NULL) {
		put_names(control);
	}
	for (struct session *session = control->sessions; session != NULL; session = session->next) {
		control->out_size = session_fill(session, control->out, control->out_size, BUFFER_SIZE);
	}
	if (control->shutdown_owed && BUFFER_SIZE - control->out_size >= sizeof(struct guest_frame)) {
		control->out_size =
			frame_put(control->out, control->out_size, GUEST_FRAME_SHUTDOWN, 0, NULL, 0);
		control->shutdown_owed = false;
	}
}

/* Send until nothing is owed (true) or the guest has no room (false). */
static bool send_all(struct control *control) {
	for (;;) {
		control->out_sent += console_port_send(control->port, control->out + control->out_sent,
			control->out_size - control->out_sent);
		if (control->out_sent < control->out_size) {
			return false;
		}
		fill(control);
		if (control->out_size == 0) {
			return true;
		}
	}
}

void control_flush(struct control *control) {
	if (!control->ready || control->failed || control->flushing) {
		return;
	}
	control->flushing = true;
	bool room = send_all(control);
	control->flushing = false;
	for (struct session *session = control->sessions; session != NULL; session = session->next) {
		session_watch_input(session, room);
	}
}

static void writable(void *owner) {
	control_flush(owner);
}

/* ---- from the guest ---- */

static void handle_ready(struct control *control) {
	if (control->ready) {
		fail(control, "a second READY on the control port");
		return;
	}
	control->ready = true;
	control->ops->ready(control->owner);
	control_flush(control);
}

/* The one number a frame consists of. */
static bool read_u32(const struct frame *frame, uint32_t *value) {
	if (frame->length != sizeof(*value)) {
		return false;
	}
	memcpy(value, frame->payload, sizeof(*value));
	*value = le32toh(*value);
	return true;
}

static void handle_session(struct control *control, const struct frame *frame) {
	struct session *session = find_session(control, frame->session);
	uint32_t value;
	if (session == NULL || session->exited) {
		fail(control, "a frame for a session that does not exist");
		return;
	}
	switch (frame->type) {
	case GUEST_FRAME_STDOUT:
	case GUEST_FRAME_STDERR:
		if (!session_write(
			    session, frame->type == GUEST_FRAME_STDERR, frame->payload, frame->length)) {
			fail(control, "more output than the window allows");
		}
		return;
	case GUEST_FRAME_STDIN_CREDIT:
		if (!read_u32(frame, &value) || !session_credit(session, value)) {
			fail(control, "a wrong STDIN_CREDIT");
		}
		return;
	case GUEST_FRAME_EXIT:
		if (!read_u32(frame, &value) || value > 255) {
			fail(control, "a wrong EXIT");
			return;
		}
		session_exit(session, (int)value);
		control_settle(session);
		return;
	}
}

/* The text of a frame, cut to a sensible length. */
static void copy_text(const struct frame *frame, char text[TEXT_MAX]) {
	size_t len = frame->length < TEXT_MAX ? frame->length : TEXT_MAX - 1;
	memcpy(text, frame->payload, len);
	text[len] = '\0';
}

static void handle_log(struct control *control, const struct frame *frame) {
	char text[TEXT_MAX];
	copy_text(frame, text);
	bool error = frame->session == 0 && text[0] == '!';
	control->ops->log(control->owner, error, error ? text + 1 : text);
}

/* What is told when ph ends goes further than the log: to the journal and the desktop. */
static void handle_bye(struct control *control, const struct frame *frame) {
	char text[TEXT_MAX];
	copy_text(frame, text);
	for (char *c = text; *c != '\0'; c++) {
		*c = *c >= ' ' && *c <= '~' ? *c : '?';
	}
	control->ops->bye(control->owner, text);
}

static void handle_timing(struct control *control, const struct frame *frame) {
	char text[TEXT_MAX];
	copy_text(frame, text);
	char *blank = strrchr(text, ' ');
	char *end = NULL;
	uint64_t ns = blank != NULL ? strtoull(blank + 1, &end, 10) : 0;
	if (blank == NULL || end == blank + 1 || *end != '\0') {
		fail(control, "a wrong TIMING");
		return;
	}
	*blank = '\0';
	control->ops->timing(control->owner, text, ns);
}

static void handle_frame(struct control *control, const struct frame *frame) {
	if (!control->ready && frame->type != GUEST_FRAME_READY) {
		fail(control, "a frame before READY");
		return;
	}
	switch (frame->type) {
	case GUEST_FRAME_READY:
		handle_ready(control);
		return;
	case GUEST_FRAME_STDOUT:
	case GUEST_FRAME_STDERR:
	case GUEST_FRAME_STDIN_CREDIT:
	case GUEST_FRAME_EXIT:
		handle_session(control, frame);
		return;
	case GUEST_FRAME_LOG:
		handle_log(control, frame);
		return;
	case GUEST_FRAME_TIMING:
		handle_timing(control, frame);
		return;
	case GUEST_FRAME_URL:
		if (!control->ops->url(control->owner, frame->session, frame->payload, frame->length)) {
			fail(control, "an address to open out of turn");
		}
		return;
	case GUEST_FRAME_BYE:
		handle_bye(control, frame);
		return;
	default:
		fail(control, "an unknown frame on the control port");
	}
}

/* Handle the frame that data begins with, if all of it is there; its size, or 0. */
static size_t take_frame(struct control *control, const uint8_t *data, size_t len) {
	struct guest_frame header;
	if (len < sizeof(header)) {
		return 0;
	}
	memcpy(&header, data, sizeof(header));
	struct frame frame = {
		.type = le16toh(header.type),
		.session = le32toh(header.session),
		.payload = data + sizeof(header),
		.length = le32toh(header.length),
	};
	if (header.zero != 0 || frame.length > GUEST_FRAME_MAX) {
		fail(control, "a malformed frame on the control port");
		return 0;
	}
	if (len - sizeof(header) < frame.length) {
		return 0;
	}
	handle_frame(control, &frame);
	return sizeof(header) + frame.length;
}

/* How many bytes complete the frame that in begins with, as far as is known. */
static size_t missing(const struct control *control) {
	struct guest_frame header;
	if (control->in_size < sizeof(header)) {
		return sizeof(header) - control->in_size;
	}
	memcpy(&header, control->in, sizeof(header));
	return sizeof(header) + le32toh(header.length) - control->in_size;
}

/* Go on with the frame in control->in; the number of bytes taken. */
static size_t complete_frame(struct control *control, const uint8_t *data, size_t len) {
	size_t n = missing(control);
	n = n < len ? n : len;
	assert(n <= BUFFER_SIZE - control->in_size); /* take_frame() has checked the length */
	memcpy(control->in + control->in_size, data, n);
	control->in_size += n;
	if (take_frame(control, control->in, control->in_size) > 0) {
		control->in_size = 0;
	}
	return n;
}

/*
 * All bytes are always taken: what the guest may send is bounded by the windows, and the rest is handled
 * at once. Whole frames are handled where they lie; only a frame in pieces is copied.
 */
static size_t receive(void *owner, const void *data, size_t len) {
	struct control *control = owner;
	const uint8_t *bytes = data;
	size_t done = 0;
	while (done < len && !control->failed) {
		size_t n = control->in_size == 0 ? take_frame(control, bytes + done, len - done) : 0;
		if (n == 0 && !control->failed) {
			n = complete_frame(control, bytes + done, len - done);
		}
		done += n;
	}
	return len;
}

static void opened(void *owner, bool open) {
	struct control *control = owner;
	(void)open;
	control->ready = false;
	control->in_size = 0;
	control->out_size = control->out_sent = 0;
	stop_input(control);
}

/* ---- the owner's side ---- */

static const struct console_port_ops port_ops = {
	.receive = receive,
	.writable = writable,
	.opened = opened,
};

int control_create(struct control **out, struct loop *loop, struct virtio_device *console,
	const struct control_ops *ops, void *owner) {
	struct control *control = calloc(1, sizeof(*control));
	if (control == NULL) {
		return -ENOMEM;
	}
	control->loop = loop;
	control->ops = ops;
	control->owner = owner;
	int ret = console_add_port(console, GUEST_CONTROL_PORT, &port_ops, control, &control->port);
	if (ret < 0) {
		free(control);
		return ret;
	}
	/* A reader that went away is the guest command's concern, not the end of the VM. */
	signal(SIGPIPE, SIG_IGN);
	*out = control;
	return 0;
}

void control_destroy(struct control *control) {
	if (control == NULL) {
		return;
	}
	while (control->sessions != NULL) {
		struct session *session = control->sessions;
		control->sessions = session->next;
		session_finish(session);
		free(session);
	}
	free(control->names_owed);
	free(control);
}

static int add_session(
	struct control *control, uint32_t id, const struct control_stdio *stdio, struct session **out) {
	assert(id != 0);
	if (find_session(control, id) != NULL) {
		return -EEXIST;
	}
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL) {
		return -ENOMEM;
	}
	int ret = session_init(session, control->loop, stdio);
	if (ret < 0) {
		free(session);
		return ret;
	}
	session->id = id;
	session->control = control;
	session->next = control->sessions;
	control->sessions = session;
	*out = session;
	return 0;
}

int control_attach(struct control *control, uint32_t id, const struct control_stdio *stdio) {
	struct session *session;
	int ret = add_session(control, id, stdio, &session);
	if (ret == 0) {
		control_flush(control);
	}
	return ret;
}

int control_exec(struct control *control, uint32_t id, const struct record_buffer *exec,
	const struct control_stdio *stdio) {
	if (exec->failed) {
		return -ENOMEM;
	}
	if (exec->size > GUEST_FRAME_MAX) {
		return -E2BIG;
	}
	uint8_t *copy = malloc(exec->size + 1);
	if (copy == NULL) {
		return -ENOMEM;
	}
	struct session *session;
	int ret = add_session(control, id, stdio, &session);
	if (ret < 0) {
		free(copy);
		return ret;
	}
	if (exec->size > 0) {
		memcpy(copy, exec->data, exec->size);
	}
	session->exec = (struct record_buffer){.data = copy, .size = exec->size, .capacity = exec->size + 1};
	session->exec_owed = true;
	control_flush(control);
	return 0;
}

void control_hangup(struct control *control, uint32_t id) {
	struct session *session = find_session(control, id);
	if (session == NULL) {
		return;
	}
	session_hangup(session);
	control_flush(control);
	control_settle(session);
}

void control_signal(struct control *control, uint32_t id, int signo) {
	assert(signo >= 1 && signo <= 64);
	for (struct session *session = control->sessions; session != NULL; session = session->next) {
		/* One is enough, and was sent with the hang-up. */
		bool had = signo == SIGHUP && session->hung_up;
		if ((id == 0 || session->id == id) && !had) {
			session->signals_owed |= 1ULL << (signo - 1);
		}
	}
	control_flush(control);
}

void control_resize(struct control *control, uint32_t id, uint16_t rows, uint16_t columns) {
	struct session *session = find_session(control, id);
	if (session != NULL) {
		session->rows = rows;
		session->columns = columns;
		session->winsize_owed = true;
		control_flush(control);
	}
}

void control_tell_time(struct control *control) {
	control->time_owed = true;
	control_flush(control);
}

/* The guest asks for the next only when it has this one. */
void control_answer_url(struct control *control, uint32_t request, enum guest_url answer) {
	control->url_request = request;
	control->url_answer = answer;
	control_flush(control);
}

void control_tell_names(struct control *control, const char *text) {
	free(control->names_owed);
	control->names_owed = strndup(text, GUEST_NAMES_MAX);
	control_flush(control);
}

void control_shutdown(struct control *control) {
	control->shutdown_owed = true;
	control_flush(control);
}
