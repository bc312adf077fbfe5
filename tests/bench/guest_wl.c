/*
 * The wire's works: messages to and from a program of the host (wl_peer.c), through virtio-wl where there is
 * /dev/wl0 and else through the first virtio-serial port that has a name; then what virtio-wl's memory costs.
 * Part of the bench's guest.
 */
#include "wl_peer.h"
#include "work.h"

#include "ph/wl_user.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALL 64
#define LARGE 32768
#define FRAME (1920u * 1080u * 4u)

static int device = -1, stream = -1;
static uint8_t data[LARGE];

static bool read_all(void *to, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = read(stream, (uint8_t *)to + done, size - done);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool write_all(const void *from, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = write(stream, (const uint8_t *)from + done, size - done);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static void ask(uint32_t type, uint32_t count, uint32_t size) {
	const struct wl_request request = {.type = type, .count = count, .size = size};
	if (!write_all(&request, sizeof(request))) {
		bench_fail("ask");
	}
}

static struct wl_counters counters(void) {
	struct wl_counters counters = {0};
	ask(WL_COUNT, 0, 0);
	if (!read_all(&counters, sizeof(counters))) {
		bench_fail("count");
	}
	return counters;
}

static int new_vfd(uint32_t type, uint32_t size) {
	struct virtwl_ioctl_new new = {.type = type, .fd = -1, .size = size};
	return ioctl(device, VIRTWL_IOCTL_NEW, &new) < 0 ? -1 : new.fd;
}

static int open_port(void) {
	char path[300];
	struct dirent *entry;
	DIR *dir = opendir("/sys/class/virtio-ports");
	int fd = -1;
	while (dir != NULL && fd < 0 && (entry = readdir(dir)) != NULL) {
		char name[16] = "";
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		int file = entry->d_name[0] == '.' ? -1 : open(path, O_RDONLY);
		if (file >= 0 && read(file, name, sizeof(name) - 1) > 0 && strcmp(name, "wl\n") == 0) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		if (file >= 0) {
			close(file);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return fd;
}

bool bench_wl_open(void) {
	device = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	stream = device >= 0 ? new_vfd(VIRTWL_IOCTL_NEW_CTX, 0) : open_port();
	/* What the first message touches is touched. */
	return stream >= 0 && counters().exits > 0;
}

/* ---- messages ---- */

static unsigned messages_to(unsigned count, uint32_t size) {
	ask(WL_SINK, count, size);
	for (unsigned i = 0; i < count; i++) {
		if (!write_all(data, size)) {
			bench_fail("to");
		}
	}
	return read_all(data, 1) ? count : 0;
}

static unsigned messages_from(unsigned count, uint32_t size) {
	ask(WL_BURST, count, size);
	for (unsigned i = 0; i < count; i++) {
		if (!read_all(data, size)) {
			bench_fail("from");
		}
	}
	return count;
}

/* Beside the time, in counters: how often the guest left, stood still, and was interrupted. */
static unsigned counted(const char *name, unsigned (*run)(unsigned count, uint32_t size), unsigned count) {
	struct wl_counters before = counters();
	run(count, SMALL);
	struct wl_counters after = counters();
	bench_result(name, "exits", count, (int64_t)(after.exits - before.exits));
	bench_result(name, "halts", count, (int64_t)(after.halts - before.halts));
	bench_result(name, "interrupts", count, (int64_t)(after.interrupts - before.interrupts));
	return count;
}

static unsigned echo(unsigned count, uint32_t size) {
	ask(WL_ECHO, count, size);
	for (unsigned i = 0; i < count; i++) {
		if (!write_all(data, size) || !read_all(data, size)) {
			bench_fail("echo");
		}
	}
	return count;
}

/* In two clocks: whoever knows how far the guest's is ahead can tell the two ways apart. */
static unsigned latency(void) {
	const unsigned count = 500;
	int64_t there = 0, back = 0;
	struct wl_times times;
	ask(WL_ECHO, count, SMALL);
	for (unsigned i = 0; i < count; i++) {
		uint64_t left = wl_time_stamp();
		if (!write_all(data, SMALL) || !read_all(data, SMALL)) {
			bench_fail("latency");
		}
		uint64_t came = wl_time_stamp();
		memcpy(&times, data, sizeof(times));
		there += (int64_t)(times.came - left);
		back += (int64_t)(came - times.left);
	}
	bench_result("wl-latency", "to", count, there);
	bench_result("wl-latency", "from", count, back);
	return count;
}

static unsigned round_trip(void) {
	return echo(1000, SMALL);
}

static unsigned to(void) {
	return messages_to(2000, SMALL);
}

static unsigned from(void) {
	return messages_from(2000, SMALL);
}

static unsigned count_round_trips(void) {
	return counted("wl-round-trip", echo, 1000);
}

static unsigned count_to(void) {
	return counted("wl-to", messages_to, 2000);
}

static unsigned count_from(void) {
	return counted("wl-from", messages_from, 2000);
}

/* Operations are MiB. */
static unsigned bulk_to(void) {
	return messages_to(128, LARGE) * LARGE >> 20;
}

static unsigned bulk_from(void) {
	return messages_from(128, LARGE) * LARGE >> 20;
}

/* ---- memory ---- */

/* A buffer of a frame comes and goes. */
static unsigned map(void) {
	const unsigned count = 50;
	for (unsigned i = 0; i < count && device >= 0; i++) {
		int vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, FRAME);
		void *frame = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0);
		if (vfd < 0 || frame == MAP_FAILED) {
			bench_fail("map");
		}
		munmap(frame, FRAME);
		close(vfd);
	}
	return count;
}

/* Operations are frames. */
static unsigned draw(uint8_t *frame) {
	const unsigned count = 10;
	for (unsigned i = 0; i < count; i++) {
		volatile uint64_t *pixels = (volatile uint64_t *)(void *)frame;
		for (size_t k = 0; k < FRAME / sizeof(*pixels); k++) {
			pixels[k] = i;
		}
	}
	return count;
}

static uint8_t *map_frame(int fd, int flags) {
	uint8_t *frame = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (frame == MAP_FAILED) {
		bench_fail("frame");
	}
	memset(frame, 1, FRAME);
	return frame;
}

static uint8_t *frames[2];

/* Every page was touched before: here, and at the host. */
static unsigned touch(void) {
	if (device >= 0) {
		frames[0] = map_frame(new_vfd(VIRTWL_IOCTL_NEW_ALLOC, FRAME), MAP_SHARED);
	}
	frames[1] = map_frame(-1, MAP_PRIVATE | MAP_ANONYMOUS);
	return 1;
}

static unsigned draw_vfd(void) {
	return frames[0] != NULL ? draw(frames[0]) : 1;
}

static unsigned draw_memory(void) {
	return draw(frames[1]);
}

const struct work wl_works[] = {
	{"wl-round-trip", 40, false, round_trip},
	{"wl-to", 41, false, to},
	{"wl-from", 42, false, from},
	{"wl-latency-both", 43, false, latency},
	{"wl-count-1", 44, false, count_round_trips},
	{"wl-count-2", 45, false, count_to},
	{"wl-count-3", 46, false, count_from},
	{"wl-bulk-to", 47, false, bulk_to},
	{"wl-bulk-from", 48, false, bulk_from},
	{"wl-map", 49, false, map},
	{"wl-touch", 50, false, touch},
	{"wl-draw-vfd", 51, false, draw_vfd},
	{"wl-draw-memory", 52, false, draw_memory},
};
const size_t wl_work_count = sizeof(wl_works) / sizeof(wl_works[0]);
