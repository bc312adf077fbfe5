/* Which services the guest's session bus may start. */
#include "guest/init/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void all_but(void **state) {
	(void)state;
	const char *const fields[] = {"but", "org.freedesktop.portal.", "org.freedesktop.impl.portal.", NULL};
	assert_true(bus_may_start(fields, "ca.desrt.dconf.service"));
	assert_true(bus_may_start(fields, "org.freedesktop.portals.service"));
	assert_false(bus_may_start(fields, "org.freedesktop.portal.Desktop.service"));
	assert_false(bus_may_start(fields, "org.freedesktop.impl.portal.desktop.gtk.service"));
	assert_false(bus_may_start(fields, "ca.desrt.dconf.service.bak"));
	assert_false(bus_may_start(fields, ".."));
	assert_false(bus_may_start(fields, "service"));
}

static void only_some(void **state) {
	(void)state;
	const char *const fields[] = {"only", "org.a11y.", NULL};
	const char *const none[] = {"only", NULL};
	assert_true(bus_may_start(fields, "org.a11y.Bus.service"));
	assert_false(bus_may_start(fields, "ca.desrt.dconf.service"));
	assert_false(bus_may_start(fields, "org.freedesktop.portal.Desktop.service"));
	assert_false(bus_may_start(none, "org.a11y.Bus.service"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_but),
		cmocka_unit_test(only_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
