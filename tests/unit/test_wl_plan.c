/* Which sockets of the host a plan gives the guest. */
#include "ph/cli.h"
#include "ph/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ph-sockets-XXXXXX";
static char compositor[64], other[64];

static int make_socket(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int ret = bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return ret;
}

static int make_sockets(void **state) {
	(void)state;
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(compositor, sizeof(compositor), "%s/wayland-7", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	return make_socket(compositor) < 0 ? -1 : make_socket(other);
}

static int remove_sockets(void **state) {
	(void)state;
	unlink(compositor);
	unlink(other);
	return rmdir(folder);
}

static int set_environment(void **state) {
	(void)state;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	setenv("WAYLAND_DISPLAY", "wayland-7", 1);
	return 0;
}

/* The plan for these arguments; false and the message when there is none. */
static bool plan_for(struct plan *plan, struct error *error, const char *const *arguments) {
	struct cli_options options;
	char *argv[16] = {(char *)"ph"};
	int argc = 1;
	*plan = (struct plan){0};
	*error = (struct error){0};
	while (*arguments != NULL) {
		argv[argc++] = (char *)*arguments++;
	}
	return cli_parse(&options, argc, argv, error) == 0 && plan_init(plan, &options.request, error) == 0;
}

#define PLAN(plan, ...) \
	struct error error; \
	assert_true(plan_for(plan, &error, (const char *const[]){"--private-home", __VA_ARGS__, NULL}))

static void refuse(const char *message, const char *const *arguments) {
	struct plan plan;
	struct error error;
	assert_false(plan_for(&plan, &error, arguments));
	if (strstr(error.message, message) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", message, error.message);
	}
	plan_finish(&plan);
}

#define REFUSE(message, ...) refuse(message, (const char *const[]){"--private-home", __VA_ARGS__, NULL})

static void test_compositor(void **state) {
	(void)state;
	struct plan plan;
	PLAN(&plan, "--mem=128M");
	assert_int_equal(plan.socket_count, 1);
	assert_string_equal(plan.sockets[0].name, "");
	assert_string_equal(plan.sockets[0].path, compositor);
	assert_true(plan.sockets[0].filtered);
	assert_string_equal(plan.tag, "ph");
	assert_int_equal(plan.clipboard, DISPLAY_CLIPBOARD_KEY);
	plan_finish(&plan);
}

static void test_absolute_path(void **state) {
	(void)state;
	struct plan plan;
	setenv("WAYLAND_DISPLAY", other, 1);
	unsetenv("XDG_RUNTIME_DIR");
	PLAN(&plan, "--mem=128M");
	assert_string_equal(plan.sockets[0].path, other);
	plan_finish(&plan);
}

static void test_unwanted(void **state) {
	(void)state;
	struct plan plan;
	PLAN(&plan, "--no-wayland");
	assert_int_equal(plan.socket_count, 0);
	plan_finish(&plan);
}

static void expect_none(void) {
	struct plan plan;
	PLAN(&plan, "--mem=128M");
	assert_int_equal(plan.socket_count, 0);
	plan_finish(&plan);
}

/* Then there are no windows, and that is all. */
static void test_no_compositor(void **state) {
	(void)state;
	setenv("WAYLAND_DISPLAY", "wayland-8", 1);
	expect_none();
	unsetenv("WAYLAND_DISPLAY"); /* which is wayland-0 */
	expect_none();
	setenv("WAYLAND_DISPLAY", "wayland-7", 1);
	unsetenv("XDG_RUNTIME_DIR");
	expect_none();
	setenv("WAYLAND_DISPLAY", "/etc/passwd", 1);
	expect_none();
}

static void test_marks(void **state) {
	(void)state;
	struct plan plan;
	PLAN(&plan, "--name=mail", "--clipboard=off");
	assert_string_equal(plan.tag, "mail");
	assert_int_equal(plan.clipboard, DISPLAY_CLIPBOARD_OFF);
	plan_finish(&plan);
	assert_true(plan_for(&plan, &error,
		(const char *const[]){
			"--private-home", "--name=mail", "--tag=work!", "--clipboard=focus", NULL}));
	assert_string_equal(plan.tag, "work!");
	assert_int_equal(plan.clipboard, DISPLAY_CLIPBOARD_FOCUS);
	plan_finish(&plan);
	char longest[80];
	snprintf(longest, sizeof(longest), "--tag=%064d", 1);
	REFUSE("longer than 63 bytes", longest);
	REFUSE("no brackets", "--tag=a]");
	REFUSE("no brackets", "--tag=a b");
	REFUSE("clipboard", "--clipboard=perhaps");
}

static void test_named(void **state) {
	(void)state;
	struct plan plan;
	char option[128];
	snprintf(option, sizeof(option), "--wl-socket=name=%s", other);
	PLAN(&plan, option);
	assert_int_equal(plan.socket_count, 2);
	assert_string_equal(plan.sockets[0].name, "name");
	assert_string_equal(plan.sockets[0].path, other);
	assert_false(plan.sockets[0].filtered);
	assert_string_equal(plan.sockets[1].path, compositor);
	plan_finish(&plan);
}

static void test_instead_of_the_compositor(void **state) {
	(void)state;
	struct plan plan;
	char option[128];
	snprintf(option, sizeof(option), "--wl-socket==%s", other);
	PLAN(&plan, option);
	assert_int_equal(plan.socket_count, 1);
	assert_string_equal(plan.sockets[0].name, "");
	assert_string_equal(plan.sockets[0].path, other);
	plan_finish(&plan);
}

static void test_errors(void **state) {
	(void)state;
	char good[128], again[128], long_name[128], long_path[256];
	snprintf(good, sizeof(good), "a=%s", other);
	snprintf(again, sizeof(again), "a=%s", compositor);
	snprintf(long_name, sizeof(long_name), "%032d=%s", 1, other);
	snprintf(long_path, sizeof(long_path), "a=/%0200d", 1);
	REFUSE("must be NAME=PATH", "--wl-socket", "name");
	REFUSE("must be NAME=PATH", "--wl-socket", "name=relative");
	REFUSE("is not a socket", "--wl-socket", "name=/etc/passwd");
	REFUSE("is not a socket", "--wl-socket", "name=/nonexistent");
	REFUSE("the name is taken", "--wl-socket", good, "--wl-socket", again);
	REFUSE("too long", "--wl-socket", long_name);
	REFUSE("too long", "--wl-socket", long_path);
}

int main(void) {
	unsetenv("SUDO_UID"); /* tests may be run by it */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_compositor, set_environment),
		cmocka_unit_test_setup(test_absolute_path, set_environment),
		cmocka_unit_test_setup(test_no_compositor, set_environment),
		cmocka_unit_test_setup(test_unwanted, set_environment),
		cmocka_unit_test_setup(test_marks, set_environment),
		cmocka_unit_test_setup(test_named, set_environment),
		cmocka_unit_test_setup(test_instead_of_the_compositor, set_environment),
		cmocka_unit_test_setup(test_errors, set_environment),
	};
	return cmocka_run_group_tests_name("wl plan", tests, make_sockets, remove_sockets);
}
