/*
 * Owners: as they are without a map, and with one shown, given and made by the map's rules. Giving files to
 * others takes root; what does not is tested without it, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RDWR 2u
#define SET_UID 0x2u
#define SET_GID 0x4u

static const struct p9_ids map = {.ranges = {{0, 100000, 10}, {1000, 5000, 2}}, .count = 2};

static void test_numbers(void **state) {
	(void)state;
	const struct p9_ids none = {0};
	uint32_t host;
	assert_int_equal(p9_ids_to_host(&none, 4711, &host), 0);
	assert_int_equal(host, 4711);
	assert_int_equal(p9_ids_to_guest(&none, 4711), 4711);
	assert_int_equal(p9_ids_to_host(&map, 9, &host), 0);
	assert_int_equal(host, 100009);
	assert_int_equal(p9_ids_to_host(&map, 10, &host), -EINVAL);
	assert_int_equal(p9_ids_to_host(&map, 999, &host), -EINVAL);
	assert_int_equal(p9_ids_to_host(&map, 1001, &host), 0);
	assert_int_equal(host, 5001);
	assert_int_equal(p9_ids_to_guest(&map, 5001), 1001);
	assert_int_equal(p9_ids_to_guest(&map, 5002), 65534);
	assert_int_equal(p9_ids_to_guest(&map, 0), 65534);
	assert_int_equal(p9_ids_to_guest(&map, 99999), 65534);
	assert_int_equal(p9_ids_to_guest(&map, 100000), 0);
}

static int setup(void **state) {
	struct p9_client *client = malloc(sizeof(*client));
	p9_client_init_mapped(client, &map);
	p9_client_attach(client);
	/* The users of the guest attach each for themselves: fid 1 is root's, 2 is user 1001's, 3 has no
	 * place. */
	static const uint32_t users[] = {0, 1001, 4000};
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(p9_call(client, P9_TATTACH, "wwssw", 1 + i, P9_NOFID, "", "", users[i]), 0);
	}
	*state = client;
	return 0;
}

static int teardown(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static void assert_owner(struct p9_client *c, const char *path, uid_t uid, gid_t gid) {
	struct stat stat;
	assert_int_equal(fstatat(c->directory_fd, path, &stat, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(stat.st_uid, uid);
	assert_int_equal(stat.st_gid, gid);
}

static void test_making(void **state) {
	struct p9_client *c = *state;
	if (geteuid() != 0) {
		skip();
	}
	struct p9_client_stat stat;
	assert_int_equal(p9_walk(c, 2, 10, ""), 0);
	assert_int_equal(p9_call(c, P9_TLCREATE, "wswww", 10, "file", RDWR, 0640, 1000), 0);
	assert_int_equal(p9_write(c, 10, 0, "x", 1), 1);
	assert_owner(c, "file", 5001, 5000);
	assert_int_equal(p9_stat(c, 10, &stat), 0);
	assert_int_equal(stat.uid, 1001);
	assert_int_equal(stat.gid, 1000);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 2, "dir", 0755, 1001), 0);
	assert_owner(c, "dir", 5001, 5001);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 2, "link", "x", 3), 0);
	assert_owner(c, "link", 5001, 100003);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 1, "fifo", S_IFIFO | 0644, 0, 0, 0), 0);
	assert_owner(c, "fifo", 100000, 100000);
	/* A fid is its user's wherever it walks. Root of the guest makes files in another's directory. */
	assert_int_equal(p9_walk(c, 1, 11, "dir"), 0);
	assert_int_equal(p9_call(c, P9_TLCREATE, "wswww", 11, "roots", RDWR, 0600, 0), 0);
	assert_owner(c, "dir/roots", 100000, 100000);
	/* Who or what has no place makes nothing. */
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 3, "d", 0755, 0), EOVERFLOW);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 2, "d", 0755, 4000), EOVERFLOW);
	assert_int_equal(p9_walk(c, 3, 12, ""), 0);
	assert_int_equal(p9_call(c, P9_TLCREATE, "wswww", 12, "f", RDWR, 0600, 0), EOVERFLOW);
	/* And ph itself is who it was: that file is root's, and it is opened. */
	p9_host_make(c, "roots", "secret");
	assert_int_equal(fchmodat(c->directory_fd, "roots", 0600, 0), 0);
	assert_int_equal(p9_walk_open(c, 13, "roots", RDWR), 0);
}

static void test_giving(void **state) {
	struct p9_client *c = *state;
	if (geteuid() != 0) {
		skip();
	}
	struct p9_client_stat stat;
	p9_host_make(c, "file", "x");
	assert_int_equal(p9_walk(c, 0, 10, "file"), 0);
	assert_int_equal(p9_stat(c, 10, &stat), 0);
	assert_int_equal(stat.uid, 65534);
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 10, SET_UID | SET_GID, 0, 1001, 7, UINT64_C(0),
				 UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0)),
		0);
	assert_owner(c, "file", 5001, 100007);
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 10, SET_UID, 0, 65534, 0, UINT64_C(0),
				 UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0)),
		EINVAL);
	assert_owner(c, "file", 5001, 100007);
	/* Access lists hold the host's numbers. */
	assert_int_equal(p9_call(c, P9_TXATTRWALK, "wws", 10, 20, "system.posix_acl_access"), EOPNOTSUPP);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test_setup_teardown(test_making, setup, teardown),
		cmocka_unit_test_setup_teardown(test_giving, setup, teardown),
	};
	return cmocka_run_group_tests_name("p9 owners", tests, NULL, NULL);
}
