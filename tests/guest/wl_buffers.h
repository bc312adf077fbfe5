/* For wl_server.c: dma-bufs and sync files of the host, where it has vgem and /dev/dma_heap/system. */
#ifndef WL_BUFFERS_H
#define WL_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wl_fence {
	int card, buffer;
	int file; /* the sync file */
	uint32_t id;
};

/* A dma-buf of that many bytes, of vgem's or of a heap's memory, or -1. */
int wl_buffer_create(size_t size);
int wl_heap_create(size_t size);
/* A fence that is not signalled yet. On false and true alike it is to be destroyed. */
bool wl_fence_create(struct wl_fence *fence);
bool wl_fence_signal(const struct wl_fence *fence);
void wl_fence_destroy(struct wl_fence *fence);

#endif
