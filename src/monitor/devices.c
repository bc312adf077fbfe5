/*
 * Making the plan's devices and deciding where they run: the only place that does. Main thread; nothing
 * hostile comes in. The file server runs in a worker, all others on the monitor's loop, and both are reached
 * the same way.
 */
#include "monitor/devices.h"

#include "ph/balloon.h"
#include "ph/block.h"
#include "ph/console.h"
#include "ph/fd.h"
#include "ph/files.h"
#include "ph/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum jail_mode devices_jail_mode(const struct plan *plan) {
	static const enum jail_mode modes[] = {[PLAN_SANDBOX_DEFAULT] = JAIL_DEFAULT,
		[PLAN_SANDBOX_STRICT] = JAIL_STRICT,
		[PLAN_SANDBOX_OFF] = JAIL_OFF};
	return modes[plan->sandbox];
}

static int create_shares(struct devices *devices, const struct plan *plan, struct error *error) {
	for (size_t i = 0; i < plan->share_count; i++) {
		int ret = files_create(&devices->shares[i], &plan->shares[i].files);
		if (ret < 0) {
			return error_set(
				error, ret, "cannot share %s: %s", plan->shares[i].host_path, strerror(-ret));
		}
		devices->share_count++;
	}
	return 0;
}

static int start_files(struct devices *devices, const struct plan *plan, const struct guest_memory *memory) {
	struct jail_tree trees[PLAN_SHARES_MAX];
	for (size_t i = 0; i < plan->share_count; i++) {
		const struct files_share *share = &plan->shares[i].files;
		trees[i] = (struct jail_tree){
			.fd = share->root_fd, .writable = !share->read_only, .hidden = share->hide};
	}
	const struct worker_options options = {.name = "files",
		.kind = JAIL_FILES,
		.mode = devices_jail_mode(plan),
		.reach = {.trees = trees, .tree_count = plan->share_count},
		.memory = memory,
		.devices = devices->shares,
		.device_count = devices->share_count};
	return worker_start(&devices->files, &options);
}

int devices_start_workers(struct devices *devices, const struct plan *plan, const struct guest_memory *memory,
	struct error *error) {
	int ret = create_shares(devices, plan, error);
	if (ret == 0 && devices->share_count > 0 && plan->sandbox != PLAN_SANDBOX_OFF) {
		ret = start_files(devices, plan, memory);
	}
	if (ret < 0) {
		return error_set(error, ret, "cannot start the file server: %s", strerror(-ret));
	}
	ret = screen_start(&devices->screen, plan, memory, devices_jail_mode(plan));
	if (ret < 0) {
		return error_set(error, ret, "cannot start the display server: %s", strerror(-ret));
	}
	ret = network_start(&devices->network, plan, memory, devices_jail_mode(plan));
	return ret < 0 ? error_set(error, ret, "cannot start the network: %s", strerror(-ret)) : 0;
}

static void confine_disk_thread(void) {
	jail_filter(JAIL_DISK, JAIL_DEFAULT, "disk");
}

static int create_disk(struct virtio_device **device, const struct plan *plan, unsigned index) {
	const struct plan_disk *disk = &plan->disks[index];
	struct block_options options = {.path = disk->path,
		.offset = disk->offset,
		.size = disk->size,
		.mode = disk->mode,
		.overlay_limit = plan->overlay_size,
		.queues = plan->cpus};
	options.fd = fcntl(disk->fd, F_DUPFD_CLOEXEC, 0);
	if (options.fd < 0) {
		return -errno;
	}
	snprintf(options.id, sizeof(options.id), "ph-disk%u", index);
	int ret = block_create(device, &options);
	if (ret < 0) {
		fd_close(&options.fd);
		return ret;
	}
	if (plan->sandbox != PLAN_SANDBOX_OFF) {
		(*device)->confine_thread = confine_disk_thread;
	}
	return 0;
}

static int create_local(struct devices *devices) {
	int ret = console_create(&devices->console);
	if (ret == 0) {
		ret = rng_create(&devices->rng);
	}
	if (ret == 0) {
		ret = balloon_create(&devices->balloon);
	}
	return ret;
}

int devices_create(struct devices *devices, const struct plan *plan, struct error *error) {
	int ret = create_local(devices);
	if (ret < 0) {
		return error_set(error, ret, "cannot create the VM's devices: %s", strerror(-ret));
	}
	for (unsigned i = 0; i < plan->disk_count; i++) {
		ret = create_disk(&devices->disks[i], plan, i);
		if (ret < 0) {
			return error_set(error, ret, "cannot use %s as a disk: %s", plan->disks[i].path,
				strerror(-ret));
		}
		devices->disk_count++;
	}
	return 0;
}

static void add_local(struct virtio_host *host, struct virtio_device *device) {
	host->devices[host->device_count++] = device;
}

int devices_serve(struct devices *devices, struct loop *loop, const struct guest_memory *memory) {
	int host_end, client_end;
	add_local(&devices->local, devices->console);
	add_local(&devices->local, devices->rng);
	add_local(&devices->local, devices->balloon);
	for (unsigned i = 0; i < devices->disk_count; i++) {
		add_local(&devices->local, devices->disks[i]);
	}
	for (unsigned i = 0; i < devices->share_count && devices->files.pid == 0; i++) {
		add_local(&devices->local, devices->shares[i]);
	}
	if (devices->screen.device != NULL && devices->screen.worker.pid == 0) {
		add_local(&devices->local, devices->screen.device);
	}
	if (devices->network.device != NULL && devices->network.worker.pid == 0) {
		add_local(&devices->local, devices->network.device);
	}
	int ret = virtio_host_socketpair(&host_end, &client_end);
	if (ret < 0) {
		return ret;
	}
	ret = virtio_host_client_init(&devices->local_client, client_end);
	if (ret < 0) {
		fd_close(&client_end);
		fd_close(&host_end);
		return ret;
	}
	return virtio_host_init(&devices->local, loop, memory, host_end);
}

int devices_attach(struct devices *devices, struct pci_bus *pci) {
	int ret = 0;
	for (unsigned i = 0; i < devices->local.device_count && ret == 0; i++) {
		ret = pci_add(pci, devices->local.devices[i], &devices->local_client, i);
	}
	for (unsigned i = 0; i < devices->share_count && devices->files.pid != 0 && ret == 0; i++) {
		ret = pci_add(pci, devices->shares[i], &devices->files.client, i);
	}
	if (ret == 0) {
		ret = screen_attach(&devices->screen, pci);
	}
	return ret < 0 ? ret : network_attach(&devices->network, pci);
}

void devices_hang_up(struct devices *devices) {
	virtio_host_finish(&devices->local);
	if (devices->files.pid != 0) {
		shutdown(devices->files.client.fd, SHUT_RDWR);
	}
	screen_hang_up(&devices->screen);
	network_hang_up(&devices->network);
}

void devices_destroy(struct devices *devices) {
	devices_hang_up(devices);
	worker_stop(&devices->files);
	screen_finish(&devices->screen);
	network_finish(&devices->network);
	virtio_host_client_finish(&devices->local_client);
	for (unsigned i = 0; i < PLAN_SHARES_MAX; i++) {
		files_destroy(devices->shares[i]);
	}
	for (unsigned i = 0; i < PLAN_DISKS_MAX; i++) {
		block_destroy(devices->disks[i]);
	}
	balloon_destroy(devices->balloon);
	rng_destroy(devices->rng);
	console_destroy(devices->console);
	memset(devices, 0, sizeof(*devices));
}
