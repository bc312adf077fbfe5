/*
 * A client's two connections and the bytes on their way. The proxy's only thread. Nothing waits for a
 * side that does not read: then nothing more is read from the other. Both streams are hostile, the client's
 * more so.
 */
#include "guest/wayland/client.h"

#include "guest/wayland/buffer.h"
#include "guest/wayland/transfer.h"
#include "ph/fd.h"
#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 4096

/* ---- the program's socket ---- */

union control {
	struct cmsghdr header;
	uint8_t space[CMSG_SPACE(HOST_FDS_MAX * sizeof(int))];
};

static void close_fds(const int *fds, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		close(fds[i]);
	}
}

/* All of them or, when there are too many, none. */
static int push_fds(struct wire_queue *queue, const int *fds, unsigned count) {
	if (queue->fd_count + count > WIRE_FDS_MAX) {
		close_fds(fds, count);
		return -ENOSPC;
	}
	for (unsigned i = 0; i < count; i++) {
		wire_queue_push_fd(queue, fds[i], 0);
	}
	return 0;
}

static int take_control(struct wire_queue *queue, struct msghdr *header) {
	int fds[HOST_FDS_MAX], result = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t size = c->cmsg_len - CMSG_LEN(0);
		memcpy(fds, CMSG_DATA(c), size);
		result = push_fds(queue, fds, (unsigned)(size / sizeof(int)));
	}
	return header->msg_flags & MSG_CTRUNC ? -ENOSPC : result;
}

static ssize_t receive_client(struct client *client) {
	struct wire_queue *queue = &client->from_client;
	union control control;
	uint8_t *data = wire_queue_reserve(queue, READ_SIZE);
	if (data == NULL) {
		return -ENOMEM;
	}
	struct iovec part = {data, READ_SIZE};
	struct msghdr header = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(client->socket.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (size < 0) {
		return -errno;
	}
	wire_queue_commit(queue, (size_t)size);
	int result = take_control(queue, &header);
	return result < 0 ? result : size;
}

static ssize_t send_client(struct client *client) {
	struct wire_queue *queue = &client->to_client;
	union control control;
	struct iovec part = {(void *)wire_queue_data(queue), wire_queue_size(queue)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	if (queue->fd_count > 0) {
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(queue->fd_count * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), queue->fds, queue->fd_count * sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(queue->fd_count * sizeof(int));
	}
	ssize_t size = sendmsg(client->socket.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	return size < 0 ? -errno : size;
}

/* ---- the compositor's connection ---- */

static ssize_t receive_host(struct client *client) {
	struct wire_queue *queue = &client->from_host;
	uint8_t *data = wire_queue_reserve(queue, READ_SIZE);
	int fds[HOST_FDS_MAX];
	unsigned count;
	if (data == NULL) {
		return -ENOMEM;
	}
	ssize_t size = host_receive(client->connection.fd, data, READ_SIZE, fds, &count);
	if (size < 0) {
		return size;
	}
	wire_queue_commit(queue, (size_t)size);
	int result = push_fds(queue, fds, count);
	return result < 0 ? result : size == 0 && count > 0 ? -EAGAIN : size;
}

static ssize_t send_host(struct client *client) {
	const struct wire_queue *queue = &client->to_host;
	return host_send(client->connection.fd, wire_queue_data(queue), wire_queue_size(queue), queue->fds,
		queue->fd_count);
}

/* ---- flow ---- */

static void drop(struct wire_queue *queue, size_t size) {
	close_fds(queue->fds, queue->fd_count);
	queue->fd_count = 0;
	wire_queue_consume(queue, size);
}

/* Write what waits. 0, also when the other side does not read; -errno: it never will again, and nothing
 * waits. Why a connection to the compositor is over is still to be read there. */
static int flush(struct client *client, struct wire_queue *queue, ssize_t (*send)(struct client *client)) {
	while (wire_queue_size(queue) > 0) {
		ssize_t size = send(client);
		if (size == -EAGAIN || size == -EINTR) {
			return 0;
		}
		drop(queue, size < 0 ? wire_queue_size(queue) : (size_t)size);
		if (size < 0) {
			return (int)size;
		}
	}
	return 0;
}

/* Nothing more comes from the compositor. That is no error: programs that go on with the next one do so when
 * their connection hangs up. */
static void end_host(struct client *client) {
	loop_remove(client->loop, &client->connection);
	client->closing = true;
}

static void end_client(struct client *client) {
	loop_remove(client->loop, &client->socket);
	client->client_gone = true;
}

static void pass_requests(struct client *client) {
	bool more = true;
	while (more) {
		while (client_pass_request(client)) {
		}
		if (client->closing) {
			return;
		}
		size_t waiting = wire_queue_size(&client->to_host);
		flush(client, &client->to_host, send_host);
		more = waiting > 0 && wire_queue_size(&client->to_host) == 0;
	}
}

static void pass_events(struct client *client) {
	bool more = true;
	while (more) {
		while (client_pass_event(client)) {
		}
		size_t waiting = wire_queue_size(&client->to_client);
		if (flush(client, &client->to_client, send_client) < 0) {
			end_client(client);
		}
		more = !client->closing && waiting > 0 && wire_queue_size(&client->to_client) == 0;
	}
}

static void watch(struct client *client, struct loop_source *source, uint32_t *current, uint32_t events) {
	if (source->added && *current == events) {
		return;
	}
	if (source->added) {
		loop_modify(client->loop, source, events);
	} else if (loop_add(client->loop, source, events) < 0) {
		client->client_gone = client->closing = true;
	}
	*current = events;
}

/* Whether there is a use for more of a side. */
static bool wants(const struct wire_queue *from, const struct wire_queue *to) {
	return wire_queue_size(to) == 0 && from->fd_count + HOST_FDS_MAX <= WIRE_FDS_MAX;
}

/* What to wait for; true when there is nothing left, and the client is gone. */
static bool update(struct client *client) {
	bool to_client = wire_queue_size(&client->to_client) > 0 && !client->client_gone;
	bool to_host = wire_queue_size(&client->to_host) > 0 && !client->closing;
	if ((client->closing && !to_client) || (client->client_gone && !to_host)) {
		client_destroy(client);
		return true;
	}
	if (!client->client_gone) {
		bool from = !client->closing && wants(&client->from_client, &client->to_host);
		if (from || to_client) {
			watch(client, &client->socket, &client->socket_events,
				(from ? EPOLLIN : 0) | (to_client ? EPOLLOUT : 0));
		} else {
			/* Not even to hear of its end, which would be told again and again. */
			loop_remove(client->loop, &client->socket);
		}
	}
	bool from_host =
		!client->closing && !client->client_gone && wants(&client->from_host, &client->to_client);
	if (from_host || to_host) {
		watch(client, &client->connection, &client->connection_events,
			(from_host ? EPOLLIN : 0) | (to_host ? EPOLLOUT : 0));
	} else {
		loop_remove(client->loop, &client->connection);
	}
	return false;
}

static void read_client(struct client *client) {
	ssize_t size = receive_client(client);
	if (size == -ENOSPC) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_INVALID_METHOD, "too many descriptors");
	} else if (size == 0 || (size < 0 && size != -EAGAIN && size != -EINTR)) {
		end_client(client);
	}
}

static void read_host(struct client *client) {
	ssize_t size = receive_host(client);
	if (size != 0 && (size > 0 || size == -EAGAIN || size == -EINTR)) {
		return;
	}
	while (client_pass_event(client)) {
	}
	end_host(client);
}

static void serve(struct client *client) {
	if (!client->closing) {
		pass_requests(client);
	}
	/* No message has so many that they would have to wait for it. */
	if (wire_queue_size(&client->to_host) == 0 &&
		client->from_client.fd_count + HOST_FDS_MAX > WIRE_FDS_MAX) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_INVALID_METHOD, "too many descriptors");
	}
	pass_events(client);
	/* Events may have made requests. */
	if (!client->closing && wire_queue_size(&client->to_host) > 0) {
		pass_requests(client);
	}
	update(client);
}

static void socket_ready(struct loop_source *source, uint32_t events) {
	struct client *client = (struct client *)((char *)source - offsetof(struct client, socket));
	if (!client->closing && events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
		wants(&client->from_client, &client->to_host)) {
		read_client(client);
	} else if (client->closing && events & (EPOLLHUP | EPOLLERR)) {
		end_client(client);
	}
	serve(client);
}

static void connection_ready(struct loop_source *source, uint32_t events) {
	struct client *client = (struct client *)((char *)source - offsetof(struct client, connection));
	if (!client->closing && events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
		wants(&client->from_host, &client->to_client)) {
		read_host(client);
	}
	serve(client);
}

/* ---- life ---- */

static int add_display(struct client *client) {
	struct object *object =
		client_add_object(client, 1, &wl_display_interface, wl_display_interface.version, true);
	return object != NULL && object->host_id == 1 ? 0 : -ENOMEM;
}

void client_create(struct loop *loop, int socket) {
	struct client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		close(socket);
		loop_stop(loop, -ENOMEM);
		return;
	}
	client->loop = loop;
	client->socket = (struct loop_source){.fd = socket, .ready = socket_ready};
	client->connection = (struct loop_source){.fd = -1, .ready = connection_ready};
	if (add_display(client) == 0) {
		client->connection.fd = host_connect();
	}
	if (client->connection.fd < 0) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_IMPLEMENTATION,
			"cannot connect to the compositor: %s", strerror(-client->connection.fd));
	}
	serve(client);
}

/* The log is seen with --verbose. */
static void report(const struct client *client) {
	if (client->frames > 0) {
		fprintf(stderr, "ph-wayland: %llu frames, %llu bytes copied, %llu frames without a copy\n",
			(unsigned long long)client->frames, (unsigned long long)client->copied,
			(unsigned long long)client->shared_frames);
	}
}

void client_destroy(struct client *client) {
	report(client);
	loop_remove(client->loop, &client->socket);
	loop_remove(client->loop, &client->connection);
	/* First of all: the rest may wait for the program, and the compositor need not. */
	fd_close(&client->connection.fd);
	if (!transfers_detach(client)) {
		loop_stop(client->loop, 0);
	}
	client_finish_objects(client);
	buffers_finish(client);
	wire_queue_finish(&client->from_client);
	wire_queue_finish(&client->to_client);
	wire_queue_finish(&client->from_host);
	wire_queue_finish(&client->to_host);
	fd_close(&client->socket.fd);
	free(client);
}
