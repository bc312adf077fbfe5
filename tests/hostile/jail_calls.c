/*
 * Which rows of the table of system calls (src/jail/calls.c) a trace uses. Reads what
 * `strace -f -Y -qq -e raw=all` wrote, from standard input, and prints "KIND CALL CONDITIONS" of each row
 * that no thread of that kind has used after its filter was in place. Rows for every kind are used when one
 * kind uses them; their kind is "any".
 */
#include "jail/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX (1 << 22) /* Linux' greatest process id */
#define ARGUMENTS 6
#define EVERY_KIND ((1u << JAIL_KINDS) - 1)

static unsigned *used; /* kinds, for each row of the table */
static unsigned char confined[THREADS_MAX];

/* The monitor's main thread has the name of the program. */
static int kind_of(const char *comm) {
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		if (strncmp(comm, "ph-", 3) == 0 &&
			strncmp(comm + 3, jail_traits[kind].name, strlen(jail_traits[kind].name)) == 0) {
			return kind;
		}
	}
	return strcmp(comm, "ph") == 0 ? JAIL_MONITOR : -1;
}

static int holds(const struct jail_condition *condition, const unsigned long long *arguments) {
	return condition->test != JAIL_BITS ||
	       (arguments[condition->argument] & condition->mask) == condition->value;
}

static void mark(int kind, const char *name, const unsigned long long *arguments) {
	for (size_t i = 0; i < jail_call_count; i++) {
		const struct jail_call *call = &jail_calls[i];
		if ((call->kinds >> kind & 1) != 0 && strcmp(call->name, name) == 0 &&
			holds(&call->conditions[0], arguments) && holds(&call->conditions[1], arguments)) {
			used[i] |= 1u << kind;
			/* Its filter lies on top of the monitor's, which must let it through. */
			used[i] |= jail_traits[kind].is_thread ? 1u << JAIL_MONITOR : 0;
		}
	}
}

/* What a confined thread creates is confined; the other end of the line tells its id. */
static void inherit(unsigned thread, const char *line) {
	const char *result = strrchr(line, '=');
	unsigned long child = result != NULL ? strtoul(result + 1, NULL, 0) : 0;
	if (confined[thread] && child > 0 && child < THREADS_MAX) {
		confined[child] = 1;
	}
}

/* "123<comm> name(0x1, 0, 0x2) = 0x3"; anything else is of no interest. */
static void take(char *line) {
	char comm[32], name[64];
	int at = 0;
	unsigned thread;
	if (sscanf(line, "%u<%31[^>]> %n", &thread, comm, &at) != 2 || thread >= THREADS_MAX) {
		return;
	}
	if (strstr(line + at, "clone") != NULL) {
		inherit(thread, line);
	}
	line += at;
	at = 0;
	if (sscanf(line, "%63[a-z0-9_](%n", name, &at) != 1 || at == 0) {
		return;
	}
	unsigned long long arguments[ARGUMENTS] = {0};
	char *rest = line + at;
	for (int i = 0; i < ARGUMENTS && *rest != ')' && *rest != '\0'; i++) {
		arguments[i] = strtoull(rest, &rest, 16);
		rest += strspn(rest, ", ");
	}
	int kind = kind_of(comm);
	if (kind >= 0 && confined[thread]) {
		mark(kind, name, arguments);
	}
	/* A thread that comes later has inherited a filter; its first words are its own. */
	if (kind >= 0 && strcmp(name, "seccomp") == 0 && arguments[0] == SECCOMP_SET_MODE_FILTER) {
		confined[thread] = 1;
	} else if (strcmp(name, "execve") == 0) {
		confined[thread] = 0;
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
	while (getline(&line, &size, stdin) > 0) {
		take(line);
	}
	for (size_t i = 0; i < jail_call_count; i++) {
		if (jail_calls[i].error == 0) {
			print_unused(&jail_calls[i], used[i]);
		}
	}
	free(line);
	free(used);
	return 0;
}
