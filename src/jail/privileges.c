/*
 * Privileges and limits of the calling process. Runs in each process of ph before it meets the guest; its
 * input is its caller's. Nothing hostile comes in.
 */
#include "jail/parts.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITY_NUMBERS 64
#define SMALL_FILE (1 << 20)

/* Only who has CAP_SETPCAP may empty the bounding set; for all others no_new_privs makes it meaningless. */
static int drop_bounding_set(void) {
	for (unsigned long number = 0; number < CAPABILITY_NUMBERS; number++) {
		if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 1) {
			continue;
		}
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 && errno != EPERM) {
			return -errno;
		}
	}
	return 0;
}

/* Of what the process has, keep what is in the mask. */
static int keep_capabilities(uint64_t mask) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	if (syscall(SYS_capget, &header, data) < 0) {
		return -errno;
	}
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(mask >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* A process that writes no files makes none larger, but for the program of its own filter, and some messages
 * where standard error is one. */
static int limit_files(void) {
	struct stat stat;
	struct rlimit limit = {.rlim_cur = SMALL_FILE, .rlim_max = SMALL_FILE};
	if (fstat(STDERR_FILENO, &stat) == 0 && S_ISREG(stat.st_mode)) {
		limit.rlim_cur = limit.rlim_max = (rlim_t)stat.st_size + SMALL_FILE;
	}
	signal(SIGXFSZ, SIG_IGN);
	return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? -errno : 0;
}

static int limit_resources(const struct jail_traits *traits) {
	const struct rlimit none = {0};
	if (setrlimit(RLIMIT_CORE, &none) < 0) {
		return -errno;
	}
	if (!traits->writes_files) {
		int ret = limit_files();
		if (ret < 0) {
			return ret;
		}
	}
	if (!traits->makes_threads && setrlimit(RLIMIT_NPROC, &none) < 0) {
		return -errno;
	}
	return 0;
}

int jail_drop_privileges(const struct jail_traits *traits) {
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return -errno;
	}
	int ret = drop_bounding_set();
	if (ret == 0) {
		ret = keep_capabilities(geteuid() == 0 ? traits->root_capabilities : 0);
	}
	if (ret == 0) {
		ret = limit_resources(traits);
	}
	if (ret == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		ret = -errno;
	}
	return ret;
}
