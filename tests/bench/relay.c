/*
 * Lets a program of the guest that wants a UNIX socket have a stream of virtio-wl's: takes one connection and
 * passes its bytes on, both ways. A tool of the bench.
 *
 * usage: relay SOCKET CONTEXT
 */
#include "ph/wl_user.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char data[65536];

/* False at the end. */
static int pass(int from, int to) {
	ssize_t n = read(from, data, sizeof(data));
	for (ssize_t done = 0; done < n;) {
		ssize_t written = write(to, data + done, (size_t)(n - done));
		if (written <= 0) {
			return 0;
		}
		done += written;
	}
	return n > 0;
}

int main(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_CTX_NAMED, .fd = -1};
	int device = open("/dev/wl0", O_RDWR), listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (argc != 3 || device < 0) {
		return 1;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
	snprintf(new.name, sizeof(new.name), "%s", argv[2]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0) {
		return 1;
	}
	int client = accept(listener, NULL, NULL);
	if (client < 0 || ioctl(device, VIRTWL_IOCTL_NEW, &new) < 0) {
		return 1;
	}
	struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = new.fd, .events = POLLIN}};
	while (poll(fds, 2, -1) > 0) {
		if ((fds[0].revents != 0 && !pass(client, new.fd)) ||
			(fds[1].revents != 0 && !pass(new.fd, client))) {
			return 0;
		}
	}
	return 1;
}
