/*
 * Fuzz virtio-wl over sequences of commands: each step of the input is a command with any fields, bytes or
 * descriptors from the host's side, an empty buffer, or a reset, against the device, its window and a socket
 * that is read now and then. Beside memory errors it looks for answers of impossible lengths, for a device
 * that breaks on any command, and for what is left behind after a reset.
 *
 * Input: a byte of feature bits, then steps: see step().
 */
#include "device.h"

#include "ph/connector.h"
#include "ph/display.h"
#include "ph/wl_wire.h"

#include "monitor/window.h"

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RAM_SIZE (2u << 20)
#define QUEUE_SIZE 64u
#define QUEUE_AREA 0x4000u
#define BUFFERS 0x10000u  /* of the in queue, a page for each descriptor */
#define COMMANDS 0x80000u /* of the out queue, likewise */
#define SERVERS 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM_SIZE];
static struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = RAM_SIZE, .host = ram}}};
static const struct device_layout layout = {
	.memory = &memory, .stride = QUEUE_AREA, .avail = 0x1000, .used = 0x2000, .queue_size = QUEUE_SIZE};
static struct virtio_device *device;
static struct window window;
static struct loop loop;
static int listener;
static int servers[SERVERS];
static unsigned server_count;
static uint16_t offered[2], seen[2], length[QUEUE_SIZE];
static bool taken[QUEUE_SIZE]; /* commands that the device has, which answers them in any order */

/* Instead of the C library's: the pace of the window's changes would be nine tenths of the time, and finds
 * nothing. */
int nanosleep(const struct timespec *time, struct timespec *left) {
	(void)time;
	(void)left;
	return 0;
}

/* ---- a card and udmabuf, whose dma-bufs are memfds: instead of the C library's and the kernel's ---- */

#define DMABUF_MAX (64u << 20)

static uint64_t dumb_size;

static int create_dmabuf(uint64_t size) {
	int fd = memfd_create("dmabuf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	require(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	return fd;
}

static int fail(int error) {
	errno = error;
	return -1;
}

int open(const char *path, int flags, ...) {
	va_list args;
	va_start(args, flags);
	unsigned mode = (flags & O_CREAT) != 0 ? va_arg(args, unsigned) : 0;
	va_end(args);
	if (strcmp(path, "/dev/udmabuf") == 0 || strcmp(path, "/dev/dri/card0") == 0) {
		return memfd_create(path, MFD_CLOEXEC);
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int access(const char *path, int mode) {
	return strcmp(path, "/dev/dri/card0") == 0 ? 0 : (int)syscall(SYS_access, path, mode);
}

/* Whole pages of the guest's, as the kernel demands, and no others. */
static int create_from_pages(const struct udmabuf_create_list *list) {
	uint64_t size = 0;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct udmabuf_create_item *item = &list->list[i];
		require(item->size > 0 && item->size % 4096 == 0 && item->offset % 4096 == 0);
		require(item->offset < RAM_SIZE && item->size <= RAM_SIZE - item->offset);
		size += item->size;
	}
	require(size > 0);
	return list->count > 1024 || size > DMABUF_MAX ? fail(EINVAL) : create_dmabuf(size);
}

static int create_dumb(struct drm_mode_create_dumb *dumb) {
	require(dumb->width > 0 && dumb->width <= 16384 && dumb->height > 0 && dumb->height <= 24576);
	dumb->pitch = dumb->width * dumb->bpp / 8;
	dumb->size = dumb_size = ((uint64_t)dumb->pitch * dumb->height + 4095) & ~4095ull;
	return dumb->size > DMABUF_MAX ? fail(ENOMEM) : 0;
}

int ioctl(int fd, unsigned long request, ...) {
	va_list args;
	va_start(args, request);
	void *argument = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case UDMABUF_CREATE_LIST:
		return create_from_pages(argument);
	case DRM_IOCTL_GET_CAP:
		((struct drm_get_cap *)argument)->value = DRM_PRIME_CAP_EXPORT;
		return 0;
	case DRM_IOCTL_MODE_CREATE_DUMB:
		return create_dumb(argument);
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		((struct drm_prime_handle *)argument)->fd = create_dmabuf(dumb_size);
		return 0;
	case DRM_IOCTL_DROP_MASTER:
	case DRM_IOCTL_MODE_DESTROY_DUMB:
		return 0;
	case DMA_BUF_IOCTL_SYNC:
		require((((struct dma_buf_sync *)argument)->flags &
				~(uint64_t)DMA_BUF_SYNC_VALID_FLAGS_MASK) == 0);
		return 0;
	default:
		return (int)syscall(SYS_ioctl, fd, request, argument);
	}
}

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void clean_up(void) {
	unlink(address.sun_path);
}

static void initialise(void) {
	signal(SIGPIPE, SIG_IGN);
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/ph-fuzz-wl-%d", getpid());
	unlink(address.sun_path);
	atexit(clean_up);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(listener, SERVERS) == 0);
	require(window_init(&window, &memory) == 0 && window_reserve(&window) == 0);
	const struct display_socket sockets[] = {{.name = ""}, {.name = "w", .filtered = true}};
	const struct connector_socket places[] = {{.path = address.sun_path}, {.path = address.sun_path}};
	static struct connector connector; /* ends with this process */
	struct connector_door door = {.sockets = places, .count = 2};
	require(connector_start(&connector, &door, 1, "fuzz", JAIL_OFF) == 0);
	const struct display_options options = {.sockets = sockets,
		.socket_count = 2,
		.connector = door.fd,
		.tag = "fuzz",
		.window_fd = window.client_fd,
		.window_address = window.address,
		.window_size = window.size};
	require(display_create(&device, &options) == 0);
	require(window_serve(&window) == 0 && loop_init(&loop) == 0);
}

/* ---- the rings ---- */

static uint8_t *ring(unsigned queue, unsigned part) {
	return ram + queue * QUEUE_AREA + part * 0x1000;
}

static void describe(unsigned queue, unsigned index, uint64_t address, uint32_t len, uint16_t flags) {
	uint8_t *descriptor = ring(queue, 0) + 16 * index;
	const uint16_t next = (uint16_t)((index + 1) % QUEUE_SIZE);
	memcpy(descriptor, &address, 8);
	memcpy(descriptor + 8, &len, 4);
	memcpy(descriptor + 12, &flags, 2);
	memcpy(descriptor + 14, &next, 2);
}

static void offer(unsigned queue, unsigned head) {
	uint16_t index = (uint16_t)head;
	memcpy(ring(queue, 1) + 4 + 2 * (offered[queue] % QUEUE_SIZE), &index, 2);
	offered[queue]++;
	__atomic_store_n((uint16_t *)(void *)(ring(queue, 1) + 2), offered[queue], __ATOMIC_RELEASE);
}

static void run(void) {
	struct epoll_event event;
	for (unsigned i = 0; epoll_wait(loop.epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		require(i < 10000);
		source->ready(source, event.events);
	}
}

/* How many came back; each no longer than its writable part. */
static unsigned collect(unsigned queue, uint32_t most) {
	unsigned count = 0;
	uint16_t used;
	memcpy(&used, ring(queue, 2) + 2, 2);
	for (; seen[queue] != used; seen[queue]++, count++) {
		uint32_t element[2];
		memcpy(element, ring(queue, 2) + 4 + 8 * (seen[queue] % QUEUE_SIZE), 8);
		require(element[0] < QUEUE_SIZE && (queue == 0 || taken[element[0]]));
		taken[element[0]] &= queue == 0;
		require(element[1] <= (queue == 1 ? length[element[0]] : most));
	}
	return count;
}

static void start(uint64_t features) {
	memset(ram, 0, COMMANDS);
	memset(offered, 0, sizeof(offered));
	memset(seen, 0, sizeof(seen));
	memset(taken, 0, sizeof(taken));
	device_start(device, &layout, &loop, features);
}

static void stop(void) {
	device_stop(device);
	while (server_count > 0) {
		close(servers[--server_count]);
	}
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
		close(fd);
	}
	require(window.count == 0);
}

/* ---- steps ---- */

static const uint32_t types[] = {VIRTIO_WL_CMD_VFD_NEW, VIRTIO_WL_CMD_VFD_CLOSE, VIRTIO_WL_CMD_VFD_SEND,
	VIRTIO_WL_CMD_VFD_NEW_CTX, VIRTIO_WL_CMD_VFD_NEW_PIPE, VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID,
	VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, VIRTIO_WL_CMD_VFD_CREDIT, VIRTIO_WL_CMD_VFD_NEW_DMABUF,
	VIRTIO_WL_CMD_VFD_DMABUF_SYNC, VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES, VIRTIO_WL_CMD_VFD_RECV};

/* A small id, mostly; those of the host with the highest bit of the byte. */
static uint32_t take_id(struct input *input) {
	uint32_t byte = take(input, 1);
	return byte == 0xff ? take(input, 4) : (byte & 0x80 ? VIRTIO_WL_FIRST_HOST_ID : 0) | (byte & 0x1f);
}

/* A command has two descriptors. */
static unsigned free_slot(void) {
	unsigned slot = offered[1] % (QUEUE_SIZE / 2) * 2;
	while (taken[slot]) {
		slot = (slot + 2) % QUEUE_SIZE;
	}
	return slot;
}

/* Twelve bytes, which can be a message of Wayland, again and again: more than a socket has room for. */
static size_t repeat(struct input *input, uint8_t *at, size_t size) {
	uint8_t pattern[12];
	for (size_t i = 0; i < sizeof(pattern); i++) {
		pattern[i] = (uint8_t)take(input, 1);
	}
	for (size_t i = 0; i + sizeof(pattern) <= size; i += sizeof(pattern)) {
		memcpy(at + i, pattern, sizeof(pattern));
	}
	return size / sizeof(pattern) * sizeof(pattern);
}

/* Words of the command that are written as ids, then bytes as they come or repeated ones. */
static void command(struct input *input) {
	unsigned what = take(input, 1), words = take(input, 1) % 16, bytes = take(input, 1);
	unsigned slot = free_slot();
	uint8_t *at = ram + COMMANDS + slot * 0x1000;
	uint32_t head[3] = {types[what % 12], what >> 7, take_id(input)};
	memset(at, 0, 0x1000);
	memcpy(at, head, sizeof(head));
	size_t len = sizeof(head);
	for (unsigned i = 0; i < words; i++, len += 4) {
		uint32_t word = take_id(input);
		memcpy(at + len, &word, 4);
	}
	for (unsigned i = 0; i < bytes && bytes < 240; i++, len++) {
		at[len] = (uint8_t)take(input, 1);
	}
	if (bytes >= 240) {
		len += repeat(input, at + len, (bytes - 239) * 0x10000);
	}
	uint16_t room = what & 0x40 ? 0 : what & 0x20 ? 8 : 64;
	length[slot] = room;
	taken[slot] = true;
	describe(1, slot, COMMANDS + slot * 0x1000, (uint32_t)len, room > 0 ? 1 : 0);
	describe(1, slot + 1, COMMANDS + slot * 0x1000, room, 2);
	offer(1, slot);
	device->ops->notify(device, &device->queues[1]);
}

static int create_fd(unsigned kind) {
	int ends[2], fd = -1;
	switch (kind % 6) {
	case 0:
	case 1:
		require(pipe2(ends, O_CLOEXEC) == 0);
		close(ends[kind % 2]);
		return ends[1 - kind % 2];
	case 2:
	case 3:
	case 4:
		fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		require(fd >= 0 && ftruncate(fd, kind * 100) == 0);
		require(fcntl(fd, F_ADD_SEALS, kind % 6 == 2 ? F_SEAL_SHRINK : 0) == 0);
		return fd;
	default:
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
}

/* Zeros, or bytes of the input, and descriptors. */
static void send_to_guest(int server, bool zeros, struct input *input) {
	static uint8_t data[5000];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = {0};
	unsigned count = take(input, 1) % 32;
	size_t size = zeros ? 1 + take(input, 2) % sizeof(data) : 1 + take(input, 1) % 128;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[32];
	for (unsigned i = 0; i < count; i++) {
		fds[i] = create_fd(take(input, 1));
	}
	memset(data, 0, 128);
	for (size_t i = 0; i < size && !zeros; i++) {
		data[i] = (uint8_t)take(input, 1);
	}
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	sendmsg(server, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (unsigned i = 0; i < count; i++) {
		close(fds[i]);
	}
}

static void serve(struct input *input) {
	static uint8_t data[65536];
	unsigned what = take(input, 1);
	if (server_count < SERVERS) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		server_count += fd >= 0;
		servers[fd >= 0 ? server_count - 1 : 0] = fd >= 0 ? fd : servers[0];
	}
	if (server_count == 0) {
		return;
	}
	int server = servers[what % server_count];
	switch (what >> 5) {
	case 0:
		shutdown(server, SHUT_RDWR);
		break;
	case 1:
	case 2:
		(void)!recv(server, data, sizeof(data), MSG_DONTWAIT);
		break;
	default:
		send_to_guest(server, what >> 5 != 7, input);
	}
}

static void post_buffers(unsigned count) {
	for (unsigned i = 0; i < count && (uint16_t)(offered[0] - seen[0]) < QUEUE_SIZE; i++) {
		unsigned slot = offered[0] % QUEUE_SIZE;
		describe(0, slot, BUFFERS + slot * 0x1000, 0x1000, 2);
		offer(0, slot);
	}
	device->ops->notify(device, &device->queues[0]);
}

static void step(struct input *input, uint64_t features) {
	unsigned what = take(input, 1);
	if (what < 160) {
		if ((uint16_t)(offered[1] - seen[1]) < QUEUE_SIZE / 2) {
			command(input);
		}
	} else if (what < 220) {
		serve(input);
	} else if (what < 250) {
		post_buffers(1 + what % 32);
	} else {
		stop();
		start(features);
	}
	run();
	collect(0, VIRTIO_WL_IN_BUFFER_SIZE);
	collect(1, 0);
	require(!device->shared->needs_reset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (device == NULL) {
		initialise();
	}
	unsigned setup = take(&input, 1);
	uint64_t features = (uint64_t)(setup & 7) << 1 | (uint64_t)(setup >> 3 & 15) << 16 |
			    1ULL << VIRTIO_RING_F_VERSION_1;
	start(features);
	post_buffers(setup >> 7 ? QUEUE_SIZE : 0);
	while (input.left > 0) {
		step(&input, features);
	}
	stop();
	return 0;
}
