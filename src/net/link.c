/*
 * The link: the descriptor that frames come and go on, its end, and its replacement. Runs in the net worker.
 * What comes with the replacement is ph's own.
 */
#include "net/device.h"

#include "ph/fd.h"

#include <sys/epoll.h>

#define STATUS_AT offsetof(struct virtio_net_config, status)

static void link_ready(struct loop_source *source, uint32_t events) {
	struct net *net = (struct net *)(void *)((char *)source - offsetof(struct net, link));
	if ((events & EPOLLOUT) != 0 && net->blocked) {
		net->blocked = false;
		net_transmit(net);
	}
	if (net->link.fd >= 0 && (events & EPOLLIN) != 0 && !net->starved) {
		net_receive(net);
	}
	/* A tap whose interface is down says so, too, but that passes. */
	if (net->link.fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) != 0 && !net->tap) {
		net_link_lose(net);
	}
}

void net_link_update(struct net *net) {
	if (net->link.fd >= 0) {
		loop_modify(net->device.loop, &net->link,
			(net->starved ? 0 : EPOLLIN) | (net->blocked ? EPOLLOUT : 0));
	}
}

static void take_link(struct net *net, int fd) {
	if (net->link.fd >= 0) {
		net_link_lose(net);
	}
	net->link.fd = fd;
	if (loop_add(net->device.loop, &net->link, net->starved ? 0 : EPOLLIN) < 0) {
		fd_close(&net->link.fd);
		return;
	}
	virtio_device_change_config(&net->device, STATUS_AT, VIRTIO_NET_S_LINK_UP);
}

static void supply_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct net *net = (struct net *)(void *)((char *)source - offsetof(struct net, supply));
	bool ended;
	int fd = fd_receive(source->fd, &ended);
	if (fd >= 0) {
		take_link(net, fd);
	} else if (ended) {
		loop_remove(net->device.loop, source);
		fd_close(&source->fd);
	}
}

int net_link_start(struct net *net) {
	struct loop *loop = net->device.loop;
	int ret = 0;
	net->link.ready = link_ready;
	net->supply.ready = supply_ready;
	/* A frame that passt has the beginning of must be finished whatever became of its sender. */
	net->blocked = net->out_start < net->out_end;
	if (net->supply.fd >= 0) {
		ret = loop_add(loop, &net->supply, EPOLLIN);
	}
	if (ret == 0 && net->link.fd >= 0) {
		ret = loop_add(loop, &net->link, EPOLLIN | (net->blocked ? EPOLLOUT : 0));
	}
	if (ret < 0) {
		loop_remove(loop, &net->supply);
	}
	return ret;
}

void net_link_stop(struct net *net) {
	loop_remove(net->device.loop, &net->link);
	loop_remove(net->device.loop, &net->supply);
}

void net_link_lose(struct net *net) {
	loop_remove(net->device.loop, &net->link);
	fd_close(&net->link.fd);
	net->out_start = net->out_end = 0;
	net->in_start = net->in_end = 0;
	net->blocked = false;
	virtio_device_change_config(&net->device, STATUS_AT, 0);
}
