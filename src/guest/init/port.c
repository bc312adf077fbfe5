/*
 * The guest's end of the control port: finds and opens the device, frames what goes out, cuts what
 * comes in. Runs in ph-init's loop. ph is trusted here; a frame that breaks the format is still an
 * error and not a crash.
 *
 * Frames are gathered in one buffer and written in large pieces: each write is one notification of
 * the host, which costs more than the copy.
 */
#include "guest/init/port.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_FOLDER "/sys/class/virtio-ports"

void port_init(struct port *port) {
	port->fd = -1;
	port->out = NULL;
	port->out_start = port->out_end = port->out_capacity = 0;
	port->in_size = 0;
	port_send(port, GUEST_FRAME_READY, 0, NULL, 0);
}

void port_finish(struct port *port) {
	if (port->fd >= 0) {
		close(port->fd);
	}
	port->fd = -1;
	free(port->out);
	port->out = NULL;
	port->out_start = port->out_end = port->out_capacity = 0;
}

static bool port_has_name(int folder, const char *device, const char *name) {
	char path[300], text[64];
	snprintf(path, sizeof(path), "%s/name", device);
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	size_t len = strlen(name);
	return n == (ssize_t)len + 1 && memcmp(text, name, len) == 0 && text[len] == '\n';
}

/* An open file descriptor of the port's device, or -errno. */
static int find_device(const char *name) {
	char device[300] = "";
	DIR *dir = opendir(PORTS_FOLDER);
	if (dir == NULL) {
		return -errno;
	}
	struct dirent *entry;
	while (device[0] == '\0' && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && port_has_name(dirfd(dir), entry->d_name, name)) {
			snprintf(device, sizeof(device), "/dev/%s", entry->d_name);
		}
	}
	closedir(dir);
	if (device[0] == '\0') {
		return -ENOENT;
	}
	int fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The kernel's device events: the driver names a port from a workqueue and says so. */
static int open_events(void) {
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0) {
		return -errno;
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void discard_events(int fd) {
	char event[4096];
	while (recv(fd, event, sizeof(event), 0) > 0) {
	}
}

static int wait_device(const char *name, int timeout_ms) {
	int events = open_events();
	if (events < 0) {
		return events;
	}
	int64_t end = now_ms() + timeout_ms;
	int fd;
	/* Looked for after the socket exists: an event cannot fall between the two. */
	while ((fd = find_device(name)) < 0) {
		int64_t left = end - now_ms();
		struct pollfd wait = {.fd = events, .events = POLLIN};
		if (left <= 0 || (poll(&wait, 1, (int)left) < 0 && errno != EINTR)) {
			break;
		}
		discard_events(events);
	}
	close(events);
	return fd;
}

int port_open(struct port *port, const char *name, int timeout_ms) {
	int fd = find_device(name);
	if (fd < 0) {
		fd = wait_device(name, timeout_ms);
	}
	if (fd < 0) {
		return fd;
	}
	port->fd = fd;
	return 0;
}

uint8_t *port_reserve(struct port *port, size_t max) {
	size_t need = sizeof(struct guest_frame) + max;
	if (port->out_start == port->out_end) {
		port->out_start = port->out_end = 0;
	}
	if (port->out_end + need > port->out_capacity && port->out_start > 0) {
		memmove(port->out, port->out + port->out_start, port->out_end - port->out_start);
		port->out_end -= port->out_start;
		port->out_start = 0;
	}
	if (port->out_end + need > port->out_capacity) {
		port->out_capacity = (port->out_end + need) * 2;
		port->out = realloc(port->out, port->out_capacity);
		if (port->out == NULL) {
			abort();
		}
	}
	return port->out + port->out_end + sizeof(struct guest_frame);
}

void port_commit(struct port *port, enum guest_frame_type type, uint32_t session, size_t len) {
	struct guest_frame frame = {.type = htole16((uint16_t)type),
		.session = htole32(session),
		.length = htole32((uint32_t)len)};
	memcpy(port->out + port->out_end, &frame, sizeof(frame));
	port->out_end += sizeof(frame) + len;
}

void port_send(
	struct port *port, enum guest_frame_type type, uint32_t session, const void *data, size_t len) {
	uint8_t *place = port_reserve(port, len);
	if (len > 0) {
		memcpy(place, data, len);
	}
	port_commit(port, type, session, len);
}

void port_send_u32(struct port *port, enum guest_frame_type type, uint32_t session, uint32_t value) {
	value = htole32(value);
	port_send(port, type, session, &value, sizeof(value));
}

size_t port_pending(const struct port *port) {
	return port->out_end - port->out_start;
}

int port_flush(struct port *port) {
	while (port->fd >= 0 && port_pending(port) > 0) {
		ssize_t n = write(port->fd, port->out + port->out_start, port_pending(port));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno == EAGAIN ? 0 : -errno;
		}
		port->out_start += (size_t)n;
	}
	return 0;
}

int port_drain(struct port *port) {
	int flags = port->fd < 0 ? -1 : fcntl(port->fd, F_GETFL);
	if (flags < 0 || fcntl(port->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		return -EBADF;
	}
	return port_flush(port);
}

static bool frame_is_whole(const struct port *port, size_t start, struct guest_frame *frame) {
	if (port->in_size - start < sizeof(*frame)) {
		return false;
	}
	memcpy(frame, port->in + start, sizeof(*frame));
	frame->type = le16toh(frame->type);
	frame->session = le32toh(frame->session);
	frame->length = le32toh(frame->length);
	return frame->length > GUEST_FRAME_MAX || port->in_size - start - sizeof(*frame) >= frame->length;
}

/* Handle the whole frames of the buffer and move the rest to its front. */
static int handle_frames(struct port *port, port_handler handler, void *owner) {
	struct guest_frame frame;
	size_t start = 0;
	int result = 0;
	while (result >= 0 && frame_is_whole(port, start, &frame)) {
		if (frame.length > GUEST_FRAME_MAX || frame.zero != 0) {
			return -EPROTO;
		}
		result = handler(owner, &frame, port->in + start + sizeof(frame));
		start += sizeof(frame) + frame.length;
	}
	memmove(port->in, port->in + start, port->in_size - start);
	port->in_size -= start;
	return result < 0 ? result : 0;
}

int port_receive(struct port *port, port_handler handler, void *owner) {
	for (;;) {
		ssize_t n = read(port->fd, port->in + port->in_size, sizeof(port->in) - port->in_size);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno == EAGAIN ? 0 : -errno;
		}
		if (n == 0) {
			/* ph has not opened its end yet; the driver wakes us when it does. */
			return 0;
		}
		port->in_size += (size_t)n;
		int result = handle_frames(port, handler, owner);
		if (result < 0) {
			return result;
		}
	}
}
