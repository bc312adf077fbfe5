/* Room in the shared-memory window, and the calls to the monitor that put memory there. */
#ifndef DISPLAY_WINDOW_H
#define DISPLAY_WINDOW_H

#include "ph/window.h"

#include <stdbool.h>
#include <stdint.h>

struct wl_extent {
	uint64_t offset, size;
};

struct wl_window {
	int fd;
	uint64_t address, size;
	/* what is free, by offset; neighbours are one */
	struct wl_extent free[WINDOW_MAPPINGS_MAX + 1];
	unsigned free_count;
};

void wl_window_init(struct wl_window *window, int fd, uint64_t address, uint64_t size);
/* Map size bytes (a multiple of WINDOW_PAGE) of a descriptor anywhere. 0 or -errno. */
int wl_window_map(struct wl_window *window, int fd, uint64_t size, uint32_t flags, uint64_t *offset);
void wl_window_unmap(struct wl_window *window, uint64_t offset, uint64_t size);

#endif
