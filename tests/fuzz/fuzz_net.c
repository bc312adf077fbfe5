/*
 * Fuzz the network device: guest RAM holds good rings, the input patches RAM, notifies the queues, writes to
 * the stream's other end, ends it and brings a new one. Beside memory errors it looks for frames that leave
 * without a length of their own, and for those that would reach the host's loopback.
 *
 * Input: a byte (bit 0 MRG_RXBUF, 1 CSUM, 2 INDIRECT, 3 EVENT_IDX), then steps: see step().
 */
#include "device.h"

#include "ph/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAM_SIZE 65536u
#define QUEUES 2u
#define QUEUE_SIZE 8u
#define BUFFER_SIZE 0x800u
#define BUFFERS(queue) (0x2000u + (queue)*0x4000u)
#define PATCH_MAX 31
#define FRAME_MAX 65553u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM_SIZE];
static const struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = RAM_SIZE, .host = ram}}};
static const struct device_layout layout = {
	.memory = &memory, .stride = 0x400, .avail = 0x100, .used = 0x200, .queue_size = QUEUE_SIZE};
static struct loop loop;
static struct virtio_device *device;
static int peer, supply;
static uint8_t stream[FRAME_MAX + 4];
static size_t stream_size;

static void create(void) {
	int frames[2], links[2];
	require(loop.epoll_fd > 0 || loop_init(&loop) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, frames) == 0);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, links) == 0);
	const struct net_options options = {
		.fds = {frames[0]}, .pair_count = 1, .supply_fd = links[0], .mtu = 1500};
	require(net_create(&device, &options) == 0);
	peer = frames[1];
	supply = links[1];
	stream_size = 0;
}

static void start(uint64_t features) {
	memset(ram, 0, sizeof(ram));
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct device_buffers buffers = {.address = BUFFERS(i),
			.stride = BUFFER_SIZE,
			.len = BUFFER_SIZE,
			.flags = i == 0 ? 2 : 0,
			.offered = 4};
		device_fill_queue(&layout, i, &buffers);
	}
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		ram[BUFFERS(1) + i * BUFFER_SIZE + 12 + 12] = 0x08; /* IPv4 */
	}
	device_start(device, &layout, &loop, features);
}

static void notify(unsigned queue) {
	if (!device->queues[queue].broken) {
		device->ops->notify(device, &device->queues[queue]);
	}
}

static void check_frame(const uint8_t *frame, uint32_t size) {
	static const uint8_t zeros[10];
	unsigned type = (unsigned)frame[12] << 8 | frame[13];
	require(type == 0x0806 || type == 0x0800 || type == 0x86dd);
	if (type == 0x0800) {
		require(size >= 34 && frame[30] != 127 && frame[30] != 0);
	} else if (type == 0x86dd) {
		require(size >= 54 && (memcmp(frame + 38, zeros, 10) != 0 || (frame[48] != frame[49]) ||
					      (frame[48] != 0 && frame[48] != 0xff)));
	}
}

/* Whole frames, one after the other. */
static void drain(void) {
	for (;;) {
		ssize_t n = peer < 0 ? 0 : read(peer, stream + stream_size, sizeof(stream) - stream_size);
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

/* Frames of any length, and sometimes not as long as said. */
static void write_stream(struct input *input) {
	static uint8_t frame[4 + 8192];
	uint32_t said = take(input, 2), size = said % 8192, prefix = htonl(said);
	memcpy(frame, &prefix, 4);
	if (peer >= 0) {
		ssize_t n = send(peer, frame, 4 + size, MSG_NOSIGNAL);
		(void)n;
	}
}

static void replace_link(bool given) {
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int frames[2];
	drain();
	if (peer >= 0) {
		close(peer);
	}
	peer = -1;
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
		peer = frames[1];
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
		notify(what & 1);
		break;
	case 3:
		write_stream(input);
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
		replace_link(what & 1);
		break;
	case 7:
		drain();
		break;
	default: /* the guest offers one more buffer */
		device_offer(device, &layout, what % QUEUES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	signal(SIGPIPE, SIG_IGN); /* as in every process of ph that has a network */
	create();
	unsigned setup = take(&input, 1);
	uint64_t features = (uint64_t)(setup & 1) << VIRTIO_NET_F_MRG_RXBUF |
			    (uint64_t)(setup >> 1 & 1) << VIRTIO_NET_F_CSUM |
			    (uint64_t)(setup >> 2 & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	start(features);
	while (input.left > 0) {
		step(&input, features);
	}
	drain();
	device_stop(device);
	net_destroy(device);
	if (peer >= 0) {
		close(peer);
	}
	close(supply);
	return 0;
}
