/*
 * ph-wayland: the guest's end of the way to the host's compositor. A Wayland server for the programs of
 * the VM, one connection of /dev/wl0 for each, one thread. It makes things work and is no boundary: what a
 * program may ask of the compositor is decided on the host.
 *
 * Descriptor 0 is the listening socket, 2 the log. It runs as the user until it is killed.
 */
#include "guest/wayland/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop loop;
static struct client *clients;

static void accept_client(struct loop_source *source, uint32_t events) {
	(void)events;
	int socket = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (socket >= 0) {
		client_create(&loop, socket, &clients);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
		/* Somebody's end makes room. */
		fprintf(stderr, "ph-wayland: cannot take a client: %s\n", strerror(errno));
		sleep(1);
	}
}

static int fail(const char *what, int error) {
	fprintf(stderr, "ph-wayland: cannot %s: %s\n", what, strerror(error));
	return 1;
}

int main(void) {
	struct loop_source listener = {.fd = 0, .ready = accept_client};
	signal(SIGPIPE, SIG_IGN);
	int result = host_init();
	if (result < 0) {
		return fail("open the device", -result);
	}
	result = loop_init(&loop);
	if (result == 0) {
		result = loop_add(&loop, &listener, EPOLLIN);
	}
	if (result == 0) {
		result = loop_run(&loop);
	}
	return fail("serve", -result);
}
