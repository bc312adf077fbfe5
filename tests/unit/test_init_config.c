/* The boot configuration as init reads it: what ph may say, and bytes that are no configuration. */
#include "guest/init/config.h"

#include "ph/guest.h"
#include "ph/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put_exec(struct record_buffer *buffer) {
	const char *const argv[] = {"ls", "-l", NULL}, *const env[] = {"A=1", NULL},
			  *const tty[] = {"24", "80", NULL};
	struct record_buffer exec = {0};
	record_put_list(&exec, GUEST_EXEC_ARGV, argv);
	record_put_list(&exec, GUEST_EXEC_ENV, env);
	record_put_string(&exec, GUEST_EXEC_CWD, "/home/ann");
	record_put_u64(&exec, GUEST_EXEC_UID, 1000);
	record_put_list(&exec, GUEST_EXEC_TTY, tty);
	record_put(buffer, GUEST_CONFIG_EXEC, exec.data, exec.size);
	record_buffer_finish(&exec);
}

static struct record_buffer whole_configuration(void) {
	static const char *const
		root[] = {"root", "cache=loose", NULL},
		*const share[] = {"home", "/home/ann", "msize=512000", "rw", NULL},
		*const tmpfs[] = {"/scratch", "700", "1000", "1000", NULL},
		*const user[] = {"ann", "1000", "100", "/home/ann", "/bin/bash", "Ann", NULL},
		*const group[] = {"users", "100", NULL}, *const memory[] = {"0x100000000", "40000000", NULL};
	struct record_buffer buffer = {0};
	record_put_list(&buffer, GUEST_CONFIG_ROOT_9P, root);
	record_put_list(&buffer, GUEST_CONFIG_MOUNT_9P, share);
	record_put_list(&buffer, GUEST_CONFIG_MOUNT_TMPFS, tmpfs);
	record_put_string(&buffer, GUEST_CONFIG_HOSTNAME, "box");
	record_put_list(&buffer, GUEST_CONFIG_USER, user);
	record_put_list(&buffer, GUEST_CONFIG_GROUP, group);
	record_put_list(&buffer, GUEST_CONFIG_MEMORY, memory);
	record_put(&buffer, GUEST_CONFIG_VERBOSE, NULL, 0);
	put_exec(&buffer);
	return buffer;
}

static void test_everything(void **state) {
	(void)state;
	struct record_buffer buffer = whole_configuration();
	struct config config;
	assert_int_equal(config_parse(&config, buffer.data, buffer.size), 0);
	assert_false(config.root_block);
	assert_string_equal(config.root[1], "cache=loose");
	assert_int_equal(config.mount_count, 2);
	assert_false(config.mounts[0].kind == CONFIG_MOUNT_TMPFS);
	assert_true(config.mounts[1].kind == CONFIG_MOUNT_TMPFS);
	assert_string_equal(config.mounts[1].fields[0], "/scratch");
	assert_string_equal(config.hostname, "box");
	assert_true(config.user.uid == 1000 && config.user.gid == 100);
	assert_string_equal(config.user.shell, "/bin/bash");
	assert_int_equal(config.groups[0].gid, 100);
	assert_true(config.memory[0].start == 1ull << 32 && config.memory[0].size == 1u << 30);
	assert_true(config.verbose && !config.timings && config.has_exec && config.exec.tty);
	assert_string_equal(config.exec.argv[1], "-l");
	assert_string_equal(config.exec.env[0], "A=1");
	assert_string_equal(config.exec.cwd, "/home/ann");
	assert_true(config.exec.uid == 1000 && config.exec.rows == 24 && config.exec.columns == 80);
	config_finish(&config);
	config_finish(&config);
	record_buffer_finish(&buffer);
}

/* Cut or with one byte changed, it is read or refused, and nothing leaks or is read beyond its end. */
static void test_damage(void **state) {
	(void)state;
	struct record_buffer buffer = whole_configuration();
	struct config config;
	for (size_t size = 0; size < buffer.size; size++) {
		uint8_t *copy = malloc(size + 1);
		memcpy(copy, buffer.data, size);
		config_parse(&config, copy, size);
		config_finish(&config);
		free(copy);
	}
	for (size_t i = 0; i < buffer.size; i++) {
		buffer.data[i] ^= 0x55;
		config_parse(&config, buffer.data, buffer.size);
		config_finish(&config);
		buffer.data[i] ^= 0x55;
	}
	record_buffer_finish(&buffer);
}

static void refuse(uint16_t key, const char *const *list) {
	struct record_buffer buffer = {0};
	struct config config;
	record_put_list(&buffer, key, list);
	assert_int_equal(config_parse(&config, buffer.data, buffer.size), -EPROTO);
	config_finish(&config);
	record_buffer_finish(&buffer);
}

static void test_nonsense(void **state) {
	(void)state;
	static const char *const one[] = {"1", NULL}, *const words[] = {"ann", "x", "y", "", "", "", NULL},
				 *const empty[] = {NULL}, *const large[] = {"g", "4294967295", NULL},
				 *const hex[] = {"12", "zz", NULL};
	refuse(GUEST_CONFIG_ROOT_9P, one);
	refuse(GUEST_CONFIG_ROOT_BLOCK, one);
	refuse(GUEST_CONFIG_MOUNT_9P, one);
	refuse(GUEST_CONFIG_MOUNT_TMPFS, one);
	refuse(GUEST_CONFIG_USER, one);
	refuse(GUEST_CONFIG_USER, words);
	refuse(GUEST_CONFIG_GROUP, empty);
	refuse(GUEST_CONFIG_GROUP, large);
	refuse(GUEST_CONFIG_MEMORY, hex);
	refuse(999, one);
}

static void test_least_command(void **state) {
	(void)state;
	struct exec exec;
	assert_int_equal(exec_parse(&exec, NULL, 0), 0);
	assert_null(exec.argv[0]);
	assert_null(exec.env[0]);
	assert_true(exec.cwd == NULL && exec.uid == 0 && !exec.tty);
	exec_finish(&exec);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_least_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
