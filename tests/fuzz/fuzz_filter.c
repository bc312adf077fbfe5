/*
 * Fuzz the filter with libwayland's own server behind it: whatever the guest sends, libwayland takes what
 * leaves the filter without complaint, no global that is not for guests is ever bound, and what the server
 * answers passes back. Pixels lie in their buffers, sources have few types, regions and frames few
 * rectangles, and others are told no more than the VM's allowance.
 *
 * Input: steps, each of a byte that says what and some that say with what: see step(). Most make messages
 * that are right in one way or another; raw bytes are among them.
 */
#include "input.h"

#include "display/filter.h"

#include <fcntl.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wl_display *display;
static struct wl_client *client;
static struct filter_vm vm;
static struct filter *filter;
static int end; /* the client's, of the connection */
static bool gone;
static uint64_t clock_ns;
static uint64_t titles; /* that the compositor was told */

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

/* What libwayland's server would take, and a compositor should not. */
static void check(struct wl_resource *resource, const char *request, const union wl_argument *args) {
	const char *class = wl_resource_get_class(resource);
	if (strcmp(request, "create_buffer") == 0) {
		require(args[4].i >= args[2].i * (int64_t)wire_pixel_size(args[5].u));
		require(wire_pixel_size(args[5].u) > 0);
	} else if (strcmp(request, "offer") == 0) {
		require(count_one_more(resource) <= FILTER_TYPES_MAX + 1); /* with the VM's mark */
	} else if (strcmp(class, "wl_region") == 0 && strcmp(request, "destroy") != 0) {
		require(count_one_more(resource) <= 4096);
	} else if (strncmp(request, "damage", 6) == 0) {
		require(count_one_more(resource) <= 256);
	} else if (strcmp(class, "wl_surface") == 0 && strcmp(request, "commit") == 0) {
		start_again(resource);
	} else if (strcmp(request, "set_title") == 0) {
		titles++;
	}
}

/* An offer is an object of the compositor's making. */
static void make_offer(struct wl_resource *device) {
	struct wl_resource *offer =
		add(wire_interface_find("wl_data_offer"), (uint32_t)wl_resource_get_version(device), 0);
	wl_resource_post_event(device, 0, offer);
	wl_resource_post_event(offer, 0, "text/plain");
	wl_resource_post_event(device, 5, offer);
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
			struct wl_resource *made = add(
				message->types[i], (uint32_t)wl_resource_get_version(resource), args[i].n);
			if (strcmp(message->types[i]->name, "wl_data_device") == 0) {
				make_offer(made);
			}
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
	"wp_single_pixel_buffer_manager_v1"};
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
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
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

/* The server has no complaints. */
static void from_server(void) {
	for (;;) {
		uint8_t *at = wire_queue_reserve(&filter->from_host, 4096);
		ssize_t n = recv(end, at, 4096, MSG_DONTWAIT);
		if (n <= 0) {
			break;
		}
		wire_queue_commit(&filter->from_host, (size_t)n);
		require(filter_host(filter));
	}
	struct wire_message message;
	while (wire_peek(wire_queue_data(&filter->to_guest), wire_queue_size(&filter->to_guest), &message) ==
		1) {
		require(message.object != 1 || message.opcode != 0);
		wire_queue_consume(&filter->to_guest, message.size);
	}
	wire_queue_finish(&filter->to_guest);
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

/* ---- steps ---- */

static void fill_args(struct input *input, const struct wl_message *type, union wire_arg *args, char *text) {
	const char *signature = type->signature;
	bool nullable;
	char next;
	snprintf(text, 64, "%s", take(input, 1) % 4 == 0 ? "x" : shown[take(input, 1) % 13]);
	for (unsigned i = 0; (next = wire_signature_next(&signature, &nullable)) != '\0'; i++) {
		if (next == 's') {
			args[i].string = text;
		} else if (next == 'a') {
			args[i].array.data = text;
			args[i].array.size = take(input, 1) % 32;
		} else if (next == 'n' && take(input, 1) % 16 != 0) {
			args[i].object = filter->objects.client_count + 1;
		} else if (next == 'h') {
			uint8_t kind = take(input, 1) % 5;
			int fd = memfd_create("fuzz", MFD_CLOEXEC);
			require(ftruncate(fd, 4096) == 0);
			if (wire_queue_push_fd(&filter->from_guest, fd, kind) < 0) {
				close(fd);
			}
		} else {
			args[i].u = take(input, 1);
		}
	}
}

/* A request of an object that there is, or nearly. */
static void say(struct input *input) {
	uint32_t id = take(input, 1);
	const struct wire_object *object = wire_objects_find(&filter->objects, id);
	const struct wl_interface *interface =
		object != NULL ? object->interface : wire_interface_find("wl_surface");
	if (interface->method_count == 0) {
		return;
	}
	uint16_t opcode = (uint16_t)(take(input, 1) % interface->method_count);
	union wire_arg args[WIRE_ARGS_MAX] = {0};
	char text[64];
	fill_args(input, &interface->methods[opcode], args, text);
	wire_write(&filter->from_guest, id, opcode, &interface->methods[opcode], args, WIRE_MESSAGE_MAX);
}

/* A global by its number, under its own name. */
static void bind_global(struct input *input) {
	uint32_t name = take(input, 1) % 20;
	const char *of = take(input, 1) % 8 == 0 ? hidden[name % 2] : NULL;
	for (uint32_t i = 0; of == NULL && i < filter->global_count; i++) {
		of = filter->globals[i].name == name ? filter->globals[i].interface->name : NULL;
	}
	const union wire_arg args[] = {{.u = name}, {.string = of != NULL ? of : "wl_shm"},
		{.u = take(input, 1) % 8}, {.object = filter->objects.client_count + 1}};
	const struct wl_interface *registry = wire_interface_find("wl_registry");
	wire_write(&filter->from_guest, 2, 0, &registry->methods[0], args, WIRE_MESSAGE_MAX);
}

static void step(struct input *input) {
	uint8_t bytes[64];
	switch (take(input, 1) % 8) {
	case 0:
		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = take(input, 1);
		}
		wire_queue_append(&filter->from_guest, bytes, 1 + bytes[0] % sizeof(bytes));
		break;
	case 1:
	case 2:
		bind_global(input);
		break;
	default:
		say(input);
	}
}

static uint64_t fuzz_now(void) {
	return clock_ns;
}

/* A small allowance, for inputs of some hundred bytes to use it up. */
static void create_filter(void) {
	clock_ns = START_NS;
	require(filter_vm_init(&vm, "fuzz", DISPLAY_CLIPBOARD_KEY, fuzz_now) == 0);
	vm.news = ALLOWANCE;
	titles = 0;
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
	create_filter();
	wire_queue_append(&filter->from_guest, hello, sizeof(hello));
	for (bool goes_on = run(); goes_on && input.left > 0; goes_on = run()) {
		step(&input);
	}
	require(!gone);
	/* The last one may be as long as a message. */
	require(titles * 256 <= ALLOWANCE + WIRE_LIBWAYLAND_MAX + (clock_ns - START_NS) / FILTER_NEWS_NS);
	filter_destroy(filter);
	require(vm.objects == 0 && vm.senders == 0 && vm.pool_bytes == 0);
	filter_vm_finish(&vm);
	wl_client_destroy(client);
	close(end);
	return 0;
}
