/*
 * Fuzz the monitor's side of the window: any calls, with any descriptors, and memory that is lost, as vCPU
 * threads find it. Beside memory errors it looks for mappings that overlap or lie outside, and for parts of
 * the window that are not mapped at all.
 *
 * Input: calls of 8 bytes: operation and flags, kind of descriptor and its size, where, how much; with all
 * three low bits of the first, what is lost.
 */
#include "input.h"

#include "monitor/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct guest_memory memory = {.region_count = 1, .regions = {{.base = 0, .size = 1 << 20}}};
static struct window window;

static int dmabuf = -1;

/* Instead of the C library's: a memfd that passes for a dma-buf. */
int fstatfs(int fd, struct statfs *system) {
	int ret = (int)syscall(SYS_fstatfs, fd, system);
	if (ret == 0 && fd == dmabuf) {
		system->f_type = DMA_BUF_MAGIC;
	}
	return ret;
}

static int create_fd(unsigned kind, size_t size) {
	static const int seals[] = {
		F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_GROW, 0};
	dmabuf = -1;
	if (kind % 8 == 4) {
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	}
	if (kind % 8 > 5) {
		return -1;
	}
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	require(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	if (kind % 8 == 5) {
		dmabuf = fd;
		return fd;
	}
	require(fcntl(fd, F_ADD_SEALS, seals[kind % 8]) == 0);
	return fd;
}

/* Small and at the window's start, mostly; else anything at all. */
static uint64_t spread(unsigned high, unsigned low) {
	switch (high & 7) {
	case 0:
		return (uint64_t)low << 56 | high;
	case 1:
		return window.size - (uint64_t)low * WINDOW_PAGE;
	case 2:
		return (uint64_t)high << 20 | low;
	default:
		return (uint64_t)low * WINDOW_PAGE;
	}
}

/* No byte of these is without a mapping: the kernel would say so. */
static void check_mapped(uint64_t offset, uint64_t size) {
	unsigned char pages[16];
	uint64_t end = window.size - offset < size ? window.size - offset : size;
	for (uint64_t at = offset; at < offset + end; at += sizeof(pages) * WINDOW_PAGE) {
		uint64_t left = offset + end - at;
		size_t len = left < sizeof(pages) * WINDOW_PAGE ? left : sizeof(pages) * WINDOW_PAGE;
		require(mincore(window.host + at, len, pages) == 0);
	}
}

static void check(void) {
	for (unsigned i = 0; i < window.count; i++) {
		const struct window_mapping *mapping = &window.mappings[i];
		require(mapping->size > 0 && mapping->offset < window.size &&
			mapping->size <= window.size - mapping->offset);
		require(i == 0 || mapping[-1].offset + mapping[-1].size <= mapping->offset);
	}
	check_mapped(0, 256 * WINDOW_PAGE);
	check_mapped(window.size - 256 * WINDOW_PAGE, 256 * WINDOW_PAGE);
}

/* Of the page that the guest touched, or of all cards. */
static void lose(const uint8_t *data) {
	uint64_t address = window.address + spread(data[4], data[5]);
	bool lost = window_lose(&window, (data[1] & 1) != 0 ? &address : NULL);
	unsigned left = 0;
	for (unsigned i = 0; i < window.count; i++) {
		const struct window_mapping *mapping = &window.mappings[i];
		left += mapping->dmabuf && !mapping->lost;
		require(!lost || (data[1] & 1) == 0 || address - window.address < mapping->offset ||
			address - window.address >= mapping->offset + mapping->size || mapping->lost);
	}
	require((data[1] & 1) != 0 || left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (window.size == 0) {
		require(window_init(&window, &memory) == 0 && window_reserve(&window) == 0);
	}
	for (; size >= 8; data += 8, size -= 8) {
		if ((data[0] & 7) == 7) {
			lose(data);
			check();
			continue;
		}
		const struct window_request request = {.operation = data[0] & 3,
			.flags = data[1] & 1 ? 0 : data[1] >> 1,
			.offset = spread(data[4], data[5]),
			.size = spread(data[6], data[7])};
		int ret = window_handle(&window, &request, create_fd(data[2], (size_t)data[3] * 2048));
		require(ret <= 0);
		check();
	}
	while (window.count > 0) {
		const struct window_mapping last = window.mappings[window.count - 1];
		const struct window_request request = {
			.operation = WINDOW_UNMAP, .offset = last.offset, .size = last.size};
		require(window_handle(&window, &request, -1) == 0);
	}
	return 0;
}
