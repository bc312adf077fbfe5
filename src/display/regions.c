/*
 * Regions: how many rectangles a compositor makes of them. It cuts what is added and taken away into bands
 * from left to right, each with its rectangles, and walks through all of them for each one more: stripes
 * across stripes would make millions of a few thousand. Runs on the display's loop. All numbers are hostile.
 *
 * What is counted is never less than what the compositor has, and the same for what comes from above to
 * below without overlaps, as the rectangles of regions do that programs pass on.
 */
#include "display/filter_parts.h"

#include <stdlib.h>
#include <string.h>

#define REGION_MAX 4096u /* rectangles, and half as many bands */
#define POINTER_COPIES 3

struct filter_region {
	unsigned boxes, band_count;
	struct band {
		int32_t top; /* its bottom is the next one's top; the last one has no boxes */
		unsigned boxes;
	} bands[];
};

static unsigned size_of(const struct filter_region *region) {
	return region != NULL ? region->boxes + region->band_count : 0;
}

enum verdict filter_count_boxes(struct passage *passage, unsigned *count, unsigned boxes) {
	struct filter_vm *vm = passage->filter->vm;
	vm->region_boxes = vm->region_boxes - *count + boxes;
	*count = boxes;
	return vm->region_boxes <= FILTER_REGION_BOXES_MAX
		       ? FILTER_PASS
		       : filter_break(passage, "the regions of the VM have too many rectangles");
}

/* From here on there is a band of its own. */
static void cut(struct filter_region *region, int32_t y) {
	unsigned i = 0;
	while (i < region->band_count && region->bands[i].top < y) {
		i++;
	}
	struct band *band = &region->bands[i];
	if (i < region->band_count && band->top == y) {
		return;
	}
	memmove(band + 1, band, (region->band_count - i) * sizeof(*band));
	*band = (struct band){.top = y, .boxes = i > 0 ? band[-1].boxes : 0};
	region->band_count++;
}

/* A copy of the region (NULL: an empty one) with one rectangle more or less; NULL: no memory. To take one
 * away splits another at most, in each band that has any. */
static struct filter_region *change(const struct filter_region *old, int32_t top, int32_t bottom, bool adds) {
	unsigned count = old != NULL ? old->band_count : 0;
	struct filter_region *region = calloc(1, sizeof(*region) + (count + 2) * sizeof(region->bands[0]));
	if (region == NULL) {
		return NULL;
	}
	if (old != NULL) {
		memcpy(region, old, sizeof(*old) + count * sizeof(old->bands[0]));
	}
	cut(region, top);
	cut(region, bottom);
	region->boxes = 0;
	for (unsigned i = 0; i < region->band_count; i++) {
		struct band *band = &region->bands[i];
		bool inside = band->top >= top && band->top < bottom;
		band->boxes += inside && (adds || band->boxes > 0);
		region->boxes += band->boxes;
	}
	return region;
}

/* The edges are to be numbers, too. */
static void limit_length(struct passage *passage, int32_t start, union wire_arg *length) {
	if (start > 0 && length->i > INT32_MAX - start) {
		length->i = INT32_MAX - start;
		passage->rewritten = true;
	}
}

/* Rectangles for which there is no room are left out. */
enum verdict filter_region_change(struct passage *passage) {
	union wire_arg *args = passage->args;
	struct wire_object *object = passage_object(passage);
	struct filter_region *old = object->data;
	limit_length(passage, args[0].i, args + 2);
	limit_length(passage, args[1].i, args + 3);
	if (args[2].i <= 0 || args[3].i <= 0) {
		return FILTER_DONE;
	}
	struct filter_region *region = change(
		old, args[1].i, args[1].i + args[3].i, passage->message.opcode == WL_REGION_REQUEST_ADD);
	if (region == NULL) {
		return filter_break(passage, "no memory for the region");
	}
	if (region->boxes > REGION_MAX || region->band_count > 2 * REGION_MAX) {
		free(region);
		return FILTER_DONE;
	}
	object->data = region;
	unsigned count = size_of(old);
	free(old);
	return filter_count_boxes(passage, &count, size_of(region));
}

void filter_region_release(struct filter_vm *vm, struct wire_object *object) {
	vm->region_boxes -= size_of(object->data);
	free(object->data);
	object->data = NULL;
}

/* The size of a copy of the region that this argument names. */
static unsigned size_of_argument(const struct passage *passage, unsigned index) {
	const struct wire_object *region =
		wire_objects_find(&passage->filter->objects, passage->args[index].object);
	return region != NULL ? size_of(region->data) : 0;
}

/* The compositor copies it for the surface. */
enum verdict filter_surface_region(struct passage *passage) {
	struct filter_surface *surface = filter_surface_of(passage, passage->message.object);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	bool is_input = passage->message.opcode == WL_SURFACE_REQUEST_SET_INPUT_REGION;
	return filter_count_boxes(passage, is_input ? &surface->input_boxes : &surface->opaque_boxes,
		size_of_argument(passage, 0));
}

/* Compositors have three copies of where a pointer is to stay: one that waits for the surface's commit, what
 * was committed, and what of it is in the surface. What was larger before may still be one of those. */
static enum verdict constrain(struct passage *passage, struct wire_object *pointer, unsigned boxes) {
	unsigned count = (unsigned)(uintptr_t)pointer->data;
	enum verdict verdict = filter_count_boxes(
		passage, &count, count > POINTER_COPIES * boxes ? count : POINTER_COPIES * boxes);
	pointer->data = (void *)(uintptr_t)count;
	return verdict;
}

enum verdict filter_constrain_pointer(struct passage *passage) {
	struct wire_object *pointer = wire_objects_find(&passage->filter->objects, passage->args[0].object);
	return constrain(passage, pointer, size_of_argument(passage, 3));
}

enum verdict filter_pointer_region(struct passage *passage) {
	return constrain(passage, passage_object(passage), size_of_argument(passage, 0));
}

void filter_pointer_release(struct filter_vm *vm, struct wire_object *object) {
	vm->region_boxes -= (unsigned)(uintptr_t)object->data;
	object->data = NULL;
}
