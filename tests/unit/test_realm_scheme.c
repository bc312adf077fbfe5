/* The colours that a realm's terminal gets: those of ph's own table, and those of a script of Citadel's,
 * which may hold anything. */
#include "plan/realm/scheme.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LINES 24

static void known(void **state) {
	(void)state;
	char *text = scheme_palette("embers");
	assert_non_null(text);
	/* Foreground base05, background base00; red is base08. */
	assert_ptr_equal(strstr(text, "\033]10;rgb:a3/9a/90\033\\\033]11;rgb:16/13/0f\033\\"), text);
	assert_non_null(strstr(text, "\033]4;1;rgb:82/6d/57\033\\"));
	assert_non_null(strstr(text, "\033]4;21;rgb:be/b6/ae\033\\"));
	free(text);
	assert_null(scheme_palette("Embers"));
	assert_null(scheme_palette(""));
}

/* As Citadel writes it, with one line in another's place. */
static char *script(int place, const char *line) {
	char *text = calloc(1, 8192);
	strcat(text, "if true; then\n  put_template() { printf '\\033]4;%d;rgb:%s' $@; }\nfi\n");
	for (int i = 0; i < LINES; i++) {
		char own[64];
		if (i < 22) {
			snprintf(own, sizeof(own), "put_template %-2d %02x/00/ff", i, i);
		} else {
			snprintf(own, sizeof(own), "put_template_var %d aa/bb/%02x", i - 12, i);
		}
		strcat(text, i == place ? line : own);
		strcat(text, "\n");
	}
	strcat(text, "put_template_custom 12 \";7\" # cursor\nunset -f put_template\n");
	return text;
}

static char *palette_with(int place, const char *line) {
	char *text = script(place, line);
	char *palette = scheme_palette_of_script(text);
	free(text);
	return palette;
}

static void of_script(void **state) {
	(void)state;
	char *text = palette_with(-1, "");
	assert_non_null(text);
	assert_ptr_equal(strstr(text, "\033]10;rgb:aa/bb/16\033\\\033]11;rgb:aa/bb/17\033\\"), text);
	assert_non_null(strstr(text, "\033]4;21;rgb:15/00/ff\033\\"));
	free(text);
	text = palette_with(3, "put_template 3 00/00/00");
	assert_non_null(strstr(text, "\033]4;3;rgb:00/00/00\033\\"));
	free(text);
}

/* A script without all of the colours is none, and no byte of it goes to the terminal. */
static void broken_script(void **state) {
	(void)state;
	static const char *const lines[] = {"", "put_template 3", "put_template 3 00/00",
		"put_template 3 00/00/0g", "put_template 3 00/00/00; x", "put_template 3 \033]0;x\007",
		"put_template 99 00/00/00", "put_template 4294967299 00/00/00", "# put_template 3 00/00/00",
		"put_template 3 00/00/00                                                            "};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_null(palette_with(3, lines[i]));
	}
	assert_null(palette_with(22, "put_template_var 12 00/00/00"));
	assert_null(scheme_palette_of_script(""));
	assert_null(scheme_palette_of_script("\n\n\n"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known), cmocka_unit_test(of_script), cmocka_unit_test(broken_script)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
