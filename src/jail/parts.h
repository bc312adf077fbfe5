/* The parts of the jail, each in a file of its own. */
#ifndef JAIL_PARTS_H
#define JAIL_PARTS_H

#include "ph/jail.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/types.h>

struct jail_traits {
	const char *name, *what;
	uint64_t root_capabilities; /* what remains when root runs it; everybody else has none */
	bool is_thread;             /* within another process, and named for what it does */
	bool any_files;             /* reaches files: those of its trees */
	bool shows_owners;          /* must see the host's user ids: no user namespace of its own */
	bool has_namespaces;        /* is to have its own */
	bool makes_threads;         /* and so cannot do without processes at all */
	bool signals_others;        /* ends workers */
	bool writes_files;          /* or makes memory of some size: its files may grow */
};

extern const struct jail_traits jail_traits[JAIL_KINDS];

/* privileges.c: 0 or -errno. */
int jail_drop_privileges(const struct jail_traits *traits);

/* namespaces.c: empty network and IPC namespaces, and a root directory with the folders in it and nothing
 * else. 0; -EPERM or -ENOSPC when the host allows none. */
int jail_enter_namespaces(const struct jail_traits *traits, const struct jail_reach *reach);

/* landlock.c: only the trees stay within reach of open(2). 0; -EOPNOTSUPP when the kernel cannot. */
int jail_enter_landlock(const struct jail_traits *traits, const struct jail_reach *reach);
/* The least version that does not get in the way of a kind. */
int jail_landlock_needed(const struct jail_traits *traits);

/* calls.c: the one table of system calls. */
enum jail_test {
	JAIL_ALWAYS,
	JAIL_BITS, /* argument & mask == value */
	JAIL_SELF, /* argument is this process's id */
};

struct jail_condition {
	enum jail_test test;
	unsigned argument; /* 0 .. 5 */
	uint64_t mask, value;
	const char *text; /* for people */
};

#define JAIL_CONDITIONS_MAX 3

struct jail_call {
	int number;
	const char *name;
	unsigned kinds; /* 1 << JAIL_MONITOR and so on */
	int error;      /* 0: allowed; otherwise refused with this errno */
	struct jail_condition conditions[JAIL_CONDITIONS_MAX];
};

extern const struct jail_call jail_calls[];
extern const size_t jail_call_count;

/* filter.c: the table's rows for one kind as a program for the kernel. 0 or -errno. */
struct jail_program {
	struct sock_fprog fprog;
};
int jail_compile(struct jail_program *program, enum jail_kind kind, pid_t self);
void jail_program_finish(struct jail_program *program);

#endif
