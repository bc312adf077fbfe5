/* The guest's messages: kept, shown, and harmless. What is shown goes to stderr, which a pipe stands in for.
 */
#include "monitor/console_log.h"
#include "monitor/timings.h"
#include "ph/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SHOWN_MAX 65536

struct fixture {
	struct console_log log;
	int saved, file;
	char shown[SHOWN_MAX];
};

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	FILE *file = tmpfile();
	*state = f;
	console_log_init(&f->log);
	f->saved = dup(STDERR_FILENO);
	f->file = dup(fileno(file));
	fclose(file);
	log_verbose_enabled = false;
	return dup2(f->file, STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	dup2(f->saved, STDERR_FILENO);
	close(f->saved);
	close(f->file);
	console_log_finish(&f->log);
	free(f);
	return 0;
}

static const char *shown(struct fixture *f) {
	fflush(stderr);
	ssize_t n = pread(f->file, f->shown, SHOWN_MAX - 1, 0);
	f->shown[n > 0 ? n : 0] = '\0';
	return f->shown;
}

static void put(struct fixture *f, const char *text) {
	console_log_write(&f->log, text, strlen(text));
}

static void test_silent_until_asked(void **state) {
	struct fixture *f = *state;
	put(f, "one\r\ntwo\r\nthr");
	assert_string_equal(shown(f), "");
	console_log_show(&f->log);
	assert_string_equal(shown(f), "ph: guest: one\nph: guest: two\nph: guest: thr\n");
}

static void test_verbose_shows_lines_as_they_end(void **state) {
	struct fixture *f = *state;
	log_verbose_enabled = true;
	put(f, "one\r\ntw");
	assert_string_equal(shown(f), "ph: guest: one\n");
	put(f, "o\n");
	assert_string_equal(shown(f), "ph: guest: one\nph: guest: two\n");
}

static void test_control_characters_are_harmless(void **state) {
	struct fixture *f = *state;
	log_verbose_enabled = true;
	console_log_write(&f->log, "\033]0;x\007\0y\n", 10);
	console_log_show(&f->log);
	for (const char *c = shown(f); *c != '\0'; c++) {
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
	}
}

#define KILLED "[  1.5] Out of memory: Killed process 71 (%s) total-vm:4kB, anon-rss:0kB"

static void test_out_of_memory_is_told_once(void **state) {
	struct fixture *f = *state;
	char line[512];
	put(f, "Out of memory: Killed process 71\nOut of memory: Killed process 7 (x\n");
	put(f, "Memory cgroup out of memory: Killed process 71 (mine) total-vm:4kB\n");
	snprintf(line, sizeof(line), KILLED "\n", "a name that is longer than the kernel's");
	put(f, line);
	assert_string_equal(shown(f), "");
	snprintf(line, sizeof(line), KILLED "\n", "(a) \033]0;x\007");
	put(f, line);
	const char *text = shown(f);
	assert_non_null(strstr(text, "ph: the VM is out of memory: (a) "));
	assert_non_null(strstr(text, " was killed; --mem gives it more\n"));
	size_t told = strlen(text);
	for (const char *c = text; *c != '\0'; c++) {
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
	}
	snprintf(line, sizeof(line), KILLED "\n", "another");
	put(f, line);
	assert_int_equal(strlen(shown(f)), told);
}

static void test_only_the_last_is_kept(void **state) {
	struct fixture *f = *state;
	char line[64];
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		put(f, line);
	}
	console_log_show(&f->log);
	assert_null(strstr(shown(f), "line 979\n"));
	assert_non_null(strstr(shown(f), "ph: guest: line 980\n"));
	assert_non_null(strstr(shown(f), "line 999\n"));
}

static void test_a_line_without_end(void **state) {
	struct fixture *f = *state;
	char text[3 * CONSOLE_LOG_KEPT];
	memset(text, 'x', sizeof(text));
	log_verbose_enabled = true;
	console_log_write(&f->log, text, sizeof(text));
	console_log_show(&f->log);
	assert_true(strlen(shown(f)) > CONSOLE_LOG_KEPT / 2);
}

static void test_timings_are_bounded_and_in_order(void **state) {
	struct fixture *f = *state;
	struct timings timings;
	timings_init(&timings);
	timings_guest(&timings, "second", 2000000);
	timings_guest(&timings, "first\033", 1000000);
	for (unsigned i = 0; i < 2 * TIMINGS_MAX; i++) {
		timings_guest(&timings, "a name that is much longer than there is room for it in the table",
			UINT64_MAX);
	}
	assert_int_equal(timings.guest_count, TIMINGS_MAX);
	timings_print(&timings);
	const char *first = strstr(shown(f), "first?"), *second = strstr(f->shown, "second");
	assert_non_null(first);
	assert_non_null(second);
	assert_true(first < second);
	assert_null(strchr(f->shown, '\033'));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silent_until_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verbose_shows_lines_as_they_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_characters_are_harmless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_the_last_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_line_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timings_are_bounded_and_in_order, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
