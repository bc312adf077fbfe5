/*
 * From what the user asked for to what will be done: one step after the other, each checking the objects it
 * names, so that every mistake is told before anything starts.
 *
 * Runs first, in ph's one thread. The input is the caller's own, but for the bytes of images.
 */
#include "ph/plan.h"

#include "ph/fd.h"
#include "ph/terminal.h"
#include "plan/parts.h"
#include "plan/strings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char **copy_command(char *const *command) {
	struct strings list = {0};
	for (size_t i = 0; command != NULL && command[i] != NULL; i++) {
		strings_add(&list, strdup(command[i]));
	}
	return strings_take(&list);
}

/* There is no way to ask for it but to set it. */
static mode_t current_umask(void) {
	mode_t mask = umask(077);
	umask(mask);
	return mask;
}

/* A job in the background leaves the terminal to who has it: its command gets streams. A shell, which is of
 * no use without, has waited for its turn (cli_run()). */
static bool has_terminal(const struct plan_request *request) {
	bool shell = request->command == NULL || request->command[0] == NULL;
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
	       (shell || !terminal_in_background(STDIN_FILENO));
}

/* As after 2>&1: the order of what is written to either is to stay. */
static bool are_one(int first, int second) {
	struct stat a, b;
	return fstat(first, &a) == 0 && fstat(second, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int plan_resolve_basics(struct plan *plan, const struct plan_request *request, struct error *error) {
	plan->as_root = request->as_root;
	plan->verbose = request->verbose;
	plan->timings = request->timings;
	plan->sandbox = request->sandbox;
	plan->tty = has_terminal(request);
	plan->own_stderr = plan->tty ? !isatty(STDERR_FILENO) : !are_one(STDOUT_FILENO, STDERR_FILENO);
	plan->overlay_size = request->overlay_size;
	plan->rows = 24;
	plan->columns = 80;
	if (plan->tty) {
		terminal_size(STDOUT_FILENO, &plan->rows, &plan->columns);
	}
	plan->umask = current_umask();
	plan->name = strdup(request->name != NULL ? request->name : "ph");
	plan->command = copy_command(request->command);
	if (plan->name == NULL || plan->command == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	if (plan->command[0] != NULL && plan->command[0][0] == '\0') {
		return error_set(error, -EINVAL, "the command behind -- is empty");
	}
	return 0;
}

int plan_init(struct plan *plan, const struct plan_request *request, struct error *error) {
	typedef int step(struct plan *, const struct plan_request *, struct error *);
	static step *const steps[] = {
		plan_resolve_basics,
		plan_resolve_realm,
		plan_resolve_user,
		plan_resolve_machine,
		plan_resolve_disks,
		plan_resolve_shares,
		plan_resolve_sockets,
		plan_resolve_net,
		plan_resolve_sound,
		plan_resolve_settings,
		plan_resolve_environment,
	};
	*plan = (struct plan){0};
	int ret = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && ret == 0; i++) {
		ret = steps[i](plan, request, error);
	}
	return ret;
}

static void finish_net(struct plan_net *net) {
	for (unsigned i = 0; i < net->tap_queues; i++) {
		fd_close(&net->tap_fds[i]);
	}
	strings_free(net->arguments);
	free(net->passt);
	free(net->tap);
	free(net->resolv);
}

static void finish_user(struct plan_user *user) {
	for (size_t i = 0; i < user->group_count; i++) {
		free(user->groups[i].name);
	}
	free(user->groups);
	free(user->name);
	free(user->home);
	free(user->shell);
	free(user->gecos);
}

void plan_finish(struct plan *plan) {
	for (size_t i = 0; i < plan->share_count; i++) {
		fd_close(&plan->shares[i].files.root_fd);
		strings_free(plan->shares[i].files.hide);
		free(plan->shares[i].host_path);
		free(plan->shares[i].guest_path);
	}
	for (size_t i = 0; i < plan->disk_count; i++) {
		fd_close(&plan->disks[i].fd);
		free(plan->disks[i].path);
	}
	for (size_t i = 0; i < plan->socket_count; i++) {
		free(plan->sockets[i].path);
	}
	finish_net(&plan->net);
	free(plan->sound.server);
	plan_finish_realm(plan);
	finish_user(&plan->user);
	strings_free(plan->command);
	strings_free(plan->environment);
	free(plan->tag);
	free(plan->name);
	free(plan->kernel);
	free(plan->append);
	free(plan->zone);
	free(plan->gtk_settings);
	free(plan->cwd);
	free(plan->hidden_cwd);
	*plan = (struct plan){0};
}
