/*
 * Where devices run, both ends. The serving end runs on the loop of the monitor or of a worker, and
 * starts and stops devices there; the requesting end is called by vCPU threads, one request at a time.
 * A request carries what the guest's driver wrote into the transport's registers: the serving end checks
 * all of it again.
 */
#include "ph/virtio.h"

#include "ph/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum request_type {
	REQUEST_ACTIVATE = 1,
	REQUEST_RESET = 2,
};

struct request {
	uint32_t type;
	uint32_t device;
	struct virtio_activation activation; /* REQUEST_ACTIVATE only */
};

struct reply {
	int32_t result;
};

int virtio_host_socketpair(int *host_end, int *client_end) {
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		return -errno;
	}
	*host_end = fds[0];
	*client_end = fds[1];
	return 0;
}

/* ---- the serving end ---- */

/* Edge-triggered: each notification is told once, and none needs to be read. */
static void kicked(struct loop_source *source, uint32_t events) {
	(void)events;
	struct virtqueue *queue =
		(struct virtqueue *)(void *)((char *)source - offsetof(struct virtqueue, kick));
	if (!queue->broken) {
		queue->device->ops->notify(queue->device, queue);
	}
}

static int vector_fd(const struct virtio_device *device, uint16_t vector) {
	return vector <= device->queue_count ? device->vector_fds[vector] : -1;
}

static void stop_queues(struct virtio_device *device) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		virtqueue_stop(&device->queues[i]);
	}
	device->config_call_fd = -1;
	device->memory = NULL;
}

static int start_queues(
	struct virtio_host *host, struct virtio_device *device, const struct virtio_activation *activation) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		const struct virtqueue_config *config = &activation->queues[i];
		struct virtqueue *queue = &device->queues[i];
		virtqueue_stop(queue);
		if (config->size == 0) {
			continue;
		}
		if (config->size > device->queue_size[i]) {
			return -EINVAL;
		}
		int ret = virtqueue_start(queue, host->memory, config, activation->driver_features,
			vector_fd(device, config->vector));
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

static void unwatch_kicks(struct virtio_device *device) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		loop_remove(device->loop, &device->queues[i].kick);
	}
}

static int watch_kicks(struct virtio_device *device) {
	for (unsigned i = 0; i < device->queue_count && device->ops->notify != NULL; i++) {
		struct virtqueue *queue = &device->queues[i];
		if (queue->size == 0) {
			continue;
		}
		queue->kick = (struct loop_source){.fd = queue->kick_fd, .ready = kicked};
		int ret = loop_add(device->loop, &queue->kick, EPOLLIN | EPOLLET);
		if (ret < 0) {
			unwatch_kicks(device);
			return ret;
		}
	}
	return 0;
}

/* Chains may have been waiting in the rings before anybody watched: act as if each queue had been notified.
 */
static void kick_all(struct virtio_device *device) {
	for (unsigned i = 0; i < device->queue_count; i++) {
		if (device->queues[i].size != 0) {
			fd_event_signal(device->queues[i].kick_fd);
		}
	}
}

static int activate(
	struct virtio_host *host, struct virtio_device *device, const struct virtio_activation *activation) {
	if (device->started) {
		return -EBUSY;
	}
	uint64_t features = activation->driver_features;
	if ((features & ~(device->features | VIRTIO_TRANSPORT_FEATURES)) != 0 ||
		(features >> VIRTIO_RING_F_VERSION_1 & 1) == 0) {
		return -EINVAL;
	}
	int ret = start_queues(host, device, activation);
	if (ret < 0) {
		goto error_queues;
	}
	device->loop = host->loop;
	device->memory = host->memory;
	device->driver_features = features;
	device->config_call_fd = vector_fd(device, activation->config_vector);
	device->shared->needs_reset = false;
	ret = watch_kicks(device);
	if (ret < 0) {
		goto error_queues;
	}
	ret = device->ops->start(device);
	if (ret < 0) {
		goto error_start;
	}
	device->started = true;
	kick_all(device);
	return 0;

error_start:
	unwatch_kicks(device);
error_queues:
	stop_queues(device);
	return ret;
}

static int reset(struct virtio_device *device) {
	if (device->started) {
		unwatch_kicks(device);
		device->ops->stop(device);
		device->started = false;
		stop_queues(device);
	}
	for (unsigned i = 0; i < device->queue_count; i++) {
		fd_event_drain(device->queues[i].kick_fd);
	}
	device->shared->needs_reset = false;
	return 0;
}

static int handle(struct virtio_host *host, const struct request *request, size_t len) {
	const size_t head = offsetof(struct request, activation);
	if (request->device >= host->device_count) {
		return -EINVAL;
	}
	struct virtio_device *device = host->devices[request->device];
	if (request->type == REQUEST_ACTIVATE && len == sizeof(*request)) {
		return activate(host, device, &request->activation);
	}
	if (request->type == REQUEST_RESET && len == head) {
		return reset(device);
	}
	return -EINVAL;
}

static struct virtio_host *host_of(struct loop_source *source) {
	return (struct virtio_host *)(void *)((char *)source - offsetof(struct virtio_host, socket));
}

static void host_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct virtio_host *host = host_of(source);
	struct request request = {0};
	ssize_t n = recv(source->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n > 0) {
		struct reply reply = {.result = handle(host, &request, (size_t)n)};
		n = send(source->fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (n <= 0) {
		loop_remove(host->loop, &host->socket);
		if (host->closed != NULL) {
			host->closed(host);
		}
	}
}

int virtio_host_init(
	struct virtio_host *host, struct loop *loop, const struct guest_memory *memory, int socket) {
	host->loop = loop;
	host->memory = memory;
	host->socket = (struct loop_source){.fd = socket, .ready = host_ready};
	return loop_add(loop, &host->socket, EPOLLIN);
}

void virtio_host_finish(struct virtio_host *host) {
	if (host->loop == NULL) {
		return;
	}
	loop_remove(host->loop, &host->socket);
	fd_close(&host->socket.fd);
	for (unsigned i = 0; i < host->device_count; i++) {
		reset(host->devices[i]);
	}
	host->loop = NULL;
}

/* ---- the requesting end ---- */

int virtio_host_client_init(struct virtio_host_client *client, int fd) {
	client->fd = fd;
	return -pthread_mutex_init(&client->lock, NULL);
}

void virtio_host_client_finish(struct virtio_host_client *client) {
	if (client->fd > 0) {
		fd_close(&client->fd);
		pthread_mutex_destroy(&client->lock);
	}
	client->fd = 0;
}

static int send_request(int fd, const struct request *request, size_t len) {
	ssize_t n;
	do {
		n = send(fd, request, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -EPIPE;
}

static int receive_reply(int fd) {
	struct reply reply;
	ssize_t n;
	do {
		n = recv(fd, &reply, sizeof(reply), MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(reply)) {
		return -EPIPE;
	}
	return reply.result <= 0 ? reply.result : -EPROTO;
}

static int call(struct virtio_host_client *client, const struct request *request, size_t len) {
	pthread_mutex_lock(&client->lock);
	int ret = send_request(client->fd, request, len);
	if (ret == 0) {
		ret = receive_reply(client->fd);
	}
	pthread_mutex_unlock(&client->lock);
	return ret;
}

int virtio_host_activate(
	struct virtio_host_client *client, unsigned device, const struct virtio_activation *activation) {
	struct request request = {.type = REQUEST_ACTIVATE, .device = device, .activation = *activation};
	return call(client, &request, sizeof(request));
}

int virtio_host_reset(struct virtio_host_client *client, unsigned device) {
	struct request request = {.type = REQUEST_RESET, .device = device};
	return call(client, &request, offsetof(struct request, activation));
}
