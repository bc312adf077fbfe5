/* dma-bufs made of the guest's own memory. */
#ifndef DISPLAY_PAGES_H
#define DISPLAY_PAGES_H

#include "display/commands.h"

#include <linux/udmabuf.h>

/* What the host's side of one vfd may hold of the guest's memory, and of all of them. */
#define WL_PAGES_MAX (256ULL << 20)
#define WL_PAGES_TOTAL_MAX (1ULL << 30)

/* The device that makes them, or -1. Before the process is confined. */
int wl_pages_open(void);

/* VFD_NEW_GUEST_PAGES */
uint32_t wl_command_new_guest_pages(struct wl_command *command);

/* A list for the kernel, growing. */
struct wl_page_list {
	const struct guest_memory *memory;
	struct udmabuf_create_list *create; /* with room for capacity items */
	uint32_t capacity;
	uint64_t size; /* bytes in all */
};

/* Add a range of the guest's; neighbours in the file become one. 0; -EFAULT when it is not all RAM; -EINVAL,
 * -EFBIG. */
int wl_page_list_add(struct wl_page_list *list, uint64_t address, uint64_t length);

#endif
