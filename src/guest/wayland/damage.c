/* Rectangles of damage. The numbers are the client's: any, and as many as it likes, so their count is bounded
 * and what is too much becomes one rectangle around all. */
#include "guest/wayland/damage.h"

static int32_t clamp(int64_t value) {
	return value < 0 ? 0 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static bool contains(const struct damage_rect *outer, const struct damage_rect *inner) {
	return outer->x1 <= inner->x1 && outer->y1 <= inner->y1 && outer->x2 >= inner->x2 &&
	       outer->y2 >= inner->y2;
}

static void extend(struct damage_rect *rect, const struct damage_rect *more) {
	rect->x1 = rect->x1 < more->x1 ? rect->x1 : more->x1;
	rect->y1 = rect->y1 < more->y1 ? rect->y1 : more->y1;
	rect->x2 = rect->x2 > more->x2 ? rect->x2 : more->x2;
	rect->y2 = rect->y2 > more->y2 ? rect->y2 : more->y2;
}

static void add_rect(struct damage *damage, const struct damage_rect *rect) {
	unsigned kept = 0;
	for (unsigned i = 0; i < damage->count; i++) {
		if (contains(&damage->rects[i], rect)) {
			return;
		}
	}
	for (unsigned i = 0; i < damage->count; i++) {
		if (!contains(rect, &damage->rects[i])) {
			damage->rects[kept++] = damage->rects[i];
		}
	}
	if (kept == DAMAGE_RECTS_MAX) {
		while (kept > 1) {
			extend(&damage->rects[0], &damage->rects[--kept]);
		}
		extend(&damage->rects[0], rect);
	} else {
		damage->rects[kept++] = *rect;
	}
	damage->count = kept;
}

void damage_add(struct damage *damage, int64_t x, int64_t y, int64_t width, int64_t height) {
	const struct damage_rect rect = {clamp(x), clamp(y), clamp(x + width), clamp(y + height)};
	if (rect.x1 < rect.x2 && rect.y1 < rect.y2) {
		add_rect(damage, &rect);
	}
}

void damage_add_all(struct damage *damage, const struct damage *more) {
	for (unsigned i = 0; i < more->count; i++) {
		add_rect(damage, &more->rects[i]);
	}
}

void damage_set_full(struct damage *damage) {
	*damage = (struct damage){.rects = {{0, 0, INT32_MAX, INT32_MAX}}, .count = 1};
}

bool damage_clip(struct damage_rect *rect, int32_t width, int32_t height) {
	rect->x2 = rect->x2 < width ? rect->x2 : width;
	rect->y2 = rect->y2 < height ? rect->y2 : height;
	return rect->x1 < rect->x2 && rect->y1 < rect->y2;
}
