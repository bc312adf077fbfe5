/* The monitor's side of the shared-memory window (window.h of the contracts). */
#ifndef MONITOR_WINDOW_H
#define MONITOR_WINDOW_H

#include "ph/guest_memory.h"
#include "ph/window.h"

#include <pthread.h>
#include <stdbool.h>

#define WINDOW_SIZE (1ULL << 30)

struct window_mapping {
	uint64_t offset, size;
	bool dmabuf;
	bool lost; /* a hole shows in its place */
};

struct window {
	uint64_t address; /* guest-physical */
	uint64_t size;    /* 0: there is no window; nothing happens to it then */
	uint8_t *host;    /* where it is mapped, NULL: not yet */
	int scratch_fd;
	int fd, client_fd;                                   /* the two ends of the calls' socket */
	struct window_mapping mappings[WINDOW_MAPPINGS_MAX]; /* by offset */
	unsigned count;
	pthread_mutex_t lock; /* of the mappings */
	uint64_t paid_until;  /* by calls, in CLOCK_MONOTONIC's time */
	pthread_t thread;
	bool serving;
};

/*
 * Three steps, because the user is forked between the first and the second and threads exist only after the
 * second: find a place beside guest RAM and make the socket, whose client_fd is for the user; map the
 * empty window; answer calls. 0 or -errno each.
 */
int window_init(struct window *window, const struct guest_memory *memory);
int window_reserve(struct window *window);
int window_serve(struct window *window);
/* Accepts a zeroed struct. */
void window_finish(struct window *window);

/* One call, which takes the descriptor: 0 or -errno. For the thread and for tests. */
int window_handle(struct window *window, const struct window_request *request, int fd);

/*
 * The guest touched memory that KVM cannot get at, at a guest-physical address if KVM told one: whoever gave
 * it has taken it back. The guest keeps a hole instead, and loses what was drawn. False when that
 * cannot be the reason. Any thread.
 */
bool window_lose(struct window *window, const uint64_t *address);

#endif
