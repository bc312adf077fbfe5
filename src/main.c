/*
 * ph: run a command in its own virtual machine. Options become a plan, the plan is run, and the command's
 * exit status is ph's.
 */
#include "ph/cli.h"
#include "ph/instance.h"
#include "ph/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A closed standard stream would give its number to the next file that is opened. */
static void open_standard_streams(void) {
	int fd;
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

/* VMs that run are their user's. */
static int ask(const struct cli_options *options, struct error *error) {
	int ret = cli_become_caller(&options->request, error);
	if (ret < 0) {
		return ret;
	}
	return options->action == CLI_LIST   ? instance_list(error)
	       : options->action == CLI_STOP ? instance_stop(options->operand, error)
					     : instance_print_logs(options->operand, error);
}

static int act(const struct cli_options *options, struct error *error) {
	switch (options->action) {
	case CLI_HELP:
		cli_print_help(false);
		return 0;
	case CLI_HELP_ALL:
		cli_print_help(true);
		return 0;
	case CLI_COMPLETION:
		cli_print_completion(options->operand);
		return 0;
	case CLI_VERSION:
		cli_print_version();
		return 0;
	case CLI_REALMS:
		return plan_print_realms(error);
	case CLI_CHECK:
		return cli_check_host() < 0 ? CLI_STATUS_FAILED : 0;
	case CLI_LIST:
	case CLI_STOP:
	case CLI_LOGS:
		return ask(options, error);
	case CLI_DRY_RUN:
		return cli_dry_run(options, error);
	case CLI_RUN:
		break;
	}
	return cli_run(options, error);
}

int main(int argc, char **argv) {
	struct cli_options options;
	struct error error = {0};
	/* Ignored, as some callers leave it, it would hide how children end. */
	signal(SIGCHLD, SIG_DFL);
	open_standard_streams();
	cli_notice_start(argv);
	int status = cli_parse(&options, argc, argv, &error);
	if (status == 0) {
		log_verbose_enabled = options.request.verbose;
		status = act(&options, &error);
	}
	enum cli_action action = options.action;
	cli_finish(&options);
	if (status < 0) {
		log_error("%s", error.message);
		cli_notice_send(error.message);
		return CLI_STATUS_FAILED;
	}
	if (action != CLI_RUN && fflush(stdout) != 0) {
		log_error("cannot write to standard output");
		return CLI_STATUS_FAILED;
	}
	return status;
}
