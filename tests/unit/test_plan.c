/* Plans made of requests over a folder of real files: what is shared, hidden, opened, locked and refused. */
#include "ph/plan.h"

#include "ph/record.h"
#include "plan/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char top[] = "/tmp/ph-plan-XXXXXX";

static int make_tree(void **state) {
	(void)state;
	if (mkdtemp(top) == NULL || chdir(top) < 0) {
		return -1;
	}
	setenv("HOME", top, 1);
	unsetenv("LC_TIME");
	return mkdir("a", 0755) < 0 || mkdir("a/inner", 0755) < 0 || mkdir("b", 0755) < 0 ? -1 : 0;
}

static int remove_tree(void **state) {
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

static char *in_top(const char *rest) {
	static char path[8][256];
	static unsigned next;
	char *p = path[next++ % 8];
	snprintf(p, sizeof(path[0]), "%s%s", top, rest);
	return p;
}

static void assert_plan(struct plan *plan, const struct plan_request *request) {
	struct error error = {0};
	int ret = plan_init(plan, request, &error);
	assert_string_equal(error.message, "");
	assert_int_equal(ret, 0);
}

static void assert_refused(const struct plan_request *request, const char *message) {
	struct plan plan;
	struct error error = {0};
	assert_true(plan_init(&plan, request, &error) < 0);
	if (strstr(error.message, message) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", message, error.message);
	}
	assert_null(strchr(error.message, '\n'));
	plan_finish(&plan);
}

static bool share_hides(const struct plan_share *share, const char *path) {
	for (char **hide = share->files.hide; hide != NULL && *hide != NULL; hide++) {
		if (strcmp(*hide, path) == 0) {
			return true;
		}
	}
	return false;
}

static bool hides(const struct plan *plan, const char *path) {
	return share_hides(&plan->shares[0], path);
}

static const char *variable(const struct plan *plan, const char *name) {
	size_t length = strlen(name);
	for (char **item = plan->environment; *item != NULL; item++) {
		if (strncmp(*item, name, length) == 0 && (*item)[length] == '=') {
			return *item + length + 1;
		}
	}
	return NULL;
}

static void write_image(const char *path, size_t size, bool ext4) {
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (ext4) {
		uint8_t superblock[1024] = {
			[4] = 64, [24] = 0, [56] = 0x53, [57] = 0xef}; /* 64 blocks of 1 KiB */
		assert_int_equal(pwrite(fd, superblock, sizeof(superblock), 1024), sizeof(superblock));
	}
	close(fd);
}

static void self_host(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){0});
	assert_int_equal(plan.root, PLAN_ROOT_SELF);
	assert_string_equal(plan.name, "ph");
	assert_true(plan.cpus >= 1 && plan.cpus <= 16);
	assert_true(plan.memory >= 64 << 20 && plan.memory <= 8ULL << 30 && plan.memory % (2 << 20) == 0);
	assert_int_equal(plan.sandbox, PLAN_SANDBOX_DEFAULT);
	assert_int_equal(plan.share_count, 2);
	assert_null(plan.shares[0].guest_path);
	assert_true(plan.shares[0].files.read_only);
	assert_true(plan.shares[0].files.private_locks);
	assert_string_equal(plan.shares[1].guest_path, top);
	assert_string_equal(plan.shares[1].host_path, top);
	assert_false(plan.shares[1].files.read_only);
	assert_true(hides(&plan, "proc"));
	assert_true(hides(&plan, "home"));
	assert_true(hides(&plan, "etc/shadow"));
	assert_true(hides(&plan, "var/mail"));
	assert_int_equal(plan.user.uid, getuid());
	assert_string_equal(plan.user.home, top);
	assert_true(plan.user.group_count >= 1);
	assert_int_equal(plan.user.groups[0].gid, getgid());
	assert_null(plan.command[0]);
	assert_string_equal(plan.cwd, top);
	plan_finish(&plan);
	plan_finish(&plan);
}

static void a_private_home_is_no_share(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.private_home = true});
	assert_int_equal(plan.share_count, 1);
	assert_true(plan.private_home);
	assert_string_equal(plan.user.home, top);
	plan_finish(&plan);
	assert_refused(
		&(struct plan_request){
			.private_home = true, .shares = {"a", in_top("/b:"), NULL}, .share_count = 2},
		"must be HOST[:GUEST][:ro]");
	char share[300];
	snprintf(share, sizeof(share), "a:%s", top);
	assert_refused(
		&(struct plan_request){
			.private_home = true, .shares = {"a:/tmp/x/..", "b"}, .share_count = 2},
		"cannot be");
	assert_refused(&(struct plan_request){.private_home = true, .shares = {share}, .share_count = 1},
		"would cover");
}

static void another_home_keeps_its_place(void **state) {
	(void)state;
	struct plan plan;
	assert_int_equal(chdir(in_top("/a/inner")), 0);
	assert_plan(&plan, &(struct plan_request){.home = in_top("/a")});
	assert_int_equal(chdir(top), 0);
	assert_string_equal(plan.shares[1].host_path, in_top("/a"));
	assert_string_equal(plan.shares[1].guest_path, top);
	assert_string_equal(plan.cwd, in_top("/inner"));
	plan_finish(&plan);
	assert_refused(&(struct plan_request){.home = "/nonexistent"}, "no such directory; --home DIR");
	setenv("HOME", "/", 1);
	assert_refused(&(struct plan_request){0}, "your home is /");
	setenv("HOME", top, 1);
}

static void shares_are_sorted_and_tagged(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.private_home = true,
				   .shares = {"a:/mnt/x/deep", "b:/mnt//x/:ro", "b"},
				   .share_count = 3});
	assert_int_equal(plan.share_count, 4);
	assert_string_equal(plan.shares[1].guest_path, "/mnt/x");
	assert_true(plan.shares[1].files.read_only);
	assert_string_equal(plan.shares[2].guest_path, "/mnt/x/deep");
	assert_false(plan.shares[2].files.read_only);
	assert_string_equal(plan.shares[3].guest_path, in_top("/b"));
	for (size_t i = 0; i < plan.share_count; i++) {
		assert_true(plan.shares[i].files.root_fd >= 0);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(plan.shares[i].files.tag, plan.shares[j].files.tag);
		}
	}
	plan_finish(&plan);
}

static void wrong_shares(void **state) {
	(void)state;
	static const struct {
		const char *shares[2], *message;
	} cases[] = {
		{{"nope"}, "no such directory"},
		{{"nope:/x"}, "no such directory"},
		{{"/etc/passwd"}, "Not a directory"},
		{{":/x"}, "must be HOST"},
		{{"a:ro:ro"}, "must be HOST"},
		{{"a:x"}, "must be HOST"},
		{{"a:/x:rw"}, "must be HOST"},
		{{"a:/x:ro:"}, "must be HOST"},
		{{"a:/"}, "cannot be"},
		{{"a:/proc/x"}, "cannot be"},
		{{"a:/./dev"}, "cannot be"},
		{{"a:/x/../y"}, "cannot be"},
		{{"/"}, "cannot be"},
		{{"a:/x", "b:/x/"}, "would both be shared at /x"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan_request request = {
			.private_home = true, .share_count = cases[i].shares[1] != NULL ? 2 : 1};
		memcpy(request.shares, cases[i].shares, sizeof(cases[i].shares));
		assert_refused(&request, cases[i].message);
	}
}

static void owners_by_a_map(void **state) {
	(void)state;
	struct plan plan;
	struct plan_request request = {.uid_map = {"0:100000:65536", "70000:0"}, .uid_map_count = 2};
	if (geteuid() != 0) {
		assert_refused(&request, "--uid-map: only root");
		return;
	}
	assert_plan(&plan, &request);
	assert_int_equal(plan.shares[0].files.id_count, 0);
	const struct files_share *home = &plan.shares[1].files;
	assert_int_equal(home->id_count, 2);
	assert_int_equal(home->ids[0].guest, 0);
	assert_int_equal(home->ids[0].host, 100000);
	assert_int_equal(home->ids[0].count, 65536);
	assert_int_equal(home->ids[1].guest, 70000);
	assert_int_equal(home->ids[1].host, 0);
	assert_int_equal(home->ids[1].count, 1);
	assert_non_null(strstr(plan.shares[1].mount_options, "access=user"));
	assert_non_null(strstr(plan.shares[1].mount_options, "locktimeout=1"));
	plan_finish(&plan);
	static const char *const wrong[] = {"", "1", "1:", ":1", "a:1", "1:2:", "1:2:0", "1:2:3:4", "-1:2",
		"1: 2", "4294967295:0", "0:4294967294:2", "99999999999999999999:1"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		request = (struct plan_request){.uid_map = {wrong[i]}, .uid_map_count = 1};
		assert_refused(&request, "must be GUEST:HOST[:COUNT]");
	}
	static const char *const overlapping[] = {"5:1000", "0:4:2", "9:7:1", "100:2:2"};
	for (size_t i = 0; i < sizeof(overlapping) / sizeof(overlapping[0]); i++) {
		request = (struct plan_request){.uid_map = {"5:3:5", overlapping[i]}, .uid_map_count = 2};
		assert_refused(&request, "another place");
	}
}

static void hiding_and_showing(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.hide = {"/usr/share/doc/"},
				   .hide_count = 1,
				   .show = {"/home", "/etc/shadow"},
				   .show_count = 2});
	assert_true(hides(&plan, "usr/share/doc"));
	assert_false(hides(&plan, "home"));
	assert_false(hides(&plan, "etc/shadow"));
	assert_true(hides(&plan, "etc/shadow-"));
	plan_finish(&plan);
	assert_refused(&(struct plan_request){.hide = {"/no/such"}, .hide_count = 1}, "no such file");
	assert_refused(&(struct plan_request){.hide = {"usr"}, .hide_count = 1}, "must be an absolute path");
	assert_refused(&(struct plan_request){.hide = {"//"}, .hide_count = 1}, "must be an absolute path");
	assert_refused(&(struct plan_request){.show = {"/proc"}, .show_count = 1}, "the VM has its own");
	assert_refused(&(struct plan_request){.show = {"/proc/1/../.."}, .show_count = 1}, "without ..");
	assert_refused(&(struct plan_request){.show = {"/tmp/"}, .show_count = 1}, "the VM has its own");
	assert_refused(
		&(struct plan_request){.show = {"/home/x"}, .show_count = 1}, "use --share /home/x:ro");
	assert_refused(&(struct plan_request){.show = {"/proc/version"}, .show_count = 1}, "--show that one");
}

/* An empty folder in its place, for the rest of the process. False: not possible here. */
static bool take_own(const char *folder) {
	return unshare((getuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", folder, "tmpfs", 0, NULL) == 0;
}

/* In a /etc of the test's own, where one of the places hidden by default is a link. -1: not possible here. */
static int hides_behind_links(bool shown) {
	struct plan plan;
	struct error error = {0};
	const struct plan_request request = {.show = {"/etc/wireguard"}, .show_count = shown};
	const bool able =
		take_own("/etc") && mkdir("/etc/keys", 0755) == 0 && symlink("keys", "/etc/wireguard") == 0;
	if (!able || plan_init(&plan, &request, &error) < 0) {
		return -1;
	}
	return hides(&plan, "etc/keys") * 2 + hides(&plan, "etc/wireguard");
}

static void hiding_behind_links(void **state) {
	(void)state;
	for (int shown = 0; shown < 2; shown++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			_exit(hides_behind_links(shown) & 0xff);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WEXITSTATUS(status) == 0xff) {
			skip();
		}
		assert_int_equal(WEXITSTATUS(status), shown ? 0 : 3);
	}
}

/* An automounter that answers nobody, on /home. Its pipe, or -1: not possible here. */
static int mount_automounter(void) {
	char options[96];
	int ends[2];
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		pause();
		_exit(0);
	}
	if (pid < 0 || setpgid(pid, pid) < 0 || pipe2(ends, O_NONBLOCK) < 0) {
		return -1;
	}
	snprintf(options, sizeof(options), "fd=%d,pgrp=%d,minproto=5,maxproto=5,indirect", ends[1], pid);
	return mount("auto", "/home", "autofs", 0, options) < 0 ? -1 : ends[0];
}

/* 0; 2: not possible here. */
static int asks_no_automounter(void) {
	static const char entry[] = "other:x:1234:1234::/home/other:/bin/sh\n";
	struct plan plan;
	struct error error = {0};
	char byte;
	int asked = take_own("/etc") ? mount_automounter() : -1;
	int fd = open("/etc/passwd", O_WRONLY | O_CREAT, 0644);
	if (asked < 0 || write(fd, entry, strlen(entry)) != (ssize_t)strlen(entry)) {
		return 2;
	}
	alarm(10); /* who asks there waits */
	return plan_init(&plan, &(struct plan_request){0}, &error) < 0 || !hides(&plan, "home") ||
	       read(asked, &byte, 1) >= 0;
}

static void hiding_what_is_mounted_on_use(void **state) {
	(void)state;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		_exit(asks_no_automounter());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
		skip();
	}
	assert_int_equal(status, 0);
}

static void hiding_in_the_home_and_in_shares(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.hide = {in_top("/a/inner"), in_top("/a/inner/")},
				   .hide_count = 2,
				   .shares = {"a:/work", "b:/other"},
				   .share_count = 2});
	assert_int_equal(plan.share_count, 4);
	assert_string_equal(plan.shares[1].guest_path, "/other");
	assert_null(plan.shares[1].files.hide);
	assert_string_equal(plan.shares[2].guest_path, top);
	assert_true(share_hides(&plan.shares[2], "a/inner"));
	assert_null(plan.shares[2].files.hide[1]);
	assert_true(share_hides(&plan.shares[3], "inner"));
	plan_finish(&plan);
	/* From there a command starts elsewhere, also one that joins. */
	assert_int_equal(mkdir(in_top("/a/inner/deep"), 0755), 0);
	assert_int_equal(chdir(in_top("/a/inner/deep")), 0);
	struct plan_request request = {.hide = {in_top("/a/inner")}, .hide_count = 1};
	assert_plan(&plan, &request);
	assert_string_equal(plan.cwd, top);
	struct record_buffer facts = {0};
	plan_put_facts(&plan, &facts);
	plan_finish(&plan);
	struct error error = {0};
	assert_int_equal(plan_init_join(&plan, &request, facts.data, facts.size, &error), 0);
	assert_string_equal(plan.cwd, top);
	plan_finish(&plan);
	assert_int_equal(chdir(in_top("/a")), 0);
	assert_int_equal(plan_init_join(&plan, &request, facts.data, facts.size, &error), 0);
	assert_string_equal(plan.cwd, in_top("/a"));
	plan_finish(&plan);
	record_buffer_finish(&facts);
	assert_int_equal(chdir(top), 0);
	assert_int_equal(rmdir(in_top("/a/inner/deep")), 0);
}

/* A path with links in it is hidden where it really is, and the links are kept from being changed. */
static void hiding_by_links(void **state) {
	(void)state;
	struct plan plan;
	char outside[] = "/tmp/ph-plan-link-XXXXXX", path[64];
	assert_non_null(mkdtemp(outside));
	assert_int_equal(rmdir(outside), 0);
	assert_int_equal(symlink(top, outside), 0);
	assert_int_equal(symlink("a", in_top("/short")), 0);
	assert_int_equal(symlink("inner", in_top("/a/last")), 0);
	snprintf(path, sizeof(path), "%s/short/last", outside);
	assert_plan(&plan, &(struct plan_request){.hide = {path}, .hide_count = 1});
	assert_true(share_hides(&plan.shares[1], "short/last"));
	assert_true(share_hides(&plan.shares[1], "a/last"));
	assert_true(share_hides(&plan.shares[1], "a/inner"));
	plan_finish(&plan);
	/* A link to a link, and one inside another's target: each can be led elsewhere. */
	assert_int_equal(symlink("../a/../second", in_top("/a/first")), 0);
	assert_int_equal(symlink("short", in_top("/second")), 0);
	assert_plan(&plan, &(struct plan_request){.hide = {in_top("/a/first/last")}, .hide_count = 1});
	assert_true(share_hides(&plan.shares[1], "a/first/last"));
	assert_true(share_hides(&plan.shares[1], "second/last"));
	assert_true(share_hides(&plan.shares[1], "short/last"));
	assert_true(share_hides(&plan.shares[1], "a/last"));
	assert_true(share_hides(&plan.shares[1], "a/inner"));
	plan_finish(&plan);
	unlink(in_top("/a/first"));
	unlink(in_top("/second"));
	unlink(outside);
	unlink(in_top("/short"));
	unlink(in_top("/a/last"));
}

static void hiding_what_is_shared(void **state) {
	(void)state;
	struct plan plan;
	assert_refused(&(struct plan_request){.hide = {top}, .hide_count = 1},
		"it is shared as the home; --private-home leaves it out");
	assert_refused(&(struct plan_request){.hide = {"/tmp"}, .hide_count = 1},
		"is in it, and shared; --private-home leaves it out");
	assert_refused(
		&(struct plan_request){
			.hide = {in_top("/a")}, .hide_count = 1, .shares = {"a:/work"}, .share_count = 1},
		"--share shares it at /work; leave out one of the two");
	assert_refused(
		&(struct plan_request){
			.hide = {in_top("/a")}, .hide_count = 1, .shares = {"a/inner"}, .share_count = 1},
		"is hidden there; give it another with --share HOST:GUEST");
	/* What is named inside of it is shown, if it has a place. */
	assert_plan(&plan, &(struct plan_request){.hide = {in_top("/a")},
				   .hide_count = 1,
				   .shares = {"a/inner:/work"},
				   .share_count = 1});
	assert_null(plan.shares[2].files.hide);
	plan_finish(&plan);
	assert_plan(&plan, &(struct plan_request){.hide = {"/tmp"}, .hide_count = 1, .private_home = true});
	plan_finish(&plan);
	assert_plan(&plan, &(struct plan_request){.hide = {"/tmp"}, .hide_count = 1, .home = in_top("/a")});
	plan_finish(&plan);
}

/* A home outside the hidden folders is hidden through every name it has. */
static void a_linked_home_is_hidden_twice(void **state) {
	(void)state;
	char dir[] = "/var/tmp/ph-plan-XXXXXX";
	assert_non_null(mkdtemp(dir));
	char link[64];
	snprintf(link, sizeof(link), "%s.link", dir);
	assert_int_equal(symlink(dir, link), 0);
	setenv("HOME", link, 1);
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.private_home = true});
	assert_true(hides(&plan, dir + 1));
	assert_true(hides(&plan, link + 1));
	plan_finish(&plan);
	setenv("HOME", top, 1);
	unlink(link);
	rmdir(dir);
}

static void a_home_by_another_way(void **state) {
	(void)state;
	struct plan plan;
	setenv("HOME", in_top("/a/../"), 1);
	assert_plan(&plan, &(struct plan_request){0});
	assert_string_equal(plan.user.home, top);
	assert_string_equal(plan.shares[1].guest_path, top);
	plan_finish(&plan);
	setenv("HOME", top, 1);
}

static void working_directories(void **state) {
	(void)state;
	static const struct {
		const char *host, *guest;
	} cases[] = {{"/usr/share", "/usr/share"}, {"/", "/"}, {"/proc", NULL}, {"/tmp", NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan plan;
		assert_int_equal(chdir(cases[i].host), 0);
		assert_plan(&plan, &(struct plan_request){0});
		assert_string_equal(plan.cwd, cases[i].guest != NULL ? cases[i].guest : top);
		plan_finish(&plan);
	}
	assert_int_equal(chdir(in_top("/a/inner")), 0);
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.shares = {"../../a:/work"}, .share_count = 1});
	assert_string_equal(plan.cwd, "/work/inner");
	plan_finish(&plan);
	assert_int_equal(chdir(top), 0);
}

static void the_environment(void **state) {
	(void)state;
	setenv("LC_TIME", "de_DE.UTF-8", 1);
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x", 1);
	setenv("MINE", "yes", 1);
	unsetenv("NOT_MINE");
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.env = {"MINE", "NOT_MINE", "USER=me", "EMPTY=", "LC_TIME"},
				   .env_count = 5});
	assert_string_equal(variable(&plan, "LC_TIME"), "de_DE.UTF-8");
	char bus[64];
	snprintf(bus, sizeof(bus), "unix:path=/run/user/%u/bus", getuid());
	assert_string_equal(variable(&plan, "DBUS_SESSION_BUS_ADDRESS"), bus);
	assert_string_equal(variable(&plan, "MINE"), "yes");
	assert_null(variable(&plan, "NOT_MINE"));
	assert_string_equal(variable(&plan, "USER"), "me");
	assert_string_equal(variable(&plan, "EMPTY"), "");
	assert_string_equal(variable(&plan, "HOME"), top);
	assert_non_null(variable(&plan, "PATH"));
	char runtime[64];
	snprintf(runtime, sizeof(runtime), "/run/user/%u", getuid());
	assert_string_equal(variable(&plan, "XDG_RUNTIME_DIR"), runtime);
	plan_finish(&plan);
}

/* What a command with a terminal gets of it, as bits; without one none. */
static int variables_of_terminal(bool tty) {
	int master, slave;
	struct plan plan;
	struct error error = {0};
	setenv("TERM", "xterm-own", 1);
	setenv("TERMINFO", "/usr/share/own/terminfo", 1);
	setenv("TERMINFO_DIRS", "/opt/own:", 1);
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0 || dup2(slave, STDOUT_FILENO) < 0 ||
		dup2(tty ? slave : open("/dev/null", O_RDONLY), STDIN_FILENO) < 0 ||
		plan_init(&plan, &(struct plan_request){0}, &error) < 0) {
		return -1;
	}
	const char *term = variable(&plan, "TERM"), *folder = variable(&plan, "TERMINFO");
	const char *folders = variable(&plan, "TERMINFO_DIRS");
	return (term != NULL && strcmp(term, "xterm-own") == 0) |
	       (folder != NULL && strcmp(folder, "/usr/share/own/terminfo") == 0) << 1 |
	       (folders != NULL && strcmp(folders, "/opt/own:") == 0) << 2;
}

static void the_terminal(void **state) {
	(void)state;
	for (int tty = 0; tty < 2; tty++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			_exit(variables_of_terminal(tty) & 0xff);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), tty ? 7 : 0);
	}
}

/* A VM that has the home can leave it there: opening it waits for somebody to write, reading for an end. */
static void settings_that_never_end(void **state) {
	(void)state;
	static const char path[] = ".config/gtk-3.0/settings.ini";
	struct plan plan;
	assert_int_equal(mkdir(".config", 0755) | mkdir(".config/gtk-3.0", 0755), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	alarm(60);
	assert_plan(&plan, &(struct plan_request){.private_home = true});
	assert_null(plan.gtk_settings);
	plan_finish(&plan);
	assert_int_equal(unlink(path) | symlink("/dev/zero", path), 0);
	assert_plan(&plan, &(struct plan_request){.private_home = true});
	assert_null(plan.gtk_settings);
	plan_finish(&plan);
	alarm(0);
	assert_int_equal(unlink(path), 0);
	FILE *file = fopen(path, "w");
	fputs("[Settings]\ngtk-theme-name=Adwaita\ngtk-bookmarks=mine\n", file);
	assert_int_equal(fclose(file), 0);
	assert_plan(&plan, &(struct plan_request){.private_home = true});
	assert_string_equal(plan.gtk_settings, "[Settings]\ngtk-theme-name=Adwaita\n");
	plan_finish(&plan);
}

static void who_joins_opens_addresses_too(void **state) {
	(void)state;
	struct plan plan;
	struct error error = {0};
	struct record_buffer facts = {0};
	for (int opens = 0; opens < 2; opens++) {
		assert_plan(&plan, &(struct plan_request){.open_urls = opens});
		plan_put_facts(&plan, &facts);
		plan_finish(&plan);
		assert_int_equal(
			plan_init_join(&plan, &(struct plan_request){0}, facts.data, facts.size, &error), 0);
		assert_int_equal(variable(&plan, "BROWSER") != NULL, opens);
		plan_finish(&plan);
		record_buffer_finish(&facts);
	}
}

static const struct resolv_case {
	const char *host, *guest;
	bool lost; /* the host has servers, the guest none */
} resolv_cases[] = {
	{"# x\nsearch a\ndomain 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver "
	 "127.0.0.1\nnameserver 2001:db8::1\n",
		"search a\ndomain 192.0.2.1\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n", false},
	{"nameserver 127.0.0.53\nnameserver 192.0.2.1\n", "nameserver 10.0.0.3\nnameserver 192.0.2.1\n",
		false},
	/* passt leads 10.0.0.3 to the first one of IPv4. */
	{"nameserver ::1\nnameserver 192.0.2.1\n", "nameserver 192.0.2.1\n", false},
	{"nameserver ::1\nnameserver 127.0.0.1\n", "nameserver 10.0.0.3\n", false},
	{"search a\nnameserver ::1\n", "search a\n", true},
	{"nameserver fe80::1%wlan0\n", "", true},
	{"search a\n", "search a\n", false},
};

static bool translates(const struct resolv_case *resolv) {
	bool lost = false;
	FILE *file = fopen("/etc/resolv.conf", "w");
	fputs(resolv->host, file);
	fclose(file);
	char *text = plan_make_resolv(NULL, 0, "10.0.0.3", &lost);
	bool right = text != NULL && strcmp(text, resolv->guest) == 0 && lost == resolv->lost;
	if (!right) {
		print_error("of:\n%sis made, %s:\n%s", resolv->host, lost ? "none left" : "some left", text);
	}
	free(text);
	return right;
}

/* In a /etc of the test's own. */
static void name_servers(void **state) {
	(void)state;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		if (!take_own("/etc")) {
			_exit(2);
		}
		bool right = true;
		for (size_t i = 0; i < sizeof(resolv_cases) / sizeof(resolv_cases[0]); i++) {
			right &= translates(&resolv_cases[i]);
		}
		_exit(right ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
		skip();
	}
	assert_int_equal(status, 0);
}

static void images(void **state) {
	(void)state;
	write_image("good", 64 << 10, true);
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.rootfs = "good",
				   .rootfs_mode = BLOCK_EPHEMERAL,
				   .disks = {"good:ro"},
				   .disk_count = 1});
	assert_int_equal(plan.root, PLAN_ROOT_IMAGE);
	assert_int_equal(plan.disk_count, 2);
	assert_int_equal(plan.disks[0].size, 64 << 10);
	assert_int_equal(plan.disks[1].mode, BLOCK_READ_ONLY);
	assert_int_equal(plan.share_count, 1); /* the home */
	plan_finish(&plan);

	write_image("short", 63 << 10, true);
	write_image("plain", 64 << 10, false);
	write_image("empty", 0, false);
	write_image("tiny", 512, false);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_refused(&(struct plan_request){.rootfs = "short"}, "truncated");
	assert_refused(&(struct plan_request){.rootfs = "plain"}, "not an ext4");
	assert_refused(&(struct plan_request){.rootfs = "tiny"}, "not an ext4");
	assert_refused(&(struct plan_request){.rootfs = "empty"}, "empty");
	assert_refused(&(struct plan_request){.rootfs = "a"}, "is a directory");
	assert_refused(&(struct plan_request){.rootfs = "fifo"}, "neither a file nor");
	assert_refused(&(struct plan_request){.rootfs = "missing"}, "missing: No such file");
	assert_refused(&(struct plan_request){.disks = {"a"}, .disk_count = 1}, "is a directory");
	assert_refused(&(struct plan_request){.disks = {"empty"}, .disk_count = 1}, "empty");
}

static void a_writer_is_alone(void **state) {
	(void)state;
	write_image("locked", 64 << 10, true);
	const struct plan_request reader = {.rootfs = "locked", .rootfs_mode = BLOCK_EPHEMERAL};
	const struct plan_request writer = {.rootfs = "locked", .rootfs_mode = BLOCK_READ_WRITE};
	struct plan one, two;
	assert_plan(&one, &reader);
	assert_plan(&two, &reader);
	assert_refused(&writer, "in use");
	plan_finish(&two);
	assert_refused(&writer, "in use");
	plan_finish(&one);
	assert_plan(&one, &writer);
	assert_refused(&writer, "in use");
	assert_refused(&reader, "which writes to it");
	plan_finish(&one);
	assert_plan(&one, &reader);
	plan_finish(&one);
}

static void the_machine(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.cpus = 3,
				   .memory = (129ULL << 20) + 1,
				   .sandbox = PLAN_SANDBOX_OFF,
				   .kernel = "/proc/self/exe",
				   .append = "quiet"});
	assert_int_equal(plan.cpus, 3);
	assert_int_equal(plan.memory, 130ULL << 20);
	assert_int_equal(plan.sandbox, PLAN_SANDBOX_OFF);
	assert_string_equal(plan.append, "quiet");
	plan_finish(&plan);
	assert_refused(&(struct plan_request){.memory = 63ULL << 20}, "at least 64M");
	assert_refused(&(struct plan_request){.memory = 1ULL << 60}, "this host has only");
	assert_refused(&(struct plan_request){.kernel = "nope"}, "kernel nope: No such file");
	assert_refused(&(struct plan_request){.kernel = "a"}, "kernel a: not a file");
}

static bool write_text(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

/* In a tree of control groups of the test's own. False: not possible here. */
static bool take_own_groups(const char *own, const char *memory, const char *cpus) {
	return take_own("/sys/fs/cgroup") && write_text("own", own) &&
	       mount("own", "/proc/self/cgroup", NULL, MS_BIND, NULL) == 0 &&
	       mkdir("/sys/fs/cgroup/a.slice", 0755) == 0 &&
	       mkdir("/sys/fs/cgroup/a.slice/b.scope", 0755) == 0 &&
	       write_text("/sys/fs/cgroup/a.slice/memory.max", memory) &&
	       write_text("/sys/fs/cgroup/a.slice/memory.high", "max\n") &&
	       write_text("/sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n") &&
	       write_text("/sys/fs/cgroup/a.slice/cpu.max", "max 100000\n") &&
	       write_text("/sys/fs/cgroup/a.slice/b.scope/cpu.max", cpus);
}

static void assert_limited(const char *own, const char *memory, const char *cpus, uint64_t mib) {
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct plan plan;
		struct error error = {0};
		if (!take_own_groups(own, memory, cpus) ||
			plan_init(&plan, &(struct plan_request){0}, &error) < 0) {
			_exit(2);
		}
		_exit(plan.memory != mib << 20 || plan.cpus != 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 2) {
		skip();
	}
	assert_int_equal(status, 0);
}

/* A container, say, may have much less than the host. */
static void a_part_of_the_host(void **state) {
	(void)state;
	assert_limited("1:name=systemd:/a\n0::/a.slice/b.scope\n", "536870912\n", "30000 100000\n", 256);
	assert_limited("0::/a.slice/b.scope\n", "0\n", "100000 100000\n", 64);
}

/* Of a host that may have 8192; 0: of this one. */
static unsigned processors;

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
	if (processors == 0) {
		return __real_sched_getaffinity(pid, size, set);
	}
	if (size < 8192 / 8) {
		errno = EINVAL;
		return -1;
	}
	CPU_ZERO_S(size, set);
	for (unsigned i = 0; i < processors; i++) {
		CPU_SET_S(8191 - i, size, set);
	}
	return 0;
}

static void a_large_host(void **state) {
	(void)state;
	struct plan plan;
	static const unsigned cases[][2] = {{1, 1}, {5, 5}, {16, 16}, {17, 16}, {4000, 16}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		processors = cases[i][0];
		assert_plan(&plan, &(struct plan_request){0});
		processors = 0;
		assert_int_equal(plan.cpus, cases[i][1]);
		plan_finish(&plan);
	}
}

static void commands(void **state) {
	(void)state;
	struct plan plan;
	char *words[] = {(char *)"ls", (char *)"", NULL};
	assert_plan(&plan, &(struct plan_request){.command = words});
	assert_string_equal(plan.command[0], "ls");
	assert_string_equal(plan.command[1], "");
	assert_null(plan.command[2]);
	plan_finish(&plan);
	assert_refused(&(struct plan_request){.command = words + 1}, "is empty");
}

/* A prefix may have any number of zeros before it, and says no more for that. */
static void long_addresses(void **state) {
	(void)state;
	static char address[8192];
	const size_t start = (size_t)sprintf(address, "10.0.0.1/");
	memset(address + start, '0', sizeof(address) - start - 3);
	strcpy(address + sizeof(address) - 3, "24");
	assert_refused(
		&(struct plan_request){
			.net = "tap:ph-nowhere", .net_address = {address}, .net_address_count = 1},
		"there is no such interface");
}

static void root_in_the_vm(void **state) {
	(void)state;
	struct plan plan;
	assert_plan(&plan, &(struct plan_request){.as_root = true});
	assert_true(plan.as_root);
	if (getuid() != 0) {
		assert_null(variable(&plan, "HOME"));
		assert_non_null(strstr(variable(&plan, "PATH"), "/sbin"));
	}
	plan_finish(&plan);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(self_host),
		cmocka_unit_test(a_private_home_is_no_share),
		cmocka_unit_test(another_home_keeps_its_place),
		cmocka_unit_test(shares_are_sorted_and_tagged),
		cmocka_unit_test(wrong_shares),
		cmocka_unit_test(owners_by_a_map),
		cmocka_unit_test(hiding_and_showing),
		cmocka_unit_test(hiding_behind_links),
		cmocka_unit_test(hiding_what_is_mounted_on_use),
		cmocka_unit_test(hiding_in_the_home_and_in_shares),
		cmocka_unit_test(hiding_by_links),
		cmocka_unit_test(hiding_what_is_shared),
		cmocka_unit_test(a_linked_home_is_hidden_twice),
		cmocka_unit_test(a_home_by_another_way),
		cmocka_unit_test(working_directories),
		cmocka_unit_test(the_environment),
		cmocka_unit_test(the_terminal),
		cmocka_unit_test(settings_that_never_end),
		cmocka_unit_test(who_joins_opens_addresses_too),
		cmocka_unit_test(name_servers),
		cmocka_unit_test(images),
		cmocka_unit_test(a_writer_is_alone),
		cmocka_unit_test(the_machine),
		cmocka_unit_test(a_part_of_the_host),
		cmocka_unit_test(a_large_host),
		cmocka_unit_test(commands),
		cmocka_unit_test(long_addresses),
		cmocka_unit_test(root_in_the_vm),
	};
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
