/*
 * The process that tends passt, both ends: the monitor's main thread starts and ends it; the process itself
 * waits for passt's end or the VM's. Nothing hostile comes in but what passt writes to its standard error.
 */
#include "ph/passt.h"

#include "passt/child.h"
#include "passt/names.h"
#include "ph/child.h"
#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Once, and then once more. */
#define RUNS 2
/* What passt has (passt_child_stop()), and then some for the process that tends it: if that is killed, nobody
 * ends a passt that is stopped. */
#define GRACE_MS 5000
/* A message from passt may arrive after its end. */
#define LAST_WORDS_MS 200

struct tender {
	const struct passt_options *options;
	int life;     /* at its end the VM is gone */
	int supply;   /* to the device */
	int names_fd; /* to the monitor */
	struct passt_names names;
	char server[INET_ADDRSTRLEN]; /* this host's own, if passt forwards to it, else "" */
	struct passt_child child;
};

static int start(struct tender *tender, int socket) {
	bool forwards = passt_names_forwarded(&tender->names, tender->options);
	tender->server[0] = '\0';
	if (forwards) {
		passt_names_own_server(tender->server);
	}
	return passt_child_start(&tender->child, tender->options, forwards, socket);
}

static int start_again(struct tender *tender) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	/* The device may not change that. */
	int ret = fcntl(ends[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
	if (ret == 0) {
		ret = start(tender, ends[1]);
	}
	if (ret == 0) {
		/* Over the new link the device reaches the new passt. */
		ret = fd_send(tender->supply, ends[0], 0);
	}
	close(ends[0]);
	close(ends[1]);
	return ret;
}

/* Whether whoever waits for links is gone, and with it passt's reason to live. */
static bool nobody_waits(const struct tender *tender) {
	struct pollfd supply = {.fd = tender->supply};
	return poll(&supply, 1, 0) > 0;
}

/* passt looked at its start which server it forwards to. Where this host's own is another one now, only a new
 * passt knows it. */
static bool follow_names(struct tender *tender) {
	char server[INET_ADDRSTRLEN];
	if (passt_names_update(&tender->names, tender->options)) {
		send(tender->names_fd, tender->names.text, strlen(tender->names.text),
			MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	passt_names_own_server(server);
	return server[0] == '\0' || strcmp(server, tender->server) == 0 ||
	       !passt_names_forwarded(&tender->names, tender->options);
}

enum event { PASST_ENDED, VM_ENDED, PASST_OUTDATED };

static enum event watch(struct tender *tender) {
	enum { LIFE, CHILD, WORDS, NAMES, COUNT };
	struct pollfd fds[COUNT] = {[LIFE] = {.fd = tender->life},
		[CHILD] = {.fd = tender->child.pid_fd, .events = POLLIN},
		[WORDS] = {.fd = tender->child.log_fd, .events = POLLIN}};
	for (;;) {
		fds[NAMES] = (struct pollfd){.fd = tender->names.fd, .events = POLLIN};
		if (poll(fds, COUNT, -1) < 0 && errno != EINTR) {
			return VM_ENDED;
		}
		if (fds[LIFE].revents != 0) {
			return VM_ENDED;
		}
		if (fds[WORDS].revents != 0 && !passt_child_listen(&tender->child)) {
			fds[WORDS].fd = -1;
		}
		if (fds[NAMES].revents != 0 && !follow_names(tender)) {
			return PASST_OUTDATED;
		}
		if (fds[CHILD].revents != 0) {
			/* What it said last explains why. */
			struct pollfd words = {.fd = tender->child.log_fd, .events = POLLIN};
			while (poll(&words, 1, LAST_WORDS_MS) > 0 && passt_child_listen(&tender->child)) {
			}
			return PASST_ENDED;
		}
	}
}

static void tend(struct tender *tender) {
	enum event event;
	for (int run = 1; (event = watch(tender)) != VM_ENDED; run += event == PASST_ENDED) {
		char end[160] = "knew nothing of this host's new name server";
		if (event == PASST_OUTDATED) {
			passt_child_stop(&tender->child);
		} else {
			passt_child_reap(&tender->child, end, sizeof(end));
		}
		if (nobody_waits(tender)) {
			return;
		}
		int ret = run < RUNS || event == PASST_OUTDATED ? start_again(tender) : -EAGAIN;
		if (ret < 0) {
			log_error("passt %s; the VM is without network from now on", end);
			return;
		}
		log_error("passt %s; it has been started again, connections are lost", end);
	}
	passt_child_stop(&tender->child);
}

/* Nothing from the terminal, nothing of the monitor's but what was given, and no longer life than its. */
static int leave_monitor(struct tender *tender, int *socket, pid_t parent) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE};
	int *const kept[] = {&tender->life, &tender->supply, &tender->names_fd, socket};
	const size_t count = sizeof(kept) / sizeof(kept[0]);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		signal(ignored[i], SIG_IGN);
	}
	setsid();
	prctl(PR_SET_NAME, "ph-network", 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Out of each other's way, then side by side behind the standard streams. */
	for (size_t i = 0; i < count; i++) {
		*kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, 16);
	}
	for (size_t i = 0; i < count; i++) {
		if (dup3(*kept[i], 3 + (int)i, O_CLOEXEC) < 0) {
			return -errno;
		}
		*kept[i] = 3 + (int)i;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		syscall(SYS_close_range, 3 + (unsigned)count, ~0u, 0) < 0) {
		return -errno;
	}
	return getppid() == parent ? 0 : -ESRCH;
}

static void run(struct tender *tender, int socket, pid_t parent) {
	int ret = leave_monitor(tender, &socket, parent);
	if (ret == 0) {
		passt_names_init(&tender->names, tender->options);
		ret = start(tender, socket);
		close(socket);
	}
	if (ret < 0) {
		log_error("cannot start %s: %s", tender->options->program, strerror(-ret));
		return;
	}
	tend(tender);
}

/* The pairs: frames, links, names, life. */
enum { OURS, THEIRS };

static int make_pairs(int frames[2], int links[2], int names[2], int life[2]) {
	frames[0] = frames[1] = links[0] = links[1] = names[0] = names[1] = life[0] = life[1] = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, links) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, names) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life) < 0 ||
		fcntl(frames[OURS], F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		return -errno;
	}
	return 0;
}

int passt_start(struct passt *passt, const struct passt_options *options, int *link_fd, int *supply_fd) {
	int frames[2], links[2], names[2], life[2];
	pid_t parent = getpid(), pid = -1;
	int ret = make_pairs(frames, links, names, life);
	if (ret == 0) {
		pid = fork();
		ret = pid < 0 ? -errno : 0;
	}
	if (pid == 0) {
		struct tender tender = {.options = options,
			.life = life[THEIRS],
			.supply = links[THEIRS],
			.names_fd = names[THEIRS]};
		run(&tender, frames[THEIRS], parent);
		_exit(0);
	}
	int pid_fd = pid < 0 ? -1 : child_watch(pid);
	ret = ret == 0 && pid_fd < 0 ? pid_fd : ret;
	fd_close(&frames[THEIRS]);
	fd_close(&links[THEIRS]);
	fd_close(&names[THEIRS]);
	fd_close(&life[THEIRS]);
	if (ret < 0) {
		fd_close(&frames[OURS]);
		fd_close(&links[OURS]);
		fd_close(&names[OURS]);
		fd_close(&life[OURS]);
		child_reap(&pid, &pid_fd, 0);
		return ret;
	}
	*passt = (struct passt){.pid = pid, .pid_fd = pid_fd, .fd = life[OURS], .names = names[OURS]};
	*link_fd = frames[OURS];
	*supply_fd = links[OURS];
	return 0;
}

void passt_hang_up(struct passt *passt) {
	if (passt->pid > 0) {
		fd_close(&passt->fd);
	}
}

void passt_stop(struct passt *passt) {
	passt_hang_up(passt);
	if (passt->pid > 0) {
		fd_close(&passt->names);
	}
	child_reap(&passt->pid, &passt->pid_fd, GRACE_MS);
}
