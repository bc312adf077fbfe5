/*
 * Messages between a VM and those who use it, on either end's loop. Both are the same user's processes: what
 * comes is checked for shape, not for good will.
 */
#include "ph/instance.h"

#include "ph/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 3

int instance_send(int fd, enum instance_type type, uint32_t value, const void *data, size_t size,
	const int *fds, unsigned fd_count) {
	struct instance_header header = {.type = (uint32_t)type, .value = value};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	if (size > INSTANCE_MESSAGE_MAX || fd_count > FDS_MAX) {
		return -E2BIG;
	}
	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	ssize_t n;
	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The descriptors that came along; those too many are closed. */
static void take_fds(struct msghdr *received, int fds[FDS_MAX]) {
	unsigned taken = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(received); part != NULL;
		part = CMSG_NXTHDR(received, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
			if (taken < FDS_MAX) {
				fds[taken++] = fd;
			} else {
				close(fd);
			}
		}
	}
}

int instance_receive(int fd, uint8_t *buffer, struct instance_message *message) {
	struct instance_header header;
	struct iovec parts[2] = {{&header, sizeof(header)}, {buffer, INSTANCE_MESSAGE_MAX}};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr received = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	*message = (struct instance_message){.data = buffer, .fds = {-1, -1, -1}};
	ssize_t n;
	do {
		n = recvmsg(fd, &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == ECONNRESET ? 0 : -errno;
	}
	take_fds(&received, message->fds);
	if (n == 0) {
		/* The end, or an empty message, with which descriptors can come. */
		instance_close_streams(message->fds);
		return 0;
	}
	if ((size_t)n < sizeof(header) || (received.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		instance_close_streams(message->fds);
		return -EPROTO;
	}
	message->type = (enum instance_type)header.type;
	message->value = header.value;
	message->size = (size_t)n - sizeof(header);
	return 1;
}

bool instance_peer_is_own(int fd) {
	struct ucred peer;
	socklen_t size = sizeof(peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

int instance_make_streams(struct instance_streams *streams, bool tty, bool own_stderr) {
	*streams = (struct instance_streams){.ours = {-1, -1, -1}, .theirs = {-1, -1, -1}, .tty = tty};
	for (unsigned i = 0; i < (own_stderr ? 3 : 2); i++) {
		int ends[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
			int ret = -errno;
			instance_close_streams(streams->ours);
			instance_close_streams(streams->theirs);
			return ret;
		}
		streams->ours[i] = ends[0];
		streams->theirs[i] = ends[1];
		/* Each carries one direction. */
		shutdown(ends[0], i == 0 ? SHUT_RD : SHUT_WR);
	}
	return 0;
}

void instance_close_streams(int ends[3]) {
	for (unsigned i = 0; i < 3; i++) {
		fd_close(&ends[i]);
	}
}
