/* The boot configuration made from a plan, and the archive it travels in. */
#include "monitor/guest_config.h"
#include "monitor/initramfs.h"
#include "monitor/memory.h"
#include "ph/guest.h"

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

/* A plan's strings are not const: at file scope these live as long as the program. */
#define TEXT(s) ((char[]){s})
static char *argv[] = {TEXT("sh"), TEXT("-c"), TEXT("exit 7"), NULL};
static char *environment[] = {TEXT("TERM=xterm"), NULL};
static char *vm = TEXT("vm"), *home_path = TEXT("/home/u"), *user = TEXT("u"), *shell = TEXT("/bin/sh"),
	    *cwd = TEXT("/tmp");

static struct plan plan(void) {
	return (struct plan){.name = vm,
		.cpus = 1,
		.memory = 1ULL << 30,
		.root = PLAN_ROOT_SELF,
		.share_count = 2,
		.shares = {{.files = {.tag = "root", .read_only = true}, .mount_options = "cache=loose"},
			{.files = {.tag = "home"}, .guest_path = home_path}},
		.user = {.uid = 1000, .gid = 100, .name = user, .home = home_path, .shell = shell},
		.command = argv,
		.environment = environment,
		.cwd = cwd};
}

/* The nth record of a key, or fail. */
static struct record find(const struct record_buffer *buffer, uint16_t key, unsigned nth) {
	struct record_reader reader = {.next = buffer->data, .left = buffer->size};
	struct record record;
	while (record_next(&reader, &record) == 1) {
		if (record.key == key && nth-- == 0) {
			return record;
		}
	}
	fail_msg("no record %u", key);
	return record;
}

static bool has(const struct record_buffer *buffer, uint16_t key) {
	struct record_reader reader = {.next = buffer->data, .left = buffer->size};
	struct record record;
	while (record_next(&reader, &record) == 1) {
		if (record.key == key) {
			return true;
		}
	}
	return false;
}

static void expect_list(struct record record, const char *const *expected) {
	size_t count = 0;
	char **list = record_list(&record, &count);
	assert_non_null(list);
	for (size_t i = 0; i < count; i++) {
		assert_non_null(expected[i]);
		assert_string_equal(list[i], expected[i]);
	}
	assert_null(expected[count]);
	free(list);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put(struct record_buffer *buffer, const struct plan *p, bool late) {
	struct guest_memory memory;
	assert_int_equal(memory_init(&memory, p->memory, late, NULL), 0);
	guest_config_put(buffer, p, &memory, late);
	memory_finish(&memory);
	assert_false(buffer->failed);
}

static void test_self_hosted(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	struct plan p = plan();
	put(&buffer, &p, true);
	expect_list(find(&buffer, GUEST_CONFIG_ROOT_9P, 0),
		LIST("root", "trans=virtio,version=9p2000.L,msize=512000,cache=loose"));
	expect_list(find(&buffer, GUEST_CONFIG_MOUNT_9P, 0),
		LIST("home", "/home/u", "trans=virtio,version=9p2000.L,msize=512000", "rw"));
	expect_list(find(&buffer, GUEST_CONFIG_USER, 0), LIST("u", "1000", "100", "/home/u", "/bin/sh", ""));
	expect_list(find(&buffer, GUEST_CONFIG_MEMORY, 0), LIST("0x10000000", "0x30000000"));
	assert_false(has(&buffer, GUEST_CONFIG_ROOT_BLOCK));
	assert_false(has(&buffer, GUEST_CONFIG_VERBOSE));
	assert_false(has(&buffer, GUEST_CONFIG_TIMINGS));
	record_buffer_finish(&buffer);
}

static void test_image(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	struct plan p = plan();
	p.root = PLAN_ROOT_IMAGE;
	p.share_count = 0;
	p.disk_count = 1;
	p.disks[0].mode = BLOCK_EPHEMERAL;
	p.private_home = p.verbose = p.timings = true;
	put(&buffer, &p, false);
	expect_list(find(&buffer, GUEST_CONFIG_ROOT_BLOCK, 0), LIST("/dev/vda", "ext4", "rw"));
	expect_list(find(&buffer, GUEST_CONFIG_MOUNT_TMPFS, 0), LIST("/home/u", "700", "1000", "100"));
	assert_true(has(&buffer, GUEST_CONFIG_VERBOSE));
	assert_true(has(&buffer, GUEST_CONFIG_TIMINGS));
	assert_false(has(&buffer, GUEST_CONFIG_MEMORY));
	record_buffer_finish(&buffer);
	p.disks[0].mode = BLOCK_READ_ONLY;
	put(&buffer, &p, false);
	expect_list(find(&buffer, GUEST_CONFIG_ROOT_BLOCK, 0), LIST("/dev/vda", "ext4", "ro"));
	record_buffer_finish(&buffer);
}

static char *skel_path = TEXT("/run/ph/skel2");

static void test_realm(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	const struct guest_memory memory = {.region_count = 1};
	struct plan p = plan();
	p.root = PLAN_ROOT_IMAGE;
	p.disk_count = 1;
	p.disks[0] = (struct plan_disk){.mode = BLOCK_READ_ONLY, .verity = {.blocks = 9}};
	p.shares[0] = (struct plan_share){.files = {.tag = "share0"}, .guest_path = home_path};
	p.shares[1] = (struct plan_share){
		.files = {.tag = "share1", .read_only = true}, .guest_path = skel_path, .skeleton = true};
	static char realm_name[] = "main";
	p.realm_name = realm_name;
	p.overlay_size = 1 << 20;
	p.root_sealed = true;
	guest_config_put(&buffer, &p, &memory, false);
	expect_list(find(&buffer, GUEST_CONFIG_ROOT_BLOCK, 0), LIST("/dev/dm-0", "ext4", "ro"));
	expect_list(find(&buffer, GUEST_CONFIG_OVERLAY, 0), LIST("1048576", "ro"));
	expect_list(find(&buffer, GUEST_CONFIG_SKELETON, 0),
		LIST("share1", "trans=virtio,version=9p2000.L,msize=512000", "/home/u", "1000", "100"));
	expect_list(find(&buffer, GUEST_CONFIG_FILE, 0), LIST("/run/realm-name", "644", "main\n"));
	assert_true(
		find(&buffer, GUEST_CONFIG_SKELETON, 0).data < find(&buffer, GUEST_CONFIG_MOUNT_9P, 0).data);
	record_buffer_finish(&buffer);
}

static void test_command(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	struct plan p = plan();
	p.tty = true;
	p.rows = 50;
	p.columns = 120;
	put(&buffer, &p, false);
	struct record exec = find(&buffer, GUEST_CONFIG_EXEC, 0);
	struct record_buffer inner = {.data = (uint8_t *)(uintptr_t)exec.data, .size = exec.size};
	expect_list(find(&inner, GUEST_EXEC_ARGV, 0), LIST("sh", "-c", "exit 7"));
	expect_list(find(&inner, GUEST_EXEC_ENV, 0), LIST("TERM=xterm"));
	expect_list(find(&inner, GUEST_EXEC_TTY, 0), LIST("50", "120"));
	struct record uid = find(&inner, GUEST_EXEC_UID, 0);
	assert_int_equal(record_u64(&uid, 0), 1000);
	record_buffer_finish(&buffer);
	static char *no_command[] = {NULL};
	p.command = no_command;
	p.as_root = true;
	put(&buffer, &p, false);
	exec = find(&buffer, GUEST_CONFIG_EXEC, 0);
	inner = (struct record_buffer){.data = (uint8_t *)(uintptr_t)exec.data, .size = exec.size};
	assert_int_equal(find(&inner, GUEST_EXEC_ARGV, 0).size, 0);
	uid = find(&inner, GUEST_EXEC_UID, 0);
	assert_int_equal(record_u64(&uid, 1), 0);
	record_buffer_finish(&buffer);
}

/* The archive, read back by another implementation. */
static void test_archive(void **state) {
	(void)state;
	struct initramfs initramfs = {0};
	initramfs_add_directory(&initramfs, "dev");
	initramfs_add_file(&initramfs, "init", 0755, "12345", 5);
	initramfs_add_file(&initramfs, "empty", 0600, NULL, 0);
	assert_int_equal(initramfs_end(&initramfs), 0);
	assert_int_equal(initramfs.size % 4, 0);
	char folder[] = "/tmp/ph-test-XXXXXX", command[128];
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command), "cd %s && busybox cpio -id --quiet", folder);
	FILE *cpio = popen(command, "w");
	assert_int_equal(fwrite(initramfs.data, 1, initramfs.size, cpio), initramfs.size);
	int status = pclose(cpio);
	initramfs_finish(&initramfs);
	char path[64];
	struct stat st;
	if (status == 0) {
		snprintf(path, sizeof(path), "%s/init", folder);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 5);
		assert_int_equal(st.st_mode & 07777, 0755);
		unlink(path);
		snprintf(path, sizeof(path), "%s/empty", folder);
		assert_int_equal(unlink(path), 0);
		snprintf(path, sizeof(path), "%s/dev", folder);
		assert_int_equal(rmdir(path), 0);
	}
	rmdir(folder);
	if (status != 0) {
		skip(); /* no busybox here */
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self_hosted),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_realm),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_archive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
