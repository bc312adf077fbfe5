/* The wire codec: messages byte by byte, the queue, the table of objects, and the generated tables. */
#include "ph/wayland.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct wl_message everything = {"everything", "2iuf?sson?oah", NULL};

/* A message of these words; the copy is exactly as long, for the address sanitizer. */
static struct wire_message message_of(const void *bytes, size_t size) {
	static uint8_t *copy;
	free(copy);
	copy = malloc(size + 8);
	assert_non_null(copy);
	uint32_t head[2] = {7, (uint32_t)(size + 8) << 16 | 3};
	memcpy(copy, head, 8);
	memcpy(copy + 8, bytes, size);
	copy = realloc(copy, size + 8);
	struct wire_message message;
	assert_int_equal(wire_peek(copy, size + 8, &message), 1);
	return message;
}

static const char *parse(const char *signature, const void *bytes, size_t size, union wire_arg *args) {
	const struct wl_message type = {"test", signature, NULL};
	const struct wire_message message = message_of(bytes, size);
	return wire_parse(&message, &type, args);
}

static void test_header(void **state) {
	(void)state;
	struct wire_message message;
	uint32_t words[4] = {5, 16 << 16 | 9, 1, 2};
	assert_int_equal(wire_peek(words, 7, &message), 0);
	assert_int_equal(wire_peek(words, 8, &message), 0);
	assert_int_equal(message.object, 5);
	assert_int_equal(message.opcode, 9);
	assert_int_equal(message.size, 16);
	assert_int_equal(wire_peek(words, 15, &message), 0);
	assert_int_equal(wire_peek(words, 16, &message), 1);
	assert_ptr_equal(message.data, words);
	const uint32_t wrong[] = {0, 4, 7, 9, 10, 11, 65535, 65533};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		words[1] = wrong[i] << 16;
		assert_int_equal(wire_peek(words, 8, &message), -EPROTO);
	}
	words[1] = 65532u << 16;
	assert_int_equal(wire_peek(words, 16, &message), 0);
}

static void test_arguments(void **state) {
	(void)state;
	union wire_arg args[WIRE_ARGS_MAX];
	const uint32_t words[] = {(uint32_t)-5, 6, 256, 0, 4, 0x00636261, 11, 12, 0, 5, 0x04030201, 5};
	const struct wire_message message = message_of(words, sizeof(words));
	assert_null(wire_parse(&message, &everything, args));
	assert_int_equal(args[0].i, -5);
	assert_int_equal(args[1].u, 6);
	assert_int_equal(args[2].i, 256);
	assert_null(args[3].string);
	assert_string_equal(args[4].string, "abc");
	assert_int_equal(args[5].object, 11);
	assert_int_equal(args[6].object, 12);
	assert_int_equal(args[7].object, 0);
	assert_int_equal(args[8].array.size, 5);
	assert_memory_equal(args[8].array.data, "\1\2\3\4\5", 5);
	assert_int_equal(wire_since(&everything), 2);
	assert_int_equal(wire_count(&everything, 'h'), 1);
	assert_int_equal(wire_count(&everything, 's'), 2);
}

/* Each rule of a signature, broken. */
static void test_broken_arguments(void **state) {
	(void)state;
	union wire_arg args[WIRE_ARGS_MAX];
	const struct {
		const char *signature;
		uint32_t words[4];
		size_t size;
		const char *rule;
	} cases[] = {
		{"", {0}, 0, NULL},
		{"", {0}, 4, "longer than its arguments"},
		{"u", {0}, 0, "shorter than"},
		{"uu", {0}, 4, "shorter than"},
		{"h", {0}, 0, NULL},
		{"h", {0}, 4, "longer than its arguments"},
		{"o", {0}, 4, "object is missing"},
		{"n", {0}, 4, "object is missing"},
		{"?o", {0}, 4, NULL},
		{"s", {0}, 0, "string is longer"},
		{"s", {0}, 4, "string is missing"},
		{"?s", {0}, 4, NULL},
		{"s", {1}, 4, "string is longer"},
		{"s", {1, 0}, 8, NULL},
		{"s", {2, 0x41}, 8, NULL},
		{"s", {2, 0x4141}, 8, "does not end"},
		{"s", {3, 0x41}, 8, "does not end"},
		{"s", {4, 0x41414141}, 8, "does not end"},
		{"s", {5, 0x41414141}, 8, "string is longer"},
		{"s", {5, 0x41414141, 0}, 12, NULL},
		{"s", {2, 0xffff0041}, 8, NULL}, /* nobody looks at padding */
		{"s", {0xffffffff, 0}, 8, "string is longer"},
		{"s", {0xfffffffd, 0}, 8, "string is longer"},
		{"s", {2, 0x41, 0}, 12, "longer than its arguments"},
		{"a", {0}, 4, NULL},
		{"a", {3, 1}, 8, NULL},
		{"a", {5, 1}, 8, "array is longer"},
		{"a", {0xffffffff, 1}, 8, "array is longer"},
		{"su", {2, 0x41, 7}, 12, NULL},
		{"su", {2, 0x41}, 8, "shorter than"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *rule = parse(cases[i].signature, cases[i].words, cases[i].size, args);
		if (cases[i].rule == NULL) {
			assert_null(rule);
		} else {
			assert_non_null(rule);
			assert_non_null(strstr(rule, cases[i].rule));
		}
	}
}

static void test_write(void **state) {
	(void)state;
	struct wire_queue queue = {0};
	const uint32_t words[] = {
		9, 56 << 16 | 2, (uint32_t)-5, 6, 256, 0, 4, 0x00636261, 11, 12, 0, 5, 0x04030201, 5};
	const union wire_arg args[] = {{.i = -5}, {.u = 6}, {.i = 256}, {.string = NULL}, {.string = "abc"},
		{.object = 11}, {.object = 12}, {.object = 0}, {.array = {"\1\2\3\4\5", 5}}, {.u = 0}};
	assert_int_equal(wire_write(&queue, 9, 2, &everything, args, 55), -EMSGSIZE);
	assert_int_equal(wire_queue_size(&queue), 0);
	assert_int_equal(wire_write(&queue, 9, 2, &everything, args, 56), 0);
	assert_int_equal(wire_queue_size(&queue), sizeof(words));
	assert_memory_equal(wire_queue_data(&queue), words, sizeof(words));
	wire_queue_consume(&queue, 56);

	char *longest = calloc(1, 70000);
	memset(longest, 'x', 65519);
	const struct wl_message string = {"string", "s", NULL};
	assert_int_equal(
		wire_write(&queue, 1, 0, &string, &(union wire_arg){.string = longest}, 1u << 20), 0);
	assert_int_equal(wire_queue_size(&queue), 65532);
	longest[65519] = 'x';
	assert_int_equal(
		wire_write(&queue, 1, 0, &string, &(union wire_arg){.string = longest}, 1u << 20), -EMSGSIZE);
	memset(longest, 'x', 69999);
	assert_int_equal(
		wire_write(&queue, 1, 0, &string, &(union wire_arg){.string = longest}, 1u << 20), -EMSGSIZE);
	free(longest);
	wire_queue_finish(&queue);
}

static void test_queue(void **state) {
	(void)state;
	struct wire_queue queue = {0};
	uint8_t byte = 0, expected = 0;
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 1000; i++, byte++) {
			assert_int_equal(wire_queue_append(&queue, &byte, 1), 0);
		}
		for (unsigned i = 0; i < (round < 25 ? 300 : 1500) && wire_queue_size(&queue) > 0;
			i++, expected++) {
			assert_int_equal(*wire_queue_data(&queue), expected);
			wire_queue_consume(&queue, 1);
		}
	}
	uint8_t kind;
	assert_int_equal(wire_queue_pop_fd(&queue, &kind), -1);
	for (unsigned i = 0; i < WIRE_FDS_MAX; i++) {
		assert_int_equal(
			wire_queue_push_fd(&queue, open("/dev/null", O_RDONLY | O_CLOEXEC), (uint8_t)i), 0);
	}
	assert_int_equal(wire_queue_push_fd(&queue, 0, 0), -ENOSPC);
	int first = wire_queue_pop_fd(&queue, &kind);
	assert_int_equal(kind, 0);
	close(first);
	close(wire_queue_pop_fd(&queue, &kind));
	assert_int_equal(kind, 1);
	int left = queue.fds[0];
	wire_queue_finish(&queue);
	assert_int_equal(fcntl(left, F_GETFD), -1);
}

static void test_objects(void **state) {
	(void)state;
	struct wire_objects objects = {0};
	assert_null(wire_objects_find(&objects, 0));
	assert_null(wire_objects_find(&objects, 1));
	assert_null(wire_objects_find(&objects, 0xffffffff));
	assert_null(wire_objects_add(&objects, 0, &wl_display_interface, 1));
	assert_null(wire_objects_add(&objects, 2, &wl_display_interface, 1));
	assert_non_null(wire_objects_add(&objects, 1, &wl_display_interface, 1));
	assert_null(wire_objects_add(&objects, 1, &wl_display_interface, 1));
	for (uint32_t id = 2; id <= 1000; id++) {
		assert_non_null(wire_objects_add(&objects, id, &wl_surface_interface, 4));
	}
	struct wire_object *object = wire_objects_find(&objects, 500);
	assert_ptr_equal(object->interface, &wl_surface_interface);
	assert_int_equal(object->version, 4);
	assert_int_equal(object->destructors, 1);
	object->dead = true;
	assert_null(wire_objects_add(&objects, 500, &wl_surface_interface, 4));
	wire_objects_remove(&objects, 500);
	assert_null(wire_objects_find(&objects, 500));
	assert_non_null(wire_objects_add(&objects, 500, &wl_region_interface, 1));
	assert_null(wire_objects_add(&objects, 1002, &wl_region_interface, 1));
	wire_objects_remove(&objects, 100000);

	assert_null(wire_objects_add(&objects, WIRE_SERVER_ID_FIRST + 1, &wl_data_offer_interface, 3));
	object = wire_objects_add(&objects, WIRE_SERVER_ID_FIRST, &wl_data_offer_interface, 3);
	assert_non_null(object);
	assert_null(wire_objects_add(&objects, WIRE_SERVER_ID_FIRST, &wl_data_offer_interface, 3));
	object->dead = true;
	assert_non_null(wire_objects_add(&objects, WIRE_SERVER_ID_FIRST, &wl_data_offer_interface, 3));
	assert_false(wire_objects_find(&objects, WIRE_SERVER_ID_FIRST)->dead);
	for (uint32_t id = 1001; id <= WIRE_OBJECTS_MAX; id++) {
		assert_non_null(wire_objects_add(&objects, id, &wl_callback_interface, 1));
	}
	assert_null(wire_objects_add(&objects, WIRE_OBJECTS_MAX + 1, &wl_callback_interface, 1));
	wire_objects_finish(&objects);
}

/* Of all interfaces: signatures are of known letters, few enough, and their objects are known. */
static void check_messages(const struct wl_message *messages, int count) {
	for (int i = 0; i < count; i++) {
		const char *signature = messages[i].signature;
		bool nullable;
		char next;
		unsigned args = 0;
		for (; (next = wire_signature_next(&signature, &nullable)) != '\0'; args++) {
			assert_non_null(strchr("iufsonah", next));
			const struct wl_interface *interface = messages[i].types[args];
			if (interface != NULL) {
				assert_ptr_equal(wire_interface_find(interface->name), interface);
			}
		}
		assert_true(args <= WIRE_ARGS_MAX);
	}
}

static void test_tables(void **state) {
	(void)state;
	for (const struct wire_interface *known = wire_interfaces; known->interface != NULL; known++) {
		const struct wl_interface *interface = known->interface;
		assert_ptr_equal(wire_interface_find(interface->name), interface);
		assert_true(interface->method_count <= 32);
		assert_true(known->destructors < 1ull << interface->method_count);
		check_messages(interface->methods, interface->method_count);
		check_messages(interface->events, interface->event_count);
	}
	assert_null(wire_interface_find("zwlr_screencopy_manager_v1"));
	assert_null(wire_interface_find(""));
	assert_int_equal(wire_interface_destructors(&wl_surface_interface), 1u << WL_SURFACE_REQUEST_DESTROY);
	assert_int_equal(wire_interface_destructors(&wl_seat_interface), 1u << WL_SEAT_REQUEST_RELEASE);
	assert_int_equal(wire_interface_destructors(&wl_registry_interface), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_broken_arguments),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
