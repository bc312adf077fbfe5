/* Whole reads and writes, eventfds. Any thread. */
#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fd_close(int *fd) {
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

int fd_read_all(int fd, void *data, size_t len) {
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -ENODATA;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_write_all(int fd, const void *data, size_t len) {
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_all(int fd, void *data, size_t len, off_t offset) {
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pread(fd, p, len, offset);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -ENODATA;
		}
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

void fd_event_signal(int fd) {
	uint64_t one = 1;
	ssize_t n;
	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

uint64_t fd_event_drain(int fd) {
	uint64_t count = 0;
	ssize_t n;
	do {
		n = read(fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(count) ? count : 0;
}

ssize_t fd_read_file(const char *path, char *buffer, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	size_t used = 0;
	ssize_t n = 1;
	while (used < size - 1 && n != 0) {
		n = read(fd, buffer + used, size - 1 - used);
		if (n < 0 && errno != EINTR) {
			int error = -errno;
			fd_close(&fd);
			return error;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	buffer[used] = '\0';
	fd_close(&fd);
	return (ssize_t)used;
}
