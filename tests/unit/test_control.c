/*
 * The control port through a real console device: the test is the guest, the streams are real pipes,
 * sockets, files and terminals.
 */
#include "driver.h"
#include "ph/console.h"
#include "ph/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RX 4
#define TX 5
#define RX_BUFFERS 32
#define TX_BUFFER (32 * 1024)
#define WAIT_MS 5000

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	struct console_port *console;
	struct control *control;

	/* what the owner was told */
	unsigned ready, bye, failed, exited;
	int status;
	uint32_t url_request;
	char url[64];
	bool no_urls;
	char log[256];
	bool log_is_error;
	char timing[64];
	uint64_t timing_ns;
	char reason[128];

	/* the guest */
	gpa_t rx_address[RX_BUFFERS], tx_address, control_address;
	uint16_t rx_head[RX_BUFFERS];
	uint8_t *inbox;
	size_t inbox_start, inbox_size;
};

static void on_ready(void *owner) {
	((struct fixture *)owner)->ready++;
}

static void on_log(void *owner, bool error, const char *text) {
	struct fixture *f = owner;
	snprintf(f->log, sizeof(f->log), "%s", text);
	f->log_is_error = error;
}

static void on_timing(void *owner, const char *step, uint64_t ns) {
	struct fixture *f = owner;
	snprintf(f->timing, sizeof(f->timing), "%s", step);
	f->timing_ns = ns;
}

static void on_exited(void *owner, uint32_t session, int status) {
	struct fixture *f = owner;
	f->exited = session;
	f->status = status;
}

static void on_bye(void *owner, const char *reason) {
	struct fixture *f = owner;
	f->bye++;
	snprintf(f->log, sizeof(f->log), "%s", reason);
}

static void on_failed(void *owner, const char *reason) {
	struct fixture *f = owner;
	f->failed++;
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static bool on_url(void *owner, uint32_t request, const void *url, size_t size) {
	struct fixture *f = owner;
	f->url_request = request;
	snprintf(f->url, sizeof(f->url), "%.*s", (int)size, (const char *)url);
	return !f->no_urls;
}

static const struct control_ops ops = {
	.url = on_url,
	.ready = on_ready,
	.log = on_log,
	.timing = on_timing,
	.exited = on_exited,
	.bye = on_bye,
	.failed = on_failed,
};

static size_t swallow(void *owner, const void *data, size_t len) {
	(void)owner;
	(void)data;
	return len;
}

static const struct console_port_ops console_ops = {.receive = swallow};

static void set_open(struct fixture *f, bool open) {
	const struct {
		uint32_t id;
		uint16_t event, value;
	} message = {1, 6, open};
	memcpy(driver_at(&f->driver, f->control_address), &message, sizeof(message));
	driver_add(&f->driver, 3, &(struct driver_buffer){f->control_address, 8, false}, 1);
	driver_kick(&f->driver, 3);
	assert_true(driver_wait_used(&f->driver, 3, WAIT_MS, NULL, NULL));
}

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(console_create(&f->device), 0);
	assert_int_equal(console_add_port(f->device, NULL, &console_ops, NULL, &f->console), 0);
	assert_int_equal(control_create(&f->control, &f->driver.loop, f->device, &ops, f), 0);
	assert_int_equal(driver_start(&f->driver, f->device, 1 << 1), 0);
	f->inbox = malloc(4 << 20);
	f->control_address = driver_alloc(&f->driver, 4096);
	f->tx_address = driver_alloc(&f->driver, TX_BUFFER);
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		f->rx_address[i] = driver_alloc(&f->driver, 4096);
		f->rx_head[i] =
			driver_add(&f->driver, RX, &(struct driver_buffer){f->rx_address[i], 4096, true}, 1);
	}
	set_open(f, true);
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	driver_stop(&f->driver);
	control_destroy(f->control);
	console_destroy(f->device);
	driver_finish(&f->driver);
	free(f->inbox);
	free(f);
	return 0;
}

/* ---- the guest's end ---- */

static void guest_write(struct fixture *f, const void *data, size_t len) {
	memcpy(driver_at(&f->driver, f->tx_address), data, len);
	driver_add(&f->driver, TX, &(struct driver_buffer){f->tx_address, (uint32_t)len, false}, 1);
	driver_kick(&f->driver, TX);
	assert_true(driver_wait_used(&f->driver, TX, WAIT_MS, NULL, NULL));
}

static void guest_send(struct fixture *f, uint16_t type, uint32_t session, const void *data, uint32_t len) {
	static uint8_t buffer[sizeof(struct guest_frame) + GUEST_FRAME_MAX];
	struct guest_frame frame = {.type = type, .session = session, .length = len};
	memcpy(buffer, &frame, sizeof(frame));
	if (len > 0) {
		memcpy(buffer + sizeof(frame), data, len);
	}
	size_t total = sizeof(frame) + len;
	for (size_t done = 0; done < total; done += TX_BUFFER) {
		guest_write(f, buffer + done, total - done < TX_BUFFER ? total - done : TX_BUFFER);
	}
}

static void guest_send_u32(struct fixture *f, uint16_t type, uint32_t session, uint32_t value) {
	guest_send(f, type, session, &value, sizeof(value));
}

/* Take what came, for at most ms milliseconds; false when nothing came. */
static bool guest_receive(struct fixture *f, int ms) {
	uint16_t head;
	uint32_t len;
	if (!driver_wait_used(&f->driver, RX, ms, &head, &len)) {
		return false;
	}
	unsigned i = 0;
	while (f->rx_head[i] != head) {
		i++;
	}
	if (f->inbox_start > 1 << 20) {
		f->inbox_size -= f->inbox_start;
		memmove(f->inbox, f->inbox + f->inbox_start, f->inbox_size);
		f->inbox_start = 0;
	}
	memcpy(f->inbox + f->inbox_size, driver_at(&f->driver, f->rx_address[i]), len);
	f->inbox_size += len;
	f->rx_head[i] = driver_add(&f->driver, RX, &(struct driver_buffer){f->rx_address[i], 4096, true}, 1);
	driver_kick(&f->driver, RX);
	return true;
}

/* The next frame; its payload stays valid until the next call. */
static bool guest_next(struct fixture *f, struct guest_frame *frame, const uint8_t **payload, int ms) {
	for (;;) {
		size_t have = f->inbox_size - f->inbox_start;
		if (have >= sizeof(*frame)) {
			memcpy(frame, f->inbox + f->inbox_start, sizeof(*frame));
			assert_int_equal(frame->zero, 0);
			assert_true(frame->length <= GUEST_FRAME_MAX);
			if (have >= sizeof(*frame) + frame->length) {
				*payload = f->inbox + f->inbox_start + sizeof(*frame);
				f->inbox_start += sizeof(*frame) + frame->length;
				return true;
			}
		}
		if (!guest_receive(f, ms)) {
			return false;
		}
	}
}

static void expect_frame(struct fixture *f, uint16_t type, uint32_t session, const void *data, uint32_t len) {
	struct guest_frame frame;
	const uint8_t *payload;
	assert_true(guest_next(f, &frame, &payload, WAIT_MS));
	assert_int_equal(frame.type, type);
	assert_int_equal(frame.session, session);
	assert_int_equal(frame.length, len);
	assert_memory_equal(payload, data, len);
}

static void expect_u32(struct fixture *f, uint16_t type, uint32_t session, uint32_t value) {
	expect_frame(f, type, session, &value, sizeof(value));
}

static void expect_silence(struct fixture *f) {
	struct guest_frame frame;
	const uint8_t *payload;
	assert_false(guest_next(f, &frame, &payload, 20));
}

/* The loop has nothing to do: it does not spin. */
static void expect_idle(struct fixture *f) {
	struct epoll_event event;
	driver_run(&f->driver, 10);
	assert_int_equal(epoll_wait(f->driver.loop.epoll_fd, &event, 1, 0), 0);
}

static void start_session(struct fixture *f, int in, int out, int err, bool tty) {
	const struct control_stdio stdio = {.in = in, .out = out, .err = err, .tty = tty};
	assert_int_equal(control_attach(f->control, 1, &stdio), 0);
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	assert_int_equal(f->ready, 1);
}

static void expect_failure(struct fixture *f, const char *reason) {
	driver_run(&f->driver, 10);
	assert_int_equal(f->failed, 1);
	assert_string_equal(f->reason, reason);
}

/* ---- sessions ---- */

static void test_stdio(void **state) {
	struct fixture *f = *state;
	int in[2], out[2], err[2];
	char text[16] = "";
	assert_true(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
	start_session(f, in[0], out[1], err[1], false);
	assert_int_equal(write(in[1], "input", 5), 5);
	expect_frame(f, GUEST_FRAME_STDIN, 1, "input", 5);
	close(in[1]);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	expect_idle(f);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "out", 3);
	guest_send(f, GUEST_FRAME_STDERR, 1, "err", 3);
	assert_int_equal(read(out[0], text, sizeof(text)), 3);
	assert_memory_equal(text, "out", 3);
	assert_int_equal(read(err[0], text, sizeof(text)), 3);
	assert_memory_equal(text, "err", 3);
	guest_send(f, GUEST_FRAME_STDOUT, 1, NULL, 0);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 7);
	assert_int_equal(f->exited, 1);
	assert_int_equal(f->status, 7);
	assert_int_equal(f->failed, 0);
	/* The flags others share are as they were. */
	assert_int_equal(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	close(err[0]);
	close(err[1]);
}

/* Nothing is sent before READY, then all of it is. */
static void test_before_ready(void **state) {
	struct fixture *f = *state;
	int in[2];
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "early", 5), 5);
	const struct control_stdio stdio = {.in = in[0], .out = -1, .err = -1};
	assert_int_equal(control_attach(f->control, 1, &stdio), 0);
	assert_int_equal(control_attach(f->control, 1, &stdio), -EEXIST);
	control_signal(f->control, 1, 15);
	control_resize(f->control, 1, 25, 80);
	control_shutdown(f->control);
	expect_silence(f);
	expect_idle(f);
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	expect_u32(f, GUEST_FRAME_SIGNAL, 1, 15);
	expect_frame(f, GUEST_FRAME_WINSIZE, 1, "\x19\0\x50\0", 4);
	expect_frame(f, GUEST_FRAME_SHUTDOWN, 0, NULL, 0);
	expect_frame(f, GUEST_FRAME_STDIN, 1, "early", 5);
	guest_send(f, GUEST_FRAME_BYE, 0, "no\n\033\233 share", 11);
	assert_int_equal(f->bye, 1);
	assert_string_equal(f->log, "no??? share");
	close(in[0]);
	close(in[1]);
}

static void test_exec(void **state) {
	struct fixture *f = *state;
	struct record_buffer exec = {0};
	static char big[GUEST_FRAME_MAX - 8];
	memset(big, 'a', sizeof(big));
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	record_put(&exec, GUEST_EXEC_ARGV, big, sizeof(big));
	assert_int_equal(exec.size, GUEST_FRAME_MAX);
	const struct control_stdio stdio = {.in = -1, .out = -1, .err = -1};
	assert_int_equal(control_exec(f->control, 2, &exec, &stdio), 0);
	control_signal(f->control, 2, 64);
	expect_frame(f, GUEST_FRAME_EXEC, 2, exec.data, (uint32_t)exec.size);
	expect_frame(f, GUEST_FRAME_STDIN, 2, NULL, 0);
	expect_u32(f, GUEST_FRAME_SIGNAL, 2, 64);
	assert_int_equal(control_exec(f->control, 2, &exec, &stdio), -EEXIST);
	record_put(&exec, GUEST_EXEC_ENV, "", 0);
	assert_int_equal(control_exec(f->control, 3, &exec, &stdio), -E2BIG);
	guest_send_u32(f, GUEST_FRAME_EXIT, 2, 127);
	assert_int_equal(f->exited, 2);
	assert_int_equal(f->status, 127);
	record_buffer_finish(&exec);
}

/* Not a byte beyond the window, and no spinning on input that cannot be sent. */
static void test_input_window(void **state) {
	struct fixture *f = *state;
	int in[2];
	static uint8_t zeroes[GUEST_WINDOW];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, in), 0);
	int size = 4 * GUEST_WINDOW;
	setsockopt(in[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	start_session(f, in[0], -1, -1, false);
	uint64_t sent = 0, got = 0;
	struct guest_frame frame;
	const uint8_t *payload;
	do {
		ssize_t n = send(in[1], zeroes, sizeof(zeroes), MSG_DONTWAIT);
		sent += n > 0 ? (uint64_t)n : 0;
		while (guest_next(f, &frame, &payload, 20)) {
			assert_int_equal(frame.type, GUEST_FRAME_STDIN);
			got += frame.length;
		}
	} while (got < GUEST_WINDOW);
	while (send(in[1], zeroes, 4096, MSG_DONTWAIT) > 0) {
		sent += 4096;
	}
	assert_true(sent > GUEST_WINDOW);
	expect_silence(f);
	assert_int_equal(got, GUEST_WINDOW);
	expect_idle(f);
	guest_send_u32(f, GUEST_FRAME_STDIN_CREDIT, 1, 1000);
	got = 0;
	while (guest_next(f, &frame, &payload, 20)) {
		got += frame.length;
	}
	assert_int_equal(got, 1000);
	guest_send_u32(f, GUEST_FRAME_STDIN_CREDIT, 1, GUEST_WINDOW);
	guest_send_u32(f, GUEST_FRAME_STDIN_CREDIT, 1, 1);
	expect_failure(f, "a wrong STDIN_CREDIT");
	expect_idle(f);
	close(in[0]);
	close(in[1]);
}

static void fill_pattern(uint8_t *data, size_t len) {
	for (size_t i = 0; i < len; i++) {
		data[i] = (uint8_t)(i * 31 ^ i >> 9);
	}
}

/* The exit is told only once the last byte has been taken. */
static void test_exit_after_output(void **state) {
	struct fixture *f = *state;
	int out[2];
	static uint8_t data[100000], back[100000];
	fill_pattern(data, sizeof(data));
	assert_int_equal(pipe(out), 0);
	start_session(f, -1, out[1], -1, false);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, 60000);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data + 60000, 40000);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 3);
	expect_idle(f);
	assert_int_equal(f->exited, 0);
	for (size_t done = 0; done < sizeof(back);) {
		size_t left = sizeof(back) - done;
		ssize_t n = read(out[0], back + done, left < 4096 ? left : 4096);
		assert_true(n > 0);
		done += (size_t)n;
		driver_run(&f->driver, 1);
	}
	assert_memory_equal(back, data, sizeof(data));
	assert_int_equal(f->exited, 1);
	assert_int_equal(f->status, 3);
	close(out[0]);
	close(out[1]);
}

/* Credit comes back for what was written, and only for that. */
static void test_output_window(void **state) {
	struct fixture *f = *state;
	static uint8_t data[GUEST_FRAME_MAX];
	int out[2];
	assert_int_equal(pipe(out), 0);
	start_session(f, -1, out[1], -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	for (unsigned i = 0; i < GUEST_WINDOW / GUEST_FRAME_MAX; i++) {
		guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	}
	expect_u32(f, GUEST_FRAME_CREDIT, 1, 65536);
	expect_silence(f);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	assert_int_equal(f->failed, 0);
	guest_send(f, GUEST_FRAME_STDERR, 1, data, 1);
	expect_failure(f, "more output than the window allows");
	close(out[0]);
	close(out[1]);
}

/* The reader went away: the guest is told which stream is closed, and is not held up. */
static void test_closed_reader(void **state) {
	struct fixture *f = *state;
	static uint8_t data[GUEST_FRAME_MAX];
	int out[2], err[2];
	assert_true(pipe(out) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, err) == 0);
	start_session(f, -1, out[1], err[1], false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	close(out[0]);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "y\n", 2);
	expect_u32(f, GUEST_FRAME_CLOSE, 1, GUEST_FRAME_STDOUT);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	expect_u32(f, GUEST_FRAME_CREDIT, 1, GUEST_FRAME_MAX + 2);
	close(err[0]);
	guest_send(f, GUEST_FRAME_STDERR, 1, "y\n", 2);
	expect_u32(f, GUEST_FRAME_CLOSE, 1, GUEST_FRAME_STDERR);
	assert_string_equal(f->log, "");
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 141);
	assert_int_equal(f->status, 141);
	close(out[1]);
	close(err[1]);
}

/* A reader that goes away while output is waiting for it. */
static void test_closed_reader_with_output(void **state) {
	struct fixture *f = *state;
	static uint8_t data[GUEST_FRAME_MAX];
	int out[2];
	assert_int_equal(pipe(out), 0);
	start_session(f, -1, out[1], -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	expect_u32(f, GUEST_FRAME_CREDIT, 1, GUEST_FRAME_MAX);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 0);
	assert_int_equal(f->exited, 0);
	close(out[0]);
	driver_run(&f->driver, 10);
	assert_int_equal(f->exited, 1);
	expect_idle(f);
	close(out[1]);
}

static void test_disk_full(void **state) {
	struct fixture *f = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	start_session(f, -1, full, -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "lost", 4);
	expect_u32(f, GUEST_FRAME_CLOSE, 1, GUEST_FRAME_STDOUT);
	assert_string_equal(f->log, "standard output: No space left on device");
	assert_true(f->log_is_error);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 0);
	assert_int_equal(f->exited, 1);
	assert_int_equal(f->status, 125);
	close(full);
}

/* Regular files, which epoll refuses: standard input from one, standard output appended to another. */
static void test_files(void **state) {
	struct fixture *f = *state;
	static uint8_t data[300000];
	char in_name[] = "/tmp/ph-test-XXXXXX", out_name[] = "/tmp/ph-test-XXXXXX";
	int in = mkstemp(in_name), out = mkstemp(out_name);
	unlink(in_name);
	unlink(out_name);
	fill_pattern(data, sizeof(data));
	assert_int_equal(pwrite(in, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(write(out, "head ", 5), 5);
	start_session(f, in, out, -1, false);
	struct guest_frame frame;
	const uint8_t *payload;
	size_t got = 0;
	while (guest_next(f, &frame, &payload, WAIT_MS) && frame.length > 0) {
		assert_int_equal(frame.type, GUEST_FRAME_STDIN);
		assert_memory_equal(payload, data + got, frame.length);
		got += frame.length;
		guest_send_u32(f, GUEST_FRAME_STDIN_CREDIT, 1, frame.length);
	}
	assert_int_equal(got, sizeof(data));
	expect_silence(f);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "tail", 4);
	char text[16] = "";
	assert_int_equal(pread(out, text, sizeof(text), 0), 9);
	assert_string_equal(text, "head tail");
	close(in);
	close(out);
}

/* A directory cannot be read: it is told, and counts as empty. */
static void test_unreadable_input(void **state) {
	struct fixture *f = *state;
	int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start_session(f, directory, -1, -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	assert_string_equal(f->log, "standard input: Is a directory");
	expect_idle(f);
	close(directory);
}

/* A named pipe whose writer has come and gone: what it wrote, and then the end. */
static void test_named_pipe(void **state) {
	struct fixture *f = *state;
	char folder[] = "/tmp/ph-test-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), writer = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(writer, "data", 4), 4);
	close(writer);
	start_session(f, in, -1, -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, "data", 4);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	close(in);
	unlink(path);
	rmdir(folder);
}

/* ---- terminals ---- */

/* A terminal nobody reads from holds up its session, and not the loop; its flags stay as they are. */
static void test_terminal(void **state) {
	struct fixture *f = *state;
	static uint8_t data[GUEST_FRAME_MAX], back[GUEST_FRAME_MAX];
	int master, slave;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	struct termios raw;
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	start_session(f, slave, slave, -1, true);
	assert_int_equal(write(master, "\x03", 1), 1);
	expect_frame(f, GUEST_FRAME_STDIN, 1, "\x03", 1);
	fill_pattern(data, sizeof(data));
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, sizeof(data));
	control_resize(f->control, 1, 50, 132);
	expect_frame(f, GUEST_FRAME_WINSIZE, 1, "\x32\0\x84\0", 4);
	for (size_t done = 0; done < sizeof(back);) {
		struct pollfd readable = {.fd = master, .events = POLLIN};
		driver_run(&f->driver, 1);
		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		ssize_t n = read(master, back + done, sizeof(back) - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_memory_equal(back, data, sizeof(data));
	assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	close(master);
	expect_u32(f, GUEST_FRAME_CREDIT, 1, GUEST_FRAME_MAX);
	close(slave);
}

/* Standard error may lead elsewhere all the same; its reader may go away, and the terminal stays. */
static void test_terminal_and_stderr(void **state) {
	struct fixture *f = *state;
	int master, slave, err[2];
	char text[16];
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe(err), 0);
	start_session(f, slave, slave, err[1], true);
	guest_send(f, GUEST_FRAME_STDERR, 1, "err", 3);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "out", 3);
	assert_int_equal(read(err[0], text, sizeof(text)), 3);
	assert_memory_equal(text, "err", 3);
	assert_int_equal(read(master, text, sizeof(text)), 3);
	assert_memory_equal(text, "out", 3);
	close(err[0]);
	guest_send(f, GUEST_FRAME_STDERR, 1, "err", 3);
	expect_u32(f, GUEST_FRAME_CLOSE, 1, GUEST_FRAME_STDERR);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "out", 3);
	assert_int_equal(read(master, text, sizeof(text)), 3);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 0);
	assert_int_equal(f->exited, 1);
	assert_int_equal(f->status, 0);
	close(err[1]);
	close(master);
	close(slave);
}

static void test_terminal_goes_away(void **state) {
	struct fixture *f = *state;
	int master, slave;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	start_session(f, slave, slave, -1, true);
	close(master);
	expect_frame(f, GUEST_FRAME_HANGUP, 1, NULL, 0);
	guest_send(f, GUEST_FRAME_STDOUT, 1, "logout", 6);
	expect_silence(f);
	expect_idle(f);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 129);
	assert_int_equal(f->status, 129);
	assert_string_equal(f->log, "");
	close(slave);
}

/* A terminal that goes away is a signal to who has it, and to others ph's own; nobody has two. */
static void test_hangup_and_signal(void **state) {
	struct fixture *f = *state;
	int master, slave;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	start_session(f, slave, slave, -1, true);
	control_hangup(f->control, 1);
	control_signal(f->control, 0, SIGHUP);
	expect_frame(f, GUEST_FRAME_HANGUP, 1, NULL, 0);
	control_hangup(f->control, 1);
	expect_silence(f);
	control_signal(f->control, 0, SIGTERM);
	expect_u32(f, GUEST_FRAME_SIGNAL, 1, SIGTERM);
	close(master);
	close(slave);
}

static void test_hangup(void **state) {
	struct fixture *f = *state;
	static uint8_t data[GUEST_FRAME_MAX];
	int out[2];
	assert_int_equal(pipe(out), 0);
	start_session(f, -1, out[1], -1, false);
	expect_frame(f, GUEST_FRAME_STDIN, 1, NULL, 0);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	guest_send(f, GUEST_FRAME_STDOUT, 1, data, GUEST_FRAME_MAX);
	expect_u32(f, GUEST_FRAME_CREDIT, 1, GUEST_FRAME_MAX);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 0);
	assert_int_equal(f->exited, 0);
	control_hangup(f->control, 1);
	assert_int_equal(f->exited, 1);
	control_hangup(f->control, 1);
	control_signal(f->control, 1, 9);
	expect_silence(f);
	close(out[0]);
	close(out[1]);
}

/* ---- frames ---- */

static void test_text_frames(void **state) {
	struct fixture *f = *state;
	static uint8_t big[GUEST_FRAME_MAX];
	memset(big, 'x', sizeof(big));
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	guest_send(f, GUEST_FRAME_LOG, 0, "!no root", 8);
	assert_string_equal(f->log, "no root");
	assert_true(f->log_is_error);
	guest_send(f, GUEST_FRAME_LOG, 0, "no cgroups", 10);
	assert_string_equal(f->log, "no cgroups");
	assert_false(f->log_is_error);
	guest_send(f, GUEST_FRAME_LOG, 0, NULL, 0);
	assert_string_equal(f->log, "");
	guest_send(f, GUEST_FRAME_LOG, 0, big, sizeof(big));
	assert_int_equal(f->log[0], 'x');
	guest_send(f, GUEST_FRAME_TIMING, 0, "mount root 123456789012", 23);
	assert_string_equal(f->timing, "mount root");
	assert_int_equal(f->timing_ns, 123456789012);
	assert_int_equal(f->failed, 0);
}

/* An address goes to the owner, and its answer back to the guest. */
static void test_urls(void **state) {
	struct fixture *f = *state;
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	guest_send(f, GUEST_FRAME_URL, 7, "http://a", 8);
	assert_int_equal(f->url_request, 7);
	assert_string_equal(f->url, "http://a");
	expect_silence(f);
	control_answer_url(f->control, 7, GUEST_URL_REFUSED);
	expect_u32(f, GUEST_FRAME_URL_ANSWER, 7, GUEST_URL_REFUSED);
	expect_silence(f);
	f->no_urls = true;
	guest_send(f, GUEST_FRAME_URL, 8, "http://a", 8);
	expect_failure(f, "an address to open out of turn");
}

/* Of several changes init hears the last. */
static void test_names(void **state) {
	struct fixture *f = *state;
	static const char text[] = "nameserver 192.0.2.2\n";
	struct guest_frame frame;
	const uint8_t *payload;
	control_tell_names(f->control, "nameserver 192.0.2.1\n");
	control_tell_names(f->control, text);
	expect_silence(f);
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	assert_true(guest_next(f, &frame, &payload, WAIT_MS));
	assert_int_equal(frame.type, GUEST_FRAME_NAMES);
	assert_int_equal(frame.session, 0);
	assert_int_equal(frame.length, strlen(text));
	assert_memory_equal(payload, text, strlen(text));
	expect_silence(f);
	control_tell_names(f->control, text); /* never heard, and given back */
}

/* Init hears the time when it can, and what the clock says then. */
static void test_time(void **state) {
	struct fixture *f = *state;
	struct guest_frame frame;
	const uint8_t *payload;
	uint64_t ns;
	struct timespec before, after;
	control_tell_time(f->control);
	expect_silence(f);
	clock_gettime(CLOCK_REALTIME, &before);
	guest_send(f, GUEST_FRAME_READY, 0, NULL, 0);
	assert_true(guest_next(f, &frame, &payload, WAIT_MS));
	clock_gettime(CLOCK_REALTIME, &after);
	assert_int_equal(frame.type, GUEST_FRAME_TIME);
	assert_int_equal(frame.session, 0);
	assert_int_equal(frame.length, sizeof(ns));
	memcpy(&ns, payload, sizeof(ns));
	assert_true(ns / 1000000000 >= (uint64_t)before.tv_sec && ns / 1000000000 <= (uint64_t)after.tv_sec);
	expect_silence(f);
}

/* Frames may come in any pieces. */
static void test_pieces(void **state) {
	struct fixture *f = *state;
	int out[2];
	char text[16] = "";
	assert_int_equal(pipe(out), 0);
	start_session(f, -1, out[1], -1, false);
	static const uint8_t bytes[] = {17, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', /* STDOUT */
		17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,                                        /* its end */
		20, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0,                            /* EXIT */
		22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};                                       /* BYE */
	for (size_t i = 0; i < sizeof(bytes); i++) {
		guest_write(f, bytes + i, 1);
	}
	assert_int_equal(read(out[0], text, sizeof(text)), 3);
	assert_string_equal(text, "abc");
	assert_int_equal(f->status, 5);
	assert_int_equal(f->bye, 1);
	close(out[0]);
	close(out[1]);
}

struct wrong {
	struct guest_frame frame;
	uint32_t payload;
	const char *reason;
};

static const struct wrong wrongs[] = {
	{{GUEST_FRAME_READY, 0, 0, 0}, 0, "a second READY on the control port"},
	{{0, 0, 0, 0}, 0, "an unknown frame on the control port"},
	{{GUEST_FRAME_EXEC, 0, 1, 0}, 0, "an unknown frame on the control port"},
	{{0xffff, 0, 1, 4}, 0, "an unknown frame on the control port"},
	{{GUEST_FRAME_STDOUT, 1, 1, 4}, 0, "a malformed frame on the control port"},
	{{GUEST_FRAME_STDOUT, 0, 1, GUEST_FRAME_MAX + 1}, 0, "a malformed frame on the control port"},
	{{GUEST_FRAME_STDOUT, 0, 1, UINT32_MAX}, 0, "a malformed frame on the control port"},
	{{GUEST_FRAME_STDOUT, 0, 0, 4}, 0, "a frame for a session that does not exist"},
	{{GUEST_FRAME_EXIT, 0, 2, 4}, 0, "a frame for a session that does not exist"},
	{{GUEST_FRAME_EXIT, 0, 1, 4}, 256, "a wrong EXIT"},
	{{GUEST_FRAME_EXIT, 0, 1, 3}, 0, "a wrong EXIT"},
	{{GUEST_FRAME_EXIT, 0, 1, 0}, 0, "a wrong EXIT"},
	{{GUEST_FRAME_STDIN_CREDIT, 0, 1, 4}, 1, "a wrong STDIN_CREDIT"},
	{{GUEST_FRAME_STDIN_CREDIT, 0, 1, 0}, 0, "a wrong STDIN_CREDIT"},
	{{GUEST_FRAME_TIMING, 0, 0, 4}, 0x61616161, "a wrong TIMING"},
	{{GUEST_FRAME_TIMING, 0, 0, 4}, 0x20202020, "a wrong TIMING"},
	{{GUEST_FRAME_TIMING, 0, 0, 0}, 0, "a wrong TIMING"},
};

/* Each breaks the conversation, once; nothing is heard or said afterwards. */
static void test_wrong_frames(void **state) {
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		int in[2];
		assert_int_equal(pipe(in), 0);
		start_session(f, in[0], -1, -1, false);
		uint8_t bytes[sizeof(struct guest_frame) + 4];
		memcpy(bytes, &wrongs[i].frame, sizeof(struct guest_frame));
		memcpy(bytes + sizeof(struct guest_frame), &wrongs[i].payload, 4);
		size_t payload = wrongs[i].frame.length < 4 ? wrongs[i].frame.length : 4;
		guest_write(f, bytes, sizeof(struct guest_frame) + payload);
		expect_failure(f, wrongs[i].reason);
		guest_send(f, GUEST_FRAME_BYE, 0, NULL, 0);
		assert_int_equal(f->bye, 0);
		assert_int_equal(write(in[1], "x", 1), 1);
		expect_silence(f);
		expect_idle(f);
		close(in[0]);
		close(in[1]);
		void *next = f;
		tear_down(&next);
		set_up(&next);
		f = *state = next;
	}
}

static void test_frame_before_ready(void **state) {
	struct fixture *f = *state;
	guest_send(f, GUEST_FRAME_LOG, 0, "hi", 2);
	expect_failure(f, "a frame before READY");
}

/* The guest closes its end: nothing is sent, and input that is there does not keep the loop busy. */
static void test_port_closed(void **state) {
	struct fixture *f = *state;
	int in[2];
	assert_int_equal(pipe(in), 0);
	start_session(f, in[0], -1, -1, false);
	set_open(f, false);
	assert_int_equal(write(in[1], "x", 1), 1);
	expect_idle(f);
	expect_silence(f);
	close(in[0]);
	close(in[1]);
}

/* ---- the bulk: what `ph -- cat` does ---- */

#define BULK (100u << 20)

static uint8_t bulk_byte(uint32_t i) {
	return (uint8_t)(i * 2654435761u >> 24);
}

static void *bulk_write(void *opaque) {
	uint8_t buffer[10000];
	int fd = *(int *)opaque;
	for (uint32_t done = 0; done < BULK;) {
		uint32_t n = BULK - done < sizeof(buffer) ? BULK - done : sizeof(buffer);
		for (uint32_t i = 0; i < n; i++) {
			buffer[i] = bulk_byte(done + i);
		}
		for (uint32_t written = 0; written < n;) {
			ssize_t ret = write(fd, buffer + written, n - written);
			if (ret <= 0) {
				return NULL; /* the reader will miss it */
			}
			written += (uint32_t)ret;
		}
		done += n;
	}
	close(fd);
	return NULL;
}

struct bulk_reader {
	int fd;
	uint32_t got;
	bool intact;
};

static void *bulk_read(void *opaque) {
	struct bulk_reader *reader = opaque;
	uint8_t buffer[30000];
	ssize_t n;
	while (reader->got < BULK && (n = read(reader->fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			reader->intact &= buffer[i] == bulk_byte(reader->got++);
		}
	}
	return NULL;
}

/* The guest's cat, which passes on what comes as far as there is credit. */
struct cat {
	uint8_t held[GUEST_WINDOW];
	size_t size;
	uint64_t credits, echoed;
	bool end;
};

static void cat_write(struct fixture *f, struct cat *cat) {
	uint64_t room = GUEST_WINDOW + cat->credits - cat->echoed;
	size_t n = cat->size < room ? cat->size : room;
	n = n < GUEST_FRAME_MAX ? n : GUEST_FRAME_MAX;
	if (n == 0) {
		return;
	}
	guest_send(f, GUEST_FRAME_STDOUT, 1, cat->held, (uint32_t)n);
	guest_send_u32(f, GUEST_FRAME_STDIN_CREDIT, 1, (uint32_t)n);
	memmove(cat->held, cat->held + n, cat->size - n);
	cat->size -= n;
	cat->echoed += n;
}

static void cat_read(struct fixture *f, struct cat *cat, int ms) {
	struct guest_frame frame;
	const uint8_t *payload;
	uint32_t credit;
	if (!guest_next(f, &frame, &payload, ms)) {
		return;
	}
	if (frame.type == GUEST_FRAME_CREDIT) {
		memcpy(&credit, payload, sizeof(credit));
		cat->credits += credit;
		return;
	}
	assert_int_equal(frame.type, GUEST_FRAME_STDIN);
	assert_true(frame.length <= sizeof(cat->held) - cat->size);
	memcpy(cat->held + cat->size, payload, frame.length);
	cat->size += frame.length;
	cat->end |= frame.length == 0;
}

static void carry_bulk(struct fixture *f, int in[2], int out[2]) {
	struct bulk_reader reader = {.fd = out[0], .intact = true};
	pthread_t threads[2];
	start_session(f, in[0], out[1], -1, false);
	assert_int_equal(pthread_create(&threads[0], NULL, bulk_write, &in[1]), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, bulk_read, &reader), 0);
	static struct cat cat;
	cat = (struct cat){0};
	while (!cat.end || cat.size > 0) {
		cat_write(f, &cat);
		cat_read(f, &cat, 5);
	}
	assert_int_equal(cat.echoed, BULK);
	guest_send_u32(f, GUEST_FRAME_EXIT, 1, 0);
	while (f->exited == 0) {
		driver_run(&f->driver, 1);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(reader.intact);
	assert_int_equal(reader.got, BULK);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

static void test_bulk_pipes(void **state) {
	int in[2], out[2];
	assert_true(pipe(in) == 0 && pipe(out) == 0);
	carry_bulk(*state, in, out);
}

static void test_bulk_sockets(void **state) {
	int in[2], out[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	carry_bulk(*state, in, out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_stdio),
		TEST(test_before_ready),
		TEST(test_exec),
		TEST(test_input_window),
		TEST(test_exit_after_output),
		TEST(test_output_window),
		TEST(test_closed_reader),
		TEST(test_closed_reader_with_output),
		TEST(test_disk_full),
		TEST(test_files),
		TEST(test_unreadable_input),
		TEST(test_named_pipe),
		TEST(test_terminal),
		TEST(test_terminal_and_stderr),
		TEST(test_terminal_goes_away),
		TEST(test_hangup),
		TEST(test_hangup_and_signal),
		TEST(test_text_frames),
		TEST(test_urls),
		TEST(test_time),
		TEST(test_names),
		TEST(test_pieces),
		TEST(test_wrong_frames),
		TEST(test_frame_before_ready),
		TEST(test_port_closed),
		TEST(test_bulk_pipes),
		TEST(test_bulk_sockets),
	};
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
