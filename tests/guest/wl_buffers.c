/* What wl_server.c sends of the kernel's graphics: a dma-buf of a heap, and the fence of a buffer of vgem,
 * which user space signals. Runs on the host. */
#define _GNU_SOURCE
#include "wl_buffers.h"

#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CARDS 8

/* vgem's two calls, for which not every libdrm has a header. */
struct fence_attach {
	uint32_t handle, flags;
	uint32_t fence; /* out */
	uint32_t padding;
};
struct fence_signal {
	uint32_t fence, flags;
};
#define FENCE_WRITE 1
#define FENCE_ATTACH DRM_IOWR(DRM_COMMAND_BASE + 1, struct fence_attach)
#define FENCE_SIGNAL DRM_IOW(DRM_COMMAND_BASE + 2, struct fence_signal)

static int open_vgem(void) {
	for (int i = 0; i < CARDS; i++) {
		char path[32], name[16] = "";
		struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "vgem") == 0) {
			return fd;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	return -1;
}

int wl_heap_create(size_t size) {
	struct dma_heap_allocation_data data = {.len = size, .fd_flags = O_RDWR | O_CLOEXEC};
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int fd = heap >= 0 && ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) == 0 ? (int)data.fd : -1;
	if (heap >= 0) {
		close(heap);
	}
	return fd;
}

/* A dma-buf, or -1. */
static int create_dumb(int card, uint32_t height, uint32_t *handle) {
	struct drm_mode_create_dumb dumb = {.width = 1024, .height = height, .bpp = 32};
	if (card < 0 || ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0) {
		return -1;
	}
	struct drm_prime_handle prime = {.handle = *handle = dumb.handle, .flags = DRM_CLOEXEC | DRM_RDWR};
	return ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0 ? -1 : prime.fd;
}

int wl_buffer_create(size_t size) {
	uint32_t handle;
	int card = open_vgem(), fd = create_dumb(card, (uint32_t)(size / 4096), &handle);
	if (card >= 0) {
		close(card);
	}
	return fd;
}

bool wl_fence_create(struct wl_fence *fence) {
	struct fence_attach attach = {.flags = FENCE_WRITE};
	struct dma_buf_export_sync_file export = {.flags = DMA_BUF_SYNC_RW, .fd = -1};
	*fence = (struct wl_fence){.card = open_vgem(), .buffer = -1, .file = -1};
	fence->buffer = create_dumb(fence->card, 1, &attach.handle);
	if (fence->buffer < 0 || ioctl(fence->card, FENCE_ATTACH, &attach) < 0 ||
		ioctl(fence->buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) < 0) {
		return false;
	}
	fence->id = attach.fence;
	fence->file = export.fd;
	return true;
}

bool wl_fence_signal(const struct wl_fence *fence) {
	struct fence_signal signal = {.fence = fence->id};
	return ioctl(fence->card, FENCE_SIGNAL, &signal) == 0;
}

void wl_fence_destroy(struct wl_fence *fence) {
	const int fds[] = {fence->file, fence->buffer, fence->card};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}
