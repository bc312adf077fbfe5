/* The table of messages with a meaning for the proxy. No state. */
#include "guest/wayland/hooks.h"

#include "ph/wayland_protocols.h"

#include <stddef.h>

struct entry {
	const struct wl_interface *interface;
	uint16_t opcode;
	hook *hook;
};

static const struct entry requests[] = {
	{&wl_surface_interface, WL_SURFACE_REQUEST_ATTACH, surface_attach},
	{&wl_surface_interface, WL_SURFACE_REQUEST_COMMIT, surface_commit},
	{&wl_surface_interface, WL_SURFACE_REQUEST_DAMAGE, surface_damage},
	{&wl_surface_interface, WL_SURFACE_REQUEST_DAMAGE_BUFFER, surface_damage_buffer},
	{&wl_surface_interface, WL_SURFACE_REQUEST_SET_BUFFER_SCALE, surface_set_buffer_scale},
	{&wl_surface_interface, WL_SURFACE_REQUEST_SET_BUFFER_TRANSFORM, surface_set_buffer_transform},
	{&wl_compositor_interface, WL_COMPOSITOR_REQUEST_CREATE_SURFACE, compositor_create_surface},
	{&wl_shm_interface, WL_SHM_REQUEST_CREATE_POOL, shm_create_pool},
	{&wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER, pool_create_buffer},
	{&wl_shm_pool_interface, WL_SHM_POOL_REQUEST_RESIZE, pool_resize},
	{&wl_shm_pool_interface, WL_SHM_POOL_REQUEST_DESTROY, pool_destroy},
	{&wl_buffer_interface, WL_BUFFER_REQUEST_DESTROY, buffer_destroy},
	{&wl_registry_interface, WL_REGISTRY_REQUEST_BIND, registry_bind},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE, offer_receive},
	{&zwp_primary_selection_offer_v1_interface, ZWP_PRIMARY_SELECTION_OFFER_V1_REQUEST_RECEIVE,
		offer_receive},
	{&wp_viewporter_interface, WP_VIEWPORTER_REQUEST_GET_VIEWPORT, viewporter_get_viewport},
	{&zwp_linux_buffer_params_v1_interface, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_ADD, params_add},
};

static const struct entry events[] = {
	{&wl_buffer_interface, WL_BUFFER_EVENT_RELEASE, buffer_release},
	{&wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, display_delete_id},
	{&wl_display_interface, WL_DISPLAY_EVENT_ERROR, display_error},
	{&wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL, registry_global},
	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_KEYMAP, keyboard_keymap},
	{&wl_data_source_interface, WL_DATA_SOURCE_EVENT_SEND, source_send},
	{&zwp_primary_selection_source_v1_interface, ZWP_PRIMARY_SELECTION_SOURCE_V1_EVENT_SEND, source_send},
	{&wp_presentation_interface, WP_PRESENTATION_EVENT_CLOCK_ID, presentation_clock_id},
	{&wp_presentation_feedback_interface, WP_PRESENTATION_FEEDBACK_EVENT_PRESENTED,
		presentation_presented},
	{&zwp_linux_dmabuf_feedback_v1_interface, ZWP_LINUX_DMABUF_FEEDBACK_V1_EVENT_FORMAT_TABLE,
		feedback_format_table},
};

static hook *find(
	const struct entry *entries, size_t count, const struct wl_interface *interface, uint16_t opcode) {
	for (size_t i = 0; i < count; i++) {
		if (entries[i].interface == interface && entries[i].opcode == opcode) {
			return entries[i].hook;
		}
	}
	return NULL;
}

hook *hook_find_request(const struct wl_interface *interface, uint16_t opcode) {
	return find(requests, sizeof(requests) / sizeof(requests[0]), interface, opcode);
}

hook *hook_find_event(const struct wl_interface *interface, uint16_t opcode) {
	return find(events, sizeof(events) / sizeof(events[0]), interface, opcode);
}
