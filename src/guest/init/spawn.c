/*
 * Makes the stdio of a command and its process. Runs in PID 1 up to the fork and, from
 * child_main() on, in the child, which becomes the command. Nothing here waits.
 */
#include "guest/init/spawn.h"

#include "guest/init/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TTY_GROUP 5

/* The child's ends. */
struct stdio {
	int fds[3];
};

static void close_fd(int *fd) {
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

static void close_stdio(struct stdio *stdio) {
	for (int i = 0; i < 3; i++) {
		close_fd(&stdio->fds[i]);
	}
}

static int open_terminal(const struct exec *exec, struct spawned *spawned, struct stdio *stdio) {
	struct winsize size = {.ws_row = exec->rows, .ws_col = exec->columns};
	struct termios termios;
	int unlock = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (master < 0) {
		return -errno;
	}
	spawned->in = spawned->out = master;
	int slave = -1;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
		(slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		return -errno;
	}
	stdio->fds[0] = slave;
	ioctl(master, TIOCSWINSZ, &size);
	if (tcgetattr(slave, &termios) == 0) {
		termios.c_iflag |= IUTF8;
		tcsetattr(slave, TCSANOW, &termios);
	}
	return fchown(slave, exec->uid, TTY_GROUP) < 0 ? -errno : 0;
}

static int open_pipe(const struct exec *exec, int *ours, int *theirs, bool ours_reads) {
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	*ours = fds[ours_reads ? 0 : 1];
	*theirs = fds[ours_reads ? 1 : 0];
	/* A program may open /dev/stdout anew, as the user it runs as. */
	if (fchown(*theirs, exec->uid, (gid_t)-1) < 0) {
		return -errno;
	}
	/* Only init's end: the flag belongs to the open file, and commands expect a blocking one. */
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_pipes(const struct exec *exec, struct spawned *spawned, struct stdio *stdio) {
	int result = open_pipe(exec, &spawned->in, &stdio->fds[0], false);
	if (result == 0) {
		result = open_pipe(exec, &spawned->out, &stdio->fds[1], true);
	}
	return result;
}

static int open_stdio(const struct exec *exec, struct spawned *spawned, struct stdio *stdio) {
	int result = exec->tty ? open_terminal(exec, spawned, stdio) : open_pipes(exec, spawned, stdio);
	if (result == 0 && exec->own_stderr) {
		result = open_pipe(exec, &spawned->err, &stdio->fds[2], true);
	}
	return result;
}

/* Of the signals init ignores SIGPIPE and blocks SIGCHLD; all others are as the kernel made them. */
static void reset_signals(void) {
	sigset_t none;
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void take_stdio(const struct stdio *stdio, bool tty) {
	setsid();
	if (tty) {
		ioctl(stdio->fds[0], TIOCSCTTY, 0);
	}
	for (int i = 0; i < 3; i++) {
		dup2(stdio->fds[i] >= 0 ? stdio->fds[i] : stdio->fds[tty ? 0 : 1], i);
	}
	syscall(SYS_close_range, 3U, ~0U, 0U);
}

static __attribute__((noreturn, format(printf, 2, 3))) void fail(int status, const char *format, ...) {
	va_list args;
	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
	_exit(status);
}

static void take_identity(const struct identity *identity) {
	if (setgroups(identity->group_count, identity->groups) < 0 ||
		setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
		setresuid(identity->uid, identity->uid, identity->uid) < 0) {
		fail(126, "ph: cannot become user %u in the VM: %s\n", identity->uid, strerror(errno));
	}
}

static void enter_folder(const char *cwd, const char *home) {
	if ((cwd == NULL || chdir(cwd) < 0) && chdir(home) < 0 && chdir("/") < 0) {
		fail(126, "ph: cannot enter / in the VM: %s\n", strerror(errno));
	}
}

/* A script without an interpreter line is the shell's, as execvp() has it. */
static void exec_script(const char *path, char **argv, char **env) {
	size_t count = 0;
	while (argv[count] != NULL) {
		count++;
	}
	const char **shell = calloc(count + 3, sizeof(*shell));
	if (shell == NULL) {
		return;
	}
	shell[0] = "/bin/sh";
	shell[1] = path;
	memcpy(shell + 2, argv + 1, count * sizeof(*shell));
	execve(shell[0], (char **)shell, env);
	free(shell);
}

/* Returns with errno set. */
static void exec_file(const char *path, char **argv, char **env) {
	execve(path, argv, env);
	if (errno == ENOEXEC) {
		exec_script(path, argv, env);
		errno = ENOEXEC;
	} else if (errno == ENOENT && access(path, F_OK) == 0) {
		/* The file is there, what its first line or its program header names is not. */
		errno = ELIBACC;
	}
}

/* Try each folder of PATH; returns the most telling error. */
static int exec_search(const char *name, char **argv, char **env) {
	const char *path = identity_env_value(env, "PATH");
	char file[4352];
	int error = ENOENT;
	if (strchr(name, '/') != NULL) {
		exec_file(name, argv, env);
		return errno;
	}
	for (path = path == NULL ? DEFAULT_PATH : path; *name != '\0'; path++) {
		int len = (int)strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s/%s", len, len == 0 ? "." : path, name) <
			(int)sizeof(file)) {
			exec_file(file, argv, env);
			error = errno == ENOENT || errno == ENOTDIR ? error : errno;
		}
		path += len;
		if (*path == '\0') {
			break;
		}
	}
	return error;
}

static __attribute__((noreturn)) void run(const struct exec *exec, const struct identity *identity) {
	char *shell_argv[2] = {NULL, NULL};
	char **argv = exec->argv;
	const char *name = argv[0];
	if (name == NULL) {
		name = identity->shell;
		const char *slash = strrchr(name, '/');
		shell_argv[0] = (char *)(slash == NULL ? name : slash + 1);
		argv = shell_argv;
	}
	int error = exec_search(name, argv, identity->env);
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		fail(127, "ph: %s: not found in the VM\n", name);
	case ELIBACC:
		fail(126, "ph: %s: the interpreter it needs is not found in the VM\n", name);
	default:
		fail(126, "ph: %s: cannot be run in the VM: %s\n", name, strerror(error));
	}
}

static __attribute__((noreturn)) void child_main(
	const struct exec *exec, const struct config *config, const struct stdio *stdio) {
	struct identity identity;
	reset_signals();
	take_stdio(stdio, exec->tty);
	if (identity_find(&identity, exec, config) < 0) {
		fail(126, "ph: no memory left in the VM\n");
	}
	identity_join_cgroup();
	umask(exec->umask);
	take_identity(&identity);
	enter_folder(exec->cwd, identity.home);
	identity_choose_shell(&identity, exec->argv[0] == NULL);
	run(exec, &identity);
}

int spawn_command(const struct exec *exec, const struct config *config, struct spawned *spawned) {
	struct stdio stdio = {{-1, -1, -1}};
	*spawned = (struct spawned){.pid = -1, .in = -1, .out = -1, .err = -1};
	int result = open_stdio(exec, spawned, &stdio);
	if (result == 0) {
		spawned->pid = fork();
		result = spawned->pid < 0 ? -errno : 0;
	}
	if (spawned->pid == 0) {
		child_main(exec, config, &stdio);
	}
	close_stdio(&stdio);
	if (result < 0) {
		if (spawned->out != spawned->in) {
			close_fd(&spawned->out);
		}
		close_fd(&spawned->in);
		close_fd(&spawned->err);
	}
	return result;
}
