/* A frame that the guest sends. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "ph/virtqueue.h"

#include <linux/virtio_net.h>

#define NET_HEADER_SIZE sizeof(struct virtio_net_hdr_v1)
/* An Ethernet header, a VLAN's tag and the largest datagram of IP. */
#define NET_FRAME_MAX (14 + 4 + 65535)
/* So much of a frame is copied before it is looked at: all headers that matter. */
#define NET_HEAD_SIZE 256

struct net_frame {
	struct virtio_net_hdr_v1 header;
	uint32_t size; /* of the frame, head and rest */
	uint32_t head_size;
	uint8_t head[NET_HEAD_SIZE];
	struct iovec rest[VIRTQUEUE_SIZE_MAX]; /* still the guest's */
	unsigned rest_count;
};

/* Take a chain apart: NULL, or the rule that it breaks. features are those the driver accepted. */
const char *net_frame_read(struct net_frame *frame, const struct virtqueue_chain *chain, uint64_t features);
/* Ethernet, IPv4 and TCP, without options. */
#define NET_REFUSAL_SIZE 54

/* Whether passt may get it: the network's business, and no way to the host's loopback. */
bool net_frame_may_leave(const struct net_frame *frame);
/* TCP over IPv4 to that address, whole or a fragment. */
bool net_frame_is_tcp_to(const struct net_frame *frame, const uint8_t address[4]);
/* What refuses a connection, as if from where it should lead (RFC 9293, 3.10.7.1). False: the frame begins
 * none. */
bool net_frame_refuse(const struct net_frame *frame, uint8_t refusal[NET_REFUSAL_SIZE]);
/* Do what the header asks for: the checksum that the guest left out. False: it cannot be done. */
bool net_frame_finish_checksum(struct net_frame *frame);

#endif
