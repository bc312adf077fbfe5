/*
 * The bytes between a program of the VM and the sound server: cut into frames, judged (filter.c), passed on.
 * In the sound filter's process, on its loop. All of it is hostile from the guest's side; what is too long or
 * makes no sense ends the connection. A receiver that does not read stops its sender, and nobody else.
 */
#include "sound/connection.h"

#include "ph/fd.h"
#include "sound/tags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static struct sound_flow *opposite(struct sound_flow *flow) {
	return flow->from_guest ? &flow->connection->answers : &flow->connection->requests;
}

/* ---- out ---- */

static size_t room(const struct sound_flow *flow) {
	return SOUND_OUT_SIZE - flow->out_size;
}

static void append(struct sound_flow *flow, const void *data, size_t size) {
	if (flow->out_start + flow->out_size + size > SOUND_OUT_SIZE) {
		memmove(flow->out, flow->out + flow->out_start, flow->out_size);
		flow->out_start = 0;
	}
	memcpy(flow->out + flow->out_start + flow->out_size, data, size);
	flow->out_size += size;
}

/* What stands before a command of this size. */
static void put_descriptor(uint8_t descriptor[PULSE_DESCRIPTOR_SIZE], size_t size) {
	memset(descriptor, 0, PULSE_DESCRIPTOR_SIZE);
	tags_put(descriptor, (uint32_t)size);
	tags_put(descriptor + 4, PULSE_CONTROL);
}

/* A command and up to two numbers, for when the frame under way is complete. */
static void add_note(struct sound_flow *flow, uint32_t number, uint32_t tag, uint32_t value) {
	uint8_t *note = flow->notes[flow->note_count++];
	put_descriptor(note, SOUND_NOTE_SIZE - PULSE_DESCRIPTOR_SIZE);
	tags_put_number(tags_put_number(tags_put_number(note + PULSE_DESCRIPTOR_SIZE, number), tag), value);
}

static void append_notes(struct sound_flow *flow) {
	while (flow->passing == 0 && flow->note_count > 0 && room(flow) >= SOUND_NOTE_SIZE) {
		append(flow, flow->notes[0], SOUND_NOTE_SIZE);
		flow->note_count--;
		memmove(flow->notes[0], flow->notes[1], flow->note_count * sizeof(flow->notes[0]));
	}
}

/* ---- frames ---- */

static void consume(struct sound_flow *flow, size_t size) {
	flow->in_start += size;
	flow->in_size -= size;
}

static void pass_command(struct sound_flow *flow, size_t size) {
	const struct sound_filter *filter = &flow->connection->filter;
	uint8_t descriptor[PULSE_DESCRIPTOR_SIZE];
	if (!flow->from_guest) {
		append(flow, flow->in + flow->in_start, PULSE_DESCRIPTOR_SIZE + size);
		return;
	}
	put_descriptor(descriptor, filter->command_size);
	append(flow, descriptor, sizeof(descriptor));
	append(flow, filter->command, filter->command_size);
}

/* False: the connection is over. */
static bool act(
	struct sound_flow *flow, enum sound_verdict verdict, size_t size, uint32_t tag, uint32_t channel) {
	struct sound_flow *to_guest = &flow->connection->answers;
	switch (verdict) {
	case SOUND_PASS:
		pass_command(flow, size);
		break;
	case SOUND_CANCEL:
		add_note(&flow->connection->requests, PULSE_DELETE_RECORD_STREAM, SOUND_OWN_TAG, channel);
		add_note(to_guest, PULSE_ERROR, tag, PULSE_ERROR_ACCESS);
		break;
	case SOUND_REFUSE:
		add_note(to_guest, PULSE_ERROR, tag, PULSE_ERROR_ACCESS);
		break;
	case SOUND_DROP:
		break;
	case SOUND_HANG_UP:
		return false;
	}
	consume(flow, PULSE_DESCRIPTOR_SIZE + size);
	return true;
}

enum progress { MORE, STUCK, OVER };

static enum progress step_command(struct sound_flow *flow, uint32_t size) {
	struct sound_filter *filter = &flow->connection->filter;
	uint32_t tag = 0, channel = 0;
	if (size == 0 || size > SOUND_COMMAND_MAX) {
		return OVER;
	}
	if (flow->in_size < PULSE_DESCRIPTOR_SIZE + size ||
		room(flow) < PULSE_DESCRIPTOR_SIZE + size + SOUND_COMMAND_GROWTH ||
		flow->note_count == SOUND_NOTES_MAX || opposite(flow)->note_count == SOUND_NOTES_MAX) {
		return STUCK;
	}
	uint8_t *command = flow->in + flow->in_start + PULSE_DESCRIPTOR_SIZE;
	enum sound_verdict verdict = flow->from_guest
					     ? sound_filter_request(filter, command, size, &tag)
					     : sound_filter_answer(filter, command, size, &tag, &channel);
	return act(flow, verdict, size, tag, channel) ? MORE : OVER;
}

static enum progress step_data(struct sound_flow *flow, uint32_t size, uint32_t channel, uint32_t flags) {
	const struct sound_filter *filter = &flow->connection->filter;
	enum sound_verdict verdict = flow->from_guest ? sound_filter_request_data(filter, channel, flags)
						      : sound_filter_answer_data(filter, channel, flags);
	if (size == 0 || size > PULSE_DATA_MAX || verdict == SOUND_HANG_UP) {
		return OVER;
	}
	if (room(flow) < PULSE_DESCRIPTOR_SIZE) {
		return STUCK;
	}
	if (verdict == SOUND_PASS) {
		append(flow, flow->in + flow->in_start, PULSE_DESCRIPTOR_SIZE);
		flow->passing = size;
	} else {
		flow->dropping = size;
	}
	consume(flow, PULSE_DESCRIPTOR_SIZE);
	return MORE;
}

/* Data of a frame that was let through, or was not. */
static enum progress step_inside(struct sound_flow *flow) {
	size_t size = flow->in_size;
	if (flow->dropping > 0) {
		size = size < flow->dropping ? size : flow->dropping;
		flow->dropping -= (uint32_t)size;
	} else {
		size = size < flow->passing ? size : flow->passing;
		size = size < room(flow) ? size : room(flow);
		append(flow, flow->in + flow->in_start, size);
		flow->passing -= (uint32_t)size;
	}
	consume(flow, size);
	return size > 0 ? MORE : STUCK;
}

static enum progress step(struct sound_flow *flow) {
	const uint8_t *head = flow->in + flow->in_start;
	if (flow->passing > 0 || flow->dropping > 0) {
		return step_inside(flow);
	}
	append_notes(flow);
	if (flow->in_size < PULSE_DESCRIPTOR_SIZE) {
		return STUCK;
	}
	uint32_t size = tags_get(head), channel = tags_get(head + 4), flags = tags_get(head + 16);
	if (channel != PULSE_CONTROL) {
		return step_data(flow, size, channel, flags);
	}
	return flags == 0 ? step_command(flow, size) : OVER;
}

/* ---- sockets ---- */

static struct loop_source *source_of(struct sound_flow *flow) {
	return flow->from_guest ? &flow->connection->guest : &flow->connection->server;
}

/* False: the connection is over. */
static bool read_some(struct sound_flow *flow) {
	memmove(flow->in, flow->in + flow->in_start, flow->in_size);
	flow->in_start = 0;
	if (flow->in_size == sizeof(flow->in)) {
		return true;
	}
	/* Descriptors that come along, which the display lets none do, are closed by the kernel. */
	ssize_t n = recv(source_of(flow)->fd, flow->in + flow->in_size, sizeof(flow->in) - flow->in_size,
		MSG_DONTWAIT);
	flow->in_size += n > 0 ? (size_t)n : 0;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool write_some(struct sound_flow *flow) {
	int fd = source_of(opposite(flow))->fd;
	while (flow->out_size > 0) {
		ssize_t n =
			send(fd, flow->out + flow->out_start, flow->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		flow->connection->moved = true;
		flow->out_start += (size_t)n;
		flow->out_size -= (size_t)n;
	}
	flow->out_start = 0;
	return true;
}

/* False: the connection is over. */
static bool move(struct sound_flow *flow) {
	enum progress progress;
	while ((progress = step(flow)) == MORE) {
		flow->connection->moved = true;
	}
	return progress != OVER && write_some(flow);
}

static void watch(struct sound_connection *connection) {
	struct sound_flow *flows[] = {&connection->requests, &connection->answers};
	for (unsigned i = 0; i < 2; i++) {
		bool full = flows[i]->in_size == sizeof(flows[i]->in);
		bool waits = opposite(flows[i])->out_size > 0;
		loop_modify(
			connection->loop, source_of(flows[i]), (full ? 0 : EPOLLIN) | (waits ? EPOLLOUT : 0));
	}
}

static void ready(struct sound_connection *connection, struct sound_flow *flow, uint32_t events) {
	bool alive = (events & EPOLLIN) == 0 || read_some(flow);
	/* Each may put something into the other, or have waited for it. */
	do {
		connection->moved = false;
		alive = alive && move(flow) && move(opposite(flow));
	} while (alive && connection->moved);
	if (!alive || (events & (EPOLLHUP | EPOLLERR)) != 0) {
		sound_connection_destroy(connection);
		return;
	}
	watch(connection);
}

static void guest_ready(struct loop_source *source, uint32_t events) {
	struct sound_connection *connection =
		(struct sound_connection *)(void *)((char *)source -
						    offsetof(struct sound_connection, guest));
	ready(connection, &connection->requests, events);
}

static void server_ready(struct loop_source *source, uint32_t events) {
	struct sound_connection *connection =
		(struct sound_connection *)(void *)((char *)source -
						    offsetof(struct sound_connection, server));
	ready(connection, &connection->answers, events);
}

int sound_connection_create(struct sound_connection **list, unsigned *count, struct loop *loop, int guest,
	int server, const struct sound_rules *rules) {
	struct sound_connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL) {
		fd_close(&guest);
		fd_close(&server);
		return -ENOMEM;
	}
	connection->loop = loop;
	connection->filter.rules = rules;
	connection->guest = (struct loop_source){.fd = guest, .ready = guest_ready};
	connection->server = (struct loop_source){.fd = server, .ready = server_ready};
	connection->requests.connection = connection->answers.connection = connection;
	connection->requests.from_guest = true;
	connection->list = list;
	connection->next = *list;
	connection->count = count;
	*list = connection;
	++*count;
	int ret = loop_add(loop, &connection->guest, EPOLLIN);
	if (ret == 0) {
		ret = loop_add(loop, &connection->server, EPOLLIN);
	}
	if (ret < 0) {
		sound_connection_destroy(connection);
	}
	return ret;
}

void sound_connection_destroy(struct sound_connection *connection) {
	struct sound_connection **link = connection->list;
	while (*link != connection) {
		link = &(*link)->next;
	}
	*link = connection->next;
	--*connection->count;
	loop_remove(connection->loop, &connection->guest);
	loop_remove(connection->loop, &connection->server);
	fd_close(&connection->guest.fd);
	fd_close(&connection->server.fd);
	free(connection);
}
