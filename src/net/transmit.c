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
static enum outcome judge(const struct net *net, int error) {
	if (error == EAGAIN || error == EINTR) {
		return WAIT;
	}
	return net->tap ? DONE : LOST;
}

/* Keep what is left of the pieces behind the first n bytes. */
static void keep_rest(struct net *net, const struct iovec *iov, int count, size_t n) {
	net->out_start = net->out_end = 0;
	for (int i = 0; i < count; i++) {
		size_t skip = n < iov[i].iov_len ? n : iov[i].iov_len;
		size_t len = iov[i].iov_len - skip;
		memcpy(net->out + net->out_end, (const uint8_t *)iov[i].iov_base + skip, len);
		net->out_end += len;
		n -= skip;
	}
}

static enum outcome send_frame(struct net *net, struct net_frame *frame) {
	uint32_t prefix = htonl(frame->size);
	struct iovec iov[2 + VIRTQUEUE_SIZE_MAX] = {{.iov_base = &prefix, .iov_len = NET_PREFIX_SIZE},
		{.iov_base = frame->head, .iov_len = frame->head_size}};
	if (net->tap) {
		iov[0] = (struct iovec){.iov_base = &frame->header, .iov_len = NET_HEADER_SIZE};
	}
	int count = 2 + (int)frame->rest_count;
	memcpy(iov + 2, frame->rest, frame->rest_count * sizeof(iov[0]));
	ssize_t n = writev(net->link.fd, iov, count);
	if (n < 0) {
		return judge(net, errno);
	}
	if (!net->tap && (size_t)n < NET_PREFIX_SIZE + frame->size) {
		keep_rest(net, iov, count, (size_t)n);
	}
	return DONE;
}

/* What the link does not take of a whole frame's beginning it takes first. */
static enum outcome send_rest(struct net *net) {
	while (net->out_start < net->out_end) {
		ssize_t n = write(net->link.fd, net->out + net->out_start, net->out_end - net->out_start);
		if (n < 0) {
			return judge(net, errno);
		}
		net->out_start += (size_t)n;
	}
	return DONE;
}

static bool may_leave(const struct net *net, struct net_frame *frame) {
	if (net->link.fd < 0) {
		return false;
	}
	return net->tap || (net_frame_may_leave(frame) && net_frame_finish_checksum(frame));
}

/* One chain: DONE when there may be more, WAIT when not now. */
static enum outcome transmit_one(struct net *net, struct virtqueue *queue) {
	struct virtqueue_chain chain;
	struct net_frame frame;
	int ret = virtqueue_pop(queue, &chain);
	if (ret == 0) {
		return WAIT;
	}
	const char *rule = ret < 0 ? queue->rule : NULL;
	if (ret > 0) {
		rule = net_frame_read(&frame, &chain, net->device.driver_features);
	}
	if (ret < 0 || rule != NULL) {
		if (rule != NULL) {
			virtio_device_break(&net->device, rule);
		}
		return WAIT;
	}
	enum outcome outcome = may_leave(net, &frame) ? send_frame(net, &frame) : DONE;
	if (outcome == WAIT) {
		virtqueue_unpop(queue);
		net->blocked = true;
		return WAIT;
	}
	if (outcome == LOST) {
		net_link_lose(net);
	}
	virtqueue_push(queue, chain.head, 0);
	return DONE;
}

/* Serve at most budget chains; what is left of it. */
static unsigned transmit_some(struct net *net, struct virtqueue *queue, unsigned budget) {
	while (budget > 0) {
		enum outcome outcome = net->link.fd >= 0 ? send_rest(net) : DONE;
		if (outcome == LOST) {
			net_link_lose(net);
		} else if (outcome == WAIT) {
			net->blocked = true;
			return budget;
		}
		if (transmit_one(net, queue) == WAIT) {
			return budget;
		}
		budget--;
	}
	return 0;
}

void net_transmit(struct net *net) {
	struct virtqueue *queue = &net->device.queues[NET_QUEUE_TRANSMIT];
	unsigned budget = queue->size;
	if (net->blocked || queue->size == 0) {
		return;
	}
	do {
		virtqueue_disable_notify(queue);
		budget = transmit_some(net, queue, budget);
		virtqueue_signal(queue);
		/* The other direction's turn, and then this one's again. */
		if (budget == 0) {
			fd_event_signal(queue->kick_fd);
			break;
		}
	} while (!net->blocked && virtqueue_enable_notify(queue));
	net_link_update(net);
}
