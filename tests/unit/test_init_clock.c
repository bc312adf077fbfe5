/* What the guest makes of the host's time: which differences it steers away and which it jumps over. The
 * clock itself is not touched here. */
#include "guest/init/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static void steps(void **state) {
	(void)state;
	assert_int_equal(clock_choose_step(0), CLOCK_LEAVE);
	assert_int_equal(clock_choose_step(9 * MS), CLOCK_LEAVE);
	assert_int_equal(clock_choose_step(-9 * MS), CLOCK_LEAVE);
	assert_int_equal(clock_choose_step(20 * MS), CLOCK_STEER);
	assert_int_equal(clock_choose_step(-499 * MS), CLOCK_STEER);
	assert_int_equal(clock_choose_step(500 * MS), CLOCK_SET);
	assert_int_equal(clock_choose_step(-86400000 * MS), CLOCK_SET);
}

static void wrong_messages(void **state) {
	(void)state;
	uint8_t late[8];
	memset(late, 0xff, sizeof(late));
	assert_int_equal(clock_follow(late, 4), -EPROTO);
	assert_int_equal(clock_follow(late, 0), -EPROTO);
	assert_int_equal(clock_follow(late, sizeof(late)), -EPROTO);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps),
		cmocka_unit_test(wrong_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
