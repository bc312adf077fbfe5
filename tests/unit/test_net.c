/*
 * The network device over the unit tests' driver: a stream of frames as passt has it, frames that are cut in
 * pieces, buffers that are merged, checksums, links that go and come back, and drivers that break the rules.
 */
#include "driver.h"

#include "ph/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define RECEIVE 0
#define TRANSMIT 1
#define BIT(n) (1ULL << (n))
#define MERGE BIT(VIRTIO_NET_F_MRG_RXBUF)
#define PAGE 4096

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	int peer, supply;
	gpa_t memory;
};

static struct fixture *set_up(uint64_t features) {
	struct fixture *f = calloc(1, sizeof(*f));
	int frames[2], links[2];
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, frames), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, links), 0);
	const struct net_options options = {.fds = {frames[0]},
		.pair_count = 1,
		.supply_fd = links[0],
		.mac = {2, 0, 0, 0, 0, 9},
		.mtu = 1500,
		.resolver = {10, 213, 112, 3}};
	assert_int_equal(net_create(&f->device, &options), 0);
	f->peer = frames[1];
	f->supply = links[1];
	f->memory = driver_alloc(&f->driver, 256 * PAGE);
	assert_int_equal(driver_start(&f->driver, f->device, features), 0);
	return f;
}

static void tear_down(struct fixture *f) {
	driver_stop(&f->driver);
	net_destroy(f->device);
	driver_finish(&f->driver);
	close(f->peer);
	close(f->supply);
	free(f);
}

static uint8_t *page(struct fixture *f, unsigned n) {
	return driver_at(&f->driver, (gpa_t){f->memory.value + n * PAGE});
}

static gpa_t page_address(const struct fixture *f, unsigned n) {
	return (gpa_t){f->memory.value + n * PAGE};
}

/* An ARP frame of size bytes, each its place's. */
static void make_frame(uint8_t *frame, size_t size) {
	for (size_t i = 0; i < size; i++) {
		frame[i] = (uint8_t)(i * 7 + i / 256);
	}
	frame[12] = 0x08;
	frame[13] = 0x06;
}

static void make_ipv4(uint8_t *frame, const char *to) {
	memset(frame, 0, 64);
	frame[12] = 0x08;
	frame[14] = 0x45;
	assert_int_equal(inet_pton(AF_INET, to, frame + 30), 1);
}

static void make_ipv6(uint8_t *frame, const char *to) {
	memset(frame, 0, 64);
	frame[12] = 0x86;
	frame[13] = 0xdd;
	frame[14] = 0x60;
	assert_int_equal(inet_pton(AF_INET6, to, frame + 38), 1);
}

/* Send what lies in page n: header and frame. */
static void transmit(struct fixture *f, unsigned n, uint32_t size) {
	const struct driver_buffer buffer = {page_address(f, n), size, false};
	driver_add(&f->driver, TRANSMIT, &buffer, 1);
	driver_kick(&f->driver, TRANSMIT);
}

static void expect_transmitted(struct fixture *f) {
	uint32_t len;
	assert_true(driver_wait_used(&f->driver, TRANSMIT, 5000, NULL, &len));
	assert_int_equal(len, 0);
}

static size_t read_peer(struct fixture *f, uint8_t *data, size_t size) {
	size_t done = 0;
	for (int i = 0; i < 1000 && done < size; i++) {
		ssize_t n = read(f->peer, data + done, size - done);
		done += n > 0 ? (size_t)n : 0;
		if (n < 0) {
			driver_run(&f->driver, 2);
		}
	}
	return done;
}

static void expect_frame(struct fixture *f, const uint8_t *frame, size_t size) {
	uint8_t *data = malloc(size + 4);
	assert_int_equal(read_peer(f, data, size + 4), size + 4);
	uint32_t prefix;
	memcpy(&prefix, data, 4);
	assert_int_equal(ntohl(prefix), size);
	assert_memory_equal(data + 4, frame, size);
	free(data);
}

static void expect_nothing(struct fixture *f) {
	uint8_t byte;
	assert_int_equal(read(f->peer, &byte, 1), -1);
}

static void write_frame(int fd, const uint8_t *frame, size_t size) {
	uint32_t prefix = htonl((uint32_t)size);
	assert_int_equal(write(fd, &prefix, 4), 4);
	assert_int_equal(write(fd, frame, size), size);
}

static void offer(struct fixture *f, unsigned n, uint32_t size) {
	const struct driver_buffer buffer = {page_address(f, n), size, true};
	driver_add(&f->driver, RECEIVE, &buffer, 1);
}

static bool is_broken(const struct fixture *f) {
	return f->device->shared->needs_reset;
}

static void test_description(void **state) {
	(void)state;
	struct fixture *f = set_up(MERGE);
	assert_int_equal(f->device->type, VIRTIO_TYPE_NET);
	assert_int_equal(f->device->queue_count, 2);
	assert_int_equal(f->device->config[5], 9);
	assert_int_equal(f->device->config[6], 1); /* up */
	assert_int_equal(f->device->config[10] | f->device->config[11] << 8, 1500);
	assert_true((f->device->features & BIT(VIRTIO_NET_F_HOST_TSO4)) == 0); /* passt has no such thing */
	tear_down(f);
}

static void test_transmit(void **state) {
	(void)state;
	struct fixture *f = set_up(MERGE);
	make_frame(page(f, 0) + HEADER, 1000);
	transmit(f, 0, HEADER + 1000);
	expect_transmitted(f);
	expect_frame(f, page(f, 0) + HEADER, 1000);
	/* Cut in the middle of everything. */
	const struct driver_buffer pieces[] = {{page_address(f, 0), 5, false},
		{{page_address(f, 0).value + 5}, 20, false}, {{page_address(f, 0).value + 25}, 300, false},
		{{page_address(f, 0).value + 325}, HEADER + 1000 - 325, false}};
	driver_add(&f->driver, TRANSMIT, pieces, 4);
	driver_kick(&f->driver, TRANSMIT);
	expect_transmitted(f);
	expect_frame(f, page(f, 0) + HEADER, 1000);
	tear_down(f);
}

/* Send the frame that it makes in page 0 so many times. */
static void transmit_many(struct fixture *f, unsigned count, uint32_t size) {
	const struct driver_buffer buffer = {page_address(f, 0), HEADER + size, false};
	make_frame(page(f, 0) + HEADER, size);
	for (unsigned i = 0; i < count; i++) {
		driver_add(&f->driver, TRANSMIT, &buffer, 1);
	}
	driver_kick(&f->driver, TRANSMIT);
	driver_run(&f->driver, 5);
}

/* More than the socket holds: nothing is lost, nothing is out of order. */
static void test_transmit_waits(void **state) {
	(void)state;
	enum { FRAMES = 100, SIZE = 60000 };
	struct fixture *f = set_up(MERGE);
	transmit_many(f, FRAMES, SIZE);
	for (int i = 0; i < FRAMES; i++) {
		expect_frame(f, page(f, 0) + HEADER, SIZE);
	}
	for (int i = 0; i < FRAMES; i++) {
		expect_transmitted(f);
	}
	tear_down(f);
}

/* A reset in the middle of a frame: passt still gets all of it, then what comes after. */
static void test_reset_while_waiting(void **state) {
	(void)state;
	enum { FRAMES = 20, SIZE = 60000 };
	struct fixture *f = set_up(MERGE);
	transmit_many(f, FRAMES, SIZE);
	driver_stop(&f->driver);
	assert_int_equal(driver_start(&f->driver, f->device, MERGE), 0);
	make_frame(page(f, 20) + HEADER, 99);
	transmit(f, 20, HEADER + 99);
	uint8_t *data = malloc(SIZE);
	uint32_t size = 0;
	for (int i = 0; i <= FRAMES && size != 99; i++) {
		assert_int_equal(read_peer(f, (uint8_t *)&size, 4), 4);
		size = ntohl(size);
		assert_true(size == SIZE || size == 99);
		assert_int_equal(read_peer(f, data, size), size);
		assert_memory_equal(data, page(f, size == 99 ? 20 : 0) + HEADER, size);
	}
	assert_int_equal(size, 99);
	expect_transmitted(f);
	free(data);
	tear_down(f);
}

static uint16_t checksum(const uint8_t *data, size_t size, uint32_t sum) {
	for (size_t i = 0; i < size; i++) {
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
	}
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* Whatever pieces the frame is in, odd ones above all. */
static void test_checksum(void **state) {
	(void)state;
	enum { SIZE = 1501, START = 34, OFFSET = 16 };
	struct fixture *f = set_up(MERGE | BIT(VIRTIO_NET_F_CSUM));
	for (unsigned cut = HEADER + 257; cut < HEADER + 262; cut++) {
		uint8_t expected[SIZE];
		struct virtio_net_hdr_v1 header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = START, .csum_offset = OFFSET};
		memcpy(page(f, 0), &header, HEADER);
		make_frame(page(f, 0) + HEADER, SIZE);
		memcpy(expected, page(f, 0) + HEADER, SIZE);
		uint16_t sum = htons(checksum(expected + START, SIZE - START, 0));
		memcpy(expected + START + OFFSET, &sum, 2);
		const struct driver_buffer pieces[] = {{page_address(f, 0), cut, false},
			{{page_address(f, 0).value + cut}, 7, false},
			{{page_address(f, 0).value + cut + 7}, HEADER + SIZE - cut - 7, false}};
		driver_add(&f->driver, TRANSMIT, pieces, 3);
		driver_kick(&f->driver, TRANSMIT);
		expect_transmitted(f);
		expect_frame(f, expected, SIZE);
	}
	assert_false(is_broken(f));
	tear_down(f);
}

/* What passt would take for the host itself does not leave. */
static void test_addresses(void **state) {
	(void)state;
	static const char *const out4[] = {
		"10.213.112.1", "192.0.2.1", "126.255.255.255", "128.0.0.1", "1.0.0.0"};
	static const char *const in4[] = {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3"};
	static const char *const out6[] = {"fd70::1", "2001:db8::1", "fe80::1", "ff02::1", "::1:0:0:1"};
	static const char *const in6[] = {"::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"};
	struct fixture *f = set_up(MERGE);
	for (size_t i = 0; i < sizeof(out4) / sizeof(out4[0]) + sizeof(out6) / sizeof(out6[0]); i++) {
		uint8_t *frame = page(f, 0) + HEADER;
		i < 5 ? make_ipv4(frame, out4[i]) : make_ipv6(frame, out6[i - 5]);
		transmit(f, 0, HEADER + 64);
		expect_transmitted(f);
		expect_frame(f, frame, 64);
	}
	for (size_t i = 0; i < sizeof(in4) / sizeof(in4[0]) + sizeof(in6) / sizeof(in6[0]); i++) {
		uint8_t *frame = page(f, 0) + HEADER;
		i < 4 ? make_ipv4(frame, in4[i]) : make_ipv6(frame, in6[i - 4]);
		transmit(f, 0, HEADER + 64);
		expect_transmitted(f);
		expect_nothing(f);
	}
	/* Nor does what is neither, or too short to tell. */
	uint8_t *frame = page(f, 0) + HEADER;
	make_ipv4(frame, "10.0.0.1");
	transmit(f, 0, HEADER + 33);
	expect_transmitted(f);
	make_ipv6(frame, "fd00::1");
	transmit(f, 0, HEADER + 53);
	expect_transmitted(f);
	frame[12] = 0x81; /* VLAN */
	frame[13] = 0;
	transmit(f, 0, HEADER + 64);
	expect_transmitted(f);
	expect_nothing(f);
	assert_false(is_broken(f));
	tear_down(f);
}

/* passt stands for the resolver by UDP alone. */
static void test_resolver(void **state) {
	(void)state;
	static const struct {
		const char *to;
		uint8_t protocol;
		bool leaves;
	} cases[] = {{"10.213.112.3", IPPROTO_UDP, true}, {"10.213.112.3", IPPROTO_TCP, false},
		{"10.213.112.1", IPPROTO_TCP, true}};
	struct fixture *f = set_up(MERGE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *frame = page(f, 0) + HEADER;
		make_ipv4(frame, cases[i].to);
		frame[23] = cases[i].protocol;
		transmit(f, 0, HEADER + 64);
		expect_transmitted(f);
		if (cases[i].leaves) {
			expect_frame(f, frame, 64);
		}
		expect_nothing(f);
	}
	tear_down(f);
}

static void expect_received(struct fixture *f, unsigned n, const uint8_t *frame, size_t size) {
	uint32_t len;
	struct virtio_net_hdr_v1 header;
	assert_true(driver_wait_used(&f->driver, RECEIVE, 5000, NULL, &len));
	assert_int_equal(len, HEADER + size);
	memcpy(&header, page(f, n), HEADER);
	assert_int_equal(header.num_buffers, 1);
	assert_int_equal(header.gso_type, 0);
	assert_memory_equal(page(f, n) + HEADER, frame, size);
}

/* A TCP segment of the guest's to 10.213.112.3, with so many bytes of IP's options. */
static void make_tcp(uint8_t *frame, size_t options, uint8_t flags) {
	make_ipv4(frame, "10.213.112.3");
	memcpy(frame, "ABCDEFGHIJKL", 12);
	frame[14] = (uint8_t)(0x45 + options / 4);
	frame[20] = frame[21] = 0; /* no fragment */
	frame[23] = IPPROTO_TCP;
	memcpy(frame + 26, "\x0a\xd5\x70\x02", 4);
	memcpy(frame + 34 + options, "\x9c\x40\x00\x35\xff\xff\xff\xff\0\0\0\0\x50", 13);
	frame[34 + options + 13] = flags;
}

/* Who asks the resolver by TCP is told at once that nobody answers. */
static void test_refusal(void **state) {
	(void)state;
	static const uint8_t expected[] = "GHIJKLABCDEF\x08\x00"
					  "\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x45\x21"
					  "\x0a\xd5\x70\x03\x0a\xd5\x70\x02"
					  "\x00\x35\x9c\x40\x00\x00\x00\x00\x00\x00\x00\x00"
					  "\x50\x14\x00\x00\x1d\xac\x00\x00";
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, SIZE = sizeof(expected) - 1 };
	struct fixture *f = set_up(MERGE);
	uint8_t *frame = page(f, 8) + HEADER;
	for (unsigned i = 0; i < 2; i++) {
		offer(f, i, PAGE);
		make_tcp(frame, i * 40, SYN);
		transmit(f, 8, HEADER + 54 + i * 40);
		expect_transmitted(f);
		expect_received(f, i, expected, SIZE);
	}
	offer(f, 2, PAGE);
	static const uint8_t others[] = {0, ACK, RST, FIN | ACK, SYN | ACK, SYN | RST};
	for (size_t i = 0; i < sizeof(others); i++) {
		make_tcp(frame, 0, others[i]);
		transmit(f, 8, HEADER + 54);
		expect_transmitted(f);
	}
	/* Too short, a header shorter than IP's, and a later fragment. */
	make_tcp(frame, 0, SYN);
	transmit(f, 8, HEADER + 53);
	expect_transmitted(f);
	frame[14] = 0x44;
	transmit(f, 8, HEADER + 54);
	expect_transmitted(f);
	frame[14] = 0x45;
	frame[21] = 1;
	transmit(f, 8, HEADER + 54);
	expect_transmitted(f);
	assert_false(driver_wait_used(&f->driver, RECEIVE, 20, NULL, NULL));
	/* Without a buffer it is lost, and what passt brings is not. */
	make_tcp(frame, 0, SYN);
	write_frame(f->peer, expected, 20);
	expect_received(f, 2, expected, 20);
	transmit(f, 8, HEADER + 54);
	expect_transmitted(f);
	write_frame(f->peer, expected, 21);
	driver_run(&f->driver, 5);
	offer(f, 3, PAGE);
	driver_kick(&f->driver, RECEIVE);
	expect_received(f, 3, expected, 21);
	expect_nothing(f);
	assert_false(is_broken(f));
	tear_down(f);
}

static void test_receive(void **state) {
	(void)state;
	uint8_t frame[2000];
	struct fixture *f = set_up(0);
	make_frame(frame, sizeof(frame));
	offer(f, 0, PAGE);
	write_frame(f->peer, frame, 60);
	expect_received(f, 0, frame, 60);
	/* Before there are buffers. */
	write_frame(f->peer, frame, 2000);
	write_frame(f->peer, frame, 1999);
	driver_run(&f->driver, 5);
	offer(f, 1, PAGE);
	offer(f, 2, PAGE);
	driver_kick(&f->driver, RECEIVE);
	expect_received(f, 1, frame, 2000);
	expect_received(f, 2, frame, 1999);
	/* A byte at a time. */
	offer(f, 3, PAGE);
	uint8_t bytes[64] = {0, 0, 0, 60};
	memcpy(bytes + 4, frame, 60);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(write(f->peer, bytes + i, 1), 1);
		driver_run(&f->driver, 1);
	}
	expect_received(f, 3, frame, 60);
	tear_down(f);
}

static void test_receive_merged(void **state) {
	(void)state;
	static uint8_t frame[65534], got[65534 + PAGE];
	struct fixture *f = set_up(MERGE);
	struct virtio_net_hdr_v1 header;
	make_frame(frame, sizeof(frame));
	write_frame(f->peer, frame, sizeof(frame));
	for (unsigned i = 0; i < 16; i++) {
		offer(f, i, PAGE);
	}
	driver_kick(&f->driver, RECEIVE);
	/* 12 bytes short: not one buffer is given back. */
	assert_false(driver_wait_used(&f->driver, RECEIVE, 20, NULL, NULL));
	offer(f, 16, PAGE);
	driver_kick(&f->driver, RECEIVE);
	size_t size = 0;
	for (unsigned i = 0; i < 17; i++) {
		uint32_t len;
		assert_true(driver_wait_used(&f->driver, RECEIVE, 5000, NULL, &len));
		assert_int_equal(len, i < 16 ? PAGE : 10);
		memcpy(got + size, page(f, i), len);
		size += len;
	}
	assert_int_equal(size, HEADER + sizeof(frame));
	memcpy(&header, got, HEADER);
	assert_int_equal(header.num_buffers, 17);
	assert_memory_equal(got + HEADER, frame, sizeof(frame));
	tear_down(f);
}

/* No buffer will ever hold it: it is dropped, and the next one comes. */
static void test_receive_too_large(void **state) {
	(void)state;
	static uint8_t frame[5000];
	struct fixture *f = set_up(0);
	make_frame(frame, sizeof(frame));
	offer(f, 0, PAGE);
	write_frame(f->peer, frame, 5000);
	write_frame(f->peer, frame, 100);
	expect_received(f, 0, frame, 100);
	assert_false(is_broken(f));
	tear_down(f);
	f = set_up(MERGE);
	for (unsigned i = 0; i < 256; i++) {
		offer(f, i, HEADER);
	}
	write_frame(f->peer, frame, 5000);
	driver_run(&f->driver, 5);
	assert_false(is_broken(f));
	tear_down(f);
}

static void give_link(struct fixture *f, int fd) {
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	assert_int_equal(sendmsg(f->supply, &message, 0), 1);
}

static bool link_is_up(const struct fixture *f) {
	return !f->device->shared->config_changed || f->device->shared->config[6] == 1;
}

/* The end of the link that it replaces stays open: passt may live on a little. */
static int replace_link(struct fixture *f) {
	int frames[2], old = f->peer;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, frames), 0);
	give_link(f, frames[0]);
	close(frames[0]);
	f->peer = frames[1];
	driver_run(&f->driver, 5);
	assert_true(link_is_up(f));
	return old;
}

static void lose_link(struct fixture *f) {
	close(f->peer);
	f->peer = -1;
	driver_run(&f->driver, 5);
	assert_false(link_is_up(f));
}

static void test_link(void **state) {
	(void)state;
	struct fixture *f = set_up(MERGE);
	make_frame(page(f, 0) + HEADER, 100);
	/* In the middle of a frame, in both directions. */
	assert_int_equal(write(f->peer, "\0\0\1", 3), 3);
	driver_run(&f->driver, 5);
	assert_true(link_is_up(f));
	lose_link(f);
	assert_int_equal(f->device->shared->config[5], 9);
	transmit(f, 0, HEADER + 100);
	expect_transmitted(f);
	replace_link(f);
	transmit(f, 0, HEADER + 100);
	expect_transmitted(f);
	expect_frame(f, page(f, 0) + HEADER, 100);
	offer(f, 1, PAGE);
	write_frame(f->peer, page(f, 0) + HEADER, 100);
	expect_received(f, 1, page(f, 0) + HEADER, 100);
	/* Nobody brings another one. */
	close(f->supply);
	lose_link(f);
	f->supply = -1;
	tear_down(f);
}

/* Without buffers when the link goes; those that come while there is none serve the next link. */
static void test_link_lost_while_starved(void **state) {
	(void)state;
	uint8_t frame[100];
	struct fixture *f = set_up(MERGE);
	make_frame(frame, sizeof(frame));
	write_frame(f->peer, frame, sizeof(frame));
	driver_run(&f->driver, 5);
	lose_link(f);
	offer(f, 0, PAGE);
	driver_kick(&f->driver, RECEIVE);
	driver_run(&f->driver, 5);
	replace_link(f);
	frame[20] ^= 1;
	write_frame(f->peer, frame, sizeof(frame));
	expect_received(f, 0, frame, sizeof(frame));
	tear_down(f);
}

static bool wants_notifications(struct fixture *f, unsigned queue) {
	const uint16_t *used = driver_at(&f->driver, f->driver.queues[queue].config.device_area);
	return (used[0] & VRING_USED_F_NO_NOTIFY) == 0;
}

/* The link goes while frames wait for it: without another one they are dropped. */
static void test_link_lost_while_blocked(void **state) {
	(void)state;
	enum { FRAMES = 20, SIZE = 60000 };
	struct fixture *f = set_up(MERGE);
	transmit_many(f, FRAMES, SIZE);
	assert_false(wants_notifications(f, TRANSMIT));
	assert_int_equal(write(f->peer, "\0\0\0\0", 4), 4); /* no frame has this length */
	driver_run(&f->driver, 5);
	assert_false(link_is_up(f));
	for (int i = 0; i < FRAMES; i++) {
		expect_transmitted(f);
	}
	assert_true(wants_notifications(f, TRANSMIT));
	close(replace_link(f));
	expect_nothing(f);
	transmit(f, 0, HEADER + 100);
	expect_transmitted(f);
	expect_frame(f, page(f, 0) + HEADER, 100);
	tear_down(f);
}

/* Another link takes the place of a blocked one: what waits goes over it, from a frame's beginning on. */
static void test_link_replaced_while_blocked(void **state) {
	(void)state;
	enum { FRAMES = 20, SIZE = 60000 };
	struct fixture *f = set_up(MERGE);
	unsigned done = 0;
	transmit_many(f, FRAMES, SIZE);
	while (driver_wait_used(&f->driver, TRANSMIT, 5, NULL, NULL)) {
		done++;
	}
	assert_in_range(done, 1, FRAMES - 1);
	close(replace_link(f));
	for (; done < FRAMES; done++) {
		expect_frame(f, page(f, 0) + HEADER, SIZE);
		expect_transmitted(f);
	}
	expect_nothing(f);
	assert_true(wants_notifications(f, TRANSMIT));
	tear_down(f);
}

/* Lengths that no frame has end the link, not the device. */
static void test_bad_stream(void **state) {
	(void)state;
	static const uint32_t sizes[] = {0, 13, 65554, 0xffffffff};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture *f = set_up(MERGE);
		uint32_t prefix = htonl(sizes[i]);
		offer(f, 0, PAGE);
		assert_int_equal(write(f->peer, &prefix, 4), 4);
		driver_run(&f->driver, 5);
		assert_false(link_is_up(f));
		assert_false(is_broken(f));
		tear_down(f);
	}
}

static void test_broken_rules(void **state) {
	(void)state;
	static const struct {
		uint64_t features;
		struct virtio_net_hdr_v1 header;
		uint32_t size;
		bool write;
	} cases[] = {
		{MERGE, {0}, HEADER + 13, false},
		{MERGE, {0}, 3, false},
		{MERGE, {0}, HEADER + 65554, false},
		{MERGE, {0}, HEADER + 100, true},
		{MERGE, {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM}, HEADER + 100, false},
		{MERGE | 1, {.flags = 1, .csum_start = 98, .csum_offset = 1}, HEADER + 100, false},
		{MERGE | 1, {.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, HEADER + 100, false},
		{MERGE | 1, {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100}, HEADER + 100, false},
		{MERGE | 1, {.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 1}, HEADER + 100,
			false},
		{MERGE, {.gso_type = VIRTIO_NET_HDR_GSO_UDP}, HEADER + 100, false},
		{MERGE, {.gso_type = 0xff}, HEADER + 100, false},
		{MERGE | BIT(VIRTIO_NET_F_HOST_TSO4) | 1, {.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4},
			HEADER + 100, false},
		{MERGE | BIT(VIRTIO_NET_F_HOST_TSO4), {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 99},
			HEADER + 100, false},
		{MERGE | BIT(VIRTIO_NET_F_HOST_TSO4) | 1,
			{.flags = 1,
				.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
				.gso_size = 99},
			HEADER + 100, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = set_up(cases[i].features);
		make_frame(page(f, 0) + HEADER, 100);
		memcpy(page(f, 0), &cases[i].header, HEADER);
		const struct driver_buffer buffer = {page_address(f, 0), cases[i].size, cases[i].write};
		driver_add(&f->driver, TRANSMIT, &buffer, 1);
		driver_kick(&f->driver, TRANSMIT);
		driver_run(&f->driver, 3);
		assert_true(is_broken(f));
		expect_nothing(f);
		/* And after a reset it serves again. */
		driver_stop(&f->driver);
		f->device->shared->needs_reset = false;
		assert_int_equal(driver_start(&f->driver, f->device, MERGE), 0);
		memset(page(f, 0), 0, HEADER);
		transmit(f, 0, HEADER + 100);
		expect_transmitted(f);
		expect_frame(f, page(f, 0) + HEADER, 100);
		tear_down(f);
	}
}

static void test_broken_receive_rules(void **state) {
	(void)state;
	uint8_t frame[100];
	make_frame(frame, sizeof(frame));
	for (int i = 0; i < 3; i++) {
		struct fixture *f = set_up(MERGE);
		const struct driver_buffer buffer = {page_address(f, 0), i == 0 ? HEADER - 1 : PAGE, i != 1};
		if (i == 2) {
			driver_offer(&f->driver, RECEIVE, 0xffff);
		} else {
			driver_add(&f->driver, RECEIVE, &buffer, 1);
		}
		write_frame(f->peer, frame, sizeof(frame));
		driver_run(&f->driver, 3);
		assert_true(is_broken(f));
		tear_down(f);
	}
}

/* Unknown flags mean nothing. */
static void test_unknown_flags(void **state) {
	(void)state;
	struct fixture *f = set_up(MERGE);
	struct virtio_net_hdr_v1 header = {.flags = 0xfe, .num_buffers = 77, .hdr_len = 0xffff};
	memcpy(page(f, 0), &header, HEADER);
	make_frame(page(f, 0) + HEADER, 100);
	transmit(f, 0, HEADER + 100);
	expect_transmitted(f);
	expect_frame(f, page(f, 0) + HEADER, 100);
	tear_down(f);
}

static void test_destroy_accepts_null(void **state) {
	(void)state;
	net_destroy(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_transmit_waits),
		cmocka_unit_test(test_reset_while_waiting),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_resolver),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_receive_merged),
		cmocka_unit_test(test_receive_too_large),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_link_lost_while_starved),
		cmocka_unit_test(test_link_lost_while_blocked),
		cmocka_unit_test(test_link_replaced_while_blocked),
		cmocka_unit_test(test_bad_stream),
		cmocka_unit_test(test_broken_rules),
		cmocka_unit_test(test_broken_receive_rules),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_destroy_accepts_null),
	};
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
