/*
 * xdg-shell: windows, popups, and in which order what they are made of comes and goes; popups have
 * grabs only for a user who is at one of the VM's windows. Runs on the display's loop; all of it is hostile.
 *
 * Compositors keep pointers from each of these objects to the others, and not all of them look whether what
 * they point to is still there: most programs destroy what is in a window before that. For one that does not
 * the filter destroys the rest with the compositor first, so whatever a live object names there is live, too.
 */
#include "display/filter_parts.h"

#include <stdlib.h>

/* What is behind an xdg_surface. Of objects that there are not, the id is 0. */
struct filter_window {
	struct filter_window *next;
	uint32_t surface;
	uint32_t role; /* its xdg_toplevel or xdg_popup */
	uint32_t decoration;
	uint64_t born; /* which role of the connection this is */
	bool had_role, is_popup;
	bool committed;               /* since it has its role */
	bool mapped;                  /* with something to show */
	struct filter_window *parent; /* that the popup has, or that the toplevel gets once it is mapped */
};

/* The object of a role has its xdg_surface's id, and whether it is a popup with a grab. */
#define ROLE_GRABS ((uintptr_t)1 << 32)

static struct filter_window *find_window(const struct filter *filter, uint32_t xdg_surface) {
	const struct wire_object *object = wire_objects_find(&filter->objects, xdg_surface);
	bool found = object != NULL && object->interface == &xdg_surface_interface && !object->dead;
	return found ? object->data : NULL;
}

/* Of a toplevel, a popup or a decoration. */
static struct filter_window *window_of(const struct filter *filter, uint32_t id) {
	const struct wire_object *object = wire_objects_find(&filter->objects, id);
	return object != NULL ? find_window(filter, (uint32_t)(uintptr_t)object->data) : NULL;
}

static struct filter_window *own_window(const struct passage *passage) {
	return window_of(passage->filter, passage->message.object);
}

struct filter_window *filter_window_of(const struct filter *filter, const struct filter_surface *surface) {
	return surface->xdg_surface != 0 ? find_window(filter, surface->xdg_surface) : NULL;
}

/* ---- their end ---- */

/* Windows that were to be in front of it are not. */
static void forget(struct filter *filter, const struct filter_window *window) {
	for (struct filter_window *other = filter->windows; other != NULL; other = other->next) {
		other->parent = other->parent == window ? NULL : other->parent;
	}
}

/* The popup in it that was made last; NULL: there is none. */
static struct filter_window *find_popup(const struct filter *filter, const struct filter_window *window) {
	struct filter_window *newest = NULL;
	for (struct filter_window *other = filter->windows; other != NULL; other = other->next) {
		if (other->parent == window && other->is_popup &&
			(newest == NULL || other->born > newest->born)) {
			newest = other;
		}
	}
	return newest;
}

static enum verdict end_decoration(struct passage *passage, struct filter_window *window) {
	uint32_t id = window->decoration;
	window->decoration = 0;
	return id != 0 ? filter_destroy_object(passage, id) : FILTER_PASS;
}

static enum verdict end_role(struct passage *passage, struct filter_window *window, bool destroy);

/* What is in the window or popup. */
static enum verdict end_popups(struct passage *passage, const struct filter_window *window) {
	enum verdict verdict = FILTER_PASS;
	struct filter_window *popup;
	while (verdict == FILTER_PASS && (popup = find_popup(passage->filter, window)) != NULL) {
		verdict = end_role(passage, popup, true);
	}
	return verdict;
}

/* Popups in it go first, as they must. destroy: the program has not asked for its own end. */
static enum verdict end_role(struct passage *passage, struct filter_window *window, bool destroy) {
	enum verdict verdict = end_popups(passage, window);
	if (verdict == FILTER_PASS) {
		verdict = end_decoration(passage, window);
	}
	if (verdict == FILTER_PASS && destroy) {
		verdict = filter_destroy_object(passage, window->role);
	}
	forget(passage->filter, window);
	window->role = 0;
	window->mapped = false;
	window->parent = NULL;
	return verdict;
}

/* Toplevels and popups. */
enum verdict filter_role_destroy(struct passage *passage) {
	struct filter_window *window = own_window(passage);
	return window != NULL ? end_role(passage, window, false) : FILTER_PASS;
}

enum verdict filter_xdg_surface_destroy(struct passage *passage) {
	struct filter_window *window = find_window(passage->filter, passage->message.object);
	struct filter_surface *surface = window != NULL ? filter_surface_of(passage, window->surface) : NULL;
	if (surface != NULL) {
		surface->xdg_surface = 0;
	}
	return window != NULL && window->role != 0 ? end_role(passage, window, true) : FILTER_PASS;
}

enum verdict filter_surface_destroy(struct passage *passage) {
	struct filter_surface *surface = passage_object(passage)->data;
	uint32_t id = surface != NULL ? surface->xdg_surface : 0;
	struct filter_window *window = id != 0 ? find_window(passage->filter, id) : NULL;
	if (window == NULL) {
		return FILTER_PASS;
	}
	surface->xdg_surface = 0;
	enum verdict verdict = window->role != 0 ? end_role(passage, window, true) : FILTER_PASS;
	return verdict == FILTER_PASS ? filter_destroy_object(passage, id) : verdict;
}

void filter_window_release(struct filter *filter, struct wire_object *object) {
	struct filter_window **link = &filter->windows;
	while (*link != NULL && *link != object->data) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		*link = (*link)->next;
		forget(filter, object->data);
	}
	free(object->data);
	object->data = NULL;
}

/* ---- surfaces ---- */

/* An xdg_surface has its window. Until it is said to be a popup it counts as one; a popup stays one. */
enum verdict filter_xdg_surface_create(struct passage *passage) {
	struct filter *filter = passage->filter;
	uint32_t id = passage->args[1].object;
	struct filter_surface *surface = filter_surface_of(passage, id);
	struct filter_window *window = calloc(1, sizeof(*window));
	wire_objects_find(&filter->objects, passage->args[0].object)->data = window;
	if (surface == NULL || window == NULL) {
		return filter_break(passage, "no memory for the surface");
	}
	window->surface = id;
	window->next = filter->windows;
	filter->windows = window;
	if (surface->xdg_surface != 0) {
		return filter_break(passage, "it has xdg_surface@%u", surface->xdg_surface);
	}
	surface->xdg_surface = passage->args[0].object;
	return surface->role == ROLE_POPUP ? FILTER_PASS : filter_set_role(passage, id, ROLE_OTHER);
}

/* Whether it is nothing that can be shown: compositors follow what is not there, and it would not be seen. */
bool filter_window_is_over(const struct filter_window *window) {
	return window->had_role && window->role == 0;
}

/* Configurations and geometries. */
enum verdict filter_window_change(struct passage *passage) {
	const struct filter_window *window = find_window(passage->filter, passage->message.object);
	return window != NULL && filter_window_is_over(window) ? FILTER_DONE : FILTER_PASS;
}

/* ---- roles ---- */

/* NULL: a rule is broken. */
static struct filter_window *give_role(struct passage *passage, bool is_popup) {
	struct filter *filter = passage->filter;
	uint32_t id = passage->args[0].object;
	struct filter_window *window = find_window(filter, passage->message.object);
	if (window == NULL || window->had_role) {
		filter_break(passage, "it had a role");
		return NULL;
	}
	wire_objects_find(&filter->objects, id)->data = (void *)(uintptr_t)passage->message.object;
	window->role = id;
	window->had_role = true;
	window->is_popup = is_popup;
	window->born = ++filter->roles;
	return window;
}

/* It gets the VM's name at once. */
enum verdict filter_toplevel_create(struct passage *passage) {
	const struct filter_window *window = give_role(passage, false);
	struct filter_surface *surface = window != NULL ? filter_surface_of(passage, window->surface) : NULL;
	if (window == NULL) {
		return FILTER_BREAK;
	}
	if (surface != NULL) {
		surface->is_window = true;
	}
	return filter_name_toplevel(passage, passage->args[0].object);
}

enum verdict filter_popup_create(struct passage *passage) {
	struct filter_window *parent = find_window(passage->filter, passage->args[1].object);
	if (parent == NULL || parent->role == 0 || passage->args[1].object == passage->message.object) {
		return filter_break(passage, "its parent is no window or popup");
	}
	struct filter_window *window = give_role(passage, true);
	if (window == NULL) {
		return FILTER_BREAK;
	}
	window->parent = parent;
	return filter_set_role(passage, window->surface, ROLE_POPUP);
}

enum verdict filter_decoration_create(struct passage *passage) {
	struct filter *filter = passage->filter;
	struct filter_window *window = window_of(filter, passage->args[1].object);
	if (window == NULL || window->decoration != 0) {
		return filter_break(passage, "it has a decoration");
	}
	wire_objects_find(&filter->objects, passage->args[0].object)->data =
		wire_objects_find(&filter->objects, passage->args[1].object)->data;
	window->decoration = passage->args[0].object;
	return FILTER_PASS;
}

enum verdict filter_decoration_destroy(struct passage *passage) {
	struct filter_window *window = own_window(passage);
	if (window != NULL) {
		window->decoration = 0;
	}
	return FILTER_PASS;
}

/* ---- what is shown ---- */

/* A request of the filter's own. */
static enum verdict give_parent(
	struct passage *passage, const struct filter_window *window, const struct filter_window *parent) {
	const union wire_arg args[] = {{.object = parent->role}};
	int ret = wire_write(&passage->filter->to_host, window->role, XDG_TOPLEVEL_REQUEST_SET_PARENT,
		&xdg_toplevel_interface.methods[XDG_TOPLEVEL_REQUEST_SET_PARENT], args, WIRE_LIBWAYLAND_MAX);
	return ret < 0 ? filter_break(passage, "no memory for its parent") : FILTER_DONE;
}

/* Windows that were to be in front of it. */
static enum verdict give_children(struct passage *passage, const struct filter_window *parent) {
	enum verdict verdict = filter_forward(passage, &passage->filter->to_host);
	struct filter_window *window = passage->filter->windows;
	for (; verdict == FILTER_DONE && window != NULL; window = window->next) {
		if (window->parent == parent && !window->is_popup) {
			verdict = give_parent(passage, window, parent);
			window->parent = NULL;
		}
	}
	return verdict;
}

/* It is as it was when it was made: popups in it are no more, and it has no name, not even the VM's. */
static enum verdict hide_window(struct passage *passage, struct filter_window *window) {
	enum verdict verdict = end_popups(passage, window);
	return verdict == FILTER_PASS && !window->is_popup ? filter_name_toplevel(passage, window->role)
							   : verdict;
}

enum verdict filter_window_commit(struct passage *passage, struct filter_window *window, bool shown) {
	bool was_mapped = window->mapped;
	window->committed |= window->role != 0;
	window->mapped = window->role != 0 && shown;
	if (was_mapped == window->mapped) {
		return FILTER_PASS;
	}
	if (was_mapped) {
		return hide_window(passage, window);
	}
	return window->is_popup ? FILTER_PASS : give_children(passage, window);
}

/* Windows in front of each other in a circle are without an end for who goes from one to the next, whichever
 * of them he leaves out: one can be in front of older ones alone. One that is not shown yet, which some
 * compositors do not expect, becomes the parent when it is. */
enum verdict filter_set_parent(struct passage *passage) {
	struct filter_window *window = own_window(passage);
	struct filter_window *parent =
		passage->args[0].object != 0 ? window_of(passage->filter, passage->args[0].object) : NULL;
	if (window == NULL) {
		return FILTER_PASS;
	}
	bool fits = parent != NULL && parent->born < window->born;
	window->parent = fits && !parent->mapped ? parent : NULL;
	if (!fits || !parent->mapped) {
		passage->args[0].object = 0;
		passage->rewritten = true;
	}
	return FILTER_PASS;
}

/* ---- popups ---- */

enum verdict filter_popup_reposition(struct passage *passage) {
	const struct filter_window *window = own_window(passage);
	if (window == NULL || !window->committed) {
		return filter_break(passage, "before it is committed");
	}
	return FILTER_PASS;
}

/* With a grab no window but the program's can be clicked on, and compositors do not ask what the serial is
 * of. A popup is shown without one, too. */
enum verdict filter_popup_grab(struct passage *passage) {
	struct wire_object *popup = passage_object(passage);
	if (!passage->filter->vm->may_grab || ((uintptr_t)popup->data & ROLE_GRABS) != 0) {
		return FILTER_DONE;
	}
	popup->data = (void *)((uintptr_t)popup->data | ROLE_GRABS);
	return FILTER_PASS;
}

/* The user has clicked elsewhere, most likely. */
enum verdict filter_popup_done(struct passage *passage) {
	if (((uintptr_t)passage_object(passage)->data & ROLE_GRABS) != 0) {
		passage->filter->vm->may_grab = false;
	}
	return FILTER_PASS;
}

/* ---- activation ---- */

enum verdict filter_activate(struct passage *passage) {
	const struct filter_surface *surface = filter_surface_of(passage, passage->args[1].object);
	const struct filter_window *window =
		surface != NULL ? filter_window_of(passage->filter, surface) : NULL;
	return window != NULL && window->role != 0 ? filter_by_gesture(passage) : FILTER_DONE;
}
