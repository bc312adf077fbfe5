/*
 * The janitor: a small process that clears up behind a VM when it is gone, however it went. It has the
 * monitor's end of a socket pair to wait for, and reads nothing from it but descriptors to keep until then:
 *
 * - the VM's place in the runtime directory, if it has one: the monitor, in its jail, cannot unlink it;
 * - the VM itself. KVM takes a VM down when its last descriptor goes, and waits 10 to 30 ms for all
 * processors meanwhile, which the caller of ph need not.
 */
#include "instance/parts.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The monitor's workers go after it. */
#define TRIES_MAX 500
#define TRY_NS (10 * 1000 * 1000)

/* What it keeps, from the lowest number on. */
enum { KEPT_SOCKET, KEPT_BASE, KEPT_FOLDER, KEPT_COUNT };

/* The places of descriptors that are not there stay empty. */
static int keep_only(const int fds[KEPT_COUNT]) {
	int high[KEPT_COUNT] = {-1, -1, -1};
	for (int i = 0; i < KEPT_COUNT; i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, KEPT_COUNT);
		if (fds[i] >= 0 && high[i] < 0) {
			return -errno;
		}
	}
	for (int i = 0; i < KEPT_COUNT; i++) {
		if (high[i] < 0) {
			close(i);
		} else if (dup2(high[i], i) < 0) {
			return -errno;
		}
	}
	return syscall(SYS_close_range, KEPT_COUNT, ~0u, 0) < 0 ? -errno : 0;
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

/* What arrives is kept by being open. */
static void wait_for_the_end(void) {
	struct pollfd socket = {.fd = KEPT_SOCKET, .events = POLLIN};
	for (bool ended = false; !ended;) {
		poll(&socket, 1, -1);
		fd_receive(KEPT_SOCKET, &ended);
	}
}

static void wait_and_clear_up(const struct instance *instance, int socket) {
	static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTOU, SIGPIPE};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		signal(signals[i], SIG_IGN);
	}
	prctl(PR_SET_NAME, "ph-janitor", 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setsid();
	bool has_place = instance->name[0] != '\0';
	const int kept[KEPT_COUNT] = {
		socket, has_place ? instance->base_fd : -1, has_place ? instance->folder_fd : -1};
	if (keep_only(kept) < 0) {
		return;
	}
	wait_for_the_end();
	if (has_place) {
		clear_up(instance->name);
	}
}

int instance_start_janitor(struct instance *instance) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
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
