/*
 * Starts the Wayland proxy, as the user, when the first program connects to its socket, and again when it was
 * killed. Runs in PID 1 up to the fork and, from child_main() on, in the child, which becomes the proxy. The
 * socket is there before the first command is, so nobody has to wait for the proxy, and who shows no
 * window does not pay for one.
 */
#include "guest/init/wayland.h"

#include "guest/init/report.h"
#include "ph/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "/dev/wl0"
#define BACKLOG 128
#define FILES_MAX 65536

void wayland_init(struct wayland *wayland) {
	*wayland =
		(struct wayland){.program = open(GUEST_WAYLAND_PATH, O_RDONLY | O_CLOEXEC), .listener = -1};
}

static void close_fd(int *fd) {
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

void wayland_finish(struct wayland *wayland) {
	close_fd(&wayland->program);
	close_fd(&wayland->listener);
}

static int make_socket(const struct config_user *user) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "/run/user/%u/wayland-0", user->uid);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		chown(address.sun_path, user->uid, user->gid) == 0 && chmod(address.sun_path, 0700) == 0 &&
		listen(fd, BACKLOG) == 0) {
		return fd;
	}
	report_problem("cannot make the socket %s: %s", address.sun_path, strerror(errno));
	close_fd(&fd);
	return -1;
}

void wayland_listen(struct wayland *wayland, const struct config *config) {
	const struct config_user *user = &config->user;
	if (wayland->program < 0 || user->fields == NULL || access(DEVICE, F_OK) < 0) {
		return;
	}
	wayland->uid = user->uid;
	wayland->gid = user->gid;
	wayland->listener = make_socket(user);
}

/* The socket as descriptor 0, the kernel's log as 2: ph shows it under --verbose. */
static int take_streams(const struct wayland *wayland) {
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (dup2(wayland->listener, 0) < 0 || dup2(log >= 0 ? log : 1, 2) < 0) {
		return -1;
	}
	int program = fcntl(wayland->program, F_DUPFD_CLOEXEC, 3);
	if (program > 3) {
		program = dup3(program, 3, O_CLOEXEC);
	}
	syscall(SYS_close_range, 4U, ~0U, 0U);
	return program;
}

static __attribute__((noreturn)) void child_main(const struct wayland *wayland) {
	static char name[] = "ph-wayland";
	char *const argv[] = {name, NULL}, *const env[] = {NULL};
	const struct rlimit files = {FILES_MAX, FILES_MAX}, core = {0, 0};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &core);
	int program = take_streams(wayland);
	if (program >= 0 && setgroups(0, NULL) == 0 &&
		setresgid(wayland->gid, wayland->gid, wayland->gid) == 0 &&
		setresuid(wayland->uid, wayland->uid, wayland->uid) == 0) {
		syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	}
	dprintf(2, "ph-init: cannot start the Wayland proxy: %s\n", strerror(errno));
	_exit(1);
}

int wayland_start(struct wayland *wayland) {
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		child_main(wayland);
	}
	wayland->pid = pid;
	return 0;
}

bool wayland_ended(struct wayland *wayland, int status) {
	wayland->pid = 0;
	if (WIFSIGNALED(status)) {
		report_problem(
			"the Wayland proxy was killed by signal %d: its windows are gone", WTERMSIG(status));
		return true;
	}
	report_problem("the Wayland proxy does not work: there will be no windows");
	close_fd(&wayland->listener);
	return false;
}
