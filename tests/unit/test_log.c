/* Messages: one line each on stderr, nothing in them that drives a terminal, and few of those a guest
 * provokes. Errors on their way, too. */
#include "assert_shown.h"
#include "ph/error.h"
#include "ph/log.h"
#include "ph/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr, capture;
static char captured[65536];

static int set_up(void **state) {
	(void)state;
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -1;
	}
	saved_stderr = dup(STDERR_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
	close(pipe_fds[1]);
	capture = pipe_fds[0];
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(capture);
	return 0;
}

static const char *output(void) {
	ssize_t n = read(capture, captured, sizeof(captured) - 1);
	captured[n > 0 ? n : 0] = '\0';
	return captured;
}

static void test_line(void **state) {
	(void)state;
	log_error("%s: %d", "object", 3);
	assert_string_equal(output(), "ph: object: 3\n");
}

static void test_verbose(void **state) {
	(void)state;
	log_verbose("hidden");
	assert_string_equal(output(), "");
	log_verbose_enabled = true;
	log_verbose("shown");
	log_verbose_enabled = false;
	assert_string_equal(output(), "ph: shown\n");
}

static void test_control_characters(void **state) {
	(void)state;
	log_error("a\033[31m\r\n\t\x7f"
		  "b");
	assert_string_equal(output(), "ph: a?[31m????b\n");
}

static void test_utf8(void **state) {
	(void)state;
	log_error("%s", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	assert_string_equal(output(), "ph: gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n");
	/* C1 controls: as UTF-8, and as the bytes an 8-bit terminal takes them for. */
	log_error("%s", "\xc2\x9b"
			"31m");
	assert_string_equal(output(), "ph: ??31m\n");
	log_error("%s", "\x9b"
			"31m");
	assert_string_equal(output(), "ph: ?31m\n");
	/* Cut off, overlong, surrogate, too large. */
	log_error("%s", "\xe2\x82");
	assert_string_equal(output(), "ph: ??\n");
	log_error("%s", "\xc0\x9b \xe0\x82\x9b \xed\xa0\x80 \xf4\x90\x80\x80");
	assert_string_equal(output(), "ph: ?? ??? ??? ????\n");
}

/* Between characters, where there are any. */
static void test_cut(void **state) {
	(void)state;
	static const char text[] = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		assert_int_equal(text_cut(text, i), cuts[i]);
	}
	assert_int_equal(text_cut("\x80\x80\x80\x80\x80\x80", 5), 5);
	assert_int_equal(text_cut("\x80\x80", 1), 1);
}

static void test_long_line(void **state) {
	(void)state;
	char text[5000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
	const char *line = output();
	assert_in_range(strlen(line), 1000, 1024);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

/* A terminal is raw while a command has it. */
static void test_raw_terminal(void **state) {
	(void)state;
	int master, slave, saved = dup(STDERR_FILENO);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	dup2(slave, STDERR_FILENO);
	log_error("cooked");
	struct termios mode, before;
	tcgetattr(slave, &before);
	mode = before;
	cfmakeraw(&mode);
	tcsetattr(slave, TCSADRAIN, &mode);
	log_error("raw");
	tcsetattr(slave, TCSADRAIN, &before);
	log_error("cooked again");
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_shown(master, "ph: cooked\r\nph: raw\r\nph: cooked again\r\n");
	close(master);
	close(slave);
}

static void test_guest_limit(void **state) {
	(void)state;
	struct log_limit limit = {0}, other = {0};
	for (unsigned i = 0; i < 100; i++) {
		log_guest(&limit, "line %u", i);
	}
	assert_string_equal(output(), "ph: line 0\nph: line 1\nph: line 2\nph: line 3\nph: line 4\n");
	log_guest(&other, "another source");
	assert_string_equal(output(), "ph: another source\n");
	limit.window_start_ns -= 10000000000ULL;
	log_guest(&limit, "later");
	assert_string_equal(output(), "ph: 95 more messages like it were left out\nph: later\n");
}

/* Who does not read must not hold up a VM: lines are left out, which is told to whoever reads later. */
static void test_nobody_reads(void **state) {
	(void)state;
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, flags & ~O_NONBLOCK), 0);
	log_drops_enabled = log_verbose_enabled = true;
	alarm(60); /* to die rather than to wait */
	for (unsigned i = 0; i < 10000; i++) {
		log_verbose("line %u", i);
	}
	log_error("not waited for");
	alarm(0);
	size_t total = 0;
	while (output()[0] != '\0') {
		total += strlen(captured);
	}
	assert_in_range(total, 4096, 65536);
	log_error("later");
	log_drops_enabled = log_verbose_enabled = false;
	const char *text = output();
	const char *rest = strstr(text, " messages were left out: nobody read them\nph: later\n");
	assert_true(strncmp(text, "ph: ", 4) == 0 && rest != NULL);
	assert_in_range(atoi(text + 4), 1, 10000);
	log_error("next");
	assert_string_equal(output(), "ph: next\n");
}

static void test_error(void **state) {
	(void)state;
	struct error error = {0};
	assert_int_equal(error_set(&error, -ENOENT, "%s: no such image", "x"), -ENOENT);
	assert_string_equal(error.message, "x: no such image");
	assert_int_equal(error_set(&error, -EIO, "later"), -EIO);
	assert_string_equal(error.message, "x: no such image");
	assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verbose, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_control_characters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_utf8, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_guest_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_reads, set_up, tear_down),
		cmocka_unit_test(test_raw_terminal),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_error),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
