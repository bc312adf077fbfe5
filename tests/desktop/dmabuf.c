/*
 * A program that shows a dma-buf, as those do that draw with a GPU: in a VM one of the host's card through
 * /dev/wl0, on the host one of the card itself. Says "shown" once the compositor has shown it, and stays; "no
 * dma-bufs" and ends when the compositor offers none. usage: dmabuf NAME
 */
#include "linux-dmabuf-unstable-v1-client.h"
#include "xdg-shell-client.h"

#include "ph/wl_user.h"

#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/drm_fourcc.h>
#include <libdrm/drm_mode.h>
#include <linux/dma-buf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-client.h>

#define WIDTH 320
#define HEIGHT 200

static struct wl_display *display;
static struct wl_compositor *compositor;
static struct xdg_wm_base *wm_base;
static struct zwp_linux_dmabuf_v1 *dmabuf;
static struct wl_surface *surface;
static struct wl_buffer *buffer;
static bool linear;

/* ---- memory ---- */

struct memory {
	int fd;
	uint32_t stride;
	uint8_t *pixels;
	bool of_vm;
};

static bool allocate_in_vm(struct memory *memory, int device) {
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_DMABUF, .fd = -1};
	new.dmabuf.width = WIDTH;
	new.dmabuf.height = HEIGHT;
	new.dmabuf.format = DRM_FORMAT_XRGB8888;
	bool good = ioctl(device, VIRTWL_IOCTL_NEW, &new) == 0;
	memory->fd = new.fd;
	memory->stride = new.dmabuf.stride0;
	memory->of_vm = true;
	return good;
}

static bool allocate_on_card(struct memory *memory) {
	struct drm_mode_create_dumb dumb = {.width = WIDTH, .height = HEIGHT, .bpp = 32};
	struct drm_prime_handle prime = {.flags = DRM_CLOEXEC | DRM_RDWR};
	int card = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	if (card < 0 || ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0) {
		return false;
	}
	prime.handle = dumb.handle;
	bool good = ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0;
	memory->fd = prime.fd;
	memory->stride = dumb.pitch;
	ioctl(card, DRM_IOCTL_DROP_MASTER, 0);
	close(card);
	return good;
}

static bool allocate(struct memory *memory) {
	int device = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	bool good = device >= 0 ? allocate_in_vm(memory, device) : allocate_on_card(memory);
	void *pixels = MAP_FAILED;
	if (good) {
		pixels = mmap(NULL, (size_t)memory->stride * HEIGHT, PROT_READ | PROT_WRITE, MAP_SHARED,
			memory->fd, 0);
	}
	memory->pixels = pixels;
	return pixels != MAP_FAILED;
}

/* Around what the program draws */
static void synchronize(const struct memory *memory, uint64_t flags) {
	if (memory->of_vm) {
		struct virtwl_ioctl_dmabuf_sync sync = {.flags = (uint32_t)flags};
		ioctl(memory->fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync);
	} else {
		struct dma_buf_sync sync = {.flags = flags};
		ioctl(memory->fd, DMA_BUF_IOCTL_SYNC, &sync);
	}
}

static void draw(const struct memory *memory) {
	synchronize(memory, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	for (uint32_t y = 0; y < HEIGHT; y++) {
		uint32_t *line = (uint32_t *)(memory->pixels + (size_t)y * memory->stride);
		for (uint32_t x = 0; x < WIDTH; x++) {
			line[x] = 0xff000000 | (x * 255 / WIDTH) << 16 | (y * 255 / HEIGHT) << 8 |
				  ((x / 20 + y / 20) % 2) * 0xff;
		}
	}
	synchronize(memory, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
}

/* ---- the buffer ---- */

static void created(void *data, struct zwp_linux_buffer_params_v1 *params, struct wl_buffer *object) {
	(void)data, (void)params;
	buffer = object;
}

static void failed(void *data, struct zwp_linux_buffer_params_v1 *params) {
	(void)data, (void)params;
	puts("the compositor does not take the dma-buf");
	exit(1);
}

static const struct zwp_linux_buffer_params_v1_listener params_listener = {created, failed};

static void create_buffer(const struct memory *memory) {
	struct zwp_linux_buffer_params_v1 *params = zwp_linux_dmabuf_v1_create_params(dmabuf);
	zwp_linux_buffer_params_v1_add_listener(params, &params_listener, NULL);
	zwp_linux_buffer_params_v1_add(params, memory->fd, 0, 0, memory->stride, 0, DRM_FORMAT_MOD_LINEAR);
	zwp_linux_buffer_params_v1_create(params, WIDTH, HEIGHT, DRM_FORMAT_XRGB8888, 0);
	while (buffer == NULL && wl_display_dispatch(display) >= 0) {
	}
	zwp_linux_buffer_params_v1_destroy(params);
}

/* ---- the window ---- */

static void frame(void *data, struct wl_callback *callback, uint32_t time) {
	(void)data, (void)time;
	wl_callback_destroy(callback);
	puts("shown");
}

static const struct wl_callback_listener frame_listener = {frame};

static void configure(void *data, struct xdg_surface *object, uint32_t serial) {
	static bool attached;
	(void)data;
	xdg_surface_ack_configure(object, serial);
	if (!attached) {
		attached = true;
		wl_callback_add_listener(wl_surface_frame(surface), &frame_listener, NULL);
		wl_surface_attach(surface, buffer, 0, 0);
		wl_surface_damage_buffer(surface, 0, 0, WIDTH, HEIGHT);
	}
	wl_surface_commit(surface);
}

static const struct xdg_surface_listener surface_listener = {configure};

static void ping(void *data, struct xdg_wm_base *base, uint32_t serial) {
	(void)data;
	xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {ping};

static void configure_toplevel(
	void *data, struct xdg_toplevel *object, int32_t width, int32_t height, struct wl_array *states) {
	(void)data, (void)object, (void)width, (void)height, (void)states;
}

static void close_toplevel(void *data, struct xdg_toplevel *object) {
	(void)data, (void)object;
	exit(0);
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = configure_toplevel, .close = close_toplevel};

static void create_window(const char *name) {
	surface = wl_compositor_create_surface(compositor);
	struct xdg_surface *xdg_surface = xdg_wm_base_get_xdg_surface(wm_base, surface);
	xdg_surface_add_listener(xdg_surface, &surface_listener, NULL);
	struct xdg_toplevel *toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, name);
	xdg_toplevel_set_app_id(toplevel, name);
	wl_surface_commit(surface);
}

/* ---- globals ---- */

static void format(void *data, struct zwp_linux_dmabuf_v1 *object, uint32_t fourcc) {
	(void)data, (void)object, (void)fourcc;
}

static void modifier(
	void *data, struct zwp_linux_dmabuf_v1 *object, uint32_t fourcc, uint32_t high, uint32_t low) {
	(void)data, (void)object;
	linear = linear || (fourcc == DRM_FORMAT_XRGB8888 && high == 0 && low == 0);
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {format, modifier};

static void global(
	void *data, struct wl_registry *registry, uint32_t number, const char *interface, uint32_t version) {
	(void)data;
	if (strcmp(interface, "wl_compositor") == 0) {
		compositor = wl_registry_bind(registry, number, &wl_compositor_interface, 4);
	} else if (strcmp(interface, "xdg_wm_base") == 0) {
		wm_base = wl_registry_bind(registry, number, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(wm_base, &wm_base_listener, NULL);
	} else if (strcmp(interface, "zwp_linux_dmabuf_v1") == 0 && version >= 3) {
		dmabuf = wl_registry_bind(registry, number, &zwp_linux_dmabuf_v1_interface, 3);
		zwp_linux_dmabuf_v1_add_listener(dmabuf, &dmabuf_listener, NULL);
	}
}

static void global_remove(void *data, struct wl_registry *registry, uint32_t number) {
	(void)data, (void)registry, (void)number;
}

static const struct wl_registry_listener registry_listener = {global, global_remove};

int main(int argc, char **argv) {
	struct memory memory = {.fd = -1};
	setvbuf(stdout, NULL, _IOLBF, 0);
	display = wl_display_connect(NULL);
	if (display == NULL) {
		fprintf(stderr, "dmabuf: no compositor\n");
		return 1;
	}
	wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
	wl_display_roundtrip(display);
	wl_display_roundtrip(display);
	if (compositor == NULL || wm_base == NULL || dmabuf == NULL || !linear) {
		puts("no dma-bufs");
		return 0;
	}
	if (!allocate(&memory)) {
		perror("dmabuf: no memory");
		return 1;
	}
	draw(&memory);
	create_buffer(&memory);
	create_window(argc > 1 ? argv[1] : "dmabuf");
	while (wl_display_dispatch(display) >= 0) {
	}
	fprintf(stderr, "dmabuf: the connection ended: %s\n", strerror(wl_display_get_error(display)));
	return 1;
}
