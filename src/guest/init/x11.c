/*
 * Xwayland as a service: started, as the user, when the first X11 program connects to its socket, it ends
 * with the last. Runs in PID 1 and, from become_xwayland() on, in the child, which becomes Xwayland: one
 * window with the X server's screen in it, a client of the Wayland proxy like any other.
 */
#include "guest/init/x11.h"

#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/Xwayland"
#define FOLDER "/tmp/.X11-unix"
#define BACKLOG 128
#define KEPT_LISTENER 3

static __attribute__((noreturn)) void become_xwayland(struct service *service) {
	const struct x11 *x11 = (const struct x11 *)(const void *)service;
	char folder[64], display[64];
	snprintf(folder, sizeof(folder), "XDG_RUNTIME_DIR=/run/user/%u", x11->uid);
	snprintf(display, sizeof(display), "WAYLAND_DISPLAY=/run/user/%u/wayland-0", x11->uid);
	const char *const argv[] = {
		"Xwayland", X11_DISPLAY, "-listenfd", "3", "-terminate", "-nolisten", "tcp", NULL};
	const char *const env[] = {folder, display, "PATH=/usr/bin:/bin", "HOME=/", NULL};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	bool good = dup2(log >= 0 ? log : 1, 2) >= 0 &&
		    (service->listener == KEPT_LISTENER ? fcntl(KEPT_LISTENER, F_SETFD, 0)
							: dup2(service->listener, KEPT_LISTENER)) >= 0;
	syscall(SYS_close_range, KEPT_LISTENER + 1U, ~0U, 0U);
	if (good && setgroups(0, NULL) == 0 && setresgid(x11->gid, x11->gid, x11->gid) == 0 &&
		setresuid(x11->uid, x11->uid, x11->uid) == 0) {
		execve(PROGRAM, (char *const *)argv, (char *const *)env);
	}
	dprintf(2, "ph-init: cannot start Xwayland: %s\n", strerror(errno));
	_exit(1);
}

static bool xwayland_ended(int status) {
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return true;
	}
	if (WIFSIGNALED(status)) {
		report_problem("Xwayland was killed by signal %d: X11 programs are gone", WTERMSIG(status));
		return true;
	}
	report_error("Xwayland does not work: there will be no windows of X11 programs");
	return false;
}

static int make_socket(const struct config_user *user) {
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = X11_SOCKET};
	mkdir(FOLDER, 0755);
	chmod(FOLDER, 01777);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		chown(X11_SOCKET, user->uid, user->gid) == 0 && chmod(X11_SOCKET, 0700) == 0 &&
		listen(fd, BACKLOG) == 0) {
		return fd;
	}
	report_error("cannot make the socket %s: %s", X11_SOCKET, strerror(errno));
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

void x11_listen(struct x11 *x11, const struct config *config, bool has_screen) {
	*x11 = (struct x11){.service = {.listener = -1,
				    .name = "Xwayland",
				    .become = become_xwayland,
				    .ended = xwayland_ended},
		.uid = config->user.uid,
		.gid = config->user.gid};
	if (has_screen && access(PROGRAM, X_OK) == 0) {
		x11->service.listener = make_socket(&config->user);
	}
}
