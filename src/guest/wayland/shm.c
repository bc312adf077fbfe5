/*
 * wl_shm: the client's pools and buffers stay here, and the compositor gets buffers of the proxy's
 * (buffer.c). The proxy's only thread. All is checked as libwayland's server does, with its errors, because
 * the compositor will not see what the client said.
 */
#include "guest/wayland/buffer.h"
#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <fcntl.h>
#include <stdlib.h>

#define POOLS_MAX 1024
#define BUFFERS_MAX 1024

static void pool_destroy_data(void *data) {
	pool_unref(data);
}

/* Memory is never waited for. That cannot be said of other files: behind them may be a file system of the
 * program's, which does not answer. Of memory, and of nothing else, one can ask for the seals. */
static bool is_memory(int fd) {
	return fcntl(fd, F_GET_SEALS) >= 0;
}

void shm_create_pool(struct message *message) {
	struct client *client = message->client;
	int32_t size = message->args[2].i;
	if (size <= 0) {
		client_fail(client, message->object, WL_SHM_ERROR_INVALID_STRIDE, "invalid size (%d)", size);
		return;
	}
	if (!is_memory(message->fds[1])) {
		client_fail(client, message->object, WL_SHM_ERROR_INVALID_FD, "the pool is not in memory");
		return;
	}
	if (client->pool_count >= POOLS_MAX) {
		client_fail_memory(client);
		return;
	}
	struct object *object = client_add_object(
		client, message->args[0].object, &wl_shm_pool_interface, message->object->version, false);
	if (object == NULL) {
		return;
	}
	object->data = pool_create(client, message->object, message->fds[1], size);
	if (object->data == NULL) {
		client_fail_memory(client);
		return;
	}
	object->destroy_data = pool_destroy_data;
	message->fds[1] = -1;
}

/* As ph's filter sees it: the pixels lie within the lines. */
static bool is_valid(const struct pool *pool, const union wire_arg *args) {
	int64_t offset = args[1].i, width = args[2].i, height = args[3].i, stride = args[4].i;
	return offset >= 0 && width > 0 && height > 0 && wire_line_fits(args[5].u, width, stride) &&
	       stride * height <= INT32_MAX && offset + stride * height <= pool->size;
}

void pool_create_buffer(struct message *message) {
	struct client *client = message->client;
	struct pool *pool = message->object->data;
	if (wire_pixel_size(message->args[5].u) == 0) {
		client_fail(client, message->object, WL_SHM_ERROR_INVALID_FORMAT, "invalid format 0x%x",
			message->args[5].u);
		return;
	}
	if (!is_valid(pool, message->args)) {
		client_fail(client, message->object, WL_SHM_ERROR_INVALID_STRIDE,
			"invalid width, height or stride (%dx%d, %u)", message->args[2].i, message->args[3].i,
			message->args[4].u);
		return;
	}
	if (client->buffer_count >= BUFFERS_MAX) {
		client_fail_memory(client);
		return;
	}
	struct object *object =
		client_add_object(client, message->args[0].object, &wl_buffer_interface, 1, false);
	struct buffer *buffer = object != NULL ? buffer_create(pool, message->args) : NULL;
	if (buffer != NULL) {
		buffer->object = object;
		object->data = buffer;
		object->destroy_data = buffer_destroy_data;
	}
}

void pool_resize(struct message *message) {
	struct pool *pool = message->object->data;
	int32_t size = message->args[0].i;
	if (size < pool->size) {
		client_fail(
			message->client, message->object, WL_SHM_ERROR_INVALID_FD, "shrinking pool invalid");
		return;
	}
	pool->size = size;
}

void pool_destroy(struct message *message) {
	client_release_id(message->client, message->object);
}

void buffer_destroy(struct message *message) {
	if (buffer_of(message->object) == NULL) {
		message_forward_request(message);
	} else {
		client_release_id(message->client, message->object);
	}
}

/* The compositor's buffer is done with: so is the client's. */
void buffer_release(struct message *message) {
	const struct object *host = message->object;
	if (host->client_id != 0) {
		message_forward_event(message);
		return;
	}
	const struct buffer *buffer = buffer_of_host(host);
	if (buffer != NULL) {
		client_send_event(message->client, buffer->object, WL_BUFFER_EVENT_RELEASE, NULL);
	}
}
