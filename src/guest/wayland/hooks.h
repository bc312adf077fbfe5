/* Messages to which more is done than passing them on. */
#ifndef PH_GUEST_WAYLAND_HOOKS_H
#define PH_GUEST_WAYLAND_HOOKS_H

#include "guest/wayland/client.h"

/* Passes the message on, or not, or fails the client. */
typedef void hook(struct message *message);

/* NULL: it is passed on as it is. */
hook *hook_find_request(const struct wl_interface *interface, uint16_t opcode);
hook *hook_find_event(const struct wl_interface *interface, uint16_t opcode);

/* registry.c: what is offered */
hook registry_bind, registry_global;
/* shm.c: pools and buffers */
hook shm_create_pool, pool_create_buffer, pool_resize, pool_destroy, buffer_destroy, buffer_release;
/* surface.c: what changes when */
hook compositor_create_surface, surface_attach, surface_damage, surface_damage_buffer,
	surface_set_buffer_scale, surface_set_buffer_transform, surface_commit, viewporter_get_viewport;
/* descriptors.c: descriptors by what they mean */
hook keyboard_keymap, feedback_format_table, offer_receive, source_send, params_add;
/* presentation.c: clocks */
hook presentation_clock_id, presentation_presented;

/* display_*: messages.c */
hook display_error, display_delete_id;

/* Numbers of the protocols which the tables do not have. */
enum {
	WL_DISPLAY_ERROR_INVALID_OBJECT = 0,
	WL_DISPLAY_ERROR_INVALID_METHOD = 1,
	WL_DISPLAY_ERROR_NO_MEMORY = 2,
	WL_DISPLAY_ERROR_IMPLEMENTATION = 3,
	WL_SHM_ERROR_INVALID_FORMAT = 0,
	WL_SHM_ERROR_INVALID_STRIDE = 1,
	WL_SHM_ERROR_INVALID_FD = 2,
	WL_KEYBOARD_KEYMAP_FORMAT_NO_KEYMAP = 0,
	ZWP_LINUX_BUFFER_PARAMS_V1_ERROR_INVALID_WL_BUFFER = 7,
};

#endif
