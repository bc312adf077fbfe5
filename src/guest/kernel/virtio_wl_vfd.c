/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * virtio-wl: the files of vfds.
 *
 * Runs in the context of the programs that hold the files; their arguments are hostile. A vfd's file owns the
 * vfd: the last close, which is after the last mapping is gone, has the host close it.
 */
#include "virtio_wl.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <uapi/linux/dma-buf.h>
#ifdef CONFIG_X86
#include <asm/memtype.h>
#endif

#define WL_SEND_DATA_MAX (SZ_32K - sizeof(struct wl_send) - VIRTIO_WL_FDS_MAX * sizeof(__le32))
/* Sends that need no answer, per vfd; when the queue fills up, one. A receiver that stalls keeps them in the
 * queue. */
#define WL_SENDING_MAX 16
#define WL_CREDIT_BATCH (VIRTIO_WL_RECV_CREDIT / 2)

static const struct file_operations wl_vfd_fops;

/* ---- sending ---- */

struct wl_send {
	struct wl_request request;
	struct wl_vfd *vfd;
	struct virtio_wl_transfer transfer;
	__le32 ids[]; /* then data */
};

static void wl_send_finish(struct wl_device *wl, struct wl_request *request) {
	struct wl_send *send = container_of(request, struct wl_send, request);

	send->vfd->sending--;
	if (!request->answer_size) {
		wl_vfd_sent(send->vfd);
	}
	wl_vfd_put(send->vfd);
	kfree(send);
}

static struct wl_send *wl_send_create(
	struct wl_vfd *vfd, struct wl_vfd *const *vfds, u32 vfd_count, struct iov_iter *data, size_t size) {
	struct wl_send *send = kmalloc(struct_size(send, ids, vfd_count) + size, GFP_KERNEL);
	u32 i;

	if (!send) {
		return ERR_PTR(-ENOMEM);
	}
	if (!copy_from_iter_full(send->ids + vfd_count, size, data)) {
		kfree(send);
		return ERR_PTR(-EFAULT);
	}
	send->request = (struct wl_request){
		.command = &send->transfer,
		.command_size = sizeof(send->transfer) + vfd_count * sizeof(__le32) + size,
		.answer = &send->transfer,
		.answer_size = sizeof(send->transfer.header),
		.finish = wl_send_finish,
	};
	send->vfd = vfd;
	send->transfer = (struct virtio_wl_transfer){
		.header.type = cpu_to_le32(VIRTIO_WL_CMD_VFD_SEND),
		.vfd_id = cpu_to_le32(vfd->id),
		.vfd_count = cpu_to_le32(vfd_count),
	};
	for (i = 0; i < vfd_count; i++) {
		send->ids[i] = cpu_to_le32(vfds[i]->id);
	}
	kref_get(&vfd->kref);
	return send;
}

/* What can only fail because the other side is gone, which a hang-up tells, is not waited for. */
static bool wl_send_unanswered(const struct wl_vfd *vfd, u32 vfd_count) {
	return wl_has_feature(vfd->wl, VIRTIO_WL_F_NO_ANSWER) && !vfd_count && vfd->writable &&
	       !vfd->memory && !vfd->fence && !vfd->hung_up;
}

static int wl_send_chunk(
	struct wl_vfd *vfd, struct wl_vfd *const *vfds, u32 vfd_count, struct iov_iter *data, size_t size) {
	struct wl_device *wl = vfd->wl;
	struct wl_send *send = wl_send_create(vfd, vfds, vfd_count, data, size);
	bool unanswered;
	int ret;

	if (IS_ERR(send)) {
		return PTR_ERR(send);
	}
	spin_lock_irq(&wl->lock);
	vfd->sending++;
	unanswered = wl_send_unanswered(vfd, vfd_count);
	if (unanswered) {
		vfd->unanswered++;
		send->request.answer_size = 0;
		send->transfer.header.flags = cpu_to_le32(VIRTIO_WL_FLAG_NO_ANSWER);
		wl_submit(wl, &send->request);
		wl_run(wl);
	}
	wl_unlock(wl);
	if (unanswered) {
		return 0;
	}
	ret = wl_request_wait(wl, &send->request);
	if (ret) {
		return ret;
	}
	ret = wl_request_result(wl, &send->request, VIRTIO_WL_RESP_OK, 0);
	spin_lock_irq(&wl->lock);
	wl_send_finish(wl, &send->request);
	spin_unlock_irq(&wl->lock);
	return ret;
}

/* Lock held. */
static bool wl_has_room(const struct wl_vfd *vfd) {
	const struct virtqueue *out = vfd->wl->out;

	if (vfd->wl->gone || vfd->hung_up) {
		return true;
	}
	if (!out->num_free || !list_empty(&vfd->wl->backlog)) {
		return false;
	}
	return vfd->sending < (out->num_free > virtqueue_get_vring_size(out) / 2 ? WL_SENDING_MAX : 1);
}

/* Whether a send would be under way at once; if not, wl->room is woken when it may. */
static bool wl_can_send(struct wl_vfd *vfd) {
	struct wl_device *wl = vfd->wl;
	bool room;

	spin_lock_irq(&wl->lock);
	room = wl_has_room(vfd);
	while (!room) {
		/* Nothing tells of requests that need no answer until somebody wants to hear of them. */
		wl->want_room = true;
		wl_run(wl);
		room = wl_has_room(vfd);
		if (wl->want_room) {
			break;
		}
	}
	wl_unlock(wl);
	return room;
}

/* How a send waits. */
struct wl_patience {
	bool nonblock; /* not at all */
	bool whole;    /* unless it has begun: then nothing but a kill ends it half-way */
};

static int wl_wait_for_room(struct wl_vfd *vfd, const struct wl_patience *patience, bool begun) {
	if (wl_can_send(vfd)) {
		return 0;
	}
	if (begun && patience->whole) {
		return wait_event_killable(vfd->wl->room, wl_can_send(vfd));
	}
	return patience->nonblock ? -EAGAIN : wait_event_interruptible(vfd->wl->room, wl_can_send(vfd));
}

/* The bytes that are on their way, or -errno. */
static ssize_t wl_send_chunks(struct wl_vfd *vfd, struct wl_vfd *const *vfds, u32 vfd_count,
	struct iov_iter *data, const struct wl_patience *patience) {
	size_t size, sent = 0;
	int ret;

	do {
		ret = wl_wait_for_room(vfd, patience, sent);
		if (ret) {
			break;
		}
		size = min_t(size_t, iov_iter_count(data), WL_SEND_DATA_MAX);
		ret = wl_send_chunk(vfd, vfds, vfd_count, data, size);
		if (ret) {
			break;
		}
		sent += size;
		vfd_count = 0;
	} while (iov_iter_count(data));
	return ret && (patience->whole || !sent) ? ret : sent;
}

static ssize_t wl_send(struct wl_vfd *vfd, struct wl_vfd *const *vfds, u32 vfd_count, struct iov_iter *data,
	const struct wl_patience *patience) {
	ssize_t ret;

	if (!iov_iter_count(data) && !vfd_count) {
		return 0;
	}
	/* One message is not cut in two by another. */
	if (patience->nonblock) {
		if (!mutex_trylock(&vfd->send_lock)) {
			return -EAGAIN;
		}
	} else if (mutex_lock_interruptible(&vfd->send_lock)) {
		return -ERESTARTSYS;
	}
	ret = wl_send_chunks(vfd, vfds, vfd_count, data, patience);
	mutex_unlock(&vfd->send_lock);
	return ret;
}

static ssize_t wl_vfd_write(struct kiocb *iocb, struct iov_iter *data) {
	struct file *file = iocb->ki_filp;
	struct wl_patience patience = {.nonblock = file->f_flags & O_NONBLOCK};

	return wl_send(file->private_data, NULL, 0, data, &patience);
}

/* The vfds behind fds, up to the first negative one; their files are to be put. The count, or -errno. */
static int wl_get_vfds(struct wl_device *wl, const s32 *fds, struct file **files, struct wl_vfd **vfds) {
	int count;

	for (count = 0; count < VIRTWL_SEND_MAX_ALLOCS && fds[count] >= 0; count++) {
		files[count] = fget(fds[count]);
		if (!files[count]) {
			goto bad;
		}
		vfds[count] = files[count]->private_data;
		if (files[count]->f_op != &wl_vfd_fops || vfds[count]->wl != wl) {
			fput(files[count]);
			goto bad;
		}
	}
	return count;

bad:
	while (count--) {
		fput(files[count]);
	}
	return -EINVAL;
}

static long wl_ioctl_send(struct file *file, struct virtwl_ioctl_txn __user *arg) {
	struct wl_patience patience = {.nonblock = file->f_flags & O_NONBLOCK, .whole = true};
	struct wl_vfd *vfd = file->private_data, *vfds[VIRTWL_SEND_MAX_ALLOCS];
	struct file *files[VIRTWL_SEND_MAX_ALLOCS];
	struct virtwl_ioctl_txn txn;
	struct iov_iter data;
	ssize_t ret;
	int count;

	if (copy_from_user(&txn, arg, sizeof(txn))) {
		return -EFAULT;
	}
	ret = import_ubuf(ITER_SOURCE, arg->data, txn.len, &data);
	if (ret) {
		return ret;
	}
	count = wl_get_vfds(vfd->wl, txn.fds, files, vfds);
	if (count < 0) {
		return count;
	}
	ret = wl_send(vfd, vfds, count, &data, &patience);
	while (count--) {
		fput(files[count]);
	}
	return ret < 0 ? ret : 0;
}

/* ---- receiving ---- */

/* What one RECV hands out. */
struct wl_receipt {
	struct iov_iter *data;
	unsigned int capacity; /* for vfds: 0 with read(2), which leaves them for a RECV */
	unsigned int count;
	int fds[VIRTWL_SEND_MAX_ALLOCS];
	struct file *files[VIRTWL_SEND_MAX_ALLOCS];
};

int wl_vfd_open(struct wl_vfd *vfd, struct file **file) {
	int mode = vfd->memory || (vfd->readable && vfd->writable) ? O_RDWR
		   : vfd->writable                                 ? O_WRONLY
								   : O_RDONLY;

	*file = anon_inode_getfile("[virtwl_vfd]", &wl_vfd_fops, vfd, mode);
	if (IS_ERR(*file)) {
		return PTR_ERR(*file);
	}
	stream_open(NULL, *file);
	return 0;
}

/* Without its vfd a file is just a file: the vfd is not closed with it. */
static void wl_receipt_shrink(struct wl_receipt *receipt, unsigned int count, bool keep_vfds) {
	while (receipt->count > count) {
		receipt->count--;
		put_unused_fd(receipt->fds[receipt->count]);
		if (keep_vfds) {
			receipt->files[receipt->count]->private_data = NULL;
		}
		fput(receipt->files[receipt->count]);
	}
}

static int wl_receipt_add(struct wl_receipt *receipt, struct wl_vfd *vfd) {
	int ret, fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0) {
		return fd;
	}
	ret = wl_vfd_open(vfd, &receipt->files[receipt->count]);
	if (ret) {
		put_unused_fd(fd);
		return ret;
	}
	receipt->fds[receipt->count++] = fd;
	return 0;
}

/* All of a message's vfds, or none. */
static int wl_take_vfds(struct wl_receipt *receipt, struct wl_message *message) {
	unsigned int i, before = receipt->count;
	int ret;

	if (!receipt->capacity || !message->vfd_count) {
		return 0;
	}
	if (message->vfd_count > receipt->capacity - receipt->count) {
		return -ENOSPC;
	}
	for (i = 0; i < message->vfd_count; i++) {
		ret = wl_receipt_add(receipt, message->vfds[i]);
		if (ret) {
			wl_receipt_shrink(receipt, before, true);
			return ret;
		}
	}
	message->vfd_count = 0;
	return 0;
}

static int wl_take_data(struct wl_receipt *receipt, struct wl_message *message) {
	unsigned int left = message->data_size - message->data_taken;
	size_t wanted = min_t(size_t, left, iov_iter_count(receipt->data));
	size_t taken = copy_to_iter(message->data + message->data_taken, wanted, receipt->data);

	message->data_taken += taken;
	return taken < wanted ? -EFAULT : 0;
}

/* recv_lock held: what arrived since. */
static void wl_collect(struct wl_vfd *vfd) {
	spin_lock_irq(&vfd->wl->lock);
	list_splice_tail_init(&vfd->incoming, &vfd->messages);
	spin_unlock_irq(&vfd->wl->lock);
}

/* Lock held: let the host send more. */
static void wl_return_credit(struct wl_vfd *vfd) {
	if (vfd->credit < WL_CREDIT_BATCH || vfd->crediting || vfd->hung_up ||
		!wl_has_feature(vfd->wl, VIRTIO_WL_F_RECV_CREDIT)) {
		return;
	}
	vfd->credit_command = (struct virtio_wl_credit){
		.header.type = cpu_to_le32(VIRTIO_WL_CMD_VFD_CREDIT),
		.header.flags = cpu_to_le32(VIRTIO_WL_FLAG_NO_ANSWER),
		.vfd_id = cpu_to_le32(vfd->id),
		.messages = cpu_to_le32(vfd->credit),
	};
	vfd->credit = 0;
	vfd->crediting = true;
	kref_get(&vfd->kref);
	wl_submit(vfd->wl, &vfd->credit_request);
	wl_run(vfd->wl);
}

static void wl_account(struct wl_vfd *vfd, unsigned int read, unsigned int read_data) {
	spin_lock_irq(&vfd->wl->lock);
	vfd->unread -= read;
	vfd->unread_data -= read_data;
	vfd->credit += read;
	wl_return_credit(vfd);
	wl_unlock(vfd->wl);
}

/* recv_lock held: -errno when the first message could not be handed out. */
static int wl_take_messages(struct wl_vfd *vfd, struct wl_receipt *receipt) {
	struct wl_message *message, *next;
	unsigned int read = 0, read_data = 0;
	size_t room = iov_iter_count(receipt->data);
	int ret = 0;

	list_for_each_entry_safe(message, next, &vfd->messages, link) {
		bool had_data = message->data_taken < message->data_size;

		ret = wl_take_vfds(receipt, message);
		if (!ret) {
			ret = wl_take_data(receipt, message);
		}
		read_data += had_data && message->data_taken == message->data_size;
		if (!message->vfd_count && message->data_taken == message->data_size) {
			list_del(&message->link);
			kfree(message);
			read++;
		}
		if (ret || !iov_iter_count(receipt->data)) {
			break;
		}
	}
	wl_account(vfd, read, read_data);
	return receipt->count || iov_iter_count(receipt->data) < room ? 0 : ret;
}

enum wl_readiness { WL_NOTHING, WL_MESSAGE, WL_END };

static enum wl_readiness wl_readiness(struct wl_vfd *vfd, bool with_vfds) {
	enum wl_readiness readiness = WL_NOTHING;

	spin_lock_irq(&vfd->wl->lock);
	if (with_vfds ? vfd->unread : vfd->unread_data) {
		readiness = WL_MESSAGE;
	} else if (vfd->hung_up) {
		readiness = WL_END;
	}
	spin_unlock_irq(&vfd->wl->lock);
	return readiness;
}

static int wl_recv(struct wl_vfd *vfd, struct wl_receipt *receipt, bool nonblock) {
	enum wl_readiness readiness;
	int ret;

	for (;;) {
		if (mutex_lock_interruptible(&vfd->recv_lock)) {
			return -ERESTARTSYS;
		}
		readiness = wl_readiness(vfd, receipt->capacity);
		if (readiness != WL_NOTHING) {
			break;
		}
		mutex_unlock(&vfd->recv_lock);
		if (nonblock) {
			return -EAGAIN;
		}
		if (wait_event_interruptible(vfd->wait, wl_readiness(vfd, receipt->capacity) != WL_NOTHING)) {
			return -ERESTARTSYS;
		}
	}
	wl_collect(vfd);
	ret = readiness == WL_END ? 0 : wl_take_messages(vfd, receipt);
	mutex_unlock(&vfd->recv_lock);
	return ret;
}

static ssize_t wl_vfd_read(struct kiocb *iocb, struct iov_iter *data) {
	struct file *file = iocb->ki_filp;
	struct wl_receipt receipt = {.data = data};
	size_t room = iov_iter_count(data);
	int ret;

	if (!room) {
		return 0;
	}
	ret = wl_recv(file->private_data, &receipt, file->f_flags & O_NONBLOCK);
	return ret ? ret : room - iov_iter_count(data);
}

static long wl_ioctl_recv(struct file *file, struct virtwl_ioctl_txn __user *arg) {
	struct virtwl_ioctl_txn txn;
	struct iov_iter data;
	struct wl_receipt receipt = {.data = &data, .capacity = VIRTWL_SEND_MAX_ALLOCS};
	size_t room;
	unsigned int i;
	int ret;

	if (get_user(txn.len, &arg->len)) {
		return -EFAULT;
	}
	ret = import_ubuf(ITER_DEST, arg->data, txn.len, &data);
	if (ret) {
		return ret;
	}
	room = iov_iter_count(&data);
	ret = wl_recv(file->private_data, &receipt, file->f_flags & O_NONBLOCK);
	if (ret) {
		return ret;
	}
	txn.len = room - iov_iter_count(&data);
	memset(txn.fds, 0xff, sizeof(txn.fds));
	memcpy(txn.fds, receipt.fds, receipt.count * sizeof(txn.fds[0]));
	if (copy_to_user(arg, &txn, sizeof(txn))) {
		wl_receipt_shrink(&receipt, 0, false);
		return -EFAULT;
	}
	for (i = 0; i < receipt.count; i++) {
		fd_install(receipt.fds[i], receipt.files[i]);
	}
	return 0;
}

static __poll_t wl_vfd_poll(struct file *file, poll_table *table) {
	struct wl_vfd *vfd = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &vfd->wait, table);
	poll_wait(file, &vfd->wl->room, table);
	spin_lock_irq(&vfd->wl->lock);
	if (vfd->unread || vfd->hung_up) {
		events |= EPOLLIN | EPOLLRDNORM;
	}
	if (vfd->hung_up) {
		events |= EPOLLHUP;
	}
	spin_unlock_irq(&vfd->wl->lock);
	if (file->f_mode & FMODE_WRITE && poll_requested_events(table) & (EPOLLOUT | EPOLLWRNORM) &&
		wl_can_send(vfd)) {
		events |= EPOLLOUT | EPOLLWRNORM;
	}
	return events;
}

/* ---- memory ---- */

/* A store to a mapping that is not write-back goes to memory one by one where the processor heeds page
 * attributes. */
static void wl_check_mapping(struct vm_area_struct *vma) {
#ifdef CONFIG_X86
	struct follow_pfnmap_args args = {.vma = vma, .address = vma->vm_start};

	if (follow_pfnmap_start(&args)) {
		return;
	}
	if (pgprot2cachemode(args.pgprot) != _PAGE_CACHE_MODE_WB) {
		pr_warn_once("virtio_wl: a vfd's memory is mapped uncached\n");
	}
	follow_pfnmap_end(&args);
#endif
}

static int wl_vfd_mmap(struct file *file, struct vm_area_struct *vma) {
	struct wl_vfd *vfd = file->private_data;
	u64 size = vma->vm_end - vma->vm_start, offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 whole = PAGE_ALIGN(vfd->memory_size);
	int ret;

	if (!vfd->memory) {
		return -ENODEV;
	}
	if (offset > whole || size > whole - offset) {
		return -EINVAL;
	}
	if (vfd->memory_read_only && vma->vm_flags & VM_SHARED) {
		if (vma->vm_flags & VM_WRITE) {
			return -EACCES;
		}
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	/* All at once: pages of a private mapping are copied when they are written to. */
	ret = remap_pfn_range(vma, vma->vm_start,
		(vfd->wl->window + vfd->memory_offset + offset) >> PAGE_SHIFT, size, vma->vm_page_prot);
	if (!ret) {
		wl_check_mapping(vma);
	}
	return ret;
}

struct wl_sync {
	struct wl_request request;
	struct virtio_wl_dmabuf_sync command;
};

static void wl_sync_finish(struct wl_device *wl, struct wl_request *request) {
	kfree(container_of(request, struct wl_sync, request));
}

static long wl_ioctl_sync(struct wl_vfd *vfd, struct virtwl_ioctl_dmabuf_sync __user *arg) {
	struct wl_sync *sync;
	u32 flags;
	int ret;

	if (get_user(flags, &arg->flags)) {
		return -EFAULT;
	}
	if (!vfd->dmabuf || flags & ~DMA_BUF_SYNC_VALID_FLAGS_MASK) {
		return -EINVAL;
	}
	sync = kzalloc(sizeof(*sync), GFP_KERNEL);
	if (!sync) {
		return -ENOMEM;
	}
	sync->command.header.type = cpu_to_le32(VIRTIO_WL_CMD_VFD_DMABUF_SYNC);
	sync->command.vfd_id = cpu_to_le32(vfd->id);
	sync->command.flags = cpu_to_le32(flags);
	sync->request.command = sync->request.answer = &sync->command;
	sync->request.command_size = sizeof(sync->command);
	sync->request.answer_size = sizeof(sync->command.header);
	sync->request.finish = wl_sync_finish;
	ret = wl_request_wait(vfd->wl, &sync->request);
	if (ret) {
		return ret;
	}
	ret = wl_request_result(vfd->wl, &sync->request, VIRTIO_WL_RESP_OK, 0);
	kfree(sync);
	return ret;
}

/* ---- files ---- */

static long wl_ioctl_info(const struct wl_vfd *vfd, struct virtwl_ioctl_info __user *user) {
	struct virtwl_ioctl_info info = {
		.flags = (vfd->readable ? VIRTWL_INFO_READ : 0) | (vfd->writable ? VIRTWL_INFO_WRITE : 0) |
			 (vfd->memory ? VIRTWL_INFO_MEMORY : 0) |
			 (vfd->memory_read_only ? VIRTWL_INFO_READ_ONLY : 0) |
			 (vfd->dmabuf ? VIRTWL_INFO_DMABUF : 0) | (vfd->fence ? VIRTWL_INFO_FENCE : 0) |
			 (vfd->id >= VIRTIO_WL_FIRST_HOST_ID ? VIRTWL_INFO_FROM_HOST : 0),
		.size = vfd->memory_size,
	};

	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long wl_vfd_ioctl(struct file *file, unsigned int command, unsigned long arg) {
	void __user *user = (void __user *)arg;

	switch (command) {
	case VIRTWL_IOCTL_SEND:
		return wl_ioctl_send(file, user);
	case VIRTWL_IOCTL_RECV:
		return wl_ioctl_recv(file, user);
	case VIRTWL_IOCTL_DMABUF_SYNC:
		return wl_ioctl_sync(file->private_data, user);
	case VIRTWL_IOCTL_INFO:
		return wl_ioctl_info(file->private_data, user);
	default:
		return -ENOTTY;
	}
}

static int wl_vfd_release(struct inode *inode, struct file *file) {
	struct wl_vfd *vfd = file->private_data;
	struct wl_device *wl;

	if (!vfd) {
		return 0;
	}
	wl = vfd->wl;
	get_device(&wl->device);
	spin_lock_irq(&wl->lock);
	wl_vfd_close(vfd);
	wl_run(wl);
	wl_unlock(wl);
	put_device(&wl->device);
	return 0;
}

static const struct file_operations wl_vfd_fops = {
	.owner = THIS_MODULE,
	.read_iter = wl_vfd_read,
	.write_iter = wl_vfd_write,
	.poll = wl_vfd_poll,
	.unlocked_ioctl = wl_vfd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = wl_vfd_mmap,
	.release = wl_vfd_release,
};
