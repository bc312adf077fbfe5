/* What waits until a stream's receiver takes more. */
#ifndef DISPLAY_OUTPUT_H
#define DISPLAY_OUTPUT_H

#include "ph/virtqueue.h"
#include "ph/wayland.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wl_vfd;
struct wl_send;

struct wl_output {
	struct wl_send *first, *last;
	struct wl_send *passed; /* the last one that passed the filter; behind it is what is held */
	size_t buffered;        /* bytes, with what each copy takes beside them */
	unsigned held;
};

/* Instead of a response: the command will be answered later. */
#define WL_HELD 0

/*
 * Send the readable bytes of a command from offset on, with borrowed descriptors of these kinds (enum
 * filter_fd). What cannot be written now is copied, as far as quotas go; after that the command is held back.
 * Returns the response.
 */
uint32_t wl_output_send(struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset,
	const int *fds, const uint8_t *kinds, unsigned fd_count, bool answer);
/* The same through the vfd's filter. */
uint32_t wl_output_send_filtered(struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset,
	int *fds, const uint8_t *kinds, unsigned fd_count, bool answer);
/* Send what passed the filter, all of the queue, before what is held. 0 or -errno: it is lost. */
int wl_output_write(struct wl_vfd *vfd, struct wire_queue *queue);
/* Whether more should be filtered now. */
bool wl_output_has_room(const struct wl_vfd *vfd);
/* Whether there is something for the receiver now: what is held behind a request that rests is not. */
bool wl_output_is_ready(const struct wl_vfd *vfd);
/* Write what can be written. */
void wl_output_flush(struct wl_vfd *vfd);
/* Drop what waits, answering held commands with response, or (0) not at all. */
void wl_output_drop(struct wl_vfd *vfd, uint32_t response);
/* Answer the held commands with response; what the guest was told is sent stays. */
void wl_output_drop_held(struct wl_vfd *vfd, uint32_t response);

#endif
