/*
 * Fuzz the sound filter: the input is what the guest and the server write, in pieces. Beside memory errors it
 * looks for anything at the server's end that a program of the VM may not ask, and for frames that are cut.
 *
 * Input: a byte (bit 0: a microphone, bit 1: it begins with an AUTH), then pieces: a byte (bit 7: the
 * server's; bit 6: all is passed on first; bit 5: the tag is the input's, otherwise the guest's are counted
 * and the server's are the last of those; the rest: what, see write_piece()), data.
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
static bool microphone;
static uint32_t guest_tag, seen_tags;
static uint8_t seen[PULSE_DESCRIPTOR_SIZE + SOUND_COMMAND_MAX];
static size_t seen_size, skipping;

static void create(void) {
	int ends[2];
	require(loop.epoll_fd > 0 || loop_init(&loop) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	guest = ends[0];
	int inner = ends[1];
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	server = ends[0];
	require(sound_connection_create(&list, &count, &loop, inner, ends[1], microphone) == 0);
	seen_size = skipping = 0;
	guest_tag = seen_tags = 0;
}

static void check_command(const uint8_t *command, size_t size) {
	uint32_t number = tags_get(command + 1), tag = tags_get(command + 6);
	bool recording = number == PULSE_CREATE_RECORD_STREAM || number == PULSE_LOOKUP_SOURCE ||
			 number == PULSE_GET_SOURCE_INFO || number == PULSE_GET_SOURCE_INFO_LIST;
	require(size >= 10 && command[0] == 'L' && command[5] == 'L');
	require(!recording || microphone);
	/* No tag twice, but the filter's own. */
	require(tag == SOUND_OWN_TAG || tag >= seen_tags);
	seen_tags = tag == SOUND_OWN_TAG ? seen_tags : tag + 1;
	require(number > 2 && number != 7 && !(number >= 15 && number <= 19) &&
		!(number >= 25 && number <= 28));
	require(!(number >= 30 && number <= 34) && number != 36 && !(number >= 38 && number <= 40));
	require(number != 44 && number != 45 && number != 48 && !(number >= 50 && number <= 53));
	require(!(number >= 61 && number <= 68) && number != 70 && number != 71 && number <= 85);
	if (number == PULSE_AUTH) {
		require(size == 10 + 5 + 5 + PULSE_COOKIE_SIZE && tags_get(command + 11) < 0x10000);
	}
}

/* What the server gets, frame by frame. */
static void drain(void) {
	uint8_t ignored[4096];
	while (recv(guest, ignored, sizeof(ignored), 0) > 0) {
	}
	for (;;) {
		ssize_t n = skipping > 0 ? recv(server, ignored,
						   skipping < sizeof(ignored) ? skipping : sizeof(ignored), 0)
					 : recv(server, seen + seen_size, sizeof(seen) - seen_size, 0);
		if (n <= 0) {
			return;
		}
		if (skipping > 0) {
			skipping -= (size_t)n;
			continue;
		}
		seen_size += (size_t)n;
		while (seen_size >= PULSE_DESCRIPTOR_SIZE) {
			size_t size = tags_get(seen), frame = PULSE_DESCRIPTOR_SIZE + size;
			bool control = tags_get(seen + 4) == PULSE_CONTROL;
			require(size > 0 && size <= (control ? SOUND_COMMAND_MAX : PULSE_DATA_MAX));
			require((tags_get(seen + 16) & ~(control ? 0 : PULSE_SEEK_FLAGS)) == 0);
			if (control && seen_size < frame) {
				break;
			}
			if (control) {
				check_command(seen + PULSE_DESCRIPTOR_SIZE, size);
			}
			size_t here = frame < seen_size ? frame : seen_size;
			skipping = frame - here;
			seen_size -= here;
			memmove(seen, seen + here, seen_size);
		}
	}
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

/* A descriptor that fits, and then the bytes of the input, or those alone. */
static void write_piece(struct input *input, int fd, unsigned what) {
	unsigned kind = what % 3;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	unsigned setup = take(&input, 1);
	microphone = (setup & 1) != 0;
	create();
	if ((setup & 2) != 0) {
		write_auth();
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
