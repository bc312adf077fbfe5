/*
 * The event loop (epoll). One thread owns a loop and is the only one to call it; other threads
 * reach it through an eventfd or a socket that is one of its sources.
 *
 * A source is embedded in its owner. It may be removed, or freed after removal, by any callback
 * at any time, its own included.
 */
#ifndef PH_LOOP_H
#define PH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop_source {
	int fd;
	/* Called with the EPOLL* bits that are ready. */
	void (*ready)(struct loop_source *source, uint32_t events);
	bool added; /* private to the loop */
};

struct loop {
	int epoll_fd;
	bool stopped;
	int status;
	struct loop_source *batch[32]; /* sources of the events being dispatched; NULL once removed */
	int batch_count;
};

/* 0 or -errno. loop_finish() accepts a zeroed loop whose epoll_fd is 0 or -1; it does not close the sources'
 * fds. */
int loop_init(struct loop *loop);
void loop_finish(struct loop *loop);

/* Watch source->fd for EPOLL* events (level-triggered). 0 or -errno. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
/* Accepts a source that is not added. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Dispatch until loop_stop(); returns its status, or -errno when epoll fails. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int status);

#endif
