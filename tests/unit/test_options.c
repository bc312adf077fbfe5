/* The command line as users type it, right and wrong: what it sets, and the one line it fails with. */
#include "ph/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORDS_MAX 64

static int parse(struct cli_options *options, struct error *error, const char *const *words) {
	char *argv[WORDS_MAX + 2] = {(char *)"ph"};
	int argc = 1;
	for (; words[argc - 1] != NULL; argc++) {
		argv[argc] = (char *)words[argc - 1];
	}
	*error = (struct error){0};
	static char *kept[WORDS_MAX + 2]; /* the command points into argv */
	memcpy(kept, argv, sizeof(kept));
	return cli_parse(options, argc, kept, error);
}

#define PARSE(options, ...) \
	do { \
		struct error error_; \
		const char *const words_[] = {__VA_ARGS__ __VA_OPT__(, ) NULL}; \
		int ret_ = parse(options, &error_, words_); \
		assert_string_equal(error_.message, ""); \
		assert_int_equal(ret_, 0); \
	} while (0)

#define REFUSE(message_, ...) \
	do { \
		struct cli_options options_; \
		struct error error_; \
		const char *const words_[] = {__VA_ARGS__, NULL}; \
		assert_int_equal(parse(&options_, &error_, words_), -EINVAL); \
		assert_non_null(strstr(error_.message, message_)); \
		assert_null(strchr(error_.message, '\n')); \
	} while (0)

static int clean_environment(void **state) {
	(void)state;
	unsetenv("PH_CPUS");
	unsetenv("PH_MEM");
	unsetenv("PH_VERBOSE");
	return 0;
}

static void nothing_is_a_shell_of_this_system(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options);
	assert_int_equal(options.action, CLI_RUN);
	assert_null(options.request.rootfs);
	assert_null(options.request.command);
	assert_int_equal(options.request.rootfs_mode, BLOCK_EPHEMERAL);
	assert_false(options.request.verbose);
	assert_int_equal(options.request.sandbox, PLAN_SANDBOX_DEFAULT);
}

static void values_follow_or_are_joined(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options, "--cpus", "3", "--mem=512M", "--name", "box", "--kernel=/boot/k", "--append",
		"a=b c");
	assert_int_equal(options.request.cpus, 3);
	assert_int_equal(options.request.memory, 512ULL << 20);
	assert_string_equal(options.request.name, "box");
	assert_string_equal(options.request.kernel, "/boot/k");
	assert_string_equal(options.request.append, "a=b c");
}

static void a_value_may_look_like_an_option(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options, "--append", "--cpus", "--env=A=--b");
	assert_string_equal(options.request.append, "--cpus");
	assert_string_equal(options.request.env[0], "A=--b");
	assert_int_equal(options.request.cpus, 0);
}

static void the_command_is_left_alone(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options, "-v", "--", "--help", "--", "");
	assert_int_equal(options.action, CLI_RUN);
	assert_true(options.request.verbose);
	assert_string_equal(options.request.command[0], "--help");
	assert_string_equal(options.request.command[1], "--");
	assert_string_equal(options.request.command[2], "");
	assert_null(options.request.command[3]);
}

static void lists_keep_their_order(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options, "--share", "/a", "--share=/b:/c:ro", "--disk", "x", "--env", "A", "--env=B=");
	assert_int_equal(options.request.share_count, 2);
	assert_string_equal(options.request.shares[1], "/b:/c:ro");
	assert_int_equal(options.request.disk_count, 1);
	assert_int_equal(options.request.env_count, 2);
	assert_string_equal(options.request.env[1], "B=");
}

static void lists_have_an_end(void **state) {
	(void)state;
	const char *words[2 * (PLAN_DISKS_MAX + 1) + 1];
	for (size_t i = 0; i <= PLAN_DISKS_MAX; i++) {
		words[2 * i] = "--disk";
		words[2 * i + 1] = "x";
	}
	words[2 * (PLAN_DISKS_MAX + 1)] = NULL;
	struct cli_options options;
	struct error error;
	assert_int_equal(parse(&options, &error, words), -EINVAL);
	assert_non_null(strstr(error.message, "more than 8"));
}

static void modes_and_actions(void **state) {
	(void)state;
	struct cli_options options;
	PARSE(&options, "--rootfs", "i", "--rootfs-mode", "ro");
	assert_int_equal(options.request.rootfs_mode, BLOCK_READ_ONLY);
	PARSE(&options, "--rootfs=i", "--rootfs-mode=rw", "--dry-run");
	assert_int_equal(options.request.rootfs_mode, BLOCK_READ_WRITE);
	assert_int_equal(options.action, CLI_DRY_RUN);
	PARSE(&options, "--sandbox=off");
	assert_int_equal(options.request.sandbox, PLAN_SANDBOX_OFF);
	PARSE(&options, "--sandbox", "default", "--check");
	assert_int_equal(options.request.sandbox, PLAN_SANDBOX_DEFAULT);
	assert_int_equal(options.action, CLI_CHECK);
	PARSE(&options, "-hv");
	assert_int_equal(options.action, CLI_HELP);
	assert_true(options.request.verbose);
}

static void the_environment_gives_defaults(void **state) {
	(void)state;
	struct cli_options options;
	setenv("PH_CPUS", "2", 1);
	setenv("PH_MEM", "1G", 1);
	setenv("PH_VERBOSE", "1", 1);
	PARSE(&options, "--cpus=4");
	assert_int_equal(options.request.cpus, 4);
	assert_int_equal(options.request.memory, 1ULL << 30);
	assert_true(options.request.verbose);
	setenv("PH_VERBOSE", "", 1);
	setenv("PH_CPUS", "many", 1);
	REFUSE("PH_CPUS many: not a number", "--version");
	setenv("PH_CPUS", "2", 1);
	setenv("PH_VERBOSE", "maybe", 1);
	REFUSE("PH_VERBOSE maybe: must be yes or no", "--version");
}

static void unknown_options_get_a_hint(void **state) {
	(void)state;
	REFUSE("unknown option --cpu; did you mean --cpus?", "--cpu", "2");
	REFUSE("did you mean --share?", "--shar=/x");
	REFUSE("did you mean --private-home?", "--privat-home");
	REFUSE("unknown option --wibble; ph --help-all", "--wibble");
	REFUSE("ph --help-all lists", "--frobnicate");
	REFUSE("unknown option -x", "-x");
	REFUSE("unknown option -vx", "-vx");
	REFUSE("unknown option --=", "--=3");
}

static void a_command_needs_its_dashes(void **state) {
	(void)state;
	REFUSE("ph -- firefox", "firefox");
	REFUSE("'-' is not an option", "-");
	REFUSE("'' is not an option", "");
}

static void missing_and_surplus_values(void **state) {
	(void)state;
	REFUSE("--home needs a value: DIR", "--home");
	REFUSE("--home needs a value", "--home=");
	REFUSE("--mem needs a value", "--mem", "");
	REFUSE("--root maybe: must be yes or no", "--root=maybe");
	REFUSE("--net tap: must be passt, tap:IFACE or no", "--net=tap");
	REFUSE("--check takes no value", "--check=yes");
}

static void numbers_are_strict(void **state) {
	(void)state;
	REFUSE("--cpus 0: must be 1 to 16", "--cpus", "0");
	REFUSE("must be 1 to 16", "--cpus=17");
	REFUSE("must be 1 to 16", "--cpus=4294967297");
	REFUSE("too large", "--cpus=99999999999999999999");
	REFUSE("not a number", "--cpus=-1");
	REFUSE("not a number", "--cpus=+1");
	REFUSE("not a number", "--cpus= 1");
	REFUSE("not a number", "--cpus=2x");
	REFUSE("a number with a unit", "--mem=512");
	REFUSE("a number with a unit", "--mem=512MB");
	REFUSE("a number with a unit", "--mem=512m");
	REFUSE("too large", "--mem=99999999999999T");
	REFUSE("must not be 0", "--mem=0M");
}

static void words_are_strict(void **state) {
	(void)state;
	REFUSE("must be one of ro, rw, ephemeral", "--rootfs=x", "--rootfs-mode=r");
	REFUSE("must be one of default, strict, off", "--sandbox=on");
	REFUSE("a name is made of", "--name=a/b");
	REFUSE("a name is made of", "--name=..");
	REFUSE("a name is made of", "--name=-a");
	REFUSE("a name is made of",
		"--name=0123456789012345678901234567890123456789012345678901234567890123");
	REFUSE("needs a name", "--env==x");
}

static void impossible_combinations(void **state) {
	(void)state;
	REFUSE("exclude each other", "--home=/x", "--private-home");
	REFUSE("give --rootfs too", "--rootfs-mode=rw");
	REFUSE("do not go with --rootfs", "--rootfs=i", "--hide=/x");
	REFUSE("do not go with --rootfs", "--show=/x", "--rootfs=i");
}

int main(void) {
	unsetenv("SUDO_UID"); /* tests may be run by it */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_a_shell_of_this_system),
		cmocka_unit_test(values_follow_or_are_joined),
		cmocka_unit_test(a_value_may_look_like_an_option),
		cmocka_unit_test(the_command_is_left_alone),
		cmocka_unit_test(lists_keep_their_order),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(modes_and_actions),
		cmocka_unit_test_setup_teardown(
			the_environment_gives_defaults, clean_environment, clean_environment),
		cmocka_unit_test(unknown_options_get_a_hint),
		cmocka_unit_test(a_command_needs_its_dashes),
		cmocka_unit_test(missing_and_surplus_values),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(words_are_strict),
		cmocka_unit_test(impossible_combinations),
	};
	return cmocka_run_group_tests(tests, clean_environment, NULL);
}
