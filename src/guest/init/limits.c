/*
 * Limits that the kernel takes from the RAM it boots with, which here is little of what there will be: set to
 * what it would take from all of it, as in files_maxfiles_init(), fork_init() or tcp_init(). PID 1 sets its
 * own, the process for what may come late the kernel's. What cannot be set stays as it is.
 */
#include "guest/init/limits.h"

#include "guest/init/mounts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define PAGE (4 * KIB)
/* What the kernel reckons with: a thread may take an eighth of its memory for stacks of 16 KiB, watches of
 * files a hundredth, watches of epoll a 25th, and an open file a KiB of a tenth. */
#define PER_THREAD (8 * 16 * KIB)
#define PER_FILE (10 * KIB)
#define PER_FILE_WATCH (100 * 1280ULL)
#define PER_EPOLL_WATCH (25 * 192ULL)

static uint64_t between(uint64_t low, uint64_t value, uint64_t high) {
	return value < low ? low : value > high ? high : value;
}

static void set_text(const char *name, const char *text) {
	char path[96];
	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t ignored = write(fd, text, strlen(text));
		(void)ignored;
		close(fd);
	}
}

static void set_number(const char *name, uint64_t value) {
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	set_text(name, text);
}

static void set_numbers(const char *name, uint64_t low, uint64_t middle, uint64_t high) {
	char text[72];
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64, low, middle, high);
	set_text(name, text);
}

static void set_namespaces(uint64_t value) {
	static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
	char name[48];
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(name, sizeof(name), "user/max_%s_namespaces", kinds[i]);
		set_number(name, value);
	}
}

/* Of all connections together in pages, and of each in bytes. */
static void set_network(uint64_t total) {
	uint64_t tcp = total / PAGE / 16, udp = total / PAGE / 8, buffer = total / 128;
	set_numbers("net/ipv4/tcp_mem", tcp / 4 * 3, tcp, tcp / 4 * 6);
	set_numbers("net/ipv4/udp_mem", udp / 4 * 3, udp, udp / 4 * 6);
	set_numbers("net/ipv4/tcp_rmem", PAGE, 128 * KIB, between(128 * KIB, buffer, 6 * MIB));
	set_numbers("net/ipv4/tcp_wmem", PAGE, 16 * KIB, between(64 * KIB, buffer, 4 * MIB));
}

void limits_set_own(const struct config *config) {
	rlim_t threads = mounts_total_memory(config) / PER_THREAD / 2;
	const struct rlimit files = {1024, 1024 * 1024}, half = {threads, threads};
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_NPROC, &half);
	setrlimit(RLIMIT_SIGPENDING, &half);
}

void limits_set_kernel(const struct config *config) {
	uint64_t total = mounts_total_memory(config), threads = total / PER_THREAD;
	uint64_t watches = between(8192, total / PER_FILE_WATCH, 1048576);
	set_number("kernel/threads-max", threads);
	set_namespaces(threads / 2);
	set_number("fs/file-max", total / PER_FILE);
	set_number("fs/inotify/max_user_watches", watches);
	set_number("fs/fanotify/max_user_marks", watches);
	set_number("fs/epoll/max_user_watches", total / PER_EPOLL_WATCH);
	set_network(total);
}
