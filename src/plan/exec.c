/*
 * A command as the records that the guest's init reads: the first one, in the configuration, and those of who
 * comes later. ph's first thread; the input is the caller's own.
 */
#include "ph/plan.h"

#include "ph/guest.h"

#include <stdio.h>

#define NUMBER 24

void plan_put_exec(const struct plan *plan, struct record_buffer *exec) {
	static const char *const none[] = {NULL};
	record_put_list(
		exec, GUEST_EXEC_ARGV, plan->command != NULL ? (const char *const *)plan->command : none);
	record_put_list(exec, GUEST_EXEC_ENV,
		plan->environment != NULL ? (const char *const *)plan->environment : none);
	if (plan->cwd != NULL) {
		record_put_string(exec, GUEST_EXEC_CWD, plan->cwd);
	}
	record_put_u64(exec, GUEST_EXEC_UID, plan->as_root ? 0 : plan->user.uid);
	record_put_u64(exec, GUEST_EXEC_UMASK, plan->umask);
	if (plan->tty) {
		char rows[NUMBER], columns[NUMBER];
		snprintf(rows, sizeof(rows), "%u", plan->rows);
		snprintf(columns, sizeof(columns), "%u", plan->columns);
		const char *const size[] = {rows, columns, NULL};
		record_put_list(exec, GUEST_EXEC_TTY, size);
	}
	if (plan->own_stderr) {
		record_put(exec, GUEST_EXEC_STDERR, NULL, 0);
	}
}
