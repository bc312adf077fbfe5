/*
 * What a received descriptor is, and what the guest can have of it. Runs on the display's loop. The
 * descriptor is hostile: it may be anything, and its owner may go on to change it.
 *
 * Memory is mapped where it lies only when it cannot shrink; small files are copied. What is neither, nor a
 * stream or a fence, the guest can only send on.
 */
#include "display/foreign.h"

#include "display/device.h"
#include "display/memory.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sync_file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define COPY_MAX (1u << 20)

struct file {
	int fd;
	int mode; /* O_RDONLY, O_WRONLY or O_RDWR */
	uint64_t size;
};

static enum wl_kind classify(const struct wl_device *device, struct file *file) {
	struct stat status;
	struct statfs system;
	int flags = fcntl(file->fd, F_GETFL);
	if (flags < 0 || (flags & O_PATH) != 0 || fstat(file->fd, &status) < 0) {
		return WL_OPAQUE;
	}
	file->mode = flags & O_ACCMODE;
	if (fstatfs(file->fd, &system) == 0 && system.f_type == DMA_BUF_MAGIC) {
		file->size = (uint64_t)lseek(file->fd, 0, SEEK_END);
		return WL_DMABUF;
	}
	if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
		return WL_PIPE;
	}
	if (S_ISREG(status.st_mode) && file->mode != O_WRONLY) {
		file->size = (uint64_t)status.st_size;
		return WL_MEMORY;
	}
	struct sync_file_info info = {0};
	if (wl_has_feature(device, VIRTIO_WL_F_SEND_FENCES) &&
		ioctl(file->fd, SYNC_IOC_FILE_INFO, &info) == 0) {
		return WL_FENCE;
	}
	return WL_OPAQUE;
}

/* Whoever else holds the same open file does not wait on it from now on, either. */
static int open_stream(struct wl_vfd *vfd, const struct file *file) {
	int type;
	socklen_t size = sizeof(type);
	int flags = fcntl(file->fd, F_GETFL);
	vfd->fd = file->fd;
	vfd->is_socket = getsockopt(file->fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
	vfd->readable = file->mode != O_WRONLY;
	vfd->writable = file->mode != O_RDONLY;
	if (!vfd->is_socket && fcntl(file->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return wl_vfd_watch(vfd);
}

static int open_memory(struct wl_vfd *vfd, const struct file *file) {
	const int write_seals = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	int seals = fcntl(file->fd, F_GET_SEALS);
	if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0) {
		bool read_only = file->mode == O_RDONLY || (seals & write_seals) != 0;
		vfd->fd = file->fd;
		int ret = wl_memory_map(vfd, file->size, read_only ? WINDOW_PRIVATE : 0);
		if (ret == 0 || file->size > COPY_MAX) {
			return ret;
		}
		vfd->fd = -1;
	}
	if (file->size > COPY_MAX) {
		return -EFBIG;
	}
	int ret = wl_memory_copy(vfd, file->fd, file->size);
	if (ret == 0) {
		close(file->fd);
	}
	return ret;
}

static int open_file(struct wl_vfd *vfd, const struct file *file) {
	switch (vfd->kind) {
	case WL_PIPE:
		return open_stream(vfd, file);
	case WL_MEMORY:
		return open_memory(vfd, file);
	case WL_DMABUF:
		vfd->fd = file->fd;
		wl_memory_map(vfd, file->size, 0); /* it can be sent on even so */
		return 0;
	case WL_FENCE:
		vfd->fd = file->fd;
		return wl_vfd_watch(vfd);
	default:
		vfd->fd = file->fd;
		return 0;
	}
}

struct wl_vfd *wl_foreign_create(struct wl_device *device, int fd) {
	struct file file = {.fd = fd};
	uint32_t response;
	struct wl_vfd *vfd = wl_vfd_create(device, 0, classify(device, &file), &response);
	if (vfd == NULL) {
		return NULL;
	}
	if (open_file(vfd, &file) < 0) {
		vfd->fd = fd;
		vfd->readable = vfd->writable = false;
		wl_vfd_set_kind(vfd, WL_OPAQUE);
	}
	return vfd;
}
