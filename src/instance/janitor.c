/*
 * The janitor: a small process that clears a VM's place in the runtime directory up when the VM is gone,
 * however it went; the monitor cannot, once it is in its jail. It waits for the end of a pipe and reads
 * nothing else.
 */
#include "instance/parts.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEPT_PIPE 3
#define KEPT_BASE 4
#define KEPT_FOLDER 5
/* The monitor's workers go after it. */
#define TRIES_MAX 500
#define TRY_NS (10 * 1000 * 1000)

static int keep_only(int pipe, int base, int folder) {
	int high[3] = {fcntl(pipe, F_DUPFD_CLOEXEC, KEPT_FOLDER + 1),
		fcntl(base, F_DUPFD_CLOEXEC, KEPT_FOLDER + 1),
		fcntl(folder, F_DUPFD_CLOEXEC, KEPT_FOLDER + 1)};
	if (high[0] < 0 || high[1] < 0 || high[2] < 0 || dup2(high[0], KEPT_PIPE) < 0 ||
		dup2(high[1], KEPT_BASE) < 0 || dup2(high[2], KEPT_FOLDER) < 0) {
		return -errno;
	}
	return syscall(SYS_close_range, KEPT_FOLDER + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* A VM that has taken the place already keeps it. */
static void clear_up(const char *name) {
	int lock = -EBUSY;
	for (unsigned i = 0; i < TRIES_MAX && lock == -EBUSY; i++) {
		lock = instance_lock(KEPT_FOLDER, LOCK_EX);
		if (lock == -EBUSY) {
			nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
		}
	}
	if (lock < 0) {
		return;
	}
	instance_clear(KEPT_BASE, KEPT_FOLDER, name);
}

static void wait_and_clear_up(const struct instance *instance, int pipe) {
	static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTOU, SIGPIPE};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		signal(signals[i], SIG_IGN);
	}
	prctl(PR_SET_NAME, "ph-janitor", 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setsid();
	if (keep_only(pipe, instance->base_fd, instance->folder_fd) < 0) {
		return;
	}
	for (int fd = 0; fd < KEPT_PIPE; fd++) {
		close(fd);
	}
	char byte;
	if (fd_read_all(KEPT_PIPE, &byte, 1) == -ENODATA) {
		clear_up(instance->name);
	}
}

int instance_start_janitor(struct instance *instance) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	/* Twice, so that it is nobody's child to wait for. */
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		if (fork() == 0) {
			wait_and_clear_up(instance, ends[0]);
		}
		_exit(0);
	}
	close(ends[0]);
	if (pid < 0) {
		int ret = -errno;
		close(ends[1]);
		return ret;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	instance->janitor_fd = ends[1];
	return 0;
}
