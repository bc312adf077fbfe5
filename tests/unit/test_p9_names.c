/*
 * Names over 9P2000.L: making, linking, renaming and removing; extended attributes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RDWR 2u
#define REMOVEDIR 0x200

static int setup(void **state) {
	struct p9_client *client = malloc(sizeof(*client));
	p9_client_init(client, false, NULL);
	p9_client_attach(client);
	*state = client;
	return 0;
}

static int teardown(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static mode_t host_mode(struct p9_client *c, const char *path) {
	struct stat stat;
	return fstatat(c->directory_fd, path, &stat, AT_SYMLINK_NOFOLLOW) == 0 ? stat.st_mode : 0;
}

static int mkdir_call(struct p9_client *c, uint32_t fid, const char *name) {
	return p9_call(c, P9_TMKDIR, "wsww", fid, name, 0755, 0);
}

static int unlink_call(struct p9_client *c, uint32_t fid, const char *name, unsigned flags) {
	return p9_call(c, P9_TUNLINKAT, "wsw", fid, name, flags);
}

static int rename_call(
	struct p9_client *c, uint32_t old_fid, const char *old_name, uint32_t new_fid, const char *new_name) {
	return p9_call(c, P9_TRENAMEAT, "wsws", old_fid, old_name, new_fid, new_name);
}

static void test_mkdir(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 0, "dir", 06777, 0), 0);
	assert_int_equal(p9_u8(c), P9_QID_DIR);
	p9_u32(c);
	uint64_t path = p9_u64(c);
	assert_int_equal(host_mode(c, "dir"), S_IFDIR | 0777);
	assert_int_equal(p9_walk(c, 0, 1, "dir"), 0);
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_true(stat.qid_path == path);
	assert_int_equal(mkdir_call(c, 0, "dir"), EEXIST);
	assert_int_equal(mkdir_call(c, 1, "sub"), 0);
	assert_int_equal(mkdir_call(c, 99, "sub"), EBADF);
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mkdir_call(c, 1, bad[i]), EINVAL);
		assert_int_equal(unlink_call(c, 1, bad[i], REMOVEDIR), EINVAL);
		assert_int_equal(rename_call(c, 1, "sub", 1, bad[i]), EINVAL);
		assert_int_equal(rename_call(c, 1, bad[i], 1, "x"), EINVAL);
		assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 1, bad[i], "x", 0), EINVAL);
		assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 1, bad[i], S_IFIFO | 0600, 0, 0, 0), EINVAL);
		assert_int_equal(p9_create(c, 1, bad[i], RDWR, 0600), EINVAL);
	}
}

static void test_symlink(void **state) {
	struct p9_client *c = *state;
	char target[4096];
	memset(target, 't', sizeof(target));
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 0, "link", "/etc/passwd", 0), 0);
	assert_int_equal(p9_u8(c), P9_QID_SYMLINK);
	assert_int_equal(p9_walk(c, 0, 1, "link"), 0);
	assert_int_equal(p9_call(c, P9_TREADLINK, "w", 1), 0);
	assert_string_equal(p9_str(c), "/etc/passwd");
	assert_int_equal(p9_call(c, P9_TREADLINK, "w", 0), EINVAL);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wsSw", 0, "long", target, (size_t)4095, 0), 0);
	assert_int_equal(p9_walk(c, 0, 2, "long"), 0);
	assert_int_equal(p9_call(c, P9_TREADLINK, "w", 2), 0);
	assert_int_equal(p9_u16(c), 4095);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wsSw", 0, "longer", target, (size_t)4096, 0), ENAMETOOLONG);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 0, "empty", "", 0), ENOENT);
	/* The link itself has attributes, is renamed and removed. */
	struct p9_client_stat stat;
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_int_equal(stat.mode & S_IFMT, S_IFLNK);
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 1, 0x130, 0, 0, 0, UINT64_C(0), UINT64_C(5),
				 UINT64_C(0), UINT64_C(6), UINT64_C(0)),
		0);
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_int_equal(stat.times[2], 6);
	assert_int_equal(rename_call(c, 0, "link", 0, "moved"), 0);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 0, 1, "hard"), 0);
	assert_true(S_ISLNK(host_mode(c, "hard")));
	assert_int_equal(unlink_call(c, 0, "moved", 0), 0);
}

static void test_mknod(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "fifo", S_IFIFO | 0640, 0, 0, 0), 0);
	assert_int_equal(host_mode(c, "fifo"), S_IFIFO | 0640);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "sock", S_IFSOCK | 0600, 0, 0, 0), 0);
	assert_int_equal(host_mode(c, "sock"), S_IFSOCK | 0600);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "file", S_IFREG | 06644, 0, 0, 0), 0);
	assert_int_equal(host_mode(c, "file"), S_IFREG | 0644);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "null", S_IFCHR | 0666, 1, 3, 0), EPERM);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "disk", S_IFBLK | 0666, 8, 0, 0), EPERM);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "none", 0666, 0, 0, 0), EINVAL);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "dir", S_IFDIR | 0777, 0, 0, 0), EINVAL);
	/* Never opened: a fifo of the host's would block, or feed, whoever waits at its other end. */
	assert_int_equal(p9_walk_open(c, 1, "fifo", 0), EACCES);
	assert_int_equal(p9_walk_open(c, 2, "fifo", 1), EACCES);
	assert_int_equal(p9_walk_open(c, 3, "sock", 0), EACCES);
	assert_int_equal(p9_walk(c, 0, 4, ""), 0);
	assert_int_equal(p9_create(c, 4, "fifo", RDWR, 0600), EACCES);
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 1, 8, 0, 0, 0, UINT64_C(0), UINT64_C(0),
				 UINT64_C(0), UINT64_C(0), UINT64_C(0)),
		EINVAL);
}

static void test_link(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	p9_host_make(c, "file", "content");
	p9_host_make(c, "dir", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "dir"), 0);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 2, 1, "other"), 0);
	assert_true(p9_host_has(c, "dir/other", "content"));
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_int_equal(stat.links, 2);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 2, 1, "other"), EEXIST);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 1, 1, "x"), ENOTDIR);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 0, 2, "x"), EPERM);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 0, 99, "x"), EBADF);
}

static void test_rename(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	p9_host_make(c, "a/b/file", "content");
	p9_host_make(c, "target", "old");
	assert_int_equal(p9_walk(c, 0, 1, "a"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "a/b"), 0);
	assert_int_equal(p9_walk(c, 0, 3, "a/b/file"), 0);
	assert_int_equal(p9_walk_open(c, 4, "target", 0), 0);
	/* A directory moves: the fids beneath stay what they are. */
	assert_int_equal(rename_call(c, 1, "b", 0, "moved"), 0);
	assert_int_equal(p9_walk(c, 2, 5, "file"), 0);
	assert_int_equal(p9_walk(c, 2, 6, "../moved/file"), 0);
	/* By fid, over a file somebody has open. */
	assert_int_equal(p9_call(c, P9_TRENAME, "wws", 3, 0, "target"), 0);
	assert_true(p9_host_has(c, "target", "content"));
	char data[8];
	assert_int_equal(p9_read(c, 4, 0, data, 8), 3);
	/* And again by the same fid: its name is the new one. */
	assert_int_equal(p9_call(c, P9_TRENAME, "wws", 3, 1, "third"), 0);
	assert_true(p9_host_has(c, "a/third", "content"));
	assert_int_equal(p9_call(c, P9_TRENAME, "wws", 0, 1, "root"), EBUSY);
	assert_int_equal(rename_call(c, 0, "none", 0, "x"), ENOENT);
	assert_int_equal(rename_call(c, 0, "a", 1, "x"), EINVAL); /* beneath itself */
	assert_int_equal(rename_call(c, 1, "third", 0, "moved"), EISDIR);
	assert_int_equal(rename_call(c, 0, "moved", 1, "third"), ENOTDIR);
}

/* What the guest knows of the tree is old: a move that is right on the host makes a ring in its view. */
static void test_rename_stale(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "a/b"), 0);
	assert_int_equal(renameat(c->directory_fd, "a/b", c->directory_fd, "b"), 0);
	assert_int_equal(rename_call(c, 0, "a", 1, "a"), 0);
	assert_int_equal(p9_walk(c, 1, 2, "a"), 0);
	assert_int_equal(p9_walk(c, 2, 3, "../../../../.."), 0);
	assert_int_equal(p9_clunk(c, 1), 0);
	assert_int_equal(p9_clunk(c, 2), 0);
}

static void test_unlink(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "dir", NULL);
	p9_host_make(c, "dir/file", "x");
	assert_int_equal(symlinkat("dir", c->directory_fd, "link"), 0);
	assert_int_equal(unlink_call(c, 0, "dir", 0), EISDIR);
	assert_int_equal(unlink_call(c, 0, "dir", REMOVEDIR), ENOTEMPTY);
	assert_int_equal(unlink_call(c, 0, "link", REMOVEDIR), ENOTDIR);
	assert_int_equal(unlink_call(c, 0, "link", 0), 0);
	assert_int_equal(unlink_call(c, 0, "none", 0), ENOENT);
	assert_int_equal(unlink_call(c, 0, "dir", 1), EINVAL);
	assert_int_equal(p9_walk(c, 0, 1, "dir"), 0);
	assert_int_equal(p9_walk_open(c, 2, "dir", 0), 0);
	assert_int_equal(unlink_call(c, 1, "file", 0), 0);
	/* A directory that is open goes, and can be looked at afterwards. */
	assert_int_equal(unlink_call(c, 0, "dir", REMOVEDIR), 0);
	struct p9_client_stat stat;
	assert_int_equal(p9_stat(c, 2, &stat), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 2, UINT64_C(0), 1000), ENOENT); /* as on Linux */
	assert_int_equal(mkdir_call(c, 1, "x"), ENOENT);
}

static void test_remove(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "dir", NULL);
	p9_host_make(c, "file", "x");
	p9_host_make(c, "stale", "x");
	assert_int_equal(p9_walk(c, 0, 1, "dir"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "file"), 0);
	assert_int_equal(p9_walk(c, 0, 3, "stale"), 0);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 1), 0);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 2), 0);
	assert_int_equal(host_mode(c, "dir") | host_mode(c, "file"), 0);
	/* The host has put another file there: that is not the guest's to remove by this fid. */
	p9_host_make(c, "new", "precious");
	assert_int_equal(renameat(c->directory_fd, "new", c->directory_fd, "stale"), 0);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 3), ESTALE);
	assert_true(p9_host_has(c, "stale", "precious"));
	/* The fid is gone in any case. */
	assert_int_equal(p9_clunk(c, 3), EBADF);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 0), EBUSY);
}

/* ---- extended attributes ---- */

static int get(struct p9_client *c, uint32_t fid, const char *name, char *value, uint32_t *size) {
	int error = p9_call(c, P9_TXATTRWALK, "wws", fid, 50, name);
	if (error == 0) {
		*size = (uint32_t)p9_u64(c);
		assert_int_equal(p9_read(c, 50, 0, value, 65536), *size);
		assert_int_equal(p9_clunk(c, 50), 0);
	}
	return error;
}

static int put(struct p9_client *c, const char *path, const char *name, const char *value, uint32_t size,
	unsigned flags) {
	assert_int_equal(p9_walk(c, 0, 51, path), 0);
	int error = p9_call(c, P9_TXATTRCREATE, "wsqw", 51, name, (uint64_t)size, flags);
	if (error == 0 && size > 0) {
		assert_int_equal(p9_write(c, 51, 0, value, size / 2), size / 2);
		assert_int_equal(
			p9_write(c, 51, size / 2, value + size / 2, size - size / 2), size - size / 2);
	}
	int committed = p9_clunk(c, 51);
	return error != 0 ? error : committed;
}

static void test_xattr(void **state) {
	struct p9_client *c = *state;
	static char value[65536];
	uint32_t size;
	p9_host_make(c, "file", "x");
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(get(c, 1, "user.none", value, &size), ENODATA);
	assert_int_equal(put(c, "file", "user.one", "first", 5, 0), 0);
	assert_int_equal(put(c, "file", "user.two", "second", 6, 1), 0);
	assert_int_equal(put(c, "file", "user.two", "again", 5, 1), EEXIST);
	assert_int_equal(put(c, "file", "user.three", "x", 1, 2), ENODATA);
	assert_int_equal(put(c, "file", "user.empty", "", 0, 0), 0);
	assert_int_equal(get(c, 1, "user.one", value, &size), 0);
	assert_int_equal(size, 5);
	assert_memory_equal(value, "first", 5);
	assert_int_equal(get(c, 1, "user.empty", value, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(get(c, 1, "", value, &size), 0);
	assert_int_equal(size, 9 + 9 + 11);
	/* Empty and "replace": how Linux removes. */
	assert_int_equal(put(c, "file", "user.two", "", 0, 2), 0);
	assert_int_equal(get(c, 1, "user.two", value, &size), ENODATA);
	/* On an opened fid, on directories, and on what cannot have any. */
	assert_int_equal(p9_open(c, 1, RDWR), 0);
	assert_int_equal(get(c, 1, "user.one", value, &size), 0);
	p9_host_make(c, "dir", NULL);
	assert_int_equal(put(c, "dir", "user.dir", "d", 1, 0), 0);
	assert_int_equal(symlinkat("file", c->directory_fd, "link"), 0);
	assert_int_equal(put(c, "link", "user.x", "d", 1, 0), EPERM);
	assert_int_equal(p9_walk(c, 0, 2, "link"), 0);
	assert_int_equal(get(c, 2, "user.one", value, &size), ENODATA);
	assert_int_equal(get(c, 2, "", value, &size), 0);
	assert_int_equal(size, 0);
}

static void test_xattr_refused(void **state) {
	struct p9_client *c = *state;
	char value[64];
	uint32_t size;
	p9_host_make(c, "file", "x");
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(get(c, 1, "security.capability", value, &size), EOPNOTSUPP);
	assert_int_equal(get(c, 1, "trusted.overlay.opaque", value, &size), EOPNOTSUPP);
	assert_int_equal(put(c, "file", "security.capability", "x", 1, 0), EOPNOTSUPP);
	assert_int_equal(put(c, "file", "user.big", "", 65537, 0), E2BIG);
	assert_int_equal(p9_call(c, P9_TXATTRCREATE, "wsqw", 1, "user.x", UINT64_MAX, 0), E2BIG);
	assert_int_equal(p9_call(c, P9_TXATTRCREATE, "wsqw", 1, "user.x", UINT64_C(1), 4), EINVAL);
	/* More, less, or elsewhere than announced. */
	assert_int_equal(p9_call(c, P9_TXATTRCREATE, "wsqw", 1, "user.x", UINT64_C(4), 0), 0);
	assert_int_equal(p9_write(c, 1, 1, "a", 1), -EINVAL);
	assert_int_equal(p9_write(c, 1, 0, "abcde", 5), -EINVAL);
	assert_int_equal(p9_write(c, 1, 0, "abc", 3), 3);
	assert_int_equal(p9_write(c, 1, UINT64_MAX, "a", 1), -EINVAL);
	assert_int_equal(p9_read(c, 1, 0, value, 1), -EBADF);
	assert_int_equal(p9_open(c, 1, 0), EBUSY);
	assert_int_equal(p9_walk(c, 1, 2, ""), EINVAL);
	assert_int_equal(p9_clunk(c, 1), EINVAL);
	assert_int_equal(p9_clunk(c, 1), EBADF);
}

/* The memory for values is bounded, and given back. */
static void test_xattr_quota(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "x");
	for (int round = 0; round < 2; round++) {
		uint32_t fid = 100;
		int error = 0;
		for (; error == 0 && fid < 1000; fid++) {
			assert_int_equal(p9_walk(c, 0, fid, "file"), 0);
			error = p9_call(c, P9_TXATTRCREATE, "wsqw", fid, "user.x", UINT64_C(65536), 0);
		}
		assert_int_equal(error, ENOMEM);
		assert_in_range(fid - 100, 200, 257);
		while (fid-- > 100) {
			p9_clunk(c, fid);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mkdir, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symlink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mknod, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unlink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattr_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattr_quota, setup, teardown),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 names", tests, NULL, NULL);
}
