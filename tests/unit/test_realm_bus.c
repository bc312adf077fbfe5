/* What ph makes of realmsd in each of its generations, of one that talks nonsense or not at all, and of no
 * bus. */
#include "plan/realm/bus.h"

#include "realmsd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct realmsd realmsd;
static struct bus_realm realms[BUS_REALMS_MAX];

static int start_bus(void **state) {
	(void)state;
	return realmsd_start_bus(&realmsd) ? 0 : -1;
}

static int stop_bus(void **state) {
	(void)state;
	realmsd_stop_bus(&realmsd);
	return 0;
}

/* A service that is still coming up is asked again, and so is one whose answer came too late for ph. */
static int list(void) {
	int count = bus_list(realms);
	for (int i = 0; i < 1500 && (count == -ENODATA || count == -ETIMEDOUT); i++) {
		usleep(20000);
		count = bus_list(realms);
	}
	return count;
}

static void count_keys(void *owner, const char *key, const char *value) {
	unsigned *seen = owner;
	*seen += strcmp(key, "use-network") == 0 && strcmp(value, "true") == 0;
	*seen += strcmp(key, "overlay") == 0 && strcmp(value, "tmpfs") == 0 ? 10 : 0;
}

static void check_generation(int generation) {
	char name[PLAN_REALM_MAX + 1] = "";
	unsigned seen = 0;
	realmsd_start(&realmsd, generation);
	assert_int_equal(list(), 3);
	assert_string_equal(realms[0].name, "main");
	assert_true(realms[0].running && realms[0].current && !realms[0].system);
	assert_true(!realms[1].running && !realms[1].current);
	assert_string_equal(realms[2].name, "apt-cacher");
	assert_true(realms[2].running && !realms[2].current);
	assert_string_equal(realms[0].realmfs, generation >= 2 ? "main" : "");
	assert_int_equal(realms[2].system, generation >= 2);
	int ret;
	for (int i = 0; (ret = bus_current_realm(name)) == -ETIMEDOUT && i < 20; i++) {
	}
	assert_int_equal(ret, 0);
	assert_string_equal(name, "main");
	for (int i = 0; (ret = bus_config("main", count_keys, &seen)) == -ETIMEDOUT && i < 20; i++) {
	}
	assert_int_equal(ret, generation >= 2 ? 0 : -ENODATA);
	assert_int_equal(seen, generation >= 2 ? 11 : 0);
	realmsd_stop(&realmsd);
}

static void generation_1(void **state) {
	(void)state;
	check_generation(1);
}

static void generation_2(void **state) {
	(void)state;
	check_generation(2);
}

static void generation_3(void **state) {
	(void)state;
	check_generation(3);
}

/* An answer of another form, and a name that is none. */
static void nonsense(void **state) {
	(void)state;
	char name[PLAN_REALM_MAX + 1] = "unchanged";
	unsigned seen = 0;
	realmsd_start(&realmsd, 1);
	assert_int_equal(list(), 3);
	realmsd_stop(&realmsd);
	realmsd_start(&realmsd, 0);
	assert_true(bus_list(realms) < 0);
	assert_true(bus_current_realm(name) < 0);
	assert_true(bus_config("main", count_keys, &seen) < 0);
	assert_string_equal(name, "unchanged");
	assert_int_equal(seen, 0);
	realmsd_stop(&realmsd);
}

static void silence(void **state) {
	(void)state;
	realmsd_start(&realmsd, -1);
	usleep(500000);
	assert_true(bus_list(realms) < 0); /* also when it has not come up by now */
	realmsd_stop(&realmsd);
}

static void no_realmsd(void **state) {
	(void)state;
	assert_int_equal(bus_list(realms), -ENODATA);
}

static void no_bus(void **state) {
	(void)state;
	char name[PLAN_REALM_MAX + 1];
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	assert_int_equal(bus_list(realms), -ENODATA);
	assert_int_equal(bus_current_realm(name), -ENODATA);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "nonsense", 1);
	assert_int_equal(bus_list(realms), -ENODATA);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generation_1),
		cmocka_unit_test(generation_2),
		cmocka_unit_test(generation_3),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(silence),
		cmocka_unit_test(no_realmsd),
		cmocka_unit_test(no_bus),
	};
	return cmocka_run_group_tests(tests, start_bus, stop_bus);
}
