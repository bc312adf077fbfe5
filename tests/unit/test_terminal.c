/* Raw mode and the ways back, on a pseudo-terminal, in processes that end in all the ways there are. */
#include "assert_shown.h"
#include "ph/terminal.h"

#include <errno.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	int master, slave;
	struct termios before;
};

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	const struct winsize size = {.ws_row = 25, .ws_col = 80};
	assert_non_null(f);
	assert_int_equal(openpty(&f->master, &f->slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(f->slave, &f->before), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	close(f->master);
	close(f->slave);
	free(f);
	return 0;
}

static bool is_raw(struct fixture *f) {
	struct termios now;
	assert_int_equal(tcgetattr(f->slave, &now), 0);
	return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0 && (now.c_oflag & OPOST) == 0;
}

static void assert_restored(struct fixture *f) {
	struct termios now;
	assert_int_equal(tcgetattr(f->slave, &now), 0);
	assert_int_equal(now.c_iflag, f->before.c_iflag);
	assert_int_equal(now.c_oflag, f->before.c_oflag);
	assert_int_equal(now.c_cflag, f->before.c_cflag);
	assert_int_equal(now.c_lflag, f->before.c_lflag);
	assert_memory_equal(now.c_cc, f->before.c_cc, sizeof(now.c_cc));
}

/* Run end(f) in a process that has made the terminal raw; its wait status. */
static int run_raw(struct fixture *f, void (*end)(struct fixture *f)) {
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = {0};
		setrlimit(RLIMIT_CORE, &no_core);
		/* The sanitizers' own handlers would turn the signal into a report. */
		const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
		for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
			signal(signals[i], SIG_DFL);
		}
		if (terminal_raw(f->slave) != 0 || !is_raw(f)) {
			_exit(99);
		}
		end(f);
		_exit(98);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void end_exit(struct fixture *f) {
	(void)f;
	exit(42);
}

static void test_exit(void **state) {
	struct fixture *f = *state;
	int status = run_raw(f, end_exit);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	assert_restored(f);
}

static int end_signal;

static void end_raise(struct fixture *f) {
	(void)f;
	raise(end_signal);
}

static void end_fault(struct fixture *f) {
	(void)f;
	__asm__ volatile("ud2");
}

static void end_abort(struct fixture *f) {
	(void)f;
	abort();
}

/* The terminal is back, and the process still died of the signal. */
static void test_fatal_signals(void **state) {
	struct fixture *f = *state;
	const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		end_signal = signals[i];
		int status = run_raw(f, end_raise);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
		assert_restored(f);
	}
	int status = run_raw(f, end_fault);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
	assert_restored(f);
	status = run_raw(f, end_abort);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_restored(f);
}

static void end_colored(struct fixture *f) {
	exit(terminal_color(f->slave, "\033]11;rgb:00/00/00\033\\") == 0 ? 0 : 1);
}

static void test_colors(void **state) {
	struct fixture *f = *state;
	assert_int_equal(run_raw(f, end_colored), 0);
	assert_restored(f);
	assert_shown(f->master, "\033]11;rgb:00/00/00\033\\\033]104\033\\\033]110\033\\\033]111\033\\");
}

/* A worker that ends, in whatever way, leaves the running VM's terminal raw. */
static void end_worker_then_exit(struct fixture *f) {
	pid_t pid = fork();
	if (pid == 0) {
		exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	bool raw = is_raw(f);
	pid = fork();
	if (pid == 0) {
		abort();
	}
	waitpid(pid, &status, 0);
	exit(raw && is_raw(f) && WIFSIGNALED(status) ? 7 : 1);
}

static void test_worker(void **state) {
	struct fixture *f = *state;
	int status = run_raw(f, end_worker_then_exit);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_restored(f);
}

/* The shell changed the terminal while ph was stopped. */
static void end_raw_again(struct fixture *f) {
	tcsetattr(f->slave, TCSANOW, &f->before);
	exit(terminal_raw(f->slave) == 0 && is_raw(f) ? 7 : 1);
}

static void test_raw_again(void **state) {
	struct fixture *f = *state;
	int status = run_raw(f, end_raw_again);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_restored(f);
}

/* Until there is a command, Ctrl-C and the like are signals; what is typed is kept. */
static void end_with_signals(struct fixture *f) {
	struct termios now;
	char text[8] = "";
	bool ok = terminal_raw_with_signals(f->slave) == 0 && tcgetattr(f->slave, &now) == 0 &&
		  (now.c_lflag & (ICANON | ECHO | ISIG)) == ISIG && (now.c_iflag & ICRNL) == 0 &&
		  write(f->master, "a\r\004", 3) == 3 && terminal_raw(f->slave) == 0 && is_raw(f) &&
		  read(f->slave, text, sizeof(text)) == 3 && memcmp(text, "a\r\004", 3) == 0;
	exit(ok ? 7 : 1);
}

static void test_signals_first(void **state) {
	struct fixture *f = *state;
	int status = run_raw(f, end_with_signals);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_restored(f);
}

/* Who is stopped gives the terminal back, and takes it again. */
static void test_stop(void **state) {
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigset_t stop;
		sigemptyset(&stop);
		sigaddset(&stop, SIGTSTP);
		sigprocmask(SIG_BLOCK, &stop, NULL);
		setpgid(0, 0);
		bool ok = terminal_raw_with_signals(f->slave) == 0 && terminal_raw(f->slave) == 0 &&
			  terminal_color(f->slave, "colors") == 0;
		terminal_stop();
		exit(ok && is_raw(f) ? 7 : 1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
	assert_restored(f);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_restored(f);
	assert_shown(f->master, "colors" TERMINAL_COLOR_RESET "colors" TERMINAL_COLOR_RESET);
}

/* Nobody could continue a process whose group is orphaned. */
static void test_stop_alone(void **state) {
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t stop;
		sigemptyset(&stop);
		sigaddset(&stop, SIGTSTP);
		sigprocmask(SIG_BLOCK, &stop, NULL);
		setsid();
		alarm(10);
		bool ok = terminal_raw(f->slave) == 0;
		terminal_stop();
		exit(ok && is_raw(f) ? 7 : 1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void end_resumed(struct fixture *f) {
	tcsetattr(f->slave, TCSANOW, &f->before);
	terminal_resume();
	exit(is_raw(f) ? 7 : 1);
}

static void test_resume(void **state) {
	struct fixture *f = *state;
	int status = run_raw(f, end_resumed);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_restored(f);
	terminal_resume(); /* nobody's */
	assert_restored(f);
}

static void end_gone(struct fixture *f) {
	close(f->master);
	terminal_restore();
	terminal_restore();
	exit(7);
}

static void test_gone(void **state) {
	struct fixture *f = *state;
	int master = f->master, other;
	/* Only the child's end of the master must be left, or its closing means nothing. */
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (terminal_raw(f->slave) == 0) {
			end_gone(f);
		}
		_exit(1);
	}
	close(master);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(openpty(&f->master, &other, NULL, NULL, NULL), 0);
	close(other);
}

static void test_no_terminal(void **state) {
	(void)state;
	int pipes[2];
	uint16_t rows, columns;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(terminal_raw(pipes[0]), -ENOTTY);
	assert_false(terminal_size(pipes[0], &rows, &columns));
	terminal_restore();
	close(pipes[0]);
	close(pipes[1]);
}

static void test_size(void **state) {
	struct fixture *f = *state;
	uint16_t rows, columns;
	assert_true(terminal_size(f->slave, &rows, &columns));
	assert_int_equal(rows, 25);
	assert_int_equal(columns, 80);
	const struct winsize unknown = {0};
	assert_int_equal(ioctl(f->master, TIOCSWINSZ, &unknown), 0);
	assert_false(terminal_size(f->slave, &rows, &columns));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- a guest's bytes on a terminal that it has not for itself ---- */

static void expect_filtered(const char *from, const char *to) {
	struct terminal_filter filter = {0};
	uint8_t out[128] = {0};
	assert_true(strlen(from) < sizeof(out));
	terminal_filter(&filter, out, (const uint8_t *)from, strlen(from));
	assert_string_equal((char *)out, to);
	/* And byte by byte, but for sequences, which have to be whole. */
	filter = (struct terminal_filter){0};
	for (size_t i = 0; i < strlen(from) && strchr(to, '\033') == NULL; i++) {
		terminal_filter(&filter, out + i, (const uint8_t *)from + i, 1);
		assert_int_equal(out[i], (uint8_t)to[i]);
	}
}

static void test_filter(void **state) {
	(void)state;
	expect_filtered("plain\ttext\r\n\a\b", "plain\ttext\r\n\a\b");
	expect_filtered("\033[31mred\033[0m\033[38:2:1:2:3m", "\033[31mred\033[0m\033[38:2:1:2:3m");
	expect_filtered("\033]0;title\a", "?]0;title\a");
	expect_filtered("\033[6n\033[21t", "?[6n?[21t");
	expect_filtered("\033P+q\033\\", "?P+q?\\");
	expect_filtered("\033[1;\033[2m", "?[1;\033[2m");
	expect_filtered("\033[1", "?[1");
	expect_filtered("\033\033[m\033", "?\033[m?");
	expect_filtered("\033c\016\005\177", "?c???");
	expect_filtered("\303\244\342\234\223\360\237\232\200", "\303\244\342\234\223\360\237\232\200");
	/* The control character that begins sequences, as a character and as a byte. */
	expect_filtered("\302\2336n\2336n", "\302?6n?6n");
	expect_filtered("\302\240\377\300\233\365\220", "\302\240?????");
	expect_filtered("\342\234a\235", "\342\234a?");
	/* U+009B in three and four bytes, half of a surrogate, a number beyond the last. */
	expect_filtered("\340\202\2336n", "\340??6n");
	expect_filtered("\360\200\202\2336n", "\360???6n");
	expect_filtered("\355\240\200", "\355??");
	expect_filtered("\364\220\200\200", "\364???");
	expect_filtered("\340\240\200\355\237\277\360\220\200\200\364\217\277\277",
		"\340\240\200\355\237\277\360\220\200\200\364\217\277\277");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_exit),
		TEST(test_colors),
		TEST(test_fatal_signals),
		TEST(test_worker),
		TEST(test_raw_again),
		TEST(test_signals_first),
		TEST(test_stop),
		TEST(test_stop_alone),
		TEST(test_resume),
		TEST(test_gone),
		TEST(test_no_terminal),
		TEST(test_size),
		TEST(test_filter),
	};
	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
