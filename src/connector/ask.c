/*
 * Asking the connector. Runs in the processes that have a door; the connector's answers are trusted as far as
 * its own process is.
 */
#include "ph/connector.h"

#include "ph/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* A descriptor comes with a byte, an error is a number of four. */
static int receive_answer(int door) {
	int error = 0;
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n;
	do {
		n = recvmsg(door, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return n < 0 ? -errno : -EPIPE;
	}
	int fd = fd_take(&message);
	if (fd >= 0) {
		return fd;
	}
	return n == (ssize_t)sizeof(error) && error < 0 ? error : -EMFILE;
}

int connector_connect(int door, unsigned index) {
	uint8_t request = (uint8_t)index;
	ssize_t n = send(door, &request, sizeof(request), MSG_NOSIGNAL);
	return n < 0 ? -errno : receive_answer(door);
}
