/*
 * As much of a compositor as it takes to look at a dma-buf: compositors of Debian 12 take none without a GPU.
 * It offers linux-dmabuf, shows nothing, and writes the pixels of the first frame that is a dma-buf to a
 * file, as PPM. Ends then. usage: dmabuf_server SOCKET FILE
 */
#include "linux-dmabuf-unstable-v1-server.h"
#include "xdg-shell-server.h"

#include <libdrm/drm_fourcc.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-server.h>

static struct wl_display *display;
static const char *file_name;
static struct wl_resource *frame_callback;

struct dmabuf {
	int fd, width, height;
	uint32_t offset, stride;
};

static void destroy(struct wl_client *client, struct wl_resource *resource) {
	(void)client;
	wl_resource_destroy(resource);
}

/* ---- dma-bufs ---- */

static const struct wl_buffer_interface buffer_implementation = {destroy};

static void params_add(struct wl_client *client, struct wl_resource *resource, int32_t fd, uint32_t plane,
	uint32_t offset, uint32_t stride, uint32_t modifier_high, uint32_t modifier_low) {
	struct dmabuf *dmabuf = wl_resource_get_user_data(resource);
	(void)client, (void)plane, (void)modifier_high, (void)modifier_low;
	dmabuf->fd = fd;
	dmabuf->offset = offset;
	dmabuf->stride = stride;
}

static struct wl_resource *create_buffer(
	struct wl_client *client, struct wl_resource *params, uint32_t id, int32_t width, int32_t height) {
	struct dmabuf *dmabuf = wl_resource_get_user_data(params);
	struct wl_resource *buffer = wl_resource_create(client, &wl_buffer_interface, 1, id);
	dmabuf->width = width;
	dmabuf->height = height;
	wl_resource_set_implementation(buffer, &buffer_implementation, dmabuf, NULL);
	return buffer;
}

static void params_create(struct wl_client *client, struct wl_resource *params, int32_t width, int32_t height,
	uint32_t format, uint32_t flags) {
	(void)format, (void)flags;
	zwp_linux_buffer_params_v1_send_created(params, create_buffer(client, params, 0, width, height));
}

static void params_create_immed(struct wl_client *client, struct wl_resource *params, uint32_t id,
	int32_t width, int32_t height, uint32_t format, uint32_t flags) {
	(void)format, (void)flags;
	create_buffer(client, params, id, width, height);
}

static const struct zwp_linux_buffer_params_v1_interface params_implementation = {
	destroy, params_add, params_create, params_create_immed};

static void create_params(struct wl_client *client, struct wl_resource *manager, uint32_t id) {
	struct wl_resource *params = wl_resource_create(
		client, &zwp_linux_buffer_params_v1_interface, wl_resource_get_version(manager), id);
	wl_resource_set_implementation(
		params, &params_implementation, calloc(1, sizeof(struct dmabuf)), NULL);
}

static const struct zwp_linux_dmabuf_v1_interface dmabuf_implementation = {
	.destroy = destroy, .create_params = create_params};

static void bind_dmabuf(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *manager =
		wl_resource_create(client, &zwp_linux_dmabuf_v1_interface, (int)version, id);
	wl_resource_set_implementation(manager, &dmabuf_implementation, data, NULL);
	zwp_linux_dmabuf_v1_send_modifier(manager, DRM_FORMAT_XRGB8888, 0, DRM_FORMAT_MOD_LINEAR);
}

/* ---- pixels ---- */

static void write_pixels(const struct dmabuf *dmabuf) {
	struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ};
	size_t size = dmabuf->offset + (size_t)dmabuf->stride * (size_t)dmabuf->height;
	FILE *file = fopen(file_name, "w");
	const uint8_t *pixels = mmap(NULL, size, PROT_READ, MAP_SHARED, dmabuf->fd, 0);
	if (file == NULL || pixels == MAP_FAILED || ioctl(dmabuf->fd, DMA_BUF_IOCTL_SYNC, &sync) < 0) {
		perror("dmabuf_server: not a dma-buf");
		exit(1);
	}
	fprintf(file, "P6\n%d %d\n255\n", dmabuf->width, dmabuf->height);
	for (int y = 0; y < dmabuf->height; y++) {
		const uint8_t *line = pixels + dmabuf->offset + (size_t)y * dmabuf->stride;
		for (int x = 0; x < dmabuf->width; x++) {
			fputc(line[x * 4 + 2], file);
			fputc(line[x * 4 + 1], file);
			fputc(line[x * 4], file);
		}
	}
	if (fclose(file) != 0) {
		perror("dmabuf_server: cannot write");
		exit(1);
	}
}

/* ---- surfaces ---- */

static struct wl_resource *attached, *xdg_surface;

static void surface_attach(struct wl_client *client, struct wl_resource *surface, struct wl_resource *buffer,
	int32_t x, int32_t y) {
	(void)client, (void)surface, (void)x, (void)y;
	attached = buffer;
}

static void surface_damage(struct wl_client *client, struct wl_resource *surface, int32_t x, int32_t y,
	int32_t width, int32_t height) {
	(void)client, (void)surface, (void)x, (void)y, (void)width, (void)height;
}

static void surface_frame(struct wl_client *client, struct wl_resource *surface, uint32_t id) {
	(void)surface;
	frame_callback = wl_resource_create(client, &wl_callback_interface, 1, id);
}

static void surface_commit(struct wl_client *client, struct wl_resource *surface) {
	(void)client, (void)surface;
	if (attached == NULL) {
		xdg_surface_send_configure(xdg_surface, 1);
		return;
	}
	write_pixels(wl_resource_get_user_data(attached));
	wl_callback_send_done(frame_callback, 1);
	wl_resource_destroy(frame_callback);
	wl_display_flush_clients(display);
	wl_display_terminate(display);
}

static const struct wl_surface_interface surface_implementation = {.destroy = destroy,
	.attach = surface_attach,
	.damage = surface_damage,
	.frame = surface_frame,
	.commit = surface_commit,
	.damage_buffer = surface_damage};

static void create_surface(struct wl_client *client, struct wl_resource *compositor, uint32_t id) {
	struct wl_resource *surface =
		wl_resource_create(client, &wl_surface_interface, wl_resource_get_version(compositor), id);
	wl_resource_set_implementation(surface, &surface_implementation, NULL, NULL);
}

static const struct wl_compositor_interface compositor_implementation = {.create_surface = create_surface};

static void bind_compositor(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *compositor =
		wl_resource_create(client, &wl_compositor_interface, (int)version, id);
	wl_resource_set_implementation(compositor, &compositor_implementation, data, NULL);
}

/* ---- windows ---- */

static void set_text(struct wl_client *client, struct wl_resource *toplevel, const char *text) {
	(void)client, (void)toplevel;
	printf("%s\n", text);
	fflush(stdout);
}

static const struct xdg_toplevel_interface toplevel_implementation = {
	.destroy = destroy, .set_title = set_text, .set_app_id = set_text};

static void get_toplevel(struct wl_client *client, struct wl_resource *surface, uint32_t id) {
	struct wl_resource *toplevel =
		wl_resource_create(client, &xdg_toplevel_interface, wl_resource_get_version(surface), id);
	wl_resource_set_implementation(toplevel, &toplevel_implementation, NULL, NULL);
}

static void ack_configure(struct wl_client *client, struct wl_resource *surface, uint32_t serial) {
	(void)client, (void)surface, (void)serial;
}

static const struct xdg_surface_interface xdg_surface_implementation = {
	.destroy = destroy, .get_toplevel = get_toplevel, .ack_configure = ack_configure};

static void get_xdg_surface(
	struct wl_client *client, struct wl_resource *shell, uint32_t id, struct wl_resource *surface) {
	(void)surface;
	xdg_surface = wl_resource_create(client, &xdg_surface_interface, wl_resource_get_version(shell), id);
	wl_resource_set_implementation(xdg_surface, &xdg_surface_implementation, NULL, NULL);
}

static const struct xdg_wm_base_interface shell_implementation = {
	.destroy = destroy, .get_xdg_surface = get_xdg_surface};

static void bind_shell(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *shell = wl_resource_create(client, &xdg_wm_base_interface, (int)version, id);
	wl_resource_set_implementation(shell, &shell_implementation, data, NULL);
}

int main(int argc, char **argv) {
	display = wl_display_create();
	if (argc != 3 || display == NULL || wl_display_add_socket(display, argv[1]) < 0) {
		fprintf(stderr, "usage: dmabuf_server SOCKET FILE\n");
		return 2;
	}
	file_name = argv[2];
	wl_global_create(display, &wl_compositor_interface, 4, NULL, bind_compositor);
	wl_global_create(display, &xdg_wm_base_interface, 1, NULL, bind_shell);
	wl_global_create(display, &zwp_linux_dmabuf_v1_interface, 3, NULL, bind_dmabuf);
	wl_display_run(display);
	wl_display_destroy(display);
	return 0;
}
