/*
 * Sets the guest's wall clock by the host's. Between two messages the kernel keeps time by itself; after the
 * host has slept, or when its clock was set, the difference is a step that programs here have to see, too.
 * In PID 1's loop; the time comes from ph, which the guest trusts.
 */
#include "guest/init/clock.h"

#include "guest/init/report.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
/* What the way here may have cost. */
#define CLOSE_ENOUGH (SECOND / 100)
/* More than this would take too long to make up for at half a millisecond a second. */
#define STEP (SECOND / 2)

enum clock_step clock_choose_step(int64_t off) {
	int64_t size = off < 0 ? -off : off;
	return size < CLOSE_ENOUGH ? CLOCK_LEAVE : size < STEP ? CLOCK_STEER : CLOCK_SET;
}

static int steer(int64_t off) {
	const struct timeval part = {.tv_sec = off / SECOND, .tv_usec = off % SECOND / 1000};
	return adjtime(&part, NULL);
}

static int set(int64_t ns) {
	const struct timespec now = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
	return clock_settime(CLOCK_REALTIME, &now);
}

int clock_follow(const uint8_t *payload, size_t size) {
	uint64_t host;
	struct timespec now;
	if (size != sizeof(host)) {
		return -EPROTO;
	}
	memcpy(&host, payload, sizeof(host));
	host = le64toh(host);
	if (host > INT64_MAX) {
		return -EPROTO;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t off = (int64_t)host - (now.tv_sec * SECOND + now.tv_nsec);
	enum clock_step step = clock_choose_step(off);
	int result = step == CLOCK_SET ? set((int64_t)host) : step == CLOCK_STEER ? steer(off) : 0;
	if (result < 0) {
		report_problem("cannot set the clock: %s", strerror(errno));
	} else if (step == CLOCK_SET) {
		report_verbose("the clock was set by %lld ms", (long long)(off / 1000000));
	}
	return 0;
}
