/*
 * The saved and the raw state of the one terminal ph may drive. Main thread, but for
 * terminal_restore(), which also runs in signal handlers on any thread. No hostile input: the terminal
 * may vanish at any time, and then nothing here matters any more.
 */
#include "ph/terminal.h"

#include "ph/fd.h"
#include "ph/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
#define FATAL_SIGNALS (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static struct {
	int fd;
	struct termios saved;
	pid_t owner;     /* a worker process forked later must not restore what is still in use */
	atomic_bool raw; /* set after all the others */
	bool signals;    /* but for the keys that are signals */
	int color_fd;    /* of a terminal with other colours than its own */
	const char *colors;
	atomic_bool colored;
	bool hooked; /* the ways out are covered */
	struct sigaction old[FATAL_SIGNALS];
} terminal;

void terminal_restore(void) {
	if (getpid() != terminal.owner || !atomic_exchange(&terminal.raw, false)) {
		return;
	}
	int saved_errno = errno;
	/* A background process that sets the terminal is stopped unless it blocks SIGTTOU, and a stopped ph
	 * would never get to its end. */
	sigset_t ttou, mask;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &mask);
	tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	if (atomic_exchange(&terminal.colored, false)) {
		/* A terminal that takes no more of it has lost more than its colours. */
		ssize_t ignored =
			write(terminal.color_fd, TERMINAL_COLOR_RESET, sizeof(TERMINAL_COLOR_RESET) - 1);
		(void)ignored;
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	errno = saved_errno;
}

/* Restore, and die as if this handler were not there: the signal is blocked until we return. */
static void restore_and_reraise(int signo) {
	terminal_restore();
	for (size_t i = 0; i < FATAL_SIGNALS; i++) {
		if (fatal_signals[i] == signo) {
			sigaction(signo, &terminal.old[i], NULL);
		}
	}
	raise(signo);
}

static int hook_ways_out(void) {
	if (terminal.hooked) {
		return 0;
	}
	if (atexit(terminal_restore) != 0) {
		return -ENOMEM;
	}
	struct sigaction action = {.sa_handler = restore_and_reraise, .sa_flags = SA_ONSTACK};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < FATAL_SIGNALS; i++) {
		if (!signals_is_ignored(fatal_signals[i])) {
			sigaction(fatal_signals[i], &action, &terminal.old[i]);
		}
	}
	terminal.hooked = true;
	return 0;
}

static bool is_ours(void) {
	return terminal.raw && terminal.owner == getpid();
}

/* The jail knows no other way than at once. */
static int set_mode(int when) {
	struct termios raw = terminal.saved;
	cfmakeraw(&raw);
	raw.c_lflag |= terminal.signals ? terminal.saved.c_lflag & ISIG : 0;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	atomic_store(&terminal.raw, true);
	if (tcsetattr(terminal.fd, when, &raw) < 0) {
		int ret = -errno;
		atomic_store(&terminal.raw, false);
		return ret;
	}
	return 0;
}

static int make_raw(int fd, bool signals) {
	bool again = is_ours();
	if (!again) {
		struct termios saved;
		if (tcgetattr(fd, &saved) < 0) {
			return -errno;
		}
		int ret = hook_ways_out();
		if (ret < 0) {
			return ret;
		}
		terminal.fd = fd;
		terminal.saved = saved;
		terminal.owner = getpid();
	}
	terminal.signals = signals;
	return set_mode(again ? TCSANOW : TCSADRAIN);
}

int terminal_raw(int fd) {
	return make_raw(fd, false);
}

int terminal_raw_with_signals(int fd) {
	return make_raw(fd, true);
}

int terminal_color(int fd, const char *sequences) {
	terminal.color_fd = fd;
	terminal.colors = sequences;
	atomic_store(&terminal.colored, true);
	return fd_write_all(fd, sequences, strlen(sequences));
}

/* Not by SIGSTOP: who has no shell to continue it is not to be stopped, which the kernel knows. */
static void stop_here(void) {
	sigset_t stop, mask;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* What it was before is not asked again: from the background, that would be the shell's own mode. */
void terminal_stop(void) {
	bool raw = is_ours(), colored = terminal.colored;
	terminal_restore();
	stop_here();
	if (raw && set_mode(TCSANOW) == 0 && colored) {
		terminal_color(terminal.color_fd, terminal.colors);
	}
}

void terminal_resume(void) {
	if (is_ours()) {
		set_mode(TCSANOW);
	}
}

bool terminal_in_background(int fd) {
	pid_t foreground = tcgetpgrp(fd);
	return foreground > 0 && foreground != getpgrp();
}

int terminal_reopen(int fd, int flags) {
	unsigned wanted = 0, found = 1;
	struct stat stat;
	char path[32];
	/* /dev/ptmx would open a new terminal instead. */
	if (!isatty(fd) || fstat(fd, &stat) < 0 || stat.st_rdev == makedev(5, 2)) {
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int copy = open(path, flags | O_NOCTTY | O_CLOEXEC);
	if (copy >= 0) {
		return copy;
	}
	copy = open("/dev/tty", flags | O_NOCTTY | O_CLOEXEC);
	if (copy >= 0 &&
		(ioctl(fd, TIOCGDEV, &wanted) < 0 || ioctl(copy, TIOCGDEV, &found) < 0 || wanted != found)) {
		fd_close(&copy);
	}
	return copy;
}

bool terminal_is_raw(int fd) {
	struct termios now;
	return tcgetattr(fd, &now) == 0 && (now.c_oflag & OPOST) == 0;
}

bool terminal_size(int fd, uint16_t *rows, uint16_t *columns) {
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0) {
		return false;
	}
	*rows = size.ws_row;
	*columns = size.ws_col;
	return true;
}
