/*
 * The virtio-wl device: its queues and its life. Runs on the loop of the display worker, in one thread.
 * Chains are hostile; every one of them is answered, whatever it holds, unless the ring itself is broken.
 */
#include "display/device.h"

#include "display/commands.h"
#include "display/dmabuf.h"
#include "display/filter_parts.h"
#include "display/pages.h"
#include "display/rest.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define QUEUE_SIZE VIRTQUEUE_SIZE_MAX
/* Each vfd has a descriptor or two, and more are on their way. */
#define DESCRIPTORS_WANTED 8192

#define PCI_CLASS_OTHER 0xff0000

static struct wl_device *from_base(struct virtio_device *base) {
	return (struct wl_device *)((char *)base - offsetof(struct wl_device, base));
}

/* ---- the out queue ---- */

void wl_answer(struct wl_device *device, struct virtqueue_chain *chain, bool answer, uint32_t type) {
	struct virtqueue *queue = wl_out_queue(device);
	if (!queue->broken) {
		size_t written = answer ? virtqueue_chain_write(chain, 0, &type, sizeof(type)) : 0;
		virtqueue_push(queue, chain->head, (uint32_t)written);
	}
}

static void serve_command(struct wl_device *device, struct virtqueue_chain *chain) {
	struct wl_command command = {.device = device, .chain = chain};
	uint32_t type = wl_command_execute(&command);
	if (type == WL_HELD) {
		return;
	}
	if (type != VIRTIO_WL_RESP_VFD_NEW && type != VIRTIO_WL_RESP_VFD_NEW_DMABUF) {
		wl_answer(device, chain, command.answer, type);
		return;
	}
	if (wl_out_queue(device)->broken) {
		return;
	}
	command.reply.header.type = type;
	size_t written = virtqueue_chain_write(chain, 0, &command.reply, sizeof(command.reply));
	virtqueue_push(wl_out_queue(device), chain->head, (uint32_t)written);
}

/* False when the queue is empty or broken. */
static bool serve_next(struct wl_device *device) {
	struct virtqueue *queue = wl_out_queue(device);
	struct virtqueue_chain chain;
	int ret = virtqueue_pop(queue, &chain);
	if (ret < 0 && queue->rule != NULL) {
		virtio_device_break(&device->base, queue->rule);
	}
	if (ret > 0) {
		serve_command(device, &chain);
	}
	return ret > 0;
}

/* After a queue's worth of commands the loop's other sources get their turn. */
static void serve_commands(struct wl_device *device) {
	struct virtqueue *queue = wl_out_queue(device);
	unsigned budget = queue->size;
	do {
		virtqueue_disable_notify(queue);
		while (budget > 0 && serve_next(device)) {
			budget--;
		}
		virtqueue_signal(queue);
		if (budget == 0) {
			fd_event_signal(queue->kick_fd);
			return;
		}
	} while (virtqueue_enable_notify(queue));
}

static void notify(struct virtio_device *base, struct virtqueue *queue) {
	struct wl_device *device = from_base(base);
	if (queue->index == VIRTIO_WL_QUEUE_OUT) {
		serve_commands(device);
	} else if (wl_inbox_deliver(device)) {
		wl_vfds_resume(device);
	}
}

/* ---- the device ---- */

/* Before the process is confined, if it is at all: from then on it could load nothing. */
static void load_chords(struct wl_device *device) {
	bool filters = false;
	for (unsigned i = 0; i < device->socket_count; i++) {
		filters = filters || device->sockets[i].filtered;
	}
	if (filters && device->screen.clipboard == DISPLAY_CLIPBOARD_KEY && !device->chords_sought) {
		device->screen.chords = chords_create();
		device->chords_sought = true;
		if (device->screen.chords == NULL) {
			log_error("there is no libxkbcommon to tell when you paste: programs of the VM "
				  "cannot read "
				  "the clipboard, but for dropping and middle clicks (install libxkbcommon0, "
				  "or "
				  "see --clipboard)");
		}
	}
}

static int start(struct virtio_device *base) {
	struct wl_device *device = from_base(base);
	load_chords(device);
	/* A message with all the vfds it may bring must fit. */
	if (wl_in_queue(device)->size <= VIRTIO_WL_FDS_MAX || wl_out_queue(device)->size == 0) {
		return -EINVAL;
	}
	wl_inbox_reset(device);
	return wl_rest_start(device);
}

static void stop(struct virtio_device *base) {
	struct wl_device *device = from_base(base);
	wl_vfds_destroy_all(device);
	wl_rest_stop(device);
	wl_inbox_reset(device);
}

static int enter(struct virtio_device *base) {
	struct rlimit limit;
	load_chords(from_base(base));
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_WANTED) {
		limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
		setrlimit(RLIMIT_NOFILE, &limit); /* with fewer, the guest is told when there are no more */
	}
	return 0;
}

static const struct virtio_device_ops wl_ops = {
	.enter = enter, .start = start, .stop = stop, .notify = notify};

static void keep(struct virtio_device *base, int fd) {
	if (fd >= 0) {
		base->own_fds[base->own_fd_count++] = fd;
	}
}

static void copy_sockets(struct wl_device *device, const struct display_options *options) {
	for (unsigned i = 0; i < options->socket_count && i < DISPLAY_SOCKETS_MAX; i++) {
		device->sockets[i] = options->sockets[i];
		device->sockets[i].path = NULL;
		if (options->sockets[i].has_door) {
			keep(&device->base, options->sockets[i].door);
		}
		device->socket_count++;
	}
	device->connector = options->connector;
	keep(&device->base, device->connector);
}

static void fill_base(struct virtio_device *base) {
	base->ops = &wl_ops;
	strcpy(base->name, "wl");
	base->type = VIRTIO_TYPE_WL;
	base->pci_class = PCI_CLASS_OTHER;
	base->features = 1ULL << VIRTIO_WL_F_TRANS_FLAGS | 1ULL << VIRTIO_WL_F_SEND_FENCES |
			 1ULL << VIRTIO_WL_F_USE_SHMEM | 1ULL << VIRTIO_WL_F_NO_ANSWER |
			 1ULL << VIRTIO_WL_F_MAP_INFO | 1ULL << VIRTIO_WL_F_RECV_CREDIT;
	base->queue_count = VIRTIO_WL_QUEUE_COUNT;
	for (unsigned i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
		base->queue_size[i] = QUEUE_SIZE;
	}
}

/* All that comes from paths. */
static int open_fds(struct wl_device *device, const struct display_options *options) {
	struct virtio_device *base = &device->base;
	int window_fd = fcntl(options->window_fd, F_DUPFD_CLOEXEC, 0);
	device->card_fd = options->no_card ? -1 : wl_dmabuf_open();
	device->udmabuf_fd = wl_pages_open();
	wl_window_init(&device->window, window_fd, options->window_address, options->window_size);
	keep(base, window_fd);
	keep(base, device->card_fd);
	keep(base, device->udmabuf_fd);
	int ret = wl_rest_open(device);
	keep(base, device->rest_timer.fd);
	if (device->udmabuf_fd >= 0) {
		base->features |= 1ULL << VIRTIO_WL_F_GUEST_PAGES;
	}
	return window_fd < 0 ? -EBADF : ret;
}

int display_create(struct virtio_device **created, const struct display_options *options) {
	struct wl_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		return -ENOMEM;
	}
	struct virtio_device *base = &device->base;
	fill_base(base);
	base->shared_memory_address = options->window_address;
	base->shared_memory_size = options->window_size;
	int ret = open_fds(device, options);
	copy_sockets(device, options);
	if (ret == 0) {
		ret = filter_vm_init(&device->screen, options->tag != NULL ? options->tag : "ph",
			options->clipboard, NULL);
	}
	if (ret == 0) {
		ret = virtio_device_init(base);
	}
	if (ret < 0) {
		display_destroy(base);
		return ret;
	}
	*created = base;
	return 0;
}

void display_leave(struct virtio_device *base) {
	struct wl_device *device = from_base(base);
	fd_close(&device->rest_timer.fd);
	fd_close(&device->udmabuf_fd);
	fd_close(&device->card_fd);
	fd_close(&device->window.fd);
	base->own_fd_count = 0;
}

void display_destroy(struct virtio_device *base) {
	if (base == NULL) {
		return;
	}
	struct wl_device *device = from_base(base);
	virtio_device_finish(base);
	display_leave(base);
	filter_vm_finish(&device->screen);
	free(device);
}
