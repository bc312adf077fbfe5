/*
 * Large numbers: 100,000 entries in a directory, 10,000 open files, and 50,000 fids on few descriptors. In
 * seconds, so nothing here may cost more than in proportion.
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
#include <sys/resource.h>
#include <unistd.h>

#define ENTRIES 100000u
#define FILES 100u
#define OPEN_FILES 10000u
#define FIDS 50000u
#define DESCRIPTORS 2000u
#define RDWR 2u

static int setup(void **state) {
	struct p9_client *client = malloc(sizeof(*client));
	p9_client_init(client, false, NULL);
	client->reply_room = 20000; /* less to clear for each reply */
	p9_client_attach(client);
	*state = client;
	return 0;
}

static int teardown(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

/* Names are what counts, and a name is made much faster than a file: a hundred files have them all. */
static void make_many(struct p9_client *c, unsigned first, unsigned count) {
	char file[32], name[32];
	for (unsigned i = first; i < first + count; i++) {
		snprintf(file, sizeof(file), "file%u", i % FILES);
		snprintf(name, sizeof(name), "many/%u", i);
		if (i < FILES) {
			p9_host_make(c, file, "");
		}
		assert_int_equal(linkat(c->directory_fd, file, c->directory_fd, name, 0), 0);
	}
}

/* Count in seen[] what the next reply lists; the offset to go on from, 0 at the end. */
static uint64_t list(struct p9_client *c, uint32_t fid, uint64_t offset, uint32_t count, uint8_t *seen) {
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", fid, offset, count), 0);
	uint32_t left = p9_u32(c);
	assert_true(left <= count);
	for (uint64_t next = 0;;) {
		if (left == 0) {
			return next;
		}
		p9_bytes(c, 13);
		next = p9_u64(c);
		p9_u8(c);
		const char *name = p9_str(c);
		left -= 24 + (uint32_t)strlen(name);
		if (name[0] != '.') {
			seen[atoi(name)]++;
		}
	}
}

/* Those that stay all the time are listed once, whatever comes and goes meanwhile. */
static void test_directory(void **state) {
	struct p9_client *c = *state;
	uint8_t *seen = calloc(2, ENTRIES);
	p9_host_make(c, "many", NULL);
	make_many(c, 0, ENTRIES);
	assert_int_equal(p9_walk_open(c, 1, "many", 0), 0);
	assert_int_equal(p9_walk(c, 0, 2, "many"), 0);
	unsigned replies = 0, removed = 0, added = ENTRIES;
	for (uint64_t offset = 0; replies == 0 || offset != 0; replies++) {
		offset = list(c, 1, offset, replies % 3 == 0 ? 19000 : 8000, seen);
		for (unsigned i = 0; i < 100; i++, removed += 3) {
			char name[32];
			snprintf(name, sizeof(name), "%u", removed);
			assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 2, name, 0), 0);
		}
		make_many(c, added, 50);
		added += 50;
	}
	assert_in_range(replies, 5, 600);
	for (unsigned i = 0; i < ENTRIES; i++) {
		assert_in_range(seen[i], i >= removed || i % 3 != 0, 1);
	}
	/* Once more from the start, as it is now. */
	memset(seen, 0, (size_t)2 * ENTRIES);
	for (uint64_t offset = list(c, 1, 0, 19000, seen); offset != 0;) {
		offset = list(c, 1, offset, 19000, seen);
	}
	for (unsigned i = 0; i < added; i++) {
		assert_int_equal(seen[i], i >= removed || i % 3 != 0);
	}
	free(seen);
}

static void test_open_files(void **state) {
	struct p9_client *c = *state;
	char name[32], data[16];
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < OPEN_FILES + 1000) {
		skip(); /* the server's own limit is this, whatever it does */
	}
	p9_host_make(c, "many", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "many"), 0);
	for (uint32_t i = 0; i < OPEN_FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(p9_walk(c, 1, 10 + i, ""), 0);
		assert_int_equal(p9_create(c, 10 + i, name, RDWR, 0600), 0);
		assert_int_equal(p9_write(c, 10 + i, 0, name, (uint32_t)strlen(name)), strlen(name));
		assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 1, name, 0), 0);
	}
	for (uint32_t i = 0; i < OPEN_FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(p9_read(c, 10 + i, 0, data, sizeof(data)), strlen(name));
		assert_memory_equal(data, name, strlen(name));
		assert_int_equal(p9_clunk(c, 10 + i), 0);
	}
}

/* The server counts against the hard limit, which comes down here: the last test. */
static void test_parked(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	struct rlimit limit = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	p9_host_raise_limit();
	p9_host_make(c, "many", NULL);
	make_many(c, 0, FIDS);
	assert_int_equal(p9_walk(c, 0, 1, "many"), 0);
	uint64_t *paths = calloc(FIDS, sizeof(*paths));
	char name[32];
	for (uint32_t i = 0; i < FIDS; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(p9_walk(c, 1, 10 + i, name), 0);
		p9_u8(c);
		p9_u32(c);
		paths[i] = p9_u64(c);
	}
	/* In another order, each still is the file it was. */
	for (uint32_t i = 0, at = 0; i < FIDS; i++, at = (at + 7919) % FIDS) {
		assert_int_equal(p9_stat(c, 10 + at, &stat), 0);
		assert_true(stat.qid_path == paths[at]);
	}
	free(paths);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked, setup, teardown),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 at scale", tests, NULL, NULL);
}
