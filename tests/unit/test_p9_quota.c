/*
 * Limits: more fids than descriptors, parked and found again, and what the guest is told when
 * there are no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 400
#define DIRECTORIES 20u
#define FILES 100u

static uint32_t fid_of(unsigned directory, unsigned file) {
	return 1000 + directory * FILES + file;
}

static unsigned open_descriptors(void) {
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return count;
}

/* A fid for each of a few thousand files, walked to through their directories' fids. */
static int setup(void **state) {
	struct p9_client *c = malloc(sizeof(*c));
	p9_client_init(c, false, NULL);
	p9_client_attach(c);
	char path[64];
	for (unsigned d = 0; d < DIRECTORIES; d++) {
		snprintf(path, sizeof(path), "d%u", d);
		p9_host_make(c, path, NULL);
		snprintf(path, sizeof(path), "d%u/deep", d);
		p9_host_make(c, path, NULL);
		assert_int_equal(p9_walk(c, 0, 1 + d, path), 0);
		for (unsigned f = 0; f < FILES; f++) {
			char name[80];
			snprintf(name, sizeof(name), "%s/f%u", path, f);
			p9_host_make(c, name, name + strlen(path) + 1);
			assert_int_equal(p9_walk(c, 1 + d, fid_of(d, f), name + strlen(path) + 1), 0);
		}
	}
	*state = c;
	return 0;
}

static int teardown(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static void test_parked(void **state) {
	struct p9_client *c = *state;
	char data[16], name[16];
	assert_true(open_descriptors() < DESCRIPTORS);
	for (unsigned f = 0; f < FILES; f++) {
		for (unsigned d = 0; d < DIRECTORIES; d++) {
			uint32_t fid = fid_of(d, f);
			assert_int_equal(p9_walk(c, fid, 5000, ""), 0);
			assert_int_equal(p9_open(c, 5000, 0), 0);
			snprintf(name, sizeof(name), "f%u", f);
			assert_int_equal(p9_read(c, 5000, 0, data, sizeof(data)), strlen(name));
			assert_memory_equal(data, name, strlen(name));
			assert_int_equal(p9_clunk(c, 5000), 0);
		}
	}
}

/* What the guest itself renames is found under its new name, and everything beneath. */
static void test_parked_renamed(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "d0", 2, "moved"), 0);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 3, "f0", 3, "other"), 0);
	for (unsigned d = DIRECTORIES; d-- > 0;) {
		for (unsigned f = 0; f < FILES; f++) {
			assert_int_equal(p9_stat(c, fid_of(d, f), &stat), 0);
		}
	}
}

/* What the host has moved, removed or replaced is stale, and only that. */
static void test_parked_stale(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	/* Touch the last ones, so that the first are cold. */
	for (unsigned d = 5; d < DIRECTORIES; d++) {
		for (unsigned f = 0; f < FILES; f++) {
			assert_int_equal(p9_stat(c, fid_of(d, f), &stat), 0);
		}
	}
	assert_int_equal(unlinkat(c->directory_fd, "d1/deep/f1", 0), 0);
	p9_host_make(c, "new", "an impostor");
	assert_int_equal(renameat(c->directory_fd, "new", c->directory_fd, "d1/deep/f2"), 0);
	assert_int_equal(unlinkat(c->directory_fd, "d1/deep/f3", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", c->directory_fd, "d1/deep/f3"), 0);
	assert_int_equal(renameat(c->directory_fd, "d2", c->directory_fd, "gone"), 0);
	assert_int_equal(symlinkat("gone", c->directory_fd, "d2"), 0);
	assert_int_equal(p9_stat(c, fid_of(1, 0), &stat), 0);
	assert_int_equal(p9_stat(c, fid_of(1, 1), &stat), ESTALE);
	assert_int_equal(p9_stat(c, fid_of(1, 2), &stat), ESTALE);
	assert_int_equal(p9_open(c, fid_of(1, 2), 0), ESTALE);
	assert_int_equal(p9_stat(c, fid_of(1, 3), &stat), ESTALE);
	assert_int_equal(p9_stat(c, fid_of(1, 4), &stat), 0);
	assert_int_equal(p9_stat(c, fid_of(2, 0), &stat), ESTALE);
}

static void park_all(struct p9_client *c) {
	while (p9_tree_park(&c->server.tree, UINT32_MAX) > 0) {
	}
}

/* Looked for while it is being renamed, it is found under the one name or the other. */
static void test_parked_while_renamed(void **state) {
	struct p9_client *c = *state;
	static const char *const names[] = {"f5", "other"};
	for (unsigned i = 0; i < 1000; i++) {
		park_all(c);
		uint8_t type;
		int error;
		p9_send(c, P9_TRENAMEAT, "wsws", 4, names[i % 2], 4, names[(i + 1) % 2]);
		p9_send(c, P9_TGETATTR, "wq", fid_of(3, 5), UINT64_C(0));
		p9_send(c, P9_TGETATTR, "wq", fid_of(3, 5), UINT64_C(0));
		for (int answer = 0; answer < 3; answer++) {
			p9_receive(c, &type, &error);
			assert_int_equal(error, 0);
		}
	}
}

/* A rename of something else, on a host that takes its time: who looks for what is gone does not wait for it.
 */
static void test_stale_beside_rename(void **state) {
	struct p9_client *c = *state;
	uint8_t type;
	int error;
	park_all(c);
	assert_int_equal(unlinkat(c->directory_fd, "d3/deep/f5", 0), 0);
	struct p9_rename rename;
	p9_tree_begin_rename(&c->server.tree, &rename, c->server.tree.root, "f5");
	p9_send(c, P9_TGETATTR, "wq", fid_of(3, 5), UINT64_C(0));
	bool answered = p9_ready(c, 10000);
	p9_tree_end_rename(&c->server.tree, &rename);
	p9_receive(c, &type, &error);
	assert_int_equal(error, ESTALE);
	assert_true(answered);
}

/* What the guest itself removes or replaces can be used on, as a file that is open there must be. */
static void test_parked_removed(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	park_all(c);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 6, "f1", 0), 0);
	assert_int_equal(p9_stat(c, fid_of(5, 1), &stat), 0);
	assert_int_equal(stat.links, 0);
	park_all(c);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 6, "f2", 6, "f3"), 0);
	assert_int_equal(p9_stat(c, fid_of(5, 3), &stat), 0);
	assert_int_equal(stat.links, 0);
	assert_int_equal(p9_stat(c, fid_of(5, 2), &stat), 0);
	assert_int_equal(stat.links, 1);
	park_all(c);
	assert_int_equal(p9_stat(c, fid_of(5, 1), &stat), 0);
	assert_int_equal(p9_open(c, fid_of(5, 3), 0), 0);
}

/* Open files cannot be parked: their end is an error, and the server lives on. */
static void test_open_files(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	unsigned opened = 0;
	int error = 0;
	for (; opened < DIRECTORIES * FILES; opened++) {
		assert_int_equal(p9_walk(c, fid_of(opened / FILES, opened % FILES), 10000 + opened, ""), 0);
		error = p9_open(c, 10000 + opened, 0);
		if (error != 0) {
			break;
		}
	}
	assert_int_equal(error, ENFILE);
	assert_in_range(opened, DESCRIPTORS / 2, DESCRIPTORS);
	assert_int_equal(p9_walk(c, 0, 9000, "."), EINVAL);
	for (unsigned i = 0; i <= opened; i++) {
		assert_int_equal(p9_clunk(c, 10000 + i), 0);
	}
	assert_int_equal(p9_stat(c, fid_of(3, 3), &stat), 0);
	assert_int_equal(p9_open(c, fid_of(3, 3), 0), 0);
}

/* A fid holds all directories above it: how many there are is bounded, and not by the number of fids. */
static void test_deep(void **state) {
	struct p9_client *c = *state;
	unsigned depth = 0;
	int error = 0;
	c->server.tree.alive_max = 50;
	assert_int_equal(p9_walk(c, 0, 1, ""), 0);
	for (; depth < 60 && error == 0; depth++) {
		assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 1, "d", 0755, 0), depth < 50 ? 0 : ENOMEM);
		error = p9_walk(c, 1, 1, "d");
	}
	assert_int_equal(error, ENOMEM);
	assert_int_equal(depth, 51);
	/* Directories that the host has removed count, too, as long as a fid holds them. */
	assert_int_equal(p9_walk(c, 0, 2, "d"), 0);
	assert_int_equal(renameat(c->directory_fd, "d", c->directory_fd, "gone"), 0);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 0, "d", 0755, 0), ENOMEM);
	assert_int_equal(p9_clunk(c, 1), 0);
	assert_int_equal(p9_walk(c, 0, 1, "gone/d/d/d"), 0);
}

static int setup_empty(void **state) {
	struct p9_client *c = malloc(sizeof(*c));
	p9_client_init(c, false, NULL);
	p9_client_attach(c);
	*state = c;
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_parked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked_while_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_beside_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep, setup_empty, teardown),
	};
	struct rlimit limit = {.rlim_cur = DESCRIPTORS / 2, .rlim_max = DESCRIPTORS};
	p9_drop_root();
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 1;
	}
	return cmocka_run_group_tests_name("p9 limits", tests, NULL, NULL);
}
