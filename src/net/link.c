/*
 * The links: the descriptors that frames come and go on, how many of a tap's are used, the end of passt's,
 * and its replacement. Runs in the net worker. What comes with the replacement is ph's own.
 */
#include "net/device.h"

#include "ph/fd.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define STATUS_AT offsetof(struct virtio_net_config, status)

static void link_ready(struct loop_source *source, uint32_t events) {
	struct net_pair *pair = (struct net_pair *)(void *)((char *)source - offsetof(struct net_pair, link));
	if ((events & EPOLLOUT) != 0 && pair->blocked) {
		pair->blocked = false;
		net_transmit(pair);
	}
	if (pair->link.fd >= 0 && (events & EPOLLIN) != 0 && !pair->starved) {
		net_receive(pair);
	}
	/* A tap says so when its interface was deleted; when that is only down, nothing happens on it. */
	if (pair->link.fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) != 0) {
		net_link_lose(pair);
	}
}

static uint32_t wanted(const struct net_pair *pair) {
	return (pair->starved ? 0 : EPOLLIN) | (pair->blocked ? EPOLLOUT : 0);
}

void net_link_update(struct net_pair *pair) {
	if (pair->link.fd >= 0) {
		loop_modify(pair->net->device.loop, &pair->link, wanted(pair));
	}
}

static void take_link(struct net_pair *pair, int fd) {
	struct virtio_device *device = &pair->net->device;
	if (pair->link.fd >= 0) {
		net_link_lose(pair);
	}
	pair->link.fd = fd;
	if (loop_add(device->loop, &pair->link, wanted(pair)) < 0) {
		fd_close(&pair->link.fd);
		return;
	}
	virtio_device_change_config(device, STATUS_AT, VIRTIO_NET_S_LINK_UP);
}

static void supply_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct net *net = (struct net *)(void *)((char *)source - offsetof(struct net, supply));
	bool ended;
	int fd = fd_receive(source->fd, &ended);
	if (fd >= 0) {
		take_link(&net->pairs[0], fd);
	} else if (ended) {
		loop_remove(net->device.loop, source);
		fd_close(&source->fd);
	}
}

static int start_pair(struct net_pair *pair) {
	pair->link.ready = link_ready;
	/* Notifications of more buffers and of frames went unheard while the pair was not used. */
	pair->starved = false;
	fd_event_signal(net_transmit_queue(pair)->kick_fd);
	/* A frame that passt has the beginning of must be finished whatever became of its sender. */
	pair->blocked = pair->out_start < pair->out_end;
	return pair->link.fd < 0 ? 0 : loop_add(pair->net->device.loop, &pair->link, wanted(pair));
}

/* A tap spreads frames over all queues that are attached to it, whether anybody reads them or not. */
static int attach(struct net_pair *pair, bool attached) {
	struct ifreq request = {.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
	if (pair->attached == attached || pair->link.fd < 0) {
		return 0;
	}
	if (ioctl(pair->link.fd, TUNSETQUEUE, &request) < 0) {
		return -errno;
	}
	pair->attached = attached;
	return 0;
}

int net_link_use(struct net *net, unsigned count) {
	for (unsigned i = 1; i < net->pair_count; i++) {
		struct net_pair *pair = &net->pairs[i];
		bool was_used = i < net->pairs_used;
		if (was_used && i >= count) {
			loop_remove(net->device.loop, &pair->link);
		}
		int ret = attach(pair, i < count);
		if (ret == 0 && !was_used && i < count) {
			ret = start_pair(pair);
		}
		if (ret < 0) {
			return ret;
		}
	}
	net->pairs_used = count;
	return 0;
}

int net_link_start(struct net *net) {
	int ret = 0;
	net->supply.ready = supply_ready;
	net->pairs_used = 1;
	if (net->supply.fd >= 0) {
		ret = loop_add(net->device.loop, &net->supply, EPOLLIN);
	}
	if (ret == 0) {
		ret = start_pair(&net->pairs[0]);
	}
	if (ret == 0) {
		ret = net_link_use(net, 1);
	}
	if (ret < 0) {
		net_link_stop(net);
	}
	return ret;
}

void net_link_stop(struct net *net) {
	for (unsigned i = 0; i < net->pairs_used; i++) {
		loop_remove(net->device.loop, &net->pairs[i].link);
	}
	loop_remove(net->device.loop, &net->supply);
	net->pairs_used = 0;
}

void net_link_lose(struct net_pair *pair) {
	loop_remove(pair->net->device.loop, &pair->link);
	fd_close(&pair->link.fd);
	pair->out_start = pair->out_end = 0;
	pair->in_start = pair->in_end = 0;
	/* A notification of more buffers goes unheard without a link: the next one's first frame finds out.
	 * What waits to be sent must not wait for this link. */
	pair->starved = pair->blocked = false;
	fd_event_signal(net_transmit_queue(pair)->kick_fd);
	virtio_device_change_config(&pair->net->device, STATUS_AT, 0);
}
