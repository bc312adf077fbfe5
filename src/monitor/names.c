/*
 * Passes on to the guest's init what its resolv.conf is to say once the host's has changed: a laptop that
 * moves to another network, a VPN. The process that tends passt sees that and makes the text, since the
 * monitor can open no files. On the loop's thread; what comes in is ph's own.
 */
#include "monitor/names.h"

#include "ph/guest.h"
#include "ph/log.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

static void ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct host_names *names =
		(struct host_names *)(void *)((char *)source - offsetof(struct host_names, source));
	static char text[GUEST_NAMES_MAX + 1];
	ssize_t n = read(source->fd, text, GUEST_NAMES_MAX);
	if (n > 0) {
		text[n] = '\0';
		log_verbose("this host's name servers are others now; the VM is told");
		control_tell_names(names->control, text);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		loop_remove(names->loop, source);
	}
}

int names_init(struct host_names *names, struct loop *loop, struct control *control, int fd) {
	*names = (struct host_names){.source = {.fd = fd, .ready = ready}, .loop = loop, .control = control};
	return loop_add(loop, &names->source, EPOLLIN);
}

void names_finish(struct host_names *names) {
	if (names->loop != NULL) {
		loop_remove(names->loop, &names->source);
		names->loop = NULL;
	}
}
