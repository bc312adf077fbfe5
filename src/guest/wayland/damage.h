/* What changed in a buffer: a few rectangles. */
#ifndef PH_GUEST_WAYLAND_DAMAGE_H
#define PH_GUEST_WAYLAND_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define DAMAGE_RECTS_MAX 16

struct damage_rect {
	int32_t x1, y1, x2, y2; /* x2 and y2 are outside */
};

/* Zeroed: nothing. Rectangles may overlap. */
struct damage {
	struct damage_rect rects[DAMAGE_RECTS_MAX];
	unsigned count;
};

/* Sizes as clients give them: an empty or negative one adds nothing, and what lies beyond 32 bits is cut off.
 */
void damage_add(struct damage *damage, int64_t x, int64_t y, int64_t width, int64_t height);
void damage_add_all(struct damage *damage, const struct damage *more);
/* Everything, whatever the size. */
void damage_set_full(struct damage *damage);
/* The part of a rectangle inside width x height; false when nothing is. */
bool damage_clip(struct damage_rect *rect, int32_t width, int32_t height);

#endif
