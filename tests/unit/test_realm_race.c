/*
 * Images that another process swaps all the while: what ph has checked of one must be what its disk is. Two
 * sealed images that differ in every block, one of which says so in its header.
 */
#include "ph/plan.h"

#include "realm_citadel.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BLOCK CITADEL_BLOCK
#define BLOCKS CITADEL_BLOCKS
#define TRIES 800

static struct citadel citadel;
static atomic_bool over;

static char *in(const char *rest) {
	static char paths[4][160];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", citadel.images, rest);
	return path;
}

static int make_citadel(void **state) {
	(void)state;
	return citadel_make(&citadel);
}

static int remove_citadel(void **state) {
	(void)state;
	citadel_remove(&citadel);
	return 0;
}

static void *swap(void *other) {
	char *paths[2] = {strdup(in("main-realmfs.img")), strdup(in(other))};
	while (!atomic_load(&over)) {
		renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE);
	}
	free(paths[0]);
	free(paths[1]);
	return NULL;
}

/* The letter of the image that was checked, once all of its disk turned out to be made of it; 0: refused. */
static char boot(const char *realmfs, const char *refusal) {
	struct plan plan;
	struct error error = {0};
	const struct plan_request request = {.realmfs = realmfs, .private_home = true, .no_wayland = true};
	char letter = 0, block[BLOCK];
	if (plan_init(&plan, &request, &error) == 0) {
		assert_int_equal(plan.disk_count, 1);
		const struct plan_disk *disk = &plan.disks[0];
		letter = disk->verity.root[0];
		for (int i = 0; i < BLOCKS; i++) {
			assert_int_equal(
				pread(disk->fd, block, BLOCK, (off_t)disk->offset + i * BLOCK), BLOCK);
			assert_true(block[0] == letter && block[BLOCK - 1] == letter);
		}
	} else if (refusal == NULL || strstr(error.message, refusal) == NULL) {
		fail_msg("%s", error.message);
	}
	plan_finish(&plan);
	return letter;
}

/* Both outcomes must have been seen, or the two never met. */
static void race(const char *other, char first, char second, const char *refusal) {
	pthread_t thread;
	bool seen[2] = {false, false};
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, swap, (void *)other), 0);
	for (int i = 0; i < TRIES || (i < 100 * TRIES && !(seen[0] && seen[1])); i++) {
		/* By its name, and by its path. */
		char letter = boot(i % 2 == 0 ? "main" : in("main-realmfs.img"), refusal);
		seen[0] = seen[0] || letter == first;
		seen[1] = seen[1] || letter == second;
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	assert_true(seen[0] && seen[1]);
}

static void another_image(void **state) {
	(void)state;
	citadel_make_image(in("main-realmfs.img"), 'a');
	citadel_make_image(in("other"), 'b');
	race("other", 'a', 'b', NULL);
}

/* By its path, where links are the user's own business, it leads to the other image. */
static void a_link(void **state) {
	(void)state;
	citadel_make_image(in("main-realmfs.img"), 'a');
	citadel_make_image(in("target"), 'b');
	unlink(in("link"));
	assert_int_equal(symlink("target", in("link")), 0);
	race("link", 'a', 0, "is a symbolic link");
}

static void something_else(void **state) {
	(void)state;
	unlink(in("main-realmfs.img"));
	citadel_make_image(in("main-realmfs.img"), 'a');
	FILE *file = fopen(in("plain"), "w");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), 1 << 20), 0);
	assert_int_equal(fclose(file), 0);
	race("plain", 'a', 0, "does not begin with SGOS");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_image), cmocka_unit_test(a_link), cmocka_unit_test(something_else)};
	return cmocka_run_group_tests(tests, make_citadel, remove_citadel);
}
