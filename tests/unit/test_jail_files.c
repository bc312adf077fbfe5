/*
 * Every 9p request, served in the file server's jail: what the filter of system calls and Landlock leave must
 * be enough for all of them. Linked without sanitizers, which make system calls of their own.
 */
#include "p9_client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state) {
	struct p9_client *client = calloc(1, sizeof(*client));
	*state = client;
	p9_client_jailed = true;
	p9_client_init(client, false, NULL);
	p9_client_attach(client);
	p9_host_make(client, "dir", NULL);
	p9_host_make(client, "dir/file", "content");
	return 0;
}

static int tear_down(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static void test_data(void **state) {
	struct p9_client *client = *state;
	char data[8];
	assert_int_equal(p9_walk(client, 0, 1, ""), 0);
	assert_int_equal(p9_create(client, 1, "new", O_RDWR, 0644), 0);
	assert_int_equal(p9_write(client, 1, 0, "written", 7), 7);
	assert_int_equal(p9_read(client, 1, 0, data, 7), 7);
	assert_int_equal(p9_call(client, P9_TFSYNC, "ww", 1u, 0u), 0);
	assert_int_equal(p9_call(client, P9_TFSYNC, "ww", 1u, 1u), 0);
	assert_int_equal(p9_walk_open(client, 2, "dir/file", O_WRONLY | O_TRUNC), 0);
	assert_int_equal(p9_write(client, 2, 0, "more", 4), 4);
	assert_int_equal(p9_clunk(client, 2), 0);
	assert_true(p9_host_has(client, "dir/file", "more"));
	/* Emptied by who then only reads. */
	assert_int_equal(p9_walk_open(client, 3, "dir/file", O_RDONLY | O_TRUNC), 0);
	assert_int_equal(p9_read(client, 3, 0, data, 7), 0);
	assert_true(p9_host_has(client, "new", "written"));
}

static void test_attributes(void **state) {
	struct p9_client *client = *state;
	struct p9_client_stat stat;
	assert_int_equal(p9_walk(client, 0, 1, "dir/file"), 0);
	assert_int_equal(p9_stat(client, 1, &stat), 0);
	assert_int_equal(stat.uid, getuid());
	/* mode, owner, size, times */
	uint32_t valid = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x80 | 0x100;
	assert_int_equal(
		p9_call(client, P9_TSETATTR, "wwwwwqqqqq", 1u, valid, 0600u, (unsigned)getuid(),
			(unsigned)getgid(), UINT64_C(3), UINT64_C(1), UINT64_C(2), UINT64_C(3), UINT64_C(4)),
		0);
	assert_int_equal(p9_stat(client, 1, &stat), 0);
	assert_int_equal(stat.mode & 07777, 0600);
	assert_int_equal(stat.size, 3);
	assert_int_equal(stat.times[2], 3);
	assert_int_equal(p9_call(client, P9_TSTATFS, "w", 1u), 0);
	/* An attribute: where the file system has none, that is an answer, too. */
	assert_int_equal(p9_walk(client, 1, 2, ""), 0);
	assert_int_equal(p9_call(client, P9_TXATTRCREATE, "wsqw", 2u, "user.test", UINT64_C(5), 0u), 0);
	assert_int_equal(p9_write(client, 2, 0, "value", 5), 5);
	bool kept = p9_clunk(client, 2) == 0;
	assert_int_equal(p9_call(client, P9_TXATTRWALK, "wws", 1u, 3u, "user.test") == 0, kept);
	p9_call(client, P9_TXATTRWALK, "wws", 1u, 4u, "");
}

static void test_names(void **state) {
	struct p9_client *client = *state;
	assert_int_equal(p9_walk(client, 0, 1, "dir"), 0);
	assert_int_equal(p9_walk(client, 0, 2, "dir/file"), 0);
	assert_int_equal(p9_call(client, P9_TMKDIR, "wsww", 0u, "other", 0755u, 0u), 0);
	assert_int_equal(p9_walk(client, 0, 3, "other"), 0);
	assert_int_equal(p9_call(client, P9_TSYMLINK, "wssw", 3u, "link", "target", 0u), 0);
	assert_int_equal(p9_walk(client, 3, 4, "link"), 0);
	assert_int_equal(p9_call(client, P9_TREADLINK, "w", 4u), 0);
	assert_string_equal(p9_str(client), "target");
	assert_int_equal(p9_call(client, P9_TMKNOD, "wswwww", 3u, "fifo", S_IFIFO | 0600u, 0u, 0u, 0u), 0);
	assert_int_equal(p9_call(client, P9_TMKNOD, "wswwww", 3u, "plain", S_IFREG | 0600u, 0u, 0u, 0u), 0);
	/* From one directory to another, which old Landlocks forbid. */
	assert_int_equal(p9_call(client, P9_TLINK, "wws", 3u, 2u, "hard"), 0);
	assert_int_equal(p9_call(client, P9_TRENAMEAT, "wsws", 3u, "hard", 1u, "moved"), 0);
	assert_int_equal(p9_call(client, P9_TRENAME, "wws", 2u, 3u, "renamed"), 0);
	assert_int_equal(p9_call(client, P9_TUNLINKAT, "wsw", 3u, "fifo", 0u), 0);
	assert_int_equal(p9_call(client, P9_TUNLINKAT, "wsw", 3u, "plain", 0u), 0);
	assert_int_equal(p9_call(client, P9_TREMOVE, "w", 4u), 0);
	assert_int_equal(p9_call(client, P9_TREMOVE, "w", 2u), 0);
	assert_int_equal(p9_call(client, P9_TUNLINKAT, "wsw", 0u, "other", 0x200u), 0);
	assert_true(p9_host_has(client, "dir/moved", "content"));
	assert_int_equal(p9_open(client, 1, O_RDONLY), 0);
	assert_int_equal(p9_call(client, P9_TREADDIR, "wqw", 1u, UINT64_C(0), 4000u), 0);
}

static void test_locks(void **state) {
	struct p9_client *client = *state;
	assert_int_equal(p9_walk_open(client, 1, "dir/file", O_RDWR), 0);
	assert_int_equal(
		p9_call(client, P9_TLOCK, "wbwqqws", 1u, 1, 0u, UINT64_C(0), UINT64_C(0), 1u, "me"), 0);
	assert_int_equal(
		p9_call(client, P9_TGETLOCK, "wbqqws", 1u, 1, UINT64_C(0), UINT64_C(0), 2u, "you"), 0);
	assert_int_equal(
		p9_call(client, P9_TLOCK, "wbwqqws", 1u, 2, 0u, UINT64_C(0), UINT64_C(0), 1u, "me"), 0);
	assert_int_equal(p9_clunk(client, 1), 0);
}

/* Root's file server gives away what it makes, by a map. */
static void test_owners(void **state) {
	(void)state;
	const struct p9_ids map = {.ranges = {{0, 100000, 10}}, .count = 1};
	struct p9_client client;
	struct stat stat;
	if (geteuid() != 0) {
		skip();
	}
	p9_client_jailed = true;
	p9_client_init_mapped(&client, &map);
	p9_client_attach(&client);
	assert_int_equal(p9_call(&client, P9_TATTACH, "wwssw", 1u, P9_NOFID, "", "", 3u), 0);
	assert_int_equal(p9_call(&client, P9_TMKDIR, "wsww", 1u, "dir", 0700u, 4u), 0);
	assert_int_equal(p9_walk(&client, 1, 2, "dir"), 0);
	assert_int_equal(p9_call(&client, P9_TLCREATE, "wswww", 2u, "file", (unsigned)O_RDWR, 0600u, 4u), 0);
	assert_int_equal(fstatat(client.directory_fd, "dir/file", &stat, 0), 0);
	assert_int_equal(stat.st_uid, 100003);
	assert_int_equal(stat.st_gid, 100004);
	p9_client_finish(&client);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attributes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_locks, set_up, tear_down),
		cmocka_unit_test(test_owners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
