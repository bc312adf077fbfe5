/*
 * A program with a window, for the tests of desktops: it does by hand what toolkits do, draws what can be
 * compared pixel by pixel, and tells on standard output what happens to it. Where it is pressed says what it
 * does: left, in the uppermost 40 lines: it lets itself be moved; in the last 40x40: be resized; elsewhere:
 * it lets a text be dragged. Right: a menu, that goes when something beside it is pressed. usage: probe [NAME
 * [WIDTHxHEIGHT [FRAMES]]]; with FRAMES it shows so many, tells so, and ends.
 */
#include "xdg-shell-client.h"

#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-client.h>

#define EDGE 40
#define MENU_WIDTH 200
#define MENU_HEIGHT 150
#define ICON 64
#define CURSOR 24
#define TEXT "text/plain"
#define OUTPUTS_MAX 8

static struct wl_display *display;
static struct wl_compositor *compositor;
static struct wl_shm *shm;
static struct xdg_wm_base *wm_base;
static struct wl_seat *seat;
static struct wl_data_device_manager *data_manager;

static const char *name = "probe";
static uint32_t serial;
static bool done;

/* Something that is shown, at the size that the compositor wants. */
struct picture {
	struct wl_surface *surface;
	int32_t width, height, scale;
	uint32_t seed;
};
static struct picture window = {.width = 400, .height = 300, .scale = 1, .seed = 1};
static struct picture menu = {.width = MENU_WIDTH, .height = MENU_HEIGHT, .scale = 1, .seed = 2};
static struct picture icon = {.width = ICON, .height = ICON, .scale = 1, .seed = 3};
static struct picture cursor = {.width = CURSOR, .height = CURSOR, .scale = 1, .seed = 4};

static struct xdg_surface *xdg_surface;
static struct xdg_toplevel *toplevel;
static struct xdg_surface *menu_xdg_surface;
static struct xdg_popup *popup;
static long frames = -1;

/* ---- drawing ---- */

static uint32_t pixel(uint32_t x, uint32_t y, uint32_t seed) {
	uint32_t stripe = (x / 16 + y / 16 + seed) % 2 != 0 ? 0x40 : 0;
	return 0xff000000 | ((x * 3 + seed * 50) & 0xff) << 16 | ((y * 5) & 0xff) << 8 |
	       (stripe + seed * 40 + (x ^ y) % 8);
}

static void release(void *data, struct wl_buffer *buffer) {
	(void)data;
	wl_buffer_destroy(buffer);
}

static const struct wl_buffer_listener buffer_listener = {release};

static struct wl_buffer *draw(const struct picture *picture) {
	int32_t width = picture->width * picture->scale, height = picture->height * picture->scale;
	int32_t size = width * height * 4;
	int fd = memfd_create("picture", MFD_CLOEXEC);
	uint32_t *pixels = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, size) == 0) {
		pixels = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (pixels == MAP_FAILED) {
		perror("probe: no memory");
		exit(1);
	}
	for (int32_t y = 0; y < height; y++) {
		for (int32_t x = 0; x < width; x++) {
			pixels[y * width + x] = pixel((uint32_t)x, (uint32_t)y, picture->seed);
		}
	}
	struct wl_shm_pool *pool = wl_shm_create_pool(shm, fd, size);
	struct wl_buffer *buffer =
		wl_shm_pool_create_buffer(pool, 0, width, height, width * 4, WL_SHM_FORMAT_XRGB8888);
	wl_buffer_add_listener(buffer, &buffer_listener, NULL);
	wl_shm_pool_destroy(pool);
	munmap(pixels, (size_t)size);
	close(fd);
	return buffer;
}

static void show(struct picture *picture) {
	wl_surface_set_buffer_scale(picture->surface, picture->scale);
	wl_surface_attach(picture->surface, draw(picture), 0, 0);
	wl_surface_damage_buffer(picture->surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(picture->surface);
}

static void frame(void *data, struct wl_callback *callback, uint32_t time);
static const struct wl_callback_listener frame_listener = {frame};

/* The next picture of an animation, one line further. */
static void animate(void) {
	wl_callback_add_listener(wl_surface_frame(window.surface), &frame_listener, NULL);
	window.seed++;
	show(&window);
}

static void frame(void *data, struct wl_callback *callback, uint32_t time) {
	(void)data;
	(void)time;
	wl_callback_destroy(callback);
	if (--frames > 0) {
		animate();
	} else {
		puts("animation over");
		done = true;
	}
}

/* ---- the window ---- */

static void ping(void *data, struct xdg_wm_base *base, uint32_t number) {
	(void)data;
	xdg_wm_base_pong(base, number);
}

static const struct xdg_wm_base_listener wm_base_listener = {ping};

static void configure(void *data, struct xdg_surface *surface, uint32_t number) {
	struct picture *picture = data;
	static bool animated;
	xdg_surface_ack_configure(surface, number);
	if (picture == &window && frames >= 0 && !animated) {
		animated = true;
		animate();
		return;
	}
	show(picture);
	printf("%s %dx%d scale %d\n", picture == &window ? "size" : "menu", picture->width, picture->height,
		picture->scale);
}

static const struct xdg_surface_listener surface_listener = {configure};

static void configure_toplevel(
	void *data, struct xdg_toplevel *object, int32_t width, int32_t height, struct wl_array *states) {
	(void)data;
	(void)object;
	(void)states;
	window.width = width > 0 ? width : window.width;
	window.height = height > 0 ? height : window.height;
}

static void close_toplevel(void *data, struct xdg_toplevel *object) {
	(void)data;
	(void)object;
	puts("closed");
	done = true;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = configure_toplevel, .close = close_toplevel};

/* ---- outputs and their scales ---- */

static struct output {
	struct wl_output *output;
	int32_t scale;
	bool entered;
} outputs[OUTPUTS_MAX];

static void scale_window(void) {
	int32_t scale = 1;
	for (unsigned i = 0; i < OUTPUTS_MAX; i++) {
		scale = outputs[i].entered && outputs[i].scale > scale ? outputs[i].scale : scale;
	}
	if (scale != window.scale) {
		window.scale = menu.scale = icon.scale = cursor.scale = scale;
		show(&window);
		printf("size %dx%d scale %d\n", window.width, window.height, scale);
	}
}

static void set_entered(struct wl_output *output, bool entered) {
	for (unsigned i = 0; i < OUTPUTS_MAX; i++) {
		if (outputs[i].output == output) {
			outputs[i].entered = entered;
			printf("%s output %u\n", entered ? "on" : "off", i);
		}
	}
	scale_window();
}

static void enter_output(void *data, struct wl_surface *surface, struct wl_output *output) {
	(void)data;
	(void)surface;
	set_entered(output, true);
}

static void leave_output(void *data, struct wl_surface *surface, struct wl_output *output) {
	(void)data;
	(void)surface;
	set_entered(output, false);
}

static const struct wl_surface_listener window_listener = {.enter = enter_output, .leave = leave_output};

static void output_geometry(void *data, struct wl_output *output, int32_t x, int32_t y, int32_t width,
	int32_t height, int32_t subpixel, const char *make, const char *model, int32_t transform) {
	(void)data, (void)output, (void)x, (void)y, (void)width, (void)height, (void)subpixel, (void)make,
		(void)model, (void)transform;
}

static void output_mode(void *data, struct wl_output *output, uint32_t flags, int32_t width, int32_t height,
	int32_t refresh) {
	(void)data, (void)output, (void)flags, (void)width, (void)height, (void)refresh;
}

static void output_done(void *data, struct wl_output *output) {
	(void)data, (void)output;
	if (window.surface != NULL) {
		scale_window();
	}
}

static void output_scale(void *data, struct wl_output *output, int32_t scale) {
	(void)output;
	((struct output *)data)->scale = scale;
}

static const struct wl_output_listener output_listener = {
	.geometry = output_geometry, .mode = output_mode, .done = output_done, .scale = output_scale};

/* ---- the menu ---- */

static void close_menu(void) {
	if (popup != NULL) {
		xdg_popup_destroy(popup);
		xdg_surface_destroy(menu_xdg_surface);
		wl_surface_destroy(menu.surface);
		popup = NULL;
		menu.surface = NULL;
	}
}

static void configure_popup(
	void *data, struct xdg_popup *object, int32_t x, int32_t y, int32_t width, int32_t height) {
	(void)data;
	(void)object;
	menu.width = width;
	menu.height = height;
	printf("menu at %d,%d\n", x, y);
}

static void popup_done(void *data, struct xdg_popup *object) {
	(void)data;
	(void)object;
	puts("menu closed");
	close_menu();
}

static const struct xdg_popup_listener popup_listener = {
	.configure = configure_popup, .popup_done = popup_done};

static void open_menu(int32_t x, int32_t y) {
	struct xdg_positioner *positioner = xdg_wm_base_create_positioner(wm_base);
	close_menu();
	xdg_positioner_set_size(positioner, MENU_WIDTH, MENU_HEIGHT);
	xdg_positioner_set_anchor_rect(positioner, x, y, 1, 1);
	xdg_positioner_set_anchor(positioner, XDG_POSITIONER_ANCHOR_BOTTOM_RIGHT);
	xdg_positioner_set_gravity(positioner, XDG_POSITIONER_GRAVITY_BOTTOM_RIGHT);
	xdg_positioner_set_constraint_adjustment(positioner,
		XDG_POSITIONER_CONSTRAINT_ADJUSTMENT_SLIDE_X | XDG_POSITIONER_CONSTRAINT_ADJUSTMENT_SLIDE_Y);
	menu.surface = wl_compositor_create_surface(compositor);
	menu_xdg_surface = xdg_wm_base_get_xdg_surface(wm_base, menu.surface);
	xdg_surface_add_listener(menu_xdg_surface, &surface_listener, &menu);
	popup = xdg_surface_get_popup(menu_xdg_surface, xdg_surface, positioner);
	xdg_popup_add_listener(popup, &popup_listener, NULL);
	xdg_popup_grab(popup, seat, serial);
	wl_surface_commit(menu.surface);
	xdg_positioner_destroy(positioner);
}

/* ---- drag and drop ---- */

static struct wl_data_device *data_device;
static struct wl_data_offer *offer, *dragged;
static bool offer_has_text;

static void source_target(void *data, struct wl_data_source *source, const char *type) {
	(void)data, (void)source;
	printf("target takes %s\n", type != NULL ? type : "nothing");
}

static void source_send(void *data, struct wl_data_source *source, const char *type, int32_t fd) {
	(void)data, (void)source, (void)type;
	dprintf(fd, "a text of %s", name);
	close(fd);
	puts("sent");
}

static void source_cancelled(void *data, struct wl_data_source *source) {
	(void)data;
	wl_data_source_destroy(source);
	puts("drag cancelled");
}

static void source_dropped(void *data, struct wl_data_source *source) {
	(void)data, (void)source;
	puts("drag dropped");
}

static void source_finished(void *data, struct wl_data_source *source) {
	(void)data;
	wl_data_source_destroy(source);
	puts("drag finished");
}

static void source_action(void *data, struct wl_data_source *source, uint32_t action) {
	(void)data, (void)source;
	printf("drag action %u\n", action);
}

static const struct wl_data_source_listener source_listener = {.target = source_target,
	.send = source_send,
	.cancelled = source_cancelled,
	.dnd_drop_performed = source_dropped,
	.dnd_finished = source_finished,
	.action = source_action};

static void start_drag(void) {
	struct wl_data_source *source = wl_data_device_manager_create_data_source(data_manager);
	wl_data_source_add_listener(source, &source_listener, NULL);
	wl_data_source_offer(source, TEXT);
	wl_data_source_set_actions(source, WL_DATA_DEVICE_MANAGER_DND_ACTION_COPY);
	if (icon.surface == NULL) {
		icon.surface = wl_compositor_create_surface(compositor);
	}
	wl_data_device_start_drag(data_device, source, window.surface, icon.surface, serial);
	show(&icon);
	puts("drag");
}

static void offer_type(void *data, struct wl_data_offer *object, const char *type) {
	(void)data, (void)object;
	offer_has_text = offer_has_text || strcmp(type, TEXT) == 0;
}

static void offer_actions(void *data, struct wl_data_offer *object, uint32_t actions) {
	(void)data, (void)object, (void)actions;
}

static const struct wl_data_offer_listener offer_listener = {
	.offer = offer_type, .source_actions = offer_actions, .action = offer_actions};

static void device_offer(void *data, struct wl_data_device *device, struct wl_data_offer *object) {
	(void)data, (void)device;
	offer = object;
	offer_has_text = false;
	wl_data_offer_add_listener(object, &offer_listener, NULL);
}

static void device_enter(void *data, struct wl_data_device *device, uint32_t number,
	struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y, struct wl_data_offer *object) {
	(void)data, (void)device, (void)surface, (void)x, (void)y;
	dragged = object;
	if (object != NULL && offer_has_text) {
		uint32_t copy = WL_DATA_DEVICE_MANAGER_DND_ACTION_COPY;
		wl_data_offer_accept(object, number, TEXT);
		wl_data_offer_set_actions(object, copy, copy);
	}
	printf("dragged over%s\n", offer_has_text ? ", a text" : "");
}

static void device_leave(void *data, struct wl_data_device *device) {
	(void)data, (void)device;
	if (dragged != NULL) {
		wl_data_offer_destroy(dragged);
	}
	dragged = NULL;
	puts("dragged away");
}

static void device_motion(
	void *data, struct wl_data_device *device, uint32_t time, wl_fixed_t x, wl_fixed_t y) {
	(void)data, (void)device, (void)time, (void)x, (void)y;
}

static void device_drop(void *data, struct wl_data_device *device) {
	(void)data, (void)device;
	char text[256];
	size_t length = 0;
	ssize_t n = 1;
	int ends[2];
	struct wl_data_offer *dropped = dragged;
	if (dropped == NULL || pipe(ends) < 0) {
		return;
	}
	dragged = NULL;
	wl_data_offer_receive(dropped, TEXT, ends[1]);
	close(ends[1]);
	/* It may come from this program itself. */
	struct pollfd poll_fd = {.fd = ends[0], .events = POLLIN};
	while (poll(&poll_fd, 1, 0) == 0 && wl_display_roundtrip(display) >= 0) {
	}
	while (n > 0 && length < sizeof(text) - 1) {
		n = read(ends[0], text + length, sizeof(text) - 1 - length);
		length += n > 0 ? (size_t)n : 0;
	}
	close(ends[0]);
	text[length] = '\0';
	printf("dropped: %s\n", text);
	wl_data_offer_finish(dropped);
	wl_data_offer_destroy(dropped);
}

static void device_selection(void *data, struct wl_data_device *device, struct wl_data_offer *object) {
	(void)data, (void)device;
	if (object != NULL) {
		wl_data_offer_destroy(object);
	}
}

static const struct wl_data_device_listener device_listener = {.data_offer = device_offer,
	.enter = device_enter,
	.leave = device_leave,
	.motion = device_motion,
	.drop = device_drop,
	.selection = device_selection};

/* ---- the pointer ---- */

static int32_t pointer_x, pointer_y;
static struct wl_surface *pointed;

static void pointer_enter(void *data, struct wl_pointer *pointer, uint32_t number, struct wl_surface *surface,
	wl_fixed_t x, wl_fixed_t y) {
	(void)data;
	pointed = surface;
	pointer_x = wl_fixed_to_int(x);
	pointer_y = wl_fixed_to_int(y);
	if (cursor.surface == NULL) {
		cursor.surface = wl_compositor_create_surface(compositor);
	}
	wl_pointer_set_cursor(pointer, number, cursor.surface, 4, 4);
	show(&cursor);
	printf("pointer on %s\n", surface == window.surface ? "window" : "menu");
}

static void pointer_leave(
	void *data, struct wl_pointer *pointer, uint32_t number, struct wl_surface *surface) {
	(void)data, (void)pointer, (void)number, (void)surface;
	pointed = NULL;
	puts("pointer away");
}

static void pointer_motion(
	void *data, struct wl_pointer *pointer, uint32_t time, wl_fixed_t x, wl_fixed_t y) {
	(void)data, (void)pointer, (void)time;
	pointer_x = wl_fixed_to_int(x);
	pointer_y = wl_fixed_to_int(y);
}

static void press_window(uint32_t button) {
	if (button == BTN_RIGHT) {
		open_menu(pointer_x, pointer_y);
	} else if (pointer_y < EDGE) {
		xdg_toplevel_move(toplevel, seat, serial);
		puts("move");
	} else if (pointer_x >= window.width - EDGE && pointer_y >= window.height - EDGE) {
		xdg_toplevel_resize(toplevel, seat, serial, XDG_TOPLEVEL_RESIZE_EDGE_BOTTOM_RIGHT);
		puts("resize");
	} else {
		start_drag();
	}
}

static void pointer_button(void *data, struct wl_pointer *pointer, uint32_t number, uint32_t time,
	uint32_t button, uint32_t state) {
	(void)data, (void)pointer, (void)time;
	if (state == 0 || pointed == NULL) {
		return;
	}
	serial = number;
	if (pointed == window.surface) {
		printf("pressed %d,%d\n", pointer_x, pointer_y);
		press_window(button);
	} else {
		printf("chosen %d,%d\n", pointer_x, pointer_y);
		close_menu();
	}
}

static void pointer_axis(
	void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis, wl_fixed_t value) {
	(void)data, (void)pointer, (void)time;
	printf("scrolled %u by %d\n", axis, wl_fixed_to_int(value));
}

static void ignore_frame(void *data, struct wl_pointer *pointer) {
	(void)data, (void)pointer;
}

static void ignore_source(void *data, struct wl_pointer *pointer, uint32_t source) {
	(void)data, (void)pointer, (void)source;
}

static void ignore_stop(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis) {
	(void)data, (void)pointer, (void)time, (void)axis;
}

static void ignore_discrete(void *data, struct wl_pointer *pointer, uint32_t axis, int32_t steps) {
	(void)data, (void)pointer, (void)axis, (void)steps;
}

static const struct wl_pointer_listener pointer_listener = {.enter = pointer_enter,
	.leave = pointer_leave,
	.motion = pointer_motion,
	.button = pointer_button,
	.axis = pointer_axis,
	.frame = ignore_frame,
	.axis_source = ignore_source,
	.axis_stop = ignore_stop,
	.axis_discrete = ignore_discrete};

static void capabilities(void *data, struct wl_seat *object, uint32_t what) {
	static struct wl_pointer *pointer;
	(void)data;
	if (what & WL_SEAT_CAPABILITY_POINTER && pointer == NULL) {
		pointer = wl_seat_get_pointer(object);
		wl_pointer_add_listener(pointer, &pointer_listener, NULL);
	}
}

static void seat_name(void *data, struct wl_seat *object, const char *text) {
	(void)data, (void)object, (void)text;
}

static const struct wl_seat_listener seat_listener = {capabilities, seat_name};

/* ---- globals ---- */

static void add_output(struct wl_registry *registry, uint32_t number) {
	for (unsigned i = 0; i < OUTPUTS_MAX; i++) {
		if (outputs[i].output == NULL) {
			outputs[i].output = wl_registry_bind(registry, number, &wl_output_interface, 2);
			wl_output_add_listener(outputs[i].output, &output_listener, &outputs[i]);
			return;
		}
	}
}

static void global(
	void *data, struct wl_registry *registry, uint32_t number, const char *interface, uint32_t version) {
	(void)data;
	(void)version;
	if (strcmp(interface, "wl_compositor") == 0) {
		compositor = wl_registry_bind(registry, number, &wl_compositor_interface, 4);
	} else if (strcmp(interface, "wl_shm") == 0) {
		shm = wl_registry_bind(registry, number, &wl_shm_interface, 1);
	} else if (strcmp(interface, "xdg_wm_base") == 0) {
		wm_base = wl_registry_bind(registry, number, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(wm_base, &wm_base_listener, NULL);
	} else if (strcmp(interface, "wl_seat") == 0) {
		seat = wl_registry_bind(registry, number, &wl_seat_interface, 5);
		wl_seat_add_listener(seat, &seat_listener, NULL);
	} else if (strcmp(interface, "wl_data_device_manager") == 0) {
		data_manager = wl_registry_bind(registry, number, &wl_data_device_manager_interface, 3);
	} else if (strcmp(interface, "wl_output") == 0) {
		add_output(registry, number);
	}
}

static void global_remove(void *data, struct wl_registry *registry, uint32_t number) {
	(void)data, (void)registry, (void)number;
}

static const struct wl_registry_listener registry_listener = {global, global_remove};

static void create_window(void) {
	window.surface = wl_compositor_create_surface(compositor);
	wl_surface_add_listener(window.surface, &window_listener, NULL);
	xdg_surface = xdg_wm_base_get_xdg_surface(wm_base, window.surface);
	xdg_surface_add_listener(xdg_surface, &surface_listener, &window);
	toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, name);
	xdg_toplevel_set_app_id(toplevel, name);
	wl_surface_commit(window.surface);
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	name = argc > 1 ? argv[1] : name;
	if (argc > 2) {
		sscanf(argv[2], "%dx%d", &window.width, &window.height);
	}
	frames = argc > 3 ? atol(argv[3]) : -1;
	display = wl_display_connect(NULL);
	if (display == NULL) {
		fprintf(stderr, "probe: no compositor\n");
		return 1;
	}
	wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
	wl_display_roundtrip(display);
	if (compositor == NULL || shm == NULL || wm_base == NULL || seat == NULL || data_manager == NULL) {
		fprintf(stderr, "probe: the compositor lacks something\n");
		return 1;
	}
	data_device = wl_data_device_manager_get_data_device(data_manager, seat);
	wl_data_device_add_listener(data_device, &device_listener, NULL);
	create_window();
	while (!done && wl_display_dispatch(display) >= 0) {
	}
	int error = wl_display_get_error(display);
	if (error != 0) {
		fprintf(stderr, "probe: the connection ended: %s\n", strerror(error));
	}
	wl_display_disconnect(display);
	return error != 0;
}
