/* What is asked of a VM that runs already: whether it is what the command line says. */
#include "ph/cli.h"
#include "ph/instance.h"
#include "ph/record.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What a command line that suits the VM meets here: these VMs do not say whose they are. */
#define SUITS "the VM's description of itself cannot be read"

static char top[] = "/tmp/test_join.XXXXXX";

static int set_up(void **state) {
	(void)state;
	return mkdtemp(top) == NULL ? -1 : setenv("XDG_RUNTIME_DIR", top, 1);
}

static int tear_down(void **state) {
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void serve_nobody(int listener) {
	(void)listener;
	pause();
}

/* Its description is the first thing to go. */
static void end_when_connected(int listener) {
	char path[64];
	snprintf(path, sizeof(path), "%s/ph/box/vm", top);
	unlink(path);
	struct pollfd comer = {.fd = listener, .events = POLLIN};
	poll(&comer, 1, 10000);
}

static void run_vm(const struct record_buffer *facts, void (*serve)(int listener), int ready) {
	struct instance instance;
	struct error error = {0};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int listener = -EBUSY;
	for (unsigned i = 0; i < 500 && listener == -EBUSY; i++) {
		listener = instance_take(&instance, "box", &error);
		usleep(10000); /* the one before is being cleared up */
	}
	listener = listener < 0 ? listener : instance_open(&instance, facts, &error);
	if (listener >= 0 && write(ready, "y", 1) == 1) {
		serve(listener);
	}
	_exit(1);
}

static pid_t start_vm(const struct record_buffer *facts, void (*serve)(int listener)) {
	int ends[2];
	char byte;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		run_vm(facts, serve, ends[1]);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

#define WORDS_MAX 16

/* What ph says to these options. */
static void run(const char *const *words, const char *message) {
	char *argv[WORDS_MAX] = {(char *)"ph", (char *)"--name", (char *)"box"};
	struct cli_options options = {0};
	struct error error = {0};
	int argc = 3;
	for (; words[argc - 3] != NULL; argc++) {
		argv[argc] = (char *)words[argc - 3];
	}
	assert_int_equal(cli_parse(&options, argc, argv, &error), 0);
	assert_true(cli_run(&options, &error) < 0);
	if (strstr(error.message, message) == NULL) {
		fail_msg("'%s', not '%s'", error.message, message);
	}
	cli_finish(&options);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* And where the VM has these settings. */
static void expect(
	const char *const *settings, const char *realm, const char *const *words, const char *message) {
	struct record_buffer facts = {0};
	record_put_u64(&facts, INSTANCE_FACT_PROTOCOL, INSTANCE_PROTOCOL);
	record_put_list(&facts, INSTANCE_FACT_SETTINGS, settings);
	if (realm != NULL) {
		record_put_string(&facts, INSTANCE_FACT_REALM, realm);
	}
	pid_t pid = start_vm(&facts, serve_nobody);
	run(words, message);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	record_buffer_finish(&facts);
}

/* A profile comes first, and the command line of who started it second. */
static void test_last_counts(void **state) {
	(void)state;
	const char *const settings[] = {
		"private-home=yes", "private-home=no", "home=/a", "home=/b", "mem=1G", "mem=2G", NULL};
	expect(settings, NULL, WORDS("--private-home"), "runs without --private-home,");
	expect(settings, NULL, WORDS("--private-home=no"), SUITS);
	expect(settings, NULL, WORDS("--private-home", "--private-home=no"), SUITS);
	expect(settings, NULL, WORDS("--home", "/a"), "runs without --home /a,");
	expect(settings, NULL, WORDS("--home", "/b"), SUITS);
	expect(settings, NULL, WORDS("--mem", "1G"), "runs without --mem 1G,");
	expect(settings, NULL, WORDS("--mem", "1G", "--mem", "2G"), SUITS);
}

static void test_each_counts(void **state) {
	(void)state;
	const char *const settings[] = {"share=/a", "share=/b", "hide=/c", "publish=1:2", "net=no", NULL};
	expect(settings, NULL, WORDS("--share", "/a", "--share", "/b", "--hide", "/c"), SUITS);
	expect(settings, NULL, WORDS("--share", "/a", "--share", "/c"), "runs without --share /c,");
	expect(settings, NULL, WORDS("--publish", "1:2"), SUITS);
	expect(settings, NULL, WORDS("--net"), "runs without --net,");
}

/* The same file whatever directory it is asked for in, and not another of that name. */
static void test_paths(void **state) {
	(void)state;
	char image[128];
	snprintf(image, sizeof(image), "realmfs=%s/base.img", top);
	assert_int_equal(chdir(top), 0);
	expect((const char *const[]){image, NULL}, NULL, WORDS("--realmfs", "base.img"), SUITS);
	assert_int_equal(chdir("/"), 0);
	expect((const char *const[]){image, NULL}, NULL, WORDS("--realmfs", "base.img"),
		"runs without --realmfs base.img,");
	expect((const char *const[]){"realmfs=base", NULL}, NULL, WORDS("--realmfs", "base"), SUITS);
}

/* Longer than what names of VMs are made of. */
static void test_realms(void **state) {
	(void)state;
	char name[PLAN_REALM_MAX + 1], other[PLAN_REALM_MAX + 1];
	const char *const settings[] = {NULL};
	memset(name, 'r', PLAN_REALM_MAX);
	name[PLAN_REALM_MAX] = '\0';
	memcpy(other, name, sizeof(name));
	other[PLAN_REALM_MAX - 1] = 'x';
	expect(settings, name, WORDS("--realm", name), SUITS);
	expect(settings, name, WORDS("--realm", other), "runs without --realm");
	expect(settings, NULL, WORDS("--realm", name), "runs without --realm");
}

/* Then it is the next one's turn, which cannot start here. */
static void test_ended_meanwhile(void **state) {
	(void)state;
	const struct record_buffer facts = {0};
	pid_t pid = start_vm(&facts, end_when_connected);
	run(WORDS("--kernel", "/nonexistent"), "/nonexistent");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_counts),
		cmocka_unit_test(test_each_counts),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_realms),
		cmocka_unit_test(test_ended_meanwhile),
	};
	return cmocka_run_group_tests_name("join", tests, set_up, tear_down);
}
