/*
 * The process that tends passt, with the real passt, in namespaces of the test's own: passt is started, and
 * what becomes of the guest's resolv.conf when the host's is written, replaced, or names a server that passt
 * does not know, and when its interface goes away.
 */
#include "ph/passt.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PASST "/usr/bin/passt"
#define WAIT_MS 20000
#define QUIET_MS 300

static const char *const arguments[] = {"passt", "--foreground", "--quiet", "--mtu", "65520", "--mac-addr",
	"02:70:68:00:00:01", "--address", "10.213.112.2", "--netmask", "24", "--gateway", "10.213.112.1",
	"--no-map-gw", "--no-dhcp", "--no-dhcpv6", "--no-ra", NULL};

/* Not every machine lets tests have namespaces. */
static bool able;

struct fixture {
	struct passt passt;
	int link, supply;
};

/* What stands in for the translation of plan/resolv.c: the host's loopback is the forwarded address. */
static char *make_resolv(void) {
	char *text = calloc(1, 4096);
	FILE *file = fopen("/etc/resolv.conf", "r");
	if (file != NULL && text != NULL && fread(text, 1, 4000, file) > 0 &&
		strstr(text, "127.0.0.") != NULL) {
		strcpy(text, "nameserver 10.213.112.3\n");
	}
	if (file != NULL) {
		fclose(file);
	}
	return text;
}

static bool find_interface(char name[IF_NAMESIZE]) {
	strcpy(name, if_nametoindex("lo") > 0 ? "lo" : "other");
	return false;
}

static void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool put(const char *path, const char *format, unsigned id) {
	char text[64];
	int fd = open(path, O_WRONLY);
	snprintf(text, sizeof(text), format, id, id);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;
	close(fd);
	return done;
}

/* An /etc of the test's own, and a loopback. */
static int enter_namespaces(void **state) {
	(void)state;
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	unsigned uid = getuid(), gid = getgid();
	if (access(PASST, X_OK) == 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0 &&
		put("/proc/self/setgroups", "deny", 0) && put("/proc/self/uid_map", "%u %u 1", uid) &&
		put("/proc/self/gid_map", "%u %u 1", gid) && mount("etc", "/etc", "tmpfs", 0, NULL) == 0) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		able = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
		close(fd);
	}
	return 0;
}

/* It is up when it takes frames; and its tender watches since before. An ARP request for the gateway. */
static void expect_answer(int link) {
	static const uint8_t question[4 + 42] = {0, 0, 0, 42, 255, 255, 255, 255, 255, 255, 2, 0x70, 0x68, 0,
		0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0x70, 0x68, 0, 0, 2, 10, 213, 112, 2, 0, 0, 0, 0, 0, 0,
		10, 213, 112, 1};
	uint8_t length[4];
	struct pollfd answer = {.fd = link, .events = POLLIN};
	assert_int_equal(write(link, question, sizeof(question)), sizeof(question));
	assert_int_equal(poll(&answer, 1, WAIT_MS), 1);
	assert_int_equal(read(link, length, sizeof(length)), sizeof(length));
}

static int start(void **state) {
	*state = NULL;
	if (!able) {
		return 0;
	}
	struct fixture *f = calloc(1, sizeof(*f));
	write_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
	char *resolv = make_resolv();
	const struct passt_options options = {.program = PASST,
		.arguments = (char *const *)(uintptr_t)arguments,
		.find_interface = find_interface,
		.resolver = "10.213.112.3",
		.resolv = resolv,
		.make_resolv = make_resolv};
	assert_int_equal(passt_start(&f->passt, &options, &f->link, &f->supply), 0);
	free(resolv);
	expect_answer(f->link);
	*state = f;
	return 0;
}

static int stop(void **state) {
	struct fixture *f = *state;
	if (f == NULL) {
		return 0;
	}
	passt_stop(&f->passt);
	close(f->link);
	close(f->supply);
	free(f);
	return unlink("/etc/resolv.conf");
}

static struct fixture *fixture_or_skip(void **state) {
	if (*state == NULL) {
		skip();
	}
	return *state;
}

static void expect_names(struct fixture *f, const char *text) {
	char got[4096] = "";
	struct pollfd ready = {.fd = f->passt.names, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
	assert_true(read(f->passt.names, got, sizeof(got) - 1) > 0);
	assert_string_equal(got, text);
}

static void expect_silence(int fd) {
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, QUIET_MS), 0);
}

static void test_written(void **state) {
	struct fixture *f = fixture_or_skip(state);
	write_file("/etc/resolv.conf", "nameserver 192.0.2.2\n");
	expect_names(f, "nameserver 192.0.2.2\n");
	write_file("/etc/resolv.conf", "nameserver 192.0.2.2\n"); /* as before */
	write_file("/etc/resolv.conf", "");                       /* between two networks */
	expect_silence(f->passt.names);
	expect_silence(f->supply);
}

static void test_replaced(void **state) {
	struct fixture *f = fixture_or_skip(state);
	write_file("/etc/resolv.conf.new", "nameserver 192.0.2.3\n");
	assert_int_equal(rename("/etc/resolv.conf.new", "/etc/resolv.conf"), 0);
	expect_names(f, "nameserver 192.0.2.3\n");
	/* The new file is watched as the old one was. */
	write_file("/etc/resolv.conf", "nameserver 192.0.2.4\n");
	expect_names(f, "nameserver 192.0.2.4\n");
}

/* A link is made, into a folder of a service's, and then the service writes there. */
static void test_linked(void **state) {
	struct fixture *f = fixture_or_skip(state);
	assert_int_equal(mkdir("/etc/service", 0755), 0);
	write_file("/etc/service/stub.conf", "nameserver 192.0.2.5\n");
	assert_int_equal(symlink("service/stub.conf", "/etc/resolv.conf.new"), 0);
	assert_int_equal(rename("/etc/resolv.conf.new", "/etc/resolv.conf"), 0);
	expect_names(f, "nameserver 192.0.2.5\n");
	write_file("/etc/service/new", "nameserver 192.0.2.6\n");
	assert_int_equal(rename("/etc/service/new", "/etc/service/stub.conf"), 0);
	expect_names(f, "nameserver 192.0.2.6\n");
}

static void expect_link(struct fixture *f) {
	bool ended;
	struct pollfd ready = {.fd = f->supply, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
	close(f->link);
	f->link = fd_receive(f->supply, &ended);
	assert_true(f->link >= 0);
}

/* passt learned at its start where questions go; a server at the loopback needs a new one, which a link leads
 * to. */
static void test_loopback(void **state) {
	struct fixture *f = fixture_or_skip(state);
	write_file("/etc/resolv.conf", "nameserver 127.0.0.1\n");
	expect_names(f, "nameserver 10.213.112.3\n");
	expect_link(f);
	/* And that one knows it. */
	write_file("/etc/resolv.conf", "nameserver 192.0.2.7\n");
	expect_names(f, "nameserver 192.0.2.7\n");
	write_file("/etc/resolv.conf", "nameserver 127.0.0.1\n");
	expect_names(f, "nameserver 10.213.112.3\n");
	expect_silence(f->supply);
}

/* The guest's resolv.conf says the same of each server at the loopback, and yet they are others to passt. */
static void test_other_loopback(void **state) {
	struct fixture *f = fixture_or_skip(state);
	write_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
	expect_names(f, "nameserver 10.213.112.3\n");
	expect_link(f);
	write_file("/etc/resolv.conf", "nameserver 127.0.0.1\n");
	expect_link(f);
	expect_silence(f->passt.names);
	/* By way of another network. */
	write_file("/etc/resolv.conf", "nameserver 192.0.2.7\n");
	expect_names(f, "nameserver 192.0.2.7\n");
	write_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
	expect_names(f, "nameserver 10.213.112.3\n");
	expect_link(f);
	/* While the file is being written. */
	write_file("/etc/resolv.conf", "search example.test\n");
	write_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
	expect_silence(f->passt.names);
	expect_silence(f->supply);
}

static pid_t pid_of_passt(struct fixture *f) {
	char path[64], text[64] = "";
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", f->passt.pid, f->passt.pid);
	if (fd_read_file(path, text, sizeof(text)) <= 0) {
		skip(); /* a kernel without this list */
	}
	return (pid_t)strtol(text, NULL, 10);
}

/* Of the test's one interface. */
static void rename_interface(const char *name, const char *new_name) {
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0); /* down */
	strcpy(request.ifr_newname, new_name);
	assert_int_equal(ioctl(fd, SIOCSIFNAME, &request), 0);
	strcpy(request.ifr_name, new_name);
	request.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

/* passt is given an interface, which may be a container's, or a dock's. */
static void test_interface_vanishes(void **state) {
	struct fixture *f = fixture_or_skip(state);
	rename_interface("lo", "other");
	assert_int_equal(kill(pid_of_passt(f), SIGKILL), 0);
	expect_link(f);
	expect_answer(f->link);
	rename_interface("other", "lo");
}

static void test_who_stays_is_killed(void **state) {
	struct fixture *f = fixture_or_skip(state);
	pid_t pid = f->passt.pid;
	kill(pid, SIGSTOP);
	alarm(60);
	passt_stop(&f->passt);
	alarm(0);
	assert_int_equal(kill(pid, 0), -1);
}

/* And passt itself is ended by who tends it, which gets the time for that. */
static void test_stopped_passt_is_killed(void **state) {
	struct fixture *f = fixture_or_skip(state);
	pid_t pid = pid_of_passt(f);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	passt_stop(&f->passt);
	assert_int_equal(kill(pid, 0), -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written, start, stop),
		cmocka_unit_test_setup_teardown(test_replaced, start, stop),
		cmocka_unit_test_setup_teardown(test_linked, start, stop),
		cmocka_unit_test_setup_teardown(test_loopback, start, stop),
		cmocka_unit_test_setup_teardown(test_other_loopback, start, stop),
		cmocka_unit_test_setup_teardown(test_interface_vanishes, start, stop),
		cmocka_unit_test_setup_teardown(test_who_stays_is_killed, start, stop),
		cmocka_unit_test_setup_teardown(test_stopped_passt_is_killed, start, stop),
	};
	return cmocka_run_group_tests_name("passt", tests, enter_namespaces, NULL);
}
