/*
 * The sound filter's process, both ends: the monitor's main thread starts it and waits for its end; the
 * process takes connections at its door and serves them until the door is closed. What comes over the
 * connections is hostile; what comes to the door is the display worker's, which may have been taken over.
 */
#include "ph/sound.h"

#include "ph/child.h"
#include "ph/connector.h"
#include "ph/fd.h"
#include "ph/log.h"
#include "ph/worker.h"
#include "sound/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32

struct filter_process {
	struct loop loop;
	struct loop_source door;
	int connector; /* the way to the server */
	const struct sound_rules *rules;
	struct sound_connection *connections;
	unsigned count;
	struct log_limit messages;
};

static void serve_connection(struct filter_process *process, int guest) {
	if (process->count == CONNECTIONS_MAX) {
		log_guest(&process->messages, "sound: more than %d connections at a time", CONNECTIONS_MAX);
		close(guest);
		return;
	}
	int server = connector_connect(process->connector, 0);
	if (server < 0) {
		log_guest(&process->messages, "sound: no connection to the server: %s", strerror(-server));
		close(guest);
		return;
	}
	sound_connection_create(
		&process->connections, &process->count, &process->loop, guest, server, process->rules);
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

static int run(struct filter_process *process, enum jail_mode mode, pid_t parent) {
	const struct jail_reach nothing = {0};
	const int fds[] = {process->door.fd, process->connector};
	int ret = worker_leave_monitor("sound", parent, fds, 2);
	if (ret == 0) {
		ret = jail_enter(JAIL_SOUND, mode, "sound", &nothing);
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

int sound_start(struct sound *sound, int connector, const struct sound_rules *rules, enum jail_mode mode) {
	int door[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, door) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct filter_process process = {
			.connector = connector, .rules = rules, .door = {.fd = door[1]}};
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
	sound->pid_fd = child_watch(pid);
	return sound->pid_fd < 0 ? sound->pid_fd : 0;
}

void sound_leave(struct sound *sound) {
	if (sound->pid > 0) {
		fd_close(&sound->door);
	}
}

void sound_stop(struct sound *sound) {
	sound_leave(sound);
	child_reap(&sound->pid, &sound->pid_fd, CHILD_GRACE_MS);
}
