/*
 * The Wayland proxy as a service: started, as the user, when the first program connects to its socket, and
 * again when it was killed. Runs in PID 1 and, from become_proxy() on, in the child, which becomes the proxy.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "/dev/wl0"
#define FILES_MAX 65536

static struct wayland *wayland_of(struct service *service) {
	return (struct wayland *)(void *)service;
}

/* The socket as descriptor 0, the kernel's log as 2: ph shows it under --verbose. */
static int take_streams(const struct wayland *wayland) {
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (dup2(wayland->service.listener, 0) < 0 || dup2(log >= 0 ? log : 1, 2) < 0) {
		return -1;
	}
	int program = fcntl(wayland->program, F_DUPFD_CLOEXEC, 3);
	if (program > 3) {
		program = dup3(program, 3, O_CLOEXEC);
	}
	syscall(SYS_close_range, 4U, ~0U, 0U);
	return program;
}

static __attribute__((noreturn)) void become_proxy(struct service *service) {
	const struct wayland *wayland = wayland_of(service);
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

static bool proxy_ended(int status) {
	if (WIFSIGNALED(status)) {
		report_problem("the Wayland proxy was killed by signal %d; the next program starts it anew",
			WTERMSIG(status));
		return true;
	}
	report_error("the Wayland proxy does not work: there will be no windows");
	return false;
}

void wayland_init(struct wayland *wayland) {
	*wayland = (struct wayland){.program = open(GUEST_WAYLAND_PATH, O_RDONLY | O_CLOEXEC),
		.service = {.listener = -1,
			.name = "the Wayland proxy",
			.become = become_proxy,
			.ended = proxy_ended}};
}

void wayland_listen(struct wayland *wayland, const struct config *config) {
	const struct config_user *user = &config->user;
	if (wayland->program < 0 || user->fields == NULL || access(DEVICE, F_OK) < 0) {
		return;
	}
	wayland->uid = user->uid;
	wayland->gid = user->gid;
	wayland->service.listener = service_listen(user, "wayland-0", SOCK_STREAM);
}
