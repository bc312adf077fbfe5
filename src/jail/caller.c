/*
 * Whom root's ph becomes: sudo's caller, who asked for the VM, or the owner of a realm. ph's one thread,
 * first of all; the variables are sudo's, and who may set them otherwise is root already.
 */
#include "ph/jail.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS_MAX 1024

/* A number from the environment; false when there is none, or root's. */
static bool read_id(const char *variable, unsigned *id) {
	const char *text = getenv(variable);
	if (text == NULL || text[0] < '0' || text[0] > '9') {
		return false;
	}
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	*id = (unsigned)value;
	return *end == '\0' && errno == 0 && value > 0 && value < UINT32_MAX;
}

/* The caller's groups, and the one that may use KVM, which may be what sudo was for. */
static int take_groups(const struct passwd *entry, gid_t gid) {
	gid_t groups[GROUPS_MAX] = {gid};
	int count = GROUPS_MAX - 1;
	if (entry == NULL) {
		count = 1;
	} else if (getgrouplist(entry->pw_name, gid, groups, &count) < 0) {
		return -E2BIG;
	}
	struct stat kvm;
	if (stat("/dev/kvm", &kvm) == 0 && kvm.st_gid != 0) {
		groups[count++] = kvm.st_gid;
	}
	return setgroups((size_t)count, groups) < 0 ? -errno : 0;
}

static void take_environment(const struct passwd *entry) {
	unsetenv("HOME");
	if (entry != NULL) {
		setenv("HOME", entry->pw_dir, 1);
		setenv("USER", entry->pw_name, 1);
		setenv("LOGNAME", entry->pw_name, 1);
		setenv("SHELL", entry->pw_shell, 1);
	}
}

int jail_become(uid_t uid, gid_t gid, struct error *error) {
	const struct passwd *entry = getpwuid(uid);
	int ret = take_groups(entry, gid);
	if (ret == 0 && (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)) {
		ret = -errno;
	}
	if (ret < 0) {
		return error_set(error, ret, "cannot become user %u: %s", uid, strerror(-ret));
	}
	take_environment(entry);
	/* Having been root, the process would not own its files in /proc. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}

int jail_become_caller(struct error *error) {
	unsigned uid, gid;
	if (getuid() != 0 || geteuid() != 0 || !read_id("SUDO_UID", &uid) || !read_id("SUDO_GID", &gid)) {
		return 0;
	}
	return jail_become(uid, gid, error);
}
