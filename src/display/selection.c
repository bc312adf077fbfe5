/*
 * The clipboard, the primary selection, drag and drop. Runs on the display's loop. The guest is hostile: it
 * asks for the host's data at any time. It gets them when the policy and the user's keys say so; at other
 * times its reader finds nothing there, since programs ask in good faith, too.
 *
 * What the VM's own programs offer is theirs at any time. It is known by a type that is offered with it,
 * which no VM's programs ever see.
 */
#include "display/filter_parts.h"
#include "ph/text.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_COST 32u /* bytes that a type costs the compositor beside its own */

/* What an offer is, in its object. */
enum {
	OFFER_OWN = 1, /* it has the mark */
	OFFER_SELECTION = 2,
	OFFER_DRAGGED = 4,
	OFFER_DROPPED = 8,
	OFFER_ANSWERED = 16,
	OFFER_ACTIONS = 8, /* shift of what the program would do with it, and of what it would rather do */
	OFFER_PREFERRED = 16,
	OFFER_ANSWER_MASK = 0xff,
	OFFER_TYPE = 32, /* shift of a number for the type that it would take */
};

static struct wire_object *live(const struct filter *filter, uint32_t id) {
	struct wire_object *object = wire_objects_find(&filter->objects, id);
	return object != NULL && !object->dead ? object : NULL;
}

static uintptr_t flags_of(const struct wire_object *object) {
	return (uintptr_t)object->data;
}

static void add_flags(struct filter *filter, uint32_t id, uintptr_t flags) {
	struct wire_object *object = live(filter, id);
	if (object != NULL && (object->interface == &wl_data_offer_interface ||
				      object->interface == &zwp_primary_selection_offer_v1_interface)) {
		object->data = (void *)(flags_of(object) | flags);
	}
}

/* ---- what the guest offers ---- */

enum verdict filter_offer_source(struct passage *passage) {
	struct filter *filter = passage->filter;
	struct wire_object *object = wire_objects_find(&filter->objects, passage->args[0].object);
	object->data = calloc(1, sizeof(struct filter_source));
	if (object->data == NULL) {
		return filter_break(passage, "no memory for the source");
	}
	enum verdict verdict = filter_forward(passage, &filter->to_host);
	bool primary = passage->interface != &wl_data_device_manager_interface;
	const struct wl_interface *source =
		primary ? &zwp_primary_selection_source_v1_interface : &wl_data_source_interface;
	uint16_t opcode =
		primary ? ZWP_PRIMARY_SELECTION_SOURCE_V1_REQUEST_OFFER : WL_DATA_SOURCE_REQUEST_OFFER;
	const union wire_arg args[] = {{.string = filter->vm->mark}};
	if (verdict == FILTER_DONE && wire_write(&filter->to_host, passage->args[0].object, opcode,
					      &source->methods[opcode], args, WIRE_LIBWAYLAND_MAX) < 0) {
		return filter_break(passage, "no memory for the source");
	}
	return verdict;
}

/* Send the message with this type; without one it goes nowhere. */
static enum verdict send_type(struct passage *passage, unsigned index, const char *type) {
	if (type == NULL) {
		return FILTER_DONE;
	}
	passage->rewritten |= passage->args[index].string != type;
	passage->args[index].string = type;
	return filter_forward(passage, &passage->filter->to_host);
}

/* Whoever gets the focus is told of all types at once, and is disconnected when it does not read as fast:
 * what is too much of a source, or of all of the VM's, is left out. Compositors may tell of those that come
 * late at once. */
enum verdict filter_source_offer(struct passage *passage) {
	struct filter_vm *vm = passage->filter->vm;
	struct filter_source *source = passage_object(passage)->data;
	char buffer[FILTER_TYPE_SIZE];
	const char *type = filter_type_outside(vm, buffer, passage->args[0].string);
	unsigned bytes = type != NULL ? (unsigned)strlen(type) : 0;
	if (type == NULL || filter_is_mark(passage->args[0].string) || source->types == FILTER_TYPES_MAX ||
		source->bytes + bytes > FILTER_TYPE_BYTES_MAX ||
		vm->type_bytes + bytes + TYPE_COST > FILTER_VM_TYPES_MAX) {
		return FILTER_DONE;
	}
	vm->type_bytes += bytes + TYPE_COST;
	source->types++;
	source->bytes += bytes;
	if (source->standing > 0) {
		vm->offered += bytes;
		vm->news.bytes -= bytes;
	}
	return send_type(passage, 0, type);
}

/* NULL: there is none. */
static struct filter_source *source_of(const struct filter *filter, uint32_t id) {
	const struct wire_object *object = live(filter, id);
	return object != NULL ? object->data : NULL;
}

/* From now on others may be told of the source. A compositor that refuses it, or what is to replace it, does
 * not say so. */
static void stand(struct passage *passage, uint32_t id) {
	struct filter_source *source = source_of(passage->filter, id);
	if (source != NULL) {
		source->used = true;
	}
	if (source != NULL && source->standing++ == 0) {
		passage->filter->vm->offered += source->bytes;
	}
}

enum verdict filter_source_cancelled(struct passage *passage) {
	struct filter_source *source = passage_object(passage)->data;
	if (source != NULL && source->standing > 0 && --source->standing == 0) {
		passage->filter->vm->offered -= source->bytes;
	}
	return FILTER_PASS;
}

void filter_source_release(struct filter_vm *vm, struct wire_object *object) {
	const struct filter_source *source = object->data;
	if (source != NULL) {
		vm->type_bytes -= source->bytes + source->types * TYPE_COST;
		vm->offered -= source->standing > 0 ? source->bytes : 0;
	}
	free(object->data);
	object->data = NULL;
}

/* An event with a type, or none. Nothing is behind a mark alone, for those of the host's who collect all
 * types.
 */
enum verdict filter_source_type(struct passage *passage) {
	const char *type = passage->args[0].string;
	const char *inside = type != NULL ? filter_type_inside(passage->filter->vm, type) : NULL;
	passage->rewritten |= inside != type;
	passage->args[0].string = inside;
	return inside != NULL || type == NULL ? FILTER_PASS : FILTER_DONE;
}

static bool has_serial(const struct filter *filter, uint32_t serial) {
	unsigned count = filter->serial_count < FILTER_SERIALS ? filter->serial_count : FILTER_SERIALS;
	for (unsigned i = 0; i < count; i++) {
		if (filter->serials[i] == serial) {
			return true;
		}
	}
	return false;
}

/* The program learns that its offer does not stand. */
static enum verdict refuse_source(struct passage *passage, uint32_t id) {
	const struct wire_object *source = live(passage->filter, id);
	if (source == NULL) {
		return FILTER_DONE;
	}
	uint16_t opcode = source->interface == &wl_data_source_interface
				  ? WL_DATA_SOURCE_EVENT_CANCELLED
				  : ZWP_PRIMARY_SELECTION_SOURCE_V1_EVENT_CANCELLED;
	enum verdict verdict = filter_answer(passage, id, source->interface, opcode);
	return verdict == FILTER_PASS ? FILTER_DONE : verdict;
}

enum verdict filter_set_selection(struct passage *passage) {
	const struct filter *filter = passage->filter;
	const struct filter_source *source = source_of(filter, passage->args[0].object);
	bool dragged = source != NULL && source->dragged;
	bool may = filter->vm->clipboard == DISPLAY_CLIPBOARD_ON ||
		   (filter->vm->clipboard != DISPLAY_CLIPBOARD_OFF && has_serial(filter, passage->args[1].u));
	if (!may || dragged) {
		return refuse_source(passage, passage->args[0].object);
	}
	stand(passage, passage->args[0].object);
	return FILTER_PASS;
}

/* Without a source nothing leaves the program's own windows. One that was dragged may still be so, for the
 * compositor. */
enum verdict filter_start_drag(struct passage *passage) {
	const struct filter *filter = passage->filter;
	uint32_t id = passage->args[0].object;
	struct filter_source *source = source_of(filter, id);
	if (source != NULL && (source->used || filter->vm->clipboard == DISPLAY_CLIPBOARD_OFF)) {
		return refuse_source(passage, id);
	}
	if (source != NULL) {
		source->dragged = true;
	}
	stand(passage, id);
	return filter_set_icon(passage, passage->args + 2);
}

/* ---- what the host offers ---- */

enum verdict filter_offer_type(struct passage *passage) {
	if (strcmp(passage->args[0].string, passage->filter->vm->mark) == 0) {
		add_flags(passage->filter, passage->message.object, OFFER_OWN);
	}
	return filter_source_type(passage);
}

enum verdict filter_selection(struct passage *passage) {
	add_flags(passage->filter, passage->args[0].object, OFFER_SELECTION);
	return FILTER_PASS;
}

/* A device has the id of the offer that is dragged over its windows. */
enum verdict filter_drag(struct passage *passage) {
	struct wire_object *device = passage_object(passage);
	uint32_t offer = 0;
	switch (passage->message.opcode) {
	case WL_DATA_DEVICE_EVENT_ENTER:
		offer = passage->args[4].object;
		add_flags(passage->filter, offer, OFFER_DRAGGED);
		break;
	case WL_DATA_DEVICE_EVENT_DROP:
		passage->filter->vm->may_grab = true; /* to ask what is to be done with it */
		add_flags(passage->filter, (uint32_t)(uintptr_t)device->data, OFFER_DROPPED);
		break;
	default:
		break;
	}
	device->data = (void *)(uintptr_t)offer;
	return FILTER_PASS;
}

/* Not the same for two types, or hardly ever; 0 for none that was said yet. */
static uint32_t number_of(const char *type) {
	return type != NULL ? text_hash(0, type) | 2 : 1;
}

/* Programs say what they think of what is dragged each time that it moves: whoever offers it hears of what
 * changes, which counts as news. */
static enum verdict change_offer(struct passage *passage, uintptr_t mask, uintptr_t value) {
	struct wire_object *offer = passage_object(passage);
	if ((flags_of(offer) & mask) == value) {
		return FILTER_DONE;
	}
	offer->data = (void *)((flags_of(offer) & ~mask) | value);
	return FILTER_PASS;
}

/* What the compositor calls a type of this offer. */
static const char *type_of(const struct passage *passage, char buffer[FILTER_TYPE_SIZE], const char *type) {
	bool own = (flags_of(passage_object(passage)) & OFFER_OWN) != 0;
	return own ? filter_type_outside(passage->filter->vm, buffer, type) : type;
}

enum verdict filter_accept(struct passage *passage) {
	const char *type = passage->args[1].string;
	uintptr_t number = number_of(type);
	char buffer[FILTER_TYPE_SIZE];
	enum verdict verdict =
		change_offer(passage, (uintptr_t)UINT32_MAX << OFFER_TYPE, number << OFFER_TYPE);
	return verdict == FILTER_PASS && type != NULL ? send_type(passage, 1, type_of(passage, buffer, type))
						      : verdict;
}

enum verdict filter_set_actions(struct passage *passage) {
	const uintptr_t each = OFFER_ANSWER_MASK;
	uintptr_t actions = passage->args[0].u, preferred = passage->args[1].u;
	if (actions > each || preferred > each) {
		return filter_break(passage, "there are no actions 0x%x and 0x%x", passage->args[0].u,
			passage->args[1].u);
	}
	return change_offer(passage, OFFER_ANSWERED | each << OFFER_ACTIONS | each << OFFER_PREFERRED,
		OFFER_ANSWERED | actions << OFFER_ACTIONS | preferred << OFFER_PREFERRED);
}

static bool is_recent(const struct filter_vm *vm, uint64_t when) {
	return when != 0 && vm->now() - when <= FILTER_PASTE_NS;
}

static bool may_receive(const struct filter *filter, const struct wire_object *offer) {
	const struct filter_vm *vm = filter->vm;
	bool primary = offer->interface == &zwp_primary_selection_offer_v1_interface;
	uintptr_t flags = flags_of(offer);
	if ((flags & OFFER_OWN) != 0 || vm->clipboard == DISPLAY_CLIPBOARD_ON) {
		return true;
	}
	if (vm->clipboard == DISPLAY_CLIPBOARD_OFF) {
		return false;
	}
	if ((flags & OFFER_DRAGGED) != 0) {
		return (flags & OFFER_DROPPED) != 0;
	}
	if (vm->clipboard == DISPLAY_CLIPBOARD_FOCUS) {
		return vm->focused > 0;
	}
	return is_recent(vm, primary ? vm->primary_ns : vm->clipboard_ns);
}

/* Whoever may not have it reads an end of file. */
enum verdict filter_receive(struct passage *passage) {
	if (passage->kinds[0] != FILTER_FD_PIPE) {
		return filter_break(passage, "the descriptor is no pipe");
	}
	if (!may_receive(passage->filter, passage_object(passage))) {
		return FILTER_DONE;
	}
	char buffer[FILTER_TYPE_SIZE];
	return send_type(passage, 0, type_of(passage, buffer, passage->args[0].string));
}
