/*
 * Copies pipes, one buffer at a time: when the reader does not read, nothing more is read from the writer.
 * The proxy's only thread. A program's descriptor may be anything; its end of file is passed on by closing
 * the other one.
 */
#include "guest/wayland/transfer.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CLIENT_MAX 64
#define ALL_MAX 256
#define PIECE 16384

struct transfer {
	struct transfer *next, **link; /* of its client; link NULL: that is gone */
	struct client *client;
	struct loop *loop;
	struct loop_source from, to;
	size_t start, end; /* what is read and not written yet */
	uint8_t data[PIECE];
};

static unsigned all;

static void transfer_destroy(struct transfer *transfer) {
	loop_remove(transfer->loop, &transfer->from);
	loop_remove(transfer->loop, &transfer->to);
	fd_close(&transfer->from.fd);
	fd_close(&transfer->to.fd);
	if (transfer->link != NULL) {
		*transfer->link = transfer->next;
		transfer->client->transfer_count--;
	}
	if (transfer->link != NULL && transfer->next != NULL) {
		transfer->next->link = transfer->link;
	}
	all--;
	free(transfer);
}

static bool is_over(ssize_t size) {
	return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
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
		size = write(
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
	/* A file is always ready, and never full. */
	return result == -EPERM && !full ? 0 : result;
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

/* The flag belongs to the open file, which others may have, too: a pipe is opened anew where that is
 * possible. */
static int make_nonblocking(int fd, int access) {
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int own = open(path, access | O_NONBLOCK | O_CLOEXEC);
	if (own >= 0 && dup3(own, fd, O_CLOEXEC) < 0) {
		fd_close(&own);
	}
	if (own >= 0) {
		close(own);
		return 0;
	}
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int transfer_start(struct client *client, int from, int to) {
	if (client->transfer_count >= CLIENT_MAX || all >= ALL_MAX) {
		return -EAGAIN;
	}
	struct transfer *transfer = malloc(sizeof(*transfer));
	if (transfer == NULL) {
		return -ENOMEM;
	}
	*transfer = (struct transfer){.client = client, .loop = client->loop};
	transfer->from = (struct loop_source){.fd = from, .ready = from_ready};
	transfer->to = (struct loop_source){.fd = to, .ready = to_ready};
	int result = make_nonblocking(from, O_RDONLY);
	if (result == 0) {
		result = make_nonblocking(to, O_WRONLY);
	}
	if (result == 0) {
		result = wait_for(transfer);
	}
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
	all++;
	return 0;
}

void transfers_detach(struct client *client) {
	while (client->transfers != NULL) {
		struct transfer *transfer = client->transfers;
		client->transfers = transfer->next;
		transfer->link = NULL;
		transfer->client = NULL;
	}
}
