/*
 * Copies pipes, one buffer at a time: when the reader does not read, nothing more is read from the writer.
 * The proxy's only thread, which no descriptor may hold up. A program's may be anything, and the program can
 * change the flags of its open file at any time; its end of file is passed on by closing the other one.
 */
#include "guest/wayland/transfer.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CLIENT_MAX 64
#define PIECE 16384

struct transfer {
	struct transfer *next, **link; /* of its client; link NULL: that is gone */
	struct client *client;
	struct loop *loop;
	struct loop_source from, to;
	size_t start, end; /* what is read and not written yet */
	uint8_t data[PIECE];
};

/* Those that go on without their client. */
static unsigned detached;

static void transfer_destroy(struct transfer *transfer) {
	loop_remove(transfer->loop, &transfer->from);
	loop_remove(transfer->loop, &transfer->to);
	fd_close(&transfer->from.fd);
	fd_close(&transfer->to.fd);
	if (transfer->link != NULL) {
		*transfer->link = transfer->next;
		transfer->client->transfer_count--;
	} else if (--detached == 0) {
		loop_stop(transfer->loop, 0);
	}
	if (transfer->link != NULL && transfer->next != NULL) {
		transfer->next->link = transfer->link;
	}
	free(transfer);
}

static bool is_over(ssize_t size) {
	return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

/* To a pipe, whatever its flags say of waiting. Kernels before 6.4 cannot: EOPNOTSUPP. */
static ssize_t write_at_once(int fd, const void *data, size_t size) {
	const struct iovec part = {(void *)data, size};
	return syscall(SYS_pwritev2, fd, &part, 1L, -1L, -1L, (long)RWF_NOWAIT);
}

/* A socket is still the program's own open file, and so may a pipe be: their flags count for nothing here. */
static ssize_t write_piece(int fd, const uint8_t *data, size_t size) {
	ssize_t written = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (written >= 0 || errno != ENOTSOCK) {
		return written;
	}
	written = write_at_once(fd, data, size);
	return written < 0 && errno == EOPNOTSUPP ? write(fd, data, size) : written;
}

/* Read a piece and write it. False: it is over. */
static bool move(struct transfer *transfer) {
	ssize_t size;
	if (transfer->start == transfer->end) {
		size = read(transfer->from.fd, transfer->data, sizeof(transfer->data));
		transfer->start = 0;
		transfer->end = size > 0 ? (size_t)size : 0;
		if (is_over(size)) {
			return false;
		}
	}
	while (transfer->start < transfer->end) {
		size = write_piece(
			transfer->to.fd, transfer->data + transfer->start, transfer->end - transfer->start);
		if (size < 0) {
			return !is_over(size);
		}
		transfer->start += (size_t)size;
	}
	return true;
}

/* Wait for the one side that can be waited for. Of the reader's end one hears at any time. */
static int wait_for(struct transfer *transfer) {
	bool full = transfer->start < transfer->end;
	int result = 0;
	if (full) {
		loop_remove(transfer->loop, &transfer->from);
	} else if (!transfer->from.added) {
		result = loop_add(transfer->loop, &transfer->from, EPOLLIN);
	}
	uint32_t events = full ? EPOLLOUT : 0;
	if (result == 0 && transfer->to.added) {
		result = loop_modify(transfer->loop, &transfer->to, events);
	} else if (result == 0) {
		result = loop_add(transfer->loop, &transfer->to, events);
	}
	return result;
}

static void serve(struct transfer *transfer) {
	if (!move(transfer) || wait_for(transfer) < 0) {
		transfer_destroy(transfer);
	}
}

static void from_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	serve((struct transfer *)((char *)source - offsetof(struct transfer, from)));
}

static void to_ready(struct loop_source *source, uint32_t events) {
	struct transfer *transfer = (struct transfer *)((char *)source - offsetof(struct transfer, to));
	if (events & (EPOLLERR | EPOLLHUP)) {
		transfer_destroy(transfer);
	} else {
		serve(transfer);
	}
}

static bool can_write_at_once(void) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return false;
	}
	bool can = write_at_once(ends[1], "", 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return can;
}

int transfer_take_writer(int fd) {
	char path[32], name[16] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Only the kernel's own names are without a slash. Other questions might be put to a file system of
	 * the program's, which does not answer. */
	if (readlink(path, name, sizeof(name) - 1) < 0) {
		return -errno;
	}
	if (strncmp(name, "socket:", 7) == 0) {
		return 0;
	}
	if (strncmp(name, "pipe:", 5) != 0) {
		return -EINVAL;
	}
	int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (own < 0 && errno == EACCES && can_write_at_once()) {
		return 0; /* another user's program's */
	}
	int result = own < 0 || dup3(own, fd, O_CLOEXEC) < 0 ? -errno : 0;
	fd_close(&own);
	return result;
}

int transfer_start(struct client *client, int from, int to) {
	if (client->transfer_count >= CLIENT_MAX) {
		return -EAGAIN;
	}
	struct transfer *transfer = malloc(sizeof(*transfer));
	if (transfer == NULL) {
		return -ENOMEM;
	}
	*transfer = (struct transfer){.client = client, .loop = client->loop};
	transfer->from = (struct loop_source){.fd = from, .ready = from_ready};
	transfer->to = (struct loop_source){.fd = to, .ready = to_ready};
	int result = wait_for(transfer);
	if (result < 0) {
		loop_remove(transfer->loop, &transfer->from);
		loop_remove(transfer->loop, &transfer->to);
		free(transfer);
		return result;
	}
	transfer->next = client->transfers;
	transfer->link = &client->transfers;
	if (transfer->next != NULL) {
		transfer->next->link = &transfer->next;
	}
	client->transfers = transfer;
	client->transfer_count++;
	return 0;
}

bool transfers_detach(struct client *client) {
	while (client->transfers != NULL) {
		struct transfer *transfer = client->transfers;
		client->transfers = transfer->next;
		transfer->link = NULL;
		transfer->client = NULL;
		detached++;
	}
	return detached > 0;
}
