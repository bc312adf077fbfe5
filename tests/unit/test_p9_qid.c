/*
 * Qids: a number for each file, never the same for two, whatever the host's devices and inodes look like; and
 * a share with several file systems in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static struct p9_qids qids;

static uint64_t path_of(uint64_t device, uint64_t inode) {
	uint64_t path = 0;
	struct p9_identity identity = {.device = device, .inode = inode};
	assert_int_equal(p9_qids_path(&qids, identity, &path), 0);
	return path;
}

static int compare(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void test_no_collisions(void **state) {
	(void)state;
	static const uint64_t inodes[] = {0, 1, 2, UINT64_C(1) << 32, (UINT64_C(1) << 56) - 1,
		UINT64_C(1) << 56, UINT64_C(1) << 63, UINT64_MAX};
	enum { INODES = sizeof(inodes) / sizeof(inodes[0]), DEVICES = 400 };
	static uint64_t paths[INODES * DEVICES];
	p9_qids_init(&qids);
	for (unsigned i = 0; i < INODES * DEVICES; i++) {
		paths[i] = path_of(i / INODES + 1, inodes[i % INODES]);
	}
	/* Asked again, the same. */
	for (unsigned i = 0; i < INODES * DEVICES; i++) {
		assert_true(paths[i] == path_of(i / INODES + 1, inodes[i % INODES]));
	}
	qsort(paths, INODES * DEVICES, sizeof(paths[0]), compare);
	for (unsigned i = 1; i < INODES * DEVICES; i++) {
		assert_true(paths[i] != paths[i - 1]);
	}
	p9_qids_finish(&qids);
}

/* An overlay's inodes have a few values in the top byte: any number of its files fits. */
static void test_many_inodes(void **state) {
	(void)state;
	p9_qids_init(&qids);
	for (uint64_t i = 0; i < 2000000; i++) {
		path_of(7, i | (i % 3) << 62);
	}
	assert_int_equal(qids.entry_count, 0);
	p9_qids_finish(&qids);
}

static bool write_map(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

static bool become_root(uid_t uid, gid_t gid) {
	char users[32], groups[32];
	snprintf(users, sizeof(users), "0 %u 1", uid);
	snprintf(groups, sizeof(groups), "0 %u 1", gid);
	return write_map("/proc/self/uid_map", users) && write_map("/proc/self/setgroups", "deny") &&
	       write_map("/proc/self/gid_map", groups);
}

static bool mount_two(const char *top) {
	char path[128];
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%d", top, i);
		if (mount("none", path, "tmpfs", 0, "size=1M") < 0) {
			return false;
		}
	}
	return true;
}

/* Two new file systems number their files alike. */
static void test_mounts(void **state) {
	(void)state;
	struct p9_client c;
	struct p9_client_stat a, b;
	char top[] = "/tmp/ph-mounts-XXXXXX";
	assert_non_null(mkdtemp(top));
	int directory = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mkdirat(directory, "0", 0755);
	mkdirat(directory, "1", 0755);
	/* Root may mount as it is; others become root of a namespace, which must know them to make files. */
	uid_t uid = geteuid();
	gid_t gid = getegid();
	bool mounted = unshare((uid == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNS) == 0 &&
		       (uid == 0 || become_root(uid, gid)) &&
		       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount_two(top);
	if (mounted) {
		p9_client_init_on(&c, top, false, NULL);
		p9_client_attach(&c);
		p9_host_make(&c, "0/file", "of the first");
		p9_host_make(&c, "1/file", "of the second");
		struct stat first, second;
		fstatat(c.directory_fd, "0/file", &first, 0);
		fstatat(c.directory_fd, "1/file", &second, 0);
		assert_true(first.st_ino == second.st_ino);
		assert_int_equal(p9_walk(&c, 0, 1, "0/file"), 0);
		assert_int_equal(p9_walk(&c, 0, 2, "1/file"), 0);
		assert_int_equal(p9_stat(&c, 1, &a), 0);
		assert_int_equal(p9_stat(&c, 2, &b), 0);
		assert_true(a.qid_path != b.qid_path);
		/* And up again, across the mount. */
		assert_int_equal(p9_walk(&c, 0, 3, "0/../1/../0"), 0);
		assert_int_equal(p9_walk(&c, 3, 4, "file"), 0);
		assert_int_equal(p9_stat(&c, 4, &b), 0);
		assert_true(a.qid_path == b.qid_path);
		p9_client_finish(&c);
	}
	for (int i = 0; i < 2; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%d", top, i);
		umount2(path, MNT_DETACH);
		rmdir(path);
	}
	close(directory);
	rmdir(top);
	if (!mounted) {
		skip();
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_collisions),
		cmocka_unit_test(test_many_inodes),
		cmocka_unit_test(test_mounts),
	};
	return cmocka_run_group_tests_name("p9 qids", tests, NULL, NULL);
}
