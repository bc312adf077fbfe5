/*
 * The command line: what the user typed becomes a plan_request and an action.
 */
#ifndef PH_CLI_H
#define PH_CLI_H

#include "ph/plan.h"

/* Exit status of ph's own failures, as env(1) and timeout(1) have it; the command's own pass through. */
#define CLI_STATUS_FAILED 125

enum cli_action {
	CLI_RUN,
	CLI_DRY_RUN,
	CLI_CHECK,
	CLI_REALMS,
	CLI_HELP,
	CLI_HELP_ALL,
	CLI_COMPLETION,
	CLI_VERSION,
};

struct cli_options {
	enum cli_action action;
	const char *operand; /* of the action: the shell to complete for */
	struct plan_request request;
};

/* Parse the arguments over the environment's defaults. The strings stay those of argv and the environment.
 * 0, or -EINVAL with *error set. */
int cli_parse(struct cli_options *options, int argc, char **argv, struct error *error);

/* The common options on one screen, or all. */
void cli_print_help(bool all);
void cli_print_version(void);
/* The completions for a shell: "bash", "zsh" or "fish". */
void cli_print_completion(const char *shell);

/* --check: a line for each thing this host has or lacks, with the remedy. 0, or -errno when ph cannot run
 * here. */
int cli_check_host(void);

#endif
