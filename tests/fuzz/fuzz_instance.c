/*
 * Fuzz what running VMs and those who join them say to each other. The VM's end: messages of any kind to the
 * monitor's clients, with descriptors, from several connections, of which the first is of who started the VM;
 * what the VM says of itself comes between them. The other end: a connection that answers
 * anything to who attends to a command is the same receiving function, and is given what is left of the
 * input.
 *
 * Input: steps, see step().
 */
#include "device.h"

#include "monitor/clients.h"
#include "ph/console.h"
#include "ph/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop loop;
static struct clients clients;
static int connections[CONNECTIONS];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_size;
static unsigned started;
static int messages; /* what workers of the VM write */

/* ---- the VM ---- */

static void on_nothing(void *owner) {
	(void)owner;
}

static void on_bye(void *owner, const char *reason) {
	(void)owner;
	(void)reason;
}

static void on_log(void *owner, bool error, const char *text) {
	(void)owner;
	(void)error;
	(void)text;
}

static void on_timing(void *owner, const char *step, uint64_t ns) {
	(void)owner;
	(void)step;
	(void)ns;
}

static void on_exited(void *owner, uint32_t session, int status) {
	(void)owner;
	clients_exited(&clients, session, status, false);
}

static void on_failed(void *owner, const char *reason) {
	(void)owner;
	(void)reason;
}

static const struct control_ops control_ops = {.ready = on_nothing,
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

static bool is_ending(void *owner) {
	(void)owner;
	return started > 6;
}

static uint32_t state(void *owner) {
	(void)owner;
	return started;
}

static void on_started(void *owner) {
	(void)owner;
	started++;
}

static size_t logs(void *owner, char *text, size_t size) {
	(void)owner;
	memset(text, 'x', 100);
	return size < 100 ? size : 100;
}

static void keep(void *owner, const char *text, size_t size) {
	(void)owner;
	(void)text;
	(void)size;
}

static const struct clients_ops clients_ops = {.is_ending = is_ending,
	.state = state,
	.stop = on_nothing,
	.started = on_started,
	.logs = logs,
	.keep = keep};

/* ---- who joins ---- */

static void join(unsigned i) {
	close(connections[i]);
	connections[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	require(connect(connections[i], (struct sockaddr *)&address, address_size) == 0 || errno == EAGAIN);
}

/* Up to five descriptors, of which three are too many. */
static void say(int fd, const void *data, size_t size, unsigned count) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[8], ends[2];
	for (unsigned i = 0; i < count; i += 2) {
		require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
		fds[i] = ends[0];
		fds[i + 1] = ends[1];
	}
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(count * sizeof(int))};
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)n;
	for (unsigned i = 0; i < (count + 1) / 2 * 2; i++) {
		close(fds[i]);
	}
}

/* Whatever comes back is a message. */
static void hear(int fd) {
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message;
	while (instance_receive(fd, buffer, &message) > 0) {
		require(message.type >= INSTANCE_EXITED && message.type <= INSTANCE_STATE);
		instance_close_streams(message.fds);
	}
}

/* What happens in the VM: a command has ended, all of it runs, a worker says something, it fails. */
static void happen(struct input *input, unsigned what) {
	static char text[600];
	if (what == 0) {
		clients_exited(&clients, take(input, 1) % 8, (int)take(input, 1), take(input, 1) % 2 == 0);
	} else if (what == 1) {
		clients_ready(&clients);
	} else if (what == 2) {
		memset(text, 'm', sizeof(text));
		ssize_t n = write(messages, text, 1 + take(input, 1) * 2);
		(void)n;
	} else {
		clients_failed(&clients, "fuzz");
	}
}

static void step(struct input *input) {
	unsigned what = take(input, 1), i = what % CONNECTIONS;
	if (what < 16) {
		join(i);
	} else if (what < 28) {
		hear(connections[i]);
	} else if (what < 32) {
		happen(input, what - 28);
	} else {
		uint8_t message[256 + sizeof(struct instance_header)];
		size_t size = what >= 240 ? 0 : take(input, 1) + 4;
		for (size_t k = 0; k < size; k++) {
			message[k] = (uint8_t)take(input, 1);
		}
		say(connections[i], message, size, (what >> 2) % 6);
	}
	device_run_loop(&loop, 16);
}

/* The bytes as a message to who attends. */
static void attend(const uint8_t *data, size_t size) {
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message;
	int ends[2];
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	say(ends[1], data, size, (unsigned)size % 6);
	int ret = instance_receive(ends[0], buffer, &message);
	require(ret == 1 || ret == 0 || ret == -EPROTO || ret == -EAGAIN);
	require(ret != 1 || message.size + sizeof(struct instance_header) == size);
	instance_close_streams(message.fds);
	close(ends[0]);
	close(ends[1]);
}

/* Between two inputs nothing stays open that was not before. */
static void check_descriptors(void) {
	static int expected = -1;
	int lowest = dup(STDIN_FILENO);
	require(lowest >= 0 && (expected < 0 || lowest == expected));
	expected = lowest;
	close(lowest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	struct virtio_device *console = NULL;
	struct console_port *port = NULL;
	struct control *control = NULL;
	struct vm_seat seat = {.client_fd = -1};
	started = 0;
	require(loop_init(&loop) == 0 && console_create(&console) == 0);
	require(console_add_port(console, NULL, &console_ops, NULL, &port) == 0);
	require(control_create(&control, &loop, console, &control_ops, NULL) == 0);
	seat.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* A name that nobody else has, without a file. */
	const struct sockaddr unnamed = {.sa_family = AF_UNIX};
	address_size = sizeof(address);
	require(bind(seat.listen_fd, &unnamed, sizeof(sa_family_t)) == 0);
	require(getsockname(seat.listen_fd, (struct sockaddr *)&address, &address_size) == 0);
	require(listen(seat.listen_fd, 16) == 0);
	int ends[2], pipe_ends[2];
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	require(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) == 0);
	seat.client_fd = ends[0];
	seat.messages_fd = pipe_ends[0];
	messages = pipe_ends[1];
	require(clients_init(&clients, &loop, control, &seat, 2, &clients_ops, NULL) == 0);
	connections[0] = ends[1];
	for (unsigned i = 1; i < CONNECTIONS; i++) {
		connections[i] = -1;
		join(i);
	}
	attend(data, size < 4096 ? size : 4096);
	while (input.left > 0) {
		step(&input);
	}
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		close(connections[i]);
	}
	device_run_loop(&loop,
		10000); /* until nobody is left: clients_finish() leaves that to the end of the process */
	require(clients.count == 0);
	clients_finish(&clients);
	control_destroy(control);
	console_destroy(console);
	loop_finish(&loop);
	close(seat.listen_fd);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	check_descriptors();
	return 0;
}
