/*
 * A session's local ends. Memory is bounded by the window: the guest is told that output was passed on
 * only once it is written, and input is read only when the guest may be sent it.
 *
 * Runs on the monitor's loop thread. Output bytes are the guest's and are passed on as they are; their
 * amount is checked here.
 */
#include "control/session.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Output passed on that is not yet worth a CREDIT. */
#define CREDIT_BATCH (GUEST_WINDOW / 4)
/* Standard input is read in pieces that are worth a frame. */
#define READ_MIN 4096

#define SMALL_FRAME (sizeof(struct guest_frame) + 4)
/* All a session may owe but its EXEC and its standard input: 64 signals, and one or two each of the others.
 */
#define SMALL_FRAMES_MAX (64 + 6)

static_assert(
	SMALL_FRAMES_MAX * SMALL_FRAME + READ_MIN < GUEST_FRAME_MAX, "all that is owed fits one buffer");

size_t frame_put(
	uint8_t *buffer, size_t size, uint16_t type, uint32_t session, const void *data, size_t len) {
	struct guest_frame frame = {
		.type = htole16(type), .session = htole32(session), .length = htole32((uint32_t)len)};
	memcpy(buffer + size, &frame, sizeof(frame));
	if (len > 0) {
		memcpy(buffer + size + sizeof(frame), data, len);
	}
	return size + sizeof(frame) + len;
}

/* ---- output ---- */

static void forget_buffer(struct session_output *output) {
	free(output->data);
	output->data = NULL;
	output->start = output->end = output->capacity = 0;
}

/* Nobody will take this output any more: what was kept of it counts as passed on. */
static void close_output(struct session_output *output) {
	output->session->credit_owed += (uint32_t)(output->end - output->start);
	forget_buffer(output);
	stream_close(&output->stream);
}

static void output_failed(struct session_output *output, int error) {
	struct session *session = output->session;
	bool terminal = session->tty && output == &session->outputs[0];
	if (error != -EPIPE && error != -ECONNRESET && !(terminal && error == -EIO)) {
		control_report(session->control,
			output == &session->outputs[0] ? "standard output" : "standard error", error);
		session->lost = true;
	}
	if (terminal) {
		session_hangup(session);
		return;
	}
	close_output(output);
	output->close_owed = true;
}

/* Write what can be written now; the number of bytes. */
static size_t write_now(struct session_output *output, const uint8_t *data, size_t len) {
	ssize_t n = stream_write(&output->stream, data, len);
	if (n < 0) {
		output_failed(output, (int)n);
		return 0;
	}
	output->session->credit_owed += (uint32_t)n;
	return (size_t)n;
}

static int keep(struct session_output *output, const uint8_t *data, size_t len) {
	if (output->start > 0) {
		output->end -= output->start;
		memmove(output->data, output->data + output->start, output->end);
		output->start = 0;
	}
	if (output->end + len > output->capacity) {
		uint8_t *grown = realloc(output->data, output->end + len);
		if (grown == NULL) {
			return -ENOMEM;
		}
		output->data = grown;
		output->capacity = output->end + len;
	}
	memcpy(output->data + output->end, data, len);
	output->end += len;
	return 0;
}

static void send_credit(struct session *session) {
	if (session->credit_owed >= CREDIT_BATCH || session->hangup_owed || session->outputs[0].close_owed ||
		session->outputs[1].close_owed) {
		control_flush(session->control);
	}
}

bool session_write(struct session *session, unsigned which, const uint8_t *data, size_t len) {
	struct session_output *output = &session->outputs[which];
	if (len > GUEST_WINDOW - session->received) {
		return false;
	}
	session->received += (uint32_t)len;
	if (output->stream.kind != STREAM_CLOSED && output->end == 0) {
		size_t n = write_now(output, data, len);
		data += n;
		len -= n;
	}
	if (output->stream.kind == STREAM_CLOSED) {
		session->credit_owed += (uint32_t)len;
	} else if (len > 0) {
		int ret = keep(output, data, len);
		if (ret < 0) {
			session->credit_owed += (uint32_t)len;
			output_failed(output, ret);
		}
		stream_wait(&output->stream, true);
	}
	send_credit(session);
	return true;
}

static void output_ready(struct stream *stream) {
	struct session_output *output =
		(struct session_output *)((char *)stream - offsetof(struct session_output, stream));
	struct session *session = output->session;
	size_t n = write_now(output, output->data + output->start, output->end - output->start);
	output->start += n;
	if (output->start == output->end) {
		forget_buffer(output);
		stream_wait(stream, false);
	}
	send_credit(session);
	control_settle(session);
}

/* ---- input ---- */

static void input_ready(struct stream *stream) {
	struct session *session = (struct session *)((char *)stream - offsetof(struct session, in));
	session->in_ready = true;
	control_flush(session->control);
	control_settle(session);
}

static void input_ended(struct session *session, ssize_t error) {
	if (session->tty) {
		session_hangup(session);
		return;
	}
	if (error < 0) {
		control_report(session->control, "standard input", (int)error);
	}
	stream_close(&session->in);
	session->in_ready = false;
	session->eof_owed = true;
}

/* Read standard input right into a STDIN frame. */
static size_t fill_input(struct session *session, uint8_t *buffer, size_t size, size_t capacity) {
	size_t room = capacity - size;
	size_t window = GUEST_WINDOW - session->in_flight;
	if (!session->in_ready || window == 0 || room < sizeof(struct guest_frame) + READ_MIN) {
		return size;
	}
	room -= sizeof(struct guest_frame);
	uint8_t *place = buffer + size + sizeof(struct guest_frame);
	ssize_t n = stream_read(&session->in, place, room < window ? room : window);
	session->in_ready = session->in.kind == STREAM_FILE;
	if (n == -EAGAIN && session->in.kind != STREAM_FILE) {
		return size;
	}
	if (n <= 0) {
		input_ended(session, n);
		return size;
	}
	session->in_flight += (uint32_t)n;
	frame_put(buffer, size, GUEST_FRAME_STDIN, session->id, NULL, 0);
	const uint32_t length = htole32((uint32_t)n);
	memcpy(buffer + size + offsetof(struct guest_frame, length), &length, sizeof(length));
	return size + sizeof(struct guest_frame) + (size_t)n;
}

void session_watch_input(struct session *session, bool port_has_room) {
	stream_wait(&session->in, port_has_room && session->in_flight < GUEST_WINDOW);
}

bool session_credit(struct session *session, uint32_t len) {
	if (len > session->in_flight) {
		return false;
	}
	session->in_flight -= len;
	control_flush(session->control);
	return true;
}

/* ---- what the guest is owed ---- */

static size_t put_u32(struct session *session, uint8_t *buffer, size_t size, uint16_t type, uint32_t value) {
	value = htole32(value);
	return frame_put(buffer, size, type, session->id, &value, sizeof(value));
}

static size_t fill_signals(struct session *session, uint8_t *buffer, size_t size) {
	while (session->signals_owed != 0) {
		uint32_t bit = (uint32_t)__builtin_ctzll(session->signals_owed);
		size = put_u32(session, buffer, size, GUEST_FRAME_SIGNAL, bit + 1);
		session->signals_owed &= session->signals_owed - 1;
	}
	return size;
}

static size_t fill_output_news(struct session *session, uint8_t *buffer, size_t size) {
	for (unsigned i = 0; i < 2; i++) {
		if (session->outputs[i].close_owed) {
			size = put_u32(session, buffer, size, GUEST_FRAME_CLOSE,
				i == 0 ? GUEST_FRAME_STDOUT : GUEST_FRAME_STDERR);
			session->outputs[i].close_owed = false;
		}
	}
	if (session->credit_owed >= CREDIT_BATCH) {
		size = put_u32(session, buffer, size, GUEST_FRAME_CREDIT, session->credit_owed);
		session->received -= session->credit_owed;
		session->credit_owed = 0;
	}
	return size;
}

static size_t fill_small(struct session *session, uint8_t *buffer, size_t size) {
	size = fill_signals(session, buffer, size);
	if (session->winsize_owed) {
		const uint16_t winsize[2] = {htole16(session->rows), htole16(session->columns)};
		size = frame_put(buffer, size, GUEST_FRAME_WINSIZE, session->id, winsize, sizeof(winsize));
		session->winsize_owed = false;
	}
	if (session->hangup_owed) {
		size = frame_put(buffer, size, GUEST_FRAME_HANGUP, session->id, NULL, 0);
		session->hangup_owed = false;
	}
	if (session->eof_owed) {
		size = frame_put(buffer, size, GUEST_FRAME_STDIN, session->id, NULL, 0);
		session->eof_owed = false;
	}
	return fill_output_news(session, buffer, size);
}

size_t session_fill(struct session *session, uint8_t *buffer, size_t size, size_t capacity) {
	if (session->exited) {
		return size; /* the guest has forgotten it */
	}
	if (session->exec_owed) {
		if (capacity - size < sizeof(struct guest_frame) + session->exec.size) {
			return size;
		}
		size = frame_put(
			buffer, size, GUEST_FRAME_EXEC, session->id, session->exec.data, session->exec.size);
		record_buffer_finish(&session->exec);
		session->exec_owed = false;
	}
	const size_t small = SMALL_FRAMES_MAX * SMALL_FRAME;
	if (capacity - size < small) {
		return size; /* the next buffer is for the rest */
	}
	/* Input first: its end is then told in the same buffer. */
	size = fill_input(session, buffer, size, capacity - small);
	return fill_small(session, buffer, size);
}

/* ---- beginning and end ---- */

/* A terminal is the guest's to program only when the session has it for itself. */
static int open_output(struct session *session, unsigned which, struct loop *loop, int fd, bool tty) {
	struct session_output *output = &session->outputs[which];
	output->session = session;
	int ret = fd < 0 ? 0 : stream_open(&output->stream, loop, fd, true, output_ready);
	output->stream.only_text = !tty;
	return ret;
}

int session_init(struct session *session, struct loop *loop, const struct control_stdio *stdio) {
	int ret = open_output(session, 0, loop, stdio->out, stdio->tty);
	if (ret == 0) {
		ret = open_output(session, 1, loop, stdio->err, stdio->tty);
	}
	if (ret == 0 && stdio->in >= 0) {
		ret = stream_open(&session->in, loop, stdio->in, false, input_ready);
	}
	session->tty = stdio->tty;
	session->eof_owed = stdio->in < 0 && !stdio->tty;
	session->in_ready = session->in.kind == STREAM_FILE;
	if (ret < 0) {
		session_finish(session);
	}
	return ret;
}

void session_finish(struct session *session) {
	stream_close(&session->in);
	for (unsigned i = 0; i < 2; i++) {
		stream_close(&session->outputs[i].stream);
		forget_buffer(&session->outputs[i]);
	}
	record_buffer_finish(&session->exec);
}

void session_hangup(struct session *session) {
	stream_close(&session->in);
	session->in_ready = false;
	for (unsigned i = 0; i < 2; i++) {
		if (session->outputs[i].stream.kind != STREAM_CLOSED) {
			close_output(&session->outputs[i]);
		}
	}
	session->eof_owed = false;
	session->hangup_owed |= !session->hung_up;
	session->hung_up = true;
}

void session_exit(struct session *session, int status) {
	session->exited = true;
	session->status = status;
	stream_close(&session->in);
	session->in_ready = false;
}

bool session_is_done(const struct session *session) {
	return session->exited && session->outputs[0].end == 0 && session->outputs[1].end == 0;
}
