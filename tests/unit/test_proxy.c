/*
 * The guest's Wayland proxy between real clients and a real server of libwayland. It runs as a process of
 * its own; sockets, memfds and pipes stand in for /dev/wl0, below everything that is tested here.
 */
#include "guest/wayland/client.h"
#include "guest/wayland/listener.h"
#include "guest/wayland/presentation.h"

#include "ph/fd.h"
#include "ph/wayland_protocols.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wayland-client.h>
#include <wayland-server.h>

#include <cmocka.h>

#define SIZE 64
#define STRIDE (SIZE * 4)
#define BYTES (STRIDE * SIZE)
#define PATIENCE 20

/* ---- the way to the host ---- */

static struct sockaddr_un host_address = {.sun_family = AF_UNIX};
/* The ends of pipes that go to whoever they are sent to. */
static int far_ends[1024];

int host_init(void) {
	return 0;
}

int host_connect(void) {
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return connect(fd, (const struct sockaddr *)&host_address, sizeof(host_address)) < 0 ? -errno : fd;
}

int host_create_memory(size_t size) {
	int fd = memfd_create("test", MFD_CLOEXEC);
	return ftruncate(fd, (off_t)size) < 0 ? -errno : fd;
}

int host_create_pages(int file, uint64_t offset, uint64_t size) {
	(void)file;
	(void)offset;
	(void)size;
	return -ENOTTY;
}

int host_create_pipe(bool guest_reads) {
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	far_ends[fds[guest_reads ? 0 : 1]] = fds[guest_reads ? 1 : 0];
	fcntl(fds[guest_reads ? 0 : 1], F_SETFL, O_NONBLOCK);
	return fds[guest_reads ? 0 : 1];
}

bool host_can_send(int fd) {
	(void)fd;
	return false;
}

union control {
	struct cmsghdr header;
	uint8_t space[CMSG_SPACE(HOST_FDS_MAX * sizeof(int))];
};

/* A duplicate of a pipe stands for the same pipe. */
static int far_end(int fd) {
	char own[64] = "", other[64] = "", path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, own, sizeof(own) - 1) < 0) {
		return fd;
	}
	for (int i = 0; i < 1024; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		memset(other, 0, sizeof(other));
		if (far_ends[i] > 0 && readlink(path, other, sizeof(other) - 1) > 0 &&
			strcmp(own, other) == 0) {
			int end = far_ends[i];
			far_ends[i] = 0;
			return end;
		}
	}
	return fd;
}

ssize_t host_send(int connection, const void *data, size_t len, const int *fds, unsigned fd_count) {
	union control control = {.header = {.cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {(void *)data, len};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	int far[HOST_FDS_MAX];
	for (unsigned i = 0; i < fd_count; i++) {
		far[i] = far_end(fds[i]);
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &far[i], sizeof(int));
	}
	if (fd_count > 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	ssize_t size = sendmsg(connection, &header, MSG_NOSIGNAL);
	int error = errno;
	for (unsigned i = 0; i < fd_count; i++) {
		if (far[i] != fds[i]) {
			close(far[i]);
		}
	}
	return size < 0 ? -error : size;
}

ssize_t host_receive(int connection, void *data, size_t len, int fds[HOST_FDS_MAX], unsigned *fd_count) {
	union control control;
	struct iovec part = {data, len};
	struct msghdr header = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = size >= 0 ? CMSG_FIRSTHDR(&header) : NULL;
	*fd_count = c != NULL ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
	if (c != NULL) {
		memcpy(fds, CMSG_DATA(c), *fd_count * sizeof(int));
	}
	return size < 0 ? -errno : size;
}

/* ---- the proxy ---- */

static int listen_on(struct sockaddr_un *address, const char *folder, const char *name) {
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s", folder, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* As root: what belongs to another user, or may not be opened, is closed to the proxy, too. */
static void respect_modes(void) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	syscall(SYS_capget, &header, data);
	data[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
	syscall(SYS_capset, &header, data);
}

static void proxy_main(int fd, int log) {
	dup2(log, 2);
	respect_modes();
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	listener_run(fd);
	_exit(1);
}

/* ---- the server ---- */

struct fixture {
	char folder[32];
	struct sockaddr_un address; /* the proxy's */
	pid_t proxy;
	int log; /* what the proxy says */
	struct wl_display *server;
	/* What the server was told last */
	struct wl_resource *attached, *source, *surface;
	bool attached_any, keep;
	unsigned commits, clients;
	int32_t width, height;
	uint8_t pixels[BYTES * 4];
	int received;   /* the descriptor of data_offer.receive */
	uint64_t slept; /* how long its clock stood still */
};

static struct fixture *f;

static void destroy_resource(struct wl_client *client, struct wl_resource *resource) {
	(void)client;
	wl_resource_destroy(resource);
}

static void server_attach(struct wl_client *client, struct wl_resource *surface, struct wl_resource *buffer,
	int32_t x, int32_t y) {
	(void)client;
	(void)surface;
	(void)x;
	(void)y;
	f->attached = buffer;
	f->attached_any = true;
}

static void server_rect(struct wl_client *client, struct wl_resource *surface, int32_t x, int32_t y,
	int32_t width, int32_t height) {
	(void)client;
	(void)surface;
	(void)x;
	(void)y;
	(void)width;
	(void)height;
}

static void server_number(struct wl_client *client, struct wl_resource *surface, int32_t number) {
	(void)client;
	(void)surface;
	(void)number;
}

static void server_commit(struct wl_client *client, struct wl_resource *surface) {
	(void)client;
	f->surface = surface;
	struct wl_shm_buffer *buffer = f->attached != NULL ? wl_shm_buffer_get(f->attached) : NULL;
	f->width = f->height = 0;
	if (buffer != NULL) {
		f->width = wl_shm_buffer_get_width(buffer);
		f->height = wl_shm_buffer_get_height(buffer);
		size_t size = (size_t)wl_shm_buffer_get_stride(buffer) * (size_t)f->height;
		wl_shm_buffer_begin_access(buffer);
		memcpy(f->pixels, wl_shm_buffer_get_data(buffer),
			size < sizeof(f->pixels) ? size : sizeof(f->pixels));
		wl_shm_buffer_end_access(buffer);
		wl_buffer_send_release(f->attached);
	}
	f->commits++;
}

static const struct wl_surface_interface surface_implementation = {
	.destroy = destroy_resource,
	.attach = server_attach,
	.damage = server_rect,
	.commit = server_commit,
	.set_buffer_scale = server_number,
	.set_buffer_transform = server_number,
	.damage_buffer = server_rect,
};

static void server_create_surface(struct wl_client *client, struct wl_resource *compositor, uint32_t id) {
	struct wl_resource *surface =
		wl_resource_create(client, &wl_surface_interface, wl_resource_get_version(compositor), id);
	wl_resource_set_implementation(surface, &surface_implementation, NULL, NULL);
}

static const struct wl_compositor_interface compositor_implementation = {
	.create_surface = server_create_surface};

static void server_bind_compositor(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *resource = wl_resource_create(client, &wl_compositor_interface, (int)version, id);
	wl_resource_set_implementation(resource, &compositor_implementation, data, NULL);
}

/* A keyboard whose keymap nobody may write to, and whose keys repeat as the person likes it. */
static void server_get_keyboard(struct wl_client *client, struct wl_resource *seat, uint32_t id) {
	struct wl_resource *keyboard =
		wl_resource_create(client, &wl_keyboard_interface, wl_resource_get_version(seat), id);
	int fd = memfd_create("keymap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, "the keymap", 11), 11);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	wl_keyboard_send_keymap(keyboard, WL_KEYBOARD_KEYMAP_FORMAT_XKB_V1, fd, 11);
	wl_keyboard_send_repeat_info(keyboard, 33, 444);
	close(fd);
}

/* One finger, once. */
static void server_get_touch(struct wl_client *client, struct wl_resource *seat, uint32_t id) {
	struct wl_resource *touch =
		wl_resource_create(client, &wl_touch_interface, wl_resource_get_version(seat), id);
	wl_touch_send_down(touch, 11, 1, f->surface, 3, wl_fixed_from_int(5), wl_fixed_from_double(6.5));
	wl_touch_send_motion(touch, 2, 3, wl_fixed_from_int(7), wl_fixed_from_int(8));
	wl_touch_send_frame(touch);
	wl_touch_send_up(touch, 12, 4, 3);
	wl_touch_send_cancel(touch);
}

static const struct wl_seat_interface seat_implementation = {
	.get_keyboard = server_get_keyboard, .get_touch = server_get_touch};

static void server_bind_seat(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *resource = wl_resource_create(client, &wl_seat_interface, (int)version, id);
	wl_resource_set_implementation(resource, &seat_implementation, data, NULL);
}

static void server_receive(
	struct wl_client *client, struct wl_resource *offer, const char *type, int32_t fd) {
	(void)client;
	(void)offer;
	assert_string_equal(type, "text/plain");
	f->received = fd;
}

static const struct wl_data_offer_interface offer_implementation = {
	.receive = server_receive, .destroy = destroy_resource};

static void server_set_selection(
	struct wl_client *client, struct wl_resource *device, struct wl_resource *source, uint32_t serial) {
	(void)client;
	(void)device;
	(void)serial;
	f->source = source;
}

static const struct wl_data_device_interface device_implementation = {
	.set_selection = server_set_selection, .release = destroy_resource};

static void server_offer(struct wl_client *client, struct wl_resource *source, const char *type) {
	(void)client;
	(void)source;
	(void)type;
}

static const struct wl_data_source_interface source_implementation = {
	.offer = server_offer, .destroy = destroy_resource};

static void server_create_source(struct wl_client *client, struct wl_resource *manager, uint32_t id) {
	(void)manager;
	struct wl_resource *source = wl_resource_create(client, &wl_data_source_interface, 3, id);
	wl_resource_set_implementation(source, &source_implementation, NULL, NULL);
}

static void server_get_device(
	struct wl_client *client, struct wl_resource *manager, uint32_t id, struct wl_resource *seat) {
	(void)manager;
	(void)seat;
	struct wl_resource *device = wl_resource_create(client, &wl_data_device_interface, 3, id);
	wl_resource_set_implementation(device, &device_implementation, NULL, NULL);
	struct wl_resource *offer = wl_resource_create(client, &wl_data_offer_interface, 3, 0);
	wl_resource_set_implementation(offer, &offer_implementation, NULL, NULL);
	wl_data_device_send_data_offer(device, offer);
	wl_data_offer_send_offer(offer, "text/plain");
	wl_data_device_send_selection(device, offer);
}

static const struct wl_data_device_manager_interface manager_implementation = {
	.create_data_source = server_create_source, .get_data_device = server_get_device};

static void server_bind_manager(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *resource =
		wl_resource_create(client, &wl_data_device_manager_interface, (int)version, id);
	wl_resource_set_implementation(resource, &manager_implementation, data, NULL);
}

/* ---- tablets: without the headers that wayland-scanner would make of their protocol ---- */

static struct wl_resource *add_device(
	struct wl_resource *parent, uint32_t opcode, const struct wl_interface *interface) {
	struct wl_resource *device = wl_resource_create(wl_resource_get_client(parent), interface, 1, 0);
	wl_resource_post_event(parent, opcode, device);
	return device;
}

/* A tablet with a pen that is put down, and a pad with a ring that is turned. */
static int server_tablet_seat(const void *data, void *object, uint32_t opcode,
	const struct wl_message *message, union wl_argument *args) {
	(void)data;
	(void)message;
	assert_int_equal(opcode, ZWP_TABLET_MANAGER_V2_REQUEST_GET_TABLET_SEAT);
	struct wl_resource *seat = wl_resource_create(
		wl_resource_get_client(object), &zwp_tablet_seat_v2_interface, 1, args[0].n);
	struct wl_resource *tablet =
		add_device(seat, ZWP_TABLET_SEAT_V2_EVENT_TABLET_ADDED, &zwp_tablet_v2_interface);
	struct wl_resource *tool =
		add_device(seat, ZWP_TABLET_SEAT_V2_EVENT_TOOL_ADDED, &zwp_tablet_tool_v2_interface);
	wl_resource_post_event(tool, ZWP_TABLET_TOOL_V2_EVENT_PROXIMITY_IN, 21, tablet, f->surface);
	wl_resource_post_event(tool, ZWP_TABLET_TOOL_V2_EVENT_DOWN, 22);
	struct wl_resource *pad =
		add_device(seat, ZWP_TABLET_SEAT_V2_EVENT_PAD_ADDED, &zwp_tablet_pad_v2_interface);
	struct wl_resource *group =
		add_device(pad, ZWP_TABLET_PAD_V2_EVENT_GROUP, &zwp_tablet_pad_group_v2_interface);
	struct wl_resource *ring =
		add_device(group, ZWP_TABLET_PAD_GROUP_V2_EVENT_RING, &zwp_tablet_pad_ring_v2_interface);
	wl_resource_post_event(ring, ZWP_TABLET_PAD_RING_V2_EVENT_ANGLE, wl_fixed_from_int(90));
	return 0;
}

static void server_bind_tablets(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *resource =
		wl_resource_create(client, &zwp_tablet_manager_v2_interface, (int)version, id);
	wl_resource_set_dispatcher(resource, server_tablet_seat, NULL, data, NULL);
}

/* The compositor's clock is another one, far from any of this machine. */
#define OTHER_CLOCK 11
#define FAR_NS 123456789000000000ull

static uint64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void server_feedback(struct wl_client *client, struct wl_resource *presentation,
	struct wl_resource *surface, uint32_t id) {
	(void)presentation;
	(void)surface;
	struct wl_resource *feedback = wl_resource_create(client, &wp_presentation_feedback_interface, 1, id);
	uint64_t time = now_ns() + FAR_NS - f->slept, seconds = time / 1000000000u;
	wl_resource_post_event(feedback, WP_PRESENTATION_FEEDBACK_EVENT_PRESENTED, (uint32_t)(seconds >> 32),
		(uint32_t)seconds, (uint32_t)(time % 1000000000u), 16666666u, 0u, 7u, 1u);
	wl_resource_destroy(feedback);
}

static const struct {
	void (*destroy)(struct wl_client *, struct wl_resource *);
	void (*feedback)(struct wl_client *, struct wl_resource *, struct wl_resource *, uint32_t);
} presentation_implementation = {destroy_resource, server_feedback};

static void server_bind_presentation(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	struct wl_resource *resource =
		wl_resource_create(client, &wp_presentation_interface, (int)version, id);
	wl_resource_set_implementation(resource, &presentation_implementation, data, NULL);
	wl_resource_post_event(resource, WP_PRESENTATION_EVENT_CLOCK_ID, OTHER_CLOCK);
}

static const struct wl_interface unknown_interface = {.name = "unknown_thing", .version = 1};

static void server_bind_unknown(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	(void)client;
	(void)data;
	(void)version;
	(void)id;
	fail_msg("an unknown global was bound");
}

static struct wl_listener client_gone_listeners[512];

static void client_gone(struct wl_listener *listener, void *data) {
	(void)listener;
	(void)data;
	f->clients--;
}

static void client_came(struct wl_listener *listener, void *data) {
	(void)listener;
	static unsigned next;
	struct wl_listener *gone = &client_gone_listeners[next++ % 512];
	gone->notify = client_gone;
	wl_client_add_destroy_listener(data, gone);
	f->clients++;
}

static struct wl_listener client_listener = {.notify = client_came};

/* ---- a client ---- */

struct program {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct wl_seat *seat;
	struct wl_data_device_manager *manager;
	struct wl_surface *surface;
	unsigned releases, unknown;
	int keymap;
	uint32_t keymap_size;
	int32_t repeat_rate, repeat_delay;
	struct wl_data_offer *offer;
	const char *data; /* of its source */
	struct wl_proxy *tablets;
	char heard[512];
	struct wl_proxy *presentation;
	uint32_t clock;
	uint64_t shown; /* when its last frame was, as it was told */
};

static void on_clock(void *data, struct wl_proxy *presentation, uint32_t clock) {
	(void)presentation;
	((struct program *)data)->clock = clock;
}

static void (*presentation_listener[])(void *, struct wl_proxy *, uint32_t) = {on_clock};

static void on_global(
	void *data, struct wl_registry *registry, uint32_t name, const char *interface, uint32_t version) {
	struct program *p = data;
	if (strcmp(interface, "wl_compositor") == 0) {
		p->compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 4);
	} else if (strcmp(interface, "wl_shm") == 0) {
		assert_int_equal(version, 1);
		p->shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (strcmp(interface, "wl_seat") == 0) {
		p->seat = wl_registry_bind(registry, name, &wl_seat_interface, 5);
	} else if (strcmp(interface, "wl_data_device_manager") == 0) {
		p->manager = wl_registry_bind(registry, name, &wl_data_device_manager_interface, 3);
	} else if (strcmp(interface, "zwp_tablet_manager_v2") == 0) {
		p->tablets = wl_registry_bind(registry, name, &zwp_tablet_manager_v2_interface, 1);
	} else if (strcmp(interface, "wp_presentation") == 0) {
		p->presentation = wl_registry_bind(registry, name, &wp_presentation_interface, 1);
		wl_proxy_add_listener(p->presentation, (void (**)(void))presentation_listener, p);
	} else {
		p->unknown++;
	}
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t name) {
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {on_global, on_global_remove};

/* Let everybody do what there is to do. -1: the client's connection is over. */
static int turn(struct program *p) {
	wl_event_loop_dispatch(wl_display_get_event_loop(f->server), 0);
	wl_display_flush_clients(f->server);
	if (wl_display_dispatch_pending(p->display) < 0 ||
		(wl_display_flush(p->display) < 0 && errno != EAGAIN && errno != EPIPE)) {
		return -1;
	}
	struct pollfd ready = {wl_display_get_fd(p->display), POLLIN, 0};
	if (wl_display_prepare_read(p->display) == 0) {
		if (poll(&ready, 1, 1) > 0) {
			wl_display_read_events(p->display);
		} else {
			wl_display_cancel_read(p->display);
		}
	}
	return wl_display_dispatch_pending(p->display);
}

static void on_done(void *data, struct wl_callback *callback, uint32_t serial) {
	(void)serial;
	*(bool *)data = true;
	wl_callback_destroy(callback);
}

static const struct wl_callback_listener done_listener = {on_done};

/* 0 when all that was sent before is done, -1 when the connection ended. */
static int roundtrip(struct program *p) {
	time_t end = time(NULL) + PATIENCE;
	bool done = false;
	struct wl_callback *callback = wl_display_sync(p->display);
	wl_callback_add_listener(callback, &done_listener, &done);
	while (!done && time(NULL) < end) {
		if (turn(p) < 0) {
			wl_callback_destroy(callback);
			return -1;
		}
	}
	assert_true(done);
	return 0;
}

static void program_start(struct program *p) {
	*p = (struct program){.keymap = -1};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&f->address, sizeof(f->address)), 0);
	p->display = wl_display_connect_to_fd(fd);
	p->registry = wl_display_get_registry(p->display);
	wl_registry_add_listener(p->registry, &registry_listener, p);
	assert_int_equal(roundtrip(p), 0);
	assert_non_null(p->compositor);
	p->surface = wl_compositor_create_surface(p->compositor);
}

static void program_end(struct program *p) {
	if (p->presentation != NULL) {
		wl_proxy_destroy(p->presentation);
	}
	if (p->offer != NULL) {
		wl_data_offer_destroy(p->offer);
	}
	wl_surface_destroy(p->surface);
	wl_compositor_destroy(p->compositor);
	wl_shm_destroy(p->shm);
	wl_seat_destroy(p->seat);
	wl_data_device_manager_destroy(p->manager);
	wl_proxy_destroy(p->tablets);
	wl_registry_destroy(p->registry);
	wl_display_disconnect(p->display);
}

struct memory {
	int fd;
	uint8_t *data;
	struct wl_shm_pool *pool;
};

static void memory_init(struct memory *memory, struct program *p, size_t size) {
	memory->fd = memfd_create("pool", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memory->fd, (off_t)size), 0);
	memory->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	memory->pool = wl_shm_create_pool(p->shm, memory->fd, (int32_t)size);
}

static void memory_finish(struct memory *memory, size_t size) {
	munmap(memory->data, size);
	close(memory->fd);
	wl_shm_pool_destroy(memory->pool);
}

static void on_release(void *data, struct wl_buffer *buffer) {
	(void)buffer;
	((struct program *)data)->releases++;
}

static const struct wl_buffer_listener buffer_listener = {on_release};

static struct wl_buffer *buffer_at(struct program *p, struct memory *memory, int32_t offset) {
	struct wl_buffer *buffer =
		wl_shm_pool_create_buffer(memory->pool, offset, SIZE, SIZE, STRIDE, WL_SHM_FORMAT_XRGB8888);
	wl_buffer_add_listener(buffer, &buffer_listener, p);
	return buffer;
}

static void fill(uint8_t *pixels, uint8_t value) {
	memset(pixels, value, BYTES);
}

/* A square of 4 x 4 pixels. */
static void square(uint8_t *pixels, int x, int y, uint8_t value) {
	for (int row = y; row < y + 4; row++) {
		memset(pixels + row * STRIDE + x * 4, value, 16);
	}
}

static bool same_square(const uint8_t *pixels, int x, int y) {
	bool same = true;
	for (int row = y; row < y + 4; row++) {
		same &= memcmp(pixels + row * STRIDE + x * 4, f->pixels + row * STRIDE + x * 4, 16) == 0;
	}
	return same;
}

/* Show the buffer with a square of it as damage, or with all of it when x is negative. */
static void show(struct program *p, struct wl_buffer *buffer, int x, int y) {
	wl_surface_attach(p->surface, buffer, 0, 0);
	if (x < 0) {
		wl_surface_damage_buffer(p->surface, 0, 0, INT32_MAX, INT32_MAX);
	} else {
		wl_surface_damage_buffer(p->surface, x, y, 4, 4);
	}
	wl_surface_commit(p->surface);
	assert_int_equal(roundtrip(p), 0);
}

/* ---- tests ---- */

static int set_up(void **state) {
	f = calloc(1, sizeof(*f));
	f->received = -1;
	strcpy(f->folder, "/tmp/ph-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	int listener = listen_on(&f->address, f->folder, "guest");
	int server = listen_on(&host_address, f->folder, "host");
	f->log = memfd_create("log", MFD_CLOEXEC);
	f->proxy = fork();
	if (f->proxy == 0) {
		close(server);
		proxy_main(listener, f->log);
	}
	setpgid(f->proxy, f->proxy);
	close(listener);
	f->server = wl_display_create();
	wl_display_add_socket_fd(f->server, server);
	wl_display_add_client_created_listener(f->server, &client_listener);
	wl_display_init_shm(f->server);
	wl_global_create(f->server, &wl_compositor_interface, 4, NULL, server_bind_compositor);
	wl_global_create(f->server, &wl_seat_interface, 5, NULL, server_bind_seat);
	wl_global_create(f->server, &wl_data_device_manager_interface, 3, NULL, server_bind_manager);
	wl_global_create(f->server, &wp_presentation_interface, 1, NULL, server_bind_presentation);
	wl_global_create(f->server, &unknown_interface, 1, NULL, server_bind_unknown);
	wl_global_create(f->server, &zwp_tablet_manager_v2_interface, 1, NULL, server_bind_tablets);
	*state = f;
	return 0;
}

static bool has_children(pid_t pid) {
	char path[64], children[16];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	return fd_read_file(path, children, sizeof(children)) > 0;
}

/* Each program's process has ended, and none of them by a crash. */
static bool all_well(void) {
	static char said[65536];
	time_t end = time(NULL) + PATIENCE;
	while (has_children(f->proxy) && time(NULL) < end) {
		wl_event_loop_dispatch(wl_display_get_event_loop(f->server), 1);
	}
	said[pread(f->log, said, sizeof(said) - 1, 0)] = '\0';
	fputs(said, stderr);
	return !has_children(f->proxy) && strstr(said, "Sanitizer") == NULL &&
	       strstr(said, "runtime error") == NULL && strstr(said, "are gone") == NULL;
}

static int tear_down(void **state) {
	(void)state;
	int status;
	/* A crash of the proxy would have ended it before. */
	bool alive = all_well() && waitpid(f->proxy, &status, WNOHANG) == 0;
	kill(f->proxy, SIGKILL);
	waitpid(f->proxy, &status, 0);
	if (f->server != NULL) {
		wl_display_destroy_clients(f->server);
		wl_display_destroy(f->server);
	}
	unlink(f->address.sun_path);
	unlink(host_address.sun_path);
	rmdir(f->folder);
	close(f->log);
	free(f);
	return alive ? 0 : -1;
}

static void test_globals(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	assert_int_equal(p.unknown, 0);
	program_end(&p);
	/* A client that binds what it was not told of loses its own connection. */
	struct program other;
	program_start(&p);
	program_start(&other);
	struct wl_proxy *bound = wl_registry_bind(p.registry, 6, &unknown_interface, 1);
	assert_int_equal(roundtrip(&p), -1);
	assert_int_equal(wl_display_get_error(p.display), EPROTO);
	wl_proxy_destroy(bound);
	assert_int_equal(roundtrip(&other), 0);
	program_end(&p);
	program_end(&other);
}

static void test_pixels(void **state) {
	(void)state;
	struct program p;
	struct memory memory;
	program_start(&p);
	memory_init(&memory, &p, BYTES * 2);
	/* Not where a page begins */
	struct wl_buffer *buffer = buffer_at(&p, &memory, 836);
	for (int i = 0; i < BYTES; i++) {
		memory.data[836 + i] = (uint8_t)(i * 7 + i / STRIDE);
	}
	show(&p, buffer, -1, 0);
	assert_int_equal(f->commits, 1);
	assert_int_equal(f->width, SIZE);
	assert_memory_equal(f->pixels, memory.data + 836, BYTES);
	assert_int_equal(p.releases, 1);
	wl_surface_attach(p.surface, NULL, 0, 0);
	wl_surface_commit(p.surface);
	assert_int_equal(roundtrip(&p), 0);
	assert_int_equal(f->width, 0);
	wl_buffer_destroy(buffer);
	memory_finish(&memory, BYTES * 2);
	program_end(&p);
}

/* Only what is damaged is copied, but of all frames since the buffer was last shown. */
static void test_damage(void **state) {
	(void)state;
	struct program p;
	struct memory memory;
	program_start(&p);
	memory_init(&memory, &p, BYTES * 2);
	uint8_t *first = memory.data, *second = memory.data + BYTES;
	struct wl_buffer *a = buffer_at(&p, &memory, 0), *b = buffer_at(&p, &memory, BYTES);
	fill(first, 1);
	fill(second, 1);
	show(&p, a, -1, 0);
	show(&p, b, -1, 0);
	show(&p, a, 0, 0);
	square(second, 8, 8, 2);
	show(&p, b, 8, 8);
	assert_memory_equal(f->pixels, second, BYTES);
	/* The first buffer gets both squares, of which its own frame names one. */
	square(first, 8, 8, 2);
	square(first, 40, 20, 3);
	square(first, 0, 60, 4);
	show(&p, a, 40, 20);
	assert_true(same_square(first, 8, 8));
	assert_true(same_square(first, 40, 20));
	assert_false(same_square(first, 0, 60));
	/* Without a word about damage nothing is copied. */
	square(first, 20, 20, 5);
	wl_surface_attach(p.surface, a, 0, 0);
	wl_surface_commit(p.surface);
	assert_int_equal(roundtrip(&p), 0);
	assert_false(same_square(first, 20, 20));
	/* Another surface knows nothing of this one's frames. */
	wl_surface_destroy(p.surface);
	p.surface = wl_compositor_create_surface(p.compositor);
	show(&p, a, 50, 50);
	assert_memory_equal(f->pixels, first, BYTES);
	wl_buffer_destroy(a);
	wl_buffer_destroy(b);
	memory_finish(&memory, BYTES * 2);
	program_end(&p);
}

static void test_surface_damage(void **state) {
	(void)state;
	struct program p;
	struct memory memory;
	program_start(&p);
	memory_init(&memory, &p, BYTES);
	struct wl_buffer *a = buffer_at(&p, &memory, 0);
	wl_surface_set_buffer_scale(p.surface, 2);
	show(&p, a, -1, 0);
	square(memory.data, 20, 20, 5);
	square(memory.data, 10, 10, 6);
	wl_surface_attach(p.surface, a, 0, 0);
	wl_surface_damage(p.surface, 10, 10, 2, 2);
	wl_surface_commit(p.surface);
	assert_int_equal(roundtrip(&p), 0);
	assert_true(same_square(memory.data, 20, 20));
	assert_false(same_square(memory.data, 10, 10));
	wl_surface_set_buffer_transform(p.surface, WL_OUTPUT_TRANSFORM_90);
	wl_surface_attach(p.surface, a, 0, 0);
	wl_surface_damage(p.surface, 0, 0, 1, 1);
	wl_surface_commit(p.surface);
	assert_int_equal(roundtrip(&p), 0);
	assert_memory_equal(f->pixels, memory.data, BYTES);
	wl_buffer_destroy(a);
	memory_finish(&memory, BYTES);
	program_end(&p);
}

static void test_pools(void **state) {
	(void)state;
	struct program p;
	struct memory memory;
	program_start(&p);
	memory_init(&memory, &p, BYTES);
	/* The pool grows; its object goes before its buffers; those overlap. */
	assert_int_equal(ftruncate(memory.fd, BYTES * 2), 0);
	munmap(memory.data, BYTES);
	memory.data = mmap(NULL, BYTES * 2, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
	wl_shm_pool_resize(memory.pool, BYTES * 2);
	struct wl_buffer *a = buffer_at(&p, &memory, BYTES), *b = buffer_at(&p, &memory, BYTES / 2);
	fill(memory.data + BYTES, 3);
	fill(memory.data, 2);
	wl_shm_pool_destroy(memory.pool);
	show(&p, a, -1, 0);
	assert_memory_equal(f->pixels, memory.data + BYTES, BYTES);
	show(&p, b, -1, 0);
	assert_memory_equal(f->pixels, memory.data + BYTES / 2, BYTES);
	/* Attached, and gone before it is shown */
	wl_surface_attach(p.surface, a, 0, 0);
	wl_buffer_destroy(a);
	wl_surface_attach(p.surface, b, 0, 0);
	wl_surface_commit(p.surface);
	assert_int_equal(roundtrip(&p), 0);
	wl_buffer_destroy(b);
	munmap(memory.data, BYTES * 2);
	close(memory.fd);
	program_end(&p);
}

static uint32_t protocol_error(struct program *p, const char *interface) {
	const struct wl_interface *found = NULL;
	uint32_t id;
	assert_int_equal(roundtrip(p), -1);
	assert_int_equal(wl_display_get_error(p->display), EPROTO);
	uint32_t code = wl_display_get_protocol_error(p->display, &found, &id);
	assert_non_null(found);
	assert_string_equal(found->name, interface);
	return code;
}

/* A client that cuts off its memory, or asks for more than there is, hears of it; others do not. */
static void test_bad_memory(void **state) {
	(void)state;
	struct program good, bad;
	struct memory memory;
	program_start(&good);
	program_start(&bad);
	memory_init(&memory, &bad, BYTES);
	struct wl_buffer *buffer = buffer_at(&bad, &memory, 0);
	show(&bad, buffer, -1, 0);
	assert_int_equal(ftruncate(memory.fd, BYTES / 2), 0);
	wl_surface_attach(bad.surface, buffer, 0, 0);
	wl_surface_damage_buffer(bad.surface, 0, 0, SIZE, SIZE);
	wl_surface_commit(bad.surface);
	assert_int_equal(protocol_error(&bad, "wl_buffer"), WL_SHM_ERROR_INVALID_FD);
	wl_buffer_destroy(buffer);
	memory_finish(&memory, BYTES);
	program_end(&bad);
	program_start(&bad);
	memory_init(&memory, &bad, BYTES);
	buffer = buffer_at(&bad, &memory, 4);
	assert_int_equal(protocol_error(&bad, "wl_shm_pool"), WL_SHM_ERROR_INVALID_STRIDE);
	wl_buffer_destroy(buffer);
	memory_finish(&memory, BYTES);
	program_end(&bad);
	assert_int_equal(roundtrip(&good), 0);
	program_end(&good);
}

/* A line is as long as its pixels are, of which the proxy copies all. */
static void test_short_lines(void **state) {
	(void)state;
	static const struct {
		uint32_t format;
		int32_t pixel;
	} formats[] = {{WL_SHM_FORMAT_ARGB8888, 4}, {WL_SHM_FORMAT_RGB565, 2}, {WL_SHM_FORMAT_BGR888, 3},
		{WL_SHM_FORMAT_ABGR16161616F, 8}};
	enum { WIDTH = BYTES / 8 };
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		for (int32_t missing = 0; missing < 2; missing++) {
			struct program p;
			struct memory memory;
			program_start(&p);
			memory_init(&memory, &p, BYTES);
			struct wl_buffer *buffer = wl_shm_pool_create_buffer(memory.pool, 0, WIDTH, 1,
				WIDTH * formats[i].pixel - missing, formats[i].format);
			if (missing == 0) {
				assert_int_equal(roundtrip(&p), 0);
			} else {
				assert_int_equal(
					protocol_error(&p, "wl_shm_pool"), WL_SHM_ERROR_INVALID_STRIDE);
			}
			wl_buffer_destroy(buffer);
			memory_finish(&memory, BYTES);
			program_end(&p);
		}
	}
}

/* Nobody here can tell how much memory their pixels take. */
static void test_unknown_formats(void **state) {
	(void)state;
	static const uint32_t formats[] = {WL_SHM_FORMAT_YUV420, WL_SHM_FORMAT_NV12, WL_SHM_FORMAT_YUYV, 2};
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct program p;
		struct memory memory;
		program_start(&p);
		memory_init(&memory, &p, BYTES);
		struct wl_buffer *buffer = wl_shm_pool_create_buffer(memory.pool, 0, 16, 16, 64, formats[i]);
		assert_int_equal(protocol_error(&p, "wl_shm_pool"), WL_SHM_ERROR_INVALID_FORMAT);
		wl_buffer_destroy(buffer);
		memory_finish(&memory, BYTES);
		program_end(&p);
	}
}

/* Of anything but memory the proxy could not say that reading it ends. */
static void test_pool_of_a_file(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct wl_shm_pool *pool = wl_shm_create_pool(p.shm, fd, 1);
	assert_int_equal(protocol_error(&p, "wl_shm"), WL_SHM_ERROR_INVALID_FD);
	wl_shm_pool_destroy(pool);
	close(fd);
	program_end(&p);
}

static void on_keymap(void *data, struct wl_keyboard *keyboard, uint32_t format, int32_t fd, uint32_t size) {
	struct program *p = data;
	(void)keyboard;
	(void)format;
	p->keymap = fd;
	p->keymap_size = size;
}

static void on_repeat(void *data, struct wl_keyboard *keyboard, int32_t rate, int32_t delay) {
	struct program *p = data;
	(void)keyboard;
	p->repeat_rate = rate;
	p->repeat_delay = delay;
}

static const struct wl_keyboard_listener keyboard_listener = {.keymap = on_keymap, .repeat_info = on_repeat};

static void test_keymap(void **state) {
	(void)state;
	struct program p;
	char text[16] = "";
	program_start(&p);
	struct wl_keyboard *keyboard = wl_seat_get_keyboard(p.seat);
	wl_keyboard_add_listener(keyboard, &keyboard_listener, &p);
	assert_int_equal(roundtrip(&p), 0);
	assert_int_equal(p.keymap_size, 11);
	assert_int_equal(pread(p.keymap, text, sizeof(text), 0), 11);
	assert_string_equal(text, "the keymap");
	assert_int_equal(p.repeat_rate, 33);
	assert_int_equal(p.repeat_delay, 444);
	void *shared = mmap(NULL, 11, PROT_READ, MAP_SHARED, p.keymap, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	munmap(shared, 11);
	close(p.keymap);
	wl_keyboard_destroy(keyboard);
	program_end(&p);
}

/* ---- fingers and pens ---- */

__attribute__((format(printf, 2, 3))) static void note(struct program *p, const char *format, ...) {
	size_t length = strlen(p->heard);
	va_list args;
	va_start(args, format);
	vsnprintf(p->heard + length, sizeof(p->heard) - length, format, args);
	va_end(args);
}

static void on_down(void *data, struct wl_touch *touch, uint32_t serial, uint32_t time,
	struct wl_surface *surface, int32_t id, wl_fixed_t x, wl_fixed_t y) {
	struct program *p = data;
	(void)touch;
	assert_ptr_equal(surface, p->surface);
	note(p, "down %u %u %d %.1f,%.1f ", serial, time, id, wl_fixed_to_double(x), wl_fixed_to_double(y));
}

static void on_up(void *data, struct wl_touch *touch, uint32_t serial, uint32_t time, int32_t id) {
	(void)touch;
	note(data, "up %u %u %d ", serial, time, id);
}

static void on_motion(
	void *data, struct wl_touch *touch, uint32_t time, int32_t id, wl_fixed_t x, wl_fixed_t y) {
	(void)touch;
	note(data, "motion %u %d %d,%d ", time, id, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void on_touch_frame(void *data, struct wl_touch *touch) {
	(void)touch;
	note(data, "frame ");
}

static void on_cancel(void *data, struct wl_touch *touch) {
	(void)touch;
	note(data, "cancel ");
}

static const struct wl_touch_listener touch_listener = {
	.down = on_down, .up = on_up, .motion = on_motion, .frame = on_touch_frame, .cancel = on_cancel};

static void test_touch(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	wl_surface_commit(p.surface);
	struct wl_touch *touch = wl_seat_get_touch(p.seat);
	wl_touch_add_listener(touch, &touch_listener, &p);
	assert_int_equal(roundtrip(&p), 0);
	assert_string_equal(p.heard, "down 11 1 3 5.0,6.5 motion 2 3 7,8 frame up 12 4 3 cancel ");
	wl_touch_destroy(touch);
	program_end(&p);
}

static struct wl_proxy *devices[8];
static unsigned device_count;

static int on_device(const void *implementation, void *object, uint32_t opcode,
	const struct wl_message *message, union wl_argument *args) {
	struct program *p = (struct program *)implementation;
	(void)object;
	(void)opcode;
	note(p, "%s ", message->name);
	if (strcmp(message->signature, "n") == 0) {
		struct wl_proxy *device = (struct wl_proxy *)args[0].o;
		wl_proxy_add_dispatcher(device, on_device, p, NULL);
		devices[device_count++] = device;
	} else if (strcmp(message->name, "proximity_in") == 0) {
		assert_ptr_equal(args[1].o, devices[0]);
		assert_ptr_equal(args[2].o, p->surface);
	} else if (strcmp(message->name, "angle") == 0) {
		note(p, "%d", wl_fixed_to_int(args[0].f));
	}
	return 0;
}

static void test_tablet(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	assert_non_null(p.tablets);
	wl_surface_commit(p.surface);
	struct wl_proxy *seat =
		wl_proxy_marshal_flags(p.tablets, ZWP_TABLET_MANAGER_V2_REQUEST_GET_TABLET_SEAT,
			&zwp_tablet_seat_v2_interface, 1, 0, NULL, p.seat);
	wl_proxy_add_dispatcher(seat, on_device, &p, NULL);
	assert_int_equal(roundtrip(&p), 0);
	assert_string_equal(
		p.heard, "tablet_added tool_added proximity_in down pad_added group ring angle 90");
	while (device_count > 0) {
		wl_proxy_destroy(devices[--device_count]);
	}
	wl_proxy_destroy(seat);
	program_end(&p);
}

/* ---- selections ---- */

static void on_output(void *data, struct wl_proxy *feedback, struct wl_output *output) {
	(void)data;
	(void)feedback;
	(void)output;
}

static void on_presented(void *data, struct wl_proxy *feedback, uint32_t high, uint32_t low, uint32_t ns,
	uint32_t refresh, uint32_t sequence_high, uint32_t sequence_low, uint32_t flags) {
	(void)feedback;
	assert_int_equal(refresh, 16666666);
	assert_int_equal(sequence_high, 0);
	assert_int_equal(sequence_low, 7);
	assert_int_equal(flags, 1);
	((struct program *)data)->shown = ((uint64_t)high << 32 | low) * 1000000000u + ns;
}

struct feedback_listener {
	void (*sync_output)(void *, struct wl_proxy *, struct wl_output *);
	void (*presented)(void *, struct wl_proxy *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
		uint32_t, uint32_t);
	void (*discarded)(void *, struct wl_proxy *);
};
static struct feedback_listener feedback_listener = {on_output, on_presented, NULL};

/* A frame was shown between being committed and being told of, by the program's own clock. */
static void test_presentation(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	assert_int_equal(roundtrip(&p), 0);
	assert_int_equal(p.clock, CLOCK_MONOTONIC);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t committed = now_ns();
		f->slept = i < 3 ? 0 : 60000000000u;
		struct wl_proxy *feedback =
			wl_proxy_marshal_flags(p.presentation, WP_PRESENTATION_REQUEST_FEEDBACK,
				&wp_presentation_feedback_interface, 1, 0, p.surface, NULL);
		wl_proxy_add_listener(feedback, (void (**)(void))(void *)&feedback_listener, &p);
		p.shown = 0;
		assert_int_equal(roundtrip(&p), 0);
		assert_in_range(p.shown, committed, now_ns());
		wl_proxy_destroy(feedback);
	}
	wl_proxy_destroy(p.presentation);
	p.presentation = NULL;
	program_end(&p);
}

/* What a message that took delay says happened, and what it is taken for. */
static int64_t lag(struct distance *distance, int64_t behind, uint64_t now, uint64_t delay) {
	uint64_t shown = now - delay;
	return (int64_t)(distance_translate(distance, shown - (uint64_t)behind, now) - shown);
}

#define MS 1000000

/* An hour of 100 frames a second, whose messages take 1 ms at best and 20 at worst, by clocks that drift
 * apart by 200 us a second. */
static void check_drift(int64_t direction) {
	struct distance distance = {0};
	int64_t behind = direction * 1000 * MS * 10, most = 0, least = 0;
	uint64_t now = 5000 * (uint64_t)MS;
	for (unsigned i = 0; i < 360000; i++) {
		int64_t late = lag(&distance, behind, now, (1 + i * 7 % 20) * (uint64_t)MS);
		most = i > 1000 && late > most ? late : most;
		least = i > 1000 && late < least ? late : least;
		behind += direction * 2000;
		now += 10 * MS;
	}
	assert_in_range(most, 0, 2 * MS);
	assert_in_range(-least, 0, 2 * MS);
}

static void test_drift(void **state) {
	(void)state;
	check_drift(1);
	check_drift(-1);
}

/* One of the clocks stands still for a while, by which it is behind. */
static void test_clock_jump(void **state) {
	(void)state;
	struct distance distance = {0};
	uint64_t now = 7000 * (uint64_t)MS;
	const int64_t jumps[] = {0, 3600000ll * MS, 0, -3600000ll * MS, 1001ll * MS};
	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		now += 16 * MS;
		assert_in_range(lag(&distance, jumps[i], now, MS), 0, MS);
	}
	/* A message that was held up is none: the next is what counts. */
	assert_in_range(lag(&distance, 1001ll * MS, now, 3000 * (uint64_t)MS), 0, 3000ll * MS);
	assert_in_range(lag(&distance, 1001ll * MS, now, MS), 0, MS);
	/* Less than a second: in ten, or at once when nothing was shown meanwhile */
	assert_in_range(-lag(&distance, 1501ll * MS, now, MS), 1, 500 * MS);
	for (unsigned i = 0; i < 11 * 60; i++) {
		now += 17 * MS;
		lag(&distance, 1501ll * MS, now, MS);
	}
	assert_in_range(lag(&distance, 1501ll * MS, now, MS), 0, MS);
	now += 10000 * (uint64_t)MS;
	assert_in_range(lag(&distance, 1801ll * MS, now, MS), 0, MS);
}

static void on_offer(void *data, struct wl_data_device *device, struct wl_data_offer *offer) {
	(void)device;
	((struct program *)data)->offer = offer;
}

static void on_selection(void *data, struct wl_data_device *device, struct wl_data_offer *offer) {
	(void)device;
	assert_ptr_equal(((struct program *)data)->offer, offer);
}

static const struct wl_data_device_listener device_listener = {
	.data_offer = on_offer, .selection = on_selection};

static void on_send(void *data, struct wl_data_source *source, const char *type, int32_t fd) {
	const struct program *p = data;
	(void)source;
	assert_string_equal(type, "text/plain");
	assert_int_equal(write(fd, p->data, strlen(p->data)), strlen(p->data));
	close(fd);
}

static const struct wl_data_source_listener source_listener = {.send = on_send};

/* Both ends of a connection whose first end cannot be closed: it waits for an hour that the second reads. */
static bool make_lingering(int ends[2]) {
	static const uint8_t bytes[65536];
	const struct linger linger = {1, 3600};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
		connect(ends[0], (struct sockaddr *)&address, length) < 0) {
		close(listener);
		close(ends[0]);
		return false;
	}
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	while (send(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
	}
	return setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0;
}

/* A program whose descriptor cannot be closed is the only one that waits for that. */
static void test_unclosable(void **state) {
	(void)state;
	struct program p, other, late;
	int ends[2];
	if (!make_lingering(ends)) {
		print_message("no loopback\n");
		skip();
	}
	program_start(&p);
	program_start(&other);
	struct wl_shm_pool *pool = wl_shm_create_pool(other.shm, ends[0], 1);
	/* Or else it might be here that the last of its owners waits. */
	kill(-f->proxy, SIGSTOP);
	wl_display_flush(other.display);
	close(ends[0]);
	kill(-f->proxy, SIGCONT);
	usleep(100000);
	assert_int_equal(roundtrip(&p), 0);
	program_start(&late);
	program_end(&late);
	close(ends[1]);
	assert_int_equal(protocol_error(&other, "wl_shm"), WL_SHM_ERROR_INVALID_FD);
	wl_shm_pool_destroy(pool);
	program_end(&other);
	program_end(&p);
}

/* More than any pipe holds, to the end. */
static void check_stream(int from, int to) {
	enum { TOTAL = 1 << 20 };
	static uint8_t sent[TOTAL], got[TOTAL + 1];
	for (int i = 0; i < TOTAL; i++) {
		sent[i] = (uint8_t)(i * 31 + (i >> 8));
	}
	pid_t writer = fork();
	if (writer == 0) {
		for (size_t done = 0; done < TOTAL;) {
			ssize_t n = write(to, sent + done, TOTAL - done);
			if (n < 0) {
				_exit(1);
			}
			done += (size_t)n;
		}
		_exit(0);
	}
	close(to);
	size_t count = 0;
	ssize_t n;
	while ((n = read(from, got + count, sizeof(got) - count)) > 0) {
		count += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(count, TOTAL);
	assert_memory_equal(got, sent, TOTAL);
	waitpid(writer, NULL, 0);
	close(from);
}

static void test_selection(void **state) {
	(void)state;
	struct program p;
	int ends[2];
	program_start(&p);
	struct wl_data_device *device = wl_data_device_manager_get_data_device(p.manager, p.seat);
	wl_data_device_add_listener(device, &device_listener, &p);
	assert_int_equal(roundtrip(&p), 0);
	assert_non_null(p.offer);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wl_data_offer_receive(p.offer, "text/plain", ends[1]);
	wl_display_flush(p.display);
	close(ends[1]);
	assert_int_equal(roundtrip(&p), 0);
	assert_true(f->received >= 0);
	check_stream(ends[0], f->received);

	p.data = "from the guest";
	struct wl_data_source *source = wl_data_device_manager_create_data_source(p.manager);
	wl_data_source_add_listener(source, &source_listener, &p);
	wl_data_source_offer(source, "text/plain");
	wl_data_device_set_selection(device, source, 0);
	assert_int_equal(roundtrip(&p), 0);
	assert_non_null(f->source);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wl_data_source_send_send(f->source, "text/plain", ends[1]);
	close(ends[1]);
	assert_int_equal(roundtrip(&p), 0);
	char text[64] = "";
	assert_int_equal(read(ends[0], text, sizeof(text)), strlen(p.data));
	assert_string_equal(text, p.data);
	assert_int_equal(read(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
	wl_data_source_destroy(source);
	wl_data_device_destroy(device);
	program_end(&p);
}

static struct wl_data_device *find_offer(struct program *p) {
	struct wl_data_device *device = wl_data_device_manager_get_data_device(p->manager, p->seat);
	wl_data_device_add_listener(device, &device_listener, p);
	assert_int_equal(roundtrip(p), 0);
	assert_non_null(p->offer);
	return device;
}

static void receive_by(struct program *p, int fd) {
	wl_data_offer_receive(p->offer, "text/plain", fd);
	assert_int_equal(roundtrip(p), 0);
}

/* What a program asked for reaches whom it gave the pipe to, even when it has ended itself. */
static void test_selection_after_the_end(void **state) {
	(void)state;
	struct program p;
	int ends[2];
	program_start(&p);
	struct wl_data_device *device = find_offer(&p);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	receive_by(&p, ends[1]);
	close(ends[1]);
	wl_data_device_destroy(device);
	program_end(&p);
	while (f->clients > 0) {
		wl_event_loop_dispatch(wl_display_get_event_loop(f->server), 1);
	}
	assert_true(has_children(f->proxy));
	check_stream(ends[0], f->received);
}

/* Write until nothing of it is taken any more. */
static size_t fill_up(struct program *p, int fd) {
	static const uint8_t bytes[65536];
	size_t total = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (unsigned idle = 0; idle < 20;) {
		ssize_t n = write(fd, bytes, sizeof(bytes));
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		assert_int_equal(roundtrip(p), 0);
	}
	return total;
}

/* A program that does not read, and says of its end that writing to it waits, holds up nobody. */
static void check_slow_reader(int ours, int theirs) {
	struct program p;
	program_start(&p);
	struct wl_data_device *device = find_offer(&p);
	receive_by(&p, theirs);
	assert_true(f->received >= 0);
	assert_int_equal(fcntl(theirs, F_SETFL, 0), 0);
	size_t sent = fill_up(&p, f->received), got = 0;
	close(f->received);
	close(theirs);
	uint8_t bytes[4096];
	ssize_t n;
	while ((n = read(ours, bytes, sizeof(bytes))) > 0) {
		got += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(got, sent);
	close(ours);
	wl_data_device_destroy(device);
	program_end(&p);
}

static void test_slow_pipe(void **state) {
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	check_slow_reader(ends[0], ends[1]);
}

/* A program of another user's has pipes that the proxy cannot open anew. */
static void test_slow_pipe_of_another(void **state) {
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fchmod(ends[1], 0), 0);
	check_slow_reader(ends[0], ends[1]);
}

static void test_slow_socket(void **state) {
	(void)state;
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	check_slow_reader(ends[0], ends[1]);
}

/* What could hold up the proxy gets no data; the connection stays. */
static void test_receive_by_a_file(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	struct wl_data_device *device = find_offer(&p);
	int fd = memfd_create("file", MFD_CLOEXEC);
	receive_by(&p, fd);
	assert_int_equal(f->received, -1);
	close(fd);
	wl_data_device_destroy(device);
	program_end(&p);
}

static unsigned count_fds(pid_t pid) {
	char path[32];
	unsigned count = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	while (readdir(dir) != NULL) {
		count++;
	}
	closedir(dir);
	return count;
}

/* Once it has let go of the pipe by which it heard that a program was taken in. */
static unsigned settled_fds(pid_t pid) {
	unsigned least = count_fds(pid);
	for (int i = 0; i < 100; i++) {
		usleep(2000);
		unsigned now = count_fds(pid);
		least = now < least ? now : least;
	}
	return least;
}

static void test_many(void **state) {
	(void)state;
	struct program p;
	struct memory memory;
	program_start(&p);
	unsigned before = settled_fds(f->proxy);
	for (int i = 0; i < 100; i++) {
		struct program other;
		program_start(&other);
		memory_init(&memory, &other, BYTES);
		struct wl_buffer *buffer = buffer_at(&other, &memory, 0);
		show(&other, buffer, -1, 0);
		wl_buffer_destroy(buffer);
		memory_finish(&memory, BYTES);
		program_end(&other);
	}
	time_t end = time(NULL) + PATIENCE;
	while ((f->clients > 1 || count_fds(f->proxy) != before) && time(NULL) < end) {
		assert_int_equal(roundtrip(&p), 0);
	}
	assert_int_equal(f->clients, 1);
	assert_int_equal(count_fds(f->proxy), before);
	program_end(&p);
}

/* The compositor is gone: programs hear of it as they do on a system, and may look for the next one. */
static void test_server_gone(void **state) {
	(void)state;
	struct program p;
	program_start(&p);
	wl_display_destroy_clients(f->server);
	f->clients = 0;
	assert_int_equal(roundtrip(&p), -1);
	int error = wl_display_get_error(p.display);
	assert_true(error == EPIPE || error == ECONNRESET); /* with what it asked last unread */
	program_end(&p);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_globals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pixels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_surface_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pools, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_formats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pool_of_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keymap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_touch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tablet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_presentation, set_up, tear_down),
		cmocka_unit_test(test_drift),
		cmocka_unit_test(test_clock_jump),
		cmocka_unit_test_setup_teardown(test_selection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_selection_after_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_pipe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_pipe_of_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_receive_by_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unclosable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_gone, set_up, tear_down),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
