/*
 * The filter, message by message: what passes, what is changed, what is swallowed, and what ends the
 * connection. Both sides are played by the test, with a clock of its own.
 */
#include "display/filter_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xkbcommon/xkbcommon.h>

#include <cmocka.h>

static uint64_t clock_ns;

static uint64_t test_now(void) {
	return clock_ns;
}

struct fixture {
	struct filter_vm vm;
	struct filter *filter;
	uint32_t next_id;
	struct wire_message last; /* taken from what passed */
	uint8_t bytes[WIRE_MESSAGE_MAX];
	union wire_arg args[WIRE_ARGS_MAX];
};

static int setup_with(void **state, enum display_clipboard clipboard) {
	struct fixture *f = calloc(1, sizeof(*f));
	clock_ns = 1000000000000;
	if (f == NULL || filter_vm_init(&f->vm, "mail", clipboard, test_now) < 0) {
		return -1;
	}
	f->filter = filter_create(&f->vm);
	f->next_id = 2;
	*state = f;
	return f->filter != NULL ? 0 : -1;
}

static int setup(void **state) {
	return setup_with(state, DISPLAY_CLIPBOARD_KEY);
}

static int setup_off(void **state) {
	return setup_with(state, DISPLAY_CLIPBOARD_OFF);
}

static int setup_focus(void **state) {
	return setup_with(state, DISPLAY_CLIPBOARD_FOCUS);
}

static int setup_on(void **state) {
	return setup_with(state, DISPLAY_CLIPBOARD_ON);
}

static int teardown(void **state) {
	struct fixture *f = *state;
	filter_destroy(f->filter);
	bool balanced = f->vm.objects == 0 && f->vm.senders == 0 && f->vm.windows == 0 &&
			f->vm.subsurfaces == 0 && f->vm.pool_bytes == 0 && f->vm.focused == 0 &&
			f->vm.region_boxes == 0 && f->vm.waiting_commits == 0 && f->vm.pools == 0 &&
			f->vm.planes == 0 && f->vm.offered == 0 && f->vm.type_bytes == 0;
	filter_vm_finish(&f->vm);
	free(f);
	return balanced ? 0 : -1;
}

/* ---- both sides ---- */

#define ARGS(...) ((const union wire_arg[]){__VA_ARGS__, {0}})

static bool request(struct fixture *f, uint32_t object, const struct wl_interface *interface, uint16_t opcode,
	const union wire_arg *args) {
	assert_int_equal(wire_write(&f->filter->from_guest, object, opcode, &interface->methods[opcode], args,
				 WIRE_MESSAGE_MAX),
		0);
	return filter_guest(f->filter);
}

static bool event(struct fixture *f, uint32_t object, const struct wl_interface *interface, uint16_t opcode,
	const union wire_arg *args) {
	assert_int_equal(wire_write(&f->filter->from_host, object, opcode, &interface->events[opcode], args,
				 WIRE_MESSAGE_MAX),
		0);
	return filter_host(f->filter);
}

/* The next message that passed; false: there is none. */
static bool take(struct fixture *f, struct wire_queue *queue, const struct wl_message *type) {
	struct wire_message message;
	if (wire_peek(wire_queue_data(queue), wire_queue_size(queue), &message) != 1) {
		assert_int_equal(wire_queue_size(queue), 0);
		return false;
	}
	memcpy(f->bytes, message.data, message.size);
	f->last = message;
	f->last.data = f->bytes;
	wire_queue_consume(queue, message.size);
	if (type != NULL) {
		assert_null(wire_parse(&f->last, type, f->args));
	}
	return true;
}

static bool take_request(struct fixture *f, const struct wl_interface *interface, uint16_t opcode) {
	bool there = take(f, &f->filter->to_host, &interface->methods[opcode]);
	assert_true(!there || f->last.opcode == opcode);
	return there;
}

static bool take_event(struct fixture *f, const struct wl_interface *interface, uint16_t opcode) {
	bool there = take(f, &f->filter->to_guest, &interface->events[opcode]);
	assert_true(!there || f->last.opcode == opcode);
	return there;
}

static void drop_passed(struct fixture *f) {
	wire_queue_finish(&f->filter->to_host);
	wire_queue_finish(&f->filter->to_guest);
}

#define assert_broken(f, text) \
	do { \
		if (strstr((f)->filter->rule, text) == NULL) { \
			fail_msg("\"%s\" is not in \"%s\"", text, (f)->filter->rule); \
		} \
	} while (0)

/* ---- objects ---- */

static uint32_t make(struct fixture *f, uint32_t object, const struct wl_interface *interface,
	uint16_t opcode, uint32_t other, uint32_t more) {
	uint32_t id = f->next_id++;
	assert_true(request(
		f, object, interface, opcode, ARGS({.object = id}, {.object = other}, {.object = more})));
	drop_passed(f);
	return id;
}

static uint32_t get_registry(struct fixture *f) {
	return make(f, 1, &wl_display_interface, WL_DISPLAY_REQUEST_GET_REGISTRY, 0, 0);
}

static uint32_t global(struct fixture *f, uint32_t registry, const char *name, uint32_t version) {
	static uint32_t next_name = 100;
	const uint32_t global = next_name++;
	assert_true(event(f, registry, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL,
		ARGS({.u = global}, {.string = name}, {.u = version})));
	return global;
}

static bool try_bind(
	struct fixture *f, uint32_t registry, uint32_t global, const char *name, uint32_t version) {
	return request(f, registry, &wl_registry_interface, WL_REGISTRY_REQUEST_BIND,
		ARGS({.u = global}, {.string = name}, {.u = version}, {.object = f->next_id++}));
}

static uint32_t bind_new(struct fixture *f, uint32_t registry, const struct wl_interface *interface) {
	uint32_t version = (uint32_t)interface->version;
	uint32_t name = global(f, registry, interface->name, version);
	assert_true(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL));
	assert_true(try_bind(f, registry, name, interface->name, f->args[2].u));
	drop_passed(f);
	return f->next_id - 1;
}

#define MAKE(f, object, type, opcode, ...) make(f, object, &type##_interface, opcode, __VA_ARGS__)

/* ---- the registry ---- */

static void test_globals(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f);
	uint32_t shown = global(f, registry, "wl_compositor", 9);
	assert_true(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL));
	assert_string_equal(f->args[1].string, "wl_compositor");
	assert_int_equal(f->args[2].u, 5);
	uint32_t old = global(f, registry, "wl_shm", 1);
	assert_true(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL));
	assert_int_equal(f->args[2].u, 1);
	static const char *const hidden[] = {"zwlr_screencopy_manager_v1", "zwlr_data_control_manager_v1",
		"zwp_virtual_keyboard_manager_v1", "zwlr_layer_shell_v1", "wp_security_context_manager_v1",
		"ext_session_lock_manager_v1", "zwp_input_method_manager_v2", "wl_shell", "wl_compositor2",
		""};
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		uint32_t name = global(f, registry, hidden[i], 1);
		assert_false(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL));
		assert_true(event(f, registry, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL_REMOVE,
			ARGS({.u = name})));
		assert_false(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL_REMOVE));
	}
	assert_true(try_bind(f, registry, shown, "wl_compositor", 5));
	assert_true(take_request(f, &wl_registry_interface, WL_REGISTRY_REQUEST_BIND));
	assert_true(event(
		f, registry, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL_REMOVE, ARGS({.u = old})));
	assert_true(take_event(f, &wl_registry_interface, WL_REGISTRY_EVENT_GLOBAL_REMOVE));
	assert_true(try_bind(f, registry, old, "wl_shm", 1)); /* it may not have heard yet */
}

static void test_hidden_global(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f);
	uint32_t name = global(f, registry, "zwlr_screencopy_manager_v1", 3);
	assert_false(try_bind(f, registry, name, "zwlr_screencopy_manager_v1", 1));
	assert_broken(f, "there is no global");
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	assert_true(take_event(f, &wl_display_interface, WL_DISPLAY_EVENT_ERROR));
	assert_non_null(strstr(f->args[2].string, "ph: wl_registry@2.bind"));
	assert_false(filter_guest(f->filter)); /* it stays so */
}

static void test_global_by_another_name(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), name = global(f, registry, "wl_shm", 1);
	assert_false(try_bind(f, registry, name, "wl_compositor", 1));
	assert_broken(f, "there is no global");
}

static void test_global_newer(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), name = global(f, registry, "wl_compositor", 6);
	assert_false(try_bind(f, registry, name, "wl_compositor", 6));
	assert_broken(f, "version 5 at most");
}

static void test_global_version_0(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), name = global(f, registry, "wl_compositor", 6);
	assert_false(try_bind(f, registry, name, "wl_compositor", 0));
	assert_broken(f, "not 0");
}

/* ---- objects and messages ---- */

static void test_no_such_object(void **state) {
	struct fixture *f = *state;
	assert_false(request(f, 7, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT, ARGS({0})));
	assert_broken(f, "object 7, which there is not");
}

static void test_no_such_request(void **state) {
	struct fixture *f = *state;
	const uint32_t words[] = {1, 8 << 16 | 2};
	wire_queue_append(&f->filter->from_guest, words, sizeof(words));
	assert_false(filter_guest(f->filter));
	assert_broken(f, "no request 2");
}

static void test_header_too_small(void **state) {
	struct fixture *f = *state;
	const uint32_t words[] = {1, 4 << 16};
	wire_queue_append(&f->filter->from_guest, words, sizeof(words));
	assert_false(filter_guest(f->filter));
	assert_broken(f, "a message of 4 bytes");
}

static void test_too_long(void **state) {
	struct fixture *f = *state;
	uint8_t bytes[8000] = {0};
	const uint32_t head[] = {1, 8000u << 16};
	memcpy(bytes, head, 8);
	wire_queue_append(&f->filter->from_guest, bytes, sizeof(bytes));
	assert_false(filter_guest(f->filter));
	assert_broken(f, "8000 bytes, at most 4096");
}

static void test_id_not_next(void **state) {
	struct fixture *f = *state;
	assert_false(request(f, 1, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC, ARGS({.object = 3})));
	assert_broken(f, "new id 3");
}

static void test_id_in_use(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f);
	assert_false(
		request(f, 1, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC, ARGS({.object = registry})));
	assert_broken(f, "new id 2");
}

static void test_id_of_the_compositor(void **state) {
	struct fixture *f = *state;
	assert_false(request(f, 1, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC,
		ARGS({.object = WIRE_SERVER_ID_FIRST})));
	assert_broken(f, "is the compositor's");
}

static void test_wrong_type(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), compositor = bind_new(f, registry, &wl_compositor_interface);
	uint32_t surface = MAKE(f, compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_SURFACE, 0, 0);
	assert_false(request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_ATTACH,
		ARGS({.object = registry}, {.i = 0}, {.i = 0})));
	assert_broken(f, "object 2 is no wl_buffer");
}

/* A destroyed object is there for events until its id is given back, and then the id is free. */
static void test_destroyed(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), compositor = bind_new(f, registry, &wl_compositor_interface);
	uint32_t surface = MAKE(f, compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_SURFACE, 0, 0);
	assert_true(request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_DESTROY, ARGS({0})));
	assert_true(event(f, surface, &wl_surface_interface, WL_SURFACE_EVENT_ENTER, ARGS({.object = 0x77})));
	assert_true(event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = surface})));
	f->next_id = surface;
	MAKE(f, compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_REGION, 0, 0);
	assert_true(request(f, surface, &wl_region_interface, WL_REGION_REQUEST_DESTROY, ARGS({0})));
	assert_false(request(f, surface, &wl_region_interface, WL_REGION_REQUEST_DESTROY, ARGS({0})));
	assert_broken(f, "which there is not");
}

static void test_too_old(void **state) {
	struct fixture *f = *state;
	uint32_t registry = get_registry(f), name = global(f, registry, "wl_compositor", 3);
	assert_true(try_bind(f, registry, name, "wl_compositor", 3));
	uint32_t surface = MAKE(f, f->next_id - 1, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_SURFACE, 0, 0);
	assert_false(request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_DAMAGE_BUFFER,
		ARGS({.i = 0}, {.i = 0}, {.i = 1}, {.i = 1})));
	assert_broken(f, "not in version 3");
}

/* Byte by byte; a half message goes nowhere. */
static void test_in_pieces(void **state) {
	struct fixture *f = *state;
	const uint32_t words[] = {1, 12 << 16 | 0, 2};
	for (size_t i = 0; i < sizeof(words); i++) {
		assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
		wire_queue_append(&f->filter->from_guest, (const uint8_t *)words + i, 1);
		assert_true(filter_guest(f->filter));
	}
	assert_int_equal(wire_queue_size(&f->filter->to_host), 12);
	assert_memory_equal(wire_queue_data(&f->filter->to_host), words, 12);
}

static void test_event_for_nobody(void **state) {
	struct fixture *f = *state;
	assert_false(event(f, 9, &wl_callback_interface, WL_CALLBACK_EVENT_DONE, ARGS({.u = 1})));
	assert_broken(f, "the compositor sent an event for object 9");
}

/* ---- descriptors ---- */

static int memory(size_t size) {
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static bool create_pool(struct fixture *f, uint32_t shm, int fd, enum filter_fd kind, int32_t size) {
	return filter_add_fd(f->filter, fd, kind) &&
	       request(f, shm, &wl_shm_interface, WL_SHM_REQUEST_CREATE_POOL,
		       ARGS({.object = f->next_id++}, {0}, {.i = size}));
}

static uint32_t bind_shm(struct fixture *f) {
	return bind_new(f, get_registry(f), &wl_shm_interface);
}

static void test_pool(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	assert_true(create_pool(f, shm, memory(8192), FILTER_FD_MEMORY, 4096));
	assert_int_equal(f->filter->to_host.fd_count, 1);
	uint32_t pool = f->next_id - 1;
	drop_passed(f);
	assert_true(request(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_RESIZE, ARGS({.i = 8192})));
	assert_true(request(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER,
		ARGS({.object = f->next_id++}, {.i = 4096}, {.i = 16}, {.i = 64}, {.i = 64}, {.u = 0})));
	assert_false(request(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER,
		ARGS({.object = f->next_id++}, {.i = 4097}, {.i = 16}, {.i = 64}, {.i = 64}, {.u = 0})));
	assert_broken(f, "16x64, 64 a line, at 4097 of 8192");
}

static bool create_buffer(struct fixture *f, uint32_t pool, int32_t offset, int32_t width, int32_t height,
	int32_t stride, uint32_t format) {
	return request(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER,
		ARGS({.object = f->next_id++}, {.i = offset}, {.i = width}, {.i = height}, {.i = stride},
			{.u = format}));
}

#define CODE(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
static const struct {
	uint32_t format;
	int32_t pixel; /* 0: not for the guest */
} formats[] = {{0, 4}, {1, 4}, {CODE('A', 'B', '2', '4'), 4}, {CODE('X', 'R', '3', '0'), 4},
	{CODE('R', 'G', '1', '6'), 2}, {CODE('A', 'B', '4', 'H'), 8}, {CODE('B', 'G', '2', '4'), 3},
	{CODE('R', '8', ' ', ' '), 1}, {2, 0}, {CODE('Y', 'U', '1', '2'), 0}, {CODE('N', 'V', '1', '2'), 0},
	{CODE('Y', 'U', 'Y', 'V'), 0}};

/* A line holds its pixels, and of formats whose pixels nobody here can count there are none. */
static void test_lines(void **state) {
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		int32_t pixel = formats[i].pixel, line = 64 * pixel;
		for (unsigned n = 0; n < 4; n++) {
			const int32_t strides[] = {line, line - 4, line + 2, line + 4};
			struct fixture *f = *state;
			assert_true(create_pool(f, bind_shm(f), memory(65536), FILTER_FD_MEMORY, 65536));
			bool fits = pixel > 0 && (n == 0 || (n == 3 && pixel != 8));
			assert_int_equal(create_buffer(f, f->next_id - 1, 0, 64, 64,
						 pixel > 0 ? strides[n] : 512, formats[i].format),
				fits);
			if (!fits) {
				assert_broken(f, pixel == 0 ? "pixels of the format" : "lines of 64 pixels");
			}
			assert_int_equal(teardown(state), 0);
			assert_int_equal(setup(state), 0);
		}
	}
}

/* The compositor's formats are told as far as they can be used. */
static void test_formats(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		assert_true(event(
			f, shm, &wl_shm_interface, WL_SHM_EVENT_FORMAT, ARGS({.u = formats[i].format})));
		assert_int_equal(take_event(f, &wl_shm_interface, WL_SHM_EVENT_FORMAT), formats[i].pixel > 0);
	}
}

static void test_pool_too_small(void **state) {
	struct fixture *f = *state;
	assert_false(create_pool(f, bind_shm(f), memory(4096), FILTER_FD_MEMORY, 4097));
	assert_broken(f, "4097 bytes of 4096");
}

static void test_pool_grows_too_far(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	assert_true(create_pool(f, shm, memory(4096), FILTER_FD_MEMORY, 4096));
	assert_false(request(
		f, f->next_id - 1, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_RESIZE, ARGS({.i = 8192})));
	assert_broken(f, "from 4096 to 8192 bytes of 4096");
}

static void test_pool_of_a_pipe(void **state) {
	struct fixture *f = *state;
	assert_false(create_pool(f, bind_shm(f), memory(4096), FILTER_FD_PIPE, 4096));
	assert_broken(f, "no memory");
}

/* Pages of the guest's own are memory, other dma-bufs may be a card's. */
static void test_pool_of_a_dmabuf(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	assert_true(create_pool(f, shm, memory(4096), FILTER_FD_PAGES, 4096));
	assert_false(create_pool(f, shm, memory(4096), FILTER_FD_DMABUF, 4096));
	assert_broken(f, "no memory");
}

static void destroy(struct fixture *f, uint32_t id, const struct wl_interface *interface, uint16_t opcode) {
	assert_true(request(f, id, interface, opcode, ARGS({0})));
	drop_passed(f);
}

static void delete_id(struct fixture *f, uint32_t id) {
	assert_true(event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = id})));
	drop_passed(f);
}

static const uint32_t GIB = 1u << 30;

/* The compositor has the memory, all that is behind the descriptor, until pool and buffers are gone there. */
static void test_too_much_memory(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f), pool = f->next_id;
	assert_true(create_pool(f, shm, memory(GIB), FILTER_FD_MEMORY, 4096));
	assert_int_equal(f->vm.pool_bytes, GIB);
	uint32_t buffer = f->next_id++;
	assert_true(request(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER,
		ARGS({.object = buffer}, {.i = 0}, {.i = 32}, {.i = 32}, {.i = 128}, {.u = 0})));
	destroy(f, pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_DESTROY);
	delete_id(f, pool);
	assert_int_equal(f->vm.pool_bytes, GIB);
	destroy(f, buffer, &wl_buffer_interface, WL_BUFFER_REQUEST_DESTROY);
	assert_int_equal(f->vm.pool_bytes, GIB);
	delete_id(f, buffer);
	assert_int_equal(f->vm.pool_bytes, 0);
	f->next_id = pool;
	assert_true(create_pool(f, shm, memory(GIB), FILTER_FD_MEMORY, 4096));
	assert_true(create_pool(f, shm, memory(GIB), FILTER_FD_PAGES, 4096));
	f->next_id = buffer + 1;
	assert_false(create_pool(f, shm, memory(4096), FILTER_FD_MEMORY, 4096));
	assert_broken(f, "the VM has too much memory with the compositor");
}

/* Each pool is a mapping of the compositor's. */
static void test_too_many_pools(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	unsigned pools = 0;
	while (pools < 10000 && create_pool(f, shm, memory(4096), FILTER_FD_MEMORY, 4096)) {
		destroy(f, f->next_id - 1, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_DESTROY);
		pools++;
	}
	assert_int_equal(pools, 8192);
	assert_broken(f, "the VM has too many pools");
}

static bool add_plane_at(
	struct fixture *f, uint32_t params, uint32_t size, uint32_t index, uint32_t offset, uint32_t stride) {
	enum filter_fd kind = index == 0 ? FILTER_FD_DMABUF : FILTER_FD_PAGES;
	return filter_add_fd(f->filter, memory(size), kind) &&
	       request(f, params, &zwp_linux_buffer_params_v1_interface,
		       ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_ADD,
		       ARGS({0}, {.u = index}, {.u = offset}, {.u = stride}, {.u = 0}, {.u = 0}));
}

static bool add_plane(struct fixture *f, uint32_t params, uint32_t size, uint32_t index) {
	return add_plane_at(f, params, size, index, 0, 256);
}

static uint32_t new_params(struct fixture *f, uint32_t dmabuf) {
	return MAKE(f, dmabuf, zwp_linux_dmabuf_v1, ZWP_LINUX_DMABUF_V1_REQUEST_CREATE_PARAMS, 0, 0);
}

/* Each plane is a descriptor of the compositor's. */
static void test_too_many_planes(void **state) {
	struct fixture *f = *state;
	uint32_t dmabuf = bind_new(f, get_registry(f), &zwp_linux_dmabuf_v1_interface);
	unsigned planes = 0;
	while (planes < 10000 && add_plane(f, new_params(f, dmabuf), 4096, 0)) {
		drop_passed(f);
		planes++;
	}
	assert_int_equal(planes, 1024);
	assert_broken(f, "the VM has too many planes");
}

static void test_too_much_in_dmabufs(void **state) {
	struct fixture *f = *state;
	const struct wl_interface *type = &zwp_linux_buffer_params_v1_interface;
	uint32_t registry = get_registry(f), dmabuf = bind_new(f, registry, &zwp_linux_dmabuf_v1_interface);
	uint32_t late = new_params(f, dmabuf);
	assert_true(add_plane(f, late, GIB, 0));
	assert_true(request(f, late, type, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE,
		ARGS({.i = 64}, {.i = 64}, {.u = CODE('X', 'R', '2', '4')}, {.u = 0})));
	destroy(f, late, type, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_DESTROY);
	assert_true(event(f, late, type, ZWP_LINUX_BUFFER_PARAMS_V1_EVENT_CREATED,
		ARGS({.object = WIRE_SERVER_ID_FIRST})));
	delete_id(f, late);
	assert_int_equal(f->vm.pool_bytes, GIB);
	destroy(f, WIRE_SERVER_ID_FIRST, &wl_buffer_interface, WL_BUFFER_REQUEST_DESTROY);
	assert_int_equal(f->vm.pool_bytes, 0);
	f->next_id = late;
	uint32_t params = new_params(f, dmabuf), buffer = params + 1;
	f->next_id = buffer + 1;
	assert_true(add_plane(f, params, 16384, 0));
	assert_true(add_plane(f, params, 4096, 1));
	assert_true(request(f, params, type, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE_IMMED,
		ARGS({.object = buffer}, {.i = 64}, {.i = 64}, {.u = CODE('X', 'R', '2', '4')}, {.u = 0})));
	destroy(f, params, type, ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_DESTROY);
	delete_id(f, params);
	assert_int_equal(f->vm.pool_bytes, 20480);
	assert_true(request(f, buffer, &wl_buffer_interface, WL_BUFFER_REQUEST_DESTROY, ARGS({0})));
	delete_id(f, buffer);
	assert_int_equal(f->vm.pool_bytes, 0);
	f->next_id = params;
	params = new_params(f, dmabuf);
	assert_true(add_plane(f, params, GIB, 0));
	assert_true(add_plane(f, params, GIB, 1));
	assert_false(add_plane(f, params, 4096, 2));
	assert_broken(f, "too much memory");
}

/* Planes of 256 bytes a line, and whether 64x64 of a format lie in them. */
static void test_planes(void **state) {
	static const struct {
		uint32_t format, size, offset, stride;
		uint32_t second; /* the size of the second plane; 0: there is none */
		bool fits;
	} rows[] = {{CODE('X', 'R', '2', '4'), 16384, 0, 256, 0, true},
		{CODE('X', 'R', '2', '4'), 16384, 4, 256, 0, false},
		{CODE('X', 'R', '2', '4'), 16384, 0, 252, 0, false},
		{CODE('X', 'R', '2', '4'), 16384, 0, UINT32_MAX, 0, false},
		{CODE('X', 'R', '2', '4'), 16384, UINT32_MAX, 256, 0, false},
		{CODE('A', 'B', '4', 'H'), 16384, 0, 256, 0, false},
		{CODE('R', 'G', '1', '6'), 8192, 0, 128, 0, true},
		{CODE('N', 'V', '1', '2'), 4096, 0, 64, 8192, true},
		{CODE('N', 'V', '1', '2'), 4096, 0, 64, 8191, false},
		{CODE('N', 'V', '1', '2'), 4096, 0, 64, 0, false},
		{CODE('Y', 'U', '1', '2'), 16384, 0, 256, 16384, false}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = *state;
		uint32_t dmabuf = bind_new(f, get_registry(f), &zwp_linux_dmabuf_v1_interface);
		uint32_t params = new_params(f, dmabuf);
		assert_true(add_plane_at(f, params, rows[i].size, 0, rows[i].offset, rows[i].stride));
		assert_true(rows[i].second == 0 || add_plane(f, params, rows[i].second, 1));
		assert_int_equal(request(f, params, &zwp_linux_buffer_params_v1_interface,
					 ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE,
					 ARGS({.i = 64}, {.i = 64}, {.u = rows[i].format}, {.u = 0})),
			rows[i].fits);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void test_no_descriptor(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	assert_false(request(f, shm, &wl_shm_interface, WL_SHM_REQUEST_CREATE_POOL,
		ARGS({.object = f->next_id}, {0}, {.i = 4096})));
	assert_broken(f, "a descriptor is missing");
}

/* At most 28 go in one piece; the rest waits for its turn and comes then. */
static void test_many_descriptors(void **state) {
	struct fixture *f = *state;
	uint32_t shm = bind_shm(f);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(create_pool(f, shm, memory(4096), FILTER_FD_MEMORY, 4096));
	}
	assert_int_equal(f->filter->to_host.fd_count, 28);
	assert_int_equal(wire_queue_size(&f->filter->to_host), 28 * 16);
	assert_true(filter_guest_waits(f->filter));
	drop_passed(f);
	assert_true(filter_guest(f->filter));
	assert_int_equal(f->filter->to_host.fd_count, 12);
	assert_false(filter_guest_waits(f->filter));
}

/* ---- windows ---- */

struct screen {
	uint32_t registry, compositor, shm, shell, seat, pool;
};

static struct screen open_screen(struct fixture *f) {
	struct screen screen = {.registry = get_registry(f)};
	screen.compositor = bind_new(f, screen.registry, &wl_compositor_interface);
	screen.shm = bind_new(f, screen.registry, &wl_shm_interface);
	screen.shell = bind_new(f, screen.registry, &xdg_wm_base_interface);
	screen.seat = bind_new(f, screen.registry, &wl_seat_interface);
	assert_true(create_pool(f, screen.shm, memory(64 << 20), FILTER_FD_MEMORY, 64 << 20));
	screen.pool = f->next_id - 1;
	drop_passed(f);
	return screen;
}

static uint32_t new_surface(struct fixture *f, const struct screen *screen) {
	return MAKE(f, screen->compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_SURFACE, 0, 0);
}

static bool show(
	struct fixture *f, const struct screen *screen, uint32_t surface, int32_t width, int32_t height) {
	uint32_t buffer = f->next_id++;
	assert_true(request(f, screen->pool, &wl_shm_pool_interface, WL_SHM_POOL_REQUEST_CREATE_BUFFER,
		ARGS({.object = buffer}, {.i = 0}, {.i = width}, {.i = height}, {.i = width * 4}, {.u = 0})));
	drop_passed(f);
	return request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_ATTACH,
		ARGS({.object = buffer}, {.i = 0}, {.i = 0}));
}

/* The id before it is its xdg_surface's. */
static uint32_t new_toplevel(struct fixture *f, const struct screen *screen) {
	uint32_t surface = new_surface(f, screen);
	uint32_t xdg = MAKE(f, screen->shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	assert_true(request(f, xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL,
		ARGS({.object = f->next_id++})));
	return f->next_id - 1;
}

static void test_titles(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t toplevel = new_toplevel(f, &screen);
	assert_true(take_request(f, &xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_string_equal(f->args[0].string, "[mail]");
	assert_int_equal(f->last.object, toplevel);
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID));
	assert_string_equal(f->args[0].string, "ph.mail");
	assert_true(request(f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE,
		ARGS({.string = "Inbox\n\xe2\x80\xaegnp\xff \xc3\xa9"})));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_string_equal(f->args[0].string, "[mail] Inbox??gnp? \xc3\xa9");
	assert_true(request(f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID,
		ARGS({.string = "org.mozilla/../x y"})));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID));
	assert_string_equal(f->args[0].string, "ph.mail.org.mozilla_.._x_y");
	char longest[4080];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_true(request(f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE,
		ARGS({.string = longest})));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_int_equal(strlen(f->args[0].string), FILTER_TITLE_SIZE - 1);
}

static bool set_title(struct fixture *f, uint32_t toplevel, const char *title) {
	assert_true(request(f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE,
		ARGS({.string = title})));
	return take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE);
}

/* A second of a hundred titles costs nobody anything; thousands wait for their time, and the last one comes.
 */
static void test_flood_of_titles(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t toplevel = new_toplevel(f, &screen);
	char title[32];
	drop_passed(f);
	for (unsigned i = 0; i < 6000; i++) {
		snprintf(title, sizeof(title), "%u$ make", i);
		assert_true(set_title(f, toplevel, title));
		clock_ns += 10000000;
	}
	unsigned passed = 0;
	for (; passed < 6000 && !f->filter->rests; passed++) {
		set_title(f, toplevel, "again");
	}
	assert_in_range(passed, FILTER_NEWS_MAX / 400, FILTER_NEWS_MAX / 256);
	assert_false(filter_guest_waits(f->filter));
	assert_false(set_title(f, toplevel, "last"));
	assert_true(filter_host(f->filter));
	assert_true(f->filter->rests);
	clock_ns += filter_news_wait(&f->vm);
	assert_true(filter_guest(f->filter));
	assert_false(f->filter->rests);
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_string_equal(f->args[0].string, "[mail] last");
}

/* How the attach that passed last was: with its buffer, or with none. */
static bool is_shown(struct fixture *f) {
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_ATTACH));
	return f->args[0].object != 0;
}

static uint32_t get_pointer(struct fixture *f, const struct screen *screen) {
	return MAKE(f, screen->seat, wl_seat, WL_SEAT_REQUEST_GET_POINTER, 0, 0);
}

static bool set_cursor(struct fixture *f, uint32_t pointer, uint32_t surface, int32_t hotspot) {
	drop_passed(f);
	return request(f, pointer, &wl_pointer_interface, WL_POINTER_REQUEST_SET_CURSOR,
		ARGS({.u = 1}, {.object = surface}, {.i = hotspot}, {.i = 0}));
}

/* Whether it became the pointer's image; if not, the pointer has none. */
static bool becomes_cursor(struct fixture *f, uint32_t pointer, uint32_t surface) {
	assert_true(set_cursor(f, pointer, surface, 0));
	assert_true(take_request(f, &wl_pointer_interface, WL_POINTER_REQUEST_SET_CURSOR));
	assert_true(f->args[1].object == surface || f->args[1].object == 0);
	return f->args[1].object == surface;
}

static void test_cursor(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(set_cursor(f, pointer, 0, 0));
	assert_true(show(f, &screen, surface, 64, 64));
	assert_true(set_cursor(f, pointer, surface, 10));
	assert_true(show(f, &screen, surface, 512, 512));
	assert_true(is_shown(f));
	assert_true(show(f, &screen, surface, 513, 8));
	assert_false(is_shown(f));
	assert_true(becomes_cursor(f, pointer, surface));
}

static void test_cursor_was_large(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(show(f, &screen, surface, 1920, 1080));
	assert_false(becomes_cursor(f, pointer, surface));
	assert_true(show(f, &screen, surface, 8, 8));
	assert_true(becomes_cursor(f, pointer, surface));
}

static bool commit(struct fixture *f, uint32_t surface) {
	return request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT, ARGS({0}));
}

static bool attach(struct fixture *f, uint32_t surface, uint32_t buffer) {
	return request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_ATTACH,
		ARGS({.object = buffer}, {.i = 0}, {.i = 0}));
}

/* What counts is what is on the screen, until something else was committed. */
static void test_cursor_still_large(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(show(f, &screen, surface, 1920, 1080));
	assert_true(commit(f, surface));
	assert_true(show(f, &screen, surface, 64, 64));
	assert_true(commit(f, surface));
	assert_true(set_cursor(f, pointer, surface, 0));
	surface = new_surface(f, &screen);
	assert_true(show(f, &screen, surface, 1920, 1080));
	assert_true(commit(f, surface));
	assert_true(attach(f, surface, 0));
	assert_false(becomes_cursor(f, pointer, surface));
}

/* To show a window and hide it again is news each time; what is in it is not. */
static void test_flood_of_windows(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t surface = new_surface(f, &screen), plain = new_surface(f, &screen);
	uint32_t xdg = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	MAKE(f, xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, 0, 0);
	const uint32_t buffer = f->next_id;
	assert_true(show(f, &screen, surface, 8, 8));
	const uint32_t surfaces[] = {plain, surface, surface};
	unsigned frames[3] = {0};
	for (unsigned i = 0; i < 3; i++) {
		bool hides = i < 2;
		for (; frames[i] < 500 && !f->filter->rests; frames[i]++) {
			assert_true(attach(f, surfaces[i], hides && frames[i] % 2 != 0 ? 0 : buffer));
			assert_true(commit(f, surfaces[i]));
			drop_passed(f);
		}
		clock_ns += FILTER_NEWS_MAX * (uint64_t)FILTER_NEWS_NS;
		assert_true(filter_guest(f->filter));
		drop_passed(f);
	}
	assert_int_equal(frames[0], 500);
	assert_in_range(frames[1], 50, FILTER_NEWS_MAX / 1024 + 1);
	assert_int_equal(frames[2], 500);
}

/* Compositors keep tokens that nobody has an object for any more. */
static void test_flood_of_tokens(void **state) {
	struct fixture *f = *state;
	uint32_t activation = bind_new(f, get_registry(f), &xdg_activation_v1_interface);
	unsigned count = 0;
	for (; count < 1000 && !f->filter->rests; count++) {
		uint32_t token = MAKE(f, activation, xdg_activation_v1,
			XDG_ACTIVATION_V1_REQUEST_GET_ACTIVATION_TOKEN, 0, 0);
		assert_true(request(f, token, &xdg_activation_token_v1_interface,
			XDG_ACTIVATION_TOKEN_V1_REQUEST_COMMIT, ARGS({0})));
		drop_passed(f);
	}
	assert_in_range(count, FILTER_NEWS_MAX / 400, FILTER_NEWS_MAX / 256 + 1);
}

static bool damage(struct fixture *f, uint32_t surface, uint16_t opcode, int32_t x) {
	assert_true(request(
		f, surface, &wl_surface_interface, opcode, ARGS({.i = x}, {.i = x}, {.i = 1}, {.i = 1})));
	return take_request(f, &wl_surface_interface, opcode);
}

/* A compositor walks through all of a surface's damage for each one more: the last one that it hears of in a
 * frame is everywhere. */
static void test_much_damage(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t surface = new_surface(f, &screen);
	for (int32_t frame = 0; frame < 3; frame++) {
		for (int32_t i = 0; i < 255; i++) {
			uint16_t opcode =
				i % 2 == 0 ? WL_SURFACE_REQUEST_DAMAGE : WL_SURFACE_REQUEST_DAMAGE_BUFFER;
			assert_true(damage(f, surface, opcode, i));
			assert_int_equal(f->args[0].i, i);
			assert_int_equal(f->args[2].i, 1);
		}
		assert_true(damage(f, surface, WL_SURFACE_REQUEST_DAMAGE_BUFFER, 7));
		assert_int_equal(f->args[0].i, 0);
		assert_int_equal(f->args[1].i, 0);
		assert_int_equal(f->args[2].i, INT32_MAX);
		assert_int_equal(f->args[3].i, INT32_MAX);
		assert_false(damage(f, surface, WL_SURFACE_REQUEST_DAMAGE, 8));
		assert_false(damage(f, surface, WL_SURFACE_REQUEST_DAMAGE_BUFFER, 8));
		assert_true(commit(f, surface));
		drop_passed(f);
	}
}

static void test_large_region(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	unsigned passed = 0;
	uint32_t region =
		MAKE(f, screen.compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_REGION, 0, 0);
	for (int32_t i = 0; i < 10000; i++) {
		uint16_t opcode = i % 2 == 0 ? WL_REGION_REQUEST_ADD : WL_REGION_REQUEST_SUBTRACT;
		assert_true(request(f, region, &wl_region_interface, opcode,
			ARGS({.i = 2 * i}, {.i = 2 * i}, {.i = 1}, {.i = 1})));
		passed += take_request(f, &wl_region_interface, opcode);
	}
	assert_int_equal(passed, 4096);
}

static bool add_box(struct fixture *f, uint32_t region, int32_t x, int32_t y, int32_t width, int32_t height) {
	assert_true(request(f, region, &wl_region_interface, WL_REGION_REQUEST_ADD,
		ARGS({.i = x}, {.i = y}, {.i = width}, {.i = height})));
	return take_request(f, &wl_region_interface, WL_REGION_REQUEST_ADD);
}

static uint32_t new_region(struct fixture *f, const struct screen *screen) {
	return MAKE(f, screen->compositor, wl_compositor, WL_COMPOSITOR_REQUEST_CREATE_REGION, 0, 0);
}

/* Stripes across stripes are as many rectangles as there are crossings; the two round windows of an X11
 * program, line by line, are as many as they are. */
static void test_crossed_region(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t crossed = new_region(f, &screen), shaped = new_region(f, &screen);
	unsigned passed = 0;
	for (int32_t i = 0; i < 2000; i++) {
		assert_true(add_box(f, crossed, 2 * i, 0, 1, 10000));
	}
	for (int32_t i = 0; i < 100; i++) {
		passed += add_box(f, crossed, 0, 2 * i + 1, 10000, 1);
	}
	assert_int_equal(passed, 0);
	for (int32_t y = 0; y < 2000; y++) {
		assert_true(add_box(f, shaped, 1000 - y, y, 2 * y + 1, 1));
		assert_true(add_box(f, shaped, 5000 - y, y, 2 * y + 1, 1));
	}
}

/* What is beyond all numbers ends at the last one, and what is nothing adds nothing. */
static void test_region_of_all(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t region = new_region(f, &screen);
	assert_true(add_box(f, region, 10, -10, INT32_MAX, INT32_MAX));
	assert_int_equal(f->args[2].i, INT32_MAX - 10);
	assert_int_equal(f->args[3].i, INT32_MAX);
	assert_true(add_box(f, region, INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX));
	assert_false(add_box(f, region, 0, 0, 0, 1));
	assert_false(add_box(f, region, 0, 0, 1, INT32_MIN));
	assert_false(add_box(f, region, 0, INT32_MAX, 1, 1));
}

static uint32_t jagged_region(struct fixture *f, const struct screen *screen) {
	uint32_t region = new_region(f, screen);
	for (int32_t y = 0; y < 4096; y++) {
		assert_true(add_box(f, region, y, y, 1, 1));
	}
	return region;
}

/* Each surface has a copy. */
static void test_too_many_rectangles(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t region = jagged_region(f, &screen), surfaces = 0;
	bool passes = true;
	for (; passes && surfaces < 1000; surfaces++) {
		uint32_t surface = new_surface(f, &screen);
		passes = request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_SET_INPUT_REGION,
			ARGS({.object = region}));
		drop_passed(f);
	}
	assert_false(passes);
	assert_broken(f, "the regions of the VM have too many rectangles");
	assert_int_equal(surfaces, FILTER_REGION_BOXES_MAX / 8193);
}

static bool set_regions(struct fixture *f, uint32_t surface, uint32_t region) {
	bool passes = request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_SET_INPUT_REGION,
			      ARGS({.object = region})) &&
		      request(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_SET_OPAQUE_REGION,
			      ARGS({.object = region}));
	drop_passed(f);
	return passes;
}

/* What was committed stays with the compositor until something else is. */
static void test_too_many_rectangles_committed(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t region = jagged_region(f, &screen), surface = new_surface(f, &screen), surfaces = 0;
	for (unsigned i = 0; i < 100; i++) {
		assert_true(set_regions(f, surface, i % 2 == 0 ? region : 0));
		assert_true(commit(f, surface));
		drop_passed(f);
	}
	assert_int_equal(f->vm.region_boxes, 8193);
	bool passes = true;
	for (; passes && surfaces < 1000; surfaces++) {
		surface = new_surface(f, &screen);
		passes = set_regions(f, surface, region) && commit(f, surface) && set_regions(f, surface, 0);
	}
	assert_false(passes);
	assert_broken(f, "the regions of the VM have too many rectangles");
	assert_in_range(surfaces, 10, FILTER_REGION_BOXES_MAX / (2 * 8193));
}

/* So does what a subsurface showed, until what it waits for is committed, and what waits has copies, too. */
static void test_too_many_rectangles_waiting(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t region = jagged_region(f, &screen), window = new_surface(f, &screen),
		 child = new_surface(f, &screen);
	MAKE(f, subcompositor, wl_subcompositor, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE, child, window);
	assert_true(set_regions(f, child, region));
	assert_true(commit(f, child));
	assert_true(commit(f, window));
	assert_true(set_regions(f, child, 0));
	assert_true(commit(f, child));
	assert_int_equal(f->vm.region_boxes, 3 * 8193);
	assert_true(set_regions(f, child, region));
	unsigned count = 0;
	for (unsigned i = 0; i < 10; i++) {
		assert_true(commit(f, window));
		for (count = 0; count < 5; count++) {
			assert_true(commit(f, child));
			drop_passed(f);
		}
	}
	while (count < 100 && commit(f, child)) {
		drop_passed(f);
		count++;
	}
	assert_broken(f, "the regions of the VM have too many rectangles");
	assert_in_range(count, 10, FILTER_REGION_BOXES_MAX / (2 * 8193));
}

static bool confine(struct fixture *f, uint32_t constraints, uint16_t opcode, const uint32_t others[3]) {
	bool passes = request(f, constraints, &zwp_pointer_constraints_v1_interface, opcode,
		ARGS({.object = f->next_id++}, {.object = others[0]}, {.object = others[1]},
			{.object = others[2]}, {.u = 2}));
	drop_passed(f);
	return passes;
}

/* Where the pointer is to stay is a copy of a region, too, and again when it is set anew. */
static void test_too_many_rectangles_of_pointers(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t constraints = bind_new(f, screen.registry, &zwp_pointer_constraints_v1_interface);
	uint32_t region = jagged_region(f, &screen), pointer = get_pointer(f, &screen);
	const uint32_t nowhere[] = {new_surface(f, &screen), pointer, 0};
	const uint32_t somewhere[] = {new_surface(f, &screen), pointer, region};
	assert_true(confine(f, constraints, ZWP_POINTER_CONSTRAINTS_V1_REQUEST_LOCK_POINTER, nowhere));
	for (unsigned i = 0; i < 100; i++) {
		assert_true(request(f, f->next_id - 1, &zwp_locked_pointer_v1_interface,
			ZWP_LOCKED_POINTER_V1_REQUEST_SET_REGION, ARGS({.object = region})));
	}
	assert_int_equal(f->vm.region_boxes, 4 * 8193);
	assert_true(request(f, f->next_id - 1, &zwp_locked_pointer_v1_interface,
		ZWP_LOCKED_POINTER_V1_REQUEST_SET_REGION, ARGS({.object = 0})));
	assert_int_equal(f->vm.region_boxes, 4 * 8193);
	assert_true(request(f, f->next_id - 1, &zwp_locked_pointer_v1_interface,
		ZWP_LOCKED_POINTER_V1_REQUEST_DESTROY, ARGS({0})));
	assert_int_equal(f->vm.region_boxes, 8193);
	unsigned count = 0;
	while (count < 100 &&
		confine(f, constraints, ZWP_POINTER_CONSTRAINTS_V1_REQUEST_CONFINE_POINTER, somewhere)) {
		count++;
	}
	assert_broken(f, "the regions of the VM have too many rectangles");
	assert_int_equal(count, (FILTER_REGION_BOXES_MAX - 8193) / (3 * 8193));
}

static uint32_t get_viewport(struct fixture *f, const struct screen *screen, uint32_t surface) {
	uint32_t viewporter = bind_new(f, screen->registry, &wp_viewporter_interface);
	return MAKE(f, viewporter, wp_viewporter, WP_VIEWPORTER_REQUEST_GET_VIEWPORT, surface, 0);
}

static bool scale(struct fixture *f, uint32_t viewport, int32_t width, int32_t height) {
	return request(f, viewport, &wp_viewport_interface, WP_VIEWPORT_REQUEST_SET_DESTINATION,
		ARGS({.i = width}, {.i = height}));
}

static void test_cursor_was_scaled(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	uint32_t viewport = get_viewport(f, &screen, surface);
	assert_true(scale(f, viewport, 2000, 1));
	assert_true(commit(f, surface));
	assert_true(scale(f, viewport, -1, -1));
	assert_false(becomes_cursor(f, pointer, surface));
}

/* The buffer comes when its parameters are gone already. */
static void test_cursor_of_late_buffer(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t dmabuf = bind_new(f, screen.registry, &zwp_linux_dmabuf_v1_interface);
	uint32_t params =
		MAKE(f, dmabuf, zwp_linux_dmabuf_v1, ZWP_LINUX_DMABUF_V1_REQUEST_CREATE_PARAMS, 0, 0);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(set_cursor(f, pointer, surface, 0));
	assert_true(add_plane_at(f, params, 48000000, 0, 0, 16000));
	assert_true(request(f, params, &zwp_linux_buffer_params_v1_interface,
		ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE,
		ARGS({.i = 4000}, {.i = 3000}, {.u = CODE('A', 'R', '2', '4')}, {.u = 0})));
	assert_true(request(f, params, &zwp_linux_buffer_params_v1_interface,
		ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_DESTROY, ARGS({0})));
	assert_true(event(f, params, &zwp_linux_buffer_params_v1_interface,
		ZWP_LINUX_BUFFER_PARAMS_V1_EVENT_CREATED, ARGS({.object = WIRE_SERVER_ID_FIRST})));
	drop_passed(f);
	assert_true(attach(f, surface, WIRE_SERVER_ID_FIRST));
	assert_false(is_shown(f));
}

/* A pointer's image stays one. */
static void test_cursor_as_window(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(set_cursor(f, pointer, surface, 0));
	assert_true(set_cursor(f, pointer, surface, 0));
	assert_false(request(f, screen.shell, &xdg_wm_base_interface, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE,
		ARGS({.object = f->next_id++}, {.object = surface})));
	assert_broken(f, "a pointer that is to be something else");
}

/* A popup keeps its limits when its xdg_surface is made anew. */
static void test_popup_again(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t surface = new_surface(f, &screen);
	uint32_t xdg = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	uint32_t positioner = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	uint32_t parent = new_toplevel(f, &screen) - 1;
	uint32_t popup = MAKE(f, xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_POPUP, parent, positioner);
	assert_true(request(f, popup, &xdg_popup_interface, XDG_POPUP_REQUEST_DESTROY, ARGS({0})));
	assert_true(request(f, xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_DESTROY, ARGS({0})));
	MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	assert_false(show(f, &screen, surface, 8193, 1));
	assert_broken(f, "a popup of 8193x1");
}

static void test_cursor_elsewhere(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	for (int32_t i = 0; i < 3; i++) {
		const int32_t hotspots[] = {-600, 513, 512};
		assert_true(set_cursor(f, pointer, surface, hotspots[i]));
		assert_true(take_request(f, &wl_pointer_interface, WL_POINTER_REQUEST_SET_CURSOR));
		assert_int_equal(f->args[1].object, i == 2 ? surface : 0);
	}
}

static void test_cursor_by_viewport(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	uint32_t viewport = get_viewport(f, &screen, surface);
	assert_true(set_cursor(f, pointer, surface, 0));
	drop_passed(f);
	assert_true(scale(f, viewport, 2000, 20));
	assert_true(take_request(f, &wp_viewport_interface, WP_VIEWPORT_REQUEST_SET_DESTINATION));
	assert_int_equal(f->args[0].i, 512);
	assert_int_equal(f->args[1].i, 20);
	assert_true(becomes_cursor(f, pointer, surface));
}

static bool get_subsurface(struct fixture *f, uint32_t subcompositor, uint32_t surface, uint32_t parent) {
	return request(f, subcompositor, &wl_subcompositor_interface, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE,
		ARGS({.object = f->next_id++}, {.object = surface}, {.object = parent}));
}

/* What has subsurfaces is not shown; what is shown may not get any. */
static void test_cursor_with_children(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen),
		 child = new_surface(f, &screen), plain = new_surface(f, &screen);
	assert_true(get_subsurface(f, subcompositor, child, surface));
	assert_false(becomes_cursor(f, pointer, surface));
	assert_true(becomes_cursor(f, pointer, plain));
	assert_false(get_subsurface(f, subcompositor, new_surface(f, &screen), plain));
	assert_broken(f, "a pointer with subsurfaces");
}

static unsigned commits(struct fixture *f, uint32_t surface, unsigned most) {
	unsigned count = 0;
	while (count < most && commit(f, surface)) {
		drop_passed(f);
		count++;
	}
	return count;
}

/* A window, a child of it, and one of the child's. */
struct family {
	uint32_t window, child, grandchild, of_child, of_grandchild;
};

static struct family new_family(struct fixture *f) {
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	struct family family = {.window = new_surface(f, &screen),
		.child = new_surface(f, &screen),
		.grandchild = new_surface(f, &screen)};
	family.of_child = MAKE(f, subcompositor, wl_subcompositor, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE,
		family.child, family.window);
	family.of_grandchild = MAKE(f, subcompositor, wl_subcompositor,
		WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE, family.grandchild, family.child);
	return family;
}

static bool set_mode(struct fixture *f, uint32_t subsurface, uint16_t opcode) {
	return request(f, subsurface, &wl_subsurface_interface, opcode, ARGS({0}));
}

/* What a subsurface commits waits for what it is in, and with that for the window, unless it is on its own.
 */
static void test_waiting_commits(void **state) {
	struct fixture *f = *state;
	const struct family family = new_family(f);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(commits(f, family.grandchild, 500), 500);
		assert_int_equal(commits(f, family.child, 500), 500);
		assert_int_equal(f->vm.waiting_commits, 1000);
		assert_true(commit(f, family.window));
		assert_int_equal(f->vm.waiting_commits, 0);
	}
	assert_true(set_mode(f, family.of_grandchild, WL_SUBSURFACE_REQUEST_SET_DESYNC));
	assert_true(set_mode(f, family.of_child, WL_SUBSURFACE_REQUEST_SET_DESYNC));
	assert_int_equal(commits(f, family.child, 3000), 3000);
	assert_int_equal(commits(f, family.grandchild, 3000), 3000);
	assert_true(set_mode(f, family.of_child, WL_SUBSURFACE_REQUEST_SET_SYNC));
	assert_int_equal(commits(f, family.child, 3000), 1024);
	assert_broken(f, "1024 commits that wait for another surface's");
}

/* It does not wait for the window alone. */
static void test_waiting_for_the_middle(void **state) {
	struct fixture *f = *state;
	const struct family family = new_family(f);
	unsigned count = 0;
	for (unsigned i = 0; i < 100 && f->filter->rule[0] == '\0'; i++) {
		count += commits(f, family.grandchild, 500);
		commit(f, family.window);
	}
	assert_int_equal(count, 1024);
	assert_broken(f, "1024 commits that wait for another surface's");
}

/* What only what it is in makes wait is not sure to be shown with that. */
static void test_waiting_inside(void **state) {
	struct fixture *f = *state;
	const struct family family = new_family(f);
	assert_true(set_mode(f, family.of_grandchild, WL_SUBSURFACE_REQUEST_SET_DESYNC));
	for (unsigned i = 0; i < 5; i++) {
		assert_true(set_mode(f, family.of_child, WL_SUBSURFACE_REQUEST_SET_SYNC));
		assert_int_equal(commits(f, family.grandchild, 1000), 1000);
		assert_true(set_mode(f, family.of_child, WL_SUBSURFACE_REQUEST_SET_DESYNC));
		assert_int_equal(commits(f, family.grandchild, 2000), 2000);
		assert_int_equal(f->vm.waiting_commits, 0);
	}
	assert_true(set_mode(f, family.of_child, WL_SUBSURFACE_REQUEST_SET_SYNC));
	unsigned count = 0;
	for (unsigned i = 0; i < 100 && f->filter->rule[0] == '\0'; i++) {
		count += commits(f, family.grandchild, 500);
		commit(f, family.child);
		commit(f, family.window);
	}
	assert_int_equal(count, 1024);
}

/* Nor is what waited before. */
static void test_waiting_inside_after_all(void **state) {
	struct fixture *f = *state;
	const struct family family = new_family(f);
	unsigned count = 0;
	for (unsigned i = 0; i < 100 && f->filter->rule[0] == '\0'; i++) {
		set_mode(f, family.of_grandchild, WL_SUBSURFACE_REQUEST_SET_SYNC);
		count += commits(f, family.grandchild, 100);
		set_mode(f, family.of_grandchild, WL_SUBSURFACE_REQUEST_SET_DESYNC);
		commit(f, family.child);
		commit(f, family.window);
	}
	assert_in_range(count, 300, 1024);
	assert_broken(f, "commits that wait for another surface's");
}

/* Whoever meets what all have in common hears that. */
static void test_waiting_in_all(void **state) {
	struct fixture *f = *state;
	for (unsigned i = 0; i < FILTER_WAITING_MAX / 1024; i++) {
		const struct family family = new_family(f);
		assert_int_equal(commits(f, family.child, 1024), 1024);
	}
	const struct family family = new_family(f);
	assert_int_equal(commits(f, family.child, 1024), 0);
	assert_broken(f, "more than 16384 commits of the VM that wait for other surfaces'");
}

/* How many surfaces get to be in each other, each in a new one or each new one in the last. */
static unsigned levels(struct fixture *f, bool upward) {
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t last = new_surface(f, &screen);
	for (unsigned count = 1; count < 1000; count++) {
		uint32_t surface = new_surface(f, &screen);
		assert_true(commit(f, surface));
		if (!request(f, subcompositor, &wl_subcompositor_interface,
			    WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE,
			    ARGS({.object = f->next_id++}, {.object = upward ? last : surface},
				    {.object = upward ? surface : last}))) {
			assert_broken(f, "more than 64 subsurfaces in each other");
			return count;
		}
		assert_true(commit(f, surface));
		drop_passed(f);
		last = surface;
	}
	return 1000;
}

static void test_subsurfaces_downward(void **state) {
	assert_int_equal(levels(*state, false), 64);
}

static void test_subsurfaces_upward(void **state) {
	assert_int_equal(levels(*state, true), 64);
}

/* Two trees become one. */
static void test_subsurfaces_joined(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t top[2], bottom[2];
	for (unsigned tree = 0; tree < 2; tree++) {
		top[tree] = bottom[tree] = new_surface(f, &screen);
		for (unsigned i = 0; i < 31; i++) {
			uint32_t surface = new_surface(f, &screen);
			MAKE(f, subcompositor, wl_subcompositor, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE,
				surface, bottom[tree]);
			bottom[tree] = surface;
		}
	}
	MAKE(f, subcompositor, wl_subcompositor, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE, top[1], bottom[0]);
	uint32_t window = new_surface(f, &screen);
	assert_false(request(f, subcompositor, &wl_subcompositor_interface,
		WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE,
		ARGS({.object = f->next_id++}, {.object = top[0]}, {.object = window})));
	assert_broken(f, "more than 64 subsurfaces in each other");
}

static void test_cursor_does_not_wander(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), surface = new_surface(f, &screen);
	assert_true(set_cursor(f, pointer, surface, 0));
	drop_passed(f);
	assert_true(request(
		f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_OFFSET, ARGS({.i = 300}, {.i = 3})));
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_OFFSET));
	assert_int_equal(f->args[0].i, 0);
	assert_int_equal(f->args[1].i, 0);
}

static void test_popup(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t positioner = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	assert_true(request(f, positioner, &xdg_positioner_interface, XDG_POSITIONER_REQUEST_SET_SIZE,
		ARGS({.i = 4096}, {.i = 10})));
	drop_passed(f);
	assert_true(request(f, positioner, &xdg_positioner_interface, XDG_POSITIONER_REQUEST_SET_SIZE,
		ARGS({.i = 10}, {.i = 4097})));
	assert_true(take_request(f, &xdg_positioner_interface, XDG_POSITIONER_REQUEST_SET_SIZE));
	assert_int_equal(f->args[0].i, 10);
	assert_int_equal(f->args[1].i, 4096);
}

static uint32_t new_text_input(struct fixture *f, const struct screen *screen) {
	uint32_t manager = bind_new(f, screen->registry, &zwp_text_input_manager_v3_interface);
	return MAKE(f, manager, zwp_text_input_manager_v3, ZWP_TEXT_INPUT_MANAGER_V3_REQUEST_GET_TEXT_INPUT,
		screen->seat, 0);
}

/* What an input method is told with each commit is all of the text that the program said last. */
static void test_flood_of_texts(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t input = new_text_input(f, &screen);
	char text[4001] = "";
	memset(text, 'a', sizeof(text) - 1);
	unsigned commits[2] = {0};
	for (unsigned i = 0; i < 2; i++) {
		assert_true(request(f, input, &zwp_text_input_v3_interface,
			ZWP_TEXT_INPUT_V3_REQUEST_SET_SURROUNDING_TEXT,
			ARGS({.string = text}, {.i = 0}, {.i = 0})));
		assert_true(i == 0 || request(f, input, &zwp_text_input_v3_interface,
					      ZWP_TEXT_INPUT_V3_REQUEST_ENABLE, ARGS({0})));
		for (; commits[i] < 1000 && !f->filter->rests; commits[i]++) {
			assert_true(request(f, input, &zwp_text_input_v3_interface,
				ZWP_TEXT_INPUT_V3_REQUEST_COMMIT, ARGS({0})));
			drop_passed(f);
		}
		clock_ns += FILTER_NEWS_MAX * (uint64_t)FILTER_NEWS_NS;
		assert_true(filter_guest(f->filter));
	}
	assert_in_range(commits[0], 20, 30);
	assert_in_range(commits[1], 300, 500);
}

/* A key that is held in a long paragraph changes all of it 30 times in a second, as far as it is told:
 * nothing waits for that, and neither do titles afterwards. */
static void test_typing_in_long_text(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t toplevel = new_toplevel(f, &screen), input = new_text_input(f, &screen);
	char text[3001] = "";
	memset(text, 'a', sizeof(text) - 1);
	for (unsigned i = 0; i < 5 * 30; i++) {
		assert_true(request(f, input, &zwp_text_input_v3_interface,
			ZWP_TEXT_INPUT_V3_REQUEST_SET_SURROUNDING_TEXT,
			ARGS({.string = text}, {.i = 0}, {.i = 0})));
		assert_true(request(
			f, input, &zwp_text_input_v3_interface, ZWP_TEXT_INPUT_V3_REQUEST_COMMIT, ARGS({0})));
		assert_false(f->filter->rests);
		drop_passed(f);
		clock_ns += 1000000000 / 30;
	}
	for (unsigned i = 0; i < 1000 && !f->filter->rests; i++) {
		request(f, input, &zwp_text_input_v3_interface, ZWP_TEXT_INPUT_V3_REQUEST_COMMIT, ARGS({0}));
		drop_passed(f);
	}
	assert_true(f->filter->rests);
	clock_ns += filter_news_wait(&f->vm);
	assert_true(filter_guest(f->filter));
	drop_passed(f);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(set_title(f, toplevel, "Inbox"));
	}
}

static void press(struct fixture *f, uint32_t pointer, uint32_t serial, uint32_t button) {
	assert_true(event(f, pointer, &wl_pointer_interface, WL_POINTER_EVENT_BUTTON,
		ARGS({.u = serial}, {.u = 0}, {.u = button}, {.u = 1})));
}

static void test_fullscreen(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen), toplevel = new_toplevel(f, &screen);
	drop_passed(f);
	assert_true(request(
		f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, ARGS({0})));
	assert_false(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN));
	press(f, pointer, 5, BTN_LEFT);
	assert_true(request(
		f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, ARGS({0})));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN));
	clock_ns += FILTER_GESTURE_NS + 1;
	assert_true(request(
		f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, ARGS({0})));
	assert_false(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN));
}

static bool goes_fullscreen(struct fixture *f, uint32_t toplevel) {
	assert_true(request(
		f, toplevel, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN, ARGS({0})));
	return take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_FULLSCREEN);
}

/* Fingers are users. */
static void test_touch(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t toplevel = new_toplevel(f, &screen), surface = new_surface(f, &screen);
	uint32_t touch = MAKE(f, screen.seat, wl_seat, WL_SEAT_REQUEST_GET_TOUCH, 0, 0);
	drop_passed(f);
	assert_true(event(f, touch, &wl_touch_interface, WL_TOUCH_EVENT_MOTION,
		ARGS({.u = 1}, {.i = 0}, {.i = 256}, {.i = 256})));
	assert_true(take_event(f, &wl_touch_interface, WL_TOUCH_EVENT_MOTION));
	assert_false(goes_fullscreen(f, toplevel));
	assert_true(event(f, touch, &wl_touch_interface, WL_TOUCH_EVENT_DOWN,
		ARGS({.u = 31}, {.u = 1}, {.object = surface}, {.i = 0}, {.i = 256}, {.i = 256})));
	assert_true(take_event(f, &wl_touch_interface, WL_TOUCH_EVENT_DOWN));
	assert_int_equal(f->args[2].object, surface);
	assert_true(goes_fullscreen(f, toplevel));
}

static bool grabs(struct fixture *f, const struct screen *screen, uint32_t popup) {
	drop_passed(f);
	assert_true(request(f, popup, &xdg_popup_interface, XDG_POPUP_REQUEST_GRAB,
		ARGS({.object = screen->seat}, {.u = 1})));
	return take_request(f, &xdg_popup_interface, XDG_POPUP_REQUEST_GRAB);
}

static void dismiss(struct fixture *f, uint32_t popup) {
	assert_true(event(f, popup, &xdg_popup_interface, XDG_POPUP_EVENT_POPUP_DONE, ARGS({0})));
	drop_passed(f);
}

/* Compositors look at no serial of it, and with a grab no other window can be clicked on: once the user has
 * got rid of one there is none until the next gesture. Menus that are passed on the way to others go on. */
static void test_popup_grabs(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t pointer = get_pointer(f, &screen);
	uint32_t positioner = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	uint32_t popups[6], parent = new_toplevel(f, &screen) - 1;
	for (unsigned i = 0; i < 6; i++) {
		uint32_t xdg = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE,
			new_surface(f, &screen), 0);
		popups[i] = MAKE(f, xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_POPUP, parent, positioner);
	}
	assert_false(grabs(f, &screen, popups[0]));
	press(f, pointer, 5, BTN_RIGHT);
	assert_true(grabs(f, &screen, popups[1]));
	clock_ns += 60 * FILTER_GESTURE_NS;
	assert_true(grabs(f, &screen, popups[2]));
	assert_true(request(f, popups[2], &xdg_popup_interface, XDG_POPUP_REQUEST_DESTROY, ARGS({0})));
	dismiss(f, popups[0]); /* it had none */
	assert_true(grabs(f, &screen, popups[3]));
	dismiss(f, popups[3]);
	dismiss(f, popups[1]);
	assert_false(grabs(f, &screen, popups[4]));
	press(f, pointer, 6, BTN_RIGHT);
	assert_true(grabs(f, &screen, popups[5]));
}

/* The compositor tells of a new device, which is an object of its own. */
static uint32_t add_device(struct fixture *f, uint32_t seat, uint16_t opcode) {
	static uint32_t next = WIRE_SERVER_ID_FIRST;
	assert_true(event(f, seat, &zwp_tablet_seat_v2_interface, opcode, ARGS({.object = next})));
	assert_true(take_event(f, &zwp_tablet_seat_v2_interface, opcode));
	return next++;
}

/* Tablets and their tools come and go as objects of the compositor's; a pen is a user, too. */
static void test_tablet(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t toplevel = new_toplevel(f, &screen), surface = new_surface(f, &screen);
	uint32_t manager = bind_new(f, screen.registry, &zwp_tablet_manager_v2_interface);
	uint32_t seat = MAKE(f, manager, zwp_tablet_manager_v2, ZWP_TABLET_MANAGER_V2_REQUEST_GET_TABLET_SEAT,
		screen.seat, 0);
	uint32_t tablet = add_device(f, seat, ZWP_TABLET_SEAT_V2_EVENT_TABLET_ADDED);
	uint32_t tool = add_device(f, seat, ZWP_TABLET_SEAT_V2_EVENT_TOOL_ADDED);
	assert_true(event(f, tool, &zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_PROXIMITY_IN,
		ARGS({.u = 41}, {.object = tablet}, {.object = surface})));
	assert_true(take_event(f, &zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_PROXIMITY_IN));
	assert_false(goes_fullscreen(f, toplevel));
	assert_true(event(
		f, tool, &zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_DOWN, ARGS({.u = 42})));
	assert_true(take_event(f, &zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_EVENT_DOWN));
	assert_true(goes_fullscreen(f, toplevel));
	assert_true(show(f, &screen, surface, 64, 64));
	assert_true(request(f, tool, &zwp_tablet_tool_v2_interface, ZWP_TABLET_TOOL_V2_REQUEST_SET_CURSOR,
		ARGS({.u = 41}, {.object = surface}, {.i = 1}, {.i = 1})));
	assert_true(show(f, &screen, surface, 513, 8));
	assert_false(is_shown(f));
}

/* ---- in which order windows come and go ---- */

/* A window of three objects, or a popup. */
struct pane {
	uint32_t surface, xdg, role;
};

static uint32_t new_xdg_surface(struct fixture *f, const struct screen *screen, uint32_t surface) {
	return MAKE(f, screen->shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
}

static struct pane new_pane(struct fixture *f, const struct screen *screen) {
	struct pane pane = {.surface = new_surface(f, screen)};
	pane.xdg = new_xdg_surface(f, screen, pane.surface);
	pane.role = MAKE(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, 0, 0);
	return pane;
}

static bool get_popup(struct fixture *f, const struct screen *screen, struct pane *popup, uint32_t parent) {
	uint32_t positioner =
		MAKE(f, screen->shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	popup->surface = new_surface(f, screen);
	popup->xdg = new_xdg_surface(f, screen, popup->surface);
	popup->role = f->next_id++;
	bool passed = request(f, popup->xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_GET_POPUP,
		ARGS({.object = popup->role}, {.object = parent != 0 ? parent : popup->xdg},
			{.object = positioner}));
	drop_passed(f);
	return passed;
}

static struct pane new_popup(struct fixture *f, const struct screen *screen, uint32_t parent) {
	struct pane popup;
	assert_true(get_popup(f, screen, &popup, parent));
	return popup;
}

/* A request without arguments, or with zeroes alone. */
static bool ask(struct fixture *f, uint32_t object, const struct wl_interface *interface, uint16_t opcode) {
	drop_passed(f);
	return request(f, object, interface, opcode, ARGS({0}, {0}, {0}, {0}));
}

/* It passes, and the compositor hears of it or does not. */
static bool arrives(
	struct fixture *f, uint32_t object, const struct wl_interface *interface, uint16_t opcode) {
	assert_true(ask(f, object, interface, opcode));
	return wire_queue_size(&f->filter->to_host) > 0;
}

#define ARRIVES(f, object, type, opcode) arrives(f, object, &type##_interface, opcode)

static void map(struct fixture *f, const struct screen *screen, const struct pane *pane) {
	assert_true(show(f, screen, pane->surface, 64, 64));
	assert_true(ARRIVES(f, pane->surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
}

static void close_pane(struct fixture *f, const struct pane *pane, const struct wl_interface *role) {
	assert_true(arrives(f, pane->role, role, 0));
	assert_true(ARRIVES(f, pane->xdg, xdg_surface, XDG_SURFACE_REQUEST_DESTROY));
	assert_true(ARRIVES(f, pane->surface, wl_surface, WL_SURFACE_REQUEST_DESTROY));
}

static uint32_t decorate(struct fixture *f, const struct screen *screen, uint32_t toplevel) {
	uint32_t manager = bind_new(f, screen->registry, &zxdg_decoration_manager_v1_interface);
	return MAKE(f, manager, zxdg_decoration_manager_v1,
		ZXDG_DECORATION_MANAGER_V1_REQUEST_GET_TOPLEVEL_DECORATION, toplevel, 0);
}

/* What the compositor hears of next is that this object is destroyed. */
static void expect_destroyed(struct fixture *f, uint32_t object) {
	assert_true(take(f, &f->filter->to_host, NULL));
	assert_int_equal(f->last.object, object);
	assert_int_equal(f->last.opcode, 0);
}

/* The program destroys it in its turn: nobody hears of that, and it has the id back once the compositor has.
 */
static void destroy_gone(
	struct fixture *f, uint32_t object, const struct wl_interface *interface, bool deleted) {
	drop_passed(f);
	if (deleted) {
		assert_true(
			event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = object})));
		assert_false(take_event(f, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID));
	}
	if (interface == &xdg_toplevel_interface) {
		assert_true(ask(f, object, interface, XDG_TOPLEVEL_REQUEST_SET_PARENT)); /* about nothing */
	}
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	assert_true(ask(f, object, interface, 0));
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	if (!deleted) {
		assert_true(
			event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = object})));
	}
	assert_true(take_event(f, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID));
	assert_int_equal(f->args[0].u, object);
	assert_null(wire_objects_find(&f->filter->objects, object));
}

/* A surface with all there can be in it: mpv destroys it so, and SDL. */
static void test_surface_first(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	for (unsigned deleted = 0; deleted < 2; deleted++) {
		const struct pane pane = new_pane(f, &screen);
		uint32_t decoration = decorate(f, &screen, pane.role);
		assert_true(ask(f, pane.surface, &wl_surface_interface, WL_SURFACE_REQUEST_DESTROY));
		expect_destroyed(f, decoration);
		expect_destroyed(f, pane.role);
		expect_destroyed(f, pane.xdg);
		expect_destroyed(f, pane.surface);
		assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
		destroy_gone(f, decoration, &zxdg_toplevel_decoration_v1_interface, deleted);
		destroy_gone(f, pane.role, &xdg_toplevel_interface, deleted);
		destroy_gone(f, pane.xdg, &xdg_surface_interface, deleted);
	}
}

static void test_xdg_surface_first(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane pane = new_pane(f, &screen);
	uint32_t decoration = decorate(f, &screen, pane.role);
	assert_true(ask(f, pane.xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_DESTROY));
	expect_destroyed(f, decoration);
	expect_destroyed(f, pane.role);
	expect_destroyed(f, pane.xdg);
	assert_false(ARRIVES(f, pane.role, xdg_toplevel, XDG_TOPLEVEL_REQUEST_SET_MAXIMIZED));
	assert_true(ARRIVES(f, pane.surface, wl_surface, WL_SURFACE_REQUEST_DESTROY));
	expect_destroyed(f, pane.surface);
}

/* Popups go from the newest on. */
static void test_window_before_popups(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen), popup = new_popup(f, &screen, window.xdg),
			  inner = new_popup(f, &screen, popup.xdg), tip = new_popup(f, &screen, window.xdg),
			  other = new_pane(f, &screen), stays = new_popup(f, &screen, other.xdg);
	uint32_t decoration = decorate(f, &screen, window.role);
	map(f, &screen, &popup);
	assert_true(ask(f, window.role, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_DESTROY));
	expect_destroyed(f, tip.role);
	expect_destroyed(f, inner.role);
	expect_destroyed(f, popup.role);
	expect_destroyed(f, decoration);
	expect_destroyed(f, window.role);
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	f->vm.may_grab = true;
	assert_false(grabs(f, &screen, popup.role));
	assert_false(ARRIVES(f, popup.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
	assert_false(ARRIVES(f, popup.xdg, xdg_surface, XDG_SURFACE_REQUEST_ACK_CONFIGURE));
	destroy_gone(f, popup.role, &xdg_popup_interface, true);
	assert_true(ARRIVES(f, popup.xdg, xdg_surface, XDG_SURFACE_REQUEST_DESTROY));
	assert_true(ARRIVES(f, popup.surface, wl_surface, WL_SURFACE_REQUEST_DESTROY));
	assert_true(ARRIVES(f, stays.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
}

/* Of what is gone nothing can be made. */
static void test_made_of_gone(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t surface = new_surface(f, &screen), xdg = new_xdg_surface(f, &screen, surface);
	assert_true(ask(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_DESTROY));
	expect_destroyed(f, xdg);
	assert_false(request(f, xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL,
		ARGS({.object = f->next_id++})));
	assert_broken(f, "its window is gone");
}

static void test_made_with_gone(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen);
	assert_true(ask(f, window.surface, &wl_surface_interface, WL_SURFACE_REQUEST_DESTROY));
	struct pane popup;
	assert_false(get_popup(f, &screen, &popup, window.xdg));
	assert_broken(f, "is no xdg_surface");
}

static void test_two_decorations(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane pane = new_pane(f, &screen);
	decorate(f, &screen, pane.role);
	uint32_t manager = bind_new(f, screen.registry, &zxdg_decoration_manager_v1_interface);
	assert_false(request(f, manager, &zxdg_decoration_manager_v1_interface,
		ZXDG_DECORATION_MANAGER_V1_REQUEST_GET_TOPLEVEL_DECORATION,
		ARGS({.object = f->next_id++}, {.object = pane.role})));
	assert_broken(f, "it has a decoration");
}

static void test_two_windows(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane pane = new_pane(f, &screen);
	assert_false(request(f, screen.shell, &xdg_wm_base_interface, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE,
		ARGS({.object = f->next_id++}, {.object = pane.surface})));
	assert_broken(f, "it has xdg_surface@");
}

static void test_two_roles(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane pane = new_pane(f, &screen);
	assert_true(ARRIVES(f, pane.role, xdg_toplevel, XDG_TOPLEVEL_REQUEST_DESTROY));
	assert_false(request(f, pane.xdg, &xdg_surface_interface, XDG_SURFACE_REQUEST_GET_TOPLEVEL,
		ARGS({.object = f->next_id++})));
	assert_broken(f, "it had a role");
}

/* In its order all can go, and be there again. What is said in between is about nothing. */
static void test_window_again(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	struct pane pane = new_pane(f, &screen);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t decoration = decorate(f, &screen, pane.role);
		map(f, &screen, &pane);
		assert_true(ARRIVES(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_ACK_CONFIGURE));
		assert_true(ARRIVES(f, decoration, zxdg_toplevel_decoration_v1,
			ZXDG_TOPLEVEL_DECORATION_V1_REQUEST_DESTROY));
		assert_true(ARRIVES(f, pane.role, xdg_toplevel, XDG_TOPLEVEL_REQUEST_DESTROY));
		assert_false(ARRIVES(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_ACK_CONFIGURE));
		assert_false(ARRIVES(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_SET_WINDOW_GEOMETRY));
		assert_false(ARRIVES(f, pane.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
		assert_true(ARRIVES(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_DESTROY));
		assert_true(ARRIVES(f, pane.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
		pane.xdg = new_xdg_surface(f, &screen, pane.surface);
		pane.role = MAKE(f, pane.xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, 0, 0);
	}
	close_pane(f, &pane, &xdg_toplevel_interface);
	assert_null(f->filter->windows);
}

/* Which parent the compositor hears of; 0: that it has none. */
static uint32_t parent_given(struct fixture *f, uint32_t window, uint32_t parent) {
	drop_passed(f);
	assert_true(request(f, window, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_PARENT,
		ARGS({.object = parent})));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_PARENT));
	assert_int_equal(f->last.object, window);
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	return f->args[0].object;
}

/* Windows in front of each other in a circle: some compositors go round it for ever. */
static void test_parents(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane first = new_pane(f, &screen), second = new_pane(f, &screen),
			  third = new_pane(f, &screen);
	map(f, &screen, &first);
	map(f, &screen, &second);
	map(f, &screen, &third);
	assert_int_equal(parent_given(f, third.role, second.role), second.role);
	assert_int_equal(parent_given(f, second.role, first.role), first.role);
	assert_int_equal(parent_given(f, first.role, third.role), 0);
	assert_int_equal(parent_given(f, first.role, first.role), 0);
	assert_int_equal(parent_given(f, third.role, 0), 0);
	/* Without the one between them the third is in front of the first. */
	assert_int_equal(parent_given(f, third.role, second.role), second.role);
	close_pane(f, &second, &xdg_toplevel_interface);
	assert_int_equal(parent_given(f, first.role, third.role), 0);
}

/* A dialog that is made before its window is shown belongs to it when it is. */
static void test_parent_later(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen), gone = new_pane(f, &screen),
			  dialog = new_pane(f, &screen), other = new_pane(f, &screen);
	assert_int_equal(parent_given(f, dialog.role, window.role), 0);
	assert_int_equal(parent_given(f, other.role, gone.role), 0);
	close_pane(f, &gone, &xdg_toplevel_interface);
	assert_true(ARRIVES(f, window.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	map(f, &screen, &window);
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_PARENT));
	assert_int_equal(f->last.object, dialog.role);
	assert_int_equal(f->args[0].object, window.role);
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	assert_true(ARRIVES(f, window.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0); /* once */
}

/* It is as it was before it was shown: without popups, and without a name. */
static void test_hidden_window(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen), popup = new_popup(f, &screen, window.xdg);
	map(f, &screen, &window);
	map(f, &screen, &popup);
	assert_true(attach(f, window.surface, 0));
	assert_true(ask(f, window.surface, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	expect_destroyed(f, popup.role);
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_TITLE));
	assert_int_equal(f->last.object, window.role);
	assert_string_equal(f->args[0].string, "[mail]");
	assert_true(take_request(f, &xdg_toplevel_interface, XDG_TOPLEVEL_REQUEST_SET_APP_ID));
	assert_string_equal(f->args[0].string, "ph.mail");
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	assert_true(ARRIVES(f, window.surface, wl_surface, WL_SURFACE_REQUEST_COMMIT));
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_COMMIT));
	assert_int_equal(wire_queue_size(&f->filter->to_host), 0);
	struct pane inner;
	assert_false(get_popup(f, &screen, &inner, popup.xdg));
	assert_broken(f, "its parent is no window");
}

static void test_popup_in_itself(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	struct pane popup;
	assert_false(get_popup(f, &screen, &popup, 0));
	assert_broken(f, "its parent is no window");
}

static void test_popup_in_nothing(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	struct pane popup;
	assert_false(get_popup(f, &screen, &popup, new_xdg_surface(f, &screen, new_surface(f, &screen))));
	assert_broken(f, "its parent is no window");
}

static bool repositions(struct fixture *f, const struct screen *screen, uint32_t popup) {
	uint32_t positioner =
		MAKE(f, screen->shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	return request(f, popup, &xdg_popup_interface, XDG_POPUP_REQUEST_REPOSITION,
		ARGS({.object = positioner}, {.u = 1}));
}

static void test_early_reposition(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen), popup = new_popup(f, &screen, window.xdg);
	assert_false(repositions(f, &screen, popup.role));
	assert_broken(f, "before it is committed");
}

/* Compositors put it into a list each time. */
static void test_one_grab(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	const struct pane window = new_pane(f, &screen), popup = new_popup(f, &screen, window.xdg);
	f->vm.may_grab = true;
	assert_true(grabs(f, &screen, popup.role));
	assert_false(grabs(f, &screen, popup.role));
}

static bool places(struct fixture *f, uint32_t subsurface, uint32_t sibling) {
	drop_passed(f);
	assert_true(request(f, subsurface, &wl_subsurface_interface, WL_SUBSURFACE_REQUEST_PLACE_ABOVE,
		ARGS({.object = sibling})));
	return take_request(f, &wl_subsurface_interface, WL_SUBSURFACE_REQUEST_PLACE_ABOVE);
}

/* A surface that has the id of the one that is gone is not what it was in. */
static void test_place_in_nothing(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t parent = new_surface(f, &screen), child = new_surface(f, &screen);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t subsurface = MAKE(
		f, subcompositor, wl_subcompositor, WL_SUBCOMPOSITOR_REQUEST_GET_SUBSURFACE, child, parent);
	assert_true(places(f, subsurface, parent));
	assert_true(ARRIVES(f, parent, wl_surface, WL_SURFACE_REQUEST_DESTROY));
	assert_false(places(f, subsurface, child));
	delete_id(f, parent);
	uint32_t next = f->next_id;
	f->next_id = parent;
	assert_int_equal(new_surface(f, &screen), parent);
	f->next_id = next;
	assert_true(show(f, &screen, parent, 8, 8));
	assert_false(places(f, subsurface, parent));
}

static void test_scale_zero(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t surface = new_surface(f, &screen);
	assert_true(request(
		f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_SET_BUFFER_SCALE, ARGS({.i = 2})));
	assert_false(ask(f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_SET_BUFFER_SCALE));
}

/* Of what is no window any more. */
static void test_activate_nothing(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t activation = bind_new(f, screen.registry, &xdg_activation_v1_interface);
	const struct pane window = new_pane(f, &screen);
	press(f, get_pointer(f, &screen), 5, BTN_LEFT);
	for (unsigned i = 0; i < 2; i++) {
		drop_passed(f);
		assert_true(request(f, activation, &xdg_activation_v1_interface,
			XDG_ACTIVATION_V1_REQUEST_ACTIVATE,
			ARGS({.string = "token"}, {.object = window.surface})));
		assert_int_equal(
			take_request(f, &xdg_activation_v1_interface, XDG_ACTIVATION_V1_REQUEST_ACTIVATE),
			i == 0);
		if (i == 0) {
			assert_true(ARRIVES(f, window.role, xdg_toplevel, XDG_TOPLEVEL_REQUEST_DESTROY));
		}
	}
}

/* ---- the clipboard ---- */

struct desk {
	struct screen screen;
	uint32_t manager, device, primary_manager, primary_device, keyboard, pointer;
	uint32_t next_offer;
};

static int keymap_fd(uint32_t *size) {
	struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
	const struct xkb_rule_names names = {.layout = "us,ru"};
	struct xkb_keymap *keymap = xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
	assert_non_null(keymap);
	char *text = xkb_keymap_get_as_string(keymap, XKB_KEYMAP_FORMAT_TEXT_V1);
	*size = (uint32_t)strlen(text) + 1;
	int fd = memory(*size);
	assert_int_equal(write(fd, text, *size), *size);
	free(text);
	xkb_keymap_unref(keymap);
	xkb_context_unref(context);
	return fd;
}

static struct desk open_desk(struct fixture *f) {
	struct desk d = {.screen = open_screen(f), .next_offer = WIRE_SERVER_ID_FIRST};
	uint32_t registry = d.screen.registry, seat = d.screen.seat;
	f->vm.chords = chords_create();
	assert_non_null(f->vm.chords);
	d.manager = bind_new(f, registry, &wl_data_device_manager_interface);
	d.device = MAKE(f, d.manager, wl_data_device_manager, WL_DATA_DEVICE_MANAGER_REQUEST_GET_DATA_DEVICE,
		seat, 0);
	d.primary_manager = bind_new(f, registry, &zwp_primary_selection_device_manager_v1_interface);
	d.primary_device = MAKE(f, d.primary_manager, zwp_primary_selection_device_manager_v1,
		ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_REQUEST_GET_DEVICE, seat, 0);
	d.keyboard = MAKE(f, seat, wl_seat, WL_SEAT_REQUEST_GET_KEYBOARD, 0, 0);
	d.pointer = MAKE(f, seat, wl_seat, WL_SEAT_REQUEST_GET_POINTER, 0, 0);
	uint32_t size;
	wire_queue_push_fd(&f->filter->from_host, keymap_fd(&size), 0);
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_KEYMAP,
		ARGS({.u = 1}, {0}, {.u = size})));
	assert_int_equal(f->filter->to_guest.fd_count, 1);
	drop_passed(f);
	return d;
}

/* A keymap that is longer than its file is none; the programs may make of it what they will. */
static void test_short_keymap(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	wire_queue_push_fd(&f->filter->from_host, memory(100), 0);
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_KEYMAP,
		ARGS({.u = 1}, {0}, {.u = 65536})));
	assert_int_equal(f->filter->to_guest.fd_count, 1);
	drop_passed(f);
}

static void key(struct fixture *f, const struct desk *d, uint32_t serial, uint32_t modifiers, uint32_t code,
	uint32_t layout) {
	assert_true(event(f, d->keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_MODIFIERS,
		ARGS({.u = serial}, {.u = modifiers}, {.u = 0}, {.u = 0}, {.u = layout})));
	assert_true(event(f, d->keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_KEY,
		ARGS({.u = serial}, {.u = 0}, {.u = code}, {.u = 1})));
}

static uint32_t offer(struct fixture *f, struct desk *d, bool primary, const char *type) {
	uint32_t id = d->next_offer++, device = primary ? d->primary_device : d->device;
	const struct wl_interface *devices =
		primary ? &zwp_primary_selection_device_v1_interface : &wl_data_device_interface;
	const struct wl_interface *offers =
		primary ? &zwp_primary_selection_offer_v1_interface : &wl_data_offer_interface;
	assert_true(event(f, device, devices, 0, ARGS({.object = id})));
	assert_true(event(f, id, offers, 0, ARGS({.string = "text/plain"})));
	drop_passed(f);
	if (type != NULL) {
		assert_true(event(f, id, offers, 0, ARGS({.string = type})));
		assert_false(take_event(f, offers, 0)); /* the mark is secret */
	}
	return id;
}

static uint32_t select_offer(struct fixture *f, struct desk *d, bool primary, const char *type) {
	uint32_t id = offer(f, d, primary, type);
	bool selected =
		primary ? event(f, d->primary_device, &zwp_primary_selection_device_v1_interface,
				  ZWP_PRIMARY_SELECTION_DEVICE_V1_EVENT_SELECTION, ARGS({.object = id}))
			: event(f, d->device, &wl_data_device_interface, WL_DATA_DEVICE_EVENT_SELECTION,
				  ARGS({.object = id}));
	assert_true(selected);
	drop_passed(f);
	return id;
}

/* Whether the request goes to the compositor; if not the pipe is at its end. */
static bool receives(struct fixture *f, uint32_t offered, bool primary) {
	int ends[2];
	char byte;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(filter_add_fd(f->filter, ends[1], FILTER_FD_PIPE));
	bool passes = primary ? request(f, offered, &zwp_primary_selection_offer_v1_interface, 0,
					ARGS({.string = "text/plain"}, {0}))
			      : request(f, offered, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE,
					ARGS({.string = "text/plain"}, {0}));
	assert_true(passes);
	bool received = wire_queue_size(&f->filter->to_host) > 0;
	assert_int_equal(read(ends[0], &byte, 1), received ? -1 : 0);
	assert_int_equal(f->filter->to_host.fd_count, received);
	close(ends[0]);
	drop_passed(f);
	return received;
}

enum { SHIFT = 1, CONTROL = 4, ALT = 8 };

static void test_paste_by_key(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, NULL), primary = select_offer(f, &d, true, NULL);
	assert_false(receives(f, selection, false));
	const struct {
		uint32_t modifiers, code, layout;
		bool pastes, primary;
	} keys[] = {
		{0, KEY_V, 0, false, false},
		{SHIFT, KEY_V, 0, false, false},
		{CONTROL, KEY_C, 0, false, false},
		{CONTROL | ALT, KEY_V, 0, false, false},
		{CONTROL, KEY_V, 0, true, false},
		{CONTROL, KEY_V, 1, true, false}, /* on a layout that has no Latin letters */
		{CONTROL | SHIFT, KEY_V, 0, true, false},
		{SHIFT, KEY_INSERT, 0, true, true},
		{0, KEY_INSERT, 0, false, false},
		{CONTROL, KEY_INSERT, 0, false, false},
		{0, KEY_PASTE, 0, true, false},
	};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		clock_ns += FILTER_PASTE_NS + 1;
		key(f, &d, 10, keys[i].modifiers, keys[i].code, keys[i].layout);
		drop_passed(f);
		assert_int_equal(receives(f, selection, false), keys[i].pastes);
		assert_int_equal(receives(f, primary, true), keys[i].primary);
		clock_ns += FILTER_PASTE_NS;
		assert_int_equal(receives(f, selection, false), keys[i].pastes);
		clock_ns++;
		assert_false(receives(f, selection, false));
	}
}

static void test_paste_by_button(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, NULL), primary = select_offer(f, &d, true, NULL);
	press(f, d.pointer, 3, BTN_LEFT);
	drop_passed(f);
	assert_false(receives(f, primary, true));
	press(f, d.pointer, 4, BTN_MIDDLE);
	drop_passed(f);
	assert_true(receives(f, primary, true));
	assert_false(receives(f, selection, false));
	clock_ns += FILTER_PASTE_NS + 1;
	assert_false(receives(f, primary, true));
}

/* What the VM's own programs offered is theirs. */
static void test_paste_own(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, f->vm.mark),
		 primary = select_offer(f, &d, true, f->vm.mark);
	assert_true(receives(f, selection, false));
	assert_true(receives(f, primary, true));
	assert_true(request(f, d.manager, &wl_data_device_manager_interface,
		WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, ARGS({.object = f->next_id})));
	assert_true(take_request(
		f, &wl_data_device_manager_interface, WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE));
	assert_true(take_request(f, &wl_data_source_interface, WL_DATA_SOURCE_REQUEST_OFFER));
	assert_string_equal(f->args[0].string, f->vm.mark);
	assert_int_equal(f->last.object, f->next_id);
	wire_queue_push_fd(&f->filter->from_host, memory(1), 0);
	assert_true(event(f, f->next_id, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_SEND,
		ARGS({.string = f->vm.mark}, {0})));
	assert_false(take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_SEND));
}

/* Another VM's mark is as secret as one's own, and means nothing. */
static void test_marks_of_others(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	assert_false(receives(f, select_offer(f, &d, false, "x-ph/another"), false));
	assert_false(receives(f, select_offer(f, &d, true, "x-ph/another"), true));
	uint32_t source = MAKE(f, d.manager, wl_data_device_manager,
		WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, 0, 0);
	uint32_t primary = MAKE(f, d.primary_manager, zwp_primary_selection_device_manager_v1,
		ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_REQUEST_CREATE_SOURCE, 0, 0);
	static const char *const types[] = {"x-ph/another", "text/plain"};
	for (size_t i = 0; i < 2; i++) {
		const union wire_arg type = {.string = types[i]};
		bool plain = i == 1;
		assert_true(request(
			f, source, &wl_data_source_interface, WL_DATA_SOURCE_REQUEST_OFFER, ARGS(type)));
		assert_int_equal(
			take_request(f, &wl_data_source_interface, WL_DATA_SOURCE_REQUEST_OFFER), plain);
		assert_true(request(f, primary, &zwp_primary_selection_source_v1_interface,
			ZWP_PRIMARY_SELECTION_SOURCE_V1_REQUEST_OFFER, ARGS(type)));
		assert_int_equal(take_request(f, &zwp_primary_selection_source_v1_interface,
					 ZWP_PRIMARY_SELECTION_SOURCE_V1_REQUEST_OFFER),
			plain);
		assert_true(
			event(f, source, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET, ARGS(type)));
		assert_int_equal(
			take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET), plain);
	}
	assert_true(event(
		f, source, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET, ARGS({.string = NULL})));
	assert_true(take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET));
}

static uint32_t new_source(struct fixture *f, const struct desk *d) {
	return MAKE(f, d->manager, wl_data_device_manager, WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE,
		0, 0);
}

static bool accepts(struct fixture *f, uint32_t offer, const char *type) {
	assert_true(request(f, offer, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_ACCEPT,
		ARGS({.u = 9}, {.string = type})));
	return take_request(f, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_ACCEPT);
}

static bool offers_type(struct fixture *f, uint32_t source, bool primary, const char *type) {
	const struct wl_interface *interface =
		primary ? &zwp_primary_selection_source_v1_interface : &wl_data_source_interface;
	assert_true(request(f, source, interface, 0, ARGS({.string = type})));
	return take_request(f, interface, 0);
}

/* Whether the compositor's asking for this type of data reaches the program, as one for this other type. */
static bool asks_for(struct fixture *f, uint32_t source, bool primary, const char *type, const char *inside) {
	const struct wl_interface *interface =
		primary ? &zwp_primary_selection_source_v1_interface : &wl_data_source_interface;
	uint16_t opcode = primary ? ZWP_PRIMARY_SELECTION_SOURCE_V1_EVENT_SEND : WL_DATA_SOURCE_EVENT_SEND;
	wire_queue_push_fd(&f->filter->from_host, memory(1), 0);
	assert_true(event(f, source, interface, opcode, ARGS({.string = type}, {0})));
	bool asked = take_event(f, interface, opcode) && strcmp(f->args[0].string, inside) == 0;
	drop_passed(f);
	return asked;
}

/* Of what a VM's programs offer the host's see texts and pictures: not what names files, which they would
 * take for theirs, or makes them run something. */
static void test_types_for_the_host(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	static const char *const open[] = {"text/plain", "text/plain;charset=utf-8", "UTF8_STRING",
		"text/html", "image/png", "x-kde-passwordManagerHint"};
	static const char *const hidden[] = {"text/uri-list", "x-special/gnome-copied-files",
		"application/vnd.portal.filetransfer", "text/x-moz-url", "text/rtf", "application/rtf",
		"GTK_TREE_MODEL_ROW", "text/plain2", "text", ";", "", "imagepng"};
	const uint32_t sources[] = {new_source(f, &d),
		MAKE(f, d.primary_manager, zwp_primary_selection_device_manager_v1,
			ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_REQUEST_CREATE_SOURCE, 0, 0)};
	for (unsigned primary = 0; primary < 2; primary++) {
		for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
			assert_true(offers_type(f, sources[primary], primary, open[i]));
			assert_string_equal(f->args[0].string, open[i]);
			assert_true(asks_for(f, sources[primary], primary, open[i], open[i]));
		}
		for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
			char outside[128];
			snprintf(outside, sizeof(outside), "%s/%s", f->vm.mark, hidden[i]);
			assert_true(offers_type(f, sources[primary], primary, hidden[i]));
			assert_string_equal(f->args[0].string, outside);
			assert_true(asks_for(f, sources[primary], primary, outside, hidden[i]));
		}
		char longest[2000] = {0};
		memset(longest, 'x', sizeof(longest) - 1);
		assert_false(offers_type(f, sources[primary], primary, longest));
		static const char other[] = "x-ph/0123/text/uri-list";
		assert_false(asks_for(f, sources[primary], primary, other, other));
	}
	assert_true(event(f, sources[0], &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET,
		ARGS({.string = NULL})));
	assert_true(take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_TARGET));
	assert_null(f->args[0].string);
}

/* The compositor hears that the program asks for this type; it is in f->args then. */
static void expect_receive(struct fixture *f, uint32_t offered, const char *type, const char *outside) {
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(filter_add_fd(f->filter, ends[1], FILTER_FD_PIPE));
	assert_true(request(f, offered, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE,
		ARGS({.string = type}, {0})));
	assert_true(take_request(f, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE));
	assert_string_equal(f->args[0].string, outside);
	close(ends[0]);
	drop_passed(f);
}

/* Among themselves a VM's programs have all types, and of the host's they are told. */
static void test_types_within_the_vm(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	char outside[128], other[128];
	snprintf(outside, sizeof(outside), "%s/text/uri-list", f->vm.mark);
	snprintf(other, sizeof(other), "%s", outside);
	other[strlen(FILTER_MARK_PREFIX)] ^= 1;
	uint32_t own = select_offer(f, &d, false, f->vm.mark);
	assert_true(event(
		f, own, &wl_data_offer_interface, WL_DATA_OFFER_EVENT_OFFER, ARGS({.string = outside})));
	assert_true(take_event(f, &wl_data_offer_interface, WL_DATA_OFFER_EVENT_OFFER));
	assert_string_equal(f->args[0].string, "text/uri-list");
	expect_receive(f, own, "text/uri-list", outside);
	expect_receive(f, own, "text/plain", "text/plain");
	assert_true(accepts(f, own, "text/uri-list"));
	assert_string_equal(f->args[1].string, outside);
	assert_false(accepts(f, own, "text/uri-list"));
	assert_true(accepts(f, own, NULL));
	char longest[2000] = {0};
	memset(longest, 'x', sizeof(longest) - 1);
	assert_false(accepts(f, own, longest));
	uint32_t host = select_offer(f, &d, false, other);
	assert_true(event(f, host, &wl_data_offer_interface, WL_DATA_OFFER_EVENT_OFFER,
		ARGS({.string = "text/uri-list"})));
	assert_true(take_event(f, &wl_data_offer_interface, WL_DATA_OFFER_EVENT_OFFER));
	assert_string_equal(f->args[0].string, "text/uri-list");
	key(f, &d, 10, CONTROL, KEY_V, 0);
	drop_passed(f);
	expect_receive(f, host, "text/uri-list", "text/uri-list");
}

/* How many of types of this length a source gets to offer. */
static unsigned offers(
	struct fixture *f, uint32_t source, const struct wl_interface *interface, size_t length) {
	char type[4000];
	unsigned passed = 0;
	memset(type, 'x', length);
	memcpy(type, "image/", length < 6 ? length : 6);
	type[length] = '\0';
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(request(f, source, interface, 0, ARGS({.string = type})));
		passed += take_request(f, interface, 0);
	}
	return passed;
}

/* What a program may offer is enough for all, and not enough to flood who is told of it. */
static void test_many_types(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	static const size_t lengths[] = {20, 3999};
	static const unsigned passed[] = {FILTER_TYPES_MAX, FILTER_TYPE_BYTES_MAX / 3999};
	for (size_t i = 0; i < 2; i++) {
		uint32_t source = MAKE(f, d.manager, wl_data_device_manager,
			WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, 0, 0);
		uint32_t primary = MAKE(f, d.primary_manager, zwp_primary_selection_device_manager_v1,
			ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_REQUEST_CREATE_SOURCE, 0, 0);
		assert_int_equal(offers(f, source, &wl_data_source_interface, lengths[i]), passed[i]);
		assert_int_equal(offers(f, primary, &zwp_primary_selection_source_v1_interface, lengths[i]),
			passed[i]);
	}
}

/* Compositors keep the types of all sources that there are, whatever becomes of those. */
static void test_types_of_many_sources(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t first = new_source(f, &d), count = 1;
	assert_int_equal(offers(f, first, &wl_data_source_interface, 0), FILTER_TYPES_MAX);
	assert_true(f->vm.type_bytes >= FILTER_TYPES_MAX * 16);
	while (count < 1000 && offers(f, new_source(f, &d), &wl_data_source_interface, 250) > 0) {
		count++;
	}
	assert_in_range(count, 20, FILTER_VM_TYPES_MAX / (FILTER_TYPES_MAX * 250) + 1);
	assert_int_equal(offers(f, f->next_id - 1, &wl_data_source_interface, 250), 0);
	assert_true(
		request(f, first + 1, &wl_data_source_interface, WL_DATA_SOURCE_REQUEST_DESTROY, ARGS({0})));
	drop_passed(f);
	assert_in_range(offers(f, f->next_id - 1, &wl_data_source_interface, 250), 100, FILTER_TYPES_MAX);
}

/* What is told of a selection is as large as its types. */
static void test_flood_of_selections(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t sources[2], serial = 10;
	key(f, &d, serial, CONTROL, KEY_C, 0);
	for (unsigned i = 0; i < 2; i++) {
		sources[i] = MAKE(f, d.manager, wl_data_device_manager,
			WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, 0, 0);
		offers(f, sources[i], &wl_data_source_interface, 250);
	}
	unsigned set = 0;
	while (set < 1000 && !f->filter->rests) {
		assert_true(
			request(f, d.device, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION,
				ARGS({.object = sources[set % 2]}, {.u = serial})));
		drop_passed(f);
		set++;
	}
	assert_in_range(set, 3, 5);
}

static bool sets_selection(struct fixture *f, const struct desk *d, uint32_t serial) {
	uint32_t source = f->next_id++;
	assert_true(request(f, d->manager, &wl_data_device_manager_interface,
		WL_DATA_DEVICE_MANAGER_REQUEST_CREATE_DATA_SOURCE, ARGS({.object = source})));
	drop_passed(f);
	assert_true(request(f, d->device, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION,
		ARGS({.object = source}, {.u = serial})));
	bool set = wire_queue_size(&f->filter->to_host) > 0;
	assert_int_equal(take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_CANCELLED), !set);
	drop_passed(f);
	return set;
}

static void test_copy_needs_serial(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	assert_false(sets_selection(f, &d, 0));
	key(f, &d, 77, CONTROL, KEY_C, 0);
	drop_passed(f);
	assert_true(sets_selection(f, &d, 77));
	assert_false(sets_selection(f, &d, 78));
}

/* Toolkits name the last serial that they saw, and that is often of their having been left. */
static void test_copy_after_leaving(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t surface = new_surface(f, &d.screen);
	assert_true(event(f, d.pointer, &wl_pointer_interface, WL_POINTER_EVENT_LEAVE,
		ARGS({.u = 81}, {.object = surface})));
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_LEAVE,
		ARGS({.u = 82}, {.object = surface})));
	drop_passed(f);
	assert_true(sets_selection(f, &d, 81));
	assert_true(sets_selection(f, &d, 82));
	assert_false(sets_selection(f, &d, 83));
}

static void drag(struct fixture *f, const struct desk *d, uint32_t surface, uint32_t offered) {
	assert_true(event(f, d->device, &wl_data_device_interface, WL_DATA_DEVICE_EVENT_ENTER,
		ARGS({.u = 9}, {.object = surface}, {.i = 0}, {.i = 0}, {.object = offered})));
	drop_passed(f);
}

/* What is dragged across a window is not the window's until it is dropped there. */
static void test_drop(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t surface = new_surface(f, &d.screen), first = offer(f, &d, false, NULL);
	drag(f, &d, surface, first);
	assert_false(sets_selection(f, &d, 9));
	key(f, &d, 10, CONTROL, KEY_V, 0);
	drop_passed(f);
	assert_false(receives(f, first, false));
	assert_true(event(f, d.device, &wl_data_device_interface, WL_DATA_DEVICE_EVENT_LEAVE, ARGS({0})));
	assert_true(event(f, d.device, &wl_data_device_interface, WL_DATA_DEVICE_EVENT_DROP, ARGS({0})));
	drop_passed(f);
	assert_false(receives(f, first, false));
	uint32_t second = offer(f, &d, false, NULL);
	drag(f, &d, surface, second);
	assert_true(event(f, d.device, &wl_data_device_interface, WL_DATA_DEVICE_EVENT_DROP, ARGS({0})));
	drop_passed(f);
	assert_true(receives(f, second, false));
	assert_false(receives(f, first, false));
}

/* Whose window it is dragged from hears what is thought of it: once what is thought each time that the mouse
 * moves, and no more than it can read of what changes. */
static void test_flood_of_accepts(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t surface = new_surface(f, &d.screen), offered = offer(f, &d, false, NULL);
	unsigned told = 0, passed = 0;
	drag(f, &d, surface, offered);
	for (unsigned i = 0; i < 10000; i++) {
		told += accepts(f, offered, "text/plain");
		assert_true(request(f, offered, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_SET_ACTIONS,
			ARGS({.u = 3}, {.u = 1})));
		told += take_request(f, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_SET_ACTIONS);
	}
	assert_int_equal(told, 2);
	assert_true(accepts(f, offered, NULL));
	assert_true(accepts(f, offered, "text/plain"));
	for (; passed < 6000 && !f->filter->rests; passed++) {
		accepts(f, offered, passed % 2 == 0 ? "text/html" : "text/plain");
	}
	assert_in_range(passed, FILTER_NEWS_MAX / 400, FILTER_NEWS_MAX / 256 + 1);
}

static void select_source(struct fixture *f, const struct desk *d, uint32_t source) {
	assert_true(request(f, d->device, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION,
		ARGS({.object = source}, {.u = 10})));
	drop_passed(f);
}

static void cancel(struct fixture *f, uint32_t source) {
	assert_true(event(f, source, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_CANCELLED, ARGS({0})));
	drop_passed(f);
}

static struct desk open_busy_desk(struct fixture *f) {
	struct desk d = open_desk(f);
	key(f, &d, 10, CONTROL, KEY_C, 0);
	drop_passed(f);
	return d;
}

/* How often a window is shown and hidden until others have to be given time to hear of it. */
static unsigned flickers(struct fixture *f, const struct desk *d) {
	uint32_t surface = new_surface(f, &d->screen);
	uint32_t xdg = MAKE(f, d->screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	clock_ns += FILTER_NEWS_MAX * 10 * (uint64_t)FILTER_NEWS_NS;
	MAKE(f, xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_TOPLEVEL, 0, 0);
	const uint32_t buffer = f->next_id;
	assert_true(show(f, &d->screen, surface, 8, 8));
	unsigned frames = 0;
	for (; frames < 500 && !f->filter->rests; frames++) {
		assert_true(attach(f, surface, frames % 2 != 0 ? 0 : buffer));
		assert_true(commit(f, surface));
		drop_passed(f);
	}
	clock_ns += FILTER_NEWS_MAX * 10 * (uint64_t)FILTER_NEWS_NS;
	assert_true(filter_guest(f->filter));
	drop_passed(f);
	return frames;
}

/* What the VM offers is told to whoever has the focus once a window of its own appears or goes. */
static void test_windows_with_selection(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_busy_desk(f);
	uint32_t source = new_source(f, &d);
	offers(f, source, &wl_data_source_interface, 250);
	assert_in_range(flickers(f, &d), 50, FILTER_NEWS_MAX / 1024 + 1);
	select_source(f, &d, source);
	assert_in_range(flickers(f, &d), 2, 5);
	assert_true(request(f, source, &wl_data_source_interface, WL_DATA_SOURCE_REQUEST_DESTROY, ARGS({0})));
	assert_in_range(flickers(f, &d), 50, FILTER_NEWS_MAX / 1024 + 1);
}

static void test_windows_with_late_types(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_busy_desk(f);
	uint32_t source = new_source(f, &d);
	select_source(f, &d, source);
	offers(f, source, &wl_data_source_interface, 250);
	assert_in_range(flickers(f, &d), 2, 5);
	cancel(f, source);
	assert_in_range(flickers(f, &d), 50, FILTER_NEWS_MAX / 1024 + 1);
}

/* Compositors may think otherwise of what a program says about the selection: it stands until they say so. */
static void test_windows_with_refused_selection(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_busy_desk(f);
	uint32_t first = new_source(f, &d), second = new_source(f, &d);
	offers(f, first, &wl_data_source_interface, 250);
	select_source(f, &d, first);
	select_source(f, &d, 0);
	assert_in_range(flickers(f, &d), 2, 5);
	select_source(f, &d, second);
	select_source(f, &d, first);
	cancel(f, first); /* for the second */
	cancel(f, second);
	assert_in_range(flickers(f, &d), 2, 5);
	cancel(f, first);
	assert_in_range(flickers(f, &d), 50, FILTER_NEWS_MAX / 1024 + 1);
}

/* What is dragged is told to whoever is below the mouse once a window is not. */
static void test_windows_with_drag(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_busy_desk(f);
	uint32_t source = new_source(f, &d), origin = new_surface(f, &d.screen);
	offers(f, source, &wl_data_source_interface, 250);
	assert_true(request(f, d.device, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG,
		ARGS({.object = source}, {.object = origin}, {.object = 0}, {.u = 10})));
	assert_in_range(flickers(f, &d), 2, 5);
	cancel(f, source);
	assert_in_range(flickers(f, &d), 50, FILTER_NEWS_MAX / 1024 + 1);
}

/* The compositor may have the first drag yet, and what it has of it. */
static void test_drag_again(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_desk(f);
	uint32_t origin = new_surface(f, &d.screen);
	for (unsigned set_first = 0; set_first < 2; set_first++) {
		uint32_t source = new_source(f, &d);
		if (set_first == 1) {
			press(f, d.pointer, 5, BTN_LEFT);
			assert_true(request(f, d.device, &wl_data_device_interface,
				WL_DATA_DEVICE_REQUEST_SET_SELECTION, ARGS({.object = source}, {.u = 5})));
		}
		for (unsigned i = 0; i < 2; i++) {
			drop_passed(f);
			assert_true(request(f, d.device, &wl_data_device_interface,
				WL_DATA_DEVICE_REQUEST_START_DRAG,
				ARGS({.object = source}, {.object = origin}, {.object = 0}, {.u = 10})));
			bool first = i == 0 && set_first == 0;
			assert_int_equal(
				take_request(f, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG),
				first);
			assert_int_equal(
				take_event(f, &wl_data_source_interface, WL_DATA_SOURCE_EVENT_CANCELLED),
				!first);
		}
		press(f, d.pointer, 6, BTN_LEFT);
		drop_passed(f);
		assert_true(request(f, d.device, &wl_data_device_interface,
			WL_DATA_DEVICE_REQUEST_SET_SELECTION, ARGS({.object = source}, {.u = 6})));
		assert_int_equal(
			take_request(f, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_SET_SELECTION),
			set_first);
	}
}

/* Those who hear of types at once have to be given time for those that come late. */
static void test_flood_of_late_types(void **state) {
	struct fixture *f = *state;
	const struct desk d = open_busy_desk(f);
	unsigned count = 0;
	for (; count < 100 && !f->filter->rests; count++) {
		uint32_t source = new_source(f, &d);
		select_source(f, &d, source);
		if (!f->filter->rests) {
			offers(f, source, &wl_data_source_interface, 250);
		}
	}
	assert_in_range(count, 2, 5);
}

/* Without a source: the drag is for the program's own windows. Whether it has the icon. */
static bool drags_with(struct fixture *f, const struct desk *d, uint32_t origin, uint32_t icon) {
	drop_passed(f);
	assert_true(request(f, d->device, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG,
		ARGS({.object = 0}, {.object = origin}, {.object = icon}, {.u = 1})));
	assert_true(take_request(f, &wl_data_device_interface, WL_DATA_DEVICE_REQUEST_START_DRAG));
	assert_int_equal(f->args[1].object, origin);
	return f->args[2].object == icon;
}

/* Programs draw what is dragged as large as it is: a picture, a row of a list. It is dragged unseen then. */
static void test_icon_too_large(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t origin = new_surface(f, &d.screen), icon = new_surface(f, &d.screen);
	assert_true(drags_with(f, &d, origin, icon));
	assert_true(show(f, &d.screen, icon, 1024, 1024));
	assert_true(is_shown(f));
	assert_true(show(f, &d.screen, icon, 1500, 40));
	assert_false(is_shown(f));
	assert_false(take_event(f, &wl_buffer_interface, WL_BUFFER_EVENT_RELEASE));
	assert_true(commit(f, icon));
	assert_true(take_event(f, &wl_buffer_interface, WL_BUFFER_EVENT_RELEASE));
	assert_true(commit(f, icon));
	assert_false(take_event(f, &wl_buffer_interface, WL_BUFFER_EVENT_RELEASE));
	assert_true(drags_with(f, &d, origin, icon));
	uint32_t drawn = new_surface(f, &d.screen);
	assert_true(show(f, &d.screen, drawn, 40, 1500));
	assert_true(commit(f, drawn));
	assert_false(drags_with(f, &d, origin, drawn));
	uint32_t viewport = get_viewport(f, &d.screen, icon);
	assert_true(scale(f, viewport, 40, 1500));
	assert_true(take_request(f, &wp_viewport_interface, WP_VIEWPORT_REQUEST_SET_DESTINATION));
	assert_int_equal(f->args[0].i, 40);
	assert_int_equal(f->args[1].i, 1024);
}

static void moves_subsurface(
	struct fixture *f, uint32_t subsurface, int32_t x, int32_t y, int32_t shown_x, int32_t shown_y) {
	drop_passed(f);
	assert_true(request(f, subsurface, &wl_subsurface_interface, WL_SUBSURFACE_REQUEST_SET_POSITION,
		ARGS({.i = x}, {.i = y})));
	assert_true(take_request(f, &wl_subsurface_interface, WL_SUBSURFACE_REQUEST_SET_POSITION));
	assert_int_equal(f->args[0].i, shown_x);
	assert_int_equal(f->args[1].i, shown_y);
}

/* Firefox draws the picture of a tab into a subsurface of what is dragged. */
static void test_icon_with_children(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t subcompositor = bind_new(f, d.screen.registry, &wl_subcompositor_interface);
	uint32_t origin = new_surface(f, &d.screen), icon = new_surface(f, &d.screen);
	uint32_t child = new_surface(f, &d.screen), grandchild = new_surface(f, &d.screen);
	assert_true(drags_with(f, &d, origin, icon));
	assert_true(get_subsurface(f, subcompositor, child, icon));
	uint32_t subsurface = f->next_id - 1;
	moves_subsurface(f, subsurface, 20, -20, 20, -20);
	moves_subsurface(f, subsurface, 5000, -5000, 1024, -1024);
	assert_true(show(f, &d.screen, child, 1024, 1024));
	assert_true(is_shown(f));
	assert_true(show(f, &d.screen, child, 1500, 40));
	assert_false(is_shown(f));
	assert_true(commit(f, child));
	assert_true(get_subsurface(f, subcompositor, grandchild, child));
	assert_true(show(f, &d.screen, grandchild, 1500, 40));
	drop_passed(f);
	assert_true(commit(f, icon));
	/* That of a window may be anywhere. */
	assert_true(get_subsurface(f, subcompositor, new_surface(f, &d.screen), origin));
	moves_subsurface(f, f->next_id - 1, 5000, -5000, 5000, -5000);
	assert_false(get_subsurface(f, subcompositor, new_surface(f, &d.screen), grandchild));
	assert_broken(f, "more than 2 subsurfaces in each other in an icon");
}

/* They are not put together elsewhere and brought there. */
static void test_icon_with_grown_children(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t subcompositor = bind_new(f, d.screen.registry, &wl_subcompositor_interface);
	uint32_t origin = new_surface(f, &d.screen), surfaces[4];
	for (unsigned i = 0; i < 4; i++) {
		surfaces[i] = new_surface(f, &d.screen);
		assert_true(drags_with(f, &d, origin, surfaces[i]));
	}
	assert_true(get_subsurface(f, subcompositor, surfaces[3], surfaces[2]));
	assert_true(get_subsurface(f, subcompositor, surfaces[2], surfaces[1]));
	assert_false(get_subsurface(f, subcompositor, surfaces[1], surfaces[0]));
	assert_broken(f, "more than 2 subsurfaces in each other in an icon");
}

/* What was not bound to any size is not shown with it. */
static void test_icon_with_others(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t subcompositor = bind_new(f, d.screen.registry, &wl_subcompositor_interface);
	uint32_t origin = new_surface(f, &d.screen), icon = new_surface(f, &d.screen);
	uint32_t child = new_surface(f, &d.screen);
	assert_true(get_subsurface(f, subcompositor, new_surface(f, &d.screen), child));
	assert_false(drags_with(f, &d, origin, child));
	assert_true(drags_with(f, &d, origin, icon));
	assert_false(get_subsurface(f, subcompositor, child, icon));
	assert_broken(f, "a part of an icon with subsurfaces");
}

static int32_t moves(struct fixture *f, uint32_t surface, int32_t x) {
	assert_true(request(
		f, surface, &wl_surface_interface, WL_SURFACE_REQUEST_OFFSET, ARGS({.i = x}, {.i = 0})));
	assert_true(take_request(f, &wl_surface_interface, WL_SURFACE_REQUEST_OFFSET));
	return f->args[0].i;
}

/* The last of several moves counts, once it is committed. */
static void test_icon_moves(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t origin = new_surface(f, &d.screen), icon = new_surface(f, &d.screen);
	assert_true(drags_with(f, &d, origin, icon));
	assert_int_equal(moves(f, icon, 600), 600);
	assert_int_equal(moves(f, icon, 601), 601);
	assert_true(commit(f, icon));
	drop_passed(f);
	assert_int_equal(moves(f, icon, -1000), -1000);
	assert_int_equal(moves(f, icon, 424), 0);
	assert_int_equal(moves(f, icon, 423), 423);
	assert_true(commit(f, icon));
	drop_passed(f);
	assert_int_equal(moves(f, icon, 1), 0);
}

static void test_clipboard_off(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, NULL), own = select_offer(f, &d, false, f->vm.mark);
	key(f, &d, 10, CONTROL, KEY_V, 0);
	drop_passed(f);
	assert_false(receives(f, selection, false));
	assert_true(receives(f, own, false));
	assert_false(sets_selection(f, &d, 10));
}

static void test_clipboard_focus(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, NULL), surface = new_surface(f, &d.screen);
	assert_false(receives(f, selection, false));
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_ENTER,
		ARGS({.u = 1}, {.object = surface}, {.array = {NULL, 0}})));
	drop_passed(f);
	assert_true(receives(f, selection, false));
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_LEAVE,
		ARGS({.u = 1}, {.object = surface})));
	drop_passed(f);
	assert_false(receives(f, selection, false));
	assert_true(event(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_EVENT_ENTER,
		ARGS({.u = 1}, {.object = surface}, {.array = {NULL, 0}})));
	assert_true(request(f, d.keyboard, &wl_keyboard_interface, WL_KEYBOARD_REQUEST_RELEASE, ARGS({0})));
	drop_passed(f);
	assert_false(receives(f, selection, false));
}

static void test_clipboard_on(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	assert_true(receives(f, select_offer(f, &d, false, NULL), false));
	assert_true(receives(f, select_offer(f, &d, true, NULL), true));
	assert_true(sets_selection(f, &d, 0));
	uint32_t own = select_offer(f, &d, false, f->vm.mark);
	assert_true(offers_type(f, new_source(f, &d), false, "text/uri-list"));
	assert_string_equal(f->args[0].string, "text/uri-list");
	expect_receive(f, own, "text/uri-list", "text/uri-list");
}

static void test_receive_into_memory(void **state) {
	struct fixture *f = *state;
	struct desk d = open_desk(f);
	uint32_t selection = select_offer(f, &d, false, NULL);
	assert_true(filter_add_fd(f->filter, memory(10), FILTER_FD_MEMORY));
	assert_false(request(f, selection, &wl_data_offer_interface, WL_DATA_OFFER_REQUEST_RECEIVE,
		ARGS({.string = "text/plain"}, {0})));
	assert_broken(f, "no pipe");
}

/* ---- limits ---- */

static bool get_keyboard(struct fixture *f, uint32_t seat, uint32_t id) {
	return request(f, seat, &wl_seat_interface, WL_SEAT_REQUEST_GET_KEYBOARD, ARGS({.object = id}));
}

/* Each makes the compositor send a descriptor, which is on its way until what follows it has arrived. */
static void test_too_many_keyboards(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t dmabuf = bind_new(f, screen.registry, &zwp_linux_dmabuf_v1_interface);
	uint32_t first = f->next_id;
	while (f->next_id < first + FILTER_SENDERS_MAX - 1) {
		assert_true(get_keyboard(f, screen.seat, f->next_id++));
	}
	MAKE(f, dmabuf, zwp_linux_dmabuf_v1, ZWP_LINUX_DMABUF_V1_REQUEST_GET_DEFAULT_FEEDBACK, 0, 0);
	assert_true(request(f, first, &wl_keyboard_interface, WL_KEYBOARD_REQUEST_RELEASE, ARGS({0})));
	assert_true(event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = first})));
	assert_true(get_keyboard(f, screen.seat, first));
	assert_true(request(f, first, &wl_keyboard_interface, WL_KEYBOARD_REQUEST_RELEASE, ARGS({0})));
	assert_false(get_keyboard(f, screen.seat, f->next_id++));
	assert_broken(f, "too many keyboards");
}

/* Popups are in each other, and compositors call themselves for each. */
static void test_too_many_windows(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t positioner = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_CREATE_POSITIONER, 0, 0);
	uint32_t parent = new_toplevel(f, &screen) - 1;
	uint32_t first = MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE,
		new_surface(f, &screen), 0);
	for (unsigned i = 2; i < FILTER_WINDOWS_MAX; i++) {
		uint32_t surface = new_surface(f, &screen);
		uint32_t xdg =
			MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
		MAKE(f, xdg, xdg_surface, XDG_SURFACE_REQUEST_GET_POPUP, parent, positioner);
		parent = xdg;
	}
	uint32_t surface = new_surface(f, &screen), next = f->next_id;
	assert_true(request(f, first, &xdg_surface_interface, XDG_SURFACE_REQUEST_DESTROY, ARGS({0})));
	assert_true(event(f, 1, &wl_display_interface, WL_DISPLAY_EVENT_DELETE_ID, ARGS({.u = first})));
	f->next_id = first;
	MAKE(f, screen.shell, xdg_wm_base, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE, surface, 0);
	f->next_id = next;
	assert_false(request(f, screen.shell, &xdg_wm_base_interface, XDG_WM_BASE_REQUEST_GET_XDG_SURFACE,
		ARGS({.object = f->next_id++}, {.object = surface})));
	assert_broken(f, "too many windows");
}

/* Each time that a surface is committed, compositors look at all that are in it. */
static void test_too_many_subsurfaces(void **state) {
	struct fixture *f = *state;
	const struct screen screen = open_screen(f);
	uint32_t subcompositor = bind_new(f, screen.registry, &wl_subcompositor_interface);
	uint32_t window = new_surface(f, &screen);
	unsigned count = 0;
	while (count <= FILTER_SUBSURFACES_MAX &&
		get_subsurface(f, subcompositor, new_surface(f, &screen), window)) {
		drop_passed(f);
		count++;
	}
	assert_int_equal(count, FILTER_SUBSURFACES_MAX);
	assert_broken(f, "too many subsurfaces");
}

static void test_too_many_objects(void **state) {
	struct fixture *f = *state;
	struct filter *other = filter_create(&f->vm);
	bool passes = true;
	unsigned made = 0;
	for (; passes; made++) {
		passes = request(
			f, 1, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC, ARGS({.object = f->next_id++}));
		drop_passed(f);
	}
	assert_int_equal(made, FILTER_OBJECTS_MAX - 1);
	assert_broken(f, "too many objects");
	filter_destroy(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_globals),
		TEST(test_hidden_global),
		TEST(test_global_by_another_name),
		TEST(test_global_newer),
		TEST(test_global_version_0),
		TEST(test_no_such_object),
		TEST(test_no_such_request),
		TEST(test_header_too_small),
		TEST(test_too_long),
		TEST(test_id_not_next),
		TEST(test_id_in_use),
		TEST(test_id_of_the_compositor),
		TEST(test_wrong_type),
		TEST(test_destroyed),
		TEST(test_too_old),
		TEST(test_in_pieces),
		TEST(test_event_for_nobody),
		TEST(test_pool),
		TEST(test_lines),
		TEST(test_formats),
		TEST(test_pool_too_small),
		TEST(test_pool_grows_too_far),
		TEST(test_pool_of_a_pipe),
		TEST(test_pool_of_a_dmabuf),
		TEST(test_too_much_memory),
		TEST(test_too_many_planes),
		TEST(test_too_many_pools),
		TEST(test_too_much_in_dmabufs),
		TEST(test_planes),
		TEST(test_no_descriptor),
		TEST(test_many_descriptors),
		TEST(test_titles),
		TEST(test_flood_of_titles),
		TEST(test_flood_of_windows),
		TEST(test_flood_of_tokens),
		TEST(test_much_damage),
		TEST(test_large_region),
		TEST(test_crossed_region),
		TEST(test_waiting_commits),
		TEST(test_waiting_for_the_middle),
		TEST(test_waiting_inside),
		TEST(test_waiting_inside_after_all),
		TEST(test_waiting_in_all),
		TEST(test_subsurfaces_downward),
		TEST(test_subsurfaces_upward),
		TEST(test_subsurfaces_joined),
		TEST(test_region_of_all),
		TEST(test_too_many_rectangles),
		TEST(test_too_many_rectangles_committed),
		TEST(test_too_many_rectangles_waiting),
		TEST(test_too_many_rectangles_of_pointers),
		TEST(test_cursor),
		TEST(test_cursor_was_large),
		TEST(test_cursor_still_large),
		TEST(test_cursor_was_scaled),
		TEST(test_cursor_of_late_buffer),
		TEST(test_cursor_as_window),
		TEST(test_popup_again),
		TEST(test_cursor_elsewhere),
		TEST(test_cursor_by_viewport),
		TEST(test_cursor_with_children),
		TEST(test_cursor_does_not_wander),
		TEST(test_popup),
		TEST(test_flood_of_texts),
		TEST(test_typing_in_long_text),
		TEST(test_fullscreen),
		TEST(test_popup_grabs),
		TEST(test_surface_first),
		TEST(test_xdg_surface_first),
		TEST(test_window_before_popups),
		TEST(test_made_of_gone),
		TEST(test_made_with_gone),
		TEST(test_two_decorations),
		TEST(test_two_windows),
		TEST(test_two_roles),
		TEST(test_window_again),
		TEST(test_parents),
		TEST(test_parent_later),
		TEST(test_hidden_window),
		TEST(test_popup_in_itself),
		TEST(test_popup_in_nothing),
		TEST(test_early_reposition),
		TEST(test_one_grab),
		TEST(test_place_in_nothing),
		TEST(test_scale_zero),
		TEST(test_activate_nothing),
		TEST(test_touch),
		TEST(test_tablet),
		TEST(test_short_keymap),
		TEST(test_paste_by_key),
		TEST(test_paste_by_button),
		TEST(test_paste_own),
		TEST(test_marks_of_others),
		TEST(test_types_for_the_host),
		TEST(test_types_within_the_vm),
		TEST(test_many_types),
		TEST(test_types_of_many_sources),
		TEST(test_flood_of_selections),
		TEST(test_copy_needs_serial),
		TEST(test_copy_after_leaving),
		TEST(test_drop),
		TEST(test_windows_with_selection),
		TEST(test_windows_with_late_types),
		TEST(test_windows_with_refused_selection),
		TEST(test_windows_with_drag),
		TEST(test_drag_again),
		TEST(test_flood_of_late_types),
		TEST(test_flood_of_accepts),
		TEST(test_icon_too_large),
		TEST(test_icon_moves),
		TEST(test_icon_with_children),
		TEST(test_icon_with_grown_children),
		TEST(test_icon_with_others),
		cmocka_unit_test_setup_teardown(test_clipboard_off, setup_off, teardown),
		cmocka_unit_test_setup_teardown(test_clipboard_focus, setup_focus, teardown),
		cmocka_unit_test_setup_teardown(test_clipboard_on, setup_on, teardown),
		TEST(test_receive_into_memory),
		TEST(test_too_many_keyboards),
		TEST(test_too_many_windows),
		TEST(test_too_many_subsurfaces),
		TEST(test_too_many_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
