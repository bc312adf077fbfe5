/*
 * A network device of several queues on a real tap of as many, in a network of the test's own: commands, and
 * frames over the queues that are used.
 */
#include "driver.h"

#include "ph/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BIT(n) (1ULL << (n))
#define MERGE BIT(VIRTIO_NET_F_MRG_RXBUF)
#define SEVERAL (BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ))
#define PAIRS 3
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define FRAME 100
#define TAP "tap0"

/* Not every machine lets tests have networks. */
static bool able;

struct fixture {
	struct driver driver;
	struct virtio_device *device;
	int wire; /* sees what leaves the tap into the host, and puts frames onto it */
	gpa_t memory;
};

static int open_queue(void) {
	struct ifreq request = {
		.ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int header = HEADER, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (fd >= 0 && (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_wire(void) {
	struct ifreq request = {.ifr_name = TAP, .ifr_flags = IFF_UP};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	at.sll_ifindex = (int)if_nametoindex(TAP);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* A network of one's own is for root, and for everybody where there are user namespaces. */
static int set_up_network(void **state) {
	(void)state;
	able = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	return 0;
}

static struct fixture *set_up(uint64_t features) {
	struct net_options options = {.tap = true, .pair_count = PAIRS, .supply_fd = -1, .mtu = 1500};
	for (unsigned i = 0; i < PAIRS; i++) {
		options.fds[i] = able ? open_queue() : -1;
		if (options.fds[i] < 0) {
			skip();
		}
	}
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	driver_init(&f->driver);
	assert_int_equal(net_create(&f->device, &options), 0);
	f->memory = driver_alloc(&f->driver, 65536);
	f->wire = open_wire();
	assert_int_equal(driver_start(&f->driver, f->device, MERGE | features), 0);
	return f;
}

static void tear_down(struct fixture *f) {
	driver_stop(&f->driver);
	net_destroy(f->device);
	driver_finish(&f->driver);
	close(f->wire);
	free(f);
}

/* What the device answers to so many bytes. */
static uint8_t command(struct fixture *f, unsigned queue, const void *bytes, uint32_t size) {
	const gpa_t answer = {f->memory.value + 512};
	const struct driver_buffer buffers[] = {{f->memory, size, false}, {answer, 1, true}};
	uint32_t len;
	memcpy(driver_at(&f->driver, f->memory), bytes, size);
	memset(driver_at(&f->driver, answer), 0xaa, 1);
	driver_add(&f->driver, queue, buffers, 2);
	driver_kick(&f->driver, queue);
	assert_true(driver_wait_used(&f->driver, queue, 5000, NULL, &len));
	assert_int_equal(len, 1);
	return *(uint8_t *)driver_at(&f->driver, answer);
}

static uint8_t use(struct fixture *f, uint8_t pairs) {
	const uint8_t bytes[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 0};
	return command(f, 2 * PAIRS, bytes, sizeof(bytes));
}

/* Frames that nobody else sends. */
static void make_frame(uint8_t *frame, uint8_t mark) {
	memset(frame, mark, FRAME);
	frame[0] = 2;
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

/* Whether the host gets what the driver sends by this queue. */
/* Beside what commands are made of. */
static uint8_t *frame_place(struct fixture *f, gpa_t *place) {
	*place = (gpa_t){f->memory.value + 1024};
	return driver_at(&f->driver, *place);
}

static bool leaves(struct fixture *f) {
	gpa_t place;
	const uint8_t *data = frame_place(f, &place);
	uint8_t got[2048];
	for (int i = 0; i < 50; i++) {
		driver_run(&f->driver, 2);
		ssize_t n = read(f->wire, got, sizeof(got));
		if (n == FRAME && memcmp(got, data + HEADER, FRAME) == 0) {
			return true;
		}
	}
	return false;
}

static bool sends(struct fixture *f, unsigned queue, uint8_t mark) {
	gpa_t place;
	uint8_t *data = frame_place(f, &place);
	memset(data, 0, HEADER);
	make_frame(data + HEADER, mark);
	const struct driver_buffer buffer = {place, HEADER + FRAME, false};
	driver_add(&f->driver, queue, &buffer, 1);
	driver_kick(&f->driver, queue);
	return leaves(f);
}

static void test_description(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	assert_int_equal(f->device->queue_count, 2 * PAIRS + 1);
	assert_int_equal(f->device->config[8] | f->device->config[9] << 8, PAIRS);
	assert_true((f->device->features & SEVERAL) == SEVERAL);
	tear_down(f);
}

/* From the start there is one pair, whatever could be. */
static void test_use(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	assert_true(sends(f, 1, 1));
	assert_false(sends(f, 3, 2));
	assert_int_equal(use(f, 2), VIRTIO_NET_OK);
	assert_true(sends(f, 3, 2)); /* the one that waited */
	assert_true(sends(f, 1, 3));
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	assert_true(sends(f, 5, 4));
	assert_int_equal(use(f, 1), VIRTIO_NET_OK);
	assert_true(sends(f, 1, 5));
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	assert_true(sends(f, 5, 6));
	tear_down(f);
}

/* Buffers for a pair's received frames. */
static void offer_some(struct fixture *f, unsigned pair) {
	for (unsigned i = 0; i < 16; i++) {
		const struct driver_buffer buffer = {
			{f->memory.value + 4096 + (pair * 16 + i) * 1024}, 1024, true};
		driver_add(&f->driver, 2 * pair, &buffer, 1);
	}
	driver_kick(&f->driver, 2 * pair);
}

/* Whatever queue the host takes for a frame, the driver hears of it. */
static void test_receive(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	uint8_t frame[FRAME];
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		offer_some(f, pair);
	}
	driver_run(&f->driver, 10);
	make_frame(frame, 9);
	for (unsigned i = 0; i < 12; i++) {
		frame[5] = (uint8_t)i;
		assert_int_equal(write(f->wire, frame, FRAME), FRAME);
	}
	unsigned received = 0;
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		uint32_t len;
		while (driver_wait_used(&f->driver, 2 * pair, 100, NULL, &len)) {
			received += len == HEADER + FRAME;
		}
	}
	/* The host's own frames on a new interface (router solicitations) are longer or shorter. */
	assert_int_equal(received, 12);
	tear_down(f);
}

static void test_bad_commands(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	const uint8_t class[] = {9, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0};
	const uint8_t kind[] = {VIRTIO_NET_CTRL_MQ, 7, 1, 0};
	const uint8_t many[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0xff, 0xff};
	assert_int_equal(use(f, 0), VIRTIO_NET_ERR);
	assert_int_equal(use(f, PAIRS + 1), VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2 * PAIRS, many, 4), VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2 * PAIRS, class, 4), VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2 * PAIRS, kind, 4), VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2 * PAIRS, kind, 1), VIRTIO_NET_ERR);
	assert_true(sends(f, 1, 1));
	tear_down(f);
}

/* Without VIRTIO_NET_F_MQ commands are on the third queue, and there is nothing to command. */
static void test_one_pair(void **state) {
	(void)state;
	struct fixture *f = set_up(BIT(VIRTIO_NET_F_CTRL_VQ));
	const uint8_t bytes[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0};
	assert_int_equal(command(f, 2, bytes, sizeof(bytes)), VIRTIO_NET_ERR);
	assert_true(sends(f, 1, 1));
	tear_down(f);
}

/* The loop has nothing to do, rather than the same again and again. */
static bool is_idle(struct fixture *f) {
	struct epoll_event event;
	bool idle = false;
	for (int i = 0; i < 20 && !idle; i++) { /* the host's own frames may come in between */
		driver_run(&f->driver, 5);
		idle = epoll_wait(f->driver.loop.epoll_fd, &event, 1, 0) == 0;
	}
	return idle;
}

/* Frames for all queues: the tap chooses one by the addresses of IPv4. */
static void receive_some(struct fixture *f) {
	uint8_t frame[FRAME];
	make_frame(frame, 9);
	memcpy(frame + 12, "\x08\0\x45\0\0\x56\0\0\0\0\x40\x11", 12);
	for (uint8_t i = 0; i < 64; i++) {
		frame[29] = frame[33] = i;
		assert_int_equal(write(f->wire, frame, FRAME), FRAME);
	}
}

/* A driver that has no buffers for what came, and stops using the queues. */
static struct fixture *starve(void) {
	struct fixture *f = set_up(SEVERAL);
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	receive_some(f);
	assert_true(is_idle(f));
	assert_int_equal(use(f, 1), VIRTIO_NET_OK);
	return f;
}

static void test_use_while_starved(void **state) {
	(void)state;
	struct fixture *f = starve();
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	receive_some(f);
	assert_true(is_idle(f));
	tear_down(f);
}

/* The buffers that were missing come while the queues are not used: nobody tells of them again. */
static void test_refill_while_unused(void **state) {
	(void)state;
	struct fixture *f = starve();
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		offer_some(f, pair);
	}
	driver_run(&f->driver, 10);
	assert_int_equal(use(f, PAIRS), VIRTIO_NET_OK);
	receive_some(f);
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		assert_true(driver_wait_used(&f->driver, 2 * pair, 1000, NULL, NULL));
	}
	tear_down(f);
}

/* So does a frame whose notification came meanwhile. */
static void test_frame_while_unused(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	assert_false(sends(f, 3, 2));
	assert_int_equal(use(f, 2), VIRTIO_NET_OK);
	assert_true(leaves(f));
	tear_down(f);
}

static void delete_tap(void) {
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {{sizeof(request), RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0},
		{.ifi_index = (int)if_nametoindex(TAP)}};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
	assert_true(recv(fd, &answer, sizeof(answer), 0) > 0);
	assert_int_equal(answer.header.nlmsg_type, NLMSG_ERROR);
	assert_int_equal(answer.error.error, 0);
	close(fd);
}

static void set_tap_up(bool up) {
	struct ifreq request = {.ifr_name = TAP, .ifr_flags = (short)(up ? IFF_UP : 0)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static unsigned status(const struct fixture *f) {
	return f->device->shared->config[6];
}

/* An interface that is down comes back; one that was deleted does not, and the guest is told. */
static void test_tap_goes(void **state) {
	(void)state;
	struct fixture *f = set_up(SEVERAL);
	assert_int_equal(use(f, 2), VIRTIO_NET_OK);
	set_tap_up(false);
	assert_true(is_idle(f));
	set_tap_up(true);
	assert_true(sends(f, 1, 1));
	assert_false(f->device->shared->config_changed);
	delete_tap();
	assert_true(is_idle(f));
	assert_true(f->device->shared->config_changed);
	assert_int_equal(status(f), 0);
	assert_false(sends(f, 1, 2));
	assert_int_equal(use(f, 1), VIRTIO_NET_OK);
	assert_int_equal(use(f, 2), VIRTIO_NET_OK);
	/* Another driver, or the same once more. */
	driver_stop(&f->driver);
	assert_int_equal(driver_start(&f->driver, f->device, MERGE | SEVERAL), 0);
	assert_false(sends(f, 1, 3));
	assert_true(is_idle(f));
	tear_down(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_bad_commands),
		cmocka_unit_test(test_one_pair),
		cmocka_unit_test(test_use_while_starved),
		cmocka_unit_test(test_refill_while_unused),
		cmocka_unit_test(test_frame_while_unused),
		cmocka_unit_test(test_tap_goes),
	};
	return cmocka_run_group_tests_name("net pairs", tests, set_up_network, NULL);
}
