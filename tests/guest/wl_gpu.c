/*
 * dma-bufs and fences through /dev/wl0, on a host that has a card: buffers of the card for the guest,
 * compared pixel by pixel by wl_server.c, and those that come from there. Runs in the guest; prints TAP.
 */
#define _GNU_SOURCE
#include "wl_client.h"

#include <linux/dma-buf.h>
#include <signal.h>

#define FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static const struct format {
	const char *name;
	uint32_t fourcc, bytes; /* of a pixel in the first plane */
	bool chroma;
} formats[] = {
	{"XRGB8888", FOURCC('X', 'R', '2', '4'), 4, false},
	{"ARGB8888", FOURCC('A', 'R', '2', '4'), 4, false},
	{"ABGR8888", FOURCC('A', 'B', '2', '4'), 4, false},
	{"XBGR2101010", FOURCC('X', 'B', '3', '0'), 4, false},
	{"RGB565", FOURCC('R', 'G', '1', '6'), 2, false},
	{"R8", FOURCC('R', '8', ' ', ' '), 1, false},
	{"NV12", FOURCC('N', 'V', '1', '2'), 1, true},
};

static struct virtwl_ioctl_new new_dmabuf(uint32_t width, uint32_t height, uint32_t fourcc, int *ret) {
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_DMABUF, .fd = -1};
	new.dmabuf.width = width;
	new.dmabuf.height = height;
	new.dmabuf.format = fourcc;
	*ret = ioctl(wl, VIRTWL_IOCTL_NEW, &new);
	return new;
}

static int error_of(uint32_t width, uint32_t height, uint32_t fourcc) {
	int ret;
	new_dmabuf(width, height, fourcc, &ret);
	return ret < 0 ? ret : 0;
}

static void test_errors(void) {
	uint32_t xrgb = formats[0].fourcc;
	fails(error_of(0, 0, xrgb), EINVAL, "the probe of 0 times 0: EINVAL, there are dma-bufs");
	fails(error_of(0, 0, 0), EINVAL, "the probe without a format: EINVAL, too");
	fails(error_of(64, 0, xrgb), EINVAL, "no height: EINVAL");
	fails(error_of(64, 64, FOURCC('?', '?', '?', '?')), EINVAL, "an unknown format: EINVAL");
	fails(error_of(16385, 1, xrgb), EINVAL, "too wide: EINVAL");
	fails(error_of(1, 0xffffffff, xrgb), EINVAL, "too high: EINVAL");
}

static uint64_t size_of(int vfd, uint32_t *flags) {
	struct virtwl_ioctl_info info = {0};
	ioctl(vfd, VIRTWL_IOCTL_INFO, &info);
	*flags = info.flags;
	return info.size;
}

static bool sync_vfd(int vfd, uint32_t flags) {
	struct virtwl_ioctl_dmabuf_sync sync = {.flags = flags};
	return ioctl(vfd, VIRTWL_IOCTL_DMABUF_SYNC, &sync) == 0;
}

static bool server_does(const char *verb, int vfd, size_t size, unsigned seed, const char *answer) {
	char line[64];
	snprintf(line, sizeof(line), "%s %zu %u\n", verb, size, seed);
	int server = ask(line);
	bool good = send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, answer);
	close(server);
	return good;
}

static void test_format(const struct format *format, uint32_t width, uint32_t height) {
	int ret;
	uint32_t flags, lines = height + (format->chroma ? (height + 1) / 2 : 0);
	struct virtwl_ioctl_new new = new_dmabuf(width, height, format->fourcc, &ret);
	size_t size = (size_t) new.dmabuf.stride0 *lines;
	printf("# %s %ux%u: stride %u, offset of the second plane %u\n", format->name, width, height,
		new.dmabuf.stride0, new.dmabuf.offset1);
	check(ret == 0 && size_of(new.fd, &flags) >= size &&
			flags == (VIRTWL_INFO_MEMORY | VIRTWL_INFO_DMABUF) &&
			new.dmabuf.stride0 >= width * format->bytes &&new.dmabuf.offset0 == 0,
		format->name);
	check(new.dmabuf.stride1 == (format->chroma ? new.dmabuf.stride0 : 0) &&
			new.dmabuf.offset1 == (format->chroma ? new.dmabuf.stride0 *height : 0) &&
			new.dmabuf.stride2 == 0 && new.dmabuf.offset2 == 0,
		"its other planes");
	uint8_t *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, new.fd, 0);
	check(data != MAP_FAILED && sync_vfd(new.fd, DMA_BUF_SYNC_WRITE), "it is mapped");
	wl_pattern_fill(width, 0, data, size);
	check(sync_vfd(new.fd, DMA_BUF_SYNC_WRITE | DMA_BUF_SYNC_END) &&
			server_does("look", new.fd, size, width, "holds 1\n"),
		"the host sees its pixels, all of them");
	check(server_does("fill", new.fd, size, height, "filled 1\n") &&
			sync_vfd(new.fd, DMA_BUF_SYNC_READ) && wl_pattern_holds(height, 0, data, size) &&
			sync_vfd(new.fd, DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END),
		"the guest sees the host's");
	munmap(data, size);
	close(new.fd);
}

/* A dma-buf of the host's. */
static void test_received(void) {
	enum { SIZE = 64 * 4096 };
	char data[16];
	int fds[WL_FDS_MAX];
	unsigned count = 0;
	uint32_t flags = 0;
	int vfd = ask("dmabuf card 262144\n");
	check(recv_fds(vfd, data, 7, fds, &count) == 7 && count == 1 && size_of(fds[0], &flags) == SIZE &&
			flags == (VIRTWL_INFO_MEMORY | VIRTWL_INFO_DMABUF | VIRTWL_INFO_FROM_HOST),
		"a dma-buf from the host is a vfd with memory");
	if (count != 1) {
		return;
	}
	uint8_t *pixels = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	check(pixels != MAP_FAILED && sync_vfd(fds[0], DMA_BUF_SYNC_RW) &&
			wl_pattern_holds(7, 0, pixels, SIZE),
		"with the host's pixels");
	wl_pattern_fill(8, 0, pixels, SIZE);
	check(sync_vfd(fds[0], DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END) && write_all(vfd, "look", 4) &&
			hears(vfd, "holds 1\n"),
		"and to draw into");
	munmap(pixels, SIZE);
	close(vfd);
	check(server_does("look", fds[0], SIZE, 8, "holds 1\n"), "it can be sent back");
	close(fds[0]);
}

static void test_fence(void) {
	char data[16];
	int fds[WL_FDS_MAX], back[WL_FDS_MAX];
	unsigned count = 0;
	uint32_t flags = 0;
	int vfd = ask("fence\n"), echo = ask("echo\n");
	check(recv_fds(vfd, data, 6, fds, &count) == 6 && count == 1 && size_of(fds[0], &flags) == 0 &&
			flags == (VIRTWL_INFO_FENCE | VIRTWL_INFO_FROM_HOST),
		"a sync file from the host is a fence");
	if (count != 1) {
		return;
	}
	check(ready(fds[0], POLLIN, 0) == 0, "that is not signalled yet");
	fails(write(fds[0], "x", 1), EBADF, "it cannot be written to: EBADF");
	fails(send_fds(fds[0], "x", 1, NULL, 0), EINVAL, "nor sent to: EINVAL");
	check(send_fds(echo, "x", 1, fds, 1) == 0 && recv_fds(echo, data, 16, back, &count) == 1 &&
			count == 1 && ready(back[0], POLLIN, 0) == 0,
		"it goes to the host and comes back");
	check(write_all(vfd, "go", 2) && (ready(fds[0], 0, -1) & POLLHUP) != 0,
		"it hangs up when it is signalled");
	check((ready(back[0], 0, -1) & POLLHUP) != 0, "so does the other");
	check(read(fds[0], data, 1) == 0, "and reads as the end");
	close(back[0]);
	close(fds[0]);
	close(echo);
	close(vfd);
}

/*
 * Memory of a heap comes in large pages, of which KVM before Linux 6.13 can hand no part to a guest. What the
 * guest then sees instead is nothing in particular.
 */
static void test_heap(void) {
	char data[16];
	int fds[WL_FDS_MAX];
	unsigned count = 0;
	int vfd = ask("dmabuf heap 262144\n"), memory = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096);
	check(recv_fds(vfd, data, 7, fds, &count) == 7 && count == 1, "a dma-buf of a heap comes");
	volatile uint8_t *pixels =
		count == 1 ? mmap(NULL, 262144, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0) : MAP_FAILED;
	volatile uint8_t *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	other[0] = 42;
	for (size_t i = 0; i < 262144 && pixels != MAP_FAILED; i++) {
		pixels[i] = (uint8_t)i;
	}
	check(pixels != MAP_FAILED, "the guest lives on after it has touched it");
	check(other[0] == 42 && asked("echo\n", ""), "and so does all else");
	close(vfd);
	check(server_does("look", memory, 4096, 0, "holds 0\n"), "which still goes to the host");
}

int main(int argc, char **argv) {
	signal(SIGPIPE, SIG_IGN);
	wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	if (argc > 1 && strcmp(argv[1], "heap") == 0) {
		test_heap();
		printf("1..%d\n", number);
		return 0;
	}
	test_errors();
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		test_format(&formats[i], 321, 123);
	}
	test_format(&formats[0], 1, 1);
	test_format(&formats[0], 1920, 1080);
	test_received();
	test_fence();
	printf("1..%d\n", number);
	return 0;
}
