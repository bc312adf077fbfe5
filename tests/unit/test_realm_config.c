/* Realms' configuration: TOML as people write it, right and wrong, and the chain of files. */
#include "plan/realm/config.h"
#include "plan/realm/toml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int parse(
	struct realm_config *config, enum realm_config_source source, const char *text, struct error *error) {
	*error = (struct error){0};
	return realm_config_parse(config, source, text, strlen(text), "FILE", error);
}

#define PARSE(config, source, text) \
	do { \
		struct error error_; \
		int ret_ = parse(config, source, text, &error_); \
		assert_string_equal(error_.message, ""); \
		assert_int_equal(ret_, 0); \
	} while (0)

static void assert_wrong(const char *text, const char *message) {
	struct realm_config config;
	struct error error;
	assert_int_equal(realm_config_init(&config), 0);
	assert_int_equal(parse(&config, CONFIG_REALM, text, &error), -EINVAL);
	if (strstr(error.message, message) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", message, error.message);
	}
	realm_config_finish(&config);
}

static void assert_value(const struct realm_config *config, enum realm_key key, const char *expected) {
	char text[256];
	realm_value_print(config, key, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void built_in(void **state) {
	(void)state;
	static const char *const expected[REALM_KEYS] = {
		[KEY_USE_SHARED_DIR] = "true",
		[KEY_USE_MEDIA_DIR] = "false",
		[KEY_USE_EPHEMERAL_HOME] = "false",
		[KEY_EPHEMERAL_PERSISTENT_DIRS] = "['Documents']",
		[KEY_USE_SOUND] = "true",
		[KEY_USE_X11] = "true",
		[KEY_USE_WAYLAND] = "true",
		[KEY_WAYLAND_SOCKET] = "'wayland-0'",
		[KEY_USE_KVM] = "false",
		[KEY_USE_GPU] = "false",
		[KEY_USE_GPU_CARD0] = "false",
		[KEY_USE_NETWORK] = "true",
		[KEY_NETWORK_ZONE] = "'clear'",
		[KEY_RESERVED_IP] = "0",
		[KEY_NETNS] = "''",
		[KEY_SYSTEM_REALM] = "false",
		[KEY_AUTOSTART] = "false",
		[KEY_EXTRA_BINDMOUNTS] = "[]",
		[KEY_EXTRA_BINDMOUNTS_RO] = "[]",
		[KEY_REALM_DEPENDS] = "[]",
		[KEY_REALMFS] = "'base'",
		[KEY_REALMFS_WRITE] = "false",
		[KEY_TERMINAL_SCHEME] = "''",
		[KEY_OVERLAY] = "'storage'",
	};
	struct realm_config config;
	assert_int_equal(REALM_KEYS, 24);
	assert_int_equal(realm_config_init(&config), 0);
	for (int key = 0; key < REALM_KEYS; key++) {
		assert_non_null(expected[key]);
		assert_value(&config, (enum realm_key)key, expected[key]);
	}
	realm_config_finish(&config);
}

/* Each key, in the realm's file, over the global one's. */
static void chain(void **state) {
	(void)state;
	struct realm_config config;
	assert_int_equal(realm_config_init(&config), 0);
	PARSE(&config, CONFIG_GLOBAL, "realmfs='main'\nrealm-depends=['apt-cacher']\nuse-sound=false\n");
	PARSE(&config, CONFIG_REALM, "realm-depends = []\nterminal-scheme='embers'\nreserved-ip = 0xD_5");
	assert_value(&config, KEY_REALMFS, "'main'");
	assert_value(&config, KEY_REALM_DEPENDS, "[]");
	assert_value(&config, KEY_USE_SOUND, "false");
	assert_value(&config, KEY_TERMINAL_SCHEME, "'embers'");
	assert_value(&config, KEY_RESERVED_IP, "213");
	assert_int_equal(config.values[KEY_REALMFS].source, CONFIG_GLOBAL);
	assert_int_equal(config.values[KEY_REALM_DEPENDS].source, CONFIG_REALM);
	assert_int_equal(config.values[KEY_OVERLAY].source, CONFIG_BUILT_IN);
	realm_config_finish(&config);
}

static void every_key_is_read(void **state) {
	(void)state;
	struct realm_config config;
	for (int key = 0; key < REALM_KEYS; key++) {
		char before[64], text[256], values[3][32] = {"true", "['a', 'b']", "'text'"};
		bool taken = false;
		assert_int_equal(realm_config_init(&config), 0);
		realm_value_print(&config, (enum realm_key)key, before, sizeof(before));
		snprintf(values[0], sizeof(values[0]), "%s", strcmp(before, "true") == 0 ? "false" : "true");
		for (int i = 0; i < 4 && !taken; i++) {
			struct error error;
			const char *value = i < 3 ? values[i] : "7";
			snprintf(text, sizeof(text), "%s = %s\n", realm_key_name((enum realm_key)key), value);
			taken = parse(&config, CONFIG_REALM, text, &error) == 0;
			if (taken) {
				assert_value(&config, (enum realm_key)key, value);
			}
		}
		assert_true(taken);
		realm_config_finish(&config);
	}
}

static void what_people_write(void **state) {
	(void)state;
	struct realm_config config;
	assert_int_equal(realm_config_init(&config), 0);
	PARSE(&config, CONFIG_REALM,
		"# a comment\r\n\n"
		"  use-network = false # no net\r\n"
		"\"realmfs\" = \"m\\u0061in\"\n"
		"extra-bindmounts = [ # two\n  '/a b:/c', \"/d\\\\:e\",\n]\n"
		"wayland-socket = '''way'''\n"
		"later = 1.5\nlater2 = 1979-05-27T07:32:00Z\nlater3 = {a = 1, b = [true, {c = ''}]}\n"
		"later4 = [[1, 2], ['x']]\nlater5 = 0xff\nlater.6 = inf\n"
		"[realmfs-options]\nrealmfs = 'not this one'\n[[list]]\nuse-network = 'nor this'");
	assert_value(&config, KEY_USE_NETWORK, "false");
	assert_value(&config, KEY_REALMFS, "'main'");
	assert_value(&config, KEY_EXTRA_BINDMOUNTS, "['/a b:/c', '/d\\:e']");
	assert_value(&config, KEY_WAYLAND_SOCKET, "'way'");
	realm_config_finish(&config);
}

static void mistakes(void **state) {
	(void)state;
	assert_wrong("use-network = no\n", "FILE, line 1: a text needs quotes");
	assert_wrong("\n\nuse-network = 'false'\n", "FILE, line 3: use-network must be true or false");
	assert_wrong("realmfs = true\n", "realmfs must be a text in quotes");
	assert_wrong("reserved-ip = '200'\n", "reserved-ip must be a whole number");
	assert_wrong("reserved-ip = 2.5\n", "reserved-ip must be a whole number");
	assert_wrong("reserved-ip = 2__5\n", "reserved-ip must be a whole number");
	assert_wrong("reserved-ip = 025\n", "reserved-ip must be a whole number");
	assert_wrong("reserved-ip = 0b12\n", "reserved-ip must be a whole number");
	assert_wrong("reserved-ip = -0x25\n", "reserved-ip must be a whole number");
	assert_wrong("realm-depends = 'x'\n", "realm-depends must be a list of texts");
	assert_wrong("realm-depends = ['x', 1]\n", "realm-depends must be a list of texts");
	assert_wrong("realmfs = 'a'\nrealmfs = 'b'\n", "line 2: realmfs is there twice");
	assert_wrong("realmfs = 'a\n", "line 1: a string has no end");
	assert_wrong("realmfs = 'a' b\n", "something stands behind the value");
	assert_wrong("realmfs 'a'\n", "a key needs =");
	assert_wrong("= 'a'\n", "a key was expected");
	assert_wrong("realmfs =\n", "a value was expected");
	assert_wrong("realmfs = \"\\q\"\n", "unknown escape");
	assert_wrong("realmfs = \"\\u00\"\n", "hexadecimal digits");
	assert_wrong("realmfs = \"\\ud800\"\n", "no character");
	assert_wrong("realmfs = '\xc0\x80'\n", "not UTF-8");
	assert_wrong("realmfs = 'a\x01'\n", "control character");
	assert_wrong("realm-depends = ['x'\nuse-x11 = true\n", "a list needs ,");
	assert_wrong("x = {a = 1\n", "a table needs ,");
	assert_wrong("[table\n", "needs ]");
	assert_wrong("x = [[[[[[[[[[1]]]]]]]]]]\n", "too deep");
}

static void a_long_key(void **state) {
	(void)state;
	char text[TOML_KEY_SIZE + 16];
	memset(text, 'k', TOML_KEY_SIZE);
	strcpy(text + TOML_KEY_SIZE, " = 1\n");
	assert_wrong(text, "too long");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in),
		cmocka_unit_test(chain),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(what_people_write),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(a_long_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
