/*
 * What ph says about itself: --version, --help and --help-all, from the table. ph's one thread; no input.
 */
#include "cli/table.h"

#include <stdio.h>

#define VERSION "0.1.0"

void cli_print_version(void) {
	puts("ph " VERSION);
}

static void print_option(const struct option *option) {
	char left[64];
	int length =
		snprintf(left, sizeof(left), "%s--%s", option->letter != '\0' ? "-?, " : "", option->name);
	if (option->argument != NULL) {
		const char *const format = option->optional ? "[=%s]" : " %s";
		snprintf(left + length, sizeof(left) - (size_t)length, format, option->argument);
	}
	if (option->letter != '\0') {
		left[1] = option->letter;
	}
	printf("  %-31s %s%s%s\n", left, option->help, option->environment != NULL ? " $" : "",
		option->environment != NULL ? option->environment : "");
}

static void print_section(enum option_section section, bool all) {
	for (size_t i = 0; i < cli_table_size; i++) {
		if (cli_table[i].section == section && (all || cli_table[i].common)) {
			print_option(&cli_table[i]);
		}
	}
}

void cli_print_help(bool all) {
	puts("ph [OPTIONS] [-- COMMAND [ARGUMENT...]]\n"
	     "Run a command, or a shell, in a virtual machine that shows it this system read-only.");
	for (unsigned section = 0; section < OPTION_SECTIONS; section++) {
		if (all) {
			printf("\n%s:\n", table_section_title(section));
		} else if (section == 0) {
			putchar('\n');
		}
		print_section(section, all);
	}
	puts("\nExit status: the command's; 128+N when signal N killed it; 127 not found; 125 ph failed.");
}
