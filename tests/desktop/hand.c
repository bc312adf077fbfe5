/*
 * The mouse of a test: a pointer that the compositor takes for a device, and that is there as long as this
 * runs. Reads what to do from standard input, a line each, and answers each line once the compositor has done
 * it: move X Y | press BUTTON | release BUTTON | scroll LINES usage: hand WIDTH HEIGHT (of all outputs
 * together)
 */
#include "virtual-pointer-client.h"

#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wayland-client.h>

static struct zwlr_virtual_pointer_manager_v1 *manager;
static struct zwlr_virtual_pointer_v1 *pointer;
static uint32_t width, height;

static void global(
	void *data, struct wl_registry *registry, uint32_t name, const char *interface, uint32_t version) {
	(void)data;
	(void)version;
	if (strcmp(interface, zwlr_virtual_pointer_manager_v1_interface.name) == 0) {
		manager = wl_registry_bind(registry, name, &zwlr_virtual_pointer_manager_v1_interface, 1);
	}
}

static void global_remove(void *data, struct wl_registry *registry, uint32_t name) {
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {global, global_remove};

static uint32_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static uint32_t button_of(const char *name) {
	return strcmp(name, "right") == 0 ? BTN_RIGHT : strcmp(name, "middle") == 0 ? BTN_MIDDLE : BTN_LEFT;
}

static bool obey(const char *line) {
	char name[16];
	unsigned x, y;
	int lines;
	if (sscanf(line, "move %u %u", &x, &y) == 2) {
		zwlr_virtual_pointer_v1_motion_absolute(pointer, now_ms(), x, y, width, height);
	} else if (sscanf(line, "press %15s", name) == 1) {
		zwlr_virtual_pointer_v1_button(pointer, now_ms(), button_of(name), 1);
	} else if (sscanf(line, "release %15s", name) == 1) {
		zwlr_virtual_pointer_v1_button(pointer, now_ms(), button_of(name), 0);
	} else if (sscanf(line, "scroll %d", &lines) == 1) {
		zwlr_virtual_pointer_v1_axis(pointer, now_ms(), 0, wl_fixed_from_int(15 * lines));
	} else {
		return false;
	}
	zwlr_virtual_pointer_v1_frame(pointer);
	return true;
}

int main(int argc, char **argv) {
	struct wl_display *display = wl_display_connect(NULL);
	char line[64];
	if (argc != 3 || display == NULL) {
		fprintf(stderr, "usage: hand WIDTH HEIGHT, with a compositor\n");
		return 2;
	}
	width = (uint32_t)atoi(argv[1]);
	height = (uint32_t)atoi(argv[2]);
	wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
	wl_display_roundtrip(display);
	if (manager == NULL) {
		fprintf(stderr, "hand: the compositor takes no virtual pointers\n");
		return 1;
	}
	pointer = zwlr_virtual_pointer_manager_v1_create_virtual_pointer(manager, NULL);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		bool good = obey(line) && wl_display_roundtrip(display) >= 0;
		puts(good ? "done" : "failed");
		fflush(stdout);
	}
	wl_display_disconnect(display);
	return 0;
}
