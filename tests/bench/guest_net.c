/*
 * What the bench does with a network, in the guest: bytes to the host and from it, and single bytes there and
 * back, over TCP to passt's gateway, behind which is the host's loopback (net_peer.c).
 */
#include "work.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/route.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS "10.213.112.2"
#define GATEWAY "10.213.112.1"
#define PORT 7000
#define MIB 32u
#define TRIPS 1000u

static char buffer[1 << 16];

static void set(int fd, unsigned long what, const char *address) {
	struct ifreq request = {.ifr_name = "eth0"};
	struct sockaddr_in at = {.sin_family = AF_INET};
	inet_pton(AF_INET, address, &at.sin_addr);
	memcpy(&request.ifr_addr, &at, sizeof(at));
	if (ioctl(fd, (int)what, &request) < 0) {
		bench_fail("address");
	}
}

static void raise_network(void) {
	struct ifreq request = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	set(fd, SIOCSIFADDR, ADDRESS);
	set(fd, SIOCSIFNETMASK, "255.255.255.0");
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
		bench_fail("interface");
	}
	close(fd);
}

static int open_connection(char what) {
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	inet_pton(AF_INET, GATEWAY, &at.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || write(fd, &what, 1) != 1) {
		bench_fail("connect");
	}
	return fd;
}

static unsigned send_bytes(void) {
	char byte;
	int fd = open_connection('t');
	for (unsigned i = 0; i < (MIB << 20) / sizeof(buffer); i++) {
		if (write(fd, buffer, sizeof(buffer)) != (ssize_t)sizeof(buffer)) {
			bench_fail("send");
		}
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, &byte, 1) != 1) {
		bench_fail("answer");
	}
	close(fd);
	return MIB;
}

static unsigned receive_bytes(void) {
	int fd = open_connection('f');
	for (size_t done = 0; done < MIB << 20;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));
		if (n <= 0) {
			bench_fail("receive");
		}
		done += (size_t)n;
	}
	close(fd);
	return MIB;
}

static unsigned round_trips(void) {
	char byte = 0;
	int fd = open_connection('r');
	for (unsigned i = 0; i < TRIPS; i++) {
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) {
			bench_fail("round trip");
		}
	}
	close(fd);
	return TRIPS;
}

void bench_net_open(void) {
	raise_network();
	/* Who asks for the gateway's address and waits for a first connection is no measure's business. */
	close(open_connection('r'));
}

const struct work net_works[] = {
	{"net-to", 40, false, send_bytes},
	{"net-from", 41, false, receive_bytes},
	{"net-round-trip", 42, false, round_trips},
};
const size_t net_work_count = sizeof(net_works) / sizeof(net_works[0]);
