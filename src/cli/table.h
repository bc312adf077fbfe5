/*
 * The one table of options. The parser, profiles, --help, the completions of shells and --dry-run's origins
 * all read it: an option is added by one row in table.c, what it sets, and its entry in docs/ph.1.scd.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "ph/cli.h"

enum option_section {
	OPTION_VM,
	OPTION_FILES,
	OPTION_SCREEN,
	OPTION_NETWORK,
	OPTION_MACHINE,
	OPTION_INFORMATION,
	OPTION_SECTIONS,
};

/* What a shell offers for the value. An argument "a|b|c" offers its words whatever this says. */
enum option_completion { COMPLETE_NOTHING, COMPLETE_FILE, COMPLETE_DIRECTORY, COMPLETE_VM };

struct option {
	enum option_section section;
	const char *name;
	const char *argument; /* what --help calls the value; NULL: a flag, yes or no */
	const char *help;
	const char *environment; /* variable with the default, or NULL */
	char letter;             /* or 0 */
	bool optional;           /* --net and --net=VALUE; without a value apply gets "" */
	bool common;             /* in --help, which is one screen; all are in --help-all */
	bool once;               /* for the command line only: not in profiles */
	bool adds_up;            /* given more than once, each counts; of others the last */
	bool of_command;         /* about the command: may differ between those who share a VM */
	enum option_completion completion;
	/* Flags get "yes" or "no" (or 1 or 0). 0, or -EINVAL with the cause in *error. */
	int (*apply)(struct cli_options *options, const char *value, struct error *error);
};

extern const struct option cli_table[];
extern const size_t cli_table_size;

/* NULL: there is none. */
const struct option *table_find(const char *name, size_t length);
const struct option *table_find_letter(char letter);
/* The option that was meant by this name, perhaps; NULL: none is near. */
const struct option *table_nearest(const char *name, size_t length);
const char *table_section_title(enum option_section section);

#endif
