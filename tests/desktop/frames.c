/*
 * A window that shows frames of known pixels, one after the other, each as a whole, and then stays. It tells
 * what it was told meanwhile: when frames were shown, by its own clock, and whether the keymap is a file like
 * any other.
 */
#include "presentation-time-client.h"
#include "xdg-shell-client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wayland-client.h>

#define PAGE 4096
#define SLACK_NS 500000000ll /* clocks of two machines are never quite the same */

struct window_buffer {
	struct wl_buffer *buffer;
	uint32_t *pixels;
	int busy;
};

struct presented {
	long long committed;
};

static struct wl_compositor *compositor;
static struct wl_shm *shm;
static struct xdg_wm_base *shell;
static struct wp_presentation *presentation;
static struct wl_seat *seat;
static struct window_buffer buffers[2];
static int width = 1280, height = 720, configured, shown;
static unsigned clock_id = ~0u, told, wrong;
static char keymap[16];

static long long now(void) {
	struct timespec ts;
	clock_gettime(clock_id == ~0u ? CLOCK_MONOTONIC : (clockid_t)clock_id, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- what is told ---- */

static void keyboard_keymap(
	void *data, struct wl_keyboard *keyboard, uint32_t format, int fd, uint32_t size) {
	void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	char start[11] = "", mapped[11] = "";
	if (text != MAP_FAILED && pread(fd, start, 10, 0) == 10) {
		memcpy(mapped, text, 10);
	}
	strcpy(keymap, format != 1                                                      ? "none"
		       : strcmp(start, mapped) == 0 && strcmp(start, "xkb_keymap") == 0 ? "good"
											: "bad");
	if (text != MAP_FAILED) {
		munmap(text, size);
	}
	close(fd);
}
static void keyboard_enter(
	void *d, struct wl_keyboard *k, uint32_t s, struct wl_surface *f, struct wl_array *a) {
}
static void keyboard_leave(void *d, struct wl_keyboard *k, uint32_t s, struct wl_surface *f) {
}
static void keyboard_key(
	void *d, struct wl_keyboard *k, uint32_t s, uint32_t t, uint32_t key, uint32_t state) {
}
static void keyboard_modifiers(
	void *d, struct wl_keyboard *k, uint32_t s, uint32_t a, uint32_t b, uint32_t c, uint32_t g) {
}
static const struct wl_keyboard_listener keyboard_listener = {
	keyboard_keymap, keyboard_enter, keyboard_leave, keyboard_key, keyboard_modifiers, NULL};

static void seat_capabilities(void *data, struct wl_seat *s, uint32_t capabilities) {
	static struct wl_keyboard *keyboard;
	if ((capabilities & WL_SEAT_CAPABILITY_KEYBOARD) != 0 && keyboard == NULL) {
		keyboard = wl_seat_get_keyboard(s);
		wl_keyboard_add_listener(keyboard, &keyboard_listener, NULL);
	}
}
static const struct wl_seat_listener seat_listener = {seat_capabilities, NULL};

static void presentation_clock(void *data, struct wp_presentation *p, uint32_t id) {
	clock_id = id;
}
static const struct wp_presentation_listener presentation_listener = {presentation_clock};

static void sync_output(void *data, struct wp_presentation_feedback *f, struct wl_output *output) {
}
static void presented(void *data, struct wp_presentation_feedback *feedback, uint32_t high, uint32_t low,
	uint32_t ns, uint32_t refresh, uint32_t sequence_high, uint32_t sequence_low, uint32_t flags) {
	struct presented *frame = data;
	long long time = (long long)((unsigned long long)high << 32 | low) * 1000000000ll + ns;
	told++;
	if (time < frame->committed - SLACK_NS || time > now() + SLACK_NS) {
		printf("# shown at %lld, committed at %lld, now %lld\n", time, frame->committed, now());
		wrong++;
	}
	wp_presentation_feedback_destroy(feedback);
	free(frame);
}
static void discarded(void *data, struct wp_presentation_feedback *feedback) {
	wp_presentation_feedback_destroy(feedback);
	free(data);
}
static const struct wp_presentation_feedback_listener feedback_listener = {sync_output, presented, discarded};

/* ---- the window ---- */

static void shell_ping(void *data, struct xdg_wm_base *s, uint32_t serial) {
	xdg_wm_base_pong(s, serial);
}
static const struct xdg_wm_base_listener shell_listener = {shell_ping};

static void surface_configure(void *data, struct xdg_surface *surface, uint32_t serial) {
	xdg_surface_ack_configure(surface, serial);
	configured = 1;
}
static const struct xdg_surface_listener surface_listener = {surface_configure};

static void toplevel_configure(
	void *data, struct xdg_toplevel *t, int32_t w, int32_t h, struct wl_array *states) {
	if (configured == 0 && w > 0 && h > 0) {
		width = w;
		height = h;
	}
}
static void toplevel_close(void *data, struct xdg_toplevel *t) {
	exit(0);
}
static const struct xdg_toplevel_listener toplevel_listener = {
	toplevel_configure, toplevel_close, NULL, NULL};

static void released(void *data, struct wl_buffer *buffer) {
	((struct window_buffer *)data)->busy = 0;
}
static const struct wl_buffer_listener buffer_listener = {released};

static void frame_done(void *data, struct wl_callback *callback, uint32_t time) {
	wl_callback_destroy(callback);
	shown = 1;
}
static const struct wl_callback_listener frame_listener = {frame_done};

static void global(
	void *data, struct wl_registry *registry, uint32_t name, const char *interface, uint32_t version) {
	if (strcmp(interface, "wl_compositor") == 0) {
		compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, "wl_shm") == 0) {
		shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (strcmp(interface, "xdg_wm_base") == 0) {
		shell = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(shell, &shell_listener, NULL);
	} else if (strcmp(interface, "wp_presentation") == 0) {
		presentation = wl_registry_bind(registry, name, &wp_presentation_interface, 1);
		wp_presentation_add_listener(presentation, &presentation_listener, NULL);
	} else if (strcmp(interface, "wl_seat") == 0 && seat == NULL) {
		seat = wl_registry_bind(registry, name, &wl_seat_interface, 1);
		wl_seat_add_listener(seat, &seat_listener, NULL);
	}
}
static void global_remove(void *data, struct wl_registry *registry, uint32_t name) {
}
static const struct wl_registry_listener registry_listener = {global, global_remove};

static int create_buffers(void) {
	size_t size = ((size_t)width * height * 4 + PAGE - 1) / PAGE * PAGE;
	int fd = memfd_create("frames", 0);
	if (fd < 0 || ftruncate(fd, 2 * size) < 0) {
		return -1;
	}
	char *memory = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct wl_shm_pool *pool = wl_shm_create_pool(shm, fd, 2 * size);
	for (int i = 0; i < 2; i++) {
		buffers[i].pixels = (uint32_t *)(memory + i * size);
		buffers[i].buffer = wl_shm_pool_create_buffer(
			pool, i * size, width, height, width * 4, WL_SHM_FORMAT_XRGB8888);
		wl_buffer_add_listener(buffers[i].buffer, &buffer_listener, &buffers[i]);
	}
	close(fd);
	return memory == MAP_FAILED ? -1 : 0;
}

static void draw(uint32_t *pixels, unsigned frame) {
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			pixels[y * width + x] = (uint32_t)((x * 7 + frame) & 255) << 16 |
						(uint32_t)((y * 3 + frame) & 255) << 8 | ((x ^ y) & 255);
		}
	}
}

static void commit(struct wl_surface *surface, struct window_buffer *buffer) {
	shown = 0;
	buffer->busy = 1;
	wl_surface_attach(surface, buffer->buffer, 0, 0);
	wl_surface_damage_buffer(surface, 0, 0, width, height);
	wl_callback_add_listener(wl_surface_frame(surface), &frame_listener, NULL);
	if (presentation != NULL) {
		struct presented *frame = malloc(sizeof(*frame));
		frame->committed = now();
		wp_presentation_feedback_add_listener(
			wp_presentation_feedback(presentation, surface), &feedback_listener, frame);
	}
	wl_surface_commit(surface);
}

int main(int argc, char **argv) {
	struct wl_display *display = wl_display_connect(NULL);
	unsigned count = argc > 1 ? atoi(argv[1]) : 20;
	if (display == NULL) {
		return 1;
	}
	wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
	wl_display_roundtrip(display);
	if (compositor == NULL || shm == NULL || shell == NULL) {
		return 1;
	}
	struct wl_surface *surface = wl_compositor_create_surface(compositor);
	struct xdg_surface *xdg_surface = xdg_wm_base_get_xdg_surface(shell, surface);
	struct xdg_toplevel *toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_surface_add_listener(xdg_surface, &surface_listener, NULL);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_app_id(toplevel, "frames");
	wl_surface_commit(surface);
	while (configured == 0 && wl_display_dispatch(display) >= 0) {
	}
	if (create_buffers() < 0) {
		return 1;
	}
	for (unsigned i = 0; i < count; i++) {
		struct window_buffer *buffer = &buffers[0];
		while (buffers[0].busy && buffers[1].busy && wl_display_dispatch(display) >= 0) {
		}
		buffer = buffers[0].busy ? &buffers[1] : &buffers[0];
		draw(buffer->pixels, i);
		commit(surface, buffer);
		while (!shown && wl_display_dispatch(display) >= 0) {
		}
	}
	wl_display_roundtrip(display);
	printf("%u frames of %d bytes\n", count, width * height * 4);
	printf("clock %s, presented %s, wrong %u\n", clock_id == CLOCK_MONOTONIC ? "monotonic" : "other",
		told > count / 2 ? "most" : "few", wrong);
	printf("keymap %s\n", keymap);
	fflush(stdout);
	while (wl_display_dispatch(display) >= 0) {
	}
	return 0;
}
