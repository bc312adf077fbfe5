/* The record encoding: what goes in comes out, and bytes that are no records are refused. */
#include "ph/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int next(struct record_reader *reader, struct record *record) {
	return record_next(reader, record);
}

static struct record_reader reader_of(const void *data, size_t size) {
	return (struct record_reader){.next = data, .left = size};
}

static void test_round_trip(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	const char *const list[] = {"a", "", "bc", NULL};
	record_put(&buffer, 1, "\0\1\2", 3);
	record_put_string(&buffer, 2, "text");
	record_put_u64(&buffer, 3, 0x1122334455667788);
	record_put_list(&buffer, 4, list);
	record_put(&buffer, 0xffff, NULL, 0);
	assert_false(buffer.failed);
	struct record_reader reader = reader_of(buffer.data, buffer.size);
	struct record record;
	assert_int_equal(next(&reader, &record), 1);
	assert_true(record.key == 1 && record.size == 3);
	assert_memory_equal(record.data, "\0\1\2", 3);
	assert_null(record_string(&record)); /* holds a NUL */
	assert_int_equal(next(&reader, &record), 1);
	char *string = record_string(&record);
	assert_string_equal(string, "text");
	free(string);
	assert_int_equal(next(&reader, &record), 1);
	assert_true(record_u64(&record, 0) == 0x1122334455667788);
	assert_int_equal(next(&reader, &record), 1);
	size_t count;
	char **strings = record_list(&record, &count);
	assert_int_equal(count, 3);
	assert_string_equal(strings[0], "a");
	assert_string_equal(strings[1], "");
	assert_string_equal(strings[2], "bc");
	assert_null(strings[3]);
	free(strings);
	assert_int_equal(next(&reader, &record), 1);
	assert_true(record.key == 0xffff && record.size == 0);
	assert_int_equal(next(&reader, &record), 0);
	assert_int_equal(next(&reader, &record), 0);
	record_buffer_finish(&buffer);
}

static void test_encoding(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	record_put_string(&buffer, 0x1234, "ab");
	assert_int_equal(buffer.size, 10);
	assert_memory_equal(buffer.data, "\x34\x12\0\0\x02\0\0\0ab", 10);
	record_buffer_finish(&buffer);
	assert_null(buffer.data);
	record_buffer_finish(&buffer);
}

static void expect_malformed(const char *bytes, size_t size) {
	/* In memory of its own size, so that a read beyond it is seen. */
	uint8_t *copy = malloc(size);
	assert_non_null(copy);
	memcpy(copy, bytes, size);
	struct record_reader reader = reader_of(copy, size);
	struct record record;
	assert_int_equal(next(&reader, &record), -EPROTO);
	free(copy);
}

static void test_malformed(void **state) {
	(void)state;
	expect_malformed("\1\0\0\0\0\0\0", 7);                    /* no whole header */
	expect_malformed("\1\0\1\0\0\0\0\0", 8);                  /* not zero */
	expect_malformed("\1\0\0\0\1\0\0\0", 8);                  /* longer than what is left */
	expect_malformed("\1\0\0\0\xff\xff\xff\xff", 8);          /* far longer */
	expect_malformed("\1\0\0\0\xf8\xff\xff\xff\0\0\0\0", 12); /* its end would wrap around */
}

static void test_wrong_values(void **state) {
	(void)state;
	struct record record = {.size = 7, .data = (const uint8_t *)"1234567"};
	assert_true(record_u64(&record, 99) == 99);
	record.size = 2;
	size_t count;
	assert_null(record_list(&record, &count)); /* does not end with a NUL */
	record.size = 0;
	char **list = record_list(&record, &count);
	assert_int_equal(count, 0);
	assert_null(list[0]);
	free(list);
	char *string = record_string(&record);
	assert_string_equal(string, "");
	free(string);
}

static void test_failed_stays_failed(void **state) {
	(void)state;
	struct record_buffer buffer = {0};
	record_put_string(&buffer, 1, "a");
	record_put(&buffer, 2, NULL, (size_t)UINT32_MAX + 1);
	assert_true(buffer.failed);
	size_t size = buffer.size;
	const char *const list[] = {"a", NULL};
	record_put_string(&buffer, 3, "b");
	record_put_list(&buffer, 4, list);
	assert_int_equal(buffer.size, size);
	record_buffer_finish(&buffer);
	assert_false(buffer.failed);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_failed_stays_failed),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
