/*
 * ph-wayland: the guest's end of the way to the host's compositor. A Wayland server for the programs of
 * the VM, one connection of /dev/wl0 and one process for each. It makes things work and is no boundary: what
 * a program may ask of the compositor is decided on the host.
 *
 * Descriptor 0 is the listening socket, 2 the log. It runs as the user until it is killed.
 */
#include "guest/wayland/host.h"
#include "guest/wayland/listener.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, int error) {
	fprintf(stderr, "ph-wayland: cannot %s: %s\n", what, strerror(error));
	return 1;
}

int main(void) {
	signal(SIGPIPE, SIG_IGN);
	int result = host_init();
	if (result < 0) {
		return fail("open the device", -result);
	}
	return fail("serve", -listener_run(0));
}
