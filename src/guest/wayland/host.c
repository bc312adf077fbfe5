/* The calls of /dev/wl0. The proxy's only thread; what comes from the host is checked where it is used. */
#include "guest/wayland/host.h"

#include "ph/wl_user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICE "/dev/wl0"
/* More is sent in pieces. */
#define SEND_MAX 65536

static int device = -1;

int host_init(void) {
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	return device < 0 ? -errno : 0;
}

static int create(enum virtwl_ioctl_new_type type, size_t size, int flags) {
	struct virtwl_ioctl_new new = {.type = type, .size = (uint32_t)size};
	if (size > UINT32_MAX) {
		return -ENOMEM;
	}
	if (ioctl(device, VIRTWL_IOCTL_NEW, &new) < 0) {
		return -errno;
	}
	if (flags != 0 && fcntl(new.fd, F_SETFL, flags) < 0) {
		int error = errno;
		close(new.fd);
		return -error;
	}
	return new.fd;
}

int host_connect(void) {
	return create(VIRTWL_IOCTL_NEW_CTX, 0, O_NONBLOCK);
}

int host_create_memory(size_t size) {
	return create(VIRTWL_IOCTL_NEW_ALLOC, size, 0);
}

int host_create_pipe(bool guest_reads) {
	return create(guest_reads ? VIRTWL_IOCTL_NEW_PIPE_READ : VIRTWL_IOCTL_NEW_PIPE_WRITE, 0, O_NONBLOCK);
}

int host_create_pages(int file, uint64_t offset, uint64_t size) {
	struct virtwl_ioctl_new_guest_pages new = {.memfd = file, .offset = offset, .size = size};
	return ioctl(device, VIRTWL_IOCTL_NEW_GUEST_PAGES, &new) < 0 ? -errno : new.fd;
}

bool host_can_send(int fd) {
	struct virtwl_ioctl_info info;
	return ioctl(fd, VIRTWL_IOCTL_INFO, &info) == 0;
}

/* The one transaction that is under way, since data follow its header. */
static union {
	struct virtwl_ioctl_txn txn;
	uint8_t bytes[sizeof(struct virtwl_ioctl_txn) + SEND_MAX];
} buffer;

ssize_t host_send(int connection, const void *data, size_t len, const int *fds, unsigned fd_count) {
	size_t size = len < SEND_MAX ? len : SEND_MAX;
	memcpy(buffer.txn.fds, fds, fd_count * sizeof(fds[0]));
	if (fd_count < HOST_FDS_MAX) {
		buffer.txn.fds[fd_count] = -1;
	}
	memcpy(buffer.txn.data, data, size);
	buffer.txn.len = (uint32_t)size;
	return ioctl(connection, VIRTWL_IOCTL_SEND, &buffer.txn) < 0 ? -errno : (ssize_t)size;
}

ssize_t host_receive(int connection, void *data, size_t len, int fds[HOST_FDS_MAX], unsigned *fd_count) {
	*fd_count = 0;
	buffer.txn.len = (uint32_t)(len < SEND_MAX ? len : SEND_MAX);
	if (ioctl(connection, VIRTWL_IOCTL_RECV, &buffer.txn) < 0) {
		return -errno;
	}
	while (*fd_count < HOST_FDS_MAX && buffer.txn.fds[*fd_count] >= 0) {
		fds[*fd_count] = buffer.txn.fds[*fd_count];
		++*fd_count;
	}
	memcpy(data, buffer.txn.data, buffer.txn.len);
	return buffer.txn.len;
}
