/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * virtio-wl: the device and its queues.
 *
 * Owns the rings, the requests in them and the table of vfds. Interrupts deliver what the host sends and
 * return requests; senders run the out queue themselves. The out queue interrupts only while somebody waits
 * for an answer or for room: a message that needs no answer costs one exit and no interrupt. The host is
 * trusted to the extent that any machine's is; what it says is still checked before memory is mapped or
 * copied.
 */
#include "virtio_wl.h"

#include <linux/init.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#ifdef CONFIG_X86
#include <asm/mtrr.h>
#endif

#define WL_DEVICES_MAX 16

static dev_t wl_first_device;
static DEFINE_IDA(wl_minors);

/* ---- requests ---- */

/* The request is back from the device, or will never get there. */
static void wl_request_return(struct wl_device *wl, struct wl_request *request, unsigned int written) {
	request->written = written;
	if (request->answer_size) {
		wl->answers--;
	}
	if (request->waited) {
		request->done = true;
		complete(&request->completed);
	} else {
		request->finish(wl, request);
	}
}

void wl_submit(struct wl_device *wl, struct wl_request *request) {
	lockdep_assert_held(&wl->lock);
	if (request->answer_size) {
		wl->answers++;
	}
	if (wl->gone) {
		wl_request_return(wl, request, 0);
	} else {
		list_add_tail(&request->link, &wl->backlog);
	}
}

static void wl_wake_senders(struct wl_device *wl) {
	wl->want_room = false;
	wake_up_poll(&wl->room, EPOLLOUT | EPOLLWRNORM);
}

static void wl_reap(struct wl_device *wl) {
	struct wl_request *request;
	unsigned int written;
	bool any = false;

	while ((request = virtqueue_get_buf(wl->out, &written))) {
		wl_request_return(wl, request, written);
		any = true;
	}
	if (any && wl->want_room) {
		wl_wake_senders(wl);
	}
}

static int wl_request_queue(struct wl_device *wl, struct wl_request *request) {
	struct scatterlist command, answer, *parts[] = {&command, &answer};

	sg_init_one(&command, request->command, request->command_size);
	if (request->answer_size) {
		sg_init_one(&answer, request->answer, request->answer_size);
	}
	return virtqueue_add_sgs(wl->out, parts, 1, request->answer_size ? 1 : 0, request, GFP_ATOMIC);
}

static void wl_pump(struct wl_device *wl) {
	struct wl_request *request, *next;
	bool any = false;

	list_for_each_entry_safe(request, next, &wl->backlog, link) {
		if (wl_request_queue(wl, request)) {
			break;
		}
		list_del(&request->link);
		any = true;
	}
	if (any && virtqueue_kick_prepare(wl->out)) {
		wl->kick = true;
	}
}

/* Whether the out queue interrupts when it has to. False: requests came back meanwhile. */
static bool wl_set_callbacks(struct wl_device *wl) {
	bool wanted = wl->answers || wl->closing || wl->want_room || !list_empty(&wl->backlog);

	if (wanted == wl->callbacks) {
		return true;
	}
	wl->callbacks = wanted;
	if (wanted) {
		return virtqueue_enable_cb(wl->out);
	}
	virtqueue_disable_cb(wl->out);
	return true;
}

void wl_run(struct wl_device *wl) {
	lockdep_assert_held(&wl->lock);
	if (wl->gone) {
		return;
	}
	do {
		wl_reap(wl);
		wl_pump(wl);
	} while (!wl_set_callbacks(wl));
}

void wl_unlock(struct wl_device *wl) __releases(&wl->lock) {
	bool kick = wl->kick;

	wl->kick = false;
	rcu_read_lock();
	spin_unlock_irq(&wl->lock);
	/* An exit, and the answer may be here before it is over: no time to hold a lock. wl_stop() waits. */
	if (kick) {
		virtqueue_notify(wl->out);
	}
	rcu_read_unlock();
}

int wl_request_wait(struct wl_device *wl, struct wl_request *request) {
	bool done;

	init_completion(&request->completed);
	request->waited = true;
	spin_lock_irq(&wl->lock);
	wl_submit(wl, request);
	wl_run(wl);
	wl_unlock(wl);
	if (!wait_for_completion_killable(&request->completed)) {
		return 0;
	}
	spin_lock_irq(&wl->lock);
	done = request->done;
	request->waited = false;
	spin_unlock_irq(&wl->lock);
	return done ? 0 : -EINTR;
}

static int wl_errno(u32 type) {
	switch (type) {
	case VIRTIO_WL_RESP_ERR:
		return -ENODEV;
	case VIRTIO_WL_RESP_OUT_OF_MEMORY:
		return -ENOMEM;
	case VIRTIO_WL_RESP_INVALID_ID:
		return -ENOENT;
	case VIRTIO_WL_RESP_INVALID_TYPE:
		return -EINVAL;
	case VIRTIO_WL_RESP_INVALID_FLAGS:
		return -EPERM;
	case VIRTIO_WL_RESP_INVALID_CMD:
		return -ENOTTY;
	default:
		return -EPROTO;
	}
}

int wl_request_result(struct wl_device *wl, const struct wl_request *request, u32 type, unsigned int size) {
	const struct virtio_wl_header *answer = request->answer;

	if (request->written < sizeof(answer->type)) {
		return READ_ONCE(wl->gone) ? -ENODEV : -EPROTO;
	}
	if (le32_to_cpu(answer->type) != type) {
		return wl_errno(le32_to_cpu(answer->type));
	}
	return request->written < size ? -EPROTO : 0;
}

/* ---- vfds ---- */

static void wl_vfd_free(struct wl_vfd *vfd) {
	struct wl_device *wl = vfd->wl;

	kfree(vfd);
	put_device(&wl->device);
}

static void wl_vfd_unpin(struct work_struct *work) {
	struct wl_vfd *vfd = container_of(work, struct wl_vfd, unpin);

	unpin_folios(vfd->folios, vfd->folio_count);
	kvfree(vfd->folios);
	wl_vfd_free(vfd);
}

static void wl_vfd_release(struct kref *kref) {
	struct wl_vfd *vfd = container_of(kref, struct wl_vfd, kref);

	if (vfd->folios) {
		schedule_work(&vfd->unpin);
	} else {
		wl_vfd_free(vfd);
	}
}

void wl_vfd_put(struct wl_vfd *vfd) {
	kref_put(&vfd->kref, wl_vfd_release);
}

void wl_vfd_forget(struct wl_vfd *vfd) {
	idr_remove(&vfd->wl->vfds, vfd->id);
	wl_vfd_put(vfd);
}

static bool wl_receive(struct wl_device *wl);

static void wl_close_finish(struct wl_device *wl, struct wl_request *request) {
	/* What the host sent before it closed is in the queue now; afterwards the id is free. */
	if (!wl->gone) {
		wl_receive(wl);
	}
	wl_vfd_forget(container_of(request, struct wl_vfd, close_request));
}

static void wl_credit_finish(struct wl_device *wl, struct wl_request *request) {
	struct wl_vfd *vfd = container_of(request, struct wl_vfd, credit_request);

	vfd->crediting = false;
	wl_vfd_put(vfd);
}

struct wl_vfd *wl_vfd_create(struct wl_device *wl, gfp_t gfp) {
	struct wl_vfd *vfd = kzalloc(sizeof(*vfd), gfp);

	if (!vfd) {
		return NULL;
	}
	get_device(&wl->device);
	vfd->wl = wl;
	kref_init(&vfd->kref);
	mutex_init(&vfd->recv_lock);
	mutex_init(&vfd->send_lock);
	INIT_LIST_HEAD(&vfd->messages);
	INIT_LIST_HEAD(&vfd->incoming);
	init_waitqueue_head(&vfd->wait);
	INIT_WORK(&vfd->unpin, wl_vfd_unpin);
	vfd->close.header.type = cpu_to_le32(VIRTIO_WL_CMD_VFD_CLOSE);
	vfd->close_request = (struct wl_request){
		.command = &vfd->close,
		.command_size = sizeof(vfd->close),
		.answer = &vfd->close,
		.answer_size = sizeof(vfd->close.header),
		.finish = wl_close_finish,
	};
	vfd->credit_request = (struct wl_request){
		.command = &vfd->credit_command,
		.command_size = sizeof(vfd->credit_command),
		.finish = wl_credit_finish,
	};
	return vfd;
}

static int wl_vfd_place(struct wl_vfd *vfd, u64 pfn, u32 size) {
	struct wl_device *wl = vfd->wl;
	bool relative = wl_has_feature(wl, VIRTIO_WL_F_USE_SHMEM);
	u64 none = relative ? wl->window_size >> PAGE_SHIFT : 0;
	u64 first = relative ? 0 : wl->window >> PAGE_SHIFT;

	if (pfn == none) {
		return 0;
	}
	vfd->memory = true;
	vfd->memory_size = size;
	if (pfn < first || pfn - first >= wl->window_size >> PAGE_SHIFT) {
		return -EPROTO;
	}
	vfd->memory_offset = (pfn - first) << PAGE_SHIFT;
	return PAGE_ALIGN(vfd->memory_size) > wl->window_size - vfd->memory_offset ? -EPROTO : 0;
}

int wl_vfd_describe(struct wl_vfd *vfd, const struct virtio_wl_vfd_new *message) {
	u32 flags = le32_to_cpu(message->flags);

	vfd->fence = flags & VIRTIO_WL_VFD_FENCE;
	vfd->writable |= !!(flags & VIRTIO_WL_VFD_WRITE);
	if (wl_has_feature(vfd->wl, VIRTIO_WL_F_TRANS_FLAGS)) {
		vfd->readable |= !!(flags & VIRTIO_WL_VFD_READ);
	} else if (flags & VIRTIO_WL_VFD_CONTROL) {
		vfd->readable = vfd->writable = true;
	}
	if (wl_has_feature(vfd->wl, VIRTIO_WL_F_MAP_INFO)) {
		vfd->dmabuf = flags & VIRTIO_WL_VFD_DMABUF;
		vfd->memory_read_only = flags & VIRTIO_WL_VFD_MAP_READ_ONLY;
	}
	return wl_vfd_place(vfd, le64_to_cpu(message->pfn), le32_to_cpu(message->size));
}

static void wl_messages_drop(struct list_head *messages, struct list_head *closing) {
	struct wl_message *message, *next;
	unsigned int i;

	list_for_each_entry_safe(message, next, messages, link) {
		for (i = 0; i < message->vfd_count; i++) {
			list_add_tail(&message->vfds[i]->closing_link, closing);
		}
		list_del(&message->link);
		kfree(message);
	}
}

void wl_vfd_close(struct wl_vfd *vfd) {
	LIST_HEAD(closing);

	lockdep_assert_held(&vfd->wl->lock);
	list_add(&vfd->closing_link, &closing);
	/* A vfd may have received others, and they more. */
	while ((vfd = list_first_entry_or_null(&closing, struct wl_vfd, closing_link))) {
		list_del(&vfd->closing_link);
		vfd->closing = true;
		wl_messages_drop(&vfd->messages, &closing);
		wl_messages_drop(&vfd->incoming, &closing);
		vfd->close.vfd_id = cpu_to_le32(vfd->id);
		if (vfd->unanswered) {
			vfd->close_later = true;
			vfd->wl->closing++;
		} else {
			wl_submit(vfd->wl, &vfd->close_request);
		}
	}
}

void wl_vfd_sent(struct wl_vfd *vfd) {
	vfd->unanswered--;
	if (vfd->close_later && !vfd->unanswered) {
		vfd->wl->closing--;
		wl_submit(vfd->wl, &vfd->close_request);
	}
}

/* ---- what the host sends ---- */

/* These return false when memory lacks; the message is then delivered again later. */

static bool wl_deliver_new(struct wl_device *wl, const struct virtio_wl_vfd_new *message) {
	u32 id = le32_to_cpu(message->vfd_id);
	struct wl_vfd *vfd;
	int got;

	if (id < VIRTIO_WL_FIRST_HOST_ID || id >= INT_MAX || idr_find(&wl->vfds, id)) {
		dev_warn_ratelimited(&wl->virtio->dev, "the host announced the wrong id %#x\n", id);
		return true;
	}
	vfd = wl_vfd_create(wl, GFP_ATOMIC);
	if (!vfd) {
		return false;
	}
	vfd->id = id;
	got = idr_alloc(&wl->vfds, vfd, id, id + 1, GFP_ATOMIC);
	if (got < 0) {
		wl_vfd_put(vfd);
		return false;
	}
	vfd->announced = true;
	if (wl_vfd_describe(vfd, message)) {
		dev_warn_ratelimited(&wl->virtio->dev, "vfd %#x lies outside the window\n", id);
		vfd->memory = false;
	}
	return true;
}

/* The announced vfds that a message carries; none when the host names others. */
static void wl_message_take_vfds(
	struct wl_device *wl, struct wl_message *message, const __le32 *ids, u32 count) {
	struct wl_vfd *vfd;
	u32 i;

	for (i = 0; i < count; i++) {
		vfd = idr_find(&wl->vfds, le32_to_cpu(ids[i]));
		if (vfd && vfd->announced) {
			vfd->announced = false;
			message->vfds[message->vfd_count++] = vfd;
		}
	}
}

static void wl_vfd_append(struct wl_vfd *vfd, struct wl_message *message) {
	list_add_tail(&message->link, &vfd->incoming);
	vfd->unread++;
	vfd->unread_data += message->data_size > 0;
	wake_up_poll(&vfd->wait, EPOLLIN | EPOLLRDNORM);
}

static bool wl_deliver_recv(
	struct wl_device *wl, const struct virtio_wl_transfer *transfer, unsigned int size) {
	u32 count = le32_to_cpu(transfer->vfd_count);
	const __le32 *ids = (const __le32 *)(transfer + 1);
	struct wl_message *message;
	struct wl_vfd *vfd;

	size -= sizeof(*transfer);
	if (count > VIRTIO_WL_FDS_MAX || count * sizeof(*ids) > size) {
		dev_warn_ratelimited(&wl->virtio->dev, "the host sent a message with %u vfds\n", count);
		return true;
	}
	size -= count * sizeof(*ids);
	message = kmalloc(struct_size(message, vfds, count) + size, GFP_ATOMIC | __GFP_NOWARN);
	if (!message) {
		return false;
	}
	*message = (struct wl_message){.data_size = size, .data = (u8 *)&message->vfds[count]};
	memcpy(message->data, ids + count, size);
	wl_message_take_vfds(wl, message, ids, count);
	vfd = idr_find(&wl->vfds, le32_to_cpu(transfer->vfd_id));
	if (vfd && !vfd->closing && (size || message->vfd_count)) {
		wl_vfd_append(vfd, message);
		return true;
	}
	/* Nobody is left to take them. */
	while (message->vfd_count) {
		wl_vfd_close(message->vfds[--message->vfd_count]);
	}
	kfree(message);
	return true;
}

static void wl_deliver_hup(struct wl_device *wl, const struct virtio_wl_vfd *message) {
	struct wl_vfd *vfd = idr_find(&wl->vfds, le32_to_cpu(message->vfd_id));

	if (vfd) {
		vfd->hung_up = true;
		wake_up_poll(&vfd->wait, EPOLLIN | EPOLLHUP);
		wl_wake_senders(wl);
	}
}

static bool wl_deliver(struct wl_device *wl, const void *message, unsigned int size) {
	const struct virtio_wl_header *header = message;
	u32 type = size < sizeof(*header) ? 0 : le32_to_cpu(header->type);

	if (type == VIRTIO_WL_CMD_VFD_RECV && size >= sizeof(struct virtio_wl_transfer)) {
		return wl_deliver_recv(wl, message, size);
	}
	if (type == VIRTIO_WL_CMD_VFD_NEW && size >= offsetof(struct virtio_wl_vfd_new, name)) {
		return wl_deliver_new(wl, message);
	}
	if (type == VIRTIO_WL_CMD_VFD_HUP && size >= sizeof(struct virtio_wl_vfd)) {
		wl_deliver_hup(wl, message);
	} else {
		dev_warn_ratelimited(&wl->virtio->dev, "the host sent %u bytes of type %#x\n", size, type);
	}
	return true;
}

static int wl_post_buffer(struct wl_device *wl, void *buffer) {
	struct scatterlist part;

	sg_init_one(&part, buffer, VIRTIO_WL_IN_BUFFER_SIZE);
	return virtqueue_add_inbuf(wl->in, &part, 1, buffer, GFP_ATOMIC);
}

static void *wl_next_message(struct wl_device *wl, unsigned int *size) {
	void *buffer = wl->undelivered;

	*size = wl->undelivered_size;
	wl->undelivered = NULL;
	return buffer ? buffer : virtqueue_get_buf(wl->in, size);
}

/* Lock held: deliver all that came. False when memory lacks. */
static bool wl_receive(struct wl_device *wl) {
	unsigned int size;
	void *buffer;
	bool any = false;

	do {
		while ((buffer = wl_next_message(wl, &size))) {
			if (!wl_deliver(wl, buffer, min(size, (unsigned int)VIRTIO_WL_IN_BUFFER_SIZE))) {
				wl->undelivered = buffer;
				wl->undelivered_size = size;
				schedule_delayed_work(&wl->retry, 1);
				return false;
			}
			any |= !wl_post_buffer(wl, buffer);
		}
	} while (!virtqueue_enable_cb(wl->in));
	if (any) {
		virtqueue_kick(wl->in);
	}
	return true;
}

/* Lock held. */
static void wl_service(struct wl_device *wl) {
	if (!wl->gone) {
		wl_receive(wl);
		wl_run(wl);
	}
}

static void wl_interrupt(struct virtqueue *queue) {
	struct wl_device *wl = queue->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&wl->lock, flags);
	wl_service(wl);
	if (wl->kick) {
		wl->kick = false;
		virtqueue_notify(wl->out);
	}
	spin_unlock_irqrestore(&wl->lock, flags);
}

static void wl_retry(struct work_struct *work) {
	struct wl_device *wl = container_of(to_delayed_work(work), struct wl_device, retry);

	spin_lock_irq(&wl->lock);
	wl_service(wl);
	wl_unlock(wl);
}

/* ---- the device's life ---- */

static void wl_free_buffers(struct wl_device *wl) {
	void *buffer;

	while ((buffer = virtqueue_detach_unused_buf(wl->in))) {
		free_page((unsigned long)buffer);
	}
	if (wl->undelivered) {
		free_page((unsigned long)wl->undelivered);
		wl->undelivered = NULL;
	}
}

/* Everybody is told that nothing will come any more. */
static void wl_hang_up_all(struct wl_device *wl) {
	struct wl_vfd *vfd;
	int id;

	idr_for_each_entry(&wl->vfds, vfd, id) {
		vfd->hung_up = true;
		wake_up_poll(&vfd->wait, EPOLLIN | EPOLLHUP);
	}
	wl_wake_senders(wl);
}

static void wl_stop(struct wl_device *wl) {
	struct wl_request *request, *next;
	bool gone;

	spin_lock_irq(&wl->lock);
	gone = wl->gone;
	wl->gone = true;
	spin_unlock_irq(&wl->lock);
	if (gone) {
		return;
	}
	synchronize_rcu();
	virtio_reset_device(wl->virtio);
	spin_lock_irq(&wl->lock);
	wl_hang_up_all(wl);
	while ((request = virtqueue_detach_unused_buf(wl->out))) {
		wl_request_return(wl, request, 0);
	}
	list_for_each_entry_safe(request, next, &wl->backlog, link) {
		list_del(&request->link);
		wl_request_return(wl, request, 0);
	}
	wl_free_buffers(wl);
	spin_unlock_irq(&wl->lock);
}

static void wl_broken(struct work_struct *work) {
	struct wl_device *wl = container_of(work, struct wl_device, broken);

	dev_err(&wl->virtio->dev, "the host gave up on this device\n");
	wl_stop(wl);
}

static void wl_config_changed(struct virtio_device *virtio) {
	struct wl_device *wl = virtio->priv;

	if (virtio->config->get_status(virtio) & VIRTIO_CONFIG_S_NEEDS_RESET) {
		schedule_work(&wl->broken);
	}
}

static void wl_release_device(struct device *device) {
	struct wl_device *wl = container_of(device, struct wl_device, device);

	ida_free(&wl_minors, MINOR(device->devt) - MINOR(wl_first_device));
	idr_destroy(&wl->vfds);
	put_device(&wl->virtio->dev);
	kfree(wl);
}

/* Whoever opens it gets no more than what the host grants the machine. */
static char *wl_devnode(const struct device *device, umode_t *mode) {
	if (mode) {
		*mode = 0666;
	}
	return NULL;
}

static const struct class wl_class = {.name = "wl", .devnode = wl_devnode};

/* On processors that heed the guest's memory types every store to a window that is not write-back would be
 * slow. */
static void wl_check_window(struct wl_device *wl) {
#ifdef CONFIG_X86
	u8 uniform, type = mtrr_type_lookup(wl->window, wl->window + wl->window_size, &uniform);

	if (type != MTRR_TYPE_WRBACK || !uniform) {
		dev_warn(&wl->virtio->dev, "the window is not write-back but of MTRR type %u\n", type);
	}
#endif
}

static void wl_find_window(struct wl_device *wl) {
	struct virtio_shm_region region;

	if (virtio_get_shm_region(wl->virtio, &region, VIRTIO_WL_SHM_REGION) &&
		IS_ALIGNED(region.addr | region.len, PAGE_SIZE)) {
		wl->window = region.addr;
		wl->window_size = region.len;
		wl_check_window(wl);
	}
}

static int wl_find_queues(struct wl_device *wl) {
	struct virtqueue *queues[VIRTIO_WL_QUEUE_COUNT];
	struct virtqueue_info infos[] = {{"in", wl_interrupt}, {"out", wl_interrupt}};
	int ret = virtio_find_vqs(wl->virtio, ARRAY_SIZE(queues), queues, infos, NULL);

	if (ret) {
		return ret;
	}
	wl->in = queues[VIRTIO_WL_QUEUE_IN];
	wl->out = queues[VIRTIO_WL_QUEUE_OUT];
	virtqueue_disable_cb(wl->out);
	return 0;
}

static int wl_post_buffers(struct wl_device *wl) {
	void *buffer;

	while (wl->in->num_free) {
		buffer = (void *)__get_free_page(GFP_KERNEL);
		if (!buffer) {
			return -ENOMEM;
		}
		if (wl_post_buffer(wl, buffer)) {
			free_page((unsigned long)buffer);
			return -EIO;
		}
	}
	return 0;
}

static struct wl_device *wl_create(struct virtio_device *virtio) {
	struct wl_device *wl;
	int minor = ida_alloc_max(&wl_minors, WL_DEVICES_MAX - 1, GFP_KERNEL);

	if (minor < 0) {
		return NULL;
	}
	wl = kzalloc(sizeof(*wl), GFP_KERNEL);
	if (!wl) {
		ida_free(&wl_minors, minor);
		return NULL;
	}
	get_device(&virtio->dev);
	wl->virtio = virtio;
	spin_lock_init(&wl->lock);
	idr_init(&wl->vfds);
	INIT_LIST_HEAD(&wl->backlog);
	init_waitqueue_head(&wl->room);
	INIT_DELAYED_WORK(&wl->retry, wl_retry);
	INIT_WORK(&wl->broken, wl_broken);
	device_initialize(&wl->device);
	wl->device.class = &wl_class;
	wl->device.parent = &virtio->dev;
	wl->device.devt = wl_first_device + minor;
	wl->device.release = wl_release_device;
	cdev_init(&wl->cdev, &wl_device_fops);
	return wl;
}

static int wl_probe(struct virtio_device *virtio) {
	struct wl_device *wl = wl_create(virtio);
	int ret;

	if (!wl) {
		return -ENOMEM;
	}
	virtio->priv = wl;
	wl_find_window(wl);
	ret = dev_set_name(&wl->device, "wl%d", MINOR(wl->device.devt) - MINOR(wl_first_device));
	if (ret) {
		goto put;
	}
	ret = wl_find_queues(wl);
	if (ret) {
		goto put;
	}
	ret = wl_post_buffers(wl);
	if (ret) {
		goto stop;
	}
	virtio_device_ready(virtio);
	spin_lock_irq(&wl->lock);
	virtqueue_kick(wl->in);
	spin_unlock_irq(&wl->lock);
	ret = cdev_device_add(&wl->cdev, &wl->device);
	if (ret) {
		goto stop;
	}
	return 0;

stop:
	wl_stop(wl);
	virtio->config->del_vqs(virtio);
put:
	put_device(&wl->device);
	return ret;
}

static void wl_remove(struct virtio_device *virtio) {
	struct wl_device *wl = virtio->priv;

	cdev_device_del(&wl->cdev, &wl->device);
	wl_stop(wl);
	cancel_delayed_work_sync(&wl->retry);
	cancel_work_sync(&wl->broken);
	virtio->config->del_vqs(virtio);
	put_device(&wl->device);
}

/* Nobody can follow pfns that count from a region which is not there. */
static int wl_validate(struct virtio_device *virtio) {
	struct virtio_shm_region region;

	if (!virtio_get_shm_region(virtio, &region, VIRTIO_WL_SHM_REGION)) {
		__virtio_clear_bit(virtio, VIRTIO_WL_F_USE_SHMEM);
	}
	return 0;
}

static const struct virtio_device_id wl_ids[] = {{VIRTIO_WL_ID, VIRTIO_DEV_ANY_ID}, {}};

static const unsigned int wl_features[] = {
	VIRTIO_WL_F_TRANS_FLAGS,
	VIRTIO_WL_F_SEND_FENCES,
	VIRTIO_WL_F_USE_SHMEM,
	VIRTIO_WL_F_NO_ANSWER,
	VIRTIO_WL_F_GUEST_PAGES,
	VIRTIO_WL_F_MAP_INFO,
	VIRTIO_WL_F_RECV_CREDIT,
};

static struct virtio_driver wl_driver = {
	.driver.name = "virtio_wl",
	.id_table = wl_ids,
	.feature_table = wl_features,
	.feature_table_size = ARRAY_SIZE(wl_features),
	.validate = wl_validate,
	.probe = wl_probe,
	.remove = wl_remove,
	.config_changed = wl_config_changed,
};

static int __init wl_init(void) {
	int ret = alloc_chrdev_region(&wl_first_device, 0, WL_DEVICES_MAX, "wl");

	if (ret) {
		return ret;
	}
	ret = class_register(&wl_class);
	return ret ? ret : register_virtio_driver(&wl_driver);
}
device_initcall(wl_init);
