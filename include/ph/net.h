/*
 * virtio-net: Ethernet frames between the guest and one of two things on the host, a passt process or a tap
 * interface. Runs in the *net* worker. Frames and their headers are hostile from the guest's side, and what
 * comes from the network is hostile to the guest, but not to this device, which looks at lengths only.
 */
#ifndef PH_NET_H
#define PH_NET_H

#include "ph/virtio.h"

#define NET_MAC_SIZE 6
/* The largest datagram with room for an Ethernet header in 64 KiB, in whole words of IP. */
#define NET_MTU_MAX 65520

/* A tap of more queues is used with as many. */
#define NET_PAIRS_MAX 4

struct net_options {
	bool tap;
	/* Non-blocking: queues of a tap with a 12-byte virtio header before each frame, or one stream to
	 * passt */
	int fds[NET_PAIRS_MAX];
	unsigned pair_count;
	/* A SOCK_SEQPACKET that brings a new stream, in one byte's message, once passt's has ended; -1: none
	 */
	int supply_fd;
	uint8_t mac[NET_MAC_SIZE];
	uint16_t mtu;
	/* Where passt stands for a name server, by UDP alone: TCP would go to whoever has this address
	 * outside, and is refused. 0: nowhere. */
	uint8_t resolver[4];
};

/* Takes the descriptors, in each case. -errno, or 0 and a device for net_destroy(), which accepts NULL. */
int net_create(struct virtio_device **device, const struct net_options *options);
void net_destroy(struct virtio_device *device);
/* In the process that forked the device's worker: close what only the worker may hold open. */
void net_leave(struct virtio_device *device);

#endif
