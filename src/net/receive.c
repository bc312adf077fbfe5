/*
 * From the host to the guest. Runs in the net worker. Hostile are the guest's buffers; what is in the frames
 * is the guest's problem, and passt's lengths are checked all the same.
 *
 * Buffers that were popped are kept until a frame has enough of them, because one frame may need several, and
 * the driver must see all of those at once.
 */
#include "net/device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAP_READS 64 /* a turn */
#define ETHERNET_SIZE 14

int net_receive_init(struct net *net) {
	net->in = malloc(NET_IN_SIZE);
	net->reserve = calloc(VIRTQUEUE_SIZE_MAX, sizeof(net->reserve[0]));
	return net->in == NULL || net->reserve == NULL ? -ENOMEM : 0;
}

void net_receive_finish(struct net *net) {
	free(net->in);
	free(net->reserve);
}

void net_receive_reset(struct net *net) {
	net->reserve_first = net->reserve_count = 0;
	net->starved = false;
}

static struct virtqueue_chain *reserved(struct net *net, unsigned i) {
	return &net->reserve[(net->reserve_first + i) % VIRTQUEUE_SIZE_MAX];
}

static bool mergeable(const struct net *net) {
	return (net->device.driver_features >> VIRTIO_NET_F_MRG_RXBUF & 1) != 0;
}

/* ---- the guest's buffers ---- */

/* One more into the reserve: 1, 0 when the guest has none, or -EPROTO. */
static int reserve_one(struct net *net, struct virtqueue *queue) {
	struct virtqueue_chain *chain = reserved(net, net->reserve_count);
	int ret = virtqueue_pop(queue, chain);
	const char *rule = ret < 0 ? queue->rule : NULL;
	if (ret > 0 && chain->readable_count > 0) {
		rule = "a device-readable buffer in the queue for received frames";
	} else if (ret > 0 && chain->writable_size < NET_HEADER_SIZE) {
		rule = "a receive buffer without room for a header";
	}
	if (rule != NULL) {
		virtio_device_break(&net->device, rule);
		return -EPROTO;
	}
	net->reserve_count += ret > 0;
	return ret;
}

/* The same, and when there are none the next notification is asked for. */
static int reserve_or_ask(struct net *net, struct virtqueue *queue) {
	int ret;
	do {
		ret = reserve_one(net, queue);
	} while (ret == 0 && virtqueue_enable_notify(queue));
	return ret;
}

enum room { ROOM, NO_ROOM, NEVER };

/* Whether the guest has buffers for size bytes, and how many it takes. */
static enum room find_room(struct net *net, struct virtqueue *queue, uint64_t size, unsigned *count) {
	uint64_t room = 0;
	for (unsigned n = 0; n < queue->size; n++) {
		if (n == net->reserve_count && reserve_or_ask(net, queue) <= 0) {
			return NO_ROOM;
		}
		room += reserved(net, n)->writable_size;
		if (room >= size) {
			*count = n + 1;
			return ROOM;
		}
		if (!mergeable(net)) {
			return NEVER;
		}
	}
	return NEVER;
}

/* ---- frames ---- */

/* Header and frame into the first count buffers, which have room for them. */
static void fill(struct net *net, struct virtqueue *queue, const struct virtio_net_hdr_v1 *header,
	const uint8_t *frame, size_t size, unsigned count) {
	struct virtqueue_used used[VIRTQUEUE_SIZE_MAX];
	for (unsigned i = 0; i < count; i++) {
		struct virtqueue_chain *chain = reserved(net, i);
		size_t before = 0;
		if (i == 0) {
			before = virtqueue_chain_write(chain, 0, header, NET_HEADER_SIZE);
		}
		size_t written = virtqueue_chain_write(chain, before, frame, size);
		frame += written;
		size -= written;
		used[i] =
			(struct virtqueue_used){.head = chain->head, .written = (uint32_t)(before + written)};
	}
	virtqueue_push_all(queue, used, count);
	net->reserve_first = (net->reserve_first + count) % VIRTQUEUE_SIZE_MAX;
	net->reserve_count -= count;
}

/* False: not now. A frame that no buffers can hold is dropped. */
static bool deliver(struct net *net, struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size) {
	struct virtqueue *queue = &net->device.queues[NET_QUEUE_RECEIVE];
	unsigned count;
	if (queue->size == 0) {
		return true; /* the driver receives nothing */
	}
	switch (find_room(net, queue, NET_HEADER_SIZE + size, &count)) {
	case ROOM:
		header->num_buffers = (uint16_t)count;
		fill(net, queue, header, frame, size, count);
		return true;
	case NO_ROOM:
		net->starved = true;
		return false;
	case NEVER:
		break;
	}
	log_guest(&net->device.guest_errors, "%s: the guest's buffers are too small for a frame of %zu bytes",
		net->device.name, size);
	return true;
}

/* ---- passt's stream ---- */

/* passt computed the checksums, and nobody was on the way. */
static struct virtio_net_hdr_v1 local_header(const struct net *net) {
	bool unchecked = (net->device.driver_features >> VIRTIO_NET_F_GUEST_CSUM & 1) != 0;
	return (struct virtio_net_hdr_v1){.flags = unchecked ? VIRTIO_NET_HDR_F_DATA_VALID : 0};
}

/* Deliver what was read; false when that is to go on another time, or the link is lost. */
static bool deliver_stream(struct net *net) {
	while (net->in_end - net->in_start >= NET_PREFIX_SIZE) {
		uint32_t size;
		memcpy(&size, net->in + net->in_start, NET_PREFIX_SIZE);
		size = ntohl(size);
		if (size < ETHERNET_SIZE || size > NET_FRAME_MAX) {
			net_link_lose(net);
			return false;
		}
		if (net->in_end - net->in_start < NET_PREFIX_SIZE + size) {
			break;
		}
		struct virtio_net_hdr_v1 header = local_header(net);
		if (!deliver(net, &header, net->in + net->in_start + NET_PREFIX_SIZE, size)) {
			return false;
		}
		net->in_start += NET_PREFIX_SIZE + size;
	}
	net->in_end -= net->in_start;
	memmove(net->in, net->in + net->in_start, net->in_end);
	net->in_start = 0;
	return true;
}

static void receive_stream(struct net *net) {
	if (!deliver_stream(net)) {
		return;
	}
	ssize_t n = read(net->link.fd, net->in + net->in_end, NET_IN_SIZE - net->in_end);
	if (n > 0) {
		net->in_end += (size_t)n;
		deliver_stream(net);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		net_link_lose(net);
	}
}

/* ---- a tap's frames ---- */

static bool deliver_frame(struct net *net) {
	struct virtio_net_hdr_v1 header;
	if (net->in_end > NET_HEADER_SIZE) {
		memcpy(&header, net->in, NET_HEADER_SIZE);
		if (!deliver(net, &header, net->in + NET_HEADER_SIZE, net->in_end - NET_HEADER_SIZE)) {
			return false;
		}
	}
	net->in_end = 0;
	return true;
}

static void receive_tap(struct net *net) {
	for (unsigned i = 0; i < TAP_READS && deliver_frame(net); i++) {
		ssize_t n = read(net->link.fd, net->in, NET_IN_SIZE);
		if (n <= 0) {
			break;
		}
		net->in_end = (size_t)n;
	}
}

void net_receive(struct net *net) {
	struct virtqueue *queue = &net->device.queues[NET_QUEUE_RECEIVE];
	if (net->link.fd < 0) {
		return;
	}
	net->starved = false;
	virtqueue_disable_notify(queue);
	if (net->tap) {
		receive_tap(net);
	} else {
		receive_stream(net);
	}
	virtqueue_signal(queue);
	net_link_update(net);
}
