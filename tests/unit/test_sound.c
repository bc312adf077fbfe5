/*
 * The sound filter over socket pairs: a program of the VM at one end, a server at the other, and each rule
 * broken.
 */
#include "sound/connection.h"
#include "sound/tags.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct loop loop;
	struct sound_connection *list;
	unsigned count;
	int guest, server; /* our ends */
};

/* A command under construction. */
struct command {
	size_t size;
	uint8_t bytes[70000];
};

static const struct sound_rules deaf = {.tag = "mail"}, hearing = {.tag = "mail", .microphone = true};

static struct fixture *set_up(bool microphone) {
	const struct sound_rules *rules = microphone ? &hearing : &deaf;
	struct fixture *f = calloc(1, sizeof(*f));
	int guest[2], server[2];
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, guest), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server), 0);
	f->guest = guest[0];
	f->server = server[0];
	assert_int_equal(
		sound_connection_create(&f->list, &f->count, &f->loop, guest[1], server[1], rules), 0);
	return f;
}

static void tear_down(struct fixture *f) {
	if (f->list != NULL) {
		sound_connection_destroy(f->list);
	}
	assert_int_equal(f->count, 0);
	loop_finish(&f->loop);
	close(f->guest);
	close(f->server);
	free(f);
}

static void run(struct fixture *f) {
	struct epoll_event event;
	while (epoll_wait(f->loop.epoll_fd, &event, 1, 0) == 1) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
}

static void number(struct command *c, uint32_t value) {
	tags_put_number(c->bytes + c->size, value);
	c->size += 5;
}

static void bytes(struct command *c, const void *data, size_t size) {
	memcpy(c->bytes + c->size, data, size);
	c->size += size;
}

static void string(struct command *c, const char *text) {
	bytes(c, text == NULL ? "N" : "t", 1);
	if (text != NULL) {
		bytes(c, text, strlen(text) + 1);
	}
}

static struct command *command(uint32_t what, uint32_t tag) {
	static struct command c;
	c.size = 0;
	number(&c, what);
	number(&c, tag);
	return &c;
}

static void send_frame(int fd, uint32_t channel, uint32_t flags, const void *data, size_t size) {
	uint8_t head[PULSE_DESCRIPTOR_SIZE] = {0};
	tags_put(head, (uint32_t)size);
	tags_put(head + 4, channel);
	tags_put(head + 16, flags);
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	if (size > 0) {
		assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
	}
}

static void send_command(int fd, const struct command *c) {
	send_frame(fd, PULSE_CONTROL, 0, c->bytes, c->size);
}

/* The next frame at one of the ends: its channel, its data in buffer. Fails when there is none. */
static size_t receive(int fd, uint32_t *channel, uint8_t *buffer, size_t room) {
	uint8_t head[PULSE_DESCRIPTOR_SIZE];
	assert_int_equal(recv(fd, head, sizeof(head), 0), sizeof(head));
	size_t size = tags_get(head);
	*channel = tags_get(head + 4);
	assert_true(size <= room);
	assert_int_equal(tags_get(head + 16), 0);
	assert_int_equal(recv(fd, buffer, size, MSG_WAITALL), size);
	return size;
}

static void expect_same(int fd, const struct command *c) {
	static uint8_t buffer[70000];
	uint32_t channel;
	assert_int_equal(receive(fd, &channel, buffer, sizeof(buffer)), c->size);
	assert_int_equal(channel, PULSE_CONTROL);
	assert_memory_equal(buffer, c->bytes, c->size);
}

static void expect_numbers(int fd, uint32_t a, uint32_t b, uint32_t c) {
	uint8_t buffer[64], expected[15];
	uint32_t channel;
	tags_put_number(tags_put_number(tags_put_number(expected, a), b), c);
	assert_int_equal(receive(fd, &channel, buffer, sizeof(buffer)), 15);
	assert_memory_equal(buffer, expected, 15);
}

static void expect_nothing(int fd) {
	uint8_t byte;
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect_hung_up(struct fixture *f) {
	uint8_t byte;
	run(f);
	assert_null(f->list);
	assert_true(recv(f->guest, &byte, 1, 0) <= 0);
}

static struct command *auth(uint32_t version) {
	static const uint8_t cookie[PULSE_COOKIE_SIZE] = {1, 2, 3};
	uint8_t size[5] = {'x'};
	struct command *c = command(PULSE_AUTH, 0);
	tags_put(size + 1, PULSE_COOKIE_SIZE);
	number(c, version);
	bytes(c, size, 5);
	bytes(c, cookie, PULSE_COOKIE_SIZE);
	return c;
}

static void be_authenticated(struct fixture *f) {
	uint8_t buffer[512];
	uint32_t channel;
	send_command(f->guest, auth(0xc0000023));
	run(f);
	assert_int_equal(receive(f->server, &channel, buffer, sizeof(buffer)), 10 + 5 + 5 + 256);
	assert_int_equal(tags_get(buffer + 11), 0x23);
	for (unsigned i = 0; i < PULSE_COOKIE_SIZE; i++) {
		assert_int_equal(buffer[20 + i], 0);
	}
	struct command *c = command(PULSE_REPLY, 0);
	number(c, 0xc0000023);
	send_command(f->server, c);
	run(f);
	expect_numbers(f->guest, PULSE_REPLY, 0, 0x23);
}

static void expect_refused(struct fixture *f, uint32_t tag) {
	run(f);
	expect_nothing(f->server);
	expect_numbers(f->guest, PULSE_ERROR, tag, PULSE_ERROR_ACCESS);
}

static void expect_passed(struct fixture *f, struct command *c) {
	send_command(f->guest, c);
	run(f);
	expect_same(f->server, c);
	expect_nothing(f->guest);
}

static void property_bytes(struct command *c, const char *key, const void *value, uint32_t size) {
	uint8_t head[5] = {'x'};
	tags_put(head + 1, size);
	string(c, key);
	number(c, size);
	bytes(c, head, 5);
	bytes(c, value, size);
}

static void property(struct command *c, const char *key, const char *value) {
	property_bytes(c, key, value, (uint32_t)strlen(value) + 1);
}

static struct command *client_name(uint32_t tag, const char *name) {
	struct command *c = command(PULSE_SET_CLIENT_NAME, tag);
	bytes(c, "P", 1);
	property(c, "application.name", name);
	property(c, "application.language", "C");
	string(c, NULL);
	return c;
}

/* A program that may do all it may: the server knows who it is, and what it is called. */
static void authenticate(struct fixture *f) {
	be_authenticated(f);
	send_command(f->guest, client_name(1, "Firefox"));
	run(f);
	expect_same(f->server, client_name(1, "[mail] Firefox"));
}

static void test_auth(void **state) {
	(void)state;
	struct fixture *f = set_up(false);
	authenticate(f);
	send_command(f->guest, auth(35)); /* once is enough */
	expect_hung_up(f);
	tear_down(f);
	f = set_up(false);
	send_command(f->guest, auth(12)); /* too old */
	expect_hung_up(f);
	tear_down(f);
	f = set_up(false);
	send_command(f->guest, command(PULSE_GET_SERVER_INFO, 1)); /* before it */
	expect_hung_up(f);
	tear_down(f);
	f = set_up(false);
	struct command *c = auth(35);
	c->size--;
	send_command(f->guest, c);
	expect_hung_up(f);
	tear_down(f);
}

/* Whatever is not listed, the numbers beyond the protocol's included. */
static void test_refused(void **state) {
	(void)state;
	static const uint32_t refused[] = {7, 15, 16, 17, 18, 19, 23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 34,
		36, 38, 39, 40, 44, 45, 48, 50, 51, 52, 53, 67, 68, 70, 71, 87, 88, 89, 90, 96, 97, 98, 99,
		100, 101, 102, 103, 104, 105, 1000, 0xffffffff, PULSE_CREATE_RECORD_STREAM,
		PULSE_LOOKUP_SOURCE, PULSE_GET_RECORD_LATENCY, PULSE_REPLY, PULSE_ERROR,
		PULSE_SUBSCRIBE_EVENT};
	struct fixture *f = set_up(false);
	authenticate(f);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct command *c = command(refused[i], 100 + (uint32_t)i);
		number(c, 0);
		send_command(f->guest, c);
		expect_refused(f, 100 + (uint32_t)i);
	}
	expect_passed(f, command(PULSE_GET_SERVER_INFO, 1001));
	expect_passed(f, command(PULSE_GET_SINK_INFO_LIST, 1002));
	tear_down(f);
}

/* A stream of the guest's: number 3 of its connection, 77 of the server's inputs. */
static void make_stream(struct fixture *f, uint32_t tag, uint32_t channel, uint32_t input) {
	struct command *c = command(PULSE_CREATE_PLAYBACK_STREAM, tag);
	string(c, "anything");
	expect_passed(f, c);
	c = command(PULSE_REPLY, tag);
	number(c, channel);
	number(c, input);
	number(c, 4096);
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
}

static void test_own_streams(void **state) {
	(void)state;
	static const uint32_t commands[] = {PULSE_SET_SINK_INPUT_VOLUME, PULSE_SET_SINK_INPUT_MUTE,
		PULSE_GET_SINK_INPUT_INFO, PULSE_KILL_SINK_INPUT};
	struct fixture *f = set_up(false);
	uint32_t tag = 1;
	authenticate(f);
	for (size_t i = 0; i < 4; i++) {
		struct command *c = command(commands[i], ++tag);
		number(c, 77);
		send_command(f->guest, c);
		expect_refused(f, tag);
	}
	make_stream(f, ++tag, 3, 77);
	for (size_t i = 0; i < 4; i++) {
		struct command *c = command(commands[i], ++tag);
		number(c, 78);
		send_command(f->guest, c);
		expect_refused(f, tag);
		send_command(f->guest, command(commands[i], ++tag)); /* without a number */
		expect_refused(f, tag);
		c = command(commands[i], ++tag);
		number(c, 77);
		expect_passed(f, c);
	}
	struct command *c = command(PULSE_SET_SINK_INPUT_MUTE, ++tag); /* after its end */
	number(c, 77);
	send_command(f->guest, c);
	expect_refused(f, tag);
	tear_down(f);
}

/* Whether a stream's data reach the other end. */
static bool passes(struct fixture *f, int from, int to, uint32_t channel) {
	uint8_t buffer[100] = {0};
	uint32_t on;
	send_frame(from, channel, 0, buffer, 100);
	run(f);
	if (recv(to, buffer, 1, MSG_PEEK) < 0) {
		return false;
	}
	assert_int_equal(receive(to, &on, buffer, sizeof(buffer)), 100);
	assert_int_equal(on, channel);
	return true;
}

static bool plays(struct fixture *f, uint32_t channel) {
	return passes(f, f->guest, f->server, channel);
}

/* What concerns a stream waits until the server has said that there is one, and ends with it. */
static void test_made_streams(void **state) {
	(void)state;
	static const uint32_t commands[] = {PULSE_DELETE_PLAYBACK_STREAM, PULSE_DRAIN_PLAYBACK_STREAM,
		PULSE_GET_PLAYBACK_LATENCY, PULSE_CORK_PLAYBACK_STREAM, PULSE_FLUSH_PLAYBACK_STREAM,
		PULSE_TRIGGER_PLAYBACK_STREAM, PULSE_PREBUF_PLAYBACK_STREAM, PULSE_SET_PLAYBACK_STREAM_NAME,
		PULSE_SET_PLAYBACK_BUFFER, PULSE_UPDATE_PLAYBACK_RATE, PULSE_UPDATE_PLAYBACK_PROPLIST,
		PULSE_DELETE_RECORD_STREAM, PULSE_SET_RECORD_STREAM_NAME, PULSE_GET_RECORD_LATENCY,
		PULSE_CORK_RECORD_STREAM, PULSE_FLUSH_RECORD_STREAM, PULSE_SET_RECORD_BUFFER,
		PULSE_UPDATE_RECORD_RATE, PULSE_UPDATE_RECORD_PROPLIST};
	struct fixture *f = set_up(true);
	uint32_t tag = 1;
	authenticate(f);
	expect_passed(f, command(PULSE_CREATE_PLAYBACK_STREAM, ++tag));
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct command *c = command(commands[i], ++tag);
		number(c, 0);
		send_command(f->guest, c);
		expect_refused(f, tag);
	}
	assert_false(plays(f, 0));
	make_stream(f, ++tag, 0, 77);
	assert_true(plays(f, 0));
	assert_false(plays(f, 1));
	struct command *c = command(PULSE_CORK_PLAYBACK_STREAM, ++tag);
	number(c, 0);
	expect_passed(f, c);
	c = command(PULSE_DELETE_PLAYBACK_STREAM, ++tag);
	number(c, 0);
	expect_passed(f, c);
	assert_false(plays(f, 0));
	make_stream(f, ++tag, 0, 78);
	c = command(PULSE_KILL_SINK_INPUT, ++tag);
	number(c, 78);
	expect_passed(f, c);
	assert_false(plays(f, 0));
	make_stream(f, ++tag, 0, 79);
	c = command(PULSE_PLAYBACK_STREAM_KILLED, 0xffffffff);
	number(c, 0);
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
	assert_false(plays(f, 0));
	tear_down(f);
}

/* As libpulse 16 asks for streams: the truth of that number alone is set, one format of this encoding, and it
 * records what that input plays. */
static struct command *stream_request(
	uint32_t tag, bool record, unsigned truth, uint8_t encoding, uint32_t input) {
	struct command *c = command(record ? PULSE_CREATE_RECORD_STREAM : PULSE_CREATE_PLAYBACK_STREAM, tag);
	const char *layout = record ? "amLNL0L0000000"
				      "00PD000"
				      "F"
				      "v00000"
				    : "amLNL0LLLLv0000000"
				      "00P"
				      "0000000"
				      "F";
	unsigned truths = 0;
	for (; *layout != '\0'; layout++) {
		switch (*layout) {
		case '0':
			bytes(c, ++truths == truth ? "1" : "0", 1);
			break;
		case 'L':
			number(c, 0xffffffff);
			break;
		case 'D':
			number(c, input);
			break;
		case 'P':
			bytes(c, "P", 1);
			property(c, "media.name", "music");
			string(c, NULL);
			break;
		case 'F':
			bytes(c, "B\1fB", 4);
			bytes(c, &encoding, 1);
			bytes(c, "PN", 2);
			break;
		case 'a':
			bytes(c, "a\3\2\0\0\xac\x44", 7);
			break;
		case 'm':
			bytes(c, "m\2\1\2", 4);
			break;
		case 'v':
			bytes(c, "v\2\0\1\0\0\0\1\0\0", 10);
			break;
		default:
			bytes(c, layout, 1);
		}
	}
	assert_int_equal(truths, record ? 18 : 17);
	return c;
}

/* Neither a device of its own, at full volume, nor what one other program plays. */
static void test_plain_streams(void **state) {
	(void)state;
	struct fixture *f = set_up(true);
	uint32_t tag = 1;
	authenticate(f);
	for (unsigned record = 0; record < 2; record++) {
		const unsigned passthrough = 17 + record;
		for (unsigned truth = 0; truth < passthrough; truth++) {
			expect_passed(
				f, stream_request(++tag, record, truth, PULSE_ENCODING_PCM, 0xffffffff));
			send_command(f->server, command(PULSE_ERROR, tag)); /* none is made */
			run(f);
			expect_same(f->guest, command(PULSE_ERROR, tag));
		}
		send_command(
			f->guest, stream_request(++tag, record, passthrough, PULSE_ENCODING_PCM, 0xffffffff));
		expect_refused(f, tag);
		for (unsigned encoding = 0; encoding < 9; encoding++) {
			struct command *c = stream_request(++tag, record, 0, (uint8_t)encoding, 0xffffffff);
			if (encoding != PULSE_ENCODING_PCM) {
				send_command(f->guest, c);
				expect_refused(f, tag);
			}
		}
	}
	send_command(f->guest, stream_request(++tag, true, 0, PULSE_ENCODING_PCM, 77));
	expect_refused(f, tag);
	/* A format without an encoding. */
	struct command *c = command(PULSE_CREATE_PLAYBACK_STREAM, ++tag);
	bytes(c, "f", 1);
	send_command(f->guest, c);
	expect_refused(f, tag);
	tear_down(f);
}

/* ---- properties ---- */

/* Of those that servers act on: PulseAudio loads modules, and libraries; PipeWire makes devices, takes other
 * rates, connects elsewhere. And what is listed, but no text, or no name of an icon. */
static void add_forbidden(struct command *c) {
	property(c, "filter.apply", "ladspa-sink");
	property(c, "filter.apply.ladspa-sink.parameters", "plugin=/home/user/library label=x");
	property(c, "filter.want", "echo-cancel");
	property(c, "media.class", "Audio/Source");
	property(c, "node.force-rate", "8000");
	property(c, "remote.name", "/run/user/1000/bus");
	property(c, "stream.capture.sink", "true");
	property(c, "target.object", "speaker");
	property(c, "application.process.id", "1");
	property(c, "media.icon", "picture");
	property(c, "media.role", "phone");
	property(c, "application.id", "org.example.Player");
	property(c, "media.name ", "x");
	property(c, "", "x");
	property_bytes(c, "media.name", "no end", 6);
	property_bytes(c, "media.name", "", 0);
	property_bytes(c, "media.name", "a\0b", 4);
	property(c, "media.icon_name", "/home/user/picture");
	property(c, "application.icon_name", "https:example");
}

static void add_allowed(struct command *c, bool described) {
	if (described) {
		property(c, "application.version", "Füllhorn");
	}
	property(c, "application.icon_name", "org.example.Player-1_2");
	property(c, "media.title", "music");
	property(c, "media.name", "");
}

/* A command as libpulse makes it, with each kind of value and three lists. */
static struct command *stream_with_properties(uint32_t tag, bool forbidden) {
	struct command *c = command(PULSE_CREATE_PLAYBACK_STREAM, tag);
	bytes(c, "a\3\2\0\0\xac\x44m\2\1\2", 11);
	number(c, 0xffffffff);
	string(c, NULL);
	bytes(c,
		"1v\2\0\1\0\0\0\1\0\0"
		"0R12345678r12345678T12345678U12345678V1234",
		53);
	bytes(c, "P", 1);
	add_allowed(c, false);
	if (forbidden) {
		add_forbidden(c);
	}
	add_allowed(c, true);
	string(c, NULL);
	bytes(c, "0B\2fB\1P", 7);
	property(c, "format.rate", "44100");
	if (forbidden) {
		add_forbidden(c);
	}
	string(c, NULL);
	bytes(c, "fB\1P", 4);
	if (forbidden) {
		add_forbidden(c);
	}
	string(c, NULL);
	return c;
}

static void test_properties(void **state) {
	(void)state;
	struct fixture *f = set_up(false);
	authenticate(f);
	expect_passed(f, stream_with_properties(2, false));
	send_command(f->guest, stream_with_properties(3, true));
	/* What follows lies behind it as before. */
	send_command(f->guest, command(PULSE_STAT, 4));
	run(f);
	expect_same(f->server, stream_with_properties(3, false));
	expect_same(f->server, command(PULSE_STAT, 4));
	for (uint32_t what = 83; what <= 85; what++) { /* to remove some */
		send_command(f->guest, command(what, 100 + what));
		expect_refused(f, 100 + what);
	}
	tear_down(f);
}

/* One line, which does nothing to a terminal where it is printed, nor to what is beside it. */
static void test_texts(void **state) {
	(void)state;
	static const char *const texts[][2] = {{"two\nlines", "two?lines"}, {"\302\2332J", "?2J"},
		{"a\377\303", "a??"}, {"\342\200\256gnp.f\303\274r", "?gnp.f\303\274r"}, {"", ""}};
	struct fixture *f = set_up(false);
	uint32_t tag = 2;
	authenticate(f);
	make_stream(f, tag, 3, 77);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (size_t j = 0; j < 2; j++) { /* as it comes, and as it passes */
			struct command *c = command(PULSE_SET_PLAYBACK_STREAM_NAME, tag + 1);
			number(c, 3);
			string(c, texts[i][j]);
			j == 0 ? send_command(f->guest, c) : expect_same(f->server, c);
			run(f);
		}
		tag++;
		for (size_t j = 0; j < 2; j++) {
			struct command *c = command(PULSE_UPDATE_PLAYBACK_PROPLIST, tag + 1);
			number(c, 3);
			number(c, PULSE_UPDATE_MERGE);
			bytes(c, "P", 1);
			property(c, "media.title", texts[i][j]);
			string(c, NULL);
			j == 0 ? send_command(f->guest, c) : expect_same(f->server, c);
			run(f);
		}
		tag++;
	}
	tear_down(f);
}

/* Servers remember volumes by the names of programs, so the VM's stays in front of each. */
static void test_names(void **state) {
	(void)state;
	char longest[5000], cut[256] = "[mail] ";
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memset(cut + 7, 'x', sizeof(cut) - 8);
	cut[255] = '\0';
	const char *const names[][2] = {
		{"", "[mail]"}, {"\342\200\256[x]", "[mail] ?[x]"}, {longest, cut}, {"\n", "[mail] ?"}};
	struct fixture *f = set_up(false);
	authenticate(f);
	for (uint32_t i = 0; i < 4; i++) {
		send_command(f->guest, client_name(2 + i, names[i][0]));
		run(f);
		expect_same(f->server, client_name(2 + i, names[i][1]));
	}
	make_stream(f, 9, 3, 77);
	/* All else may be said of a client or a stream, but not in place of what was said. */
	static const uint32_t updates[] = {PULSE_UPDATE_CLIENT_PROPLIST, PULSE_UPDATE_PLAYBACK_PROPLIST};
	for (uint32_t i = 0; i < 2; i++) {
		for (uint32_t mode = 0; mode < 3; mode++) {
			const uint32_t tag = 10 + 3 * i + mode;
			for (unsigned j = 0; j < 2; j++) {
				struct command *c = command(updates[i], tag);
				if (i == 1) {
					number(c, 3);
				}
				number(c, j == 0 || mode != PULSE_UPDATE_SET ? mode : PULSE_UPDATE_REPLACE);
				bytes(c, "P", 1);
				property(c, "application.name", j == 0 ? "Evil" : "[mail] Evil");
				string(c, NULL);
				j == 0 ? send_command(f->guest, c) : expect_same(f->server, c);
				run(f);
			}
		}
	}
	struct command *c = command(PULSE_UPDATE_CLIENT_PROPLIST, 30);
	string(c, "no mode");
	send_command(f->guest, c);
	expect_hung_up(f);
	tear_down(f);
}

/* A stream without a name would be remembered by its title. */
static void test_nameless(void **state) {
	(void)state;
	struct fixture *f = set_up(true);
	be_authenticated(f);
	struct command *c = command(PULSE_SET_CLIENT_NAME, 1);
	bytes(c, "P", 1);
	property_bytes(c, "application.name", "no end", 6);
	property(c, "media.name", "music");
	string(c, NULL);
	send_command(f->guest, c);
	run(f);
	c = command(PULSE_SET_CLIENT_NAME, 1);
	bytes(c, "P", 1);
	property(c, "media.name", "music");
	string(c, NULL);
	expect_same(f->server, c);
	send_command(f->guest, command(PULSE_CREATE_PLAYBACK_STREAM, 2));
	expect_refused(f, 2);
	send_command(f->guest, command(PULSE_CREATE_RECORD_STREAM, 3));
	expect_refused(f, 3);
	c = command(PULSE_UPDATE_CLIENT_PROPLIST, 4);
	number(c, PULSE_UPDATE_MERGE);
	bytes(c, "P", 1);
	property(c, "application.name", "[mail] x");
	string(c, NULL);
	send_command(f->guest, c);
	run(f);
	uint8_t buffer[512];
	uint32_t channel;
	receive(f->server, &channel, buffer, sizeof(buffer));
	send_command(f->guest, command(PULSE_CREATE_PLAYBACK_STREAM, 5));
	expect_refused(f, 5);
	tear_down(f);
}

/* A name is one that all servers take: in the only list, with nothing beside it. */
static void test_hidden_names(void **state) {
	(void)state;
	static const char *const before[] = {"PN", "", "N", "tx\0"}, *const behind[] = {"", "PN", "N", "1"};
	static const size_t sizes[][2] = {{2, 0}, {0, 2}, {1, 1}, {3, 1}};
	for (size_t i = 0; i < 4; i++) {
		struct fixture *f = set_up(false);
		be_authenticated(f);
		for (unsigned j = 0; j < 2; j++) { /* as it comes, and as it passes */
			struct command *c = command(PULSE_SET_CLIENT_NAME, 1);
			bytes(c, before[i], sizes[i][0]);
			bytes(c, "P", 1);
			property(c, "application.name", j == 0 ? "Firefox" : "[mail] Firefox");
			string(c, NULL);
			bytes(c, behind[i], sizes[i][1]);
			j == 0 ? send_command(f->guest, c) : expect_same(f->server, c);
			run(f);
		}
		send_command(f->guest, command(PULSE_CREATE_PLAYBACK_STREAM, 2));
		expect_refused(f, 2);
		tear_down(f);
	}
}

/* Names make a command longer; a flood of them does not do so without end. */
static void test_many_names(void **state) {
	(void)state;
	for (unsigned names = 500; names <= 600; names += 100) {
		struct fixture *f = set_up(false);
		authenticate(f);
		struct command *c = command(PULSE_SET_CLIENT_NAME, 2);
		bytes(c, "P", 1);
		for (unsigned i = 0; i < names; i++) {
			property(c, "application.name", "x");
		}
		string(c, NULL);
		send_command(f->guest, c);
		run(f);
		assert_true((f->list != NULL) == (names * strlen("[mail] ") <= SOUND_COMMAND_GROWTH));
		tear_down(f);
	}
}

/* What is cut, or is no value of a known kind: servers might read it in another way. */
static void test_no_values(void **state) {
	(void)state;
	static const char *const ends[] = {"", "L123", "R1234567", "m\3\1\2", "m", "v\2\1\1\1\1\1\1\1", "x",
		"x\0\0\0\3ab", "x\377\377\377\377ab", "tno end", "P", "PtnameL\0\0\0\1", "P0", "Z", "\377"};
	static const uint8_t sizes[] = {0, 4, 8, 4, 1, 9, 1, 7, 7, 7, 1, 10, 2, 1, 1};
	for (size_t i = 1; i < sizeof(sizes); i++) {
		struct fixture *f = set_up(false);
		authenticate(f);
		struct command *c = command(PULSE_SET_CLIENT_NAME, 2);
		bytes(c, ends[i], sizes[i]);
		send_command(f->guest, c);
		expect_hung_up(f);
		tear_down(f);
	}
	const size_t whole = stream_with_properties(2, true)->size;
	for (size_t size = 10; size < whole; size++) {
		struct fixture *f = set_up(false);
		authenticate(f);
		struct command *c = stream_with_properties(2, true);
		c->size = size;
		send_command(f->guest, c);
		run(f);
		static uint8_t first;
		bool refused = recv(f->guest, &first, 1, MSG_PEEK) == 1; /* cut within a format */
		if (f->list != NULL && !refused) {                       /* cut between two values */
			static uint8_t got[70000];
			uint32_t channel;
			assert_true(receive(f->server, &channel, got, sizeof(got)) <= size);
		}
		tear_down(f);
	}
}

/* The answer to one command must not pass for that to another: a tag serves once. */
static void test_tags_only_grow(void **state) {
	(void)state;
	static const uint32_t again[] = {0, 4, 5};
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		struct fixture *f = set_up(false);
		authenticate(f);
		expect_passed(f, command(PULSE_STAT, 5));
		send_command(f->guest, command(PULSE_CREATE_PLAYBACK_STREAM, again[i]));
		expect_hung_up(f);
		tear_down(f);
	}
	struct fixture *f = set_up(false);
	authenticate(f);
	make_stream(f, SOUND_OWN_TAG - 1, 3, 77);
	send_command(f->guest, command(PULSE_STAT, SOUND_OWN_TAG)); /* ours */
	expect_hung_up(f);
	tear_down(f);
}

static void test_events(void **state) {
	(void)state;
	static const struct {
		uint32_t event, index;
		bool passes;
	} events[] = {{0x10, 1, true}, {0x17, 0, true}, {0x12, 77, true}, {0x12, 78, false}, {0x11, 1, false},
		{0x13, 77, false}, {0x14, 1, false}, {0x15, 1, false}, {0x19, 1, false}};
	struct fixture *f = set_up(true);
	authenticate(f);
	make_stream(f, 5, 3, 77);
	struct command *c = command(PULSE_SUBSCRIBE, 6);
	number(c, 0x2ff);
	send_command(f->guest, c);
	run(f);
	expect_numbers(f->server, PULSE_SUBSCRIBE, 6, 0x85);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		c = command(PULSE_SUBSCRIBE_EVENT, 0xffffffff);
		number(c, events[i].event);
		number(c, events[i].index);
		send_command(f->server, c);
		run(f);
		events[i].passes ? expect_same(f->guest, c) : expect_nothing(f->guest);
	}
	/* What has to do with shared memory, and what nobody knows. */
	for (uint32_t what = 101; what < 110; what++) {
		send_command(f->server, command(what, 0xffffffff));
	}
	run(f);
	expect_nothing(f->guest);
	tear_down(f);
}

static void test_data(void **state) {
	(void)state;
	static uint8_t data[60000], got[60000];
	uint32_t channel;
	struct fixture *f = set_up(false);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i * 3 + i / 256);
	}
	send_frame(f->guest, 3, 0, data, 10); /* before AUTH */
	expect_hung_up(f);
	tear_down(f);
	f = set_up(false);
	authenticate(f);
	make_stream(f, 2, 3, 77);
	send_frame(f->guest, 3, 0, data, sizeof(data));
	run(f);
	assert_int_equal(receive(f->server, &channel, got, sizeof(got)), sizeof(data));
	assert_int_equal(channel, 3);
	assert_memory_equal(got, data, sizeof(data));
	/* Nothing is recorded here. */
	send_frame(f->server, 3, 0, data, 5000);
	run(f);
	expect_nothing(f->guest);
	send_frame(f->guest, 3, 0x80000000, data, 20); /* shared memory */
	expect_hung_up(f);
	tear_down(f);
}

/* As it may arrive: a byte at a time; and a refusal waits for the end of what is under way to the guest. */
static void test_pieces(void **state) {
	(void)state;
	struct fixture *f = set_up(false);
	authenticate(f);
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 10] = {0, 0, 0, 10, 255, 255, 255, 255};
	struct command *c = command(PULSE_STAT, 6);
	memcpy(frame + PULSE_DESCRIPTOR_SIZE, c->bytes, 10);
	for (size_t i = 0; i < sizeof(frame); i++) {
		run(f);
		expect_nothing(f->server);
		assert_int_equal(write(f->guest, frame + i, 1), 1);
	}
	run(f);
	expect_same(f->server, c);
	tear_down(f);
}

/* The server's answer about a record stream: what it is connected to is what counts. */
static struct command *record_reply(uint32_t tag, uint32_t channel, const char *source) {
	struct command *c = command(PULSE_REPLY, tag);
	number(c, channel);
	number(c, 55);
	number(c, 65536);
	number(c, 4096);
	bytes(c, "a\3\1\0\0\xac\x44", 7);
	bytes(c, "m\1\0", 3);
	number(c, 8);
	string(c, source);
	bytes(c, "0", 1);
	return c;
}

static void ask_to_record(struct fixture *f, uint32_t tag) {
	struct command *c = command(PULSE_CREATE_RECORD_STREAM, tag);
	string(c, "microphone, or so it says");
	expect_passed(f, c);
}

static bool hears(struct fixture *f, uint32_t channel) {
	return passes(f, f->server, f->guest, channel);
}

static void test_microphone(void **state) {
	(void)state;
	static const char *const monitors[] = {"speaker.monitor", "speaker.monitor.2", NULL};
	struct fixture *f = set_up(true);
	authenticate(f);
	ask_to_record(f, 20);
	struct command *c = record_reply(20, 4, "alsa_input.pci");
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
	assert_true(hears(f, 4));
	assert_false(hears(f, 5));
	for (unsigned i = 0; i < 3; i++) {
		ask_to_record(f, 30 + i);
		send_command(f->server, record_reply(30 + i, 6, monitors[i]));
		run(f);
		expect_numbers(f->guest, PULSE_ERROR, 30 + i, PULSE_ERROR_ACCESS);
		expect_numbers(f->server, PULSE_DELETE_RECORD_STREAM, SOUND_OWN_TAG, 6);
		assert_false(hears(f, 6));
		send_command(f->server, command(PULSE_REPLY, SOUND_OWN_TAG));
		run(f);
		expect_nothing(f->guest);
	}
	/* The microphone is unplugged, and plugged in again. */
	c = command(PULSE_RECORD_STREAM_MOVED, 0xffffffff);
	number(c, 4);
	number(c, 9);
	string(c, "speaker.monitor");
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
	assert_false(hears(f, 4));
	c = command(PULSE_RECORD_STREAM_MOVED, 0xffffffff);
	number(c, 4);
	number(c, 8);
	string(c, "alsa_input.pci");
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
	assert_true(hears(f, 4));
	tear_down(f);
}

/* A reply that stops short says nothing of the source. */
static void test_short_reply(void **state) {
	(void)state;
	for (size_t cut = 1; cut < 40; cut++) {
		struct fixture *f = set_up(true);
		authenticate(f);
		ask_to_record(f, 20);
		struct command *c = record_reply(20, 4, "alsa_input");
		size_t left = c->size - cut;
		c->size = left;
		send_command(f->server, c);
		run(f);
		if (f->list != NULL && cut > 1) {
			expect_numbers(f->guest, PULSE_ERROR, 20, PULSE_ERROR_ACCESS);
			assert_false(hears(f, 4));
		}
		tear_down(f);
	}
}

static void test_too_long(void **state) {
	(void)state;
	static const struct {
		uint32_t size, channel, flags;
	} heads[] = {{0, PULSE_CONTROL, 0}, {SOUND_COMMAND_MAX + 1, PULSE_CONTROL, 0},
		{0xffffffff, PULSE_CONTROL, 0}, {10, PULSE_CONTROL, 1}, {0, 1, 0}, {PULSE_DATA_MAX + 1, 1, 0},
		{0xffffffff, 1, 0}, {4, 1, 0x20000000}};
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct fixture *f = set_up(false);
		uint8_t head[PULSE_DESCRIPTOR_SIZE] = {0};
		authenticate(f);
		tags_put(head, heads[i].size);
		tags_put(head + 4, heads[i].channel);
		tags_put(head + 16, heads[i].flags);
		assert_int_equal(write(f->guest, head, sizeof(head)), sizeof(head));
		expect_hung_up(f);
		tear_down(f);
	}
}

/* A guest that asks and never listens, and a server that does not read: both stop, nothing grows, and all
 * goes on when they do. */
static void test_stalls(void **state) {
	(void)state;
	struct fixture *f = set_up(false);
	authenticate(f);
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 10] = {0, 0, 0, 10, 255, 255, 255, 255};
	unsigned sent = 0, errors = 0;
	for (int idle = 0; idle < 3; run(f)) {
		memcpy(frame + PULSE_DESCRIPTOR_SIZE, command(51, 7 + sent)->bytes, 10);
		ssize_t n = send(f->guest, frame, sizeof(frame), MSG_NOSIGNAL);
		assert_true(n == sizeof(frame) || n < 0);
		sent += n > 0;
		idle = n > 0 ? 0 : idle + 1;
		assert_true(sent < 1000000);
	}
	assert_non_null(f->list);
	while (errors < sent) {
		uint8_t error[PULSE_DESCRIPTOR_SIZE + 15];
		ssize_t n = recv(f->guest, error, sizeof(error), MSG_WAITALL);
		errors += n == sizeof(error);
		assert_true(n == sizeof(error) || n < 0);
		run(f);
	}
	expect_nothing(f->guest);
	tear_down(f);
}

static void test_many_streams(void **state) {
	(void)state;
	struct fixture *f = set_up(false);
	authenticate(f);
	for (uint32_t i = 0; i < SOUND_STREAMS_MAX; i++) {
		make_stream(f, 2 + i, i, 1000 + i);
	}
	struct command *c = command(PULSE_CREATE_PLAYBACK_STREAM, 99);
	send_command(f->guest, c);
	expect_refused(f, 99);
	c = command(PULSE_PLAYBACK_STREAM_KILLED, 0xffffffff);
	number(c, 17);
	send_command(f->server, c);
	run(f);
	expect_same(f->guest, c);
	make_stream(f, 100, 200, 2000);
	tear_down(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_own_streams),
		cmocka_unit_test(test_made_streams),
		cmocka_unit_test(test_plain_streams),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nameless),
		cmocka_unit_test(test_hidden_names),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_no_values),
		cmocka_unit_test(test_tags_only_grow),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_microphone),
		cmocka_unit_test(test_short_reply),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_stalls),
		cmocka_unit_test(test_many_streams),
	};
	return cmocka_run_group_tests_name("sound", tests, NULL, NULL);
}
