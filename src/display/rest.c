/*
 * Connections that rest: their next request is one that others are told of, and the VM's allowance of such
 * (news.c) is used up. They go on in the order in which they came to rest, when a timer says so. Runs on the
 * display's loop.
 */
#include "display/rest.h"

#include "display/device.h"
#include "display/filtered.h"

#include "ph/fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

static void arm(struct wl_device *device, uint64_t ns) {
	const struct itimerspec time = {
		.it_value = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)}};
	timerfd_settime(device->rest_timer.fd, 0, &time, NULL);
}

static struct wl_vfd **end_of(struct wl_device *device) {
	struct wl_vfd **at = &device->resting;
	while (*at != NULL) {
		at = &(*at)->next_resting;
	}
	return at;
}

void wl_rest_begin(struct wl_vfd *vfd) {
	struct wl_device *device = vfd->device;
	if (vfd->resting) {
		return;
	}
	if (device->resting == NULL) {
		arm(device, filter_news_wait(&device->screen));
	}
	*end_of(device) = vfd;
	vfd->next_resting = NULL;
	vfd->resting = true;
}

void wl_rest_end(struct wl_vfd *vfd) {
	if (!vfd->resting) {
		return;
	}
	struct wl_vfd **at = &vfd->device->resting;
	while (*at != vfd) {
		at = &(*at)->next_resting;
	}
	*at = vfd->next_resting;
	vfd->resting = false;
}

/* Whoever rests again does so behind the others. */
static void wake(struct loop_source *source, uint32_t events) {
	(void)events;
	struct wl_device *device =
		(struct wl_device *)(void *)((char *)source - offsetof(struct wl_device, rest_timer));
	unsigned count = 0;
	fd_event_drain(source->fd);
	for (const struct wl_vfd *vfd = device->resting; vfd != NULL; vfd = vfd->next_resting) {
		count++;
	}
	for (; count > 0 && device->resting != NULL; count--) {
		struct wl_vfd *vfd = device->resting;
		wl_rest_end(vfd);
		wl_filtered_resume(vfd);
	}
	if (device->resting != NULL) {
		arm(device, filter_news_wait(&device->screen));
	}
}

int wl_rest_open(struct wl_device *device) {
	device->rest_timer.ready = wake;
	device->rest_timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return device->rest_timer.fd < 0 ? -errno : 0;
}

int wl_rest_start(struct wl_device *device) {
	return loop_add(device->base.loop, &device->rest_timer, EPOLLIN);
}

void wl_rest_stop(struct wl_device *device) {
	loop_remove(device->base.loop, &device->rest_timer);
}
