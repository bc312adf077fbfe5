/* What ph makes of a realm when a realmsd of each generation tells what runs, and when the bus is of no use.
 */
#include "ph/instance.h"
#include "ph/log.h"
#include "ph/plan.h"

#include "realm_citadel.h"
#include "realmsd.h"

#include <errno.h>
#include <fcntl.h>
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

static struct citadel citadel;
static struct realmsd realmsd;

static int start(void **state) {
	(void)state;
	unsetenv("WAYLAND_DISPLAY");
	return citadel_make(&citadel) == 0 && realmsd_start_bus(&realmsd) ? 0 : -1;
}

static int stop(void **state) {
	(void)state;
	realmsd_stop_bus(&realmsd);
	citadel_remove(&citadel);
	return 0;
}

/* What a call prints to a stream. */
static int print_to(int stream, char *text, size_t size, int (*call)(void)) {
	char path[] = "/tmp/ph-said-XXXXXX";
	int file = mkstemp(path), kept = dup(stream);
	assert_true(file >= 0 && kept >= 0);
	unlink(path);
	fflush(stdout);
	dup2(file, stream);
	int ret = call();
	fflush(stdout);
	dup2(kept, stream);
	ssize_t length = pread(file, text, size - 1, 0);
	assert_true(length >= 0);
	text[length] = '\0';
	close(kept);
	close(file);
	return ret;
}

static struct plan_request request;
static struct error error;
static char vm_name[80];

static int make_plan(void) {
	struct plan plan;
	error = (struct error){0};
	int ret = plan_init(&plan, &request, &error);
	snprintf(vm_name, sizeof(vm_name), "%s", ret == 0 ? plan.name : "");
	plan_finish(&plan);
	return ret;
}

static int print_realms(void) {
	return plan_print_realms(&error);
}

/* A request for a realm: what it returns, and what it says. */
static int ask(const char *realm, bool force, char *said, size_t size) {
	request = (struct plan_request){.realm = realm, .force = force, .cpus = 1, .memory = 256u << 20};
	return print_to(STDERR_FILENO, said, size, make_plan);
}

/* On a busy machine an answer may come too late for ph, which then goes by the files: ask again. */
#define ATTEMPTS 20

static char heard[4096];

static void expect(const char *realm, bool force, int ret, const char *text) {
	for (int i = 0; i < ATTEMPTS; i++) {
		bool same = ask(realm, force, heard, sizeof(heard)) == ret;
		if (same && strstr(ret < 0 ? error.message : heard, text) != NULL) {
			return;
		}
	}
	fail_msg("%s: \"%s\" is neither in \"%s\" nor in \"%s\"", realm, text, error.message, heard);
}

static void expect_list(const char *list) {
	char text[1024];
	for (int i = 0; i < 10 * ATTEMPTS; i++) {
		assert_int_equal(print_to(STDOUT_FILENO, text, sizeof(text), print_realms), 0);
		if (strcmp(text, list) == 0) {
			return;
		}
		usleep(20000);
	}
	assert_string_equal(text, list);
}

/* It says that main runs and is the current realm, and that other is stopped. */
static void await_service(void) {
	expect_list("main\trunning,current\tmain\nother\tstopped\tmain\n");
}

static void with_generation(int generation) {
	realmsd_start(&realmsd, generation);
	await_service();
	expect("main", false, -EBUSY, "its container runs, with the same home");
	expect("current", false, -EBUSY, "realm main: its container runs");
	expect("main", true, 0, "may spoil each other's files");
	citadel_write(&citadel, "realm-other/config", "realm-depends = ['missing', 'main']\n");
	expect("other", false, 0, "ph: realm other depends on realm missing, which does not run\n");
	assert_null(strstr(heard, "realm main"));
	citadel_write(&citadel, "realm-other/config", "");
	realmsd_stop(&realmsd);
}

static void generation_1(void **state) {
	(void)state;
	with_generation(1);
}

static void generation_2(void **state) {
	(void)state;
	with_generation(2);
}

static void generation_3(void **state) {
	(void)state;
	with_generation(3);
}

/* Where realmsd and the files differ, --verbose says so. */
static void different_config(void **state) {
	(void)state;
	realmsd_start(&realmsd, 3);
	await_service();
	log_verbose_enabled = true;
	expect("other", false, 0, "overlay = 'storage' in the files, and tmpfs to realmsd");
	log_verbose_enabled = false;
	realmsd_stop(&realmsd);
}

/* Nothing but a line for --verbose: the files decide. */
static void assert_of_no_use(void) {
	char said[4096], text[1024];
	assert_int_equal(ask("main", false, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	assert_string_equal(vm_name, "main");
	log_verbose_enabled = true;
	assert_int_equal(ask("main", false, said, sizeof(said)), 0);
	log_verbose_enabled = false;
	assert_non_null(strstr(said, "ph: realmsd: List: "));
	assert_int_equal(print_to(STDOUT_FILENO, text, sizeof(text), print_realms), 0);
	assert_string_equal(text, "main\tstopped\tmain\nother\tstopped\tmain\n");
	assert_int_equal(ask("current", false, said, sizeof(said)), -ENOENT);
	assert_non_null(strstr(error.message, "no realm is the current one"));
}

static void nonsense(void **state) {
	(void)state;
	realmsd_start(&realmsd, 1);
	await_service();
	realmsd_stop(&realmsd);
	realmsd_start(&realmsd, 0);
	assert_of_no_use();
	realmsd_stop(&realmsd);
}

static void nobody_on_the_bus(void **state) {
	(void)state;
	assert_of_no_use();
}

static void silence(void **state) {
	(void)state;
	char said[1024];
	realmsd_start(&realmsd, -1);
	usleep(300000);
	assert_int_equal(ask("main", false, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	realmsd_stop(&realmsd);
}

/* One that takes connections and says nothing at all. */
static void dead_bus(void **state) {
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char variable[128], said[1024];
	char *kept = strdup(getenv("DBUS_SYSTEM_BUS_ADDRESS"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", citadel.top);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	snprintf(variable, sizeof(variable), "unix:path=%s", address.sun_path);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", variable, 1);
	assert_int_equal(ask("main", false, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	setenv("DBUS_SYSTEM_BUS_ADDRESS", kept, 1);
	free(kept);
	close(fd);
}

static void no_bus(void **state) {
	(void)state;
	char *kept = strdup(getenv("DBUS_SYSTEM_BUS_ADDRESS"));
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	assert_of_no_use();
	setenv("DBUS_SYSTEM_BUS_ADDRESS", kept, 1);
	free(kept);
}

/* By what name a realm is asked for, and found by the next command. */
static void names(void **state) {
	(void)state;
	char name[PLAN_REALM_MAX + 1], longest[PLAN_REALM_MAX + 2];
	memset(longest, 'x', sizeof(longest));
	longest[PLAN_REALM_MAX + 1] = '\0';
	request = (struct plan_request){.realm = longest};
	assert_int_equal(plan_realm_name(&request, name, &error), -EINVAL);
	longest[PLAN_REALM_MAX] = '\0';
	assert_int_equal(plan_realm_name(&request, name, &error), 0);
	assert_string_equal(name, longest);
	request.realm = "../main";
	assert_int_equal(plan_realm_name(&request, name, &error), -EINVAL);
}

static bool has(const struct plan *plan, const char *variable) {
	for (size_t i = 0; plan->environment[i] != NULL; i++) {
		if (strcmp(plan->environment[i], variable) == 0) {
			return true;
		}
	}
	return false;
}

/* A command of later finds what the VM has: the realm, its screen, sound and colours. */
static void joined(void **state) {
	(void)state;
	struct plan plan = {0}, later = {0};
	struct record_buffer facts = {0};
	const struct plan_request again = {.as_root = false};
	char user[64];
	error = (struct error){0};
	citadel_write(&citadel, "realm-main/config", "terminal-scheme = 'embers'\n");
	request = (struct plan_request){.realm = "main", .cpus = 1, .memory = 256u << 20};
	assert_int_equal(plan_init(&plan, &request, &error), 0);
	snprintf(user, sizeof(user), "PULSE_SERVER=unix:/run/user/%u/pulse/native", plan.user.uid);
	for (int with = 0; with < 2; with++) {
		plan.has_screen = plan.has_sound = with == 1;
		plan_put_facts(&plan, &facts);
		assert_false(facts.failed);
		assert_int_equal(plan_init_join(&later, &again, facts.data, facts.size, &error), 0);
		assert_true(has(&later, "REALM_NAME=main") && has(&later, "HOME=/home/user"));
		assert_int_equal(has(&later, "WAYLAND_DISPLAY=wayland-0"), with);
		assert_int_equal(has(&later, "GDK_BACKEND=wayland"), with);
		assert_int_equal(has(&later, user), with);
		assert_string_equal(later.palette, plan.palette);
		record_buffer_finish(&facts);
		plan_finish(&later);
	}
	/* Said twice, nothing of it is lost. */
	record_put_string(&facts, INSTANCE_FACT_REALM, "a");
	record_put_string(&facts, INSTANCE_FACT_REALM, "b");
	assert_int_equal(plan_init_join(&later, &again, facts.data, facts.size, &error), -EPROTO);
	record_buffer_finish(&facts);
	plan_finish(&later);
	plan_finish(&plan);
	citadel_write(&citadel, "realm-main/config", "");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generation_1),
		cmocka_unit_test(generation_2),
		cmocka_unit_test(generation_3),
		cmocka_unit_test(different_config),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(nobody_on_the_bus),
		cmocka_unit_test(silence),
		cmocka_unit_test(dead_bus),
		cmocka_unit_test(no_bus),
		cmocka_unit_test(names),
		cmocka_unit_test(joined),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
