/*
 * Which rows of the table of system calls (src/jail/calls.c) a trace uses. Reads the kernel's own trace of
 * raw_syscalls:sys_enter and sched:sched_process_fork from standard input, and prints "KIND CALL CONDITIONS"
 * of each row that no thread of that kind has used after its filter was in place. Rows for every kind are
 * used when one kind uses them; their kind is "any". How many events were taken and lost goes to standard
 * error.
 */
#include "jail/parts.h"

#include <assert.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define THREADS_MAX (1 << 22) /* Linux' greatest process id */
#define ARGUMENTS 6
#define EVERY_KIND ((1u << JAIL_KINDS) - 1)

/* How many filters a thread has: a process' own, and one on top for some threads of the monitor. */
enum filters { FREE, OF_PROCESS, OF_THREAD };

static unsigned *used; /* kinds, for each row of the table */
static unsigned char confined[THREADS_MAX];
static unsigned long long events, lost;

/* The monitor's main thread has the name of the program. */
static int kind_of(const char *comm) {
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		if (strncmp(comm, "ph-", 3) == 0 && strcmp(comm + 3, jail_traits[kind].name) == 0) {
			return kind;
		}
	}
	return strcmp(comm, "ph") == 0 ? JAIL_MONITOR : -1;
}

static int holds(const struct jail_condition *condition, const unsigned long long *arguments) {
	return condition->test != JAIL_BITS ||
	       (arguments[condition->argument] & condition->mask) == condition->value;
}

static void mark(int kind, unsigned long number, const unsigned long long *arguments) {
	for (size_t i = 0; i < jail_call_count; i++) {
		const struct jail_call *call = &jail_calls[i];
		if ((call->kinds >> kind & 1) != 0 && (unsigned long)call->number == number &&
			holds(&call->conditions[0], arguments) && holds(&call->conditions[1], arguments)) {
			used[i] |= 1u << kind;
			/* Its filter lies on top of the monitor's, which must let it through. */
			used[i] |= jail_traits[kind].is_thread ? 1u << JAIL_MONITOR : 0;
		}
	}
}

static void enter(int kind, unsigned thread, const char *call) {
	unsigned long long arguments[ARGUMENTS] = {0};
	char *rest;
	unsigned long number = strtoul(call, &rest, 10);
	rest += strspn(rest, " (");
	for (int i = 0; i < ARGUMENTS && *rest != ')' && *rest != '\0'; i++) {
		arguments[i] = strtoull(rest, &rest, 16);
		rest += strspn(rest, ", ");
	}
	if (confined[thread] != FREE) {
		/* A thread that has no filter of its own yet is the monitor's. */
		bool own = !jail_traits[kind].is_thread || confined[thread] == OF_THREAD;
		mark(own ? kind : JAIL_MONITOR, number, arguments);
	}
	if (number == SYS_seccomp && arguments[0] == SECCOMP_SET_MODE_FILTER) {
		confined[thread] = jail_traits[kind].is_thread ? OF_THREAD : OF_PROCESS;
	}
}

/* What a confined thread creates is confined, and what another creates is not. */
static void inherit(unsigned thread, const char *fork) {
	const char *child = strstr(fork, "child_pid=");
	unsigned long id = child != NULL ? strtoul(child + strlen("child_pid="), NULL, 10) : 0;
	if (id > 0 && id < THREADS_MAX) {
		confined[id] = confined[thread];
	}
}

/* "COMM-THREAD [CPU] FLAGS TIME: EVENT: ..."; COMM may have anything in it. */
static void take(char *line) {
	static const char enter_event[] = ": sys_enter: NR ",
			  fork_event[] = ": sched_process_fork: ", lost_event[] = "LOST ";
	char *cpu = strstr(line, " [");
	char *at = strstr(line, enter_event), *fork = strstr(line, fork_event);
	if (at == NULL && fork == NULL) {
		const char *gap = strstr(line, lost_event);
		lost += gap != NULL ? strtoull(gap + strlen(lost_event), NULL, 10) : 0;
		return;
	}
	char *dash = cpu;
	while (dash != NULL && dash > line && *dash != '-') {
		dash--;
	}
	unsigned long thread = dash != NULL ? strtoul(dash + 1, NULL, 10) : THREADS_MAX;
	if (thread >= THREADS_MAX) {
		return;
	}
	events++;
	*dash = '\0';
	const char *comm = line + strspn(line, " ");
	if (fork != NULL) {
		inherit((unsigned)thread, fork);
	} else if (kind_of(comm) >= 0) {
		enter(kind_of(comm), (unsigned)thread, at + strlen(enter_event));
	}
}

static void print_row(const char *kind, const struct jail_call *call) {
	printf("%s %s", kind, call->name);
	for (int i = 0; i < JAIL_CONDITIONS_MAX && call->conditions[i].test != JAIL_ALWAYS; i++) {
		printf(" %s", call->conditions[i].text);
	}
	printf("\n");
}

static void print_unused(const struct jail_call *call, unsigned kinds) {
	if (call->kinds == EVERY_KIND) {
		if (kinds == 0) {
			print_row("any", call);
		}
		return;
	}
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		if ((call->kinds >> kind & 1) != 0 && (kinds >> kind & 1) == 0) {
			print_row(jail_traits[kind].name, call);
		}
	}
}

int main(void) {
	char *line = NULL;
	size_t size = 0;
	used = calloc(jail_call_count, sizeof(*used));
	assert(used != NULL);
	while (getline(&line, &size, stdin) > 0 && strstr(line, "tracing_mark_write: end") == NULL) {
		take(line);
	}
	for (size_t i = 0; i < jail_call_count; i++) {
		if (jail_calls[i].error == 0) {
			print_unused(&jail_calls[i], used[i]);
		}
	}
	fprintf(stderr, "%llu events, %llu lost\n", events, lost);
	free(line);
	free(used);
	return 0;
}
