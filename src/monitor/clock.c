/*
 * Keeps the guest's wall clock with the host's. The kernel cancels this timer when the host's clock is set by
 * hand, by a time server, or because the host has slept; it runs out every few minutes, since the host's
 * clock is steered and the guest's is not. Either way init is told the time. On the loop's thread; no input
 * but the kernel's.
 */
#include "monitor/clock.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Clocks of ordinary quality part by some hundredths of a second in that time. */
#define ROUND_SECONDS 600

static int arm(int fd) {
	int ret;
	do {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		const struct itimerspec timer = {.it_value = {.tv_sec = now.tv_sec + ROUND_SECONDS}};
		ret = timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &timer, NULL);
		/* The timer is armed then, too, but by a clock that was set meanwhile. */
	} while (ret < 0 && errno == ECANCELED);
	return ret < 0 ? -errno : 0;
}

static void ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct host_clock *clock =
		(struct host_clock *)(void *)((char *)source - offsetof(struct host_clock, source));
	uint64_t count;
	bool was_set = read(source->fd, &count, sizeof(count)) < 0 && errno == ECANCELED;
	int ret = arm(source->fd);
	if (ret < 0) {
		log_verbose("the VM's clock follows this host's no more: %s", strerror(-ret));
		loop_remove(clock->loop, source);
	} else if (was_set) {
		log_verbose("this host's clock was set; the VM is told");
	}
	control_tell_time(clock->control);
}

int clock_init(struct host_clock *clock, struct loop *loop, struct control *control) {
	int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	*clock = (struct host_clock){.source = {.fd = fd, .ready = ready}, .loop = loop, .control = control};
	int ret = arm(fd);
	return ret < 0 ? ret : loop_add(loop, &clock->source, EPOLLIN);
}

void clock_finish(struct host_clock *clock) {
	if (clock->loop == NULL) {
		return;
	}
	loop_remove(clock->loop, &clock->source);
	fd_close(&clock->source.fd);
	clock->loop = NULL;
}
