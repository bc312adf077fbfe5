/*
 * A Wayland client of the bench: what round trips and frames take, by the clock of the machine that it runs
 * in. Prints "NAME NANOSECONDS" lines, each for one; drawing is not counted. A frame is over when the
 * compositor has answered a request behind it.
 *
 * usage: screen [FRAMES]: or only so many frames, of which the first changed everywhere
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wayland-client.h>

#include "xdg-shell-client.h"

#define WIDTH 1920
#define HEIGHT 1080
#define SIZE ((size_t)WIDTH * HEIGHT * 4)
#define POOL_SIZE ((SIZE + 4095) / 4096 * 4096)
#define SYNCS 200
#define BATCH 50
#define COPIED_FROM 2u /* frames whose buffers were shown before, and not often enough to be shared */
#define COPIED_TO 8u
#define SHARED_FROM 12u
#define SHARED_TO 32u
#define SMALL 64

static struct wl_display *display;
static struct wl_compositor *compositor;
static struct wl_shm *shm;
static struct xdg_wm_base *shell;
static struct wl_surface *surface;
static struct wl_buffer *buffers[2];
static uint32_t *pixels[2];
static int configured;
static unsigned done;

static uint64_t now(void) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void report(const char *name, uint64_t ns, unsigned count) {
	printf("%s %llu\n", name, (unsigned long long)(ns / count));
}

/* ---- what the compositor says ---- */

static void ping(void *data, struct xdg_wm_base *base, uint32_t serial) {
	(void)data;
	xdg_wm_base_pong(base, serial);
}
static const struct xdg_wm_base_listener shell_listener = {.ping = ping};

static void configure(void *data, struct xdg_surface *xdg, uint32_t serial) {
	(void)data;
	xdg_surface_ack_configure(xdg, serial);
	configured = 1;
}
static const struct xdg_surface_listener surface_listener = {.configure = configure};

static void resize(void *data, struct xdg_toplevel *top, int32_t w, int32_t h, struct wl_array *states) {
	(void)data;
	(void)top;
	(void)w;
	(void)h;
	(void)states;
}
static void closed(void *data, struct xdg_toplevel *top) {
	(void)data;
	(void)top;
}
static const struct xdg_toplevel_listener toplevel_listener = {.configure = resize, .close = closed};

static void global(
	void *data, struct wl_registry *registry, uint32_t name, const char *interface, uint32_t version) {
	(void)data;
	(void)version;
	if (strcmp(interface, "wl_compositor") == 0) {
		compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, "wl_shm") == 0) {
		shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (strcmp(interface, "xdg_wm_base") == 0) {
		shell = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(shell, &shell_listener, NULL);
	}
}
static void global_remove(void *data, struct wl_registry *registry, uint32_t name) {
	(void)data;
	(void)registry;
	(void)name;
}
static const struct wl_registry_listener registry_listener = {global, global_remove};

static void called(void *data, struct wl_callback *callback, uint32_t number) {
	(void)data;
	(void)number;
	wl_callback_destroy(callback);
	done++;
}
static const struct wl_callback_listener callback_listener = {called};

/* ---- the window ---- */

static void create_window(void) {
	surface = wl_compositor_create_surface(compositor);
	struct xdg_surface *xdg = xdg_wm_base_get_xdg_surface(shell, surface);
	struct xdg_toplevel *toplevel = xdg_surface_get_toplevel(xdg);
	xdg_surface_add_listener(xdg, &surface_listener, NULL);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	wl_surface_commit(surface);
	while (!configured && wl_display_dispatch(display) >= 0) {
	}
}

static int create_buffers(void) {
	int fd = memfd_create("screen", 0);
	if (fd < 0 || ftruncate(fd, 2 * POOL_SIZE) < 0) {
		return -1;
	}
	uint8_t *memory = mmap(NULL, 2 * POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct wl_shm_pool *pool = wl_shm_create_pool(shm, fd, 2 * POOL_SIZE);
	for (unsigned i = 0; i < 2; i++) {
		pixels[i] = (uint32_t *)(void *)(memory + i * POOL_SIZE);
		buffers[i] = wl_shm_pool_create_buffer(
			pool, (int32_t)(i * POOL_SIZE), WIDTH, HEIGHT, WIDTH * 4, WL_SHM_FORMAT_XRGB8888);
	}
	return memory == MAP_FAILED ? -1 : 0;
}

/* Changed pixels: what is the same as before costs some nothing. */
static void draw(unsigned frame, int width, int height) {
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			pixels[frame % 2][y * WIDTH + x] = frame * 2654435761u + (uint32_t)(y * WIDTH + x);
		}
	}
}

static uint64_t show(unsigned frame, int width, int height) {
	draw(frame, width, height);
	uint64_t start = now();
	wl_surface_attach(surface, buffers[frame % 2], 0, 0);
	wl_surface_damage_buffer(surface, 0, 0, width, height);
	wl_surface_commit(surface);
	wl_display_roundtrip(display);
	return now() - start;
}

/* ---- measures ---- */

static void measure_syncs(void) {
	wl_display_roundtrip(display);
	uint64_t start = now();
	for (unsigned i = 0; i < SYNCS; i++) {
		wl_display_roundtrip(display);
	}
	report("sync", now() - start, SYNCS);
	start = now();
	for (unsigned i = 0; i < BATCH; i++) {
		wl_callback_add_listener(wl_display_sync(display), &callback_listener, NULL);
	}
	while (done < BATCH && wl_display_dispatch(display) >= 0) {
	}
	report("event", now() - start, BATCH);
}

static void measure_frames(void) {
	uint64_t copied = 0, shared = 0, small = 0;
	unsigned frame = 0;
	for (; frame < SHARED_TO; frame++) {
		uint64_t taken = show(frame, WIDTH, HEIGHT);
		copied += frame >= COPIED_FROM && frame < COPIED_TO ? taken : 0;
		shared += frame >= SHARED_FROM ? taken : 0;
	}
	report("frame-first", copied, COPIED_TO - COPIED_FROM);
	report("frame", shared, SHARED_TO - SHARED_FROM);
	for (unsigned end = frame + 40; frame < end; frame++) {
		small += show(frame, SMALL, SMALL);
	}
	report("frame-small", small, 40);
}

static void show_frames(unsigned count) {
	show(0, WIDTH, HEIGHT);
	for (unsigned frame = 1; frame < count; frame++) {
		show(frame, SMALL, SMALL);
	}
}

int main(int argc, char **argv) {
	display = wl_display_connect(NULL);
	if (display == NULL) {
		return 1;
	}
	wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
	wl_display_roundtrip(display);
	if (compositor == NULL || shm == NULL || shell == NULL) {
		return 1;
	}
	if (argc == 1) {
		measure_syncs();
	}
	create_window();
	if (create_buffers() < 0) {
		return 1;
	}
	if (argc > 1) {
		show_frames((unsigned)atoi(argv[1]));
	} else {
		measure_frames();
	}
	return 0;
}
