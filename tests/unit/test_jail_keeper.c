/* The terminal's keeper, in its jail: what it does when the process it looks after ends in each of its ways.
 */
#include "assert_shown.h"
#include "ph/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	int master, slave;
	struct termios before;
};

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	/* Orphaned keepers become ours, so that their end can be waited for. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
		openpty(&f->master, &f->slave, NULL, NULL, NULL) < 0) {
		return -1;
	}
	return tcgetattr(f->slave, &f->before);
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	close(f->master);
	close(f->slave);
	free(f);
	return 0;
}

static tcflag_t kept_flags; /* while the VM starts, keys are signals */

static void make_raw(int fd) {
	struct termios raw;
	tcgetattr(fd, &raw);
	cfmakeraw(&raw);
	raw.c_lflag |= kept_flags;
	tcsetattr(fd, TCSANOW, &raw);
}

static bool is_raw(struct fixture *f) {
	struct termios now;
	assert_int_equal(tcgetattr(f->slave, &now), 0);
	return (now.c_lflag & ICANON) == 0;
}

/* A process that has a keeper and makes the terminal raw; it tells when it is done. */
static pid_t start_owner(struct fixture *f, bool stops, int color_fd) {
	int ends[2];
	char byte = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct keeper keeper = {0};
		int ret = keeper_start(&keeper, f->slave, color_fd, JAIL_DEFAULT);
		make_raw(f->slave);
		if (ret == 0 && stops) {
			keeper_stop(&keeper);
		}
		if (write(ends[1], ret == 0 ? "y" : "n", 1) == 1) {
			pause();
		}
		_exit(1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* All children, adopted ones included, end well but for the owner. */
static void reap(pid_t owner) {
	int status;
	for (pid_t pid = wait(&status); pid > 0; pid = wait(&status)) {
		assert_true(pid == owner || status == 0);
	}
}

static void test_restores_after_a_kill(void **state) {
	struct fixture *f = *state;
	pid_t owner = start_owner(f, false, -1);
	assert_true(is_raw(f));
	kill(owner, SIGKILL);
	reap(owner);
	struct termios after;
	assert_int_equal(tcgetattr(f->slave, &after), 0);
	assert_int_equal(after.c_lflag, f->before.c_lflag);
	assert_int_equal(after.c_iflag, f->before.c_iflag);
	assert_int_equal(after.c_oflag, f->before.c_oflag);
}

static void test_restores_while_starting(void **state) {
	kept_flags = ISIG;
	test_restores_after_a_kill(state);
	kept_flags = 0;
}

static void test_gives_colors_back(void **state) {
	struct fixture *f = *state;
	pid_t owner = start_owner(f, false, f->slave);
	kill(owner, SIGKILL);
	reap(owner);
	assert_shown(f->master, "\033]104\033\\\033]110\033\\\033]111\033\\");
}

/* Colours went to standard output: standard input may not be open for writing, and another terminal. */
static void test_gives_colors_back_elsewhere(void **state) {
	struct fixture *f = *state, other = *f;
	other.slave = open(ttyname(f->slave), O_RDONLY | O_NOCTTY);
	assert_true(other.slave >= 0);
	pid_t owner = start_owner(&other, false, f->slave);
	kill(owner, SIGKILL);
	reap(owner);
	assert_false(is_raw(f));
	assert_shown(f->master, "\033]104\033\\\033]110\033\\\033]111\033\\");
	close(other.slave);
}

/* Whoever says that it is done is believed. */
static void test_ends_when_told(void **state) {
	struct fixture *f = *state;
	pid_t owner = start_owner(f, true, -1);
	kill(owner, SIGKILL);
	reap(owner);
	assert_true(is_raw(f));
}

/* The shell may have its own modes by then. */
static void test_leaves_what_others_set(void **state) {
	struct fixture *f = *state;
	pid_t owner = start_owner(f, false, -1);
	struct termios mine = f->before;
	mine.c_lflag &= (tcflag_t) ~(ECHO | ICANON);
	assert_int_equal(tcsetattr(f->slave, TCSANOW, &mine), 0);
	kill(owner, SIGKILL);
	reap(owner);
	assert_true(is_raw(f));
}

/* One that was stopped does not keep a monitor, which is in its jail by then, from ending. */
static void test_who_stays_is_killed(void **state) {
	struct fixture *f = *state;
	int status;
	pid_t owner = fork();
	if (owner == 0) {
		struct keeper keeper = {0};
		const struct jail_reach none = {0};
		alarm(60);
		bool ok = keeper_start(&keeper, f->slave, -1, JAIL_DEFAULT) == 0 &&
			  kill(keeper.pid, SIGSTOP) == 0 &&
			  jail_enter(JAIL_MONITOR, JAIL_DEFAULT, "test", &none) == 0 &&
			  jail_filter(JAIL_MONITOR, JAIL_DEFAULT, "test") == 0;
		keeper_stop(&keeper);
		keeper_stop(&keeper);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(owner, &status, 0), owner);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
}

static void test_needs_a_terminal(void **state) {
	(void)state;
	struct keeper keeper = {0};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_true(keeper_start(&keeper, ends[0], -1, JAIL_DEFAULT) < 0);
	keeper_stop(&keeper);
	close(ends[0]);
	close(ends[1]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restores_after_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restores_while_starting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gives_colors_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gives_colors_back_elsewhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends_when_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leaves_what_others_set, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_stays_is_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_needs_a_terminal, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
