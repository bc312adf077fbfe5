/*
 * What a process or thread of ph gives up before it meets the guest: privileges, namespaces, files outside of
 * what it serves, and system calls. Each kind has one row in one table (src/jail/kinds.c, src/jail/calls.c).
 *
 * Everything here only ever takes away, and what was taken does not come back.
 */
#ifndef PH_JAIL_H
#define PH_JAIL_H

#include "ph/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum jail_kind {
	JAIL_MONITOR,   /* the monitor's main thread, and so its whole process */
	JAIL_VCPU,      /* on top of that, a thread that runs a vCPU */
	JAIL_DISK,      /* on top of that, a thread that serves a disk's queue */
	JAIL_FILES,     /* the file server */
	JAIL_DISPLAY,   /* the display server */
	JAIL_SOUND,     /* the sound filter */
	JAIL_CONNECTOR, /* connects to sockets for those two */
	JAIL_NET,       /* the network device */
	JAIL_TERMINAL,  /* the process that puts the terminal back when the monitor was killed */
	JAIL_KINDS,
};

enum jail_mode {
	JAIL_DEFAULT, /* all that this host has */
	JAIL_STRICT,  /* all of it, or -errno */
	JAIL_OFF,     /* nothing but what costs no debugger: no new privileges */
};

/* A directory that stays within reach. */
struct jail_tree {
	int fd; /* of the directory, O_PATH will do */
	bool writable;
	char *const *hidden; /* paths beneath it, see struct files_share; those of one component are kept out
				of reach, too. NULL: none */
};

/* What of the host's files stays within reach: zeroed, nothing. */
struct jail_reach {
	const struct jail_tree *trees;
	size_t tree_count;
	/* Where the sockets are that JAIL_CONNECTOR connects to: absolute paths without links, all else is
	 * out of its sight where there are namespaces. */
	const char *const *folders;
	size_t folder_count;
};

/*
 * Confine the calling process, which has one thread: everything but the system calls. name is for messages.
 * 0, or -errno when mode is JAIL_STRICT and something is missing (a message was logged).
 */
int jail_enter(enum jail_kind kind, enum jail_mode mode, const char *name, const struct jail_reach *reach);
/* From here on the calling thread, and those it creates, make only the system calls of its kind; any other
 * kills the process. Likewise. */
int jail_filter(enum jail_kind kind, enum jail_mode mode, const char *name);

/* When root runs ph by sudo: become the user who ran that, for good. 0 or -errno with *error set. */
int jail_become_caller(struct error *error);
/* Root becomes that user, for good. Likewise. */
int jail_become(uid_t uid, gid_t gid, struct error *error);

/* Whether this host has what JAIL_STRICT asks of a kind: 0, or -errno with *error set. While the process has
 * one thread. */
int jail_check_strict(enum jail_kind kind, struct error *error);
/* For --check: Landlock's version, 0 for none; whether system calls can be filtered, and namespaces made by
 * those who need to show no owners. */
int jail_landlock_version(void);
bool jail_has_filters(void);
bool jail_has_namespaces(void);
/* Print what each kind may do, to standard output. */
void jail_print(void);

#endif
