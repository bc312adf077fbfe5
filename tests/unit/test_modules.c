/* Which modules go into the archive, in which order, from a folder as depmod leaves it. */
#include "monitor/modules.h"

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

static char folder[] = "/tmp/ph-modules-XXXXXX";

static void put_file(const char *name, const char *text) {
	char path[128];
	snprintf(path, sizeof(path), "%s/1.0/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void remove_file(const char *name) {
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	remove(path);
}

static int setup(void **state) {
	(void)state;
	char path[128];
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/1.0", folder);
	if (mkdir(path, 0755) < 0) {
		return -1;
	}
	put_file("9p.ko.xz", "<9p>");
	put_file("9pnet.ko.xz", "<9pnet>");
	put_file("netfs.ko", "<netfs>");
	put_file("virtio-rng.ko", "<rng>");
	put_file("ext4x.ko", "<wrong>");
	return 0;
}

static int teardown(void **state) {
	(void)state;
	static const char *const names[] = {"1.0/9p.ko.xz", "1.0/9pnet.ko.xz", "1.0/netfs.ko",
		"1.0/virtio-rng.ko", "1.0/ext4x.ko", "1.0/modules.dep", "1.0", ""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		remove_file(names[i]);
	}
	return 0;
}

/* The contents of the archived modules, in their order, as one string. */
static void archived(char *text, size_t size, const char *version) {
	struct initramfs initramfs = {0};
	modules_add(&initramfs, folder, version);
	assert_int_equal(initramfs_end(&initramfs), 0);
	size_t used = 0;
	for (size_t i = 0; i + 1 < initramfs.size; i++) {
		if (initramfs.data[i] == '<') {
			size_t len = strcspn((const char *)initramfs.data + i, ">") + 1;
			assert_true(used + len < size);
			memcpy(text + used, initramfs.data + i, len);
			used += len;
		}
	}
	text[used] = '\0';
	initramfs_finish(&initramfs);
}

static void test_needs_come_first_and_once(void **state) {
	(void)state;
	char text[256];
	put_file("modules.dep", "ext4x.ko:\n9p.ko.xz: 9pnet.ko.xz netfs.ko\n9pnet.ko.xz: "
				"netfs.ko\nvirtio-rng.ko:\nnetfs.ko:\n");
	archived(text, sizeof(text), "1.0");
	assert_string_equal(text, "<rng><netfs><9pnet><9p>");
}

static void test_missing_and_odd_lines(void **state) {
	(void)state;
	char text[256];
	put_file("modules.dep", "\nno colon here\n:\n9p.ko.xz:  absent.ko  netfs.ko \nvirtio-rng.ko");
	archived(text, sizeof(text), "1.0");
	assert_string_equal(text, "<netfs><9p>");
	put_file("modules.dep", "");
	archived(text, sizeof(text), "1.0");
	assert_string_equal(text, "");
}

static void test_no_modules(void **state) {
	(void)state;
	char text[256];
	archived(text, sizeof(text), "2.0");
	assert_string_equal(text, "");
	archived(text, sizeof(text), "");
	assert_string_equal(text, "");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_come_first_and_once),
		cmocka_unit_test(test_missing_and_odd_lines),
		cmocka_unit_test(test_no_modules),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
