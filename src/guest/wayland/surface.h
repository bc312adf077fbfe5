/* Surfaces: which buffer they show, and what changed in it. */
#ifndef PH_GUEST_WAYLAND_SURFACE_H
#define PH_GUEST_WAYLAND_SURFACE_H

#include "guest/wayland/buffer.h"

/* Where a surface's pixels are in its buffer. */
struct geometry {
	int32_t scale;     /* pixels of the buffer for one of the surface */
	int32_t transform; /* turned or mirrored; 0: neither */
	bool viewport;     /* cut out and scaled */
};

struct surface {
	struct surface *next, **link;
	struct client *client;
	uint64_t number; /* never used twice by a client */
	bool attached;   /* something, or nothing, since the last frame */
	struct buffer *pending, *current;
	struct damage surface_damage, buffer_damage; /* since the last frame, in either coordinates */
	struct geometry geometry, shown;             /* the next frame's, the last one's */
	int32_t width, height;                       /* of the last frame's buffer */
};

/* The buffer is gone. */
void surfaces_forget(const struct buffer *buffer);

#endif
