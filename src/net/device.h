/* The network device's insides: its link, and the two directions. */
#ifndef NET_DEVICE_H
#define NET_DEVICE_H

#include "net/frame.h"
#include "ph/net.h"

/* Two queues for each pair, and behind them one for commands if there are several. */
#define NET_QUEUE_RECEIVE(pair) ((pair)->index * 2)
#define NET_QUEUE_TRANSMIT(pair) ((pair)->index * 2 + 1)
/* passt's stream: the length of a frame in network order, then the frame. */
#define NET_PREFIX_SIZE 4
/* What is read at once: some frames of the largest kind. */
#define NET_IN_SIZE (256 * 1024)

struct net_pair {
	struct net *net;
	unsigned index;
	struct loop_source link; /* fd -1: none */
	bool attached;           /* of a tap: it gives and takes frames */
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

struct net {
	struct virtio_device device;
	bool tap;
	uint8_t resolver[4];
	struct loop_source supply;       /* of links for the first pair; fd -1: none */
	unsigned pair_count, pairs_used; /* the driver says how many of them it uses, from 1 on */
	struct net_pair pairs[NET_PAIRS_MAX];
};

static inline struct virtqueue *net_receive_queue(struct net_pair *pair) {
	return &pair->net->device.queues[NET_QUEUE_RECEIVE(pair)];
}

static inline struct virtqueue *net_transmit_queue(struct net_pair *pair) {
	return &pair->net->device.queues[NET_QUEUE_TRANSMIT(pair)];
}

/* link.c: what goes over the links; -1 as its descriptor is a link that is down. */
int net_link_start(struct net *net);
void net_link_stop(struct net *net);
/* Use so many of a tap's queues, from the first on. 0 or -errno. */
int net_link_use(struct net *net, unsigned count);
/* The other end is gone. */
void net_link_lose(struct net_pair *pair);
/* Watch the link for what is wanted of it now. */
void net_link_update(struct net_pair *pair);

/* transmit.c */
void net_transmit(struct net_pair *pair);

/* receive.c */
int net_receive_init(struct net_pair *pair);
void net_receive_finish(struct net_pair *pair);
/* Forget the guest's buffers. */
void net_receive_reset(struct net_pair *pair);
void net_receive(struct net_pair *pair);
/* A frame of the device's own, which is lost where the guest has no buffer for it. */
void net_receive_own(struct net_pair *pair, const uint8_t *frame, size_t size);

/* control.c: the queue of commands. */
void net_control(struct net *net, struct virtqueue *queue);

#endif
