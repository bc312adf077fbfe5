/*
 * Sessions over 9P2000.L: version, attach, walks, fids, flush, and messages that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void test_version(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(p9_call(c, P9_TVERSION, "ws", 0xffffffffu, "9P2000.L"), 0);
	assert_int_equal(p9_u32(c), P9_CLIENT_MSIZE);
	assert_string_equal(p9_str(c), "9P2000.L");
	assert_int_equal(p9_call(c, P9_TVERSION, "ws", 8192, "9P2000.u"), 0);
	assert_int_equal(p9_u32(c), 8192);
	assert_string_equal(p9_str(c), "unknown");
	assert_int_equal(p9_call(c, P9_TVERSION, "ws", 4095, "9P2000.L"), EMSGSIZE);
	/* A version ends the session: its fids are gone. */
	assert_int_equal(p9_clunk(c, 0), EBADF);
}

static void test_attach(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(p9_call(c, P9_TAUTH, "wssw", 9, "user", "", 0), EOPNOTSUPP);
	assert_int_equal(p9_call(c, P9_TATTACH, "wwssw", 1, 9, "user", "", 0), EINVAL);
	assert_int_equal(p9_call(c, P9_TATTACH, "wwssw", 1, P9_NOFID, "user", "/etc", 0), ENOENT);
	assert_int_equal(p9_call(c, P9_TATTACH, "wwssw", 0, P9_NOFID, "user", "", 0), EINVAL); /* in use */
	assert_int_equal(p9_call(c, P9_TATTACH, "wwssw", P9_NOFID, P9_NOFID, "user", "", 0), EINVAL);
	assert_int_equal(p9_call(c, P9_TATTACH, "wwssw", 1, P9_NOFID, "root", "/", 0), 0);
	assert_int_equal(p9_u8(c), P9_QID_DIR);
}

static void test_walk(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	p9_host_make(c, "a/b/file", "content");
	assert_int_equal(p9_walk(c, 0, 1, "a/b/file"), 0);
	p9_u8(c);
	p9_u32(c);
	p9_u64(c);
	assert_int_equal(p9_walk(c, 0, 1, "a"), EINVAL); /* in use */
	assert_int_equal(p9_clunk(c, 1), 0);
	assert_int_equal(p9_walk(c, 7, 1, "a"), EBADF);
	assert_int_equal(p9_walk(c, 0, P9_NOFID, "a"), EINVAL);
	/* A clone, and a walk onto the fid itself. */
	assert_int_equal(p9_walk(c, 0, 1, ""), 0);
	assert_int_equal(p9_walk(c, 1, 1, "a/b"), 0);
	assert_int_equal(p9_walk(c, 1, 2, "file"), 0);
	assert_int_equal(p9_walk(c, 1, 3, "../../a/b/../b/file"), 0);
	/* Through what is no directory. */
	assert_int_equal(p9_walk(c, 2, 4, "x"), ENOTDIR);
	assert_int_equal(p9_walk(c, 2, 4, ".."), ENOTDIR);
}

static void test_walk_partly(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "a", NULL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhsss", 0, 1, 3, "a", "none", "b"), 0);
	assert_int_equal(p9_u16(c), 1);
	assert_int_equal(p9_u8(c), P9_QID_DIR);
	assert_int_equal(p9_clunk(c, 1), EBADF);
	assert_int_equal(p9_walk(c, 0, 1, "none"), ENOENT);
	/* Sixteen names are allowed, seventeen are not. */
	assert_int_equal(p9_walk(c, 0, 1, "a/../a/../a/../a/../a/../a/../a/../a/.."), 0);
	assert_int_equal(p9_walk(c, 0, 2, "a/../a/../a/../a/../a/../a/../a/../a/../a"), EINVAL);
}

static void test_walk_names(void **state) {
	struct p9_client *c = *state;
	char longest[257];
	memset(longest, 'n', sizeof(longest));
	assert_int_equal(p9_call(c, P9_TWALK, "wwhs", 0, 1, 1, "."), EINVAL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhs", 0, 1, 1, ""), EINVAL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhs", 0, 1, 1, "a/b"), EINVAL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhs", 0, 1, 1, "/"), EINVAL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhS", 0, 1, 1, "a\0b", (size_t)3), EINVAL);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhS", 0, 1, 1, longest, (size_t)256), ENAMETOOLONG);
	assert_int_equal(p9_call(c, P9_TWALK, "wwhS", 0, 1, 1, longest, (size_t)255), ENOENT);
	/* Names are bytes. */
	p9_host_make(c, "\xff\xfe\n", "bytes");
	assert_int_equal(p9_walk(c, 0, 1, "\xff\xfe\n"), 0);
}

/* The host moves what the guest has walked to: ".." is where the guest came from, and never above the root.
 */
static void test_walk_parent(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat root, parent;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "a/b"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "../../.."), 0);
	assert_int_equal(p9_stat(c, 0, &root), 0);
	assert_int_equal(p9_stat(c, 2, &parent), 0);
	assert_int_equal(root.qid_path, parent.qid_path);
	char outside[128];
	snprintf(outside, sizeof(outside), "%s.moved", c->directory);
	char inside[128];
	snprintf(inside, sizeof(inside), "%s/a/b", c->directory);
	assert_int_equal(rename(inside, outside), 0);
	assert_int_equal(p9_walk(c, 1, 3, "../.."), 0);
	assert_int_equal(p9_stat(c, 3, &parent), 0);
	assert_int_equal(root.qid_path, parent.qid_path);
	assert_int_equal(rmdir(outside), 0);
}

static void test_unknown(void **state) {
	struct p9_client *c = *state;
	for (int type = 0; type < 256; type += 2) {
		if (type == P9_TVERSION || type == P9_TAUTH) {
			continue;
		}
		uint8_t answer;
		int error;
		uint16_t tag = p9_send(c, (uint8_t)type, "");
		assert_int_equal(p9_receive(c, &answer, &error), tag);
		assert_int_equal(answer, 7);
		/* Nothing known is as short as that. */
		bool known = error == EINVAL;
		assert_true(known || error == EOPNOTSUPP);
		assert_int_equal(known, type == 8 || (type >= 12 && type <= 26) || type == 30 || type == 32 ||
						type == 40 || (type >= 50 && type <= 54) ||
						(type >= 70 && type <= 76) || type == 104 ||
						(type >= 108 && type <= 110) || (type >= 116 && type <= 122));
	}
	uint8_t answer;
	int error;
	p9_send(c, 6, ""); /* Tlerror: there is no such request */
	p9_receive(c, &answer, &error);
	assert_int_equal(error, EOPNOTSUPP);
}

static void test_malformed(void **state) {
	struct p9_client *c = *state;
	uint8_t answer;
	int error;
	/* Each known request cut short after each byte. */
	static const uint8_t frame[] = {0, 0, 0, 0, P9_TWALK, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 'a'};
	for (uint8_t size = 7; size < sizeof(frame); size++) {
		uint8_t cut[sizeof(frame)];
		memcpy(cut, frame, sizeof(frame));
		cut[0] = size;
		p9_send_raw(c, cut, size);
		p9_receive(c, &answer, &error);
		assert_int_equal(error, EINVAL);
	}
	/* Bytes left over. */
	assert_int_equal(p9_call(c, P9_TCLUNK, "wb", 0, 0), EINVAL);
	/* A size that is less than a header, or more than what came. */
	p9_send_raw(c, "\x06\0\0\0\x78\1\0", 7);
	p9_receive(c, &answer, &error);
	assert_int_equal(error, EINVAL);
	p9_send_raw(c, "\xff\xff\xff\xff\x78\1\0", 7);
	p9_receive(c, &answer, &error);
	assert_int_equal(error, EINVAL);
	/* Longer than any request without data. */
	char data[9000] = {0};
	assert_int_equal(p9_call(c, P9_TCLUNK, "D", data, sizeof(data)), ENAMETOOLONG);
	assert_int_equal(p9_clunk(c, 0), 0);
}

/* What does not fit the room for the reply is an error that does. */
static void test_small_reply(void **state) {
	struct p9_client *c = *state;
	c->reply_room = 20;
	assert_int_equal(p9_call(c, P9_TGETATTR, "wq", 0, UINT64_C(0)), EMSGSIZE);
	assert_int_equal(p9_call(c, P9_TCLUNK, "w", 0), 0);
	c->reply_room = P9_CLIENT_MSIZE;
}

static void test_flush(void **state) {
	struct p9_client *c = *state;
	/* Of what is not there: at once. */
	assert_int_equal(p9_call(c, P9_TFLUSH, "h", 12345), 0);
	/* Of itself. */
	assert_int_equal(p9_call(c, P9_TFLUSH, "h", c->tag + 1), 0);
	/* Of a lock that waits for a host process: the lock ends first, then the flush is answered. */
	c->server.locks.wait_ms = 600 * 1000;
	p9_host_make(c, "file", "x");
	int fd = openat(c->directory_fd, "file", O_RDWR);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(p9_walk_open(c, 1, "file", 2), 0);
	uint16_t locking = p9_send(c, P9_TLOCK, "wbwqqws", 1, 1, 1, UINT64_C(0), UINT64_C(0), 7, "guest");
	assert_false(p9_ready(c, 50));
	/* Others are served meanwhile. */
	uint8_t type;
	int error;
	struct p9_client_stat stat;
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	uint16_t flush = p9_send(c, P9_TFLUSH, "h", locking);
	assert_int_equal(p9_receive(c, &type, &error), locking);
	assert_int_equal(error, EINTR);
	assert_int_equal(p9_receive(c, &type, &error), flush);
	assert_int_equal(type, P9_TFLUSH + 1);
	/* The lock that was given up is nobody's. */
	assert_int_equal(p9_call(c, P9_TLOCK, "wbwqqws", 1, 2, 0, UINT64_C(0), UINT64_C(0), 7, "guest"), 0);
	close(fd);
}

/* Opening what another process has a lease on hangs until that gives way: like a file system that does not
 * answer. */
static void test_stall(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	uint8_t type;
	int error;
	p9_host_make(c, "leased", "x");
	p9_host_make(c, "other", "y");
	int fd = openat(c->directory_fd, "leased", O_RDONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN); /* what the lease's holder is told by */
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
		close(fd);
		skip(); /* the file system of /tmp has none */
	}
	assert_int_equal(p9_walk(c, 0, 1, "leased"), 0);
	uint16_t opening = p9_send(c, P9_TLOPEN, "ww", 1, 2);
	assert_false(p9_ready(c, 50));
	/* All others are served, and what hangs can be flushed. */
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(p9_walk_open(c, 10 + i, "other", 0), 0);
		assert_int_equal(p9_stat(c, 1, &stat), 0);
	}
	uint16_t flush = p9_send(c, P9_TFLUSH, "h", opening);
	assert_int_equal(p9_stat(c, 0, &stat), 0);
	assert_false(p9_ready(c, 50)); /* the flush waits for what it flushes */
	assert_int_equal(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	assert_int_equal(p9_receive(c, &type, &error), opening);
	assert_int_equal(p9_receive(c, &type, &error), flush);
	assert_int_equal(type, P9_TFLUSH + 1);
	close(fd);
}

static void send_random(struct p9_client *c, unsigned random) {
	static const char *const names[] = {"a", "b", "c", "d"};
	const char *name = names[random >> 8 & 3], *other = names[random >> 10 & 3];
	uint32_t fid = random >> 12 & 7, new_fid = random >> 15 & 7;
	switch (random % 11) {
	case 0:
	case 1:
		p9_send(c, P9_TWALK, "wwhs", fid, new_fid, 1, name);
		break;
	case 2:
		p9_send(c, P9_TWALK, "wwhss", 0, new_fid, 2, name, other);
		break;
	case 3:
		p9_send(c, P9_TLCREATE, "wswww", fid, name, 2u, 0644u, 0u);
		break;
	case 4:
		p9_send(c, P9_TMKDIR, "wsww", fid, name, 0755u, 0u);
		break;
	case 5:
		p9_send(c, P9_TRENAMEAT, "wsws", fid, name, new_fid, other);
		break;
	case 6:
		p9_send(c, P9_TREMOVE, "w", fid == 0 ? 1 : fid);
		break;
	case 7:
		p9_send(c, P9_TCLUNK, "w", fid == 0 ? 1 : fid);
		break;
	case 8:
		p9_send(c, P9_TLOPEN, "ww", fid == 0 ? 1 : fid, 0u);
		break;
	case 9:
		p9_send(c, P9_TREADDIR, "wqw", fid, UINT64_C(0), 4096u);
		break;
	default:
		p9_send(c, P9_TFLUSH, "h", c->tag - 3);
		break;
	}
}

/* Requests on the same few fids and names, all at once: each is answered, once. */
static void test_side_by_side(void **state) {
	struct p9_client *c = *state;
	unsigned random = 12345;
	for (int round = 0; round < 200; round++) {
		uint16_t first = c->tag + 1;
		bool seen[32] = {false};
		for (int i = 0; i < 32; i++) {
			random = random * 1103515245 + 12345;
			send_random(c, random >> 5);
		}
		for (int i = 0; i < 32; i++) {
			uint8_t type;
			int error;
			uint16_t index = (uint16_t)(p9_receive(c, &type, &error) - first);
			assert_in_range(index, 0, 31);
			assert_false(seen[index]);
			seen[index] = true;
		}
	}
	struct p9_client_stat stat;
	assert_int_equal(p9_stat(c, 0, &stat), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_partly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stall, setup, teardown),
		cmocka_unit_test_setup_teardown(test_side_by_side, setup, teardown),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 session", tests, NULL, NULL);
}
