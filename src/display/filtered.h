/* Connections to the compositor: their messages go through the filter. */
#ifndef DISPLAY_FILTERED_H
#define DISPLAY_FILTERED_H

#include "display/filter.h"

#include "ph/virtqueue.h"

struct wl_vfd;

/* What a command from the guest has for a connection. */
struct wl_feed {
	const struct virtqueue_chain *chain;
	uint64_t offset, left; /* of its bytes */
	int *fds;              /* for the first byte; the connection's from then on, in a copy */
	const uint8_t *kinds;  /* enum filter_fd */
	unsigned fd_count;
};

/* 0 or -ENOMEM */
int wl_filtered_open(struct wl_vfd *vfd);
/* What the filter is to think of a vfd that the guest sends. */
enum filter_fd wl_filtered_kind(const struct wl_vfd *vfd);
/*
 * Filter some of the bytes and write what passes, as far as its receiver and the quotas go. 0; -ENOMEM when
 * nothing was taken yet; -EPROTO and the connection is broken: a rule was.
 */
int wl_filtered_feed(struct wl_vfd *vfd, struct wl_feed *feed);

/* What rested may go on. */
void wl_filtered_resume(struct wl_vfd *vfd);

/* Bytes and descriptors from the compositor. */
void wl_filtered_receive(struct wl_vfd *vfd, size_t size, int *fds, unsigned fd_count);
/* Whether something waits to be sent to the guest. */
bool wl_filtered_waits(const struct wl_vfd *vfd);
/* More of what passed is to go to the guest. */
bool wl_filtered_refill(struct wl_vfd *vfd);

#endif
