/*
 * Waiting for child processes. The thread that forked them, which may be in the monitor's jail by then. They
 * may be hostile: nothing is taken from them but their end.
 */
#include "ph/child.h"

#include "ph/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int child_watch(pid_t pid) {
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

/* By its descriptor, as that is all the monitor's filter allows. */
static void kill_child(pid_t pid, int pid_fd) {
	if (pid_fd < 0) {
		kill(pid, SIGKILL);
	} else {
		syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0);
	}
}

void child_reap(pid_t *pid, int *pid_fd, int grace_ms) {
	if (*pid <= 0) {
		return;
	}
	struct pollfd ended = {.fd = *pid_fd, .events = POLLIN};
	if (*pid_fd < 0 || poll(&ended, 1, grace_ms) != 1) {
		kill_child(*pid, *pid_fd);
	}
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
	}
	fd_close(pid_fd);
	*pid = 0;
}
