/*
 * Fuzz the sound filter: the input is what the guest and the server write, in pieces. Beside memory errors it
 * looks for anything at the server's end that a program of the VM may not ask or say of itself, for anything
 * at the guest's that it may not hear, and for frames that are cut.
 *
 * Input: a byte (bit 0: a microphone, bit 1: it begins with an AUTH, bit 2: but without a name), then pieces:
 * a byte (bit 7: the server's; bit 6: all is passed on first; bit 5: the tag is the input's, otherwise the
 * guest's are counted and the server's are the last of those; the rest: what, see write_piece()), data. Half
 * of them are commands whose values are of the kinds that commands have, see write_command().
 */
#include "input.h"

#include "sound/connection.h"
#include "sound/tags.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop loop;
static struct sound_connection *list;
static unsigned count;
static int guest, server;
static bool microphone, named;
static uint32_t guest_tag, seen_tags;

/* What has come out at one end, from the beginning of a frame on. */
struct end {
	uint8_t bytes[PULSE_DESCRIPTOR_SIZE + SOUND_COMMAND_MAX];
	size_t size, skipping;
};
static struct end at_server, at_guest;

/* What the guest was told: channels that record what is no monitor, channels that may play, and inputs that
 * may be its own; of large numbers nothing is known. */
#define NUMBERS 512
static bool recording[NUMBERS], playing[NUMBERS], own_inputs[NUMBERS], unknown;

static void create(void) {
	int ends[2];
	require(loop.epoll_fd > 0 || loop_init(&loop) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	guest = ends[0];
	int inner = ends[1];
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	server = ends[0];
	static const struct sound_rules rules[] = {{.tag = "fuzz"}, {.tag = "fuzz", .microphone = true}};
	require(sound_connection_create(&list, &count, &loop, inner, ends[1], &rules[microphone]) == 0);
	at_server = at_guest = (struct end){.size = 0};
	memset(recording, 0, sizeof(recording));
	memset(playing, 0, sizeof(playing));
	memset(own_inputs, 0, sizeof(own_inputs));
	guest_tag = seen_tags = 0;
	named = false;
}

static bool *entry(bool *table, uint32_t number) {
	unknown = true;
	return number < NUMBERS ? &table[number] : &unknown;
}

/* Of properties only what describes. */
static bool is_description(const char *key) {
	static const char *const starts[] = {"application.", "event.", "format.", "media."};
	bool known = false;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		known |= strncmp(key, starts[i], strlen(starts[i])) == 0;
	}
	static const char *const others[] = {"application.id", "media.class", "media.icon", "media.role"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		known &= strcmp(key, others[i]) != 0;
	}
	return known;
}

/* Of the command at hand: what its lists name, how many there are, what stands behind the last, how many
 * truths there are and which of them are so (bit 1: the first), whether a format is none of samples. */
static struct {
	bool name, encoded;
	unsigned lists, behind, truths;
	uint64_t set;
} seen;

static void check_list(struct tags *tags) {
	const char *key;
	uint32_t size;
	uint8_t *value;
	for (;;) {
		require(tags_string(tags, &key));
		if (key == NULL) {
			return;
		}
		require(is_description(key));
		require(tags_number(tags, &size) && tags_bytes(tags, size, &value) && size > 0);
		require(memchr(value, 0, size) == value + size - 1 && memchr(value, '\n', size) == NULL);
		bool name = strcmp(key, "application.name") == 0;
		require(!name || strncmp((const char *)value, "[fuzz]", 6) == 0);
		seen.name |= name;
	}
}

static void check_values(uint8_t *command, size_t size) {
	struct tags tags = {.next = command, .left = size};
	memset(&seen, 0, sizeof(seen));
	while (tags.left > 0) {
		const uint8_t *value = tags.next;
		require(tags_any(&tags));
		seen.behind++;
		if (value[0] == TAG_PROPERTIES) {
			check_list(&tags);
			seen.lists++;
			seen.behind = 0;
		}
		if (value[0] == '0' || value[0] == '1') {
			seen.truths += seen.truths < 63;
			seen.set |= (uint64_t)(value[0] == '1') << seen.truths;
		}
		seen.encoded |= value[0] == 'f' && (tags.left < 2 || memcmp(tags.next, "B\1", 2) != 0);
	}
}

/* Nothing that has a device for itself, nor what records a program's stream. */
static void check_stream(const uint8_t *command, size_t size, bool record) {
	require(named && !seen.encoded && (seen.set >> (record ? 18 : 17) & 1) == 0);
	struct tags tags = {.next = (uint8_t *)command, .left = size};
	unsigned numbers = 0;
	while (record && tags.left > 0) {
		const uint8_t *value = tags.next;
		require(tags_list(&tags) || tags_any(&tags));
		numbers += value[0] == 'L';
		/* With the command's own and its tag. */
		require(value[0] != 'L' || numbers != 6 || tags_get(value + 1) == PULSE_NO_INDEX);
	}
}

static void check_command(const uint8_t *command, size_t size) {
	uint32_t number = tags_get(command + 1), tag = tags_get(command + 6);
	bool records = number == PULSE_CREATE_RECORD_STREAM || number == PULSE_LOOKUP_SOURCE ||
		       number == PULSE_GET_SOURCE_INFO || number == PULSE_GET_SOURCE_INFO_LIST;
	require(size >= 10 && command[0] == 'L' && command[5] == 'L');
	require(!records || microphone);
	bool only_list = seen.lists == 1 && seen.behind == 0 && command[10] == TAG_PROPERTIES;
	named |= number == PULSE_SET_CLIENT_NAME && seen.name && only_list;
	if (number == PULSE_CREATE_PLAYBACK_STREAM || number == PULSE_CREATE_RECORD_STREAM) {
		check_stream(command, size, number == PULSE_CREATE_RECORD_STREAM);
	}
	/* Nothing that was said before goes. */
	require(number != PULSE_UPDATE_CLIENT_PROPLIST || tags_get(command + 11) != PULSE_UPDATE_SET);
	/* No tag twice, but the filter's own. */
	require(tag == SOUND_OWN_TAG || tag >= seen_tags);
	seen_tags = tag == SOUND_OWN_TAG ? seen_tags : tag + 1;
	require(number > 2 && number != 7 && !(number >= 15 && number <= 19) &&
		!(number >= 25 && number <= 28));
	require(!(number >= 30 && number <= 34) && number != 36 && !(number >= 38 && number <= 40));
	require(number != 44 && number != 45 && number != 48 && !(number >= 50 && number <= 53));
	require(!(number >= 61 && number <= 68) && number != 70 && number != 71 && number < 83);
	if (number == PULSE_DELETE_RECORD_STREAM && tag == SOUND_OWN_TAG) {
		*entry(recording, tags_get(command + 11)) = false; /* the filter does not want it */
	}
	if (number == PULSE_AUTH) {
		require(size == 10 + 5 + 5 + PULSE_COOKIE_SIZE && tags_get(command + 11) < 0x10000);
	}
}

static bool is_monitor(const char *name) {
	return name == NULL || strstr(name, ".monitor") != NULL;
}

/* What is recorded, in a reply: channel and input were taken already. */
static const char *take_source(struct tags *tags) {
	uint32_t number;
	const char *name;
	return tags_number(tags, &number) && tags_number(tags, &number) && tags_sample_spec(tags) &&
			       tags_channel_map(tags) && tags_number(tags, &number) &&
			       tags_string(tags, &name)
		       ? name
		       : NULL;
}

/* No events about what others do. What a reply is to is not known here, so it is taken for any. */
static void check_answer(uint8_t *command, size_t size) {
	struct tags tags = {.next = command, .left = size};
	uint32_t number, tag, first = 0, second = 0;
	const char *name = NULL;
	require(tags_number(&tags, &number) && tags_number(&tags, &tag));
	bool numbers = tags_number(&tags, &first) && tags_number(&tags, &second);
	if (number == PULSE_REPLY && numbers) {
		*entry(own_inputs, second) = true;
		*entry(playing, first) = true;
		*entry(recording, first) |= !is_monitor(take_source(&tags));
	} else if (number == PULSE_RECORD_STREAM_MOVED) {
		bool named = numbers && tags_string(&tags, &name);
		*entry(recording, first) = named && !is_monitor(name);
	} else if (number == PULSE_SUBSCRIBE_EVENT) {
		first &= PULSE_FACILITY_MASK;
		require(numbers);
		require(first == PULSE_FACILITY_SINK || first == PULSE_FACILITY_SERVER ||
			(first == PULSE_FACILITY_SINK_INPUT && *entry(own_inputs, second)));
	}
}

static void check_frame(struct end *end, size_t size, uint32_t channel) {
	uint8_t *command = end->bytes + PULSE_DESCRIPTOR_SIZE;
	if (channel != PULSE_CONTROL) {
		/* Nothing of what the host plays, and nothing for a stream that is being made. */
		require(*entry(end == &at_server ? playing : recording, channel));
	} else if (end == &at_server) {
		check_values(command, size);
		check_command(command, size);
	} else {
		check_answer(command, size);
	}
}

/* What one end gets, frame by frame. */
static void drain_end(struct end *end, int fd) {
	uint8_t ignored[4096];
	for (;;) {
		size_t room = end->skipping < sizeof(ignored) ? end->skipping : sizeof(ignored);
		ssize_t n = end->skipping > 0
				    ? recv(fd, ignored, room, 0)
				    : recv(fd, end->bytes + end->size, sizeof(end->bytes) - end->size, 0);
		if (n <= 0) {
			return;
		}
		if (end->skipping > 0) {
			end->skipping -= (size_t)n;
			continue;
		}
		end->size += (size_t)n;
		while (end->size >= PULSE_DESCRIPTOR_SIZE) {
			size_t size = tags_get(end->bytes), frame = PULSE_DESCRIPTOR_SIZE + size;
			uint32_t channel = tags_get(end->bytes + 4);
			bool control = channel == PULSE_CONTROL;
			require(size > 0 && size <= (control ? SOUND_COMMAND_MAX : PULSE_DATA_MAX));
			require((tags_get(end->bytes + 16) & ~(control ? 0 : PULSE_SEEK_FLAGS)) == 0);
			if (control && end->size < frame) {
				break;
			}
			check_frame(end, size, channel);
			size_t here = frame < end->size ? frame : end->size;
			end->skipping = frame - here;
			end->size -= here;
			memmove(end->bytes, end->bytes + here, end->size);
		}
	}
}

static void drain(void) {
	drain_end(&at_guest, guest);
	drain_end(&at_server, server);
}

static void run_loop(void) {
	struct epoll_event event;
	for (int turn = 0; turn < 16 && epoll_wait(loop.epoll_fd, &event, 1, 0) == 1; turn++) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
}

static void write_end(int fd, const void *data, size_t size) {
	ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
	(void)n;
}

/* Up to three properties. */
static uint8_t *put_properties(struct input *input, uint8_t *to) {
	static const char *const keys[] = {
		"media.name", "filter.apply", "application.name", "media.icon_name"};
	const uint8_t kind = (uint8_t)take(input, 1);
	*to++ = TAG_PROPERTIES;
	for (unsigned i = 0; i < kind % 4; i++) {
		const char *key = keys[take(input, 1) % 4];
		uint8_t value = (uint8_t)take(input, 1);
		uint32_t size = value % 4;
		*to++ = 't';
		strcpy((char *)to, key);
		to = tags_put_number(to + strlen(key) + 1, size);
		*to++ = 'x';
		tags_put(to, kind < 250 ? size : value);
		memset(to + 4, value / 2, size);
		to += 4 + size;
		to[-1] = value % 8 > 3 || size == 0 ? to[-1] : 0;
	}
	*to = 'N';
	return to + 1;
}

/* What streams are made with: a format of samples or of something else, and all truths but one. */
static uint8_t *put_rare(struct input *input, uint8_t *to, unsigned kind) {
	switch (kind) {
	case 31:
	case 30:
		memcpy(to, "fB", 2);
		to[2] = (uint8_t)(kind - 30);
		return put_properties(input, to + 3);
	case 29:
		memset(to, '0', 16);
		return to + 16;
	default:
		*to = 'N';
		return to + 1;
	}
}

/* A letter and its value: numbers, names of sources, formats, channels, truths. */
static uint8_t *put_value(struct input *input, uint8_t *to) {
	static const char *const names[] = {"alsa_input.usb", "alsa_output.pci.monitor", "", "monitor"};
	const uint8_t kind = (uint8_t)take(input, 1);
	unsigned channels;
	switch (kind % 8) {
	case 0:
		return put_rare(input, to, kind / 8);
	case 1:
		*to = 't';
		strcpy((char *)to + 1, names[kind / 8 % 4]);
		return to + 2 + strlen(names[kind / 8 % 4]);
	case 2:
		memcpy(to, "a\3\2\0\0\xac\x44", 7);
		return to + 7;
	case 3:
		channels = kind / 8;
		to[0] = 'm';
		to[1] = (uint8_t)channels;
		memset(to + 2, 1, channels);
		return to + 2 + channels;
	case 4:
		if (kind / 8 > 15) {
			return put_properties(input, to);
		}
		*to = kind / 8 % 2 != 0 ? '1' : '0';
		return to + 1;
	default:
		return tags_put_number(to, kind < 240 ? kind / 8 : take(input, 4));
	}
}

/* A command with its tag and up to 15 values. */
static void write_command(struct input *input, int fd, bool own_tag) {
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 2048] = {0}, *end = frame + PULSE_DESCRIPTOR_SIZE;
	uint32_t number = take(input, 1) % PULSE_COMMANDS;
	unsigned values = take(input, 1) % 16;
	guest_tag += fd == guest && !own_tag;
	end = tags_put_number(tags_put_number(end, number), own_tag ? take(input, 1) : guest_tag);
	for (unsigned i = 0; i < values; i++) {
		end = put_value(input, end);
	}
	tags_put(frame, (uint32_t)(end - frame - PULSE_DESCRIPTOR_SIZE));
	tags_put(frame + 4, PULSE_CONTROL);
	write_end(fd, frame, (size_t)(end - frame));
}

/* A descriptor that fits, and then the bytes of the input, or those alone. */
static void write_piece(struct input *input, int fd, unsigned what) {
	unsigned kind = what % 8;
	if (kind > 3) {
		write_command(input, fd, (what & 32) != 0);
		return;
	}
	uint8_t head[PULSE_DESCRIPTOR_SIZE] = {0}, body[512] = {0};
	size_t size = take(input, 1) + (kind >= 2 ? 0 : 1);
	tags_put(head, (uint32_t)size);
	tags_put(head + 4, kind == 0 ? PULSE_CONTROL : 3);
	if (kind < 2) {
		write_end(fd, head, sizeof(head));
	}
	for (size_t i = 0; i < size; i++) {
		body[i] = (uint8_t)take(input, 1);
	}
	if (kind == 0 && (what & 32) == 0) {
		guest_tag += fd == guest;
		tags_put(body + 6, guest_tag);
	}
	write_end(fd, body, size);
}

static void write_auth(void) {
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 20 + PULSE_COOKIE_SIZE] = {0};
	uint8_t *body = frame + PULSE_DESCRIPTOR_SIZE;
	tags_put(frame, 20 + PULSE_COOKIE_SIZE);
	tags_put(frame + 4, PULSE_CONTROL);
	tags_put_number(tags_put_number(tags_put_number(body, PULSE_AUTH), 0), 0xc0000023);
	body[15] = 'x';
	tags_put(body + 16, PULSE_COOKIE_SIZE);
	write_end(guest, frame, sizeof(frame));
}

static void write_name(void) {
	static const char key[] = "Ptapplication.name";
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 64] = {0}, *end = frame + PULSE_DESCRIPTOR_SIZE;
	guest_tag = 1;
	end = tags_put_number(tags_put_number(end, PULSE_SET_CLIENT_NAME), guest_tag);
	memcpy(end, key, sizeof(key));
	end = tags_put_number(end + sizeof(key), 1);
	memcpy(end, "x\0\0\0\1\0N", 7);
	size_t size = (size_t)(end + 7 - frame);
	tags_put(frame, (uint32_t)(size - PULSE_DESCRIPTOR_SIZE));
	tags_put(frame + 4, PULSE_CONTROL);
	write_end(guest, frame, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	unsigned setup = take(&input, 1);
	microphone = (setup & 1) != 0;
	create();
	if ((setup & 2) != 0) {
		write_auth();
	}
	if ((setup & 6) == 2) {
		write_name();
	}
	while (input.left > 0) {
		unsigned what = take(&input, 1);
		write_piece(&input, (what & 128) != 0 ? server : guest, what);
		if ((what & 64) != 0) {
			run_loop();
			drain();
		}
	}
	run_loop();
	drain();
	if (list != NULL) {
		sound_connection_destroy(list);
	}
	require(count == 0);
	close(guest);
	close(server);
	return 0;
}
