/*
 * Fuzz the control port through a console device: the input is the guest, which sends frames, right
 * ones and raw bytes, and the owner, which runs sessions on pipes and files. What arrives in the guest
 * is checked: whole frames of known types, standard input within its window, nothing for a session
 * that has exited.
 *
 * Input: steps; see step().
 */
#include "input.h"

#include "driver.h"
#include "ph/console.h"
#include "ph/control.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define RX 4
#define TX 5
#define CONTROL_TX 3
#define RX_BUFFERS 8
#define SESSIONS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What of a direction's bytes is no whole frame yet. */
struct stream {
	_Alignas(struct guest_frame) uint8_t bytes[sizeof(struct guest_frame) + GUEST_FRAME_MAX];
	size_t size;
};

static struct {
	struct driver driver;
	struct virtio_device *device;
	struct control *control;
	struct console_port *console;
	int file, in[2], out[2];
	int full, broken, terminal, screen; /* outputs that fail; a terminal, and who reads it */
	bool failed, open;
	bool lost; /* what ph had sent went with the port: the guest may give credit for it, unread */

	gpa_t tx, message, rx[RX_BUFFERS];
	uint16_t rx_used;
	struct stream to_guest, from_guest;
	int64_t in_flight[SESSIONS]; /* of standard input, less the credit for it: below 0 what is still to be
					read */
	bool live[SESSIONS];
} f;

static void on_nothing(void *owner) {
	(void)owner;
	require(!f.failed);
}

static void on_bye(void *owner, const char *reason) {
	(void)owner;
	require(!f.failed && strlen(reason) < 4096);
}

static void on_log(void *owner, bool error, const char *text) {
	(void)owner;
	(void)error;
	require(strlen(text) < 4096);
}

static void on_timing(void *owner, const char *step, uint64_t ns) {
	(void)owner;
	(void)ns;
	require(strlen(step) < 4096);
}

static void on_exited(void *owner, uint32_t session, int status) {
	(void)owner;
	require(session < SESSIONS && f.live[session] && status >= 0 && status <= 255);
	f.live[session] = false;
}

static void on_failed(void *owner, const char *reason) {
	(void)owner;
	require(!f.failed && reason != NULL);
	f.failed = true;
}

static bool on_url(void *owner, uint32_t request, const void *url, size_t size) {
	(void)owner;
	(void)url;
	if (size > 0) {
		control_answer_url(f.control, request, GUEST_URL_REFUSED);
	}
	return request != 0;
}

static const struct control_ops ops = {.ready = on_nothing,
	.url = on_url,
	.log = on_log,
	.timing = on_timing,
	.exited = on_exited,
	.bye = on_bye,
	.failed = on_failed};

static size_t swallow(void *owner, const void *data, size_t len) {
	(void)owner;
	(void)data;
	return len;
}

static const struct console_port_ops console_ops = {.receive = swallow};

static void notify(unsigned queue) {
	f.device->ops->notify(f.device, &f.device->queues[queue]);
}

static void initialise(void) {
	static uint8_t zeroes[GUEST_WINDOW + 100000]; /* more than may be under way */
	driver_init(&f.driver);
	f.file = memfd_create("input", MFD_CLOEXEC);
	require(write(f.file, zeroes, sizeof(zeroes)) == sizeof(zeroes));
	require(pipe2(f.in, O_NONBLOCK | O_CLOEXEC) == 0 && pipe2(f.out, O_NONBLOCK | O_CLOEXEC) == 0);
	int ends[2];
	signal(SIGPIPE, SIG_IGN); /* as in every process of ph */
	f.full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	require(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	f.broken = ends[1];
	f.screen = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	require(grantpt(f.screen) == 0 && unlockpt(f.screen) == 0);
	f.terminal = open(ptsname(f.screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
	require(f.full >= 0 && f.terminal >= 0);
}

/* ---- the guest's end ---- */

static void check_frame(const struct guest_frame *frame) {
	require(frame->zero == 0 && frame->length <= GUEST_FRAME_MAX);
	/* An answer has the guest's own number of what it asked. */
	require(frame->session < SESSIONS || frame->type == GUEST_FRAME_URL_ANSWER);
	require(frame->type >= GUEST_FRAME_EXEC && frame->type <= GUEST_FRAME_NAMES);
	if (frame->type == GUEST_FRAME_STDIN && f.live[frame->session]) {
		f.in_flight[frame->session] += frame->length;
		require(f.in_flight[frame->session] <= GUEST_WINDOW);
	}
}

/* Go on with the frame that stream begins with; the number of bytes taken. *frame is set once it is whole;
 * its payload is in stream->bytes until the next call. */
static size_t take_some(
	struct stream *stream, const uint8_t *data, size_t len, const struct guest_frame **frame) {
	const struct guest_frame *header = (const void *)stream->bytes;
	size_t whole = stream->size < sizeof(*header) ? sizeof(*header) : sizeof(*header) + header->length;
	size_t n = whole - stream->size < len ? whole - stream->size : len;
	memcpy(stream->bytes + stream->size, data, n);
	stream->size += n;
	*frame = NULL;
	if (stream->size < sizeof(*header)) {
		return n;
	}
	/* ph stops listening after one that is too long. */
	if (header->length > GUEST_FRAME_MAX || stream->size == sizeof(*header) + header->length) {
		stream->size = 0;
		*frame = header;
	}
	return n;
}

/* What ph sent. */
static void take_bytes(const uint8_t *data, size_t len) {
	const struct guest_frame *frame;
	for (size_t done = 0; done < len;) {
		done += take_some(&f.to_guest, data + done, len - done, &frame);
		if (frame != NULL) {
			check_frame(frame);
		}
	}
}

/* What the guest sends: the credit in it, by chance in raw bytes too, makes room for standard input. */
static void note_credit(const uint8_t *data, size_t len) {
	const struct guest_frame *frame;
	for (size_t done = 0; done < len;) {
		uint32_t value;
		done += take_some(&f.from_guest, data + done, len - done, &frame);
		if (frame != NULL && frame->type == GUEST_FRAME_STDIN_CREDIT && frame->session < SESSIONS &&
			frame->length == sizeof(value)) {
			memcpy(&value, frame + 1, sizeof(value));
			f.in_flight[frame->session] -= value;
		}
	}
}

/* Take what came and offer the buffers again. */
static void guest_read(void) {
	const uint8_t *used = driver_at(&f.driver, f.driver.queues[RX].config.device_area);
	uint16_t index;
	memcpy(&index, used + 2, sizeof(index));
	for (; f.rx_used != index; f.rx_used++) {
		uint32_t element[2];
		memcpy(element, used + 4 + 8 * (f.rx_used % f.driver.queues[RX].config.size),
			sizeof(element));
		gpa_t buffer = f.rx[f.rx_used % RX_BUFFERS];
		take_bytes(driver_at(&f.driver, buffer), element[1]);
		driver_add(&f.driver, RX, &(struct driver_buffer){buffer, 4096, true}, 1);
	}
	notify(RX);
}

/* What came and what that makes room for: it ends with the windows of all sessions. */
static void guest_read_all(void) {
	uint16_t before;
	do {
		before = f.rx_used;
		guest_read();
	} while (f.rx_used != before);
}

static void set_open(bool open) {
	const uint8_t message[8] = {1, 0, 0, 0, 6, 0, open};
	memcpy(driver_at(&f.driver, f.message), message, sizeof(message));
	driver_add(&f.driver, CONTROL_TX, &(struct driver_buffer){f.message, 8, false}, 1);
	notify(CONTROL_TX);
	if (!open) {
		guest_read();
	}
	if (open != f.open) {
		f.lost = f.lost || f.open;
		f.to_guest.size = f.from_guest.size = 0; /* what was under way is lost */
		f.open = open;
	}
}

static void guest_write(size_t len) {
	note_credit(driver_at(&f.driver, f.tx), len);
	driver_add(&f.driver, TX, &(struct driver_buffer){f.tx, (uint32_t)len, false}, 1);
	notify(TX);
}

/* A well-formed frame; it may still be the wrong one. */
static void guest_send(struct input *input) {
	uint8_t *place = driver_at(&f.driver, f.tx);
	struct guest_frame frame = {.type = (uint16_t)(take(input, 1) & 31), .session = take(input, 1) & 3};
	uint32_t value = take(input, 2);
	bool number = frame.type == GUEST_FRAME_EXIT || frame.type == GUEST_FRAME_STDIN_CREDIT;
	frame.length = number ? 4 : value;
	memcpy(place, &frame, sizeof(frame));
	memset(place + sizeof(frame), 'x', frame.length);
	if (number) {
		memcpy(place + sizeof(frame), &value, 4);
	}
	guest_write(sizeof(frame) + frame.length);
}

static void guest_send_raw(struct input *input, unsigned len) {
	uint8_t *place = driver_at(&f.driver, f.tx);
	for (unsigned i = 0; i < len; i++) {
		place[i] = (uint8_t)take(input, 1);
	}
	guest_write(len);
}

/* ---- the owner's end ---- */

static void add_session(uint32_t id, unsigned how) {
	const int outputs[] = {-1, f.full, f.broken, f.terminal};
	const struct control_stdio stdio = {.in = (how & 1) != 0   ? f.file
						  : (how & 2) != 0 ? f.in[0]
								   : -1,
		.out = (how & 4) != 0 ? f.out[1] : outputs[how >> 5 & 3],
		.err = (how & 8) != 0 ? f.file : -1,
		.tty = (how & 16) != 0};
	if (f.live[id]) {
		return;
	}
	guest_read_all(); /* what the id's last session still had */
	f.live[id] = true;
	f.in_flight[id] = 0;
	lseek(f.file, 0, SEEK_SET);
	if (id == 1) {
		require(control_attach(f.control, id, &stdio) == 0);
	} else {
		struct record_buffer exec = {0};
		record_put_u64(&exec, GUEST_EXEC_UID, how);
		require(control_exec(f.control, id, &exec, &stdio) == 0);
		record_buffer_finish(&exec);
	}
}

static void run_loop(void) {
	struct epoll_event event;
	for (unsigned i = 0; i < 8 && epoll_wait(f.driver.loop.epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
}

static void local_io(unsigned what) {
	static uint8_t buffer[8192];
	ssize_t n =
		what & 1 ? write(f.in[1], buffer, sizeof(buffer)) : read(f.out[0], buffer, sizeof(buffer));
	n = read(f.screen, buffer, sizeof(buffer));
	(void)n;
	run_loop();
}

static void step(struct input *input) {
	unsigned what = take(input, 1);
	uint32_t id = 1 + (what & 15) % 3;
	switch (what >> 4) {
	case 0:
		guest_send_raw(input, what);
		break;
	case 1:
		guest_read();
		break;
	case 2:
		local_io(what);
		break;
	case 3:
		set_open((what & 1) != 0);
		break;
	case 4:
		add_session(id, take(input, 1));
		break;
	case 5:
		control_signal(f.control, id, 1 + (int)(take(input, 1) & 63));
		break;
	case 6:
		control_resize(f.control, id, (uint16_t)take(input, 1), (uint16_t)take(input, 1));
		break;
	case 7:
		control_hangup(f.control, id);
		break;
	case 8:
		control_shutdown(f.control);
		break;
	case 9:
		control_tell_time(f.control);
		control_tell_names(f.control, "nameserver 192.0.2.1\n");
		break;
	default:
		guest_send(input);
	}
}

static void drain(int fd) {
	static uint8_t buffer[65536];
	while (read(fd, buffer, sizeof(buffer)) > 0) {
	}
}

static void begin(void) {
	f.driver.next_page = 4096;
	f.failed = f.open = f.lost = false;
	f.to_guest.size = f.from_guest.size = 0;
	f.rx_used = 0;
	memset(f.live, 0, sizeof(f.live));
	memset(f.in_flight, 0, sizeof(f.in_flight));
	require(console_create(&f.device) == 0);
	require(console_add_port(f.device, NULL, &console_ops, NULL, &f.console) == 0);
	require(control_create(&f.control, &f.driver.loop, f.device, &ops, NULL) == 0);
	memset(driver_at(&f.driver, (gpa_t){0}), 0, 1 << 17); /* the rings */
	require(driver_start(&f.driver, f.device, 1 << 1) == 0);
	f.message = driver_alloc(&f.driver, 4096);
	f.tx = driver_alloc(&f.driver, 131072);
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		f.rx[i] = driver_alloc(&f.driver, 4096);
		driver_add(&f.driver, RX, &(struct driver_buffer){f.rx[i], 4096, true}, 1);
	}
	set_open(true);
}

/* Once all is read and heard, no more credit was accepted than there was standard input. */
static void check_credit(void) {
	notify(TX);
	run_loop();
	guest_read_all();
	for (unsigned i = 0; i < SESSIONS && !f.failed && !f.lost; i++) {
		require(!f.live[i] || f.in_flight[i] >= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (f.driver.memory.region_count == 0) {
		initialise();
	}
	begin();
	while (input.left > 0) {
		step(&input);
	}
	check_credit();
	driver_stop(&f.driver);
	control_destroy(f.control);
	console_destroy(f.device);
	drain(f.in[0]);
	drain(f.out[0]);
	drain(f.screen);
	return 0;
}
