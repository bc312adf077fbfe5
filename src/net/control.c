/*
 * The queue of commands: how many pairs of queues the driver uses. Runs in the net worker. Commands are
 * hostile; one that is not known, or makes no sense, is answered with an error, as the specification wants.
 */
#include "net/device.h"

struct command {
	uint8_t class, command;
	uint16_t pairs;
} __attribute__((packed));

static bool obey(struct net *net, const struct virtqueue_chain *chain) {
	struct command command;
	if (chain->readable_size != sizeof(command)) {
		return false;
	}
	virtqueue_chain_read(chain, 0, &command, sizeof(command));
	return command.class == VIRTIO_NET_CTRL_MQ && command.command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET &&
	       command.pairs >= 1 && command.pairs <= net->pair_count &&
	       (net->device.driver_features >> VIRTIO_NET_F_MQ & 1) != 0 &&
	       net_link_use(net, command.pairs) == 0;
}

static uint32_t serve(struct virtio_device *device, struct virtqueue_chain *chain) {
	struct net *net = (struct net *)(void *)((char *)device - offsetof(struct net, device));
	const uint8_t answer = obey(net, chain) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	return (uint32_t)virtqueue_chain_write(chain, 0, &answer, sizeof(answer));
}

void net_control(struct net *net, struct virtqueue *queue) {
	virtio_device_serve_queue(&net->device, queue, serve);
}
