/*
 * Carries addresses from the control port to the opener, and its answers back: one at a time, so that nothing
 * is ever kept. On the loop's thread. The addresses are hostile and are not looked at here.
 */
#include "monitor/urls.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

int urls_start(struct urls *urls) {
	return opener_start(&urls->opener);
}

static void answer(struct urls *urls, enum guest_url result) {
	uint32_t request = urls->request;
	urls->request = 0;
	if (request != 0) {
		control_answer_url(urls->control, request, result);
	}
}

static void answered(struct loop_source *source, uint32_t events) {
	(void)events;
	struct urls *urls = (struct urls *)(void *)((char *)source - offsetof(struct urls, source));
	char byte;
	ssize_t n = recv(source->fd, &byte, 1, MSG_DONTWAIT);
	if (n == 1) {
		answer(urls, (enum guest_url)byte);
	} else if (n == 0 || errno != EAGAIN) {
		log_verbose("what opens addresses for the VM has ended");
		loop_remove(urls->loop, source);
		answer(urls, GUEST_URL_FAILED);
	}
}

int urls_watch(struct urls *urls, struct loop *loop, struct control *control) {
	if (urls->opener.pid == 0) {
		return 0;
	}
	urls->loop = loop;
	urls->control = control;
	urls->source = (struct loop_source){.fd = urls->opener.fd, .ready = answered};
	return loop_add(loop, &urls->source, EPOLLIN);
}

bool urls_open(struct urls *urls, uint32_t request, const void *url, size_t size) {
	if (urls->loop == NULL || request == 0 || urls->request != 0) {
		return false;
	}
	urls->request = request;
	/* One more than the longest, for the opener to see that it is too long. */
	size_t sent = size <= GUEST_URL_MAX ? size : GUEST_URL_MAX + 1;
	if (send(urls->opener.fd, sent > 0 ? url : " ", sent > 0 ? sent : 1, MSG_DONTWAIT | MSG_NOSIGNAL) <
		0) {
		answer(urls, GUEST_URL_FAILED);
	}
	return true;
}

void urls_finish(struct urls *urls) {
	if (urls->loop != NULL) {
		loop_remove(urls->loop, &urls->source);
		urls->loop = NULL;
	}
	opener_stop(&urls->opener);
}
