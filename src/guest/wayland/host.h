/* The way out of the VM: connections to the compositor, and what descriptors they can carry. Descriptors here
 * are /dev/wl0's (docs/virtio-wl.md), close-on-exec, and work with read(), write(), mmap() and epoll. */
#ifndef PH_GUEST_WAYLAND_HOST_H
#define PH_GUEST_WAYLAND_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors that go with one send or receive. */
#define HOST_FDS_MAX 28

/* Once. 0 or -errno. */
int host_init(void);
/* A connection to the compositor, which does not block; -errno. */
int host_connect(void);
/* How much was taken (descriptors go with the first byte, and stay the caller's), or -EAGAIN and nothing was,
 * or -errno: the connection is of no use any more. */
ssize_t host_send(int connection, const void *data, size_t len, const int *fds, unsigned fd_count);
/* What came, 0 at the end, or -errno. */
ssize_t host_receive(int connection, void *data, size_t len, int fds[HOST_FDS_MAX], unsigned *fd_count);
/* Memory that can be sent and mapped, zeroed; -errno. */
int host_create_memory(size_t size);
/* Part of a file in memory, without a copy, whole pages; -errno, -ENOTTY where there is no way. */
int host_create_pages(int file, uint64_t offset, uint64_t size);
/* A pipe, which does not block. The end in the guest; the other one is sent. */
int host_create_pipe(bool guest_reads);
/* Whether it is one of these, and can be sent as it is. */
bool host_can_send(int fd);

#endif
