/*
 * Fuzz the filter with libwayland's own server behind it: whatever the guest sends, libwayland takes what
 * leaves the filter without complaint, no global that is not for guests is ever bound, and what the server
 * says, of itself too, passes back. Pixels lie in their buffers, sources have few types, regions and frames
 * few rectangles, selections go nowhere without a clipboard, types of data but for texts and pictures have
 * the VM's mark outside and none inside, and others are told no more than the VM's allowance.
 *
 * Input: a byte that says which clipboard, then steps, each of a byte that says what and some that say with
 * what: see step(). Most make messages that are right in one way or another, since one that is not ends the
 * connection; raw bytes are among them.
 */
#include "input.h"

#include "display/filter.h"

#include <fcntl.h>
#include <libdrm/drm_fourcc.h>
#include <linux/input-event-codes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-server-core.h>

#define START_NS 1000000000000u
#define ALLOWANCE 4096 /* bytes that others are told at once */
#define TEXT_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wl_display *display;
static struct wl_client *client;
static struct filter_vm vm;
static struct filter *filter;
static int end; /* the client's, of the connection */
static bool gone;
static uint64_t clock_ns;
static uint64_t titles; /* that the compositor was told */
static bool own_offers; /* the compositor has said that something offered is the VM's own */

/* ---- a compositor that does nothing, properly ---- */

static int dispatch(const void *implementation, void *target, uint32_t opcode,
	const struct wl_message *message, union wl_argument *args);

static struct wl_resource *add(const struct wl_interface *interface, uint32_t version, uint32_t id) {
	struct wl_resource *resource = wl_resource_create(client, interface, (int)version, id);
	require(resource != NULL);
	wl_resource_set_dispatcher(resource, dispatch, NULL, NULL, NULL);
	return resource;
}

static void bind_shown(struct wl_client *bound, void *data, uint32_t version, uint32_t id) {
	require(bound == client);
	add(data, version, id);
}

static void bind_hidden(struct wl_client *bound, void *data, uint32_t version, uint32_t id) {
	(void)bound;
	(void)data;
	(void)version;
	(void)id;
	require(false);
}

static uint64_t count_one_more(struct wl_resource *resource) {
	uintptr_t count = (uintptr_t)wl_resource_get_user_data(resource) + 1;
	wl_resource_set_user_data(resource, (void *)count);
	return count;
}

static void start_again(struct wl_resource *resource) {
	wl_resource_set_user_data(resource, NULL);
}

static void check_type(const char *type) {
	static const char *const open[] = {"text/plain", "text/html", "text/csv", "text/markdown",
		"UTF8_STRING", "STRING", "TEXT", "COMPOUND_TEXT", "x-kde-", "image/"};
	bool known = vm.clipboard == DISPLAY_CLIPBOARD_ON || strncmp(type, vm.mark, strlen(vm.mark)) == 0;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		known |= strncmp(type, open[i], strlen(open[i])) == 0;
	}
	require(known);
}

/* ---- windows ---- */

/* Which objects there are of each; 0: none. */
struct pane {
	uint32_t surface, xdg_surface, role, decoration;
	unsigned born; /* its role: which of all */
	bool had_role, has_grab;
};
static struct pane panes[FILTER_WINDOWS_MAX];
static unsigned pane_count, roles;

/* The one to which an object belongs; NULL: it is in none. */
static struct pane *find_pane(const struct wl_resource *resource) {
	uint32_t id = resource != NULL ? wl_resource_get_id((struct wl_resource *)resource) : 0;
	for (unsigned i = 0; id != 0 && i < pane_count; i++) {
		struct pane *pane = &panes[i];
		if (pane->surface == id || pane->xdg_surface == id || pane->role == id ||
			pane->decoration == id) {
			return pane;
		}
	}
	return NULL;
}

static const struct wl_resource *resource_of(const union wl_argument *arg) {
	return (const struct wl_resource *)arg->o;
}

/* Nothing goes before what it is made of, and nothing is there twice. */
static void check_destroyed(const struct wl_resource *resource, const char *class) {
	struct pane *pane = find_pane(resource);
	require(strcmp(class, "wl_surface") != 0 || pane == NULL);
	if (strcmp(class, "xdg_surface") == 0) {
		require(pane->role == 0);
		*pane = panes[--pane_count];
	} else if (strcmp(class, "xdg_toplevel") == 0 || strcmp(class, "xdg_popup") == 0) {
		require(pane->decoration == 0);
		pane->role = 0;
	} else if (strcmp(class, "zxdg_toplevel_decoration_v1") == 0) {
		pane->decoration = 0;
	}
}

static void check_window(
	const struct wl_resource *resource, const char *request, const union wl_argument *args) {
	struct pane *pane = find_pane(resource);
	if (strcmp(request, "get_xdg_surface") == 0) {
		require(find_pane(resource_of(&args[1])) == NULL && pane_count < FILTER_WINDOWS_MAX);
		panes[pane_count++] =
			(struct pane){.surface = wl_resource_get_id((struct wl_resource *)args[1].o),
				.xdg_surface = args[0].n};
	} else if (strcmp(request, "get_toplevel") == 0 || strcmp(request, "get_popup") == 0) {
		const struct pane *parent = request[4] == 'p' ? find_pane(resource_of(&args[1])) : NULL;
		require(!pane->had_role && (request[4] == 't' || (parent->role != 0 && parent != pane)));
		pane->role = args[0].n;
		pane->had_role = true;
		pane->born = ++roles;
		pane->has_grab = false;
	} else if (strcmp(request, "get_toplevel_decoration") == 0) {
		pane = find_pane(resource_of(&args[1]));
		require(pane->decoration == 0);
		pane->decoration = args[0].n;
	} else if (strcmp(request, "set_parent") == 0) {
		const struct pane *parent = find_pane(resource_of(&args[0]));
		require(parent == NULL || parent->born < pane->born);
	} else if (strcmp(request, "grab") == 0) {
		require(!pane->has_grab);
		pane->has_grab = true;
	} else if (strcmp(request, "ack_configure") == 0) {
		require(!pane->had_role || pane->role != 0);
	}
}

/* What libwayland's server would take, and a compositor should not. */
static void check(struct wl_resource *resource, const char *request, const union wl_argument *args) {
	const char *class = wl_resource_get_class(resource);
	check_window(resource, request, args);
	if (strcmp(request, "destroy") == 0) {
		check_destroyed(resource, class);
	} else if (strcmp(request, "set_buffer_scale") == 0) {
		require(args[0].i > 0);
	} else if (strcmp(request, "create_buffer") == 0) {
		require(args[4].i >= args[2].i * (int64_t)wire_pixel_size(args[5].u));
		require(wire_pixel_size(args[5].u) > 0);
	} else if (strcmp(request, "offer") == 0) {
		check_type(args[0].s);
		require(count_one_more(resource) <= FILTER_TYPES_MAX + 1); /* with the VM's mark */
	} else if (strcmp(class, "wl_region") == 0 && strcmp(request, "add") == 0) {
		require(count_one_more(resource) <= 4096);
	} else if (strncmp(request, "damage", 6) == 0) {
		require(count_one_more(resource) <= 256);
	} else if (strcmp(class, "wl_surface") == 0 && strcmp(request, "commit") == 0) {
		start_again(resource);
	} else if (strcmp(request, "set_title") == 0) {
		titles++;
	} else if (strcmp(request, "set_selection") == 0) {
		require(vm.clipboard != DISPLAY_CLIPBOARD_OFF);
	} else if (strcmp(request, "start_drag") == 0) {
		require(args[0].o == NULL || vm.clipboard != DISPLAY_CLIPBOARD_OFF);
	} else if (strcmp(request, "receive") == 0) {
		require(own_offers || vm.clipboard != DISPLAY_CLIPBOARD_OFF);
	}
}

static int dispatch(const void *implementation, void *target, uint32_t opcode,
	const struct wl_message *message, union wl_argument *args) {
	(void)implementation;
	struct wl_resource *resource = target;
	const struct wl_interface *interface = wire_interface_find(wl_resource_get_class(resource));
	require(&interface->methods[opcode] == message ||
		strcmp(interface->methods[opcode].name, message->name) == 0);
	const char *signature = message->signature;
	bool nullable;
	char next;
	check(resource, message->name, args);
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		if (next == 'h') {
			close(args[i].h);
		} else if (next == 'n') {
			add(message->types[i], (uint32_t)wl_resource_get_version(resource), args[i].n);
		}
	}
	if ((wire_interface_destructors(interface) >> opcode & 1) != 0) {
		wl_resource_destroy(resource);
	}
	return 0;
}

static const char *const shown[] = {"wl_compositor", "wl_subcompositor", "wl_shm", "wl_seat", "wl_output",
	"wl_data_device_manager", "xdg_wm_base", "wp_viewporter", "zwp_linux_dmabuf_v1", "xdg_activation_v1",
	"zwp_primary_selection_device_manager_v1", "zwp_tablet_manager_v2",
	"wp_single_pixel_buffer_manager_v1", "zxdg_decoration_manager_v1", "zxdg_output_manager_v1",
	"wp_fractional_scale_manager_v1", "wp_cursor_shape_manager_v1", "wp_presentation",
	"zwp_pointer_constraints_v1", "zwp_relative_pointer_manager_v1", "zwp_text_input_manager_v3"};
#define SHOWN (sizeof(shown) / sizeof(shown[0]))
static const char *const hidden[] = {"wp_security_context_manager_v1", "wl_shell"};

static void client_gone(struct wl_listener *listener, void *data) {
	(void)listener;
	(void)data;
	gone = true;
}

static struct wl_listener goodbye = {.notify = client_gone};

static void initialise(void) {
	signal(SIGPIPE, SIG_IGN);
	display = wl_display_create();
	require(display != NULL);
	for (size_t i = 0; i < SHOWN; i++) {
		const struct wl_interface *interface = wire_interface_find(shown[i]);
		require(wl_global_create(display, interface, interface->version, (void *)interface,
				bind_shown) != NULL);
		if (i < sizeof(hidden) / sizeof(hidden[0])) {
			const struct wl_interface *other = wire_interface_find(hidden[i]);
			require(wl_global_create(display, other, other->version, NULL, bind_hidden) != NULL);
		}
	}
}

/* ---- the streams ---- */

static void to_server(void) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FILTER_FDS_MAX * sizeof(int))];
	} control = {0};
	struct wire_queue *queue = &filter->to_host;
	struct iovec iov = {.iov_base = (void *)wire_queue_data(queue), .iov_len = wire_queue_size(queue)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (queue->fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(queue->fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(queue->fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), queue->fds, queue->fd_count * sizeof(int));
	}
	require(sendmsg(end, &message, MSG_NOSIGNAL) == (ssize_t)iov.iov_len);
	wire_queue_finish(queue);
}

/* Bytes and their descriptors, as the display device reads them. */
static bool read_server(void) {
	struct wire_queue *queue = &filter->from_host;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FILTER_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = wire_queue_reserve(queue, 4096), .iov_len = 4096};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	require((message.msg_flags & MSG_CTRUNC) == 0);
	for (size_t i = 0; header != NULL && CMSG_LEN((i + 1) * sizeof(int)) <= header->cmsg_len; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		require(wire_queue_push_fd(queue, fd, 0) == 0);
	}
	wire_queue_commit(queue, n > 0 ? (size_t)n : 0);
	return n > 0;
}

/* The mark is secret. */
static void check_told(const struct wire_message *message) {
	const struct wire_object *object = wire_objects_find(&filter->objects, message->object);
	const char *name = object != NULL ? object->interface->name : "";
	require((strcmp(name, "wl_data_offer") != 0 && strcmp(name, "wl_data_source") != 0) ||
		memmem(message->data, message->size, vm.mark, strlen(vm.mark)) == NULL);
}

/* The server has no complaints, and what it says passes. */
static void from_server(void) {
	while (read_server()) {
		do {
			struct wire_queue *queue = &filter->to_guest;
			struct wire_message message;
			require(filter_host(filter));
			while (wire_peek(wire_queue_data(queue), wire_queue_size(queue), &message) == 1) {
				require(message.object != 1 || message.opcode != 0);
				check_told(&message);
				wire_queue_consume(queue, message.size);
			}
			wire_queue_finish(queue);
		} while (filter_host_waits(filter));
	}
}

/* False: the connection is over. */
static bool run(void) {
	bool passes;
	do {
		passes = filter_guest(filter);
		while (wire_queue_size(&filter->to_host) > 0) {
			to_server();
			wl_event_loop_dispatch(wl_display_get_event_loop(display), 0);
			require(!gone);
			wl_display_flush_clients(display);
		}
		if (!passes) {
			return false;
		}
		from_server();
		clock_ns += filter->rests ? filter_news_wait(&vm) : 0;
	} while (filter_guest_waits(filter) || filter->rests);
	return true;
}

/* ---- what messages say ---- */

/* Small, or a number that something depends on, or any. */
static uint32_t take_number(struct input *input) {
	static const uint32_t special[] = {0xffffffff, 0x7fffffff, 0x80000000, 0xfffffe00, 0xfffffdff, 512,
		513, 4096, 8192, 8193, 16384, DRM_FORMAT_ARGB8888, DRM_FORMAT_XRGB8888, DRM_FORMAT_NV12,
		DRM_FORMAT_RGB565, DRM_FORMAT_MOD_INVALID & 0xffffffff, DRM_FORMAT_MOD_INVALID >> 32,
		BTN_MIDDLE};
	const uint32_t count = sizeof(special) / sizeof(special[0]), byte = take(input, 1);
	return byte < 200 ? byte : byte - 200 < count ? special[byte - 200] : take(input, 4);
}

static void take_text(struct input *input, bool from_guest, char text[TEXT_SIZE]) {
	const uint32_t kind = take(input, 1);
	size_t size;
	switch (kind % 6) {
	case 0:
		snprintf(text, TEXT_SIZE, "%s", shown[take(input, 1) % SHOWN]);
		break;
	case 1:
		own_offers |= !from_guest;
		snprintf(text, TEXT_SIZE, "%s%s", from_guest ? FILTER_MARK_PREFIX "0" : vm.mark,
			!from_guest && kind > 200 ? "/text/uri-list" : "");
		break;
	case 2:
		size = take(input, 2) %
		       (from_guest ? TEXT_SIZE - 64 : 1024); /* libwayland has 4096 for all */
		memset(text, 'a', size);
		text[size] = '\0';
		break;
	case 3:
		size = take(input, 1) % 16;
		for (size_t i = 0; i < size; i++) {
			text[i] = (char)take(input, 1);
		}
		text[size] = '\0';
		break;
	default:
		strcpy(text, "text/plain");
	}
}

static int take_file(struct input *input) {
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	require(fd >= 0 && ftruncate(fd, (off_t)4096 << take(input, 1) % 16) == 0);
	return fd;
}

/* ---- steps: the guest's ---- */

static uint32_t id_at(uint32_t index) {
	uint32_t clients = filter->objects.client_count;
	return index < clients ? index + 1 : WIRE_SERVER_ID_FIRST + (index - clients);
}

/* One of those that there are of the interface, or of any; 0: none. */
static uint32_t pick_object(const struct wl_interface *interface, uint32_t number) {
	uint32_t all = filter->objects.client_count + filter->objects.server_count, count = 0, picked = 0;
	for (unsigned pass = 0; pass < 2; pass++) {
		uint32_t wanted = count > 0 ? number % count : 0;
		count = 0;
		for (uint32_t i = 0; i < all; i++) {
			const struct wire_object *object = wire_objects_find(&filter->objects, id_at(i));
			if (object != NULL && !object->dead &&
				(interface == NULL || object->interface == interface)) {
				picked = count++ == wanted ? id_at(i) : picked;
			}
		}
	}
	return picked;
}

/* What the request wants, mostly. */
static uint8_t take_kind(struct input *input, const char *request) {
	uint32_t byte = take(input, 1);
	if (byte >= 200) {
		return (uint8_t)(byte % 5);
	}
	return strcmp(request, "create_pool") == 0 ? FILTER_FD_MEMORY
	       : strcmp(request, "add") == 0       ? FILTER_FD_DMABUF
						   : FILTER_FD_PIPE;
}

static void fill_args(struct input *input, const struct wl_message *type, union wire_arg *args, char *text) {
	const char *signature = type->signature;
	bool nullable;
	char next;
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		if (next == 's') {
			take_text(input, true, text);
			args[i].string = text;
		} else if (next == 'a') {
			args[i].array.data = text;
			args[i].array.size = take(input, 1) % 32;
		} else if (next == 'n' && take(input, 1) % 64 != 1) {
			args[i].object = filter->objects.client_count + 1;
		} else if (next == 'o') {
			uint32_t byte = take(input, 1);
			bool none = nullable && byte % 4 == 3;
			args[i].object = byte >= 250 ? byte : none ? 0 : pick_object(type->types[i], byte);
		} else if (next == 'h') {
			uint8_t kind = take_kind(input, type->name);
			int fd = take_file(input);
			if (filter->from_guest.fd_count == WIRE_FDS_MAX) {
				close(fd);
			} else {
				filter_add_fd(filter, fd, kind);
			}
		} else {
			args[i].u = take_number(input);
		}
	}
}

/* A request of an object that there is, or nearly. */
static void say(struct input *input) {
	uint32_t byte = take(input, 1);
	uint32_t id = byte >= 252 ? byte : pick_object(NULL, byte);
	const struct wire_object *object = wire_objects_find(&filter->objects, id);
	const struct wl_interface *interface =
		object != NULL ? object->interface : wire_interface_find("wl_surface");
	if (interface->method_count == 0) {
		return;
	}
	uint16_t opcode = (uint16_t)(take(input, 1) % (unsigned)interface->method_count);
	union wire_arg args[WIRE_ARGS_MAX] = {0};
	char text[TEXT_SIZE] = "";
	fill_args(input, &interface->methods[opcode], args, text);
	wire_write(&filter->from_guest, id, opcode, &interface->methods[opcode], args, WIRE_MESSAGE_MAX);
}

/* A global by its number, under its own name and in one of its versions, mostly. */
static void bind_global(struct input *input) {
	uint32_t name = take(input, 1) % 25, version = take(input, 1);
	const struct filter_global *global = NULL;
	for (uint32_t i = 0; i < filter->global_count; i++) {
		global = filter->globals[i].name == name ? &filter->globals[i] : global;
	}
	const char *of = global == NULL ? hidden[name % 2] : global->interface->name;
	if (global != NULL && version < 248) {
		version = version % global->version + 1;
	}
	const union wire_arg args[] = {{.u = name}, {.string = version == 255 ? "wl_shm" : of},
		{.u = version}, {.object = filter->objects.client_count + 1}};
	const struct wl_interface *registry = wire_interface_find("wl_registry");
	wire_write(&filter->from_guest, 2, 0, &registry->methods[0], args, WIRE_MESSAGE_MAX);
}

static void say_bytes(struct input *input) {
	uint8_t bytes[64];
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)take(input, 1);
	}
	wire_queue_append(&filter->from_guest, bytes, 1 + bytes[0] % sizeof(bytes));
}

/* ---- steps: the compositor's ---- */

struct choice {
	const struct wl_interface *interface; /* NULL: any, but those of libwayland itself */
	uint32_t number, count;
	struct wl_resource *picked;
};

static enum wl_iterator_result choose(struct wl_resource *resource, void *data) {
	struct choice *choice = data;
	const char *class = wl_resource_get_class(resource);
	if (strcmp(class, "wl_display") != 0 && strcmp(class, "wl_registry") != 0 &&
		(choice->interface == NULL || strcmp(class, choice->interface->name) == 0)) {
		choice->picked = choice->count++ == choice->number ? resource : choice->picked;
	}
	return WL_ITERATOR_CONTINUE;
}

static struct wl_resource *pick_resource(const struct wl_interface *interface, uint32_t number) {
	struct choice choice = {.interface = interface, .number = UINT32_MAX};
	wl_client_for_each_resource(client, choose, &choice);
	if (choice.count > 0) {
		choice.number = number % choice.count;
		choice.count = 0;
		wl_client_for_each_resource(client, choose, &choice);
	}
	return choice.picked;
}

/* False: the event names an object that there is not. */
static bool fill_event(struct input *input, struct wl_resource *resource, const struct wl_message *type,
	union wl_argument *args, char *text, struct wl_array *array, int *fd) {
	const char *signature = type->signature;
	bool nullable, complete = true;
	char next;
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		if (next == 's') {
			take_text(input, false, text);
			args[i].s = text;
		} else if (next == 'a') {
			*array = (struct wl_array){.data = text, .size = take(input, 1) % 32};
			args[i].a = array;
		} else if (next == 'n') {
			args[i].o = (struct wl_object *)add(
				type->types[i], (uint32_t)wl_resource_get_version(resource), 0);
		} else if (next == 'o') {
			uint32_t byte = take(input, 1);
			args[i].o = nullable && byte % 4 == 3
					    ? NULL
					    : (struct wl_object *)pick_resource(type->types[i], byte);
			complete = complete && (nullable || args[i].o != NULL);
		} else if (next == 'h') {
			*fd = take_file(input);
			args[i].h = *fd;
		} else {
			args[i].u = take_number(input);
		}
	}
	return complete;
}

/* A global has gone; programs that have not heard of it may still bind it. */
static void remove_global(struct input *input) {
	struct wl_resource *registry = wl_client_get_object(client, 2);
	if (registry != NULL) {
		wl_resource_post_event(registry, 1, take(input, 1) % 25);
		wl_display_flush_clients(display);
	}
}

static void tell(struct input *input) {
	struct wl_resource *resource = pick_resource(NULL, take(input, 1));
	uint32_t opcode = take(input, 1);
	const struct wl_interface *interface =
		resource != NULL ? wire_interface_find(wl_resource_get_class(resource)) : NULL;
	if (interface == NULL || interface->event_count == 0) {
		return;
	}
	opcode %= (uint32_t)interface->event_count;
	const struct wl_message *type = &interface->events[opcode];
	union wl_argument args[WIRE_ARGS_MAX] = {0};
	char text[TEXT_SIZE] = "";
	struct wl_array array;
	int fd = -1;
	if (wire_since(type) <= (uint32_t)wl_resource_get_version(resource) &&
		fill_event(input, resource, type, args, text, &array, &fd)) {
		wl_resource_post_event_array(resource, opcode, args);
		if (strcmp(interface->name, "wl_callback") == 0) {
			wl_resource_destroy(resource);
		}
		wl_display_flush_clients(display);
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void step(struct input *input) {
	uint32_t what = take(input, 1) % 16;
	if (what == 0) {
		say_bytes(input);
	} else if (what == 1) {
		clock_ns += (uint64_t)take(input, 1) << 25;
	} else if (what == 2) {
		remove_global(input);
	} else if (what < 5) {
		bind_global(input);
	} else if (what < 9) {
		tell(input);
	} else {
		say(input);
	}
}

static uint64_t fuzz_now(void) {
	return clock_ns;
}

/* A small allowance, for inputs of some hundred bytes to use it up. */
static void create_filter(enum display_clipboard clipboard) {
	clock_ns = START_NS;
	require(filter_vm_init(&vm, "fuzz", clipboard, fuzz_now) == 0);
	vm.news.bytes = ALLOWANCE;
	titles = 0;
	pane_count = roles = 0;
	own_offers = false;
	filter = filter_create(&vm);
	require(filter != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {data, size};
	const uint32_t hello[] = {1, 12 << 16 | 1, 2};
	int ends[2];
	if (display == NULL) {
		initialise();
	}
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	end = ends[0];
	client = wl_client_create(display, ends[1]);
	require(client != NULL);
	gone = false;
	wl_client_add_destroy_listener(client, &goodbye);
	create_filter((enum display_clipboard)(take(&input, 1) % 4));
	wire_queue_append(&filter->from_guest, hello, sizeof(hello));
	for (bool goes_on = run(); goes_on && input.left > 0; goes_on = run()) {
		step(&input);
	}
	require(!gone);
	/* The last one may be as long as a message. */
	require(titles * 256 <= ALLOWANCE + WIRE_LIBWAYLAND_MAX + (clock_ns - START_NS) / FILTER_NEWS_NS);
	filter_destroy(filter);
	require(vm.objects == 0 && vm.senders == 0 && vm.windows == 0 && vm.subsurfaces == 0 &&
		vm.pool_bytes == 0 && vm.region_boxes == 0 && vm.pools == 0 && vm.planes == 0 &&
		vm.waiting_commits == 0 && vm.region_boxes == 0 && vm.offered == 0);
	filter_vm_finish(&vm);
	wl_client_destroy(client);
	close(end);
	return 0;
}
