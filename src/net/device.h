/* The network device's insides: its link, and the two directions. */
#ifndef NET_DEVICE_H
#define NET_DEVICE_H

#include "net/frame.h"
#include "ph/net.h"

#define NET_QUEUE_RECEIVE 0
#define NET_QUEUE_TRANSMIT 1
/* passt's stream: the length of a frame in network order, then the frame. */
#define NET_PREFIX_SIZE 4
/* What is read at once: some frames of the largest kind. */
#define NET_IN_SIZE (256 * 1024)

struct net {
	struct virtio_device device;
	bool tap;
	struct loop_source link, supply; /* fd -1: none */
	/* Guest to host: what passt has not taken yet of a frame it has begun with. */
	bool blocked; /* until the link takes more */
	size_t out_start, out_end;
	uint8_t out[NET_PREFIX_SIZE + NET_FRAME_MAX];
	/* Host to guest: what was read, and the guest's buffers that were popped and not used yet. */
	bool starved; /* until the guest has more buffers */
	size_t in_start, in_end;
	uint8_t *in;
	unsigned reserve_first, reserve_count;
	struct virtqueue_chain *reserve; /* a ring of VIRTQUEUE_SIZE_MAX */
};

/* link.c: what goes over the link; -1 as its descriptor is a link that is down. */
int net_link_start(struct net *net);
void net_link_stop(struct net *net);
/* The other end is gone. */
void net_link_lose(struct net *net);
/* Watch the link for what is wanted of it now. */
void net_link_update(struct net *net);

/* transmit.c */
void net_transmit(struct net *net);

/* receive.c */
int net_receive_init(struct net *net);
void net_receive_finish(struct net *net);
/* Forget the guest's buffers. */
void net_receive_reset(struct net *net);
void net_receive(struct net *net);

#endif
