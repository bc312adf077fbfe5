/*
 * A virtio device, where it runs, and how its transport reaches it.
 *
 * A device is a set of functions over queues. It runs on the event loop of a *host*: the monitor's
 * own loop, or the loop of a worker process forked before the guest starts. Both are reached the
 * same way, by messages on a socket pair, so a device cannot tell the difference. The transport
 * (virtio-pci, in the monitor, on vCPU threads) sends ACTIVATE and RESET and waits for the answer;
 * notifications and interrupts go through eventfds that KVM knows (ioeventfd, irqfd) and that all
 * processes inherit, so the monitor is not on the data path.
 */
#ifndef PH_VIRTIO_H
#define PH_VIRTIO_H

#include "ph/error.h"
#include "ph/log.h"
#include "ph/loop.h"
#include "ph/virtqueue.h"

#include <pthread.h>
#include <stdatomic.h>

/* Device types (virtio 1.2, section 5) */
#define VIRTIO_TYPE_NET 1
#define VIRTIO_TYPE_BLOCK 2
#define VIRTIO_TYPE_CONSOLE 3
#define VIRTIO_TYPE_RNG 4
#define VIRTIO_TYPE_BALLOON 5
#define VIRTIO_TYPE_9P 9
#define VIRTIO_TYPE_WL 63

/* Transport feature bits (section 6); the transport offers these for every device. */
#define VIRTIO_RING_F_INDIRECT_DESC 28
#define VIRTIO_RING_F_EVENT_IDX 29
#define VIRTIO_RING_F_VERSION_1 32
#define VIRTIO_TRANSPORT_FEATURES \
	(1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX | \
		1ULL << VIRTIO_RING_F_VERSION_1)

#define VIRTIO_QUEUES_MAX 18
#define VIRTIO_VECTORS_MAX (VIRTIO_QUEUES_MAX + 1)
#define VIRTIO_NO_VECTOR 0xffff
#define VIRTIO_OWN_FDS_MAX 6

struct virtio_device;

struct virtio_device_ops {
	/* Optional: called once in the worker that will serve the device, after the fork and before the
	 * worker confines itself, for what needs the host's file system. A device that runs in the monitor
	 * does without the call. 0 or -errno: the worker ends. */
	int (*enter)(struct virtio_device *device);
	/* The driver set DRIVER_OK: driver_features and the queues with size != 0 are valid. 0, or -errno:
	 * NEEDS_RESET. */
	int (*start)(struct virtio_device *device);
	/* The driver resets: after the return the device touches no guest memory. Called only after start. */
	void (*stop)(struct virtio_device *device);
	/* The driver notified a queue: serve what is available. Spurious calls happen; one for each queue
	 * follows start. NULL: the device watches queues[i].kick_fd itself, on threads of its own, between
	 * start and stop. */
	void (*notify)(struct virtio_device *device, struct virtqueue *queue);
};

#define VIRTIO_CONFIG_MAX 64

/* The part of a device that its host and the transport share across processes (a MAP_SHARED page). */
struct virtio_shared {
	atomic_bool needs_reset;
	/* The configuration space once it has changed, and how often it has. */
	atomic_bool config_changed;
	atomic_uchar config_generation;
	_Atomic uint8_t config[VIRTIO_CONFIG_MAX];
};

struct virtio_device {
	/* set by the device's create function */
	const struct virtio_device_ops *ops;
	char name[32];      /* for messages, as in "9p root" */
	uint16_t type;      /* VIRTIO_TYPE_* */
	uint32_t pci_class; /* 24 bits: class, subclass, interface */
	uint64_t features;  /* offered device-specific feature bits */
	/* The device configuration space, constant but for virtio_device_change_config(). */
	uint8_t config[VIRTIO_CONFIG_MAX];
	unsigned config_size;
	/* A shared-memory region, with id 0; size 0: none. Guest-physical and fixed: where its memory slot
	 * is. */
	uint64_t shared_memory_address, shared_memory_size;
	unsigned queue_count;
	uint16_t queue_size[VIRTIO_QUEUES_MAX]; /* maximum the device offers */
	int own_fds[VIRTIO_OWN_FDS_MAX];        /* beside its eventfds, what a worker must keep open for it */
	unsigned own_fd_count;

	/* set by virtio_device_init() */
	struct virtqueue queues[VIRTIO_QUEUES_MAX];
	int vector_fds[VIRTIO_VECTORS_MAX]; /* eventfds KVM turns into MSI-X vectors; vector i; queue_count +
					       1 of them */
	struct virtio_shared *shared;

	/* set by the host while started */
	struct loop *loop;
	const struct guest_memory *memory;
	uint64_t driver_features;
	bool started;
	struct log_limit guest_errors;
	/* set by whoever made the device; NULL: nothing. Threads of the device's own call it once they have
	 * opened what they need. */
	void (*confine_thread)(void);
	/* private to the host */
	int config_call_fd; /* interrupts that are not a queue's, -1: none */
};

/* Create the eventfds and the shared page, before any fork. 0 or -errno; virtio_device_finish() undoes it and
 * accepts zeroed. */
int virtio_device_init(struct virtio_device *device);
void virtio_device_finish(struct virtio_device *device);

/* The driver broke a rule: log one rate-limited line, set DEVICE_NEEDS_RESET, interrupt, and serve nothing
 * until the reset. */
void virtio_device_break(struct virtio_device *device, const char *rule);

/* Change a 16-bit field of the configuration space, and tell the driver. Where the device runs. */
void virtio_device_change_config(struct virtio_device *device, unsigned offset, uint16_t value);

/* For devices whose ops->notify serves a queue of request/response chains: pop each, call serve, push,
 * signal, until empty. */
void virtio_device_serve_queue(struct virtio_device *device, struct virtqueue *queue,
	uint32_t (*serve)(struct virtio_device *device, struct virtqueue_chain *chain));
/* The same, but after so many chains the loop's other sources have their turn. virtio_device_serve_queue()
 * leaves it to them after a queue's worth. */
void virtio_device_serve_some(struct virtio_device *device, struct virtqueue *queue, unsigned budget,
	uint32_t (*serve)(struct virtio_device *device, struct virtqueue_chain *chain));

/* ---- where devices run ---- */

#define VIRTIO_HOST_DEVICES_MAX 32

/* The serving end: a loop with devices and the socket the transport's requests come in on. */
struct virtio_host {
	struct loop *loop;
	const struct guest_memory *memory;
	struct virtio_device *devices[VIRTIO_HOST_DEVICES_MAX];
	unsigned device_count;
	struct loop_source socket;                /* SOCK_SEQPACKET */
	void (*closed)(struct virtio_host *host); /* the transport's end is gone */
};

/* The requesting end, in the monitor: used by vCPU threads, one request at a time. */
struct virtio_host_client {
	int fd;
	pthread_mutex_t lock;
};

struct virtio_activation {
	uint64_t driver_features;
	uint16_t config_vector;
	struct virtqueue_config queues[VIRTIO_QUEUES_MAX];
};

/* A connected pair. 0 or -errno. */
int virtio_host_socketpair(int *host_end, int *client_end);
/* Serve host->devices on loop; takes the socket. 0 or -errno. Devices are addressed by their index in
 * host->devices. virtio_host_finish() stops them and closes the socket, which fails requests that wait for an
 * answer: call it before joining vCPU threads. It accepts a zeroed host. */
int virtio_host_init(
	struct virtio_host *host, struct loop *loop, const struct guest_memory *memory, int socket);
void virtio_host_finish(struct virtio_host *host);
int virtio_host_client_init(struct virtio_host_client *client, int fd);
void virtio_host_client_finish(struct virtio_host_client *client);
/* Blocking requests; -errno from the device, or -EPIPE when the host is gone. */
int virtio_host_activate(
	struct virtio_host_client *client, unsigned device, const struct virtio_activation *activation);
int virtio_host_reset(struct virtio_host_client *client, unsigned device);

#endif
