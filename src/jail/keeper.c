/*
 * The terminal's keeper, both ends: the monitor's main thread starts and ends it; the process itself waits
 * for the monitor's end, in one way or another. Nothing hostile comes in: it reads one byte from the monitor.
 */
#include "ph/keeper.h"

#include "ph/child.h"
#include "ph/fd.h"
#include "ph/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* What it has open, the last only if there are colours to give back. */
enum { KEPT_TERMINAL = 3, KEPT_PIPE, KEPT_COLORS, KEPT_END };

/* What is left raw is put back; what the shell or anybody else has made of it since is theirs. */
static void put_back(const struct termios *saved, bool colored) {
	struct termios now, raw = *saved;
	cfmakeraw(&raw);
	/* Signals by keys end with the VM's start. */
	if (tcgetattr(KEPT_TERMINAL, &now) == 0 && (now.c_lflag & (tcflag_t)~ISIG) == raw.c_lflag &&
		now.c_iflag == raw.c_iflag && now.c_oflag == raw.c_oflag) {
		tcsetattr(KEPT_TERMINAL, TCSANOW, saved);
		if (colored) {
			fd_write_all(KEPT_COLORS, TERMINAL_COLOR_RESET, sizeof(TERMINAL_COLOR_RESET) - 1);
		}
	}
}

/* Leave only standard error and these open. */
static int keep_only(const int *fds, unsigned count) {
	int high[KEPT_END - KEPT_TERMINAL];
	/* Out of each other's way first. */
	for (unsigned i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, KEPT_END);
	}
	for (unsigned i = 0; i < count; i++) {
		if (dup2(high[i], KEPT_TERMINAL + (int)i) < 0) {
			return -errno;
		}
	}
	if (syscall(SYS_close_range, KEPT_TERMINAL + count, ~0u, 0) < 0) {
		return -errno;
	}
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	return 0;
}

static int keep(int terminal, int pipe, int color_fd, const struct termios *saved, enum jail_mode mode) {
	static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTOU, SIGPIPE};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		signal(signals[i], SIG_IGN);
	}
	const int fds[] = {terminal, pipe, color_fd};
	bool colored = color_fd >= 0;
	prctl(PR_SET_NAME, "ph-terminal", 0, 0, 0);
	setsid();
	int ret = keep_only(fds, colored ? 3 : 2);
	if (ret == 0) {
		ret = jail_enter(JAIL_TERMINAL, mode, "terminal", &(struct jail_reach){0});
	}
	if (ret == 0) {
		ret = jail_filter(JAIL_TERMINAL, mode, "terminal");
	}
	char byte;
	if (ret == 0 && fd_read_all(KEPT_PIPE, &byte, 1) == -ENODATA) {
		put_back(saved, colored);
	}
	return ret;
}

int keeper_start(struct keeper *keeper, int fd, int color_fd, enum jail_mode mode) {
	struct termios saved;
	int ends[2];
	if (tcgetattr(fd, &saved) < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	if (pid == 0) {
		_exit(keep(fd, ends[0], color_fd, &saved, mode) < 0 ? 1 : 0);
	}
	int ret = pid < 0 ? -errno : 0;
	close(ends[0]);
	if (ret < 0) {
		close(ends[1]);
		return ret;
	}
	*keeper = (struct keeper){.pid = pid, .pid_fd = child_watch(pid), .fd = ends[1]};
	ret = keeper->pid_fd;
	if (ret < 0) {
		keeper_stop(keeper);
	}
	return ret < 0 ? ret : 0;
}

void keeper_stop(struct keeper *keeper) {
	if (keeper->pid <= 0) {
		return;
	}
	fd_write_all(keeper->fd, "", 1);
	fd_close(&keeper->fd);
	child_reap(&keeper->pid, &keeper->pid_fd, CHILD_GRACE_MS);
}
