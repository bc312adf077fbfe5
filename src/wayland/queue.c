/*
 * Bytes and descriptors on their way through a connection. Runs wherever the connection is served. How much
 * may wait is for the caller to bound: this grows with what is put into it, but for descriptors.
 */
#include "ph/wayland.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALLEST 4096

void wire_queue_finish(struct wire_queue *queue) {
	for (unsigned i = 0; i < queue->fd_count; i++) {
		close(queue->fds[i]);
	}
	free(queue->data);
	*queue = (struct wire_queue){0};
}

/* ---- bytes ---- */

uint8_t *wire_queue_reserve(struct wire_queue *queue, size_t size) {
	if (queue->capacity - queue->end >= size) {
		return queue->data + queue->end;
	}
	size_t used = wire_queue_size(queue);
	if (used > 0) {
		memmove(queue->data, queue->data + queue->start, used);
	}
	queue->start = 0;
	queue->end = used;
	size_t capacity = queue->capacity > 0 ? queue->capacity : SMALLEST;
	while (capacity - used < size) {
		capacity *= 2;
	}
	if (capacity > queue->capacity) {
		uint8_t *data = realloc(queue->data, capacity);
		if (data == NULL) {
			return NULL;
		}
		queue->data = data;
		queue->capacity = capacity;
	}
	return queue->data + queue->end;
}

void wire_queue_commit(struct wire_queue *queue, size_t size) {
	queue->end += size;
}

int wire_queue_append(struct wire_queue *queue, const void *data, size_t size) {
	uint8_t *at = wire_queue_reserve(queue, size);
	if (at == NULL) {
		return -ENOMEM;
	}
	if (size > 0) {
		memcpy(at, data, size);
	}
	wire_queue_commit(queue, size);
	return 0;
}

void wire_queue_consume(struct wire_queue *queue, size_t size) {
	queue->start += size;
	if (queue->start < queue->end) {
		return;
	}
	queue->start = queue->end = 0;
	if (queue->capacity > SMALLEST) {
		free(queue->data);
		queue->data = NULL;
		queue->capacity = 0;
	}
}

/* ---- descriptors ---- */

int wire_queue_push_fd(struct wire_queue *queue, int fd, uint8_t kind) {
	if (queue->fd_count == WIRE_FDS_MAX) {
		return -ENOSPC;
	}
	queue->fds[queue->fd_count] = fd;
	queue->kinds[queue->fd_count++] = kind;
	return 0;
}

int wire_queue_pop_fd(struct wire_queue *queue, uint8_t *kind) {
	if (queue->fd_count == 0) {
		return -1;
	}
	int fd = queue->fds[0];
	if (kind != NULL) {
		*kind = queue->kinds[0];
	}
	queue->fd_count--;
	memmove(queue->fds, queue->fds + 1, queue->fd_count * sizeof(queue->fds[0]));
	memmove(queue->kinds, queue->kinds + 1, queue->fd_count * sizeof(queue->kinds[0]));
	return fd;
}
