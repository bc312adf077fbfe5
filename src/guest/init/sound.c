/*
 * Carries the bytes between the guest's sound programs and the host: a socket where they look for a
 * PulseAudio server, and for each connection one of virtio-wl and a process that copies. Runs in PID 1 up to
 * the fork and then as the user. Programs are untrusted, and so is this on the host's side: what may be said
 * is decided there.
 */
#include "guest/init/sound.h"

#include "guest/init/report.h"
#include "ph/wl_user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define DEVICE "/dev/wl0"
#define LISTENER 3
#define CHUNK 16384

/* ---- one connection ---- */

struct flow {
	int from, to;
	size_t start, end; /* of what was read and not written yet */
	char data[CHUNK];
};

/* Move what moves without waiting; false at the end. */
static bool move(struct flow *flow) {
	if (flow->start == flow->end) {
		ssize_t n = read(flow->from, flow->data, sizeof(flow->data));
		if (n <= 0) {
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		}
		flow->start = 0;
		flow->end = (size_t)n;
	}
	ssize_t n = write(flow->to, flow->data + flow->start, flow->end - flow->start);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	flow->start += (size_t)n;
	return true;
}

static short wanted(const struct flow *reads, const struct flow *writes) {
	return (short)((reads->start == reads->end ? POLLIN : 0) |
		       (writes->start < writes->end ? POLLOUT : 0));
}

static void copy(int program, int host) {
	struct flow out = {.from = program, .to = host}, in = {.from = host, .to = program};
	while (move(&out) && move(&in)) {
		struct pollfd fds[] = {{.fd = program, .events = wanted(&out, &in)},
			{.fd = host, .events = wanted(&in, &out)}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			return;
		}
		/* What hung up and has nothing more to read would be ready for ever. */
		int ready = fds[0].revents | fds[1].revents;
		if ((ready & (POLLHUP | POLLERR)) != 0 && (ready & (POLLIN | POLLOUT)) == 0) {
			return;
		}
	}
}

static int connect_host(const char *name) {
	struct virtwl_ioctl_new connection = {.type = VIRTWL_IOCTL_NEW_CTX_NAMED};
	int device = open(DEVICE, O_RDWR | O_CLOEXEC);
	strncpy(connection.name, name, sizeof(connection.name) - 1);
	if (device < 0 || ioctl(device, (int)VIRTWL_IOCTL_NEW, &connection) < 0) {
		return -1;
	}
	close(device);
	return fcntl(connection.fd, F_SETFL, O_NONBLOCK) < 0 ? -1 : connection.fd;
}

/* ---- the socket ---- */

static __attribute__((noreturn)) void serve(const char *name) {
	for (;;) {
		int program = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (program < 0) {
			sleep(errno == EINTR ? 0 : 1);
			continue;
		}
		if (fork() == 0) {
			int host = connect_host(name);
			close(LISTENER);
			if (host >= 0) {
				copy(program, host);
			}
			_exit(0);
		}
		close(program);
	}
}

static __attribute__((noreturn)) void become_server(int listener, const struct config *config) {
	const struct config_user *user = &config->user;
	sigset_t none;
	sigemptyset(&none);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "ph-sound", 0, 0, 0);
	setsid();
	if (dup2(listener, LISTENER) >= 0 && syscall(SYS_close_range, LISTENER + 1U, ~0U, 0U) == 0 &&
		setgroups(0, NULL) == 0 && setresgid(user->gid, user->gid, user->gid) == 0 &&
		setresuid(user->uid, user->uid, user->uid) == 0) {
		serve(config->sound);
	}
	_exit(1);
}

static int make_socket(const struct config_user *user) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[64];
	snprintf(folder, sizeof(folder), "/run/user/%u/pulse", user->uid);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/native", folder);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && mkdir(folder, 0700) == 0 && chown(folder, user->uid, user->gid) == 0 &&
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		chown(address.sun_path, user->uid, user->gid) == 0 && listen(fd, 32) == 0) {
		return fd;
	}
	report_error("cannot make the socket %s: %s", address.sun_path, strerror(errno));
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

void sound_start(const struct config *config) {
	int listener = config->sound != NULL && config->user.fields != NULL ? make_socket(&config->user) : -1;
	if (listener < 0) {
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		become_server(listener, config);
	}
	if (pid < 0) {
		report_error("cannot start the process for sound: %s", strerror(errno));
	}
	close(listener);
}
