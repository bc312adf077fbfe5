/* What the parts of the filter share. */
#ifndef DISPLAY_FILTER_PARTS_H
#define DISPLAY_FILTER_PARTS_H

#include "display/filter.h"

#include "ph/wayland_protocols.h"

enum verdict {
	FILTER_PASS,
	FILTER_DONE,  /* it goes no further: it was swallowed, or went already */
	FILTER_BREAK, /* a rule is broken; a text for it was set */
};

/* A message on its way. */
struct passage {
	struct filter *filter;
	struct wire_message message;
	const struct wl_interface *interface; /* of its object */
	const struct wl_message *type;
	union wire_arg args[WIRE_ARGS_MAX];
	bool rewritten; /* args are to be sent, not the bytes as they came */
	int fds[FILTER_FDS_MAX];
	uint8_t kinds[FILTER_FDS_MAX];
	unsigned fd_count; /* owned until they went */
};

/* The object that the message is for; good until objects are added. */
static inline struct wire_object *passage_object(const struct passage *passage) {
	return wire_objects_find(&passage->filter->objects, passage->message.object);
}

enum verdict filter_break(struct passage *passage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* An event without arguments of the filter's own, for a request that the compositor does not see as it is: it
 * is refused, or what it named is not used. One who asks again and again and never listens must not make the
 * filter remember all of that. FILTER_PASS, or the connection breaks. */
enum verdict filter_answer(
	struct passage *passage, uint32_t id, const struct wl_interface *interface, uint16_t opcode);
/* Send the destructor of an object of the guest's, the first request of its interface: it is gone for the
 * compositor. What the guest says of it is swallowed, until it destroys it, too. FILTER_PASS, or the
 * connection breaks. */
enum verdict filter_destroy_object(struct passage *passage, uint32_t id);
/* The compositor gave back an object's id, and the guest may have it again. */
void filter_remove(struct filter *filter, struct wire_object *object, uint32_t id);
/* An object of the guest's comes to be (1), or its id is free again (-1). */
void filter_count(struct filter_vm *vm, const struct wl_interface *interface, int change);
#define FILTER_TOO_MUCH_MEMORY "the VM has too much memory with the compositor"
/* Send the message on as it now is. */
enum verdict filter_forward(struct passage *passage, struct wire_queue *to);

/* requests.c: rules for certain requests. */
enum verdict filter_request(struct passage *passage);

/* events.c: what events tell the filter. */
enum verdict filter_event(struct passage *passage);
/* An object goes, or its destructor was sent. */
void filter_release(struct filter *filter, struct wire_object *object);

/* news.c: what the compositor tells others of, in bytes that it may cost their sockets; 0: of nothing. */
unsigned filter_news_cost(const struct filter *filter, const struct wire_message *message);
enum verdict filter_surrounding_text(struct passage *passage);
enum verdict filter_text_enable(struct passage *passage);
/* What that is taken from. */
struct filter_allowance *filter_news_allowance(
	const struct filter *filter, const struct wire_message *message);
bool filter_news_allowed(const struct filter_vm *vm, struct filter_allowance *allowance);

/* globals.c: which globals there are for the guest. */
enum verdict filter_global(struct passage *passage);
enum verdict filter_global_remove(struct passage *passage);
/* NULL: a rule is broken. */
const struct wl_interface *filter_bind(struct passage *passage);

/* surfaces.c: what is shown, where, and under which name. */
struct filter_size {
	int32_t buffer_width, buffer_height; /* of what was attached last, in pixels */
	int32_t width, height;               /* that a viewport makes of it; 0: nothing else */
};
struct filter_surface {
	enum filter_role { ROLE_NONE, ROLE_CURSOR, ROLE_ICON, ROLE_POPUP, ROLE_OTHER } role;
	struct filter_size pending, committed;
	int64_t offset_x, offset_y; /* by which it was moved, in all */
	int32_t move_x, move_y;     /* by which its next commit moves it */
	bool has_children, is_window;
	unsigned damages;            /* since it was committed */
	uint32_t unused;             /* a pending buffer that is too large to be shown; 0: none */
	uint64_t serial;             /* no other surface of the connection has it */
	uint32_t parent, subsurface; /* of a subsurface; 0: it is none */
	uint64_t parent_serial;
	uint32_t xdg_surface; /* that makes it a window or popup; 0: none */
	unsigned height;      /* of all that ever was in it, each in the next */
	bool synchronized;
	unsigned waiting;                   /* commits of what is in it, until its next one, or of its own */
	unsigned opaque_boxes, input_boxes; /* that its regions had when they were set */
	unsigned committed_boxes;           /* of both, that the compositor may still use */
	unsigned waiting_boxes;             /* of all commits that wait */
};
/* What the surface already shows has the new role, too, without being committed once more. */
enum verdict filter_set_role(struct passage *passage, uint32_t id, enum filter_role role);
/* NULL: there is none, or no memory. */
struct filter_surface *filter_surface_of(struct passage *passage, uint32_t id);
void filter_surface_release(struct filter_vm *vm, struct wire_object *object);
enum verdict filter_surface_attach(struct passage *passage);
enum verdict filter_surface_commit(struct passage *passage);
enum verdict filter_surface_damage(struct passage *passage);
enum verdict filter_surface_offset(struct passage *passage);
enum verdict filter_surface_scale(struct passage *passage);
enum verdict filter_viewport_create(struct passage *passage);
enum verdict filter_viewport_size(struct passage *passage);
enum verdict filter_subsurface(struct passage *passage);
enum verdict filter_subsurface_change(struct passage *passage);
enum verdict filter_subsurface_move(struct passage *passage);
enum verdict filter_subsurface_place(struct passage *passage);
enum verdict filter_pointer_cursor(struct passage *passage);
enum verdict filter_positioner_size(struct passage *passage);
/* The message goes on, and then the VM's name for a toplevel that has none. */
enum verdict filter_name_toplevel(struct passage *passage, uint32_t toplevel);
enum verdict filter_set_title(struct passage *passage);
enum verdict filter_set_app_id(struct passage *passage);
enum verdict filter_by_gesture(struct passage *passage);
/* The surface that this argument names becomes the icon of what is dragged, unless it is too large. */
enum verdict filter_set_icon(struct passage *passage, union wire_arg *surface);

/* shell.c: windows and popups. */
struct filter_window;
/* NULL: it has none. */
struct filter_window *filter_window_of(const struct filter *filter, const struct filter_surface *surface);
/* Nothing of it can be seen any more, whatever is committed. */
bool filter_window_is_over(const struct filter_window *window);
/* Its surface is committed, with something to show or not. */
enum verdict filter_window_commit(struct passage *passage, struct filter_window *window, bool shown);
void filter_window_release(struct filter *filter, struct wire_object *object);
enum verdict filter_surface_destroy(struct passage *passage);
enum verdict filter_xdg_surface_create(struct passage *passage);
enum verdict filter_xdg_surface_destroy(struct passage *passage);
enum verdict filter_window_change(struct passage *passage);
enum verdict filter_toplevel_create(struct passage *passage);
enum verdict filter_popup_create(struct passage *passage);
enum verdict filter_role_destroy(struct passage *passage);
enum verdict filter_decoration_create(struct passage *passage);
enum verdict filter_decoration_destroy(struct passage *passage);
enum verdict filter_set_parent(struct passage *passage);
enum verdict filter_popup_reposition(struct passage *passage);
enum verdict filter_popup_grab(struct passage *passage);
enum verdict filter_popup_done(struct passage *passage);
enum verdict filter_activate(struct passage *passage);

/* regions.c: rectangles of regions. */
enum verdict filter_region_change(struct passage *passage);
enum verdict filter_surface_region(struct passage *passage);
enum verdict filter_pointer_region(struct passage *passage);
enum verdict filter_constrain_pointer(struct passage *passage);
/* Something has this many rectangles of regions now. */
enum verdict filter_count_boxes(struct passage *passage, unsigned *count, unsigned boxes);
void filter_region_release(struct filter_vm *vm, struct wire_object *object);
void filter_pointer_release(struct filter_vm *vm, struct wire_object *object);

/* buffers.c: memory. */
enum verdict filter_pool_create(struct passage *passage);
enum verdict filter_pool_resize(struct passage *passage);
enum verdict filter_buffer_create(struct passage *passage);
enum verdict filter_shm_format(struct passage *passage);
enum verdict filter_dmabuf_format(struct passage *passage); /* with a modifier, too */
enum verdict filter_dmabuf_add(struct passage *passage);
enum verdict filter_dmabuf_create(struct passage *passage);
enum verdict filter_pixel_create(struct passage *passage);
/* The buffer that an event makes of these parameters. */
void filter_dmabuf_created(struct wire_object *buffer, const struct wire_object *params);
/* The compositor has nothing by this object any more. */
void filter_drop_memory(struct filter_vm *vm, struct wire_object *object);
/* Two sizes in what an object has for its owner's use. */
static inline void *filter_pack_size(int32_t width, int32_t height) {
	return (void *)(uintptr_t)((uint64_t)(uint32_t)height << 32 | (uint32_t)width);
}
static inline int32_t filter_width(const struct wire_object *object) {
	return (int32_t)(uint32_t)(uintptr_t)object->data;
}
static inline int32_t filter_height(const struct wire_object *object) {
	return (int32_t)(uint32_t)((uint64_t)(uintptr_t)object->data >> 32);
}

/* selection.c: the clipboard, the primary selection, drag and drop. */
struct filter_source {
	unsigned types, bytes; /* that it offers, and how long they are in all */
	bool used, dragged;    /* it was set or dragged, or the latter */
	unsigned standing; /* how often it was set or dragged, without the compositor's having cancelled it */
};
static inline bool filter_is_source(const struct wl_interface *interface) {
	return interface == &wl_data_source_interface ||
	       interface == &zwp_primary_selection_source_v1_interface;
}
void filter_source_release(struct filter_vm *vm, struct wire_object *object);
enum verdict filter_offer_source(struct passage *passage); /* a source, once it exists */
enum verdict filter_receive(struct passage *passage);
enum verdict filter_accept(struct passage *passage);
enum verdict filter_set_actions(struct passage *passage);
enum verdict filter_set_selection(struct passage *passage);
enum verdict filter_start_drag(struct passage *passage);
enum verdict filter_offer_type(struct passage *passage);
enum verdict filter_source_offer(struct passage *passage);
enum verdict filter_source_type(struct passage *passage); /* of events */
enum verdict filter_source_cancelled(struct passage *passage);
enum verdict filter_selection(struct passage *passage);
enum verdict filter_drag(struct passage *passage);

/* types.c: what data that are offered are. */
#define FILTER_TYPE_SIZE 1024
bool filter_is_mark(const char *type);
/* What a type that the VM offers is called with the compositor; NULL: it is too long for that. */
const char *filter_type_outside(const struct filter_vm *vm, char buffer[FILTER_TYPE_SIZE], const char *type);
/* What a type that is offered is called in the VM; NULL: it is not for its programs. */
const char *filter_type_inside(const struct filter_vm *vm, const char *type);

/* chords.c: which keys are a paste chord. Needs libxkbcommon. */
struct chord_keyboard;
struct chords *chords_create(void); /* NULL: no library */
void chords_destroy(struct chords *chords);
/* A keyboard's keymap; NULL: it is none. */
struct chord_keyboard *chords_add_keyboard(struct chords *chords, int fd, uint32_t size);
void chords_remove_keyboard(struct chords *chords, struct chord_keyboard *keyboard);
void chords_set_modifiers(struct chords *chords, struct chord_keyboard *keyboard, const union wire_arg *args);
/* What pressing this key means. */
enum chord {
	CHORD_NONE,
	CHORD_PASTE,     /* Ctrl+V, Ctrl+Shift+V, the Paste key */
	CHORD_PASTE_ANY, /* Shift+Insert: of the clipboard or of the primary selection */
};
enum chord chords_press(struct chords *chords, struct chord_keyboard *keyboard, uint32_t key);

/* Names with the VM's in them are cut to what fits a message. */
#define FILTER_TITLE_SIZE 1024
#define FILTER_APP_ID_SIZE 256

#endif
