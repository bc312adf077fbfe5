/*
 * The host's end of the bench's messages: what virtio-wl connects to under ph, and a virtio-serial port under
 * QEMU. It does what the guest asks (wl_peer.h), one connection at a time. A tool of the bench, run as root.
 *
 * usage: wl_peer SOCKET
 */
#include "wl_peer.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 65536u

static uint8_t data[MESSAGE_MAX];

static bool read_all(int fd, void *to, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, (uint8_t *)to + done, size - done);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *from, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const uint8_t *)from + done, size - done);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static uint64_t counter(const char *name) {
	char path[64];
	unsigned long long value = 0;
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%s", name);
	FILE *file = fopen(path, "r");
	if (file != NULL) {
		if (fscanf(file, "%llu", &value) != 1) {
			value = 0;
		}
		fclose(file);
	}
	return value;
}

static bool echo(int fd, const struct wl_request *request) {
	for (uint32_t i = 0; i < request->count; i++) {
		if (!read_all(fd, data, request->size)) {
			return false;
		}
		struct wl_times times = {.came = wl_time_stamp()};
		times.left = wl_time_stamp();
		memcpy(data, &times, sizeof(times));
		if (!write_all(fd, data, request->size)) {
			return false;
		}
	}
	return true;
}

static bool sink(int fd, const struct wl_request *request) {
	uint64_t left = (uint64_t)request->count * request->size;
	while (left > 0) {
		ssize_t n = read(fd, data, left < sizeof(data) ? left : sizeof(data));
		if (n <= 0) {
			return false;
		}
		left -= (uint64_t)n;
	}
	return write_all(fd, data, 1);
}

static bool burst(int fd, const struct wl_request *request) {
	for (uint32_t i = 0; i < request->count; i++) {
		if (!write_all(fd, data, request->size)) {
			return false;
		}
	}
	return true;
}

static bool count(int fd) {
	const struct wl_counters counters = {.exits = counter("exits"),
		.halts = counter("halt_exits"),
		.interrupts = counter("irq_injections")};
	return write_all(fd, &counters, sizeof(counters));
}

static bool serve(int fd) {
	struct wl_request request;
	if (!read_all(fd, &request, sizeof(request)) || request.size > sizeof(data)) {
		return false;
	}
	switch (request.type) {
	case WL_ECHO:
		return request.size >= sizeof(struct wl_times) && echo(fd, &request);
	case WL_SINK:
		return sink(fd, &request);
	case WL_BURST:
		return burst(fd, &request);
	case WL_COUNT:
		return count(fd);
	default:
		return false;
	}
}

int main(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (argc != 2) {
		return 2;
	}
	strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 4) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0) {
			return 1;
		}
		while (serve(fd)) {
		}
		close(fd);
	}
}
