/*
 * What ph says about itself: --version, --help and --help-all, from the table. ph's one thread; no input.
 */
#include "cli/table.h"

#include <stdio.h>

#define VERSION "0.1.0"

void cli_print_version(void) {
	puts("ph " VERSION);
}

/* Short help leaves out what has no room in 80 columns. */
static void print_option(const struct option *option, bool all) {
	char left[64];
	const char *environment = all ? option->environment : NULL;
	int length =
		snprintf(left, sizeof(left), "%s--%s", option->letter != '\0' ? "-?, " : "", option->name);
	if (option->argument != NULL) {
		const char *const format = option->optional ? "[=%s]" : " %s";
		snprintf(left + length, sizeof(left) - (size_t)length, format, option->argument);
	}
	if (option->letter != '\0') {
		left[1] = option->letter;
	}
	printf("  %-*s %s%s%s\n", all ? 31 : 25, left, option->help, environment != NULL ? " $" : "",
		environment != NULL ? environment : "");
}

static void print_section(enum option_section section, bool all) {
	for (size_t i = 0; i < cli_table_size; i++) {
		if (cli_table[i].section == section && (all || cli_table[i].common)) {
			print_option(&cli_table[i], all);
		}
	}
}

void cli_print_help(bool all) {
	puts("ph [OPTIONS] [-- COMMAND [ARGUMENT...]]\n"
	     "Run a command or a shell in a virtual machine that shows this system read-only.");
	for (unsigned section = 0; section < OPTION_SECTIONS; section++) {
		if (all) {
			printf("\n%s:\n", table_section_title(section));
		} else if (section == 0) {
			putchar('\n');
		}
		print_section(section, all);
	}
	puts("\nExit status: the command's; 128+N for signal N; 127 not found; 125 ph failed.");
}
