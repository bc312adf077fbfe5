/*
 * The filter between real clients and a real compositor, natively: weston without a screen, wayland-info, a
 * window that moves, and clients that break rules beside it.
 */
#include "filter_between.h"

#include "ph/wayland_protocols.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

static char folder[] = "/tmp/ph-filter-XXXXXX";
static char compositor[64], filtered[64];
static pid_t weston, between;

static pid_t start(const char *display, const char *const *command, const char *output) {
	pid_t pid = fork();
	if (pid == 0) {
		setenv("XDG_RUNTIME_DIR", folder, 1);
		setenv("WAYLAND_DISPLAY", display, 1);
		freopen(output != NULL ? output : "/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		execvp(command[0], (char **)command);
		_exit(127);
	}
	return pid;
}

static bool wait_for(bool (*done)(const char *), const char *what) {
	for (unsigned i = 0; i < PATIENCE_MS / 50; i++) {
		if (done(what)) {
			return true;
		}
		poll(NULL, 0, 50);
	}
	return false;
}

static bool answers(const char *path) {
	int fd = between_connect(path);
	close(fd);
	return fd >= 0;
}

static int set_up(void **state) {
	(void)state;
	if (access("/usr/bin/weston", X_OK) < 0 || access("/usr/bin/wayland-info", X_OK) < 0) {
		return 0;
	}
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(compositor, sizeof(compositor), "%s/real", folder);
	snprintf(filtered, sizeof(filtered), "%s/filtered", folder);
	weston = start("none",
		(const char *const[]){"weston", "--backend=headless-backend.so", "--use-pixman",
			"--socket=real", "--idle-time=0", "--no-config", NULL},
		NULL);
	if (!wait_for(answers, compositor)) {
		return -1;
	}
	int listener = between_listen(filtered);
	between = fork();
	if (between == 0) {
		char log[80];
		snprintf(log, sizeof(log), "%s/rules", folder);
		freopen(log, "w", stderr);
		setvbuf(stderr, NULL, _IOLBF, 0);
		filter_between(listener, compositor, "test", DISPLAY_CLIPBOARD_KEY);
		_exit(1);
	}
	close(listener);
	return 0;
}

static void end(pid_t pid) {
	if (pid > 0) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
}

static int tear_down(void **state) {
	(void)state;
	end(between);
	end(weston);
	char command[80];
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return weston > 0 ? system(command) : 0;
}

static void need_weston(void) {
	if (weston <= 0) {
		skip();
	}
}

/* A client of few words, by hand. */
static int say(const uint32_t *words, size_t count) {
	int fd = between_connect(filtered);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, words, count * sizeof(*words), MSG_NOSIGNAL), count * sizeof(*words));
	return fd;
}

/* The stream's end after what it says; false: it goes on. */
static bool hears(int fd, char *text, size_t size) {
	size_t length = 0;
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	while (length < size && poll(&pollfd, 1, PATIENCE_MS) == 1) {
		ssize_t n = recv(fd, text + length, size - length, 0);
		if (n <= 0) {
			close(fd);
			return memmem(text, length, "ph: ", 4) != NULL;
		}
		length += (size_t)n;
	}
	close(fd);
	return false;
}

static int run(const char *display, const char *const *command, const char *output) {
	int status = -1;
	waitpid(start(display, command, output), &status, 0);
	return status;
}

/* The globals in a list by wayland-info; how many. */
static unsigned globals_of(const char *display, char names[64][64], unsigned *versions) {
	char path[80], line[256];
	unsigned count = 0;
	snprintf(path, sizeof(path), "%s/info", folder);
	assert_int_equal(run(display, (const char *const[]){"wayland-info", NULL}, path), 0);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (count < 64 && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "interface: '%63[^']', version: %u", names[count], &versions[count]) == 2) {
			count++;
		}
	}
	fclose(file);
	return count;
}

static void test_globals(void **state) {
	(void)state;
	need_weston();
	char names[64][64];
	unsigned versions[64], count = globals_of("real", names, versions), hidden = 0;
	for (unsigned i = 0; i < count; i++) {
		hidden += strcmp(names[i], "weston_screenshooter") == 0 ||
			  strcmp(names[i], "zwp_input_panel_v1") == 0 ||
			  strcmp(names[i], "zwp_linux_explicit_synchronization_v1") == 0;
	}
	assert_true(hidden > 0); /* or there would be nothing to see here */
	count = globals_of("filtered", names, versions);
	assert_true(count > 8);
	for (unsigned i = 0; i < count; i++) {
		const struct wl_interface *known = wire_interface_find(names[i]);
		assert_non_null(known);
		assert_true((int)versions[i] <= known->version);
		assert_int_not_equal(strncmp(names[i], "weston_", 7), 0);
	}
}

/* A window moves, others do what they must not, and it goes on moving. */
static void test_neighbours(void **state) {
	(void)state;
	need_weston();
	pid_t window = start("filtered", (const char *const[]){"weston-simple-shm", NULL}, NULL);
	const uint32_t sync[] = {1, 12 << 16, 2};
	struct pollfd answer = {.fd = say(sync, 3), .events = POLLIN};
	assert_int_equal(poll(&answer, 1, PATIENCE_MS), 1);
	close(answer.fd);
	static const struct {
		uint32_t words[16];
		size_t count;
	} abuses[] = {
		{{7, 8 << 16}, 2},              /* no such object */
		{{1, 8 << 16 | 9}, 2},          /* no such request */
		{{1, 4 << 16}, 2},              /* no such length */
		{{1, 12 << 16, 9}, 3},          /* an id that is not the next */
		{{1, 12 << 16, 0xff000000}, 3}, /* an id of the compositor's */
		{{1, 12 << 16 | 1, 2, 2, 32 << 16, 1, 5, 0x785f6c77, 0, 1, 3},
			11}, /* nothing that was shown */
	};
	for (size_t i = 0; i < sizeof(abuses) / sizeof(abuses[0]); i++) {
		char text[8192];
		assert_true(hears(say(abuses[i].words, abuses[i].count), text, sizeof(text)));
	}
	poll(NULL, 0, 200);
	assert_int_equal(waitpid(window, NULL, WNOHANG), 0);
	char names[64][64];
	unsigned versions[64];
	assert_true(globals_of("filtered", names, versions) > 8);
	end(window);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globals),
		cmocka_unit_test(test_neighbours),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("filter and weston", tests, set_up, tear_down);
}
