/*
 * Fuzz the network device: guest RAM holds good rings, the input patches RAM, notifies the queues, writes to
 * the link's other end, ends it and brings a new one. Beside memory errors it looks for frames that leave
 * without a length of their own, for those that would reach the host's loopback, or the resolver by TCP, and
 * for headers that a tap should not see.
 *
 * Input: a byte (bit 0 MRG_RXBUF, 1 CSUM, 2 INDIRECT, 3 EVENT_IDX, 6 all a tap offers, 7 a tap with two pairs
 * of queues instead of passt's stream), then steps: see step().
 */
#include "device.h"

#include "ph/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAM_SIZE 0x14000u
#define PAIRS 2u
#define CONTROL (2 * PAIRS) /* the queue of commands, of a tap alone */
#define QUEUE_SIZE 8u
#define BUFFER_SIZE 0x800u
#define BUFFERS(queue) (0x2000u + (queue)*0x4000u)
#define COMMANDS 0x1400u
#define COMMAND_STRIDE 0x40u
#define PATCH_MAX 31
#define FRAME_MAX 65553u
#define RESOLVER \
	{ 10, 213, 112, 3 }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM_SIZE];
static const struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = RAM_SIZE, .host = ram}}};
static const struct device_layout layout = {
	.memory = &memory, .stride = 0x400, .avail = 0x100, .used = 0x200, .queue_size = QUEUE_SIZE};
static struct loop loop;
static struct virtio_device *device;
static int peers[PAIRS], supply;
static bool tap;
static uint8_t stream[FRAME_MAX + 4];
static size_t stream_size;

/* Instead of the C library's: what a tap would be told, by sockets that stand for one. */
int ioctl(int fd, unsigned long request, ...) {
	require(fd >= 0 && (request == TUNSETOFFLOAD || request == TUNSETQUEUE));
	return 0;
}

static void create(void) {
	int frames[2], links[2];
	require(loop.epoll_fd > 0 || loop_init(&loop) == 0);
	struct net_options options = {.tap = tap,
		.pair_count = tap ? PAIRS : 1,
		.supply_fd = -1,
		.mtu = 1500,
		.resolver = RESOLVER};
	peers[1] = supply = -1;
	for (unsigned i = 0; i < options.pair_count; i++) {
		int type = (tap ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_NONBLOCK;
		require(socketpair(AF_UNIX, type, 0, frames) == 0);
		options.fds[i] = frames[0];
		peers[i] = frames[1];
	}
	if (!tap) {
		require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, links) == 0);
		options.supply_fd = links[0];
		supply = links[1];
	}
	require(net_create(&device, &options) == 0);
	stream_size = 0;
}

/* Commands of four bytes and the byte of their answer: so many pairs are to be used. */
static void fill_control(void) {
	const struct device_buffers buffers = {
		.address = COMMANDS, .stride = COMMAND_STRIDE, .len = 4, .flags = 1, .offered = 0};
	device_fill_queue(&layout, CONTROL, &buffers);
	for (uint16_t i = 0; i < QUEUE_SIZE; i += 2) {
		uint8_t *descriptor = ram + CONTROL * layout.stride + 16 * i;
		descriptor[14] = (uint8_t)(i + 1);
		descriptor[16 + 12] = 2;
		memcpy(ram + COMMANDS + i * COMMAND_STRIDE, "\4\0\0\0", 4);
		ram[COMMANDS + i * COMMAND_STRIDE + 2] = (uint8_t)(1 + i / 2 % PAIRS);
	}
}

static void start(uint64_t features) {
	memset(ram, 0, sizeof(ram));
	for (unsigned i = 0; i < 2 * PAIRS; i++) {
		const bool receives = i % 2 == 0;
		const struct device_buffers buffers = {.address = BUFFERS(i),
			.stride = BUFFER_SIZE,
			.len = BUFFER_SIZE,
			.flags = receives ? 2 : 0,
			.offered = 4};
		device_fill_queue(&layout, i, &buffers);
		for (unsigned k = 0; k < QUEUE_SIZE && !receives; k++) {
			ram[BUFFERS(i) + k * BUFFER_SIZE + 12 + 12] = 0x08; /* IPv4 */
		}
	}
	fill_control();
	device_start(device, &layout, &loop, features);
}

static void notify(unsigned queue) {
	if (!device->queues[queue].broken) {
		device->ops->notify(device, &device->queues[queue]);
	}
}

static void check_frame(const uint8_t *frame, uint32_t size) {
	static const uint8_t zeros[10], resolver[4] = RESOLVER;
	unsigned type = (unsigned)frame[12] << 8 | frame[13];
	require(type == 0x0806 || type == 0x0800 || type == 0x86dd);
	if (type == 0x0800) {
		require(size >= 34 && frame[30] != 127 && frame[30] != 0);
		require(frame[23] != IPPROTO_TCP || memcmp(frame + 30, resolver, 4) != 0);
	} else if (type == 0x86dd) {
		require(size >= 54 && (memcmp(frame + 38, zeros, 10) != 0 || (frame[48] != frame[49]) ||
					      (frame[48] != 0 && frame[48] != 0xff)));
	}
}

/* Whole frames, one after the other. */
static void drain_stream(void) {
	for (;;) {
		ssize_t n =
			peers[0] < 0 ? 0 : read(peers[0], stream + stream_size, sizeof(stream) - stream_size);
		if (n <= 0) {
			return;
		}
		stream_size += (size_t)n;
		while (stream_size >= 4) {
			uint32_t size;
			memcpy(&size, stream, 4);
			size = ntohl(size);
			require(size >= 14 && size <= FRAME_MAX);
			if (stream_size < 4 + size) {
				break;
			}
			check_frame(stream + 4, size);
			stream_size -= 4 + size;
			memmove(stream, stream + 4 + size, stream_size);
		}
	}
}

/* A tap's kernel is told of nothing but the checksum and the segments that it offered. */
static void drain_tap(void) {
	struct virtio_net_hdr_v1 header;
	for (unsigned i = 0; i < PAIRS; i++) {
		for (ssize_t n; (n = recv(peers[i], stream, sizeof(stream), 0)) > 0;) {
			require(n >= (ssize_t)sizeof(header) + 14 &&
				n <= (ssize_t)(sizeof(header) + FRAME_MAX));
			memcpy(&header, stream, sizeof(header));
			require((header.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 &&
				header.num_buffers == 0);
			require(header.gso_type == 0 || (header.gso_size > 0 && header.flags != 0));
			require(header.flags == 0 ||
				header.csum_start + header.csum_offset + 2 <= n - (ssize_t)sizeof(header));
		}
	}
}

static void drain(void) {
	tap ? drain_tap() : drain_stream();
}

/* Frames of any length, and from a stream sometimes not as long as said. */
static void write_link(struct input *input) {
	static uint8_t frame[12 + 8192];
	uint32_t said = take(input, 2), size = said % 8192, prefix = htonl(said);
	int peer = peers[tap ? said >> 15 : 0];
	memset(frame, 0, 12);
	memcpy(frame, tap ? (void *)frame : &prefix, 4);
	if (peer >= 0) {
		ssize_t n = send(peer, frame, (tap ? 12 : 4) + size, MSG_NOSIGNAL);
		(void)n;
	}
}

static void replace_link(bool given) {
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int frames[2];
	drain();
	if (peers[0] >= 0) {
		close(peers[0]);
	}
	peers[0] = -1;
	stream_size = 0;
	if (given) {
		require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, frames) == 0);
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &frames[0], sizeof(int));
		sendmsg(supply, &message, MSG_NOSIGNAL);
		close(frames[0]);
		peers[0] = frames[1];
	}
	device_run_loop(&loop, 4);
}

static void step(struct input *input, uint64_t features) {
	unsigned what = take(input, 1);
	if (what <= PATCH_MAX) {
		device_patch(&layout, input, what);
		return;
	}
	switch (what >> 4) {
	case 2:
		notify((what & 15) % device->queue_count);
		break;
	case 3:
		write_link(input);
		device_run_loop(&loop, 4);
		break;
	case 4:
		device_run_loop(&loop, 4);
		break;
	case 5:
		device_stop(device);
		start(features);
		break;
	case 6:
		if (!tap) {
			replace_link(what & 1);
		}
		break;
	case 7:
		drain();
		break;
	default: /* the guest offers one more buffer */
		device_offer(device, &layout, what % device->queue_count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	signal(SIGPIPE, SIG_IGN); /* as in every process of ph that has a network */
	unsigned setup = take(&input, 1);
	tap = (setup & 128) != 0;
	create();
	uint64_t features = (uint64_t)(setup & 1) << VIRTIO_NET_F_MRG_RXBUF |
			    (uint64_t)(setup >> 1 & 1) << VIRTIO_NET_F_CSUM |
			    (uint64_t)(setup >> 2 & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	features |= tap && (setup & 64) != 0 ? device->features : 0;
	start(features);
	while (input.left > 0) {
		step(&input, features);
	}
	drain();
	device_stop(device);
	net_destroy(device);
	for (unsigned i = 0; i < PAIRS; i++) {
		if (peers[i] >= 0) {
			close(peers[i]);
		}
	}
	if (supply >= 0) {
		close(supply);
	}
	return 0;
}
