/*
 * The network device and where it runs: a worker of its own, at the other end of which is passt or a tap.
 * Main thread; nothing hostile comes in here.
 */
#include "monitor/network.h"

#include "ph/fd.h"
#include "ph/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int share_queues(const struct plan_net *net, struct net_options *options) {
	for (unsigned i = 0; i < net->tap_queues; i++) {
		options->fds[i] = fcntl(net->tap_fds[i], F_DUPFD_CLOEXEC, 0);
		if (options->fds[i] < 0) {
			int ret = -errno;
			while (i-- > 0) {
				close(options->fds[i]);
			}
			return ret;
		}
	}
	options->pair_count = net->tap_queues;
	return 0;
}

/* What the device is to have at its other end. */
static int connect_device(struct network *network, const struct plan_net *net, struct net_options *options) {
	options->supply_fd = -1;
	if (net->kind == PLAN_NET_TAP) {
		options->tap = true;
		return share_queues(net, options);
	}
	options->pair_count = 1;
	inet_pton(AF_INET, net->resolver, options->resolver);
	const struct passt_options passt = {.program = net->passt,
		.arguments = net->arguments,
		.find_interface = net->find_interface,
		.resolver = net->resolver,
		.resolv = net->resolv,
		.make_resolv = net->make_resolv};
	return passt_start(&network->passt, &passt, &options->fds[0], &options->supply_fd);
}

int network_start(struct network *network, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode) {
	if (plan->net.kind == PLAN_NET_NONE) {
		return 0;
	}
	struct net_options options = {.mtu = plan->net.mtu};
	memcpy(options.mac, plan->net.mac, sizeof(options.mac));
	int ret = connect_device(network, &plan->net, &options);
	if (ret == 0) {
		ret = net_create(&network->device, &options);
	}
	if (ret < 0 || plan->sandbox == PLAN_SANDBOX_OFF) {
		return ret;
	}
	const struct worker_options worker = {.name = "net",
		.kind = JAIL_NET,
		.mode = mode,
		.memory = memory,
		.devices = &network->device,
		.device_count = 1};
	ret = worker_start(&network->worker, &worker);
	net_leave(network->device);
	return ret;
}

int network_attach(struct network *network, struct pci_bus *pci) {
	return network->worker.pid != 0 ? pci_add(pci, network->device, &network->worker.client, 0) : 0;
}

void network_lost(struct network *network) {
	network->device->shared->needs_reset = true;
	/* As in screen_lost(). */
	fd_event_signal(network->device->vector_fds[0]);
}

/* passt's tender first, or it would take passt's end for a failure. */
void network_hang_up(struct network *network) {
	passt_hang_up(&network->passt);
	if (network->worker.pid != 0) {
		shutdown(network->worker.client.fd, SHUT_RDWR);
	}
}

void network_finish(struct network *network) {
	passt_hang_up(&network->passt);
	worker_stop(&network->worker);
	net_destroy(network->device);
	network->device = NULL;
	passt_stop(&network->passt);
}
