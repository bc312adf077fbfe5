/*
 * The sound filter's process, both ends: the monitor's main thread starts it and waits for its end; the
 * process takes connections at its door and serves them until the door is closed. What comes over the
 * connections is hostile; what comes to the door is the display worker's, which may have been taken over.
 */
#include "ph/sound.h"

#include "ph/fd.h"
#include "ph/log.h"
#include "sound/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32
#define KEPT_DOOR 3

struct filter_process {
	struct loop loop;
	struct loop_source door;
	const char *server;
	bool microphone;
	struct sound_connection *connections;
	unsigned count;
	struct log_limit messages;
};

static int connect_server(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	return fd < 0 ? -errno : fd;
}

static void serve_connection(struct filter_process *process, int guest) {
	if (process->count == CONNECTIONS_MAX) {
		log_guest(&process->messages, "sound: more than %d connections at a time", CONNECTIONS_MAX);
		close(guest);
		return;
	}
	int server = connect_server(process->server);
	if (server < 0) {
		log_guest(&process->messages, "sound: %s: %s", process->server, strerror(-server));
		close(guest);
		return;
	}
	sound_connection_create(
		&process->connections, &process->count, &process->loop, guest, server, process->microphone);
}

static void knock(struct loop_source *source, uint32_t events) {
	(void)events;
	struct filter_process *process =
		(struct filter_process *)(void *)((char *)source - offsetof(struct filter_process, door));
	bool ended;
	int fd = fd_receive(source->fd, &ended);
	if (fd >= 0) {
		serve_connection(process, fd);
	} else if (ended) {
		loop_stop(&process->loop, 0);
	}
}

/* Leave standard error and the door open. */
static int leave_monitor(int *door, pid_t parent) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		signal(ignored[i], SIG_IGN);
	}
	prctl(PR_SET_NAME, "ph-sound", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		(*door != KEPT_DOOR && dup3(*door, KEPT_DOOR, O_CLOEXEC) < 0) ||
		syscall(SYS_close_range, KEPT_DOOR + 1, ~0u, 0) < 0) {
		return -errno;
	}
	*door = KEPT_DOOR;
	return getppid() == parent ? 0 : -ESRCH;
}

static int run(struct filter_process *process, enum jail_mode mode, pid_t parent) {
	const struct jail_reach reach = {.sockets = &process->server, .socket_count = 1};
	int ret = leave_monitor(&process->door.fd, parent);
	if (ret == 0) {
		ret = jail_enter(JAIL_SOUND, mode, "sound", &reach);
	}
	if (ret == 0) {
		ret = loop_init(&process->loop);
	}
	if (ret == 0) {
		process->door.ready = knock;
		ret = loop_add(&process->loop, &process->door, EPOLLIN);
	}
	if (ret == 0) {
		ret = jail_filter(JAIL_SOUND, mode, "sound");
	}
	return ret < 0 ? ret : loop_run(&process->loop);
}

int sound_start(struct sound *sound, const char *server, bool microphone, enum jail_mode mode) {
	int door[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, door) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct filter_process process = {
			.server = server, .microphone = microphone, .door = {.fd = door[1]}};
		int ret = run(&process, mode, parent);
		if (ret < 0) {
			log_error("sound filter: %s", strerror(-ret));
		}
		_exit(ret < 0 ? 1 : 0);
	}
	int ret = pid < 0 ? -errno : 0;
	close(door[1]);
	if (ret < 0) {
		close(door[0]);
		return ret;
	}
	*sound = (struct sound){.pid = pid, .door = door[0]};
	sound->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return sound->pid_fd < 0 ? -errno : 0;
}

void sound_leave(struct sound *sound) {
	if (sound->pid > 0) {
		fd_close(&sound->door);
	}
}

void sound_stop(struct sound *sound) {
	sound_leave(sound);
	while (sound->pid > 0 && waitpid(sound->pid, NULL, 0) < 0 && errno == EINTR) {
	}
	if (sound->pid > 0) {
		fd_close(&sound->pid_fd);
	}
	sound->pid = 0;
}
