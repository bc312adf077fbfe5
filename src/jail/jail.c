/*
 * Putting a process or thread into its jail, part by part, and telling what is in force. Each process for
 * itself, before it meets the guest; nothing hostile comes in.
 */
#include "jail/parts.h"

#include "ph/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int missing(enum jail_mode mode, const char *name, const char *what, int error) {
	if (mode != JAIL_STRICT) {
		return 0;
	}
	log_error("%s: no %s: %s; --sandbox=default does without", name, what, strerror(-error));
	return error;
}

static const char *describe_namespaces(const struct jail_traits *traits, int result) {
	if (!traits->has_namespaces) {
		return "the caller's namespaces";
	}
	if (result == 0) {
		return "its own namespaces";
	}
	return traits->shows_owners && geteuid() != 0 ? "the caller's namespaces, to see who owns what"
						      : "the caller's namespaces, as others are forbidden";
}

int jail_enter(enum jail_kind kind, enum jail_mode mode, const char *name, const struct jail_reach *reach) {
	const struct jail_traits *traits = &jail_traits[kind];
	if (mode == JAIL_OFF) {
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	}
	/* In this order: namespaces take privileges, and Landlock forbids to mount. */
	int namespaces = traits->has_namespaces ? jail_enter_namespaces(traits, reach) : 0;
	int ret = 0;
	if (namespaces < 0 && (!traits->shows_owners || geteuid() == 0)) {
		ret = missing(mode, name, "namespaces", namespaces);
	}
	if (ret == 0) {
		ret = jail_drop_privileges(traits);
	}
	int landlock = ret < 0 ? ret : jail_enter_landlock(traits, reach);
	if (ret == 0 && landlock < 0) {
		ret = missing(mode, name, "Landlock", landlock);
	}
	if (ret == 0) {
		log_verbose("%s: no privileges, %s, %s", name, describe_namespaces(traits, namespaces),
			landlock == 0 ? "Landlock" : "no Landlock");
	}
	return ret;
}

/* ---- system calls ---- */

/* Compiled by the first thread of a kind, and kept. */
static struct {
	pthread_mutex_t lock;
	struct jail_program programs[JAIL_KINDS];
} filters = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int compiled(enum jail_kind kind, struct jail_program **program) {
	int ret = 0;
	pthread_mutex_lock(&filters.lock);
	*program = &filters.programs[kind];
	if ((*program)->fprog.filter == NULL) {
		ret = jail_compile(*program, kind, getpid());
	}
	pthread_mutex_unlock(&filters.lock);
	return ret;
}

int jail_filter(enum jail_kind kind, enum jail_mode mode, const char *name) {
	if (mode == JAIL_OFF) {
		return 0;
	}
	struct jail_program *program;
	int ret = compiled(kind, &program);
	if (jail_traits[kind].is_thread) {
		char title[16];
		snprintf(title, sizeof(title), "ph-%s", jail_traits[kind].name);
		prctl(PR_SET_NAME, title, 0, 0, 0);
	}
	if (ret == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program->fprog) < 0) {
		ret = -errno;
	}
	if (ret < 0) {
		log_verbose("%s: system calls are not filtered: %s", name, strerror(-ret));
		return missing(mode, name, "filter of system calls", ret);
	}
	return 0;
}

int jail_check_strict(enum jail_kind kind, struct error *error) {
	const struct jail_traits *traits = &jail_traits[kind];
	if (!jail_has_filters()) {
		return error_set(error, -EOPNOTSUPP,
			"--sandbox=strict: this kernel cannot filter system calls; --sandbox=default does "
			"without");
	}
	if (jail_landlock_version() < jail_landlock_needed(traits)) {
		return error_set(error, -EOPNOTSUPP,
			"--sandbox=strict: this kernel has no Landlock, or too old a one (Linux 5.19 with "
			"lsm=landlock,... will do); --sandbox=default does without");
	}
	bool wants_namespaces = traits->has_namespaces && (!traits->shows_owners || geteuid() == 0);
	if (wants_namespaces && !jail_has_namespaces()) {
		return error_set(error, -EPERM,
			"--sandbox=strict: this host lets the %s process have no namespaces of its own; "
			"--sandbox=default does without, and ph --check tells how to allow them",
			traits->name);
	}
	return 0;
}
