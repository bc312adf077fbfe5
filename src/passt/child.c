/*
 * passt as a child: how it is executed, what it says, how it ends. In the process that tends it. What it says
 * may quote the network, and only ever becomes a message.
 */
#include "passt/child.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_MS 2000
#define EXEC_FAILED 127
#define ARGUMENTS_MAX 128
/* passt's complaint that there is no system log, which no one needs to hear. */
#define NO_SYSLOG "Failed to send "

static void become_passt(const struct passt_options *options, bool forwards, int socket, int log) {
	static const int plain[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
	char fd_option[] = "--fd", forward_option[] = "--dns-forward", interface_option[] = "--interface";
	char number[16], interface[IF_NAMESIZE], *argv[ARGUMENTS_MAX + 7];
	sigset_t none;
	size_t count = 0;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		signal(plain[i], SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (; count < ARGUMENTS_MAX && options->arguments[count] != NULL; count++) {
		argv[count] = options->arguments[count];
	}
	options->find_interface(interface);
	argv[count++] = interface_option;
	argv[count++] = interface;
	if (forwards) {
		argv[count++] = forward_option;
		argv[count++] = (char *)(uintptr_t)options->resolver;
	}
	snprintf(number, sizeof(number), "%d", socket);
	argv[count++] = fd_option;
	argv[count++] = number;
	argv[count] = NULL;
	if (dup2(log, STDERR_FILENO) >= 0 && fcntl(socket, F_SETFD, 0) == 0) {
		execv(options->program, argv);
	}
	dprintf(STDERR_FILENO, "%s: %s\n", options->program, strerror(errno));
	_exit(EXEC_FAILED);
}

int passt_child_start(
	struct passt_child *child, const struct passt_options *options, bool forwards, int socket) {
	int log[2];
	if (pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	*child = (struct passt_child){.log_fd = log[0], .pid_fd = -1};
	child->pid = fork();
	if (child->pid == 0) {
		become_passt(options, forwards, socket, log[1]);
	}
	int ret = child->pid < 0 ? -errno : 0;
	close(log[1]);
	if (ret == 0) {
		child->pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
		ret = child->pid_fd < 0 ? -errno : 0;
	}
	if (ret < 0) {
		passt_child_stop(child);
	}
	return ret;
}

static void end_line(struct passt_child *child) {
	child->line[child->line_size] = '\0';
	child->line_size = 0;
	if (child->line[0] != '\0' && strncmp(child->line, NO_SYSLOG, sizeof(NO_SYSLOG) - 1) != 0) {
		memcpy(child->last, child->line, sizeof(child->last));
		log_verbose("passt: %s", child->line);
	}
}

bool passt_child_listen(struct passt_child *child) {
	char text[512];
	ssize_t n = read(child->log_fd, text, sizeof(text));
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			end_line(child);
		} else if (child->line_size < sizeof(child->line) - 1) {
			child->line[child->line_size++] = text[i];
		}
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void finish(struct passt_child *child, int *status) {
	while (waitpid(child->pid, status, 0) < 0 && errno == EINTR) {
	}
	fd_close(&child->pid_fd);
	fd_close(&child->log_fd);
	child->pid = 0;
}

void passt_child_reap(struct passt_child *child, char *text, size_t size) {
	int status = 0;
	finish(child, &status);
	const char *last = child->last;
	if (WIFSIGNALED(status)) {
		snprintf(text, size, "was killed by signal %d", WTERMSIG(status));
	} else if (last[0] != '\0' && WEXITSTATUS(status) != 0) {
		snprintf(text, size, "ended: %.120s", last);
	} else {
		snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
	}
}

void passt_child_stop(struct passt_child *child) {
	struct pollfd ended = {.fd = child->pid_fd, .events = POLLIN};
	if (child->pid > 0) {
		kill(child->pid, SIGTERM);
		if (poll(&ended, 1, GRACE_MS) != 1) {
			kill(child->pid, SIGKILL);
		}
		finish(child, NULL);
	}
}
