/*
 * A host's file system whose names are longer than the guest's may be, as FAT's of 255 UTF-16 units: what the
 * linker puts in the place of syscall(2) adds some to each piece of a listing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define LONGEST 765u
#define HEAD 19u /* of an entry of getdents64(2): inode, offset, size, type */

/* Put an entry before the others; how long they are then. */
static size_t put_entry(uint8_t *entries, size_t size, size_t room, char letter, size_t len) {
	uint16_t entry_size = (uint16_t)((HEAD + len + 1 + 7) / 8 * 8);
	if (size + entry_size > room) {
		return size;
	}
	memmove(entries + entry_size, entries, size);
	memset(entries, 0, entry_size);
	entries[0] = 1;
	memcpy(entries + 16, &entry_size, sizeof(entry_size));
	memset(entries + HEAD, letter, len);
	return size + entry_size;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
	long n = __real_syscall(number, a, b, c, d, e, f);
	if (number == SYS_getdents64 && n > 0) {
		uint8_t *entries = (uint8_t *)(uintptr_t)b;
		n = (long)put_entry(entries, (size_t)n, (size_t)c, 'm', P9_NAME_MAX);
		n = (long)put_entry(entries, (size_t)n, (size_t)c, 'l', P9_NAME_MAX + 1);
		n = (long)put_entry(entries, (size_t)n, (size_t)c, 'x', LONGEST);
	}
	return n;
}

/* Linux' client takes a name that is too long for an error, and lists nothing of what comes behind it. */
static void test_listed(void **state) {
	(void)state;
	struct p9_client *c = malloc(sizeof(*c));
	unsigned files = 0, longest = 0;
	p9_client_init(c, false, NULL);
	p9_client_attach(c);
	p9_host_make(c, "dir", NULL);
	p9_host_make(c, "dir/file", "x");
	assert_int_equal(p9_walk_open(c, 1, "dir", 0), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 1, UINT64_C(0), 8000), 0);
	for (uint32_t left = p9_u32(c); left > 0;) {
		p9_bytes(c, 13);
		p9_u64(c);
		p9_u8(c);
		const char *name = p9_str(c);
		size_t len = strlen(name);
		assert_true(len <= P9_NAME_MAX);
		files += strcmp(name, "file") == 0;
		longest += len == P9_NAME_MAX && name[0] == 'm';
		left -= 24 + (uint32_t)len;
	}
	assert_int_equal(files, 1);
	assert_int_equal(longest, 1);
	p9_client_finish(c);
	free(c);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listed),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 long names", tests, NULL, NULL);
}
