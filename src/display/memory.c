/*
 * Memory that the guest maps. Runs on the display's loop, which never looks at mapped memory: what is mapped
 * is mapped in the monitor. Sizes are the guest's, or those of strangers' files.
 */
#include "display/memory.h"

#include "display/device.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t round_up(uint64_t size) {
	return (size + WINDOW_PAGE - 1) / WINDOW_PAGE * WINDOW_PAGE;
}

int wl_memory_map(struct wl_vfd *vfd, uint64_t size, uint32_t flags) {
	if (size == 0 || size > UINT32_MAX) {
		return -EFBIG; /* the wire has 32 bits for it */
	}
	uint64_t mapped_size = round_up(size);
	int ret = wl_window_map(&vfd->device->window, vfd->fd, mapped_size, flags, &vfd->offset);
	if (ret < 0) {
		return ret;
	}
	vfd->mapped = true;
	vfd->mapped_size = mapped_size;
	vfd->size = size;
	vfd->read_only = (flags & WINDOW_PRIVATE) != 0;
	return 0;
}

/* Nobody who gets it can take pages from under those who have it mapped. */
static int create_memfd(uint64_t size) {
	int fd = memfd_create("virtwl_alloc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int wl_memory_allocate(struct wl_vfd *vfd, uint64_t size) {
	vfd->fd = create_memfd(size);
	return vfd->fd < 0 ? vfd->fd : wl_memory_map(vfd, size, 0);
}

static int copy(int to, int from, uint64_t size) {
	uint8_t buffer[16384];
	uint64_t done = 0;
	ssize_t n = 1;
	while (done < size && n > 0) {
		uint64_t wanted = size - done < sizeof(buffer) ? size - done : sizeof(buffer);
		n = pread(from, buffer, wanted, (off_t)done);
		if (n > 0) {
			n = pwrite(to, buffer, (size_t)n, (off_t)done);
		}
		done += n > 0 ? (uint64_t)n : 0;
	}
	return n < 0 ? -errno : 0;
}

int wl_memory_copy(struct wl_vfd *vfd, int file, uint64_t size) {
	vfd->fd = create_memfd(round_up(size));
	if (vfd->fd < 0) {
		return vfd->fd;
	}
	int ret = copy(vfd->fd, file, size);
	if (ret == 0) {
		ret = wl_memory_map(vfd, size, WINDOW_PRIVATE);
	}
	if (ret < 0) {
		fd_close(&vfd->fd);
	}
	return ret;
}
