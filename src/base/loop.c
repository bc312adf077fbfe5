/* The epoll loop. Owned by one thread; its sources' callbacks run on it and see whatever the fds bring. */
#include "ph/loop.h"

#include "ph/fd.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

int loop_init(struct loop *loop) {
	memset(loop, 0, sizeof(*loop));
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_finish(struct loop *loop) {
	if (loop->epoll_fd > 0) {
		fd_close(&loop->epoll_fd);
	}
}

static int control(struct loop *loop, int operation, struct loop_source *source, uint32_t events) {
	struct epoll_event event = {.events = events, .data.ptr = source};
	return epoll_ctl(loop->epoll_fd, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events) {
	int ret = control(loop, EPOLL_CTL_ADD, source, events);
	if (ret == 0) {
		source->added = true; /* unless it is added already, when it stays so */
	}
	return ret;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events) {
	return control(loop, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *loop, struct loop_source *source) {
	if (!source->added) {
		return;
	}
	control(loop, EPOLL_CTL_DEL, source, 0);
	source->added = false;
	for (int i = 0; i < loop->batch_count; i++) {
		if (loop->batch[i] == source) {
			loop->batch[i] = NULL;
		}
	}
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count) {
	loop->batch_count = count;
	for (int i = 0; i < count; i++) {
		loop->batch[i] = events[i].data.ptr;
	}
	for (int i = 0; i < count && !loop->stopped; i++) {
		struct loop_source *source = loop->batch[i];
		if (source != NULL) {
			source->ready(source, events[i].events);
		}
	}
	loop->batch_count = 0;
}

int loop_run(struct loop *loop) {
	struct epoll_event events[sizeof(loop->batch) / sizeof(loop->batch[0])];
	while (!loop->stopped) {
		int count = epoll_wait(loop->epoll_fd, events, (int)(sizeof(events) / sizeof(events[0])), -1);
		if (count < 0 && errno != EINTR) {
			return -errno;
		}
		if (count > 0) {
			dispatch(loop, events, count);
		}
	}
	return loop->status;
}

void loop_stop(struct loop *loop, int status) {
	if (!loop->stopped) {
		loop->stopped = true;
		loop->status = status;
	}
}
