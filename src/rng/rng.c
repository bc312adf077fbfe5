/*
 * virtio-rng: random bytes from getrandom(2). Runs on the monitor's loop. The chains are hostile, and so is
 * a driver that never stops asking: what it may take is an allowance that a timer renews.
 */
#include "ph/rng.h"

#include "ph/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>

#define QUEUE_SIZE 64
/* 64 KiB each tenth of a second: a boot takes some hundred bytes, and at this rate a guest that reads without
 * end costs the loop well below a hundredth of a CPU. */
#define ALLOWANCE 65536
#define RENEWAL_NS 100000000
/* The least a request counts for, as asking for single bytes costs the loop more than the bytes do. */
#define REQUEST_COST 64

struct rng {
	struct virtio_device device;
	uint32_t allowance;
	bool waiting; /* for the timer, with requests in the queue */
	struct loop_source timer;
};

static struct rng *rng_of(struct virtio_device *device) {
	return (struct rng *)(void *)((char *)device - offsetof(struct rng, device));
}

/* Fill the chain as far as the allowance goes; the bytes written. */
static uint32_t fill(const struct rng *rng, const struct virtqueue_chain *chain) {
	uint32_t written = 0;
	for (unsigned i = 0; i < chain->writable_count && written < rng->allowance; i++) {
		size_t left = rng->allowance - written;
		size_t len = chain->iov[i].iov_len < left ? chain->iov[i].iov_len : left;
		/* Short only for more than 256 bytes and a signal: then the driver gets what there is. */
		ssize_t n = getrandom(chain->iov[i].iov_base, len, 0);
		written += n > 0 ? (uint32_t)n : 0;
		if (n != (ssize_t)len) {
			break;
		}
	}
	return written;
}

static void spend(struct rng *rng, uint32_t written) {
	uint32_t cost = written > REQUEST_COST ? written : REQUEST_COST;
	rng->allowance -= cost < rng->allowance ? cost : rng->allowance;
}

/* Serve while there is a request and an allowance; false when there is nothing more to do. */
static bool serve_one(struct rng *rng, struct virtqueue *queue) {
	struct virtqueue_chain chain;
	int ret = virtqueue_pop(queue, &chain);
	if (ret < 0) {
		virtio_device_break(&rng->device, queue->rule);
	}
	if (ret <= 0) {
		return false;
	}
	if (chain.readable_count > 0) {
		virtio_device_break(&rng->device, "a device-readable buffer in the queue for random bytes");
		return false;
	}
	uint32_t written = fill(rng, &chain);
	spend(rng, written);
	virtqueue_push(queue, chain.head, written);
	return true;
}

static void arm_timer(struct rng *rng, long ns) {
	struct itimerspec time = {.it_value.tv_nsec = ns};
	timerfd_settime(rng->timer.fd, 0, &time, NULL);
}

static void serve_queue(struct rng *rng, struct virtqueue *queue) {
	do {
		virtqueue_disable_notify(queue);
		while (rng->allowance > 0 && serve_one(rng, queue)) {
		}
		virtqueue_signal(queue);
		if (rng->allowance == 0) {
			rng->waiting = true;
			arm_timer(rng, RENEWAL_NS);
			return;
		}
	} while (virtqueue_enable_notify(queue));
}

static void rng_notify(struct virtio_device *device, struct virtqueue *queue) {
	struct rng *rng = rng_of(device);
	if (!rng->waiting && !queue->broken) {
		serve_queue(rng, queue);
	}
}

static void renew(struct loop_source *source, uint32_t events) {
	(void)events;
	struct rng *rng = (struct rng *)(void *)((char *)source - offsetof(struct rng, timer));
	fd_event_drain(source->fd);
	rng->allowance = ALLOWANCE;
	rng->waiting = false;
	rng_notify(&rng->device, &rng->device.queues[0]);
}

static int rng_start(struct virtio_device *device) {
	struct rng *rng = rng_of(device);
	/* The allowance outlives a reset, or resetting would renew it. */
	if (rng->waiting) {
		arm_timer(rng, RENEWAL_NS);
	}
	return loop_add(device->loop, &rng->timer, EPOLLIN);
}

static void rng_stop(struct virtio_device *device) {
	struct rng *rng = rng_of(device);
	loop_remove(device->loop, &rng->timer);
	arm_timer(rng, 0);
}

static const struct virtio_device_ops rng_ops = {
	.start = rng_start,
	.stop = rng_stop,
	.notify = rng_notify,
};

int rng_create(struct virtio_device **device) {
	struct rng *rng = calloc(1, sizeof(*rng));
	if (rng == NULL) {
		return -ENOMEM;
	}
	rng->device.ops = &rng_ops;
	strcpy(rng->device.name, "rng");
	rng->device.type = VIRTIO_TYPE_RNG;
	rng->device.pci_class = 0x100000; /* encryption controller */
	rng->device.queue_count = 1;
	rng->device.queue_size[0] = QUEUE_SIZE;
	rng->allowance = ALLOWANCE;
	int ret = virtio_device_init(&rng->device);
	if (ret < 0) {
		goto error_device;
	}
	rng->timer.ready = renew;
	rng->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rng->timer.fd < 0) {
		ret = -errno;
		goto error_timer;
	}
	rng->device.own_fds[0] = rng->timer.fd;
	rng->device.own_fd_count = 1;
	*device = &rng->device;
	return 0;

error_timer:
	virtio_device_finish(&rng->device);
error_device:
	free(rng);
	return ret;
}

void rng_destroy(struct virtio_device *device) {
	if (device == NULL) {
		return;
	}
	struct rng *rng = rng_of(device);
	virtio_device_finish(device);
	fd_close(&rng->timer.fd);
	free(rng);
}
