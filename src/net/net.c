/*
 * The virtio-net device: what it offers, its start and its end. Runs in the net worker's one thread, but for
 * creating and leaving it. Hostile is what the driver accepts and notifies.
 */
#include "net/device.h"

#include "ph/fd.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define QUEUE_SIZE 256
#define BIT(feature) (1ULL << (feature))
#define FEATURES_ANY \
	(BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) | \
		BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM))
/* What a tap's kernel does for the guest, and what the guest's does for it. */
#define FEATURES_TAP \
	(BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
		BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))

/* A tap can have several queues; passt's is one stream. */
#define FEATURES_PAIRS (BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ))

static struct net *net_of(struct virtio_device *device) {
	return (struct net *)(void *)((char *)device - offsetof(struct net, device));
}

/* What the guest takes from a tap besides whole frames with their checksums. */
static unsigned tap_offloads(uint64_t features) {
	static const struct {
		unsigned feature, offload;
	} map[] = {{VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4}, {VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN}};
	unsigned offloads = 0;
	if ((features & BIT(VIRTIO_NET_F_GUEST_CSUM)) == 0) {
		return 0;
	}
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		offloads |= (features & BIT(map[i].feature)) != 0 ? map[i].offload : 0;
	}
	return offloads | TUN_F_CSUM;
}

static void reset_pairs(struct net *net) {
	for (unsigned i = 0; i < net->pair_count; i++) {
		net_receive_reset(&net->pairs[i]);
	}
}

static int net_start(struct virtio_device *device) {
	struct net *net = net_of(device);
	int tap = net->tap ? net->pairs[0].link.fd : -1;
	/* Without an interface there is nothing to tell: its end comes by the loop. */
	if (tap >= 0 && ioctl(tap, TUNSETOFFLOAD, tap_offloads(device->driver_features)) < 0 &&
		errno != EBADFD) {
		return -errno;
	}
	reset_pairs(net);
	return net_link_start(net);
}

static void net_stop(struct virtio_device *device) {
	struct net *net = net_of(device);
	net_link_stop(net);
	reset_pairs(net);
}

/* Commands come behind the pairs that the driver knows of. */
static bool is_control(const struct net *net, unsigned index) {
	bool several = (net->device.driver_features & BIT(VIRTIO_NET_F_MQ)) != 0;
	return (net->device.driver_features & BIT(VIRTIO_NET_F_CTRL_VQ)) != 0 &&
	       index == 2 * (several ? net->pair_count : 1);
}

static void net_notify(struct virtio_device *device, struct virtqueue *queue) {
	struct net *net = net_of(device);
	struct net_pair *pair = &net->pairs[queue->index / 2];
	if (is_control(net, queue->index)) {
		net_control(net, queue);
	} else if (queue->index / 2 >= net->pairs_used) {
		return;
	} else if (queue->index == NET_QUEUE_TRANSMIT(pair)) {
		net_transmit(pair);
	} else if (pair->starved) {
		net_receive(pair);
	}
}

static const struct virtio_device_ops net_ops = {
	.start = net_start,
	.stop = net_stop,
	.notify = net_notify,
};

static void fill_config(struct virtio_device *device, const struct net_options *options) {
	const struct virtio_net_config config = {.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)options->pair_count,
		.mtu = options->mtu};
	device->config_size = offsetof(struct virtio_net_config, speed);
	memcpy(device->config, &config, device->config_size);
	memcpy(device->config, options->mac, NET_MAC_SIZE);
}

static void describe(struct virtio_device *device, const struct net_options *options) {
	device->ops = &net_ops;
	strcpy(device->name, "network");
	device->type = VIRTIO_TYPE_NET;
	device->pci_class = 0x020000; /* Ethernet controller */
	device->features = FEATURES_ANY | (options->tap ? FEATURES_TAP : 0) |
			   (options->pair_count > 1 ? FEATURES_PAIRS : 0);
	fill_config(device, options);
	device->queue_count = 2 * options->pair_count + (options->pair_count > 1);
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->queue_size[i] = QUEUE_SIZE;
	}
	for (unsigned i = 0; i < options->pair_count; i++) {
		device->own_fds[device->own_fd_count++] = options->fds[i];
	}
	if (options->supply_fd >= 0) {
		device->own_fds[device->own_fd_count++] = options->supply_fd;
	}
}

static int init_pairs(struct net *net, const struct net_options *options) {
	int ret = 0;
	net->pair_count = options->pair_count;
	for (unsigned i = 0; i < net->pair_count && ret == 0; i++) {
		struct net_pair *pair = &net->pairs[i];
		*pair = (struct net_pair){.net = net, .index = i, .attached = true};
		pair->link.fd = options->fds[i];
		ret = net_receive_init(pair);
	}
	return ret;
}

static void finish_pairs(struct net *net) {
	for (unsigned i = 0; i < net->pair_count; i++) {
		net_receive_finish(&net->pairs[i]);
	}
}

int net_create(struct virtio_device **device, const struct net_options *options) {
	struct net *net = calloc(1, sizeof(*net));
	int ret = -ENOMEM;
	if (net == NULL) {
		goto error;
	}
	net->tap = options->tap;
	memcpy(net->resolver, options->resolver, sizeof(net->resolver));
	net->supply.fd = options->supply_fd;
	describe(&net->device, options);
	ret = init_pairs(net, options);
	if (ret == 0) {
		ret = virtio_device_init(&net->device);
	}
	if (ret < 0) {
		goto error;
	}
	*device = &net->device;
	return 0;

error:
	if (net != NULL) {
		finish_pairs(net);
	}
	free(net);
	for (unsigned i = 0; i < options->pair_count; i++) {
		close(options->fds[i]);
	}
	if (options->supply_fd >= 0) {
		close(options->supply_fd);
	}
	return ret;
}

void net_leave(struct virtio_device *device) {
	struct net *net = net_of(device);
	for (unsigned i = 0; i < net->pair_count; i++) {
		fd_close(&net->pairs[i].link.fd);
	}
	fd_close(&net->supply.fd);
	device->own_fd_count = 0;
}

void net_destroy(struct virtio_device *device) {
	if (device == NULL) {
		return;
	}
	net_leave(device);
	virtio_device_finish(device);
	finish_pairs(net_of(device));
	free(net_of(device));
}
