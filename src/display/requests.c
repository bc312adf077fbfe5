/*
 * Which requests have rules of their own, beside those of their signatures. Runs on the display's loop. A
 * request that brings descriptors and is not in this table does not pass: nobody has looked at them.
 */
#include "display/filter_parts.h"

static const struct {
	const struct wl_interface *interface;
	uint16_t opcode;
	enum verdict (*check)(struct passage *passage);
} rules[] = {
	{&wl_shm_interface, WL_SHM_REQUEST_CREATE_POOL, filter_pool_create},
	{&wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER, filter_buffer_create},
	{&wl_shm_pool_interface, WL_SHM_POOL_REQUEST_RESIZE, filter_pool_resize},
	{&zwp_linux_buffer_params_v1_interface, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_ADD, filter_dmabuf_add},
	{&zwp_linux_buffer_params_v1_interface, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE,
		filter_dmabuf_create},
	{&zwp_linux_buffer_params_v1_interface, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE_IMMED,
		filter_dmabuf_create},
	{&wp_single_pixel_buffer_manager_v1_interface,
		WP_SINGLE_PIXEL_BUFFER_MANAGER_V1_REQUEST_CREATE_U32_RGBA_BUFFER, filter_pixel_create},

	{&wl_surface_interface, WL_SURFACE_REQUEST_DESTROY, filter_surface_destroy},
	{&wl_surface_interface, WL_SURFACE_REQUEST_ATTACH, filter_surface_attach},
	{&wl_surface_interface, WL_SURFACE_REQUEST_COMMIT, filter_surface_commit},
	{&wl_surface_interface, WL_SURFACE_REQUEST_DAMAGE, filter_surface_damage},
	{&wl_surface_interface, WL_SURFACE_REQUEST_DAMAGE_BUFFER, filter_surface_damage},
	{&wl_surface_interface, WL_SURFACE_REQUEST_SET_OPAQUE_REGION, filter_surface_region},
	{&wl_surface_interface, WL_SURFACE_REQUEST_SET_INPUT_REGION, filter_surface_region},
	{&wl_region_interface, WL_REGION_REQUEST_ADD, filter_region_change},
	{&wl_region_interface, WL_REGION_REQUEST_SUBTRACT, filter_region_change},
	{&zwp_pointer_constraints_v1_interface, ZWP_POINTER_CONSTRAINTS_V1_REQUEST_LOCK_POINTER,
		filter_constrain_pointer},
	{&zwp_pointer_constraints_v1_interface, ZWP_POINTER_CONSTRAINTS_V1_REQUEST_CONFINE_POINTER,
		filter_constrain_pointer},
	{&zwp_locked_pointer_v1_interface, ZWP_LOCKED_POINTER_V1_REQUEST_SET_REGION, filter_pointer_region},
	{&zwp_confined_pointer_v1_interface, ZWP_CONFINED_POINTER_V1_REQUEST_SET_REGION,
		filter_pointer_region},
	{&wl_surface_interface, WL_SURFACE_REQUEST_OFFSET, filter_surface_offset},
	{&wl_surface_interface, WL_SURFACE_REQUEST_SET_BUFFER_SCALE, filter_surface_scale},
	{&wp_viewporter_interface, WP_VIEWPORTER_REQUEST_GET_VIEWPORT, filter_viewport_create},
	{&wp_viewport_interface, WP_VIEWPORT_REQUEST_SET_DESTINATION, filter_viewport_size},
	{&wl_subcompositor_interface, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE, filter_subsurface},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_DESTROY, filter_subsurface_change},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_SET_POSITION, filter_subsurface_move},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_PLACE_ABOVE, filter_subsurface_place},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_PLACE_BELOW, filter_subsurface_place},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_SET_SYNC, filter_subsurface_change},
	{&wl_subsurface_interface, WL_SUBSURFACE_REQUEST_SET_DESYNC, filter_subsurface_change},
	{&wl_pointer_interface, WL_POINTER_REQUEST_SET_CURSOR, filter_pointer_cursor},
	{&zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_REQUEST_SET_CURSOR, filter_pointer_cursor},
	{&xdg_positioner_interface, XDG_POSITIONER_REQUEST_SET_SIZE, filter_positioner_size},
	{&xdg_wm_base_interface, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, filter_xdg_surface_create},
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_DESTROY, filter_xdg_surface_destroy},
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_GET_POPUP, filter_popup_create},
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, filter_toplevel_create},
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_ACK_CONFIGURE, filter_window_change},
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_SET_WINDOW_GEOMETRY, filter_window_change},
	{&xdg_popup_interface, XDG_POPUP_REQUEST_DESTROY, filter_role_destroy},
	{&xdg_popup_interface, XDG_POPUP_REQUEST_GRAB, filter_popup_grab},
	{&xdg_popup_interface, XDG_POPUP_REQUEST_REPOSITION, filter_popup_reposition},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_DESTROY, filter_role_destroy},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_PARENT, filter_set_parent},
	{&zxdg_decoration_manager_v1_interface, ZXDG_DECORATION_MANAGER_V1_REQUEST_GET_TOPLEVEL_DECORATION,
		filter_decoration_create},
	{&zxdg_toplevel_decoration_v1_interface, ZXDG_TOPLEVEL_DECORATION_V1_REQUEST_DESTROY,
		filter_decoration_destroy},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE, filter_set_title},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID, filter_set_app_id},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, filter_by_gesture},
	{&xdg_activation_token_v1_interface, XDG_ACTIVATION_TOKEN_V1_REQUEST_SET_APP_ID, filter_set_app_id},
	{&xdg_activation_v1_interface, XDG_ACTIVATION_V1_REQUEST_ACTIVATE, filter_activate},

	{&wl_data_device_manager_interface, WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE,
		filter_offer_source},
	{&wl_data_source_interface, WL_DATA_SOURCE_REQUEST_OFFER, filter_source_offer},
	{&wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION, filter_set_selection},
	{&wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG, filter_start_drag},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_ACCEPT, filter_accept},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_SET_ACTIONS, filter_set_actions},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE, filter_receive},
	{&zwp_primary_selection_device_manager_v1_interface,
		ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_REQUEST_CREATE_SOURCE, filter_offer_source},
	{&zwp_primary_selection_source_v1_interface, ZWP_PRIMARY_SELECTION_SOURCE_V1_REQUEST_OFFER,
		filter_source_offer},
	{&zwp_primary_selection_device_v1_interface, ZWP_PRIMARY_SELECTION_DEVICE_V1_REQUEST_SET_SELECTION,
		filter_set_selection},
	{&zwp_primary_selection_offer_v1_interface, ZWP_PRIMARY_SELECTION_OFFER_V1_REQUEST_RECEIVE,
		filter_receive},

	{&zwp_text_input_v3_interface, ZWP_TEXT_INPUT_V3_REQUEST_ENABLE, filter_text_enable},
	{&zwp_text_input_v3_interface, ZWP_TEXT_INPUT_V3_REQUEST_SET_SURROUNDING_TEXT,
		filter_surrounding_text},
};

enum verdict filter_request(struct passage *passage) {
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].interface == passage->interface && rules[i].opcode == passage->message.opcode) {
			return rules[i].check(passage);
		}
	}
	return passage->fd_count > 0 ? filter_break(passage, "it takes no descriptors") : FILTER_PASS;
}
