/*
 * dma-bufs for the guest to draw into: "dumb" buffers of a card, linear and mappable, which need no library
 * and no driver of ours. Runs on the display's loop; the card is opened before the process is confined. Sizes
 * and formats are the guest's.
 */
#include "display/dmabuf.h"

#include "display/device.h"
#include "display/memory.h"

#include "ph/fd.h"

#include <libdrm/drm.h>
#include <libdrm/drm_fourcc.h>
#include <libdrm/drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CARDS 8
#define SIDE_MAX 16384

/* ---- the card ---- */

/* To open a card that sleeps wakes it, which takes longer than all else that ph does to start. */
static bool sleeps(unsigned number) {
	char path[64], status[32];
	snprintf(path, sizeof(path), "/sys/class/drm/card%u/device/power/runtime_status", number);
	return fd_read_file(path, status, sizeof(status)) > 0 && strncmp(status, "suspended", 9) == 0;
}

static bool has_buffers(int fd) {
	struct drm_get_cap dumb = {.capability = DRM_CAP_DUMB_BUFFER}, prime = {.capability = DRM_CAP_PRIME};
	return ioctl(fd, DRM_IOCTL_GET_CAP, &dumb) == 0 && dumb.value != 0 &&
	       ioctl(fd, DRM_IOCTL_GET_CAP, &prime) == 0 && (prime.value & DRM_PRIME_CAP_EXPORT) != 0;
}

int wl_dmabuf_open(void) {
	for (unsigned i = 0; i < CARDS; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/dri/card%u", i);
		if (access(path, R_OK | W_OK) < 0 || sleeps(i)) {
			continue;
		}
		int fd = open(path, O_RDWR | O_CLOEXEC);
		/* Who comes first rules the screen: not us. */
		ioctl(fd, DRM_IOCTL_DROP_MASTER, 0);
		if (fd >= 0 && has_buffers(fd)) {
			return fd;
		}
		fd_close(&fd);
	}
	return -1;
}

/* ---- buffers ---- */

static const struct format {
	uint32_t fourcc;
	uint8_t bits; /* of a pixel in the first plane */
	bool chroma;  /* a second plane of half the height follows, its lines as long as the first's */
} formats[] = {
	{DRM_FORMAT_ARGB8888, 32, false},
	{DRM_FORMAT_XRGB8888, 32, false},
	{DRM_FORMAT_ABGR8888, 32, false},
	{DRM_FORMAT_XBGR8888, 32, false},
	{DRM_FORMAT_ARGB2101010, 32, false},
	{DRM_FORMAT_XRGB2101010, 32, false},
	{DRM_FORMAT_ABGR2101010, 32, false},
	{DRM_FORMAT_XBGR2101010, 32, false},
	{DRM_FORMAT_RGB565, 16, false},
	{DRM_FORMAT_R8, 8, false},
	{DRM_FORMAT_NV12, 8, true},
};

static const struct format *find_format(uint32_t fourcc) {
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].fourcc == fourcc) {
			return &formats[i];
		}
	}
	return NULL;
}

/* Export it; the handle is of no further use. */
static int export(int card, uint32_t handle) {
	struct drm_prime_handle prime = {.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR};
	struct drm_mode_destroy_dumb destroy = {.handle = handle};
	int ret = ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0 ? -errno : prime.fd;
	ioctl(card, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
	return ret;
}

/* Lines of as many bytes as the format needs, in pixels of 32 bits: some cards know no others. */
static int allocate(struct wl_vfd *vfd, const struct format *format, struct drm_mode_create_dumb *dumb) {
	int card = vfd->device->card_fd;
	dumb->width = (dumb->width * format->bits + 31) / 32;
	dumb->height += format->chroma ? (dumb->height + 1) / 2 : 0;
	dumb->bpp = 32;
	if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, dumb) < 0) {
		return -errno;
	}
	vfd->fd = export(card, dumb->handle);
	return vfd->fd < 0 ? vfd->fd : wl_memory_map(vfd, dumb->size, 0);
}

uint32_t wl_command_new_dmabuf(struct wl_command *command) {
	uint32_t response, width = command->body.vfd_new.dmabuf.width;
	uint32_t height = command->body.vfd_new.dmabuf.height;
	const struct format *format = find_format(command->body.vfd_new.dmabuf.format);
	if (command->device->card_fd < 0) {
		return VIRTIO_WL_RESP_INVALID_CMD;
	}
	if (format == NULL || width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX) {
		return VIRTIO_WL_RESP_INVALID_TYPE;
	}
	struct wl_vfd *vfd = wl_command_create_vfd(command, WL_DMABUF, &response);
	if (vfd == NULL) {
		return response;
	}
	struct drm_mode_create_dumb dumb = {.width = width, .height = height};
	response = wl_command_created(command, vfd, allocate(vfd, format, &dumb));
	if (response != VIRTIO_WL_RESP_VFD_NEW) {
		return response;
	}
	command->reply.dmabuf.width = width;
	command->reply.dmabuf.height = height;
	command->reply.dmabuf.format = format->fourcc;
	command->reply.dmabuf.stride[0] = dumb.pitch;
	if (format->chroma) {
		command->reply.dmabuf.stride[1] = dumb.pitch;
		command->reply.dmabuf.offset[1] = dumb.pitch * height;
	}
	return VIRTIO_WL_RESP_VFD_NEW_DMABUF;
}

uint32_t wl_command_sync(struct wl_command *command) {
	struct dma_buf_sync sync = {.flags = command->body.sync.flags};
	struct wl_vfd *vfd = wl_vfd_find(command->device, command->body.sync.vfd_id);
	if (vfd == NULL) {
		return VIRTIO_WL_RESP_INVALID_ID;
	}
	if (vfd->kind != WL_DMABUF) {
		return VIRTIO_WL_RESP_INVALID_TYPE;
	}
	if ((sync.flags & ~(uint64_t)DMA_BUF_SYNC_VALID_FLAGS_MASK) != 0) {
		return VIRTIO_WL_RESP_INVALID_FLAGS;
	}
	int ret;
	do {
		ret = ioctl(vfd->fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret < 0 ? VIRTIO_WL_RESP_ERR : VIRTIO_WL_RESP_OK;
}
