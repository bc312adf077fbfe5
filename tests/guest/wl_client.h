/* For the guest's programs that test /dev/wl0: TAP, and the ioctls as functions. */
#ifndef WL_CLIENT_H
#define WL_CLIENT_H

#include "wl_pattern.h"

#include "ph/wl_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int number;
static int wl = -1; /* /dev/wl0 */

static inline void check_at(int line, bool good, const char *what) {
	int error = errno;
	number++;
	printf("%s %d - %s\n", good ? "ok" : "not ok", number, what);
	if (!good) {
		printf("#   line %d, errno %d (%s)\n", line, error, strerror(error));
	}
	fflush(stdout);
	errno = 0;
}
#define check(good, what) check_at(__LINE__, (good), (what))
#define fails(call, error, what) check_at(__LINE__, (call) < 0 && errno == (error), (what))

static inline int new_vfd(uint32_t type, uint32_t size) {
	struct virtwl_ioctl_new new = {.type = type, .fd = -1, .size = size};
	return ioctl(wl, VIRTWL_IOCTL_NEW, &new) < 0 ? -1 : new.fd;
}

static inline int new_named(const char *name) {
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_CTX_NAMED, .fd = -1};
	strncpy(new.name, name, sizeof(new.name));
	return ioctl(wl, VIRTWL_IOCTL_NEW, &new) < 0 ? -1 : new.fd;
}

static inline int send_fds(int vfd, const void *data, size_t size, const int *fds, unsigned count) {
	struct virtwl_ioctl_txn *txn = malloc(sizeof(*txn) + size);
	for (unsigned i = 0; i < VIRTWL_SEND_MAX_ALLOCS; i++) {
		txn->fds[i] = i < count ? fds[i] : -1;
	}
	txn->len = (uint32_t)size;
	memcpy(txn->data, data, size);
	int ret = ioctl(vfd, VIRTWL_IOCTL_SEND, txn), error = errno;
	free(txn);
	errno = error;
	return ret;
}

/* The bytes received, or -1; fds has room for all, *count of them came. */
static inline ssize_t recv_fds(int vfd, void *data, size_t size, int *fds, unsigned *count) {
	struct virtwl_ioctl_txn *txn = malloc(sizeof(*txn) + size);
	txn->len = (uint32_t)size;
	int ret = ioctl(vfd, VIRTWL_IOCTL_RECV, txn), error = errno;
	ssize_t len = ret < 0 ? -1 : (ssize_t)txn->len;
	*count = 0;
	if (ret == 0) {
		memcpy(data, txn->data, txn->len);
		while (*count < VIRTWL_SEND_MAX_ALLOCS && txn->fds[*count] >= 0) {
			fds[*count] = txn->fds[*count];
			(*count)++;
		}
	}
	free(txn);
	errno = error;
	return len;
}

static inline bool write_all(int vfd, const void *data, size_t size) {
	size_t done = 0;
	while (done < size) {
		ssize_t n = write(vfd, (const char *)data + done, size - done);
		if (n < 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static inline bool read_all(int vfd, void *data, size_t size) {
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(vfd, (char *)data + done, size - done);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

/* A connection to the test server, which is told what to do. */
static inline int ask(const char *line) {
	int vfd = new_named("test");
	if (vfd >= 0 && !write_all(vfd, line, strlen(line))) {
		close(vfd);
		return -1;
	}
	return vfd;
}

/* Whether the connection has this to say next. */
static inline bool hears(int vfd, const char *line) {
	char data[64];
	return read_all(vfd, data, strlen(line)) && memcmp(data, line, strlen(line)) == 0;
}

static inline bool asked(const char *line, const char *answer) {
	int vfd = ask(line);
	bool good = vfd >= 0 && hears(vfd, answer);
	close(vfd);
	return good;
}

static inline short ready(int vfd, short events, int timeout) {
	struct pollfd entry = {.fd = vfd, .events = events};
	return poll(&entry, 1, timeout) < 0 ? -1 : entry.revents;
}

#endif
