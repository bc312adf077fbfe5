/*
 * Programs that are started when somebody first connects to their sockets. The sockets are there before the
 * first command is, so nobody has to wait for the program, and who does not use it does not pay for it. Runs
 * in PID 1 up to the fork.
 */
#include "guest/init/service.h"

#include "guest/init/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

int service_listen(const struct config_user *user, const char *name, int type) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "/run/user/%u/%s", user->uid, name);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		chown(address.sun_path, user->uid, user->gid) == 0 && chmod(address.sun_path, 0700) == 0 &&
		listen(fd, BACKLOG) == 0) {
		return fd;
	}
	report_error("cannot make the socket %s: %s", address.sun_path, strerror(errno));
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

void service_close(struct service *service) {
	if (service->listener >= 0) {
		close(service->listener);
	}
	service->listener = -1;
}

int service_start(struct service *service) {
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		service->become(service);
		_exit(1);
	}
	service->pid = pid;
	return 0;
}
