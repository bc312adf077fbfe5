/*
 * Faults of the host for unit tests: what the linker puts in the place of the C library's functions
 * (-Wl,--wrap, a list for each test in the Makefile), and the search through all the places where they can
 * happen. A program includes it once; it is no code of its own.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include "ph/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- faults ---- */

enum fault {
	FAULT_MEMORY,      /* ENOMEM */
	FAULT_DESCRIPTORS, /* EMFILE */
	FAULT_SPACE,       /* ENOSPC */
	FAULT_INTERRUPT,   /* EINTR */
	FAULT_SHORT,       /* one byte instead of many */
};

/* Of the thread that searches: others are spared. */
static _Thread_local struct {
	enum fault kind;
	unsigned left; /* the fault happens when this reaches 0; 0: none will */
	bool happened;
} plan_of_faults;

static bool strikes(enum fault kind) {
	if (plan_of_faults.left == 0 || plan_of_faults.kind != kind || --plan_of_faults.left > 0) {
		return false;
	}
	plan_of_faults.happened = true;
	return true;
}

static bool fails(enum fault kind, int error) {
	if (!strikes(kind)) {
		return false;
	}
	errno = error;
	return true;
}

#define WRAP(type, name, parameters, arguments, kind, error, failed) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters { \
		return fails(kind, error) ? (failed) : __real_##name arguments; \
	}

WRAP(void *, malloc, (size_t size), (size), FAULT_MEMORY, ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), FAULT_MEMORY, ENOMEM, NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), FAULT_MEMORY, ENOMEM, NULL)
WRAP(char *, strdup, (const char *string), (string), FAULT_MEMORY, ENOMEM, NULL)
WRAP(char *, strndup, (const char *string, size_t size), (string, size), FAULT_MEMORY, ENOMEM, NULL)
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
	(at, size, protection, flags, fd, offset), FAULT_MEMORY, ENOMEM, MAP_FAILED)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(int, epoll_create1, (int flags), (flags), FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(int, dup, (int fd), (fd), FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), FAULT_SPACE, ENOSPC, -1)
WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size), FAULT_SPACE,
	ENOSPC, -1)
WRAP(int, epoll_ctl, (int fd, int operation, int other, struct epoll_event *event),
	(fd, operation, other, event), FAULT_SPACE, ENOSPC, -1)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode) {
	return fails(FAULT_DESCRIPTORS, EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, mode_t mode);
int __wrap_openat(int directory, const char *path, int flags, mode_t mode) {
	return fails(FAULT_DESCRIPTORS, EMFILE) ? -1 : __real_openat(directory, path, flags, mode);
}

/* Of all that has no function of its own only what opens. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
	return number == SYS_openat2 && fails(FAULT_DESCRIPTORS, EMFILE)
		       ? -1
		       : __real_syscall(number, a, b, c, d, e, f);
}

static size_t shorter(size_t size) {
	return size > 1 && strikes(FAULT_SHORT) ? 1 : size;
}

#define WRAP_READ(name, parameters, arguments) \
	ssize_t __real_##name parameters; \
	ssize_t __wrap_##name parameters; \
	ssize_t __wrap_##name parameters { \
		if (fails(FAULT_INTERRUPT, EINTR)) { \
			return -1; \
		} \
		size = shorter(size); \
		return __real_##name arguments; \
	}

WRAP_READ(read, (int fd, void *data, size_t size), (fd, data, size))
WRAP_READ(pread, (int fd, void *data, size_t size, off_t offset), (fd, data, size, offset))

#define WRAP_WRITE(name, parameters, arguments) \
	ssize_t __real_##name parameters; \
	ssize_t __wrap_##name parameters; \
	ssize_t __wrap_##name parameters { \
		if (fails(FAULT_INTERRUPT, EINTR) || fails(FAULT_SPACE, ENOSPC)) { \
			return -1; \
		} \
		size = shorter(size); \
		return __real_##name arguments; \
	}

WRAP_WRITE(write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP_WRITE(pwrite, (int fd, const void *data, size_t size, off_t offset), (fd, data, size, offset))

/* Those that only some tests wrap. */
#ifdef FAULTS_OF_SOCKETS
WRAP(int, socketpair, (int family, int type, int protocol, int ends[2]), (family, type, protocol, ends),
	FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), FAULT_DESCRIPTORS, EMFILE,
	-1)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), FAULT_DESCRIPTORS, EMFILE, -1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), FAULT_INTERRUPT,
	EINTR, -1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
	FAULT_INTERRUPT, EINTR, -1)

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument) {
	bool makes = command == F_DUPFD_CLOEXEC || command == F_DUPFD;
	return makes && fails(FAULT_DESCRIPTORS, EMFILE) ? -1 : __real_fcntl(fd, command, argument);
}

static bool is_stream(int fd) {
	int type = 0;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags) {
	if (fails(FAULT_INTERRUPT, EINTR)) {
		return -1;
	}
	return __real_recv(fd, data, is_stream(fd) ? shorter(size) : size, flags);
}

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags) {
	if (fails(FAULT_INTERRUPT, EINTR)) {
		return -1;
	}
	return __real_send(fd, data, is_stream(fd) ? shorter(size) : size, flags);
}

/* Of several parts, one byte of the first. */
static const struct iovec *first_byte(const struct iovec *parts, struct iovec *byte) {
	*byte = (struct iovec){parts[0].iov_base, 1};
	return byte;
}

ssize_t __real_readv(int fd, const struct iovec *parts, int count);
ssize_t __wrap_readv(int fd, const struct iovec *parts, int count);
ssize_t __wrap_readv(int fd, const struct iovec *parts, int count) {
	struct iovec byte;
	if (fails(FAULT_INTERRUPT, EINTR)) {
		return -1;
	}
	bool cut = parts[0].iov_len > 1 && is_stream(fd) && strikes(FAULT_SHORT);
	return __real_readv(fd, cut ? first_byte(parts, &byte) : parts, cut ? 1 : count);
}

ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count) {
	struct iovec byte;
	if (fails(FAULT_INTERRUPT, EINTR)) {
		return -1;
	}
	bool cut = parts[0].iov_len > 1 && is_stream(fd) && strikes(FAULT_SHORT);
	return __real_writev(fd, cut ? first_byte(parts, &byte) : parts, cut ? 1 : count);
}
#endif

/* ---- the search ---- */

/* What the test itself does is spared: between these two. */
static unsigned spare(void) {
	unsigned left = plan_of_faults.left;
	plan_of_faults.left = 0;
	return left;
}

static void go_on(unsigned left) {
	plan_of_faults.left = left;
}

static unsigned count_fds(void) {
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return count;
}

/* Run with every fault of a kind in turn; how many there were. A scenario returns 0 or -errno, and what it
 * tells the user is in *error. */
static unsigned search(int (*scenario)(struct error *error), enum fault kind) {
	unsigned n = 0;
	do {
		struct error error = {0};
		unsigned fds = count_fds();
		plan_of_faults.kind = kind;
		plan_of_faults.happened = false;
		plan_of_faults.left = ++n;
		int ret = scenario(&error);
		plan_of_faults.left = 0;
		assert_int_equal(count_fds(), fds);
		assert_true(ret <= 0);
		assert_null(strchr(error.message, '\n'));
		if (!plan_of_faults.happened || kind >= FAULT_INTERRUPT) {
			assert_string_equal(error.message, "");
			assert_int_equal(ret, 0);
		}
	} while (plan_of_faults.happened && n < 10000);
	return n - 1;
}

static void survive(int (*scenario)(struct error *error), unsigned at_least) {
	unsigned faults = 0;
	for (enum fault kind = FAULT_MEMORY; kind <= FAULT_SHORT; kind++) {
		faults += search(scenario, kind);
	}
	assert_true(faults >= at_least);
}

#endif
