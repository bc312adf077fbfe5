/* See wl_fixture.h. */
#include "wl_fixture.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUEUE_SIZE 256
#define PATIENCE_MS 20000

/* ---- set up ---- */

static int listen_at(const char *folder, const char *name, char **path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(fd, 128) == 0);
	*path = strdup(address.sun_path);
	return fd;
}

static void create_device(struct wl_fixture *f) {
	struct display_socket sockets[5] = {{.name = ""}, {.name = "other"}, {.name = "nobody"},
		{.name = "screen", .filtered = true}, {.name = "house", .has_door = true}};
	int house[2];
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, house) == 0);
	f->house = house[0];
	f->house_door = sockets[4].door = house[1];
	f->listener = listen_at(f->folder, "default", &sockets[0].path);
	f->other_listener = listen_at(f->folder, "other", &sockets[1].path);
	sockets[2].path = strdup("/nonexistent/socket");
	sockets[3].path = strdup(sockets[0].path);
	struct connector_socket places[4];
	for (unsigned i = 0; i < 4; i++) {
		places[i] = (struct connector_socket){.path = sockets[i].path};
	}
	struct connector_door door = {.sockets = places, .count = 4};
	assert(connector_start(&f->connector, &door, 1, "test", JAIL_OFF) == 0);
	f->door = door.fd;
	const struct display_options options = {.sockets = sockets,
		.socket_count = 5,
		.connector = door.fd,
		.clipboard = DISPLAY_CLIPBOARD_ON,
		.window_fd = f->window.client_fd,
		.window_address = f->window.address,
		.window_size = f->window.size};
	assert(display_create(&f->device, &options) == 0);
	for (unsigned i = 0; i < 4; i++) {
		free(sockets[i].path);
	}
}

static rlim_t raise_limit(void) {
	struct rlimit limit = {0};
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

bool wl_has_descriptors(void) {
	return raise_limit() >= 4096;
}

struct wl_fixture *wl_set_up(uint64_t features) {
	struct wl_fixture *f = calloc(1, sizeof(*f));
	assert(f != NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	driver_init(&f->driver);
	strcpy(f->folder, "/tmp/ph-wl-XXXXXX");
	assert(mkdtemp(f->folder) != NULL);
	assert(window_init(&f->window, &f->driver.memory) == 0 && window_reserve(&f->window) == 0);
	create_device(f);
	assert(window_serve(&f->window) == 0);
	f->buffers = driver_alloc(&f->driver, QUEUE_SIZE * VIRTIO_WL_IN_BUFFER_SIZE);
	f->command = driver_alloc(&f->driver, 5 * WL_COMMAND_MAX);
	assert(driver_start(&f->driver, f->device, features) == 0);
	wl_post_buffers(f, QUEUE_SIZE);
	return f;
}

void wl_restart(struct wl_fixture *f, uint64_t features, unsigned count) {
	driver_stop(&f->driver);
	assert(driver_start(&f->driver, f->device, features) == 0);
	wl_post_buffers(f, count);
}

static void remove_socket(const struct wl_fixture *f, const char *name) {
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	unlink(path);
}

void wl_tear_down(struct wl_fixture *f) {
	driver_stop(&f->driver);
	display_destroy(f->device);
	window_finish(&f->window);
	close(f->door);
	close(f->house);
	close(f->house_door);
	connector_stop(&f->connector);
	close(f->listener);
	close(f->other_listener);
	remove_socket(f, "default");
	remove_socket(f, "other");
	rmdir(f->folder);
	driver_finish(&f->driver);
	free(f);
}

void wl_post_buffers(struct wl_fixture *f, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		unsigned slot = f->driver.queues[VIRTIO_WL_QUEUE_IN].next_descriptor % QUEUE_SIZE;
		const struct driver_buffer buffer = {
			{f->buffers.value + slot * VIRTIO_WL_IN_BUFFER_SIZE}, VIRTIO_WL_IN_BUFFER_SIZE, true};
		driver_add(&f->driver, VIRTIO_WL_QUEUE_IN, &buffer, 1);
	}
	driver_kick(&f->driver, VIRTIO_WL_QUEUE_IN);
}

/* ---- commands ---- */

static gpa_t submit(struct wl_fixture *f, unsigned slot, const void *command, size_t len, size_t room) {
	gpa_t at = {f->command.value + slot * WL_COMMAND_MAX};
	assert(len <= WL_COMMAND_MAX);
	memcpy(driver_at(&f->driver, at), command, len);
	const struct driver_buffer buffers[] = {{at, (uint32_t)len, false}, {at, (uint32_t)room, true}};
	driver_add(&f->driver, VIRTIO_WL_QUEUE_OUT, buffers, room > 0 ? 2 : 1);
	driver_kick(&f->driver, VIRTIO_WL_QUEUE_OUT);
	return at;
}

gpa_t wl_submit(struct wl_fixture *f, const void *command, size_t len, size_t room) {
	return submit(f, 1 + f->commands++ % 4, command, len, room);
}

uint32_t wl_execute(struct wl_fixture *f, const void *command, size_t len, size_t room) {
	gpa_t at = submit(f, 0, command, len, room);
	memset(&f->reply, 0, sizeof(f->reply));
	if (!driver_wait_used(&f->driver, VIRTIO_WL_QUEUE_OUT, PATIENCE_MS, NULL, &f->reply_len)) {
		return 0;
	}
	size_t copied = f->reply_len < sizeof(f->reply) ? f->reply_len : sizeof(f->reply);
	memcpy(&f->reply, driver_at(&f->driver, at), copied);
	return f->reply.header.type;
}

uint32_t wl_new(struct wl_fixture *f, uint32_t type, uint32_t id, uint32_t flags, uint32_t size) {
	const struct virtio_wl_vfd_new command = {
		.header.type = type, .vfd_id = id, .flags = flags, .size = size};
	return wl_execute(f, &command, sizeof(command), sizeof(command));
}

uint32_t wl_new_named(struct wl_fixture *f, uint32_t id, const char *name) {
	struct virtio_wl_vfd_new command = {.header.type = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, .vfd_id = id};
	memcpy(command.name, name, strnlen(name, sizeof(command.name)));
	return wl_execute(f, &command, sizeof(command), sizeof(command));
}

uint32_t wl_close(struct wl_fixture *f, uint32_t id) {
	const struct virtio_wl_vfd command = {.header.type = VIRTIO_WL_CMD_VFD_CLOSE, .vfd_id = id};
	return wl_execute(f, &command, sizeof(command), 8);
}

size_t wl_build_send(
	void *command, uint32_t id, const uint32_t *ids, uint32_t count, const void *data, size_t len) {
	const struct virtio_wl_transfer head = {
		.header.type = VIRTIO_WL_CMD_VFD_SEND, .vfd_id = id, .vfd_count = count};
	uint8_t *bytes = command;
	memcpy(bytes, &head, sizeof(head));
	if (count > 0) {
		memcpy(bytes + sizeof(head), ids, count * sizeof(*ids));
	}
	if (len > 0) {
		memcpy(bytes + sizeof(head) + count * sizeof(*ids), data, len);
	}
	return sizeof(head) + count * sizeof(*ids) + len;
}

uint32_t wl_send(struct wl_fixture *f, uint32_t id, const uint32_t *ids, uint32_t count, const void *data,
	size_t len) {
	uint8_t *command = malloc(WL_COMMAND_MAX);
	size_t size = wl_build_send(command, id, ids, count, data, len);
	uint32_t type = wl_execute(f, command, size, 8);
	free(command);
	return type;
}

/* ---- messages ---- */

static bool receive(struct wl_fixture *f, struct wl_received *message, int ms) {
	uint16_t head;
	if (!driver_wait_used(&f->driver, VIRTIO_WL_QUEUE_IN, ms, &head, &message->len)) {
		return false;
	}
	assert(message->len <= VIRTIO_WL_IN_BUFFER_SIZE);
	uint8_t *buffer = driver_at(&f->driver, (gpa_t){f->buffers.value + head * VIRTIO_WL_IN_BUFFER_SIZE});
	memcpy(message->bytes, buffer, VIRTIO_WL_IN_BUFFER_SIZE);
	memset(buffer, 0xee, VIRTIO_WL_IN_BUFFER_SIZE);
	wl_post_buffers(f, 1);
	return true;
}

bool wl_receive(struct wl_fixture *f, struct wl_received *message) {
	return receive(f, message, PATIENCE_MS);
}

void wl_settle(struct wl_fixture *f) {
	struct epoll_event event;
	for (unsigned i = 0; epoll_wait(f->driver.loop.epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		assert(i < 100000); /* it does not run in circles */
		source->ready(source, event.events);
	}
}

bool wl_silent(struct wl_fixture *f) {
	struct wl_received message;
	wl_settle(f);
	return !receive(f, &message, 0);
}

bool wl_answered(struct wl_fixture *f, uint32_t *len) {
	wl_settle(f);
	return driver_wait_used(&f->driver, VIRTIO_WL_QUEUE_OUT, 0, NULL, len);
}

/* ---- the server ---- */

int wl_connect(struct wl_fixture *f, uint32_t id) {
	if (wl_new(f, VIRTIO_WL_CMD_VFD_NEW_CTX, id, 0, 0) != VIRTIO_WL_RESP_VFD_NEW) {
		return -1;
	}
	return accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
}

int wl_connect_filtered(struct wl_fixture *f, uint32_t id) {
	if (wl_new_named(f, id, "screen") != VIRTIO_WL_RESP_VFD_NEW) {
		return -1;
	}
	return accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
}

void wl_server_send(int fd, const void *data, size_t len, const int *fds, unsigned count) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
	assert(n == (ssize_t)len);
}

ssize_t wl_server_receive(int fd, void *data, size_t len, int *fds, unsigned *count) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (count != NULL) {
		*count = header != NULL ? (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
		if (header != NULL) {
			memcpy(fds, CMSG_DATA(header), *count * sizeof(int));
		}
	}
	return n;
}

bool wl_run_until_readable(struct wl_fixture *f, int fd) {
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	for (int waited = 0; waited < PATIENCE_MS && poll(&pollfd, 1, 0) == 0; waited += 5) {
		driver_run(&f->driver, 1);
	}
	return poll(&pollfd, 1, 0) == 1;
}

uint8_t *wl_memory(struct wl_fixture *f, uint64_t pfn) {
	assert(pfn * WL_PAGE < f->window.size);
	return f->window.host + pfn * WL_PAGE;
}

unsigned wl_count_fds(void) {
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/fd");
	assert(folder != NULL);
	while (readdir(folder) != NULL) {
		count++;
	}
	closedir(folder);
	return count;
}
