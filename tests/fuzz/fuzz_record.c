/*
 * Fuzz the record reader: what is read, written again, is the same bytes. Input: the bytes of records.
 */
#include "input.h"

#include "ph/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each way of looking at a value; what they return must hold together. */
static void look(const struct record *record) {
	size_t count = 0;
	record_u64(record, 0);
	char *string = record_string(record);
	require(string == NULL || strlen(string) == record->size);
	free(string);
	char **list = record_list(record, &count);
	if (list == NULL) {
		return;
	}
	struct record_buffer again = {0};
	record_put_list(&again, record->key, (const char *const *)list);
	struct record_reader reader = {.next = again.data, .left = again.size};
	struct record copy;
	require(record_next(&reader, &copy) == 1 && copy.size == record->size);
	require(memcmp(copy.data, record->data, copy.size) == 0 && list[count] == NULL);
	record_buffer_finish(&again);
	free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct record_reader reader = {.next = data, .left = size};
	struct record_buffer again = {0};
	struct record record;
	while (record_next(&reader, &record) == 1) {
		look(&record);
		record_put(&again, record.key, record.data, record.size);
	}
	require(!again.failed && again.size == size - reader.left);
	require(again.size == 0 || memcmp(again.data, data, again.size) == 0);
	record_buffer_finish(&again);
	return 0;
}
