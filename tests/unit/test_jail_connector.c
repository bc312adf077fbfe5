/*
 * The connector in its jail: servers that are replaced while it runs, and a compositor (libwayland's server
 * in a process of its own) that has security contexts, has none, or refuses to give one. Linked without
 * sanitizers, which make system calls of their own.
 */
#include "ph/connector.h"

#include "connector/request.h"
#include "ph/fd.h"
#include "ph/jail.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include <cmocka.h>

/* What the compositor saw; it writes, the test reads. */
struct seen {
	int clients, sandboxed, contexts;
	char engine[32], app_id[32], instance_id[32];
	int closed; /* contexts whose other end has let go */
};

enum behaviour { NO_CONTEXTS, CONTEXTS, REFUSES };

struct fixture {
	char folder[32], path[64], other[64];
	struct connector connector;
	struct connector_door doors[2];
	struct seen *seen;
	pid_t compositor;
};

/* ---- the compositor ---- */

static struct seen *seen;
static struct wl_display *display;
static enum behaviour behaviour;
static int listen_fd, close_fd;
static struct wl_event_source *closed_source;

static int accept_sandboxed(int fd, uint32_t mask, void *data) {
	(void)mask;
	(void)data;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (client >= 0) {
		seen->sandboxed++;
		wl_client_create(display, client);
	}
	return 0;
}

static int context_closed(int fd, uint32_t mask, void *data) {
	(void)fd;
	(void)mask;
	(void)data;
	seen->closed++;
	wl_event_source_remove(closed_source);
	return 0;
}

static void destroy_resource(struct wl_client *client, struct wl_resource *resource) {
	(void)client;
	wl_resource_destroy(resource);
}

static void set_engine(struct wl_client *client, struct wl_resource *resource, const char *text) {
	(void)client;
	(void)resource;
	snprintf(seen->engine, sizeof(seen->engine), "%s", text);
}

static void set_app_id(struct wl_client *client, struct wl_resource *resource, const char *text) {
	(void)client;
	(void)resource;
	snprintf(seen->app_id, sizeof(seen->app_id), "%s", text);
}

static void set_instance_id(struct wl_client *client, struct wl_resource *resource, const char *text) {
	(void)client;
	(void)resource;
	snprintf(seen->instance_id, sizeof(seen->instance_id), "%s", text);
}

static void commit(struct wl_client *client, struct wl_resource *resource) {
	struct wl_event_loop *loop = wl_display_get_event_loop(display);
	if (behaviour == REFUSES) {
		wl_resource_post_error(resource, 1, "no");
		return;
	}
	(void)client;
	seen->contexts++;
	wl_event_loop_add_fd(loop, listen_fd, WL_EVENT_READABLE, accept_sandboxed, NULL);
	closed_source = wl_event_loop_add_fd(loop, close_fd, 0, context_closed, NULL);
}

static const struct {
	void (*destroy)(struct wl_client *, struct wl_resource *);
	void (*set_sandbox_engine)(struct wl_client *, struct wl_resource *, const char *);
	void (*set_app_id)(struct wl_client *, struct wl_resource *, const char *);
	void (*set_instance_id)(struct wl_client *, struct wl_resource *, const char *);
	void (*commit)(struct wl_client *, struct wl_resource *);
} context_requests = {destroy_resource, set_engine, set_app_id, set_instance_id, commit};

static void create_listener(struct wl_client *client, struct wl_resource *resource, uint32_t id,
	int32_t listener, int32_t closed) {
	int accepts = 0;
	socklen_t size = sizeof(accepts);
	(void)resource;
	if (getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) < 0 || !accepts) {
		_exit(1);
	}
	listen_fd = listener;
	close_fd = closed;
	wl_resource_set_implementation(wl_resource_create(client, &wp_security_context_v1_interface, 1, id),
		&context_requests, NULL, NULL);
}

static const struct {
	void (*destroy)(struct wl_client *, struct wl_resource *);
	void (*create_listener)(struct wl_client *, struct wl_resource *, uint32_t, int32_t, int32_t);
} manager_requests = {destroy_resource, create_listener};

static void bind_manager(struct wl_client *client, void *data, uint32_t version, uint32_t id) {
	(void)data;
	wl_resource_set_implementation(
		wl_resource_create(client, &wp_security_context_manager_v1_interface, (int)version, id),
		&manager_requests, NULL, NULL);
}

static void count_client(struct wl_listener *listener, void *client) {
	(void)listener;
	(void)client;
	seen->clients++;
}

static void run_compositor(const char *path, int ready) {
	static struct wl_listener listener = {.notify = count_client};
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	display = wl_display_create();
	wl_display_add_client_created_listener(display, &listener);
	if (behaviour != NO_CONTEXTS) {
		wl_global_create(display, &wp_security_context_manager_v1_interface, 1, NULL, bind_manager);
	}
	if (wl_display_add_socket(display, path) < 0 || write(ready, "y", 1) != 1) {
		_exit(1);
	}
	wl_display_run(display);
	_exit(0);
}

static void start_compositor(struct fixture *f, enum behaviour how) {
	int ready[2];
	char byte;
	memset(f->seen, 0, sizeof(*f->seen));
	seen = f->seen;
	behaviour = how;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	f->compositor = fork();
	if (f->compositor == 0) {
		close(f->doors[0].fd);
		close(f->doors[1].fd);
		run_compositor(f->path, ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void kill_compositor(struct fixture *f) {
	kill(f->compositor, SIGKILL);
	waitpid(f->compositor, NULL, 0);
	f->compositor = 0;
}

/* ---- the connector ---- */

static int listen_at(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, path);
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	*state = f;
	f->seen = mmap(NULL, sizeof(*f->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(f->folder, "/tmp/ph-connector-XXXXXX");
	if (f->seen == MAP_FAILED || mkdtemp(f->folder) == NULL) {
		return -1;
	}
	snprintf(f->path, sizeof(f->path), "%s/screen", f->folder);
	snprintf(f->other, sizeof(f->other), "%s/other", f->folder);
	const struct connector_socket all[] = {{.path = f->path, .sandboxed = true}, {.path = f->other}};
	f->doors[0] = (struct connector_door){.sockets = all, .count = 2};
	f->doors[1] = (struct connector_door){.sockets = &all[1], .count = 1};
	return connector_start(&f->connector, f->doors, 2, "test", JAIL_DEFAULT);
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	char path[96];
	fd_close(&f->doors[0].fd);
	fd_close(&f->doors[1].fd);
	connector_stop(&f->connector);
	if (f->compositor > 0) {
		kill_compositor(f);
	}
	unlink(f->path);
	unlink(f->other);
	snprintf(path, sizeof(path), "%s.lock", f->path);
	unlink(path);
	rmdir(f->folder);
	munmap(f->seen, sizeof(*f->seen));
	free(f);
	return 0;
}

static void assert_connected(int fd, int listener) {
	char byte;
	assert_true(fd >= 0);
	int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(write(server, "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(server);
	close(fd);
}

static void test_each_door_has_its_own(void **state) {
	struct fixture *f = *state;
	int listener = listen_at(f->other);
	assert_connected(connector_connect(f->doors[0].fd, 1), listener);
	assert_connected(connector_connect(f->doors[1].fd, 0), listener);
	assert_int_equal(connector_connect(f->doors[1].fd, 1), -EINVAL);
	assert_int_equal(connector_connect(f->doors[0].fd, 2), -EINVAL);
	assert_int_equal(connector_connect(f->doors[0].fd, 255), -EINVAL);
	close(listener);
}

static void test_finds_a_new_server(void **state) {
	struct fixture *f = *state;
	assert_int_equal(connector_connect(f->doors[1].fd, 0), -ENOENT);
	for (unsigned i = 0; i < 3; i++) {
		int listener = listen_at(f->other);
		assert_connected(connector_connect(f->doors[1].fd, 0), listener);
		close(listener);
		assert_int_equal(connector_connect(f->doors[1].fd, 0), -ECONNREFUSED);
	}
}

/* One that asks and does not listen loses its door, and nobody else does. */
static void test_who_does_not_listen(void **state) {
	struct fixture *f = *state;
	int listener = listen_at(f->other);
	const struct connector_request nonsense = {.index = 99};
	struct pollfd door = {.fd = f->doors[0].fd, .events = POLLOUT};
	for (unsigned i = 0; i < 100000 && (door.revents & POLLHUP) == 0; i++) {
		send(door.fd, &nonsense, sizeof(nonsense), MSG_DONTWAIT | MSG_NOSIGNAL);
		poll(&door, 1, 0);
	}
	assert_true((door.revents & POLLHUP) != 0);
	assert_connected(connector_connect(f->doors[1].fd, 0), listener);
	close(listener);
}

static void test_ends_with_its_doors(void **state) {
	struct fixture *f = *state;
	struct pollfd ended = {.fd = f->connector.pid_fd, .events = POLLIN};
	fd_close(&f->doors[0].fd);
	assert_int_equal(poll(&ended, 1, 0), 0);
	fd_close(&f->doors[1].fd);
	assert_int_equal(poll(&ended, 1, 20000), 1);
}

/* ---- compositors ---- */

/* A round trip: wl_display.sync and its callback. */
static void assert_speaks(int fd) {
	const uint32_t sync[] = {1, 12 << 16, 2};
	uint32_t done[8] = {0};
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	assert_true(fd >= 0);
	assert_int_equal(write(fd, sync, sizeof(sync)), sizeof(sync));
	assert_int_equal(poll(&readable, 1, 20000), 1);
	assert_true(read(fd, done, sizeof(done)) >= 12);
	assert_int_equal(done[0], 2);
	close(fd);
}

static void test_security_context(void **state) {
	struct fixture *f = *state;
	char instance[32];
	start_compositor(f, CONTEXTS);
	assert_speaks(connector_connect(f->doors[0].fd, 0));
	if (!jail_has_namespaces()) {
		assert_int_equal(f->seen->contexts, 0); /* its address would be everybody's */
		skip();
	}
	snprintf(instance, sizeof(instance), "test.%d", getpid());
	assert_string_equal(f->seen->engine, "ph");
	assert_string_equal(f->seen->app_id, "ph.test");
	assert_string_equal(f->seen->instance_id, instance);
	for (unsigned i = 0; i < 5; i++) {
		assert_speaks(connector_connect(f->doors[0].fd, 0));
	}
	assert_int_equal(f->seen->contexts, 1);
	assert_int_equal(f->seen->sandboxed, 6);
	assert_int_equal(f->seen->clients, 7); /* with the one that made the context */

	/* A new compositor has a context of its own. */
	kill_compositor(f);
	assert_true(connector_connect(f->doors[0].fd, 0) < 0);
	start_compositor(f, CONTEXTS);
	assert_speaks(connector_connect(f->doors[0].fd, 0));
	assert_int_equal(f->seen->contexts, 1);
	assert_int_equal(f->seen->sandboxed, 1);
	assert_int_equal(f->seen->closed, 0);

	/* And stops to accept when the VM has ended. */
	fd_close(&f->doors[0].fd);
	fd_close(&f->doors[1].fd);
	connector_stop(&f->connector);
	for (unsigned i = 0; i < 2000 && f->seen->closed == 0; i++) {
		usleep(10000);
	}
	assert_int_equal(f->seen->closed, 1);
}

static void test_no_security_context(void **state) {
	struct fixture *f = *state;
	start_compositor(f, NO_CONTEXTS);
	assert_speaks(connector_connect(f->doors[0].fd, 0));
	assert_speaks(connector_connect(f->doors[0].fd, 0));
	assert_int_equal(f->seen->clients, 3); /* with the one that asked what there is */
	kill_compositor(f);
	start_compositor(f, NO_CONTEXTS);
	assert_speaks(connector_connect(f->doors[0].fd, 0));
	assert_int_equal(f->seen->clients, 2);
}

/* One that has them and gives none is not spoken to. */
static void test_security_context_refused(void **state) {
	struct fixture *f = *state;
	if (!jail_has_namespaces()) {
		skip();
	}
	start_compositor(f, REFUSES);
	assert_int_equal(connector_connect(f->doors[0].fd, 0), -EPROTO);
	assert_int_equal(connector_connect(f->doors[0].fd, 0), -EPROTO);
	assert_int_equal(f->seen->sandboxed, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_door_has_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_finds_a_new_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_does_not_listen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends_with_its_doors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_security_context, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_security_context, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_security_context_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("connector", tests, NULL, NULL);
}
