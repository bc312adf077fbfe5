/*
 * Connections that go to another process of ph's, which has its door open for them, and not to a socket of
 * the host's. Runs in the display worker; nothing hostile comes in here.
 */
#include "display/door.h"

#include "ph/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int wl_door_enter(struct wl_vfd *vfd, int door) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		return -errno;
	}
	vfd->fd = ends[0];
	int ret = fd_send(door, ends[1], MSG_DONTWAIT);
	close(ends[1]);
	return ret;
}
