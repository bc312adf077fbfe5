/*
 * News: what a compositor tells others of because the guest asked for something: new windows, titles and
 * states, to taskbars; selections, to whoever has the focus; texts, to input methods. It tells them at once,
 * and disconnects those whose sockets do not hold it: so a VM has an allowance of it, and who has used that
 * up waits. Nothing is dropped, or the last title would be lost. Runs on the display's loop. Texts and sizes
 * are hostile.
 */
#include "display/filter_parts.h"

#include <string.h>

#define NEWS_COST 256u     /* of any, in bytes: what a socket has beside those of a message */
#define NEWS_WINDOW 1024u  /* a window appears, with title and all, or goes */
#define NEWS_FILE 1024u    /* a descriptor goes to whoever has the selection */
#define WAIT_MIN 20000000u /* ns: timers for each message are not worth it */

static const struct {
	const struct wl_interface *interface;
	uint16_t opcode;
	uint16_t cost; /* bytes, beside those of the message and what is known of its objects */
} news[] = {
	{&xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_PARENT, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_MAXIMIZED, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_UNSET_MAXIMIZED, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_UNSET_FULLSCREEN, NEWS_COST},
	{&xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_MINIMIZED, NEWS_COST},
	{&xdg_activation_v1_interface, XDG_ACTIVATION_V1_REQUEST_ACTIVATE, NEWS_COST},
	/* Nobody is told of these, but compositors keep them for a while, without their objects, too. */
	{&xdg_activation_token_v1_interface, XDG_ACTIVATION_TOKEN_V1_REQUEST_COMMIT, NEWS_COST},
	{&zwp_text_input_v3_interface, ZWP_TEXT_INPUT_V3_REQUEST_COMMIT, NEWS_COST},
	{&wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION, NEWS_COST},
	{&wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG, NEWS_COST},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_ACCEPT, NEWS_COST},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_SET_ACTIONS, NEWS_COST},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_FINISH, NEWS_COST},
	{&wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE, NEWS_COST + NEWS_FILE},
	{&zwp_primary_selection_device_v1_interface, ZWP_PRIMARY_SELECTION_DEVICE_V1_REQUEST_SET_SELECTION,
		NEWS_COST},
	{&zwp_primary_selection_offer_v1_interface, ZWP_PRIMARY_SELECTION_OFFER_V1_REQUEST_RECEIVE,
		NEWS_COST + NEWS_FILE},
};

/* A window is told of when it is first shown, or shown again. The focus may change with it, and whoever gets
 * that, or has what is dragged above it then, is told of the types. */
static unsigned cost_of_commit(const struct filter *filter, const struct wire_object *object) {
	const struct filter_surface *surface = object->data;
	bool changes = surface != NULL && surface->is_window &&
		       (surface->pending.buffer_width > 0) != (surface->committed.buffer_width > 0);
	return changes ? NEWS_WINDOW + filter->vm->offered : 0;
}

/* Input methods are told all of the text that was said last, at each commit. */
enum verdict filter_surrounding_text(struct passage *passage) {
	passage_object(passage)->data = (void *)strlen(passage->args[0].string);
	return FILTER_PASS;
}

enum verdict filter_text_enable(struct passage *passage) {
	passage_object(passage)->data = NULL;
	return FILTER_PASS;
}

static unsigned cost_of_text(const struct wire_object *object) {
	return object->interface == &zwp_text_input_v3_interface ? (unsigned)(uintptr_t)object->data : 0;
}

/* Of all types of a source that the message names first, if it does. */
static unsigned cost_of_source(const struct filter *filter, const struct wire_message *message) {
	uint32_t id = 0;
	if (message->size >= WIRE_HEADER_SIZE + sizeof(id)) {
		memcpy(&id, message->data + WIRE_HEADER_SIZE, sizeof(id));
	}
	const struct wire_object *object = wire_objects_find(&filter->objects, id);
	const struct filter_source *source =
		object != NULL && filter_is_source(object->interface) ? object->data : NULL;
	return source != NULL ? source->bytes : 0;
}

unsigned filter_news_cost(const struct filter *filter, const struct wire_message *message) {
	const struct wire_object *object = wire_objects_find(&filter->objects, message->object);
	if (object == NULL) {
		return 0;
	}
	if (object->interface == &wl_surface_interface) {
		return message->opcode == WL_SURFACE_REQUEST_COMMIT ? cost_of_commit(filter, object) : 0;
	}
	for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
		if (news[i].interface == object->interface && news[i].opcode == message->opcode) {
			return news[i].cost + cost_of_text(object) + cost_of_source(filter, message);
		}
	}
	return 0;
}

/* ---- the allowance ---- */

/* Input methods are told of texts, and nobody else: who types fast has titles all the same. */
struct filter_allowance *filter_news_allowance(
	const struct filter *filter, const struct wire_message *message) {
	const struct wire_object *object = wire_objects_find(&filter->objects, message->object);
	bool is_text = object != NULL && object->interface == &zwp_text_input_v3_interface;
	return is_text ? &filter->vm->texts : &filter->vm->news;
}

bool filter_news_allowed(const struct filter_vm *vm, struct filter_allowance *allowance) {
	uint64_t earned = (vm->now() - allowance->ns) / allowance->byte_ns;
	allowance->ns += earned * allowance->byte_ns;
	bool full = earned >= FILTER_NEWS_MAX || allowance->bytes + (int64_t)earned > FILTER_NEWS_MAX;
	allowance->bytes = full ? FILTER_NEWS_MAX : allowance->bytes + (int64_t)earned;
	return allowance->bytes > 0;
}

static uint64_t wait_for(const struct filter_vm *vm, struct filter_allowance *allowance) {
	return filter_news_allowed(vm, allowance) ? 0 : (uint64_t)(1 - allowance->bytes) * allowance->byte_ns;
}

/* Until the first of those that are used up is not. */
uint64_t filter_news_wait(struct filter_vm *vm) {
	uint64_t wait = wait_for(vm, &vm->news), texts = wait_for(vm, &vm->texts);
	wait = wait == 0 || (texts > 0 && texts < wait) ? texts : wait;
	return wait > WAIT_MIN ? wait : WAIT_MIN;
}
