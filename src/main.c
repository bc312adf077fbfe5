/*
 * ph: run a command in its own virtual machine. Options become a plan, the plan is run, and the command's
 * exit status is ph's.
 */
#include "ph/cli.h"
#include "ph/jail.h"
#include "ph/log.h"
#include "ph/vm.h"

#include <fcntl.h>
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

static int run(const struct cli_options *options, struct error *error) {
	struct plan plan = {0};
	uid_t uid;
	gid_t gid;
	/* Only root can map owners, and open what realms lie on. */
	bool stays = options->request.uid_map_count > 0 || options->request.realm != NULL;
	int status = stays ? 0 : jail_become_caller(error);
	if (status == 0) {
		status = plan_init(&plan, &options->request, error);
	}
	if (status == 0 && plan_runs_as(&plan, &uid, &gid)) {
		log_verbose("root's ph goes on as user %u, whose realm it is", uid);
		status = jail_become(uid, gid, error);
	}
	if (status == 0 && options->action == CLI_DRY_RUN) {
		plan_print(&plan);
	} else if (status == 0) {
		status = vm_run(&plan, error);
	}
	plan_finish(&plan);
	return status;
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
	case CLI_DRY_RUN:
	case CLI_RUN:
		break;
	}
	return run(options, error);
}

int main(int argc, char **argv) {
	struct cli_options options;
	struct error error = {0};
	open_standard_streams();
	int status = cli_parse(&options, argc, argv, &error);
	if (status == 0) {
		log_verbose_enabled = options.request.verbose;
		status = act(&options, &error);
	}
	if (status < 0) {
		log_error("%s", error.message);
		return CLI_STATUS_FAILED;
	}
	if (options.action != CLI_RUN && fflush(stdout) != 0) {
		log_error("cannot write to standard output");
		return CLI_STATUS_FAILED;
	}
	return status;
}
