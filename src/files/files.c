/*
 * The virtio-9p device: one queue, and the threads that serve it. Runs in the files worker: the device's
 * functions on its loop, requests on threads of the device's own. Chains are hostile.
 *
 * All threads wait for the queue's kick on one edge-triggered epoll, which wakes one of them for each
 * kick. A thread serves a request to its end; one that comes meanwhile kicks another thread awake. So a
 * request costs one wake-up, and one that hangs on a slow file system holds up nobody else. A thread is
 * added when a request comes that nobody would be left to wait behind.
 */
#include "ph/files.h"

#include "files/server.h"

#include "ph/fd.h"
#include "ph/huge_pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VIRTIO_9P_MOUNT_TAG 0
#define QUEUE_SIZE 128
/* One for each request that the queue holds: so many may hang in a host's file system. */
#define THREADS_MAX QUEUE_SIZE
#define STACK_SIZE (512 << 10)
/* Replies of so much are worth huge pages beneath them. Not requests: their pages were all touched already.
 */
#define LARGE (64U << 10)

struct files_device {
	struct virtio_device base;
	struct p9_server server;
	struct huge_pages huge_pages;
	int epoll_fd, stop_fd;
	pthread_mutex_t lock; /* the queue, and the fields below */
	unsigned thread_count, idle;
	pthread_t threads[THREADS_MAX];
	bool stopping;
};

/* What a thread serves. */
struct job {
	struct virtqueue_chain chain;
	struct p9_exchange exchange;
	struct p9_request request;
};

static struct files_device *from_base(struct virtio_device *base) {
	return (struct files_device *)((char *)base - offsetof(struct files_device, base));
}

static void *serve_queue(void *data);

/* Under the lock. That a thread cannot be had only makes requests wait for those there are. */
static int add_thread(struct files_device *device) {
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	int ret = device->thread_count == THREADS_MAX ? EAGAIN
						      : pthread_create(&device->threads[device->thread_count],
								&attributes, serve_queue, device);
	pthread_attr_destroy(&attributes);
	device->thread_count += ret == 0;
	return -ret;
}

static bool begin(struct files_device *device, struct job *job) {
	const struct virtqueue_chain *chain = &job->chain;
	job->exchange = (struct p9_exchange){
		.in = chain->iov,
		.in_count = chain->readable_count,
		.in_size = chain->readable_size,
		.out = chain->iov + chain->readable_count,
		.out_count = chain->writable_count,
		.out_size = chain->writable_size,
		.cookie = chain->head,
	};
	return p9_server_begin(&device->server, &job->request, &job->exchange);
}

/* Under the lock, so that requests are in flight in their order in the queue: -EPROTO when the driver broke a
 * rule. */
static int pop(struct files_device *device, struct job *job) {
	struct virtqueue *queue = &device->base.queues[0];
	int ret = virtqueue_pop(queue, &job->chain);
	const char *rule = ret < 0 ? queue->rule : NULL;
	if (ret == 1 && !begin(device, job)) {
		rule = "a request is shorter than its header or has no room for a reply";
		ret = -EPROTO;
	}
	if (rule != NULL) {
		virtio_device_break(&device->base, rule);
	}
	return ret;
}

/*
 * The next request, and somebody to take the one after it. False: none, and the thread counts as idle until
 * it asks again, having waited for the queue.
 */
static bool take(struct files_device *device, struct job *job, bool was_idle) {
	struct virtqueue *queue = &device->base.queues[0];
	bool taken = false;
	pthread_mutex_lock(&device->lock);
	device->idle -= was_idle;
	while (!device->stopping && !taken) {
		int ret = pop(device, job);
		if (ret < 0) {
			break;
		}
		taken = ret == 1;
		bool more = virtqueue_enable_notify(queue);
		if (taken && device->idle == 0) {
			add_thread(device);
		}
		if (taken && more) {
			fd_event_signal(queue->kick_fd);
		}
		if (!taken && !more) {
			break;
		}
	}
	device->idle += !taken;
	pthread_mutex_unlock(&device->lock);
	return taken;
}

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	struct files_device *device = owner;
	struct virtqueue *queue = &device->base.queues[0];
	bool signal = false;
	pthread_mutex_lock(&device->lock);
	if (!queue->broken) {
		virtqueue_push(queue, (uint16_t)cookie, written);
		signal = virtqueue_take_signal(queue);
	}
	int call_fd = queue->call_fd;
	pthread_mutex_unlock(&device->lock);
	/* Not under the lock: the guest's next kick wakes a thread that would only wait for it. */
	if (signal) {
		fd_event_signal(call_fd);
	}
}

static void serve(struct files_device *device, struct p9_scratch *scratch, struct job *job) {
	const struct p9_exchange *exchange = &job->exchange;
	if (exchange->out_size >= LARGE) {
		huge_pages_back(&device->huge_pages, device->base.queues[0].memory, exchange->out,
			exchange->out_count);
	}
	p9_server_serve(&job->request, scratch);
}

/* False when the device stops. */
static bool wait_for_kick(struct files_device *device) {
	struct epoll_event event;
	int n;
	do {
		n = epoll_wait(device->epoll_fd, &event, 1, -1);
	} while (n < 0 && errno == EINTR);
	return n == 1 && event.data.fd != device->stop_fd;
}

static void *serve_queue(void *data) {
	struct files_device *device = data;
	struct job job;
	struct p9_scratch *scratch = malloc(sizeof(*scratch));
	if (scratch == NULL) {
		return NULL;
	}
	for (bool was_idle = false; !was_idle || wait_for_kick(device);) {
		was_idle = !take(device, &job, was_idle);
		if (!was_idle) {
			serve(device, scratch, &job);
		}
	}
	free(scratch);
	return NULL;
}

/* ---- the device ---- */

static int watch(struct files_device *device, int fd, uint32_t events) {
	struct epoll_event event = {.events = events, .data.fd = fd};
	return epoll_ctl(device->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void stop(struct virtio_device *base) {
	struct files_device *device = from_base(base);
	pthread_mutex_lock(&device->lock);
	device->stopping = true;
	unsigned count = device->thread_count;
	pthread_mutex_unlock(&device->lock);
	p9_server_cancel(&device->server);
	if (device->stop_fd >= 0) {
		fd_event_signal(device->stop_fd);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(device->threads[i], NULL);
	}
	device->thread_count = device->idle = 0;
	fd_close(&device->epoll_fd);
	fd_close(&device->stop_fd);
	p9_server_reset(&device->server);
}

static int start(struct virtio_device *base) {
	struct files_device *device = from_base(base);
	int ret = p9_server_enter(&device->server);
	if (ret < 0) {
		return ret;
	}
	device->stopping = false;
	device->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	device->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = device->epoll_fd < 0 || device->stop_fd < 0 ? -errno : 0;
	if (ret == 0) {
		ret = watch(device, base->queues[0].kick_fd, EPOLLIN | EPOLLET);
	}
	if (ret == 0) {
		ret = watch(device, device->stop_fd, EPOLLIN);
	}
	if (ret == 0) {
		pthread_mutex_lock(&device->lock);
		ret = add_thread(device);
		pthread_mutex_unlock(&device->lock);
	}
	if (ret < 0) {
		stop(base);
	}
	return ret;
}

static int enter(struct virtio_device *base) {
	return p9_server_enter(&from_base(base)->server);
}

/* No notify: the device's threads wait for kicks themselves. */
static const struct virtio_device_ops files_ops = {.enter = enter, .start = start, .stop = stop};

static void fill_base(struct virtio_device *base, const struct files_share *share) {
	size_t len = strnlen(share->tag, FILES_TAG_MAX);
	snprintf(base->name, sizeof(base->name), "9p %.*s", (int)(len < 24 ? len : 24), share->tag);
	base->ops = &files_ops;
	base->type = VIRTIO_TYPE_9P;
	base->pci_class = 0x018000; /* mass storage, other */
	base->features = UINT64_C(1) << VIRTIO_9P_MOUNT_TAG;
	base->queue_count = 1;
	base->queue_size[0] = QUEUE_SIZE;
	base->config[0] = (uint8_t)len;
	memcpy(base->config + 2, share->tag, len);
	base->config_size = (unsigned)(2 + len);
}

int files_create(struct virtio_device **out, const struct files_share *share) {
	struct files_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		return -ENOMEM;
	}
	device->epoll_fd = device->stop_fd = -1;
	pthread_mutex_init(&device->lock, NULL);
	fill_base(&device->base, share);
	struct p9_server_config config = {
		.root_fd = share->root_fd,
		.read_only = share->read_only,
		.private_locks = share->private_locks,
		.hide = share->hide,
		.msize = FILES_MSIZE,
		.complete = completed,
		.owner = device,
	};
	config.ids.count = share->id_count;
	memcpy(config.ids.ranges, share->ids, sizeof(share->ids));
	int ret = p9_server_init(&device->server, &config);
	if (ret < 0) {
		goto error_free;
	}
	device->base.own_fds[0] = device->server.tree.root->fd;
	device->base.own_fd_count = 1;
	ret = virtio_device_init(&device->base);
	if (ret < 0) {
		goto error_server;
	}
	*out = &device->base;
	return 0;

error_server:
	p9_server_finish(&device->server);
error_free:
	pthread_mutex_destroy(&device->lock);
	free(device);
	return ret;
}

void files_destroy(struct virtio_device *base) {
	if (base == NULL) {
		return;
	}
	struct files_device *device = from_base(base);
	if (device->epoll_fd >= 0) {
		stop(base);
	}
	p9_server_finish(&device->server);
	virtio_device_finish(base);
	pthread_mutex_destroy(&device->lock);
	free(device);
}
