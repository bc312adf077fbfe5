/*
 * Asking the connector. Runs in the processes that have a door, on one thread of each; the connector's
 * answers are trusted as far as its own process is.
 */
#include "ph/connector.h"

#include "connector/request.h"
#include "ph/fd.h"

#include <errno.h>
#include <sys/socket.h>

/* The next answer and the descriptor that came with it, or -1. 0 or -errno. */
static int receive_answer(int door, struct connector_answer *answer, int *fd) {
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = answer, .iov_len = sizeof(*answer)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n;
	do {
		n = recvmsg(door, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return n < 0 ? -errno : -EPIPE;
	}
	*fd = fd_take(&message);
	return n == (ssize_t)sizeof(*answer) ? 0 : -EPROTO;
}

int connector_connect(int door, unsigned index) {
	static uint32_t number;
	number++;
	const struct connector_request request = {.number = number, .index = index};
	ssize_t n;
	do {
		n = send(door, &request, sizeof(request), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	for (;;) {
		struct connector_answer answer;
		int fd = -1, ret = receive_answer(door, &answer, &fd);
		if (ret == 0 && answer.number == request.number) {
			return fd >= 0 ? fd : answer.error < 0 ? answer.error : -EMFILE;
		}
		fd_close(&fd);
		if (ret < 0) {
			return ret;
		}
	}
}
