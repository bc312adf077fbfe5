/*
 * The globals that there are for the guest: those of the list below, in these versions at most, whatever the
 * compositor has. Runs on the display's loop. What a guest binds is hostile.
 */
#include "display/filter_parts.h"

#include <stdlib.h>
#include <string.h>

/* docs/wayland.md says what each is for. What is not here does not exist for the guest. */
static const struct {
	const struct wl_interface *interface;
	uint32_t version;
} allowed[] = {
	{&wl_compositor_interface, 5},
	{&wl_subcompositor_interface, 1},
	{&wl_shm_interface, 1},
	{&wl_seat_interface, 8},
	{&wl_output_interface, 4},
	{&wl_data_device_manager_interface, 3},
	{&xdg_wm_base_interface, 5},
	{&xdg_activation_v1_interface, 1},
	{&zxdg_decoration_manager_v1_interface, 1},
	{&zxdg_output_manager_v1_interface, 3},
	{&wp_viewporter_interface, 1},
	{&wp_fractional_scale_manager_v1_interface, 1},
	{&wp_cursor_shape_manager_v1_interface, 1},
	{&wp_presentation_interface, 1},
	{&wp_single_pixel_buffer_manager_v1_interface, 1},
	{&zwp_linux_dmabuf_v1_interface, 4},
	{&zwp_pointer_constraints_v1_interface, 1},
	{&zwp_primary_selection_device_manager_v1_interface, 1},
	{&zwp_relative_pointer_manager_v1_interface, 1},
	{&zwp_tablet_manager_v2_interface, 1},
	{&zwp_text_input_manager_v3_interface, 1},
};

static const struct wl_interface *find_allowed(const char *name, uint32_t *version) {
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (strcmp(allowed[i].interface->name, name) == 0) {
			*version = allowed[i].version;
			return allowed[i].interface;
		}
	}
	return NULL;
}

static struct filter_global *find(struct filter *filter, uint32_t name) {
	for (uint32_t i = 0; i < filter->global_count; i++) {
		if (filter->globals[i].name == name) {
			return &filter->globals[i];
		}
	}
	return NULL;
}

/* The place of one that was removed is taken over only once there are many. */
static struct filter_global *add(struct filter *filter, uint32_t name) {
	struct filter_global *global = find(filter, name);
	for (uint32_t i = 0;
		global == NULL && filter->global_count == FILTER_GLOBALS_MAX && i < FILTER_GLOBALS_MAX; i++) {
		global = filter->globals[i].removed ? &filter->globals[i] : NULL;
	}
	if (global != NULL || filter->global_count == FILTER_GLOBALS_MAX) {
		return global;
	}
	if (filter->global_count % 64 == 0) {
		struct filter_global *globals =
			realloc(filter->globals, (filter->global_count + 64) * sizeof(*globals));
		if (globals == NULL) {
			return NULL;
		}
		filter->globals = globals;
	}
	return &filter->globals[filter->global_count++];
}

enum verdict filter_global(struct passage *passage) {
	union wire_arg *args = passage->args;
	uint32_t version = 0;
	const struct wl_interface *interface = find_allowed(args[1].string, &version);
	if (interface == NULL || args[2].u == 0) {
		return FILTER_DONE;
	}
	struct filter_global *global = add(passage->filter, args[0].u);
	if (global == NULL) {
		return FILTER_DONE;
	}
	if (args[2].u > version) {
		args[2].u = version;
		passage->rewritten = true;
	}
	*global = (struct filter_global){.name = args[0].u, .version = args[2].u, .interface = interface};
	return FILTER_PASS;
}

/* A program that has not heard of it yet may still bind it: the compositor knows how to take that. */
enum verdict filter_global_remove(struct passage *passage) {
	struct filter_global *global = find(passage->filter, passage->args[0].u);
	if (global == NULL) {
		return FILTER_DONE;
	}
	global->removed = true;
	return FILTER_PASS;
}

const struct wl_interface *filter_bind(struct passage *passage) {
	const union wire_arg *args = passage->args;
	const struct filter_global *global = find(passage->filter, args[0].u);
	if (global == NULL || strcmp(global->interface->name, args[1].string) != 0) {
		filter_break(passage, "there is no global %u that is a %.64s", args[0].u, args[1].string);
		return NULL;
	}
	if (args[2].u == 0 || args[2].u > global->version) {
		filter_break(passage, "%s has version %u at most, not %u", global->interface->name,
			global->version, args[2].u);
		return NULL;
	}
	return global->interface;
}
