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

#define QUEUE_SIZE 256
#define BIT(feature) (1ULL << (feature))
#define FEATURES_ANY \
	(BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) | \
		BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM))
/* What a tap's kernel does for the guest, and what the guest's does for it. */
#define FEATURES_TAP \
	(BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
		BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))

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

static int net_start(struct virtio_device *device) {
	struct net *net = net_of(device);
	if (net->tap && ioctl(net->link.fd, TUNSETOFFLOAD, tap_offloads(device->driver_features)) < 0) {
		return -errno;
	}
	net_receive_reset(net);
	return net_link_start(net);
}

static void net_stop(struct virtio_device *device) {
	struct net *net = net_of(device);
	net_link_stop(net);
	net_receive_reset(net);
}

static void net_notify(struct virtio_device *device, struct virtqueue *queue) {
	struct net *net = net_of(device);
	if (queue->index == NET_QUEUE_TRANSMIT) {
		net_transmit(net);
	} else if (net->starved) {
		net_receive(net);
	}
}

static const struct virtio_device_ops net_ops = {
	.start = net_start,
	.stop = net_stop,
	.notify = net_notify,
};

static void fill_config(struct virtio_device *device, const struct net_options *options) {
	const struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP, .max_virtqueue_pairs = 1, .mtu = options->mtu};
	device->config_size = offsetof(struct virtio_net_config, speed);
	memcpy(device->config, &config, device->config_size);
	memcpy(device->config, options->mac, NET_MAC_SIZE);
}

static void describe(struct virtio_device *device, const struct net_options *options) {
	device->ops = &net_ops;
	strcpy(device->name, "network");
	device->type = VIRTIO_TYPE_NET;
	device->pci_class = 0x020000; /* Ethernet controller */
	device->features = FEATURES_ANY | (options->tap ? FEATURES_TAP : 0);
	fill_config(device, options);
	device->queue_count = 2;
	device->queue_size[NET_QUEUE_RECEIVE] = device->queue_size[NET_QUEUE_TRANSMIT] = QUEUE_SIZE;
	device->own_fds[0] = options->fd;
	device->own_fds[1] = options->supply_fd;
	device->own_fd_count = options->supply_fd >= 0 ? 2 : 1;
}

int net_create(struct virtio_device **device, const struct net_options *options) {
	struct net *net = calloc(1, sizeof(*net));
	int link = options->fd, supply = options->supply_fd, ret = -ENOMEM;
	if (net == NULL) {
		goto error;
	}
	net->tap = options->tap;
	net->link.fd = link;
	net->supply.fd = supply;
	describe(&net->device, options);
	ret = net_receive_init(net);
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
		net_receive_finish(net);
	}
	free(net);
	fd_close(&link);
	fd_close(&supply);
	return ret;
}

void net_leave(struct virtio_device *device) {
	struct net *net = net_of(device);
	fd_close(&net->link.fd);
	fd_close(&net->supply.fd);
	device->own_fd_count = 0;
}

void net_destroy(struct virtio_device *device) {
	if (device == NULL) {
		return;
	}
	net_leave(device);
	virtio_device_finish(device);
	net_receive_finish(net_of(device));
	free(net_of(device));
}
