/*
 * One direction of a local descriptor that other processes may share: read or written on the loop
 * without ever waiting, and without touching flags the others would feel.
 */
#ifndef PH_PH_STREAM_H
#define PH_PH_STREAM_H

#include "ph/loop.h"
#include "ph/terminal.h"

#include <stddef.h>
#include <sys/types.h>

enum stream_kind {
	STREAM_CLOSED = 0,
	STREAM_FILE,     /* never waits: regular files, /dev/null */
	STREAM_NONBLOCK, /* an open file description of our own, O_NONBLOCK */
	STREAM_SOCKET,   /* MSG_DONTWAIT */
	STREAM_GATED,    /* shared and blocking: asked with poll() before each small step */
};

struct stream {
	enum stream_kind kind;
	struct loop *loop;
	struct loop_source source; /* its fd is ours */
	bool writing, terminal;
	/* To be set by who writes a guest's bytes; matters where they go to a terminal. */
	bool only_text;
	struct terminal_filter filter;
	size_t step;                          /* STREAM_GATED: the most one write may ask for */
	void (*ready)(struct stream *stream); /* while stream_wait() is on */
};

/* Open a private way to fd, for reading or for writing. 0 or -errno. */
int stream_open(
	struct stream *stream, struct loop *loop, int fd, bool writing, void (*ready)(struct stream *stream));
/* Accepts zeroed. fd itself stays open. */
void stream_close(struct stream *stream);

/* Some bytes, 0 at the end of file, -EAGAIN when there is nothing (or nothing for a background job) now, or
 * -errno. */
ssize_t stream_read(struct stream *stream, void *data, size_t size);
/* How many bytes were written, less than size when the rest has to wait; or -errno. */
ssize_t stream_write(struct stream *stream, const void *data, size_t size);

/* Call ready when it can go on, or no longer. A STREAM_FILE can always go on and is never called. */
void stream_wait(struct stream *stream, bool on);

#endif
