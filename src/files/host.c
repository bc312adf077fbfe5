/*
 * Names to descriptors (see host.h). Runs in the files worker, on its threads. The names are the
 * guest's, checked to be single components; the tree is changed by others while it is walked, so
 * nothing here looks at a name twice and trusts the answers to belong together.
 */
#include "files/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* For the rest of the process: the loop, queues, guest memory, roots. */
#define DESCRIPTORS_RESERVED 96

static atomic_int descriptor_count;
static atomic_int descriptor_limit = 512;

struct p9_identity p9_identity_of(const struct statx *stat) {
	return (struct p9_identity){
		.device = makedev(stat->stx_dev_major, stat->stx_dev_minor), .inode = stat->stx_ino};
}

int p9_host_stat(int fd, const char *name, struct statx *stat) {
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
	return statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, stat) < 0 ? -errno : 0;
}

/* That this process has too many descriptors is, to the guest, that its system has. */
static int opened_or_error(int fd) {
	return fd >= 0 ? fd : errno == EMFILE ? -ENFILE : -errno;
}

/* A name that leads to an entry of the directory itself, and nowhere else. */
static bool is_component(const char *name) {
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* Not openat2: of one component, not followed, that would resolve nothing else, its flags are out of a
 * filter's sight, and a rename at the same time makes it fail (EXDEV). */
int p9_host_open_child(int directory, const char *name) {
	if (!is_component(name)) {
		return -EINVAL;
	}
	return opened_or_error(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

int p9_host_open_proc(void) {
	int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

void p9_host_proc_name(int fd, char name[P9_PROC_NAME_SIZE]) {
	snprintf(name, P9_PROC_NAME_SIZE, "%d", fd);
}

int p9_host_reopen(int proc, int fd, int flags) {
	char name[P9_PROC_NAME_SIZE];
	p9_host_proc_name(fd, name);
	return opened_or_error(openat(proc, name, flags | O_CLOEXEC | O_NOCTTY));
}

void p9_host_strip_set_id(int fd) {
	struct stat stat;
	if (fstat(fd, &stat) == 0 && (stat.st_mode & (S_ISUID | S_ISGID)) != 0) {
		fchmod(fd, stat.st_mode & 01777);
	}
}

void p9_host_raise_limit(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return;
	}
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t old = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
			limit.rlim_cur = old;
		}
	}
	int usable = limit.rlim_cur > INT32_MAX ? INT32_MAX : (int)limit.rlim_cur;
	usable = usable > 2 * DESCRIPTORS_RESERVED ? usable - DESCRIPTORS_RESERVED : usable / 2;
	atomic_store(&descriptor_limit, usable);
}

void p9_host_count(int change) {
	atomic_fetch_add_explicit(&descriptor_count, change, memory_order_relaxed);
}

bool p9_host_crowded(void) {
	/* The last quarter is kept for open files, of this share and of others. */
	int limit = atomic_load_explicit(&descriptor_limit, memory_order_relaxed);
	return atomic_load_explicit(&descriptor_count, memory_order_relaxed) > limit - limit / 4;
}
