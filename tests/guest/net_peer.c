/*
 * The far end of the network's tests, on the host and in the VM: a server for TCP and UDP, a name server for
 * one name, and the clients for them. Bytes that are sent are those of a generator, so that both ends can
 * check each one.
 *
 *   net_peer serve PORT                  at every address: TCP (first a command, see serve_stream) and UDP
 * echo net_peer up|down ADDRESS PORT SIZE   send or fetch SIZE bytes and check them net_peer udp ADDRESS PORT
 * SIZE       one datagram there and back net_peer ping ADDRESS PORT COUNT     COUNT bytes there and back, one
 * at a time, and what one took net_peer refuse ADDRESS PORT         succeed when nobody answers there
 *   net_peer dns ADDRESS [ANSWER]        answer each question for IPv4 with that, or 192.0.2.77
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define TIMEOUT_S 100

static void fail(const char *what) {
	fprintf(stderr, "net_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift; the same from any end. */
static uint64_t generator;

static void generate(uint8_t *data, size_t size) {
	for (size_t i = 0; i + 8 <= size; i += 8) {
		generator ^= generator << 13;
		generator ^= generator >> 7;
		generator ^= generator << 17;
		memcpy(data + i, &generator, 8);
	}
}

static void write_all(int fd, const void *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, (const uint8_t *)data + done, size - done, MSG_NOSIGNAL);
		if (n <= 0) {
			fail("send");
		}
		done += (size_t)n;
	}
}

static void read_all(int fd, void *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = recv(fd, (uint8_t *)data + done, size - done, 0);
		if (n <= 0) {
			fail(n == 0 ? "the other end hung up" : "recv");
		}
		done += (size_t)n;
	}
}

static void send_bytes(int fd, uint64_t size) {
	uint8_t chunk[CHUNK];
	generator = 1;
	for (uint64_t done = 0; done < size; done += CHUNK) {
		generate(chunk, CHUNK);
		write_all(fd, chunk, size - done < CHUNK ? size - done : CHUNK);
	}
}

static void receive_bytes(int fd, uint64_t size) {
	uint8_t chunk[CHUNK], expected[CHUNK];
	generator = 1;
	for (uint64_t done = 0; done < size; done += CHUNK) {
		size_t part = size - done < CHUNK ? size - done : CHUNK;
		generate(expected, CHUNK);
		read_all(fd, chunk, part);
		if (memcmp(chunk, expected, part) != 0) {
			fprintf(stderr, "net_peer: wrong bytes after %llu\n", (unsigned long long)done);
			exit(1);
		}
	}
}

struct command {
	char what; /* 'u' the client sends, 'd' it fetches, 'e' single bytes come back */
	char zero[7];
	uint64_t size;
};

static void serve_stream(int fd) {
	struct command command;
	char byte;
	read_all(fd, &command, sizeof(command));
	if (command.what == 'u') {
		receive_bytes(fd, command.size);
		write_all(fd, "y", 1);
	} else if (command.what == 'd') {
		send_bytes(fd, command.size);
		read_all(fd, &byte, 1);
	}
	while (command.what == 'e' && recv(fd, &byte, 1, 0) == 1) {
		write_all(fd, &byte, 1);
	}
}

static int listen_at(int type, unsigned port) {
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int one = 1, fd = socket(AF_INET6, type, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 16) < 0)) {
		fail("cannot listen");
	}
	return fd;
}

static void echo_datagram(int fd) {
	static uint8_t data[65536];
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
	if (n >= 0) {
		sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
}

static void serve(unsigned port) {
	struct pollfd fds[] = {{.fd = listen_at(SOCK_STREAM, port), .events = POLLIN},
		{.fd = listen_at(SOCK_DGRAM, port), .events = POLLIN}};
	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents != 0) {
			echo_datagram(fds[1].fd);
		}
		int fd = fds[0].revents != 0 ? accept(fds[0].fd, NULL, NULL) : -1;
		if (fd >= 0 && fork() == 0) {
			int one = 1;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			serve_stream(fd);
			exit(0);
		}
		close(fd);
	}
}

static int try_connect(const char *address, const char *port, int type) {
	struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	if (getaddrinfo(address, port, &hints, &found) != 0) {
		errno = EINVAL;
		return -1;
	}
	int one = 1, fd = socket(found->ai_family, type, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int ret = connect(fd, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return ret < 0 ? -1 : fd;
}

static int connect_to(const char *address, const char *port, int type) {
	int fd = try_connect(address, port, type);
	if (fd < 0) {
		fail("cannot connect");
	}
	return fd;
}

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void transfer(char what, const char *address, const char *port, uint64_t size) {
	int fd = connect_to(address, port, SOCK_STREAM);
	const struct command command = {.what = what, .size = size};
	char byte = 'y';
	double start = now();
	write_all(fd, &command, sizeof(command));
	if (what == 'u') {
		send_bytes(fd, size);
		read_all(fd, &byte, 1);
	} else {
		receive_bytes(fd, size);
		write_all(fd, &byte, 1);
	}
	printf("%llu bytes, %.1f MB/s\n", (unsigned long long)size, (double)size / (now() - start) / 1e6);
}

static void ping(const char *address, const char *port, uint64_t count) {
	int fd = connect_to(address, port, SOCK_STREAM);
	const struct command command = {.what = 'e'};
	write_all(fd, &command, sizeof(command));
	double start = now();
	for (uint64_t i = 0; i < count; i++) {
		char byte = (char)i;
		write_all(fd, &byte, 1);
		read_all(fd, &byte, 1);
	}
	printf("%llu round trips, %.1f us\n", (unsigned long long)count,
		(now() - start) / (double)count * 1e6);
}

/* A datagram may get lost: three are sent. */
static void datagram(const char *address, const char *port, size_t size) {
	static uint8_t sent[65536], received[65536];
	int fd = connect_to(address, port, SOCK_DGRAM);
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	generator = size;
	generate(sent, (size + 7) / 8 * 8);
	for (int i = 0; i < 3; i++) {
		send(fd, sent, size, 0);
		if (poll(&ready, 1, 5000) == 1 && recv(fd, received, sizeof(received), 0) == (ssize_t)size &&
			memcmp(sent, received, size) == 0) {
			puts("the same");
			return;
		}
	}
	errno = ETIMEDOUT;
	fail("no answer");
}

static void refuse(const char *address, const char *port) {
	int fd = try_connect(address, port, SOCK_STREAM);
	if (fd >= 0) {
		/* passt may accept before it knows. */
		const struct command command = {.what = 'e'};
		char byte = 'x';
		send(fd, &command, sizeof(command), MSG_NOSIGNAL);
		send(fd, &byte, 1, MSG_NOSIGNAL);
		if (recv(fd, &byte, 1, 0) == 1) {
			fprintf(stderr, "net_peer: %s answers\n", address);
			exit(1);
		}
	}
	puts("refused");
}

/* The question comes back with an answer behind it. */
static void answer_names(const char *address, const char *answer) {
	uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)}, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, address, &at.sin_addr);
	if (answer != NULL) {
		inet_pton(AF_INET, answer, record + sizeof(record) - 4);
	}
	/* The address may not be there yet. */
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		fail("cannot be a name server");
	}
	for (;;) {
		uint8_t message[1024];
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &size);
		if (n < 17) {
			continue;
		}
		ssize_t end = 12;
		while (end < n && message[end] != 0) {
			end += message[end] + 1;
		}
		end += 5;
		message[2] = 0x81;
		message[3] = 0x80;
		memset(message + 6, 0, 6);
		if (end <= n && message[end - 3] == 1) {
			message[7] = 1;
			memcpy(message + end, record, sizeof(record));
			end += (ssize_t)sizeof(record);
		}
		sendto(fd, message, (size_t)end, 0, (struct sockaddr *)&from, size);
	}
}

int main(int argc, char **argv) {
	const char *what = argc > 2 ? argv[1] : "";
	if (strcmp(what, "serve") == 0) {
		serve((unsigned)atoi(argv[2]));
	} else if (strcmp(what, "dns") == 0) {
		answer_names(argv[2], argv[3]);
	} else if (argc > 3 && strcmp(what, "refuse") == 0) {
		refuse(argv[2], argv[3]);
	} else if (argc > 4 && strcmp(what, "udp") == 0) {
		datagram(argv[2], argv[3], (size_t)atoi(argv[4]));
	} else if (argc > 4 && strcmp(what, "ping") == 0) {
		ping(argv[2], argv[3], (uint64_t)atoll(argv[4]));
	} else if (argc > 4 && (strcmp(what, "up") == 0 || strcmp(what, "down") == 0)) {
		transfer(what[0], argv[2], argv[3], (uint64_t)atoll(argv[4]));
	} else {
		return 2;
	}
	return 0;
}
