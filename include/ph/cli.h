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
	CLI_LIST,
	CLI_STOP,
	CLI_LOGS,
	CLI_DRY_RUN,
	CLI_CHECK,
	CLI_REALMS,
	CLI_HELP,
	CLI_HELP_ALL,
	CLI_COMPLETION,
	CLI_VERSION,
};

#define CLI_SETTINGS_MAX 256

/* An option that was given. */
struct cli_setting {
	const char *name, *value;
	const char *origin; /* a profile's file and line; NULL: the command line */
	bool shapes_vm;     /* not of the command alone: it cannot change while the VM runs */
	bool adds_up;       /* of those that do not, the last of a name counts */
};

struct cli_options {
	enum cli_action action;
	const char *operand; /* of the action: a VM's name, the shell to complete for */
	struct plan_request request;
	struct cli_setting settings[CLI_SETTINGS_MAX]; /* from profiles, then from the command line */
	size_t setting_count;
};

/* Run the command in a VM of its own or, with a name, in the VM of that name, which is started if need be.
 * Its exit status, or -errno with *error set. */
int cli_run(const struct cli_options *options, struct error *error);
/* Print what cli_run() would do. Likewise. */
int cli_dry_run(const struct cli_options *options, struct error *error);

/* What root's ph does first: it becomes sudo's caller, whose VMs and profiles are meant, unless root is
 * needed to map owners, or to open what realms lie on. 0 or -errno with *error set. */
int cli_become_caller(const struct plan_request *request, struct error *error);

/* Parse the arguments, which end with NULL, over the profiles of the VM's name and the environment's
 * defaults; the user's own profile is read as sudo's caller. The strings stay those of argv and the
 * environment. 0, or -EINVAL with *error set. */
int cli_parse(struct cli_options *options, int argc, char **argv, struct error *error);
/* After either. The strings from profiles go with it. */
void cli_finish(struct cli_options *options);

/* The common options on one screen, or all. */
void cli_print_help(bool all);
void cli_print_version(void);
/* The completions for a shell: "bash", "zsh" or "fish". */
void cli_print_completion(const char *shell);

/* Where standard error leads nowhere, or to the journal: get ready to tell the desktop of a failure. To be
 * called while the process has one thread. */
void cli_notice_start(char *const *argv);
/* In a process that goes on without this one. */
void cli_notice_forget(void);
/* That failure: ph is about to end. */
void cli_notice_send(const char *line);

/* --check: a line for each thing this host has or lacks, with the remedy. 0, or -errno when ph cannot run
 * here. */
int cli_check_host(void);

#endif
