/* The host's wall clock: that it is followed whenever it is set. What the kernel says is made up here. */
#include "monitor/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>

#include <cmocka.h>

static struct loop loop;
static bool is_set; /* before the timer is armed the next time */

/* As the kernel does it: the timer is armed, and whoever did it hears that the clock was set. It runs out at
 * once. */
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *old) {
	const struct itimerspec over = {.it_value = {.tv_sec = 1}};
	(void)timer;
	int ret = __real_timerfd_settime(fd, flags, &over, old);
	if (ret == 0 && is_set) {
		is_set = false;
		errno = ECANCELED;
		ret = -1;
	}
	return ret;
}

void __wrap_control_tell_time(struct control *control);
void __wrap_control_tell_time(struct control *control) {
	(void)control;
	loop_stop(&loop, 1);
}

static void test_set_while_it_is_armed(void **state) {
	(void)state;
	struct host_clock host_clock;
	assert_int_equal(loop_init(&loop), 0);
	is_set = true;
	assert_int_equal(clock_init(&host_clock, &loop, NULL), 0);
	is_set = true;
	assert_int_equal(loop_run(&loop), 1);
	assert_true(host_clock.source.added);
	clock_finish(&host_clock);
	loop_finish(&loop);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_while_it_is_armed),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
