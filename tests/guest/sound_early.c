/*
 * A program of the VM's that speaks to a sound server without libpulse: it asks for a stream and sends data
 * for it in the same breath, which no library does. Says "played" when the server has taken the stream.
 *
 *   sound_early SOCKET
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD = 20, AUTH = 8, SET_CLIENT_NAME = 9, CREATE_PLAYBACK_STREAM = 3, REPLY = 2 };

static uint8_t buffer[65536];
static size_t used;

static void put(const void *data, size_t size) {
	memcpy(buffer + used, data, size);
	used += size;
}

static void put_number(uint32_t value) {
	value = htonl(value);
	put(&value, 4);
}

static void put_tagged(uint32_t value) {
	put("L", 1);
	put_number(value);
}

/* A frame's head; its size is known at its end. */
static size_t begin(uint32_t channel) {
	size_t start = used;
	put_number(0);
	put_number(channel);
	for (int i = 0; i < 3; i++) {
		put_number(0);
	}
	return start;
}

static void end(size_t start) {
	uint32_t size = htonl((uint32_t)(used - start - HEAD));
	memcpy(buffer + start, &size, 4);
}

static void put_auth(void) {
	static const uint8_t cookie[256];
	size_t frame = begin(UINT32_MAX);
	put_tagged(AUTH);
	put_tagged(0);
	put_tagged(13);
	put("x", 1);
	put_number(sizeof(cookie));
	put(cookie, sizeof(cookie));
	end(frame);
}

static void put_name(void) {
	size_t frame = begin(UINT32_MAX);
	put_tagged(SET_CLIENT_NAME);
	put_tagged(1);
	put("Ptapplication.name", 19);
	put_tagged(6);
	put("x", 1);
	put_number(6);
	put("early\0N", 7);
	end(frame);
}

/* One channel of 16 bits, to the default output. */
static void put_stream(void) {
	size_t frame = begin(UINT32_MAX);
	put_tagged(CREATE_PLAYBACK_STREAM);
	put_tagged(2);
	put("a\3\1\0\0\xac\x44m\1\0", 10);
	put_tagged(UINT32_MAX);
	put("N", 1);
	put_tagged(UINT32_MAX);
	put("0", 1);
	for (int i = 0; i < 3; i++) {
		put_tagged(UINT32_MAX);
	}
	put_tagged(0);
	put("v\1\0\1\0\0"
	    "0000000"
	    "00"
	    "PN",
		17);
	end(frame);
}

static void put_data(uint32_t channel) {
	static const uint8_t silence[4096];
	size_t frame = begin(channel);
	put(silence, sizeof(silence));
	end(frame);
}

static int send_all(int fd) {
	ssize_t n = write(fd, buffer, used);
	int ret = n == (ssize_t)used ? 0 : -1;
	used = 0;
	return ret;
}

/* The next frames up to the answer to a command; 0: it is a reply. */
static int await(int fd, uint32_t tag) {
	uint8_t head[HEAD], body[65536];
	uint32_t size, numbers[2];
	do {
		if (recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head)) {
			return -1;
		}
		memcpy(&size, head, 4);
		size = ntohl(size);
		if (size < 10 || size > sizeof(body) || recv(fd, body, size, MSG_WAITALL) != (ssize_t)size) {
			return -1;
		}
		memcpy(&numbers[0], body + 1, 4);
		memcpy(&numbers[1], body + 6, 4);
	} while (ntohl(numbers[1]) != tag);
	return ntohl(numbers[0]) == REPLY ? 0 : -1;
}

int main(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argc == 2 ? argv[1] : "");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(address.sun_path);
		return 1;
	}
	put_auth();
	put_name();
	if (send_all(fd) < 0 || await(fd, 0) < 0 || await(fd, 1) < 0) {
		fputs("no server\n", stderr);
		return 1;
	}
	put_stream();
	for (uint32_t channel = 0; channel < 4; channel++) {
		put_data(channel);
	}
	if (send_all(fd) < 0 || await(fd, 2) < 0) {
		fputs("no stream\n", stderr);
		return 1;
	}
	puts("played");
	return 0;
}
