/*
 * What the filter learns from the compositor's events: which objects are gone, and what the user does in the
 * VM's windows. Runs on the display's loop.
 */
#include "display/filter_parts.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>

/* A wl_keyboard's. */
struct keyboard {
	struct chord_keyboard *chords;
	bool focused;
};

/* Of input. Leaving tells a program no more than that it was entered before. What is dragged across a window
 * is not meant for it: no serial of that counts. */
static void add_serial(struct passage *passage) {
	struct filter *filter = passage->filter;
	filter->serials[filter->serial_count++ % FILTER_SERIALS] = passage->args[0].u;
}

static enum verdict note_serial(struct passage *passage) {
	add_serial(passage);
	return FILTER_PASS;
}

/* The user does something in a window of the VM. */
static void note_gesture(struct passage *passage) {
	passage->filter->vm->gesture_ns = passage->filter->vm->now();
	passage->filter->vm->may_grab = true;
}

static enum verdict note_press(struct passage *passage) {
	add_serial(passage);
	note_gesture(passage);
	return FILTER_PASS;
}

/* ---- keyboards ---- */

static struct keyboard *keyboard_of(struct passage *passage) {
	struct wire_object *object = passage_object(passage);
	if (object->data == NULL && !object->dead) {
		object->data = calloc(1, sizeof(struct keyboard));
	}
	return object->data;
}

static enum verdict take_keymap(struct passage *passage) {
	struct chords *chords = passage->filter->vm->chords;
	struct keyboard *keyboard = keyboard_of(passage);
	if (keyboard != NULL && chords != NULL) {
		chords_remove_keyboard(chords, keyboard->chords);
		keyboard->chords = passage->args[0].u == 1
					   ? chords_add_keyboard(chords, passage->fds[0], passage->args[2].u)
					   : NULL;
	}
	return FILTER_PASS;
}

static void set_focus(struct filter *filter, struct keyboard *keyboard, bool focused) {
	if (keyboard != NULL && keyboard->focused != focused) {
		keyboard->focused = focused;
		filter->vm->focused += focused ? 1u : -1u;
	}
}

static enum verdict enter_keyboard(struct passage *passage) {
	add_serial(passage);
	set_focus(passage->filter, keyboard_of(passage), true);
	return FILTER_PASS;
}

static enum verdict leave_keyboard(struct passage *passage) {
	add_serial(passage);
	set_focus(passage->filter, keyboard_of(passage), false);
	return FILTER_PASS;
}

static enum verdict set_modifiers(struct passage *passage) {
	const struct keyboard *keyboard = keyboard_of(passage);
	add_serial(passage);
	if (keyboard != NULL && keyboard->chords != NULL) {
		chords_set_modifiers(passage->filter->vm->chords, keyboard->chords, passage->args);
	}
	return FILTER_PASS;
}

static enum verdict press_key(struct passage *passage) {
	const struct keyboard *keyboard = keyboard_of(passage);
	struct filter_vm *vm = passage->filter->vm;
	add_serial(passage);
	if (passage->args[3].u == 0) {
		return FILTER_PASS;
	}
	note_gesture(passage);
	enum chord chord = CHORD_NONE;
	if (keyboard != NULL && keyboard->chords != NULL) {
		chord = chords_press(vm->chords, keyboard->chords, passage->args[2].u);
	}
	if (chord != CHORD_NONE) {
		vm->clipboard_ns = vm->now();
	}
	if (chord == CHORD_PASTE_ANY) {
		vm->primary_ns = vm->now();
	}
	return FILTER_PASS;
}

/* ---- pointers ---- */

static enum verdict press_button(struct passage *passage) {
	struct filter_vm *vm = passage->filter->vm;
	add_serial(passage);
	if (passage->args[3].u == 0) {
		return FILTER_PASS;
	}
	note_gesture(passage);
	if (passage->args[2].u == BTN_MIDDLE) {
		vm->primary_ns = vm->now();
	}
	return FILTER_PASS;
}

/* ---- objects ---- */

/* Numbers stay: of an object that is dead for the guest there may still be events. */
void filter_release(struct filter *filter, struct wire_object *object) {
	if (object->interface == &wl_surface_interface) {
		filter_surface_release(filter->vm, object);
	} else if (object->interface == &xdg_surface_interface) {
		filter_window_release(filter, object);
	} else if (object->interface == &wl_region_interface) {
		filter_region_release(filter->vm, object);
	} else if (object->interface == &zwp_locked_pointer_v1_interface ||
		   object->interface == &zwp_confined_pointer_v1_interface) {
		filter_pointer_release(filter->vm, object);
	} else if (filter_is_source(object->interface)) {
		filter_source_release(filter->vm, object);
	} else if (object->interface == &wl_keyboard_interface && object->data != NULL) {
		struct keyboard *keyboard = object->data;
		set_focus(filter, keyboard, false);
		chords_remove_keyboard(filter->vm->chords, keyboard->chords);
		free(keyboard);
		object->data = NULL;
	}
}

/* What the compositor sent for the object came before this, descriptors too. */
static enum verdict delete_id(struct passage *passage) {
	struct filter *filter = passage->filter;
	uint32_t id = passage->args[0].u;
	struct wire_object *object =
		id < WIRE_SERVER_ID_FIRST ? wire_objects_find(&filter->objects, id) : NULL;
	if (object == NULL || id == 1) {
		return filter_break(passage, "the compositor deleted object %u, which there is not", id);
	}
	if (object->gone && !object->dead) {
		object->deleted = true;
		return FILTER_DONE;
	}
	filter_remove(filter, object, id);
	return FILTER_PASS;
}

static enum verdict dmabuf_created(struct passage *passage) {
	struct wire_object *buffer = wire_objects_find(&passage->filter->objects, passage->args[0].object);
	filter_dmabuf_created(buffer, passage_object(passage));
	return FILTER_PASS;
}

static const struct {
	const struct wl_interface *interface;
	uint16_t opcode;
	enum verdict (*note)(struct passage *passage);
} notes[] = {
	{&wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, delete_id},
	{&wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL, filter_global},
	{&wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL_REMOVE, filter_global_remove},
	{&wl_shm_interface, WL_SHM_EVENT_FORMAT, filter_shm_format},
	{&zwp_linux_dmabuf_v1_interface, ZWP_LINUX_DMABUF_V1_EVENT_FORMAT, filter_dmabuf_format},
	{&zwp_linux_dmabuf_v1_interface, ZWP_LINUX_DMABUF_V1_EVENT_MODIFIER, filter_dmabuf_format},
	{&zwp_linux_buffer_params_v1_interface, ZWP_LINUX_BUFFER_PARAMS_V1_EVENT_CREATED, dmabuf_created},

	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_KEYMAP, take_keymap},
	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_ENTER, enter_keyboard},
	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_LEAVE, leave_keyboard},
	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_MODIFIERS, set_modifiers},
	{&wl_keyboard_interface, WL_KEYBOARD_EVENT_KEY, press_key},
	{&wl_pointer_interface, WL_POINTER_EVENT_ENTER, note_serial},
	{&wl_pointer_interface, WL_POINTER_EVENT_LEAVE, note_serial},
	{&wl_pointer_interface, WL_POINTER_EVENT_BUTTON, press_button},
	{&wl_touch_interface, WL_TOUCH_EVENT_DOWN, note_press},
	{&wl_touch_interface, WL_TOUCH_EVENT_UP, note_serial},
	{&zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_PROXIMITY_IN, note_serial},
	{&zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_DOWN, note_press},
	{&zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_BUTTON, note_press},

	{&xdg_popup_interface, XDG_POPUP_EVENT_POPUP_DONE, filter_popup_done},

	{&wl_data_device_interface, WL_DATA_DEVICE_EVENT_ENTER, filter_drag},
	{&wl_data_device_interface, WL_DATA_DEVICE_EVENT_LEAVE, filter_drag},
	{&wl_data_device_interface, WL_DATA_DEVICE_EVENT_DROP, filter_drag},
	{&wl_data_device_interface, WL_DATA_DEVICE_EVENT_SELECTION, filter_selection},
	{&wl_data_offer_interface, WL_DATA_OFFER_EVENT_OFFER, filter_offer_type},
	{&wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET, filter_source_type},
	{&wl_data_source_interface, WL_DATA_SOURCE_EVENT_SEND, filter_source_type},
	{&wl_data_source_interface, WL_DATA_SOURCE_EVENT_CANCELLED, filter_source_cancelled},
	{&zwp_primary_selection_device_v1_interface, ZWP_PRIMARY_SELECTION_DEVICE_V1_EVENT_SELECTION,
		filter_selection},
	{&zwp_primary_selection_offer_v1_interface, ZWP_PRIMARY_SELECTION_OFFER_V1_EVENT_OFFER,
		filter_offer_type},
	{&zwp_primary_selection_source_v1_interface, ZWP_PRIMARY_SELECTION_SOURCE_V1_EVENT_SEND,
		filter_source_type},
	{&zwp_primary_selection_source_v1_interface, ZWP_PRIMARY_SELECTION_SOURCE_V1_EVENT_CANCELLED,
		filter_source_cancelled},
};

enum verdict filter_event(struct passage *passage) {
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		if (notes[i].interface == passage->interface && notes[i].opcode == passage->message.opcode) {
			return notes[i].note(passage);
		}
	}
	return FILTER_PASS;
}
