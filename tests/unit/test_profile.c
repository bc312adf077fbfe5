/* Profiles: what they set, what wins, and the one line that tells a mistake with its file and line. */
#include "cli/profile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct cli_options options;

static int read_text(const char *text, struct error *error) {
	options = (struct cli_options){0};
	*error = (struct error){0};
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	assert_non_null(file);
	int ret = profile_read(&options, file, "x.conf", error);
	fclose(file);
	return ret;
}

static void expect_mistake(const char *text, const char *message) {
	struct error error;
	assert_int_equal(read_text(text, &error), -EINVAL);
	assert_string_equal(error.message, message);
	cli_finish(&options);
}

static void options_are_set(void **state) {
	(void)state;
	struct error error;
	assert_int_equal(
		read_text(
			"# comment\n\nmem = 1G\nshare=/a\nshare = /b:/c:ro ; why\r\nroot = yes\nnet = yes\n",
			&error),
		0);
	assert_int_equal(options.request.memory, 1ULL << 30);
	assert_int_equal(options.request.share_count, 2);
	assert_string_equal(options.request.shares[1], "/b:/c:ro");
	assert_true(options.request.as_root);
	assert_string_equal(options.settings[1].origin, "x.conf:4");
	assert_string_equal(options.settings[4].value, "");
	cli_finish(&options);
}

static void mistakes_are_told_with_their_line(void **state) {
	(void)state;
	expect_mistake("mem = 1G\nmemm = 2G\n", "x.conf:2: unknown option memm; did you mean mem?");
	expect_mistake(
		"frobnicate = 1\n", "x.conf:1: unknown option frobnicate; ph --help-all lists the options");
	expect_mistake("\ncpus = many", "x.conf:2: cpus: not a number");
	expect_mistake("root = maybe", "x.conf:1: root: must be yes or no");
	expect_mistake("name = x", "x.conf:1: name is for the command line");
	expect_mistake("mem =\n", "x.conf:1: mem needs a value");
	expect_mistake("mem\n", "x.conf:1: not of the form: option = value");
	expect_mistake("mem = 1G\n  2G\n", "x.conf:2: an option begins in the first column");
	expect_mistake("[mem]\n", "x.conf:1: there are no sections here");
}

static void long_lines_and_many_options_are_refused(void **state) {
	(void)state;
	char line[400];
	memset(line, 'x', sizeof(line));
	memcpy(line, "append = ", 9);
	line[sizeof(line) - 1] = '\0';
	expect_mistake(line, "x.conf:1: the line is too long");
	char *many = calloc(CLI_SETTINGS_MAX + 2, 11);
	for (size_t i = 0; i <= CLI_SETTINGS_MAX; i++) {
		strcat(many, "root = yes");
		many[strlen(many)] = '\n';
	}
	expect_mistake(many, "x.conf:257: too many options");
	free(many);
}

static void the_command_line_wins(void **state) {
	(void)state;
	char folder[] = "/tmp/profileXXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	setenv("XDG_CONFIG_HOME", folder, 1);
	snprintf(path, sizeof(path), "%s/ph", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/ph/unit-box.conf", folder);
	FILE *file = fopen(path, "w");
	fputs("mem = 1G\nprivate-home = yes\nshare = /a\n", file);
	fclose(file);
	struct error error = {0};
	char *argv[] = {(char *)"ph", (char *)"--mem=2G", (char *)"--share", (char *)"/b", (char *)"--name",
		(char *)"unit-box", (char *)"--private-home=no", (char *)"--", (char *)"true", NULL};
	assert_int_equal(cli_parse(&options, 9, argv, &error), 0);
	assert_int_equal(options.request.memory, 2ULL << 30);
	assert_false(options.request.private_home);
	assert_string_equal(options.request.shares[0], "/a");
	assert_string_equal(options.request.shares[1], "/b");
	assert_string_equal(options.request.command[0], "true");
	cli_finish(&options);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ph", folder);
	rmdir(path);
	rmdir(folder);
}

static int parse_by_sudo(const char *option, const char *value) {
	char *argv[] = {(char *)"ph", (char *)"--name", (char *)"unit-box", (char *)(uintptr_t)option,
		(char *)(uintptr_t)value, NULL};
	struct error error = {0};
	setenv("SUDO_UID", "54321", 1);
	setenv("SUDO_GID", "54321", 1);
	return cli_parse(&options, 5, argv, &error);
}

/* The user's who ran sudo; in processes of their own, for root is gone for good. */
static void the_profile_is_the_callers(void **state) {
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	static const struct {
		const char *option, *value;
		uid_t uid;
	} cases[] = {{"--mem", "1G", 54321}, {"--uid-map", "0:100000:10", 0}, {"--realm", "main", 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			int ret = parse_by_sudo(cases[i].option, cases[i].value);
			_exit(ret == 0 && getuid() == cases[i].uid ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void) {
	unsetenv("SUDO_UID"); /* tests may be run by it */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_set),
		cmocka_unit_test(mistakes_are_told_with_their_line),
		cmocka_unit_test(long_lines_and_many_options_are_refused),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(the_profile_is_the_callers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
