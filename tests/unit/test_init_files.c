/*
 * What init does to files: folders along symbolic links, mounts, users. Where it takes a root of
 * its own, that is a tmpfs in a mount namespace.
 */
#include "guest/init/copy.h"
#include "guest/init/mounts.h"
#include "guest/init/users.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_folder(const char *path) {
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void test_folders(void **state) {
	(void)state;
	char base[] = "/tmp/ph-init-XXXXXX", deep[PATH_MAX];
	assert_non_null(mkdtemp(base));
	assert_int_equal(chdir(base), 0);
	snprintf(deep, sizeof(deep), "%s/a//b/c", base);
	assert_int_equal(mounts_make_folder(deep, 0755), 0);
	assert_true(is_folder("a/b/c"));
	assert_int_equal(mounts_make_folder(deep, 0755), 0);
	/* /home -> var/home with no var/home, then home/ann beneath it */
	assert_int_equal(symlink("var/home", "home"), 0);
	assert_int_equal(mounts_make_folder("home/ann", 0755), 0);
	assert_true(is_folder("var/home/ann"));
	/* an absolute link, in the last component */
	snprintf(deep, sizeof(deep), "%s/there", base);
	assert_int_equal(symlink(deep, "absolute"), 0);
	assert_int_equal(mounts_make_folder("absolute", 0755), 0);
	assert_true(is_folder("there"));
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(mounts_make_folder("loop/x", 0755), -ELOOP);
	close(open("file", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mounts_make_folder("file/x", 0755), -ENOTDIR);
	assert_int_equal(chdir("/"), 0);
	snprintf(deep, sizeof(deep), "rm -rf %s", base);
	assert_int_equal(system(deep), 0);
}

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "broken\n"
			     "x:1000\n"
			     "ann:x:1000:1000:Ann,,,:/home/ann:/bin/zsh\n"
			     "last:x:10001:1:::";

static void test_entries(void **state) {
	(void)state;
	char field[64], tiny[4];
	assert_true(users_text_has_id(passwd, 0));
	assert_true(users_text_has_id(passwd, 1000));
	assert_true(users_text_has_id(passwd, 10001));
	assert_false(users_text_has_id(passwd, 1));
	assert_false(users_text_has_id(passwd, 100));
	assert_false(users_text_has_id("", 0));
	assert_true(users_text_field(passwd, 1000, 6, field, sizeof(field)));
	assert_string_equal(field, "/bin/zsh");
	assert_true(users_text_field(passwd, 10001, 6, field, sizeof(field)));
	assert_string_equal(field, "");
	assert_false(users_text_field(passwd, 10001, 7, field, sizeof(field)));
	assert_false(users_text_field(passwd, 1000, 6, tiny, sizeof(tiny)));
}

static void test_groups(void **state) {
	(void)state;
	static const char text[] = "root:x:0:\nbroken\nannette:x:7:annette\naudio:x:29:bob,ann\nx:x::ann\n"
				   "y:x:-1:ann\nz:x:99999999999:ann\nann:x:1000:\nlab:x:2000:ann,bob";
	gid_t groups[4];
	assert_int_equal(users_text_groups(text, "ann", groups, 4), 2);
	assert_int_equal(groups[0], 29);
	assert_int_equal(groups[1], 2000);
	assert_int_equal(users_text_groups(text, "ann", groups, 1), 1);
	assert_int_equal(users_text_groups(text, "an", groups, 4), 0);
	assert_int_equal(users_text_groups(text, "", groups, 4), 0);
	assert_int_equal(users_text_groups("", "ann", groups, 4), 0);
}

static void write_file(const char *path, const char *text) {
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void expect_file(const char *path, const char *text) {
	char found[1024];
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	size_t n = fread(found, 1, sizeof(found) - 1, file);
	found[n] = '\0';
	fclose(file);
	assert_string_equal(found, text);
}

/* Run in a process of its own with an empty tmpfs as its root. */
static int in_empty_root(void (*test)(void)) {
	int status;
	if (geteuid() != 0) {
		/* Other users of the new namespace than root take privileges. */
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0 || chroot("/mnt") < 0 ||
			chdir("/") < 0) {
			_exit(99);
		}
		test();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *user_fields[] = {NULL};
static struct config_group groups[] = {
	{.name = "ann", .gid = 1000}, {.name = "video", .gid = 44}, {.name = "users", .gid = 100}};
static const struct config ann = {.user = {.fields = user_fields,
					  .name = "ann",
					  .home = "/home/ann",
					  .shell = "/bin/zsh",
					  .gecos = "Ann",
					  .uid = 1000,
					  .gid = 1000},
	.groups = groups,
	.group_count = 3};

static void add_users(void) {
	users_add(&ann);
	expect_file("/etc/passwd", "ann:x:1000:1000:Ann:/home/ann:/bin/zsh\n");
	expect_file("/etc/group", "ann:x:1000:ann\nvideo:x:44:ann\nusers:x:100:ann\n");
	users_add(&ann);
	expect_file("/etc/passwd", "ann:x:1000:1000:Ann:/home/ann:/bin/zsh\n");
	write_file("/etc/passwd", "root:x:0:0::/root:/bin/ksh");
	write_file("/etc/group", "root:x:0:\nvideo:x:44:bob\n");
	users_add(&ann);
	expect_file("/etc/passwd", "root:x:0:0::/root:/bin/ksh\nann:x:1000:1000:Ann:/home/ann:/bin/zsh\n");
	expect_file("/etc/group", "root:x:0:\nvideo:x:44:bob\nann:x:1000:ann\nusers:x:100:ann\n");
	char name[64], home[64], shell[64];
	assert_true(users_find(0, name, home, shell, sizeof(name)));
	assert_string_equal(shell, "/bin/ksh");
	assert_false(users_find(5, name, home, shell, sizeof(name)));
}

static void test_users(void **state) {
	(void)state;
	assert_int_equal(in_empty_root(add_users), 0);
}

static void add_mounts(void) {
	struct stat st;
	struct statvfs fs;
	char *private_home[] = {(char *)"/home/ann", (char *)"700", (char *)"1000", (char *)"1000"};
	struct config_mount mounts[] = {{.kind = CONFIG_MOUNT_TMPFS, .fields = private_home}};
	char *env[] = {(char *)"PATH=/run/current-system/sw/bin", NULL}, link[64] = "";
	const struct config config = {
		.mounts = mounts, .mount_count = 1, .has_exec = true, .exec = {.env = env}};
	assert_int_equal(symlink("var/home", "/home"), 0);
	assert_int_equal(mkdir("/changes", 0755), 0);
	assert_int_equal(mounts_make_changes(&config, "/changes", "1048576"), 0);
	umask(0);
	mounts_add_system(&config);
	umask(022);
	assert_int_equal(mounts_add_configured(&config), 0);
	assert_int_equal(stat("/var/home/ann", &st), 0);
	assert_true(st.st_uid == 1000 && st.st_gid == 1000 && (st.st_mode & 07777) == 0700);
	dev_t changes = st.st_dev;
	assert_true(statvfs("/var/home/ann", &fs) == 0 && fs.f_blocks * fs.f_bsize == 1048576);
	assert_true((fs.f_flag & (ST_NOSUID | ST_NODEV)) == (ST_NOSUID | ST_NODEV));
	assert_true(is_folder("/proc/self") && is_folder("/sys/kernel") && is_folder("/dev/pts"));
	assert_int_equal(access("/dev/fd/0", F_OK), 0);
	private_home[0] = (char *)"/proc/version";
	assert_int_equal(mounts_add_configured(&config), -ENOTDIR);
	assert_int_equal(stat("/tmp", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_dev, changes);
	assert_int_equal(stat("/run/lock", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(stat("/run", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_true(readlink("/run/current-system", link, sizeof(link) - 1) > 0);
	assert_string_equal(link, "/nix/var/nix/profiles/system");
	users_make_runtime_folder(&ann);
	assert_int_equal(stat("/run/user/1000", &st), 0);
	assert_true(st.st_uid == 1000 && (st.st_mode & 07777) == 0700);
}

static void test_mounts(void **state) {
	(void)state;
	assert_int_equal(in_empty_root(add_mounts), 0);
}

static void copy_skeleton(void) {
	struct stat st;
	char link[16] = "";
	assert_true(mkdir("/skel", 0755) == 0 && mkdir("/skel/deep", 0750) == 0 && mkdir("/home", 0755) == 0);
	write_file("/skel/a", "new");
	write_file("/skel/deep/b", "b");
	write_file("/home/a", "old");
	assert_int_equal(chmod("/skel/a", 04755), 0);
	assert_int_equal(symlink("/etc/passwd", "/skel/link"), 0);
	assert_int_equal(mkfifo("/skel/fifo", 0600), 0);
	assert_int_equal(copy_tree("/skel", "/home", 1000, 100), 0);
	expect_file("/home/a", "new");
	expect_file("/home/deep/b", "b");
	assert_int_equal(stat("/home/a", &st), 0);
	assert_true(st.st_uid == 1000 && st.st_gid == 100 && (st.st_mode & 07777) == 0755);
	assert_int_equal(stat("/home/deep", &st), 0);
	assert_true(st.st_uid == 1000 && (st.st_mode & 07777) == 0750);
	assert_int_equal(readlink("/home/link", link, sizeof(link)), 11);
	assert_int_equal(lstat("/home/link", &st), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(access("/home/fifo", F_OK), -1);
	assert_int_equal(copy_tree("/nowhere", "/home", 1000, 100), -ENOENT);
}

static void test_skeleton(void **state) {
	(void)state;
	assert_int_equal(in_empty_root(copy_skeleton), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_skeleton),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
