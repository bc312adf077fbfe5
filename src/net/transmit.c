/*
 * From the guest to the host. Runs in the net worker. The chains are hostile (frame.c takes them apart); the
 * link takes what it can, and the rest waits in the ring.
 */
#include "net/device.h"

#include "ph/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum outcome { DONE, WAIT, LOST };

/* Why a write took nothing: whether it will later. A tap refuses what its kernel makes no sense of, and all
 * of it while its interface is down. */
static enum outcome judge(const struct net_pair *pair, int error) {
	if (error == EAGAIN || error == EINTR) {
		return WAIT;
	}
	return pair->net->tap ? DONE : LOST;
}

/* Keep what is left of the pieces behind the first n bytes. */
static void keep_rest(struct net_pair *pair, const struct iovec *iov, int count, size_t n) {
	pair->out_start = pair->out_end = 0;
	for (int i = 0; i < count; i++) {
		size_t skip = n < iov[i].iov_len ? n : iov[i].iov_len;
		size_t len = iov[i].iov_len - skip;
		memcpy(pair->out + pair->out_end, (const uint8_t *)iov[i].iov_base + skip, len);
		pair->out_end += len;
		n -= skip;
	}
}

static enum outcome send_frame(struct net_pair *pair, struct net_frame *frame) {
	uint32_t prefix = htonl(frame->size);
	struct iovec iov[2 + VIRTQUEUE_SIZE_MAX] = {{.iov_base = &prefix, .iov_len = NET_PREFIX_SIZE},
		{.iov_base = frame->head, .iov_len = frame->head_size}};
	if (pair->net->tap) {
		iov[0] = (struct iovec){.iov_base = &frame->header, .iov_len = NET_HEADER_SIZE};
	}
	int count = 2 + (int)frame->rest_count;
	memcpy(iov + 2, frame->rest, frame->rest_count * sizeof(iov[0]));
	ssize_t n = writev(pair->link.fd, iov, count);
	if (n < 0) {
		return judge(pair, errno);
	}
	if (!pair->net->tap && (size_t)n < NET_PREFIX_SIZE + frame->size) {
		keep_rest(pair, iov, count, (size_t)n);
	}
	return DONE;
}

/* What the link does not take of a whole frame's beginning it takes first. */
static enum outcome send_rest(struct net_pair *pair) {
	while (pair->out_start < pair->out_end) {
		ssize_t n =
			write(pair->link.fd, pair->out + pair->out_start, pair->out_end - pair->out_start);
		if (n < 0) {
			return judge(pair, errno);
		}
		pair->out_start += (size_t)n;
	}
	return DONE;
}

/* A program that asks a name server by TCP would wait for minutes if nobody said no. */
static void refuse(struct net_pair *pair, const struct net_frame *frame) {
	uint8_t refusal[NET_REFUSAL_SIZE];
	if (net_frame_refuse(frame, refusal)) {
		net_receive_own(pair, refusal, sizeof(refusal));
	}
}

static bool may_leave(struct net_pair *pair, struct net_frame *frame) {
	if (pair->link.fd < 0) {
		return false;
	}
	if (pair->net->tap) {
		return true;
	}
	if (net_frame_is_tcp_to(frame, pair->net->resolver)) {
		refuse(pair, frame);
		return false;
	}
	return net_frame_may_leave(frame) && net_frame_finish_checksum(frame);
}

/* One chain: DONE when there may be more, WAIT when not now. */
static enum outcome transmit_one(struct net_pair *pair, struct virtqueue *queue) {
	struct virtqueue_chain chain;
	struct net_frame frame;
	int ret = virtqueue_pop(queue, &chain);
	if (ret == 0) {
		return WAIT;
	}
	const char *rule = ret < 0 ? queue->rule : NULL;
	if (ret > 0) {
		rule = net_frame_read(&frame, &chain, pair->net->device.driver_features);
	}
	if (ret < 0 || rule != NULL) {
		if (rule != NULL) {
			virtio_device_break(&pair->net->device, rule);
		}
		return WAIT;
	}
	enum outcome outcome = may_leave(pair, &frame) ? send_frame(pair, &frame) : DONE;
	if (outcome == WAIT) {
		virtqueue_unpop(queue);
		pair->blocked = true;
		return WAIT;
	}
	if (outcome == LOST) {
		net_link_lose(pair);
	}
	virtqueue_push(queue, chain.head, 0);
	return DONE;
}

/* Serve at most budget chains; what is left of it. */
static unsigned transmit_some(struct net_pair *pair, struct virtqueue *queue, unsigned budget) {
	while (budget > 0) {
		enum outcome outcome = pair->link.fd >= 0 ? send_rest(pair) : DONE;
		if (outcome == LOST) {
			net_link_lose(pair);
		} else if (outcome == WAIT) {
			pair->blocked = true;
			return budget;
		}
		if (transmit_one(pair, queue) == WAIT) {
			return budget;
		}
		budget--;
	}
	return 0;
}

void net_transmit(struct net_pair *pair) {
	struct virtqueue *queue = net_transmit_queue(pair);
	unsigned budget = queue->size;
	if (pair->blocked || queue->size == 0) {
		return;
	}
	do {
		virtqueue_disable_notify(queue);
		budget = transmit_some(pair, queue, budget);
		virtqueue_signal(queue);
		/* The other direction's turn, and then this one's again. */
		if (budget == 0) {
			fd_event_signal(queue->kick_fd);
			break;
		}
	} while (!pair->blocked && virtqueue_enable_notify(queue));
	net_link_update(pair);
}
