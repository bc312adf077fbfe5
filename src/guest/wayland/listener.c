/*
 * A process for each program, because a program may hand over what makes its last owner wait for as long as
 * the program likes: a file of a file system that it serves itself, a socket that lingers, a socket with one
 * of those on its way. To close such a descriptor, to have no room for it, or to end with it unread: nothing
 * but a process of its own keeps that from the other programs. So the process that listens never has a
 * connection in its hands, not even to close it.
 *
 * One thread. The processes share the device, and nothing that they change.
 */
#include "guest/wayland/listener.h"

#include "guest/wayland/client.h"
#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Somebody's end makes room. */
static void complain(int error) {
	fprintf(stderr, "ph-wayland: cannot take a client: %s\n", strerror(error));
	sleep(1);
}

/* Nobody waits for what comes after accepted is closed. */
static __attribute__((noreturn)) void serve(int listener, int accepted) {
	struct loop loop;
	int result = 0, socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (socket < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		complain(errno);
	}
	fd_close(&accepted);
	if (socket >= 0) {
		result = loop_init(&loop);
	}
	if (socket >= 0 && result == 0) {
		client_create(&loop, socket);
		result = loop_run(&loop);
	}
	_exit(result == 0 ? 0 : 1);
}

/* Start a process for the next program, and wait until that one has it. */
static void take_client(int listener) {
	int ends[2];
	char byte;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		complain(errno);
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(&ends[0]);
		serve(listener, ends[1]);
	}
	if (pid < 0) {
		complain(errno);
	}
	fd_close(&ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
	}
	fd_close(&ends[0]);
}

static void reap(int signals) {
	struct signalfd_siginfo info;
	int status;
	while (read(signals, &info, sizeof(info)) > 0) {
	}
	while (waitpid(-1, &status, WNOHANG) > 0) {
		if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
			fprintf(stderr, "ph-wayland: a program's windows are gone, by %s %d\n",
				WIFSIGNALED(status) ? "signal" : "status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		}
	}
}

int listener_run(int listener) {
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	struct pollfd ready[] = {{.fd = listener, .events = POLLIN},
		{.fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC), .events = POLLIN}};
	if (ready[1].fd < 0) {
		return -errno;
	}
	for (;;) {
		int count = poll(ready, 2, -1);
		if (count < 0 && errno != EINTR) {
			return -errno;
		}
		if (count > 0 && ready[0].revents & ~POLLIN) {
			return -EPIPE;
		}
		if (count > 0 && ready[1].revents != 0) {
			reap(ready[1].fd);
		}
		if (count > 0 && ready[0].revents != 0) {
			take_client(listener);
		}
	}
}
