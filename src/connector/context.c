/*
 * Security contexts (wp_security_context_v1): the compositor accepts a VM's programs at a socket of their
 * own, knows them for sandboxed ones, and hides what such are not to have. Runs in the connector's process.
 * What the compositor says is checked by the codec, and nothing else is made of it than whether there are
 * contexts.
 *
 * The socket is an abstract one. Such a name is for everybody in the network namespace, whoever they are; so
 * there is a context only where that namespace is the process's own.
 */
#include "connector/context.h"

#include "ph/fd.h"
#include "ph/log.h"
#include "ph/wayland.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ENGINE "ph"
#define SILENCE_NS 10000000000ull /* before who does not answer is waited for again */
#define BACKLOG 128
/* The names of objects on the control connection, in the order in which they are made. */
enum { DISPLAY = 1, REGISTRY, CALLBACK, MANAGER, CONTEXT, LAST_CALLBACK };

/* ---- sockets ---- */

static int connect_address(const struct sockaddr_un *address) {
	/* An abstract name has no end but the address's. */
	socklen_t size = address->sun_path[0] != '\0' ? sizeof(*address)
						      : (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
								    1 + strlen(address->sun_path + 1));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, size) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	return fd < 0 ? -errno : fd;
}

int context_connect_path(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	if (length >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, length);
	return connect_address(&address);
}

static int listen_anywhere(struct sockaddr_un *address) {
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number)) {
		return -EIO;
	}
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	int length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "ph-%016llx",
		(unsigned long long)number);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && (bind(fd, (const struct sockaddr *)address, size) < 0 || listen(fd, BACKLOG) < 0)) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	return fd < 0 ? -errno : fd;
}

/* ---- the control connection ---- */

struct talk {
	int fd, patience_ms;
	struct wire_queue out, in;
	uint32_t manager; /* its name among the globals; 0: there is none */
	bool failed;      /* the compositor has complained */
};

static void talk_finish(struct talk *talk) {
	wire_queue_finish(&talk->out);
	wire_queue_finish(&talk->in);
}

static void add_request(struct talk *talk, uint32_t object, const struct wl_interface *interface,
	uint16_t opcode, const union wire_arg *args) {
	talk->failed |= wire_write(&talk->out, object, opcode, &interface->methods[opcode], args,
				WIRE_LIBWAYLAND_MAX) < 0;
}

/* In one piece: it is less than a socket takes. */
static int flush(struct talk *talk) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {
		.iov_base = (void *)wire_queue_data(&talk->out), .iov_len = wire_queue_size(&talk->out)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (talk->out.fd_count == 2) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(&control.header), talk->out.fds, 2 * sizeof(int));
	}
	if (talk->failed) {
		return -ENOMEM;
	}
	ssize_t n = sendmsg(talk->fd, &message, MSG_NOSIGNAL);
	int ret = n < 0 ? -errno : n != (ssize_t)iov.iov_len ? -EIO : 0;
	wire_queue_finish(&talk->out);
	return ret;
}

static void take_global(struct talk *talk, const struct wire_message *message) {
	union wire_arg args[WIRE_ARGS_MAX];
	if (wire_parse(message, &wl_registry_interface.events[WL_REGISTRY_EVENT_GLOBAL], args) == NULL &&
		strcmp(args[1].string, wp_security_context_manager_v1_interface.name) == 0) {
		talk->manager = args[0].u;
	}
}

static int receive(struct talk *talk) {
	struct pollfd readable = {.fd = talk->fd, .events = POLLIN};
	if (poll(&readable, 1, talk->patience_ms) != 1) {
		return -ETIMEDOUT;
	}
	uint8_t *room = wire_queue_reserve(&talk->in, WIRE_LIBWAYLAND_MAX);
	ssize_t n = room != NULL ? recv(talk->fd, room, WIRE_LIBWAYLAND_MAX, 0) : -1;
	if (n <= 0) {
		return n < 0 ? -errno : -ECONNRESET;
	}
	wire_queue_commit(&talk->in, (size_t)n);
	return 0;
}

/* Listen until the callback is called. 0 or -errno. */
static int await(struct talk *talk, uint32_t callback) {
	struct wire_message message;
	for (;;) {
		int ret = wire_peek(wire_queue_data(&talk->in), wire_queue_size(&talk->in), &message);
		if (ret == 0) {
			ret = receive(talk);
			if (ret < 0) {
				return ret;
			}
			continue;
		}
		if (ret < 0 || (message.object == DISPLAY && message.opcode == WL_DISPLAY_EVENT_ERROR)) {
			return -EPROTO;
		}
		if (message.object == REGISTRY && message.opcode == WL_REGISTRY_EVENT_GLOBAL) {
			take_global(talk, &message);
		}
		if (message.object == callback) {
			return 0;
		}
		wire_queue_consume(&talk->in, message.size);
	}
}

static int list_globals(struct talk *talk) {
	const union wire_arg registry = {.object = REGISTRY}, callback = {.object = CALLBACK};
	add_request(talk, DISPLAY, &wl_display_interface, WL_DISPLAY_REQUEST_GET_REGISTRY, &registry);
	add_request(talk, DISPLAY, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC, &callback);
	int ret = flush(talk);
	return ret < 0 ? ret : await(talk, CALLBACK);
}

static void add_name(struct talk *talk, uint16_t opcode, const char *name) {
	const union wire_arg arg = {.string = name};
	add_request(talk, CONTEXT, &wp_security_context_v1_interface, opcode, &arg);
}

/* The descriptors are the talk's from here on. */
static int create_context(struct talk *talk, const struct context_names *names, int listener, int closed) {
	const struct wl_interface *manager = &wp_security_context_manager_v1_interface;
	const struct wl_interface *context = &wp_security_context_v1_interface;
	const union wire_arg bind_args[] = {
		{.u = talk->manager}, {.string = manager->name}, {.u = 1}, {.object = MANAGER}};
	const union wire_arg create = {.object = CONTEXT}, callback = {.object = LAST_CALLBACK};
	wire_queue_push_fd(&talk->out, listener, 0);
	wire_queue_push_fd(&talk->out, closed, 0);
	add_request(talk, REGISTRY, &wl_registry_interface, WL_REGISTRY_REQUEST_BIND, bind_args);
	add_request(talk, MANAGER, manager, WP_SECURITY_CONTEXT_MANAGER_V1_REQUEST_CREATE_LISTENER, &create);
	add_name(talk, WP_SECURITY_CONTEXT_V1_REQUEST_SET_SANDBOX_ENGINE, ENGINE);
	add_name(talk, WP_SECURITY_CONTEXT_V1_REQUEST_SET_APP_ID, names->app_id);
	add_name(talk, WP_SECURITY_CONTEXT_V1_REQUEST_SET_INSTANCE_ID, names->instance_id);
	add_request(talk, CONTEXT, context, WP_SECURITY_CONTEXT_V1_REQUEST_COMMIT, NULL);
	add_request(talk, CONTEXT, context, WP_SECURITY_CONTEXT_V1_REQUEST_DESTROY, NULL);
	add_request(talk, MANAGER, manager, WP_SECURITY_CONTEXT_MANAGER_V1_REQUEST_DESTROY, NULL);
	add_request(talk, DISPLAY, &wl_display_interface, WL_DISPLAY_REQUEST_SYNC, &callback);
	int ret = flush(talk);
	return ret < 0 ? ret : await(talk, LAST_CALLBACK);
}

/* ---- what is known of a compositor ---- */

void context_finish(struct context *context) {
	if (context->known) {
		fd_close(&context->control);
		fd_close(&context->close_fd);
	}
	*context = (struct context){0};
}

static int enter_context(struct context *context, struct talk *talk, const struct context_names *names) {
	int closed[2], listener = listen_anywhere(&context->address);
	if (listener < 0) {
		return listener;
	}
	if (pipe2(closed, O_CLOEXEC) < 0) {
		int ret = -errno;
		fd_close(&listener);
		return ret;
	}
	context->close_fd = closed[1];
	context->sandboxed = true;
	return create_context(talk, names, listener, closed[0]);
}

/* A compositor that has contexts and gives none is as good as none. */
static int learn(struct context *context, const char *path, const struct context_names *names) {
	struct talk talk = {.fd = context_connect_path(path), .patience_ms = names->patience_ms};
	if (talk.fd < 0) {
		return talk.fd;
	}
	*context = (struct context){.known = true, .control = talk.fd, .close_fd = -1};
	int ret = list_globals(&talk);
	if (ret == 0 && talk.manager != 0 && names->wanted) {
		ret = enter_context(context, &talk, names);
	}
	log_verbose("connector: %s: %s", path,
		ret < 0              ? strerror(-ret)
		: context->sandboxed ? "a security context"
		: talk.manager == 0  ? "has no security contexts"
				     : "no security context without namespaces");
	talk_finish(&talk);
	if (ret < 0) {
		context_finish(context);
	}
	return ret;
}

/* What the control connection is told is of no interest, but that it is told anything. */
static bool is_current(const struct context *context) {
	char ignored[4096];
	ssize_t n = 1;
	while (context->known && n > 0) {
		n = recv(context->control, ignored, sizeof(ignored), MSG_DONTWAIT);
	}
	return context->known && n < 0 && (errno == EAGAIN || errno == EINTR);
}

static uint64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whoever asks waits meanwhile, with all that it has to do. */
static int learn_soon(struct context *context, const char *path, const struct context_names *names) {
	if (now_ns() < context->silent_until_ns) {
		return -ETIMEDOUT;
	}
	context_finish(context);
	int ret = learn(context, path, names);
	if (ret == -ETIMEDOUT) {
		context->silent_until_ns = now_ns() + SILENCE_NS;
	}
	return ret;
}

int context_connect(struct context *context, const char *path, const struct context_names *names) {
	if (!is_current(context)) {
		int ret = learn_soon(context, path, names);
		if (ret < 0) {
			return ret;
		}
	}
	return context->sandboxed ? connect_address(&context->address) : context_connect_path(path);
}
