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

int net_receive_init(struct net_pair *pair) {
	pair->in = malloc(NET_IN_SIZE);
	pair->reserve = calloc(VIRTQUEUE_SIZE_MAX, sizeof(pair->reserve[0]));
	return pair->in == NULL || pair->reserve == NULL ? -ENOMEM : 0;
}

void net_receive_finish(struct net_pair *pair) {
	free(pair->in);
	free(pair->reserve);
}

void net_receive_reset(struct net_pair *pair) {
	pair->reserve_first = pair->reserve_count = 0;
	pair->starved = false;
}

static struct virtqueue_chain *reserved(struct net_pair *pair, unsigned i) {
	return &pair->reserve[(pair->reserve_first + i) % VIRTQUEUE_SIZE_MAX];
}

static bool mergeable(const struct net_pair *pair) {
	return (pair->net->device.driver_features >> VIRTIO_NET_F_MRG_RXBUF & 1) != 0;
}

/* ---- the guest's buffers ---- */

/* One more into the reserve: 1, 0 when the guest has none, or -EPROTO. */
static int reserve_one(struct net_pair *pair, struct virtqueue *queue) {
	struct virtqueue_chain *chain = reserved(pair, pair->reserve_count);
	int ret = virtqueue_pop(queue, chain);
	const char *rule = ret < 0 ? queue->rule : NULL;
	if (ret > 0 && chain->readable_count > 0) {
		rule = "a device-readable buffer in the queue for received frames";
	} else if (ret > 0 && chain->writable_size < NET_HEADER_SIZE) {
		rule = "a receive buffer without room for a header";
	}
	if (rule != NULL) {
		virtio_device_break(&pair->net->device, rule);
		return -EPROTO;
	}
	pair->reserve_count += ret > 0;
	return ret;
}

/* The same, and when there are none the next notification is asked for. */
static int reserve_or_ask(struct net_pair *pair, struct virtqueue *queue) {
	int ret;
	do {
		ret = reserve_one(pair, queue);
	} while (ret == 0 && virtqueue_enable_notify(queue));
	return ret;
}

enum room { ROOM, NO_ROOM, NEVER };

/* Whether the guest has buffers for size bytes, and how many it takes. */
static enum room find_room(struct net_pair *pair, struct virtqueue *queue, uint64_t size, unsigned *count) {
	uint64_t room = 0;
	for (unsigned n = 0; n < queue->size; n++) {
		if (n == pair->reserve_count && reserve_or_ask(pair, queue) <= 0) {
			return NO_ROOM;
		}
		room += reserved(pair, n)->writable_size;
		if (room >= size) {
			*count = n + 1;
			return ROOM;
		}
		if (!mergeable(pair)) {
			return NEVER;
		}
	}
	return NEVER;
}

/* ---- frames ---- */

/* Header and frame into the first count buffers, which have room for them. */
static void fill(struct net_pair *pair, struct virtqueue *queue, const struct virtio_net_hdr_v1 *header,
	const uint8_t *frame, size_t size, unsigned count) {
	struct virtqueue_used used[VIRTQUEUE_SIZE_MAX];
	for (unsigned i = 0; i < count; i++) {
		struct virtqueue_chain *chain = reserved(pair, i);
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
	pair->reserve_first = (pair->reserve_first + count) % VIRTQUEUE_SIZE_MAX;
	pair->reserve_count -= count;
}

/* False: not now. A frame that no buffers can hold is dropped. */
static bool deliver(
	struct net_pair *pair, struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size) {
	struct virtqueue *queue = net_receive_queue(pair);
	unsigned count;
	if (queue->size == 0) {
		return true; /* the driver receives nothing */
	}
	switch (find_room(pair, queue, NET_HEADER_SIZE + size, &count)) {
	case ROOM:
		header->num_buffers = (uint16_t)count;
		fill(pair, queue, header, frame, size, count);
		return true;
	case NO_ROOM:
		pair->starved = true;
		return false;
	case NEVER:
		break;
	}
	log_guest(&pair->net->device.guest_errors,
		"%s: the guest's buffers are too small for a frame of %zu bytes", pair->net->device.name,
		size);
	return true;
}

/* ---- passt's stream ---- */

/* passt computed the checksums, and nobody was on the way. */
static struct virtio_net_hdr_v1 local_header(const struct net_pair *pair) {
	bool unchecked = (pair->net->device.driver_features >> VIRTIO_NET_F_GUEST_CSUM & 1) != 0;
	return (struct virtio_net_hdr_v1){.flags = unchecked ? VIRTIO_NET_HDR_F_DATA_VALID : 0};
}

/* Deliver what was read; false when that is to go on another time, or the link is lost. */
static bool deliver_stream(struct net_pair *pair) {
	while (pair->in_end - pair->in_start >= NET_PREFIX_SIZE) {
		uint32_t size;
		memcpy(&size, pair->in + pair->in_start, NET_PREFIX_SIZE);
		size = ntohl(size);
		if (size < ETHERNET_SIZE || size > NET_FRAME_MAX) {
			net_link_lose(pair);
			return false;
		}
		if (pair->in_end - pair->in_start < NET_PREFIX_SIZE + size) {
			break;
		}
		struct virtio_net_hdr_v1 header = local_header(pair);
		if (!deliver(pair, &header, pair->in + pair->in_start + NET_PREFIX_SIZE, size)) {
			return false;
		}
		pair->in_start += NET_PREFIX_SIZE + size;
	}
	pair->in_end -= pair->in_start;
	memmove(pair->in, pair->in + pair->in_start, pair->in_end);
	pair->in_start = 0;
	return true;
}

static void receive_stream(struct net_pair *pair) {
	if (!deliver_stream(pair)) {
		return;
	}
	ssize_t n = read(pair->link.fd, pair->in + pair->in_end, NET_IN_SIZE - pair->in_end);
	if (n > 0) {
		pair->in_end += (size_t)n;
		deliver_stream(pair);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		net_link_lose(pair);
	}
}

/* ---- a tap's frames ---- */

static bool deliver_frame(struct net_pair *pair) {
	struct virtio_net_hdr_v1 header;
	if (pair->in_end > NET_HEADER_SIZE) {
		memcpy(&header, pair->in, NET_HEADER_SIZE);
		if (!deliver(pair, &header, pair->in + NET_HEADER_SIZE, pair->in_end - NET_HEADER_SIZE)) {
			return false;
		}
	}
	pair->in_end = 0;
	return true;
}

static void receive_tap(struct net_pair *pair) {
	for (unsigned i = 0; i < TAP_READS && deliver_frame(pair); i++) {
		ssize_t n = read(pair->link.fd, pair->in, NET_IN_SIZE);
		if (n <= 0) {
			break;
		}
		pair->in_end = (size_t)n;
	}
}

void net_receive(struct net_pair *pair) {
	struct virtqueue *queue = net_receive_queue(pair);
	if (pair->link.fd < 0) {
		return;
	}
	pair->starved = false;
	virtqueue_disable_notify(queue);
	if (pair->net->tap) {
		receive_tap(pair);
	} else {
		receive_stream(pair);
	}
	virtqueue_signal(queue);
	net_link_update(pair);
}

void net_receive_own(struct net_pair *pair, const uint8_t *frame, size_t size) {
	struct virtio_net_hdr_v1 header = local_header(pair);
	deliver(pair, &header, frame, size);
	virtqueue_signal(net_receive_queue(pair));
}
