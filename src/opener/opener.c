/*
 * The process that opens addresses for a VM, both ends: the monitor's main thread starts and ends it; the
 * process itself waits for addresses and executes the host's xdg-open for those that it accepts. What comes
 * in is hostile.
 */
#include "ph/opener.h"

#include "ph/child.h"
#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "xdg-open"
#define KEPT 3
#define EXEC_FAILED 127

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* What is opened outlives the VM, and belongs to no one. errno goes to whoever holds the other end. */
static void become_program(const char *url, int failed) {
	static const int plain[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU, SIGXFSZ};
	sigset_t none;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		signal(plain[i], SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
		dup2(null, STDERR_FILENO) >= 0) {
		execlp(PROGRAM, PROGRAM, url, (char *)NULL);
	}
	fd_write_all(failed, "", 1);
	_exit(EXEC_FAILED);
}

/* Twice forked, so that it is nobody's child to wait for. Whether it was executed. */
static bool open_address(const char *url) {
	int failed[2];
	char byte;
	if (pipe2(failed, O_CLOEXEC) < 0) {
		return false;
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			become_program(url, failed[1]);
		}
		_exit(0);
	}
	close(failed[1]);
	bool executed = pid > 0 && fd_read_all(failed[0], &byte, 1) == -ENODATA;
	close(failed[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	return executed;
}

static enum guest_url consider(struct opener_rate *rate, const char *url, size_t size) {
	if (!opener_accepts(url, size)) {
		log_verbose("an address of the VM's was refused: it is not of the web, or not of mail");
		return GUEST_URL_REFUSED;
	}
	if (!opener_has_room(rate, now_ms())) {
		log_verbose("an address of the VM's was refused: it is one too many");
		return GUEST_URL_TOO_MANY;
	}
	log_verbose("opening %s for the VM", url);
	if (!open_address(url)) {
		log_error("an address of the VM's cannot be opened: this host has no %s", PROGRAM);
		return GUEST_URL_FAILED;
	}
	return GUEST_URL_OPENED;
}

static void serve(void) {
	struct opener_rate rate = {0};
	char url[GUEST_URL_MAX + 2];
	ssize_t size;
	while ((size = recv(KEPT, url, sizeof(url) - 1, 0)) > 0) {
		url[size] = '\0';
		char answer = (char)consider(&rate, url, (size_t)size);
		if (send(KEPT, &answer, 1, MSG_NOSIGNAL) != 1) {
			return;
		}
	}
}

static void leave_monitor(int socket, pid_t parent) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		signal(ignored[i], SIG_IGN);
	}
	setsid();
	prctl(PR_SET_NAME, "ph-opener", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	socket = fcntl(socket, F_DUPFD_CLOEXEC, KEPT + 1);
	if (null < 0 || socket < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup3(socket, KEPT, O_CLOEXEC) < 0 || syscall(SYS_close_range, KEPT + 1, ~0u, 0) < 0 ||
		getppid() != parent) {
		_exit(1);
	}
}

int opener_start(struct opener *opener) {
	int ends[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	int ret = fcntl(ends[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
	pid_t pid = ret < 0 ? -1 : fork();
	if (pid == 0) {
		leave_monitor(ends[1], parent);
		serve();
		_exit(0);
	}
	if (ret == 0 && pid < 0) {
		ret = -errno;
	}
	close(ends[1]);
	if (ret < 0) {
		close(ends[0]);
		return ret;
	}
	*opener = (struct opener){.pid = pid, .pid_fd = child_watch(pid), .fd = ends[0]};
	ret = opener->pid_fd;
	if (ret < 0) {
		opener_stop(opener);
	}
	return ret < 0 ? ret : 0;
}

void opener_stop(struct opener *opener) {
	if (opener->pid <= 0) {
		return;
	}
	fd_close(&opener->fd);
	child_reap(&opener->pid, &opener->pid_fd, CHILD_GRACE_MS);
}
