/*
 * What surfaces may do on the user's screen: the VM's name on windows; pointers and icons of bounded size, so
 * that none of them can cover what is not the VM's; so are popups, but not their subsurfaces; fullscreen and
 * activation only for a user who is at one of the VM's windows. Runs on the display's loop. All
 * numbers and texts are hostile.
 */
#include "display/filter_parts.h"

#include "ph/text.h"

#include <stdio.h>
#include <stdlib.h>

/* In pixels, before any scaling down. */
#define CURSOR_MAX 512
#define ICON_MAX 1024
#define ICON_DEPTH 2 /* subsurfaces in each other in an icon: Firefox draws a tab into one */
#define POPUP_MAX 8192
#define POSITIONER_MAX 4096
/* Rectangles that the compositor has of a surface until it is committed: each one more costs it a walk
 * through all. */
#define DAMAGE_MAX 256
#define OFFSET_VERSION 5 /* of surfaces from which on a buffer does not come with an offset */
/* Commits of subsurfaces that wait for the same surface's, and how deep subsurfaces lie in each other. */
#define WAITING_MAX 1024
#define DEPTH_MAX 64
#define TOO_DEEP "more than %u subsurfaces in each other"

struct filter_surface *filter_surface_of(struct passage *passage, uint32_t id) {
	struct wire_object *object = wire_objects_find(&passage->filter->objects, id);
	if (object == NULL || object->interface != &wl_surface_interface || object->dead) {
		return NULL;
	}
	if (object->data == NULL) {
		struct filter_surface *surface = calloc(1, sizeof(*surface));
		if (surface != NULL) {
			surface->serial = ++passage->filter->surfaces;
		}
		object->data = surface;
	}
	return object->data;
}

/* What a subsurface is in; NULL: it is none, or that is gone, and the id another's. */
static struct filter_surface *parent_of(struct passage *passage, const struct filter_surface *surface) {
	struct filter_surface *parent =
		surface->parent != 0 ? filter_surface_of(passage, surface->parent) : NULL;
	return parent != NULL && parent->serial == surface->parent_serial ? parent : NULL;
}

/* What waits for it is shown, or never will be. */
static void release_waiting(struct filter_vm *vm, struct filter_surface *surface) {
	vm->waiting_commits -= surface->waiting;
	vm->region_boxes -= surface->waiting_boxes;
	surface->waiting = surface->waiting_boxes = 0;
}

void filter_surface_release(struct filter_vm *vm, struct wire_object *object) {
	struct filter_surface *surface = object->data;
	if (surface != NULL) {
		release_waiting(vm, surface);
		vm->region_boxes -= surface->opaque_boxes + surface->input_boxes + surface->committed_boxes;
	}
	free(object->data);
	object->data = NULL;
}

/* ---- sizes ---- */

static int32_t largest(enum filter_role role) {
	switch (role) {
	case ROLE_CURSOR:
		return CURSOR_MAX;
	case ROLE_ICON:
		return ICON_MAX;
	case ROLE_POPUP:
		return POPUP_MAX;
	default:
		return INT32_MAX;
	}
}

static bool fits(enum filter_role role, const struct filter_size *size) {
	int32_t most = largest(role);
	return size->buffer_width <= most && size->buffer_height <= most && size->width <= most &&
	       size->height <= most;
}

static bool is_picture(enum filter_role role) {
	return role == ROLE_CURSOR || role == ROLE_ICON;
}

static const char *name_of(enum filter_role role) {
	return role == ROLE_CURSOR ? "pointer" : role == ROLE_ICON ? "icon" : "popup";
}

/* What is in it already was not bound to what an icon is, nor is anything that is in a pointer. */
static bool has_others(const struct filter_surface *surface, enum filter_role role) {
	return is_picture(role) && surface->role != role && surface->has_children;
}

static enum verdict check_size(
	struct passage *passage, enum filter_role role, const struct filter_size *size) {
	if (!fits(role, size)) {
		return filter_break(passage, "a %s of %dx%d, shown as %dx%d, at most %d", name_of(role),
			size->buffer_width, size->buffer_height, size->width, size->height, largest(role));
	}
	return FILTER_PASS;
}

/* What the surface already shows has the new role, too, without being committed once more. */
enum verdict filter_set_role(struct passage *passage, uint32_t id, enum filter_role role) {
	struct filter_surface *surface = filter_surface_of(passage, id);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	if (surface->role != role && is_picture(surface->role)) {
		return filter_break(passage, "a %s that is to be something else", name_of(surface->role));
	}
	if (has_others(surface, role)) {
		return filter_break(passage, "a part of an icon with subsurfaces of another size");
	}
	if (surface->role != role) {
		surface->offset_x = surface->offset_y = 0;
		surface->move_x = surface->move_y = 0;
	}
	surface->role = role;
	enum verdict verdict = check_size(passage, role, &surface->committed);
	return verdict == FILTER_PASS ? check_size(passage, role, &surface->pending) : verdict;
}

/* Programs draw what is dragged as large as it is, and have pointers for huge screens: what is too large is
 * not shown, nor what has subsurfaces already, and costs nobody the connection. The argument is the
 * surface's. */
static enum verdict set_picture(struct passage *passage, union wire_arg *arg, enum filter_role role) {
	const struct filter_surface *surface = filter_surface_of(passage, arg->object);
	if (surface != NULL && (has_others(surface, role) || !fits(role, &surface->committed) ||
				       !fits(role, &surface->pending))) {
		arg->object = 0;
		passage->rewritten = true;
		return FILTER_PASS;
	}
	return filter_set_role(passage, arg->object, role);
}

/* What moves a pointer's image away from the pointer. A window may move as it likes; an icon a bit. The last
 * move before a commit is the one that counts. */
static void limit_offset(struct passage *passage, struct filter_surface *surface, union wire_arg *xy) {
	if (surface->role == ROLE_OTHER || surface->role == ROLE_POPUP) {
		return;
	}
	surface->move_x = surface->move_y = 0;
	int64_t x = surface->offset_x + xy[0].i, y = surface->offset_y + xy[1].i;
	bool moves = xy[0].i != 0 || xy[1].i != 0;
	if (!moves || (surface->role == ROLE_ICON && llabs(x) <= ICON_MAX && llabs(y) <= ICON_MAX)) {
		surface->move_x = xy[0].i;
		surface->move_y = xy[1].i;
		return;
	}
	xy[0].i = xy[1].i = 0;
	passage->rewritten = true;
}

enum verdict filter_surface_attach(struct passage *passage) {
	struct filter_surface *surface = filter_surface_of(passage, passage->message.object);
	const struct wire_object *buffer =
		wire_objects_find(&passage->filter->objects, passage->args[0].object);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	surface->pending.buffer_width = buffer != NULL ? filter_width(buffer) : 0;
	surface->pending.buffer_height = buffer != NULL ? filter_height(buffer) : 0;
	surface->unused = 0;
	const union wire_arg *xy = passage->args + 1;
	bool has_offset = passage_object(passage)->version >= OFFSET_VERSION;
	if (!has_offset || xy[0].i != 0 || xy[1].i != 0) {
		limit_offset(passage, surface, passage->args + 1);
	}
	if (is_picture(surface->role) && !fits(surface->role, &surface->pending)) {
		surface->pending.buffer_width = surface->pending.buffer_height = 0;
		surface->unused = passage->args[0].object;
		passage->args[0].object = 0;
		passage->rewritten = true;
	}
	return check_size(passage, surface->role, &surface->pending);
}

/* The compositor does not know of it, and would never say that the program may have it back. */
static enum verdict release_unused(struct passage *passage, struct filter_surface *surface) {
	uint32_t id = surface->unused;
	const struct wire_object *buffer = wire_objects_find(&passage->filter->objects, id);
	surface->unused = 0;
	if (buffer == NULL || buffer->interface != &wl_buffer_interface || buffer->dead) {
		return FILTER_PASS;
	}
	return filter_answer(passage, id, &wl_buffer_interface, WL_BUFFER_EVENT_RELEASE);
}

/* With which surface what this one commits counts while it waits (NULL: it does not): with its parent; with
 * itself if it is not synchronized but for what it is in, since wlroots does not show that with what it is
 * in. False: it is too deep inside others, or in itself, which is for the compositor to say. */
static bool find_awaited(
	struct passage *passage, struct filter_surface *surface, struct filter_surface **awaited) {
	const struct filter_surface *at = surface;
	unsigned depth = 0;
	*awaited = NULL;
	for (; at != NULL && at->parent != 0 && depth < DEPTH_MAX; depth++) {
		struct filter_surface *parent = parent_of(passage, at);
		if (*awaited == NULL && at->synchronized && parent != NULL) {
			*awaited = at == surface ? parent : surface;
		}
		at = parent;
	}
	return depth < DEPTH_MAX;
}

/* A commit takes copies of both regions with it. While it waits for another surface's (NULL: it does not),
 * those that were committed before are still in use. */
static enum verdict count_regions(
	struct passage *passage, struct filter_surface *surface, struct filter_surface *awaited) {
	unsigned boxes = surface->opaque_boxes + surface->input_boxes;
	bool replaces = awaited == NULL || boxes > surface->committed_boxes;
	if (replaces && filter_count_boxes(passage, &surface->committed_boxes, boxes) != FILTER_PASS) {
		return FILTER_BREAK;
	}
	return awaited == NULL
		       ? FILTER_PASS
		       : filter_count_boxes(passage, &awaited->waiting_boxes, awaited->waiting_boxes + boxes);
}

/* What waits for one surface waits for the other one's from now on. */
static void hand_on(struct filter_surface *from, struct filter_surface *to) {
	if (from != to) {
		to->waiting += from->waiting;
		to->waiting_boxes += from->waiting_boxes;
		from->waiting = from->waiting_boxes = 0;
	}
}

static enum verdict check_waiting(struct passage *passage, const struct filter_surface *surface) {
	if (surface->waiting > WAITING_MAX) {
		return filter_break(
			passage, "more than %u commits that wait for another surface's", WAITING_MAX);
	}
	return passage->filter->vm->waiting_commits <= FILTER_WAITING_MAX
		       ? FILTER_PASS
		       : filter_break(passage, "more than %u commits of the VM that wait for other surfaces'",
				 FILTER_WAITING_MAX);
}

/* Compositors keep all that a synchronized subsurface commits until what it is in is shown: once that is
 * committed or, if it is a synchronized subsurface itself, once that is no longer kept. */
static enum verdict count_waiting(struct passage *passage, struct filter_surface *surface) {
	struct filter_vm *vm = passage->filter->vm;
	struct filter_surface *awaited;
	if (!find_awaited(passage, surface, &awaited)) {
		return filter_break(passage, TOO_DEEP, DEPTH_MAX);
	}
	if (awaited == NULL) {
		release_waiting(vm, surface);
		return count_regions(passage, surface, NULL);
	}
	hand_on(surface, awaited);
	awaited->waiting++;
	vm->waiting_commits++;
	enum verdict verdict = count_regions(passage, surface, awaited);
	return verdict == FILTER_PASS ? check_waiting(passage, awaited) : verdict;
}

/* It is not synchronized any more, but still waits, for what it is in: any of what waits for that may be its
 * own, and goes on waiting. */
static enum verdict keep_waiting(struct passage *passage, struct filter_surface *surface) {
	struct filter_vm *vm = passage->filter->vm;
	struct filter_surface *awaited;
	bool fits = find_awaited(passage, surface, &awaited);
	if (!fits || awaited == NULL) {
		return FILTER_PASS;
	}
	const struct filter_surface *at = surface;
	while ((at = parent_of(passage, at)) != NULL) {
		surface->waiting += at->waiting;
		surface->waiting_boxes += at->waiting_boxes;
		vm->waiting_commits += at->waiting;
		vm->region_boxes += at->waiting_boxes;
	}
	return check_waiting(passage, surface);
}

enum verdict filter_surface_commit(struct passage *passage) {
	struct filter_surface *surface = filter_surface_of(passage, passage->message.object);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	struct filter_window *window = filter_window_of(passage->filter, surface);
	if (window != NULL && filter_window_is_over(window)) {
		return FILTER_DONE;
	}
	if (count_waiting(passage, surface) != FILTER_PASS) {
		return FILTER_BREAK;
	}
	surface->committed = surface->pending;
	surface->offset_x += surface->move_x;
	surface->offset_y += surface->move_y;
	surface->move_x = surface->move_y = 0;
	surface->damages = 0;
	if (window != NULL) {
		return filter_window_commit(passage, window, surface->committed.buffer_width > 0);
	}
	return surface->unused != 0 ? release_unused(passage, surface) : FILTER_PASS;
}

enum verdict filter_surface_scale(struct passage *passage) {
	return passage->args[0].i > 0 ? FILTER_PASS : filter_break(passage, "%d", passage->args[0].i);
}

enum verdict filter_surface_offset(struct passage *passage) {
	struct filter_surface *surface = filter_surface_of(passage, passage->message.object);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	limit_offset(passage, surface, passage->args);
	return FILTER_PASS;
}

/* The last rectangle that there is room for is one around all, and what follows is in it. */
enum verdict filter_surface_damage(struct passage *passage) {
	struct filter_surface *surface = filter_surface_of(passage, passage->message.object);
	if (surface == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	if (surface->damages == DAMAGE_MAX) {
		return FILTER_DONE;
	}
	if (++surface->damages == DAMAGE_MAX) {
		union wire_arg *args = passage->args;
		args[0].i = args[1].i = 0;
		args[2].i = args[3].i = INT32_MAX;
		passage->rewritten = true;
	}
	return FILTER_PASS;
}

/* A viewport has its surface's id. */
enum verdict filter_viewport_create(struct passage *passage) {
	struct wire_object *viewport = wire_objects_find(&passage->filter->objects, passage->args[0].object);
	viewport->data = (void *)(uintptr_t)passage->args[1].object;
	return FILTER_PASS;
}

/* The first two arguments. */
static void limit(struct passage *passage, int32_t least, int32_t most) {
	for (unsigned i = 0; i < 2; i++) {
		int32_t *value = &passage->args[i].i;
		if (*value < least || *value > most) {
			*value = *value < least ? least : most;
			passage->rewritten = true;
		}
	}
}

/* Not to have a size where there has to be one would break a rule of the compositor's. */
static void limit_size(struct passage *passage, int32_t most) {
	limit(passage, INT32_MIN, most);
}

enum verdict filter_viewport_size(struct passage *passage) {
	uint32_t id = (uint32_t)(uintptr_t)passage_object(passage)->data;
	struct filter_surface *surface = filter_surface_of(passage, id);
	if (surface == NULL) {
		return FILTER_PASS; /* it is gone, which is for the compositor to say */
	}
	if (is_picture(surface->role)) {
		limit_size(passage, largest(surface->role));
	}
	surface->pending.width = passage->args[0].i;
	surface->pending.height = passage->args[1].i;
	return check_size(passage, surface->role, &surface->pending);
}

/* ---- roles ---- */

/* Compositors call themselves once for each that is in another. What was below a surface counts there for as
 * long as there is the surface: nobody knows what else is. */
static enum verdict check_depth(
	struct passage *passage, const struct filter_surface *child, struct filter_surface *parent) {
	unsigned height = child->height;
	for (; parent != NULL; parent = parent_of(passage, parent)) {
		if (++height == DEPTH_MAX) {
			return filter_break(passage, TOO_DEEP, DEPTH_MAX);
		}
		parent->height = height > parent->height ? height : parent->height;
	}
	return FILTER_PASS;
}

/* What is in an icon is bound to what the icon is. */
static enum verdict set_child_role(
	struct passage *passage, uint32_t id, const struct filter_surface *parent) {
	if (parent->role != ROLE_ICON) {
		return parent->role == ROLE_CURSOR ? filter_break(passage, "a pointer with subsurfaces")
						   : filter_set_role(passage, id, ROLE_OTHER);
	}
	const struct filter_surface *child = filter_surface_of(passage, id);
	unsigned depth = child != NULL ? child->height + 1 : 1;
	for (; parent->parent != 0 && depth <= ICON_DEPTH; depth++) {
		const struct filter_surface *next = parent_of(passage, parent);
		if (next == NULL) {
			break;
		}
		parent = next;
	}
	return depth <= ICON_DEPTH ? filter_set_role(passage, id, ROLE_ICON)
				   : filter_break(passage,
					     "more than %u subsurfaces in each other in an icon", ICON_DEPTH);
}

enum verdict filter_subsurface(struct passage *passage) {
	struct filter_surface *parent = filter_surface_of(passage, passage->args[2].object);
	if (parent == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	enum verdict verdict = set_child_role(passage, passage->args[1].object, parent);
	parent->has_children = true;
	struct filter_surface *child = filter_surface_of(passage, passage->args[1].object);
	struct wire_object *object = wire_objects_find(&passage->filter->objects, passage->args[0].object);
	object->data = (void *)(uintptr_t)passage->args[1].object;
	if (verdict == FILTER_PASS && child != NULL) {
		child->parent = passage->args[2].object;
		child->parent_serial = parent->serial;
		child->subsurface = passage->args[0].object;
		child->synchronized = true;
		verdict = check_depth(passage, child, parent);
	}
	return verdict;
}

/* A subsurface has its surface's id, which may be another's by now. */
enum verdict filter_subsurface_change(struct passage *passage) {
	uint32_t id = (uint32_t)(uintptr_t)passage_object(passage)->data;
	struct filter_surface *surface = filter_surface_of(passage, id);
	if (surface == NULL || surface->subsurface != passage->message.object) {
		return FILTER_PASS;
	}
	bool was_synchronized = surface->synchronized;
	if (passage->message.opcode == WL_SUBSURFACE_REQUEST_DESTROY) {
		surface->parent = surface->subsurface = 0;
		return FILTER_PASS;
	}
	surface->synchronized = passage->message.opcode == WL_SUBSURFACE_REQUEST_SET_SYNC;
	return was_synchronized && !surface->synchronized ? keep_waiting(passage, surface) : FILTER_PASS;
}

/* Above or below another: not where there is nothing that they are in. */
enum verdict filter_subsurface_place(struct passage *passage) {
	uint32_t id = (uint32_t)(uintptr_t)passage_object(passage)->data;
	const struct filter_surface *surface = filter_surface_of(passage, id);
	bool placed = surface != NULL && surface->subsurface == passage->message.object &&
		      parent_of(passage, surface) != NULL;
	return placed ? FILTER_PASS : FILTER_DONE;
}

/* Those of icons stay near. */
enum verdict filter_subsurface_move(struct passage *passage) {
	uint32_t id = (uint32_t)(uintptr_t)passage_object(passage)->data;
	const struct filter_surface *surface = filter_surface_of(passage, id);
	if (surface != NULL && surface->role == ROLE_ICON) {
		limit(passage, -ICON_MAX, ICON_MAX);
	}
	return FILTER_PASS;
}

/* Of pointers and of tablets' tools. */
enum verdict filter_pointer_cursor(struct passage *passage) {
	union wire_arg *args = passage->args;
	if (args[1].object == 0) {
		return FILTER_PASS;
	}
	if (args[2].i < -CURSOR_MAX || args[2].i > CURSOR_MAX || args[3].i < -CURSOR_MAX ||
		args[3].i > CURSOR_MAX) {
		args[1].object = 0; /* not shown, as what is too large */
		passage->rewritten = true;
		return FILTER_PASS;
	}
	return set_picture(passage, args + 1, ROLE_CURSOR);
}

enum verdict filter_set_icon(struct passage *passage, union wire_arg *surface) {
	return surface->object != 0 ? set_picture(passage, surface, ROLE_ICON) : FILTER_PASS;
}

/* Toolkits ask for as much as a menu would like to have, and show what they get. */
enum verdict filter_positioner_size(struct passage *passage) {
	limit_size(passage, POSITIONER_MAX);
	return FILTER_PASS;
}

/* ---- names ---- */

/* A request of the filter's own, with one text. */
static enum verdict name_toplevel(
	struct passage *passage, uint32_t toplevel, uint16_t opcode, const char *text) {
	const union wire_arg args[] = {{.string = text}};
	int ret = wire_write(&passage->filter->to_host, toplevel, opcode,
		&xdg_toplevel_interface.methods[opcode], args, WIRE_LIBWAYLAND_MAX);
	return ret < 0 ? filter_break(passage, "no memory for its name") : FILTER_DONE;
}

static void tag_app_id(char text[FILTER_APP_ID_SIZE], const char *tag, const char *app_id) {
	snprintf(text, FILTER_APP_ID_SIZE, "ph.%s%s%s", tag, app_id[0] != '\0' ? "." : "", app_id);
	for (char *c = text; *c != '\0'; c++) {
		*c = text_is_name_letter(*c) ? *c : '_';
	}
}

/* A window has the VM's name before its program gives it any, or none. */
enum verdict filter_name_toplevel(struct passage *passage, uint32_t toplevel) {
	char title[FILTER_TITLE_SIZE], app_id[FILTER_APP_ID_SIZE];
	text_tag(title, sizeof(title), passage->filter->vm->tag, "");
	tag_app_id(app_id, passage->filter->vm->tag, "");
	enum verdict verdict = filter_forward(passage, &passage->filter->to_host);
	if (verdict == FILTER_DONE) {
		verdict = name_toplevel(passage, toplevel, XDG_TOPLEVEL_REQUEST_SET_TITLE, title);
	}
	return verdict == FILTER_DONE
		       ? name_toplevel(passage, toplevel, XDG_TOPLEVEL_REQUEST_SET_APP_ID, app_id)
		       : verdict;
}

enum verdict filter_set_title(struct passage *passage) {
	char title[FILTER_TITLE_SIZE];
	text_tag(title, sizeof(title), passage->filter->vm->tag, passage->args[0].string);
	passage->args[0].string = title;
	passage->rewritten = true;
	return filter_forward(passage, &passage->filter->to_host);
}

/* Of windows, and of activation tokens. */
enum verdict filter_set_app_id(struct passage *passage) {
	char app_id[FILTER_APP_ID_SIZE];
	tag_app_id(app_id, passage->filter->vm->tag, passage->args[0].string);
	passage->args[0].string = app_id;
	passage->rewritten = true;
	return filter_forward(passage, &passage->filter->to_host);
}

/* ---- what only a user may cause ---- */

enum verdict filter_by_gesture(struct passage *passage) {
	const struct filter_vm *vm = passage->filter->vm;
	bool recent = vm->gesture_ns != 0 && vm->now() - vm->gesture_ns <= FILTER_GESTURE_NS;
	return recent ? FILTER_PASS : FILTER_DONE;
}
