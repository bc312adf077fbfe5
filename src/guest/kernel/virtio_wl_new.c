/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * virtio-wl: /dev/wl0, and how vfds come to be.
 *
 * Runs in the context of the programs that open it; their arguments are hostile. A program that is killed
 * while the host makes a vfd for it leaves nothing behind: the answer then closes the vfd.
 */
#include "virtio_wl.h"

#include <linux/compat.h>
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define WL_OLD_NEW_SIZE 16
#define WL_GUEST_PAGES_SIZE_MAX SZ_256M

struct wl_new {
	struct wl_request request;
	struct wl_vfd *vfd;
	u32 expected; /* the answer's type */
	struct virtio_wl_vfd_new message;
	struct virtio_wl_vfd_new_guest_pages *pages; /* NULL: message is the command */
};

static void wl_new_free(struct wl_new *new) {
	kfree(new->pages);
	kfree(new);
}

static int wl_new_result(const struct wl_new *new) {
	return wl_request_result(
		new->vfd->wl, &new->request, new->expected, offsetof(struct virtio_wl_vfd_new, name));
}

/* Who asked for it was killed. */
static void wl_new_finish(struct wl_device *wl, struct wl_request *request) {
	struct wl_new *new = container_of(request, struct wl_new, request);

	if (wl_new_result(new)) {
		wl_vfd_forget(new->vfd);
	} else {
		wl_vfd_close(new->vfd);
	}
	wl_new_free(new);
}

static int wl_vfd_register(struct wl_vfd *vfd) {
	struct wl_device *wl = vfd->wl;
	int id;

	idr_preload(GFP_KERNEL);
	spin_lock_irq(&wl->lock);
	id = wl->gone ? -ENODEV
		      : idr_alloc_cyclic(&wl->vfds, vfd, VIRTIO_WL_FIRST_GUEST_ID,
				VIRTIO_WL_LAST_GUEST_ID + 1, GFP_NOWAIT);
	spin_unlock_irq(&wl->lock);
	idr_preload_end();
	if (id < 0) {
		return id == -ENOSPC ? -ENOMEM : id;
	}
	vfd->id = id;
	return 0;
}

static struct wl_new *wl_new_create(struct wl_device *wl, u32 type) {
	struct wl_new *new = kzalloc(sizeof(*new), GFP_KERNEL);
	int ret;

	if (!new) {
		return ERR_PTR(-ENOMEM);
	}
	new->vfd = wl_vfd_create(wl, GFP_KERNEL);
	if (!new->vfd) {
		kfree(new);
		return ERR_PTR(-ENOMEM);
	}
	ret = wl_vfd_register(new->vfd);
	if (ret) {
		wl_vfd_put(new->vfd);
		kfree(new);
		return ERR_PTR(ret);
	}
	new->expected = VIRTIO_WL_RESP_VFD_NEW;
	new->message.header.type = cpu_to_le32(type);
	new->message.vfd_id = cpu_to_le32(new->vfd->id);
	new->request = (struct wl_request){
		.command = &new->message,
		.command_size = sizeof(new->message),
		.answer = &new->message,
		.answer_size = sizeof(new->message),
		.finish = wl_new_finish,
	};
	return new;
}

/* The host is not asked after all. */
static void wl_new_cancel(struct wl_new *new) {
	struct wl_device *wl = new->vfd->wl;

	spin_lock_irq(&wl->lock);
	wl_vfd_forget(new->vfd);
	spin_unlock_irq(&wl->lock);
	wl_new_free(new);
}

/* Ask the host and make a file of what it gives. Takes new; answer is what the host said. */
static int wl_new_run(struct wl_new *new, struct file **file, struct virtio_wl_vfd_new *answer) {
	struct wl_vfd *vfd = new->vfd;
	struct wl_device *wl = vfd->wl;
	int ret = wl_request_wait(wl, &new->request);

	if (ret) {
		return ret;
	}
	*answer = new->message;
	ret = wl_new_result(new);
	wl_new_free(new);
	if (ret) {
		spin_lock_irq(&wl->lock);
		wl_vfd_forget(vfd);
		spin_unlock_irq(&wl->lock);
		return ret;
	}
	ret = wl_vfd_describe(vfd, answer);
	if (!ret) {
		ret = wl_vfd_open(vfd, file);
	}
	if (ret) {
		spin_lock_irq(&wl->lock);
		wl_vfd_close(vfd);
		wl_run(wl);
		wl_unlock(wl);
	}
	return ret;
}

/* Give the caller the file as a descriptor, told in arg (where fd points into). Takes the file. */
static long wl_hand_out(struct file *file, s32 *fd, void __user *user, const void *arg, size_t size) {
	long ret;

	*fd = get_unused_fd_flags(O_CLOEXEC);
	if (*fd < 0) {
		ret = *fd;
		goto put_file;
	}
	if (copy_to_user(user, arg, size)) {
		ret = -EFAULT;
		goto put_fd;
	}
	fd_install(*fd, file);
	return 0;

put_fd:
	put_unused_fd(*fd);
put_file:
	fput(file);
	return ret;
}

static const u32 wl_new_commands[] = {
	[VIRTWL_IOCTL_NEW_CTX] = VIRTIO_WL_CMD_VFD_NEW_CTX,
	[VIRTWL_IOCTL_NEW_ALLOC] = VIRTIO_WL_CMD_VFD_NEW,
	[VIRTWL_IOCTL_NEW_PIPE_READ] = VIRTIO_WL_CMD_VFD_NEW_PIPE,
	[VIRTWL_IOCTL_NEW_PIPE_WRITE] = VIRTIO_WL_CMD_VFD_NEW_PIPE,
	[VIRTWL_IOCTL_NEW_DMABUF] = VIRTIO_WL_CMD_VFD_NEW_DMABUF,
	[VIRTWL_IOCTL_NEW_CTX_NAMED] = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED,
};

static bool wl_new_valid(const struct virtwl_ioctl_new *arg, size_t size) {
	bool large = arg->type == VIRTWL_IOCTL_NEW_DMABUF || arg->type == VIRTWL_IOCTL_NEW_CTX_NAMED;

	return size >= WL_OLD_NEW_SIZE && arg->type < ARRAY_SIZE(wl_new_commands) && !arg->flags &&
	       (!large || size == sizeof(*arg)) && (arg->type != VIRTWL_IOCTL_NEW_ALLOC || arg->size);
}

static void wl_new_fill(struct wl_new *new, const struct virtwl_ioctl_new *arg) {
	struct virtio_wl_vfd_new *message = &new->message;

	switch (arg->type) {
	case VIRTWL_IOCTL_NEW_ALLOC:
		message->size = cpu_to_le32(arg->size);
		break;
	case VIRTWL_IOCTL_NEW_PIPE_READ:
		message->flags = cpu_to_le32(VIRTIO_WL_VFD_READ);
		/* Not all hosts repeat the direction. */
		new->vfd->readable = true;
		break;
	case VIRTWL_IOCTL_NEW_PIPE_WRITE:
		message->flags = cpu_to_le32(VIRTIO_WL_VFD_WRITE);
		new->vfd->writable = true;
		break;
	case VIRTWL_IOCTL_NEW_DMABUF:
		new->expected = VIRTIO_WL_RESP_VFD_NEW_DMABUF;
		message->dmabuf.width = cpu_to_le32(arg->dmabuf.width);
		message->dmabuf.height = cpu_to_le32(arg->dmabuf.height);
		message->dmabuf.format = cpu_to_le32(arg->dmabuf.format);
		break;
	case VIRTWL_IOCTL_NEW_CTX_NAMED:
		memcpy(message->name, arg->name, sizeof(message->name));
		break;
	}
}

static void wl_new_tell_dmabuf(struct virtwl_ioctl_new *arg, const struct virtio_wl_vfd_new *answer) {
	arg->dmabuf.stride0 = le32_to_cpu(answer->dmabuf.stride[0]);
	arg->dmabuf.stride1 = le32_to_cpu(answer->dmabuf.stride[1]);
	arg->dmabuf.stride2 = le32_to_cpu(answer->dmabuf.stride[2]);
	arg->dmabuf.offset0 = le32_to_cpu(answer->dmabuf.offset[0]);
	arg->dmabuf.offset1 = le32_to_cpu(answer->dmabuf.offset[1]);
	arg->dmabuf.offset2 = le32_to_cpu(answer->dmabuf.offset[2]);
}

static long wl_ioctl_new(struct wl_device *wl, unsigned int size, void __user *user) {
	struct virtwl_ioctl_new arg = {};
	struct virtio_wl_vfd_new answer;
	struct wl_new *new;
	struct file *file;
	int ret;

	size = min(size, (unsigned int)sizeof(arg));
	if (copy_from_user(&arg, user, size)) {
		return -EFAULT;
	}
	if (!wl_new_valid(&arg, size)) {
		return -EINVAL;
	}
	new = wl_new_create(wl, wl_new_commands[arg.type]);
	if (IS_ERR(new)) {
		return PTR_ERR(new);
	}
	wl_new_fill(new, &arg);
	ret = wl_new_run(new, &file, &answer);
	if (ret) {
		return ret;
	}
	if (arg.type == VIRTWL_IOCTL_NEW_DMABUF) {
		/* Answers say so only with MAP_INFO. */
		((struct wl_vfd *)file->private_data)->dmabuf = true;
		wl_new_tell_dmabuf(&arg, &answer);
	}
	return wl_hand_out(file, &arg.fd, user, &arg, size);
}

/* ---- pages of the guest ---- */

static int wl_check_memfd(struct file *memfd) {
	int seals = memfd_fcntl(memfd, F_GET_SEALS, 0);

	if (seals < 0 || (!shmem_file(memfd) && !is_file_hugepages(memfd))) {
		return -EINVAL;
	}
	/* The host may write to the pages. */
	if (!(memfd->f_mode & FMODE_READ) || !(memfd->f_mode & FMODE_WRITE)) {
		return -EACCES;
	}
	return seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ? -EPERM : 0;
}

/* Pins the pages for the rest of the vfd's life; first is where they begin in the first folio. */
static int wl_pin_memfd(struct wl_vfd *vfd, struct file *memfd, u64 offset, u64 size, pgoff_t *first) {
	unsigned int pages = size >> PAGE_SHIFT;
	struct folio **folios = kvmalloc_array(pages, sizeof(*folios), GFP_KERNEL);
	long ret;

	if (!folios) {
		return -ENOMEM;
	}
	inode_lock_shared(file_inode(memfd));
	ret = wl_check_memfd(memfd);
	if (!ret) {
		ret = memfd_pin_folios(memfd, offset, offset + size - 1, folios, pages, first);
	}
	inode_unlock_shared(file_inode(memfd));
	if (ret <= 0) {
		kvfree(folios);
		return ret ? ret : -EINVAL;
	}
	vfd->folios = folios;
	vfd->folio_count = ret;
	return 0;
}

/* Fill in the vfd's pages as few ranges. The count, or -errno. */
static int wl_list_ranges(const struct wl_vfd *vfd, u64 first, u64 size, struct virtio_wl_page_range *ranges,
	unsigned int max) {
	u64 address, length, end = 0;
	unsigned int count = 0;
	long i;

	for (i = 0; i < vfd->folio_count && size; i++, first = 0) {
		address = PFN_PHYS(folio_pfn(vfd->folios[i])) + first;
		length = min_t(u64, folio_size(vfd->folios[i]) - first, size);
		if (count && address == end) {
			le64_add_cpu(&ranges[count - 1].length, length);
		} else if (count == max) {
			return -E2BIG;
		} else {
			ranges[count++] =
				(struct virtio_wl_page_range){cpu_to_le64(address), cpu_to_le64(length)};
		}
		end = address + length;
		size -= length;
	}
	return size ? -EINVAL : count;
}

static int wl_new_fill_pages(struct wl_new *new, struct file *memfd, u64 offset, u64 size) {
	struct virtio_wl_vfd_new_guest_pages *pages;
	unsigned int max;
	pgoff_t first;
	int count = wl_pin_memfd(new->vfd, memfd, offset, size, &first);

	if (count) {
		return count;
	}
	max = min_t(long, new->vfd->folio_count, VIRTIO_WL_PAGE_RANGES_MAX);
	pages = kmalloc(struct_size(pages, ranges, max), GFP_KERNEL | __GFP_NOWARN);
	if (!pages) {
		return -ENOMEM;
	}
	new->pages = pages;
	count = wl_list_ranges(new->vfd, first, size, pages->ranges, max);
	if (count < 0) {
		return count;
	}
	pages->header = new->message.header;
	pages->vfd_id = new->message.vfd_id;
	pages->range_count = cpu_to_le32(count);
	new->request.command = pages;
	new->request.command_size = struct_size(pages, ranges, count);
	return 0;
}

static long wl_new_from_memfd(struct wl_device *wl, struct virtwl_ioctl_new_guest_pages *arg,
	struct file *memfd, struct file **file) {
	struct virtio_wl_vfd_new answer;
	struct wl_new *new = wl_new_create(wl, VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES);
	int ret;

	if (IS_ERR(new)) {
		return PTR_ERR(new);
	}
	ret = wl_new_fill_pages(new, memfd, arg->offset, arg->size);
	if (ret) {
		wl_new_cancel(new);
		return ret;
	}
	return wl_new_run(new, file, &answer);
}

static long wl_ioctl_new_guest_pages(struct wl_device *wl, void __user *user) {
	struct virtwl_ioctl_new_guest_pages arg;
	struct file *memfd, *file;
	long ret;

	if (!wl_has_feature(wl, VIRTIO_WL_F_GUEST_PAGES)) {
		return -ENOTTY;
	}
	if (copy_from_user(&arg, user, sizeof(arg))) {
		return -EFAULT;
	}
	if (arg.flags || arg.padding || !arg.size || arg.size > WL_GUEST_PAGES_SIZE_MAX ||
		arg.offset > S64_MAX / 2 || !IS_ALIGNED(arg.offset | arg.size, PAGE_SIZE)) {
		return -EINVAL;
	}
	memfd = fget(arg.memfd);
	if (!memfd) {
		return -EBADF;
	}
	ret = wl_new_from_memfd(wl, &arg, memfd, &file);
	fput(memfd);
	return ret ? ret : wl_hand_out(file, &arg.fd, user, &arg, sizeof(arg));
}

/* ---- /dev/wl0 ---- */

static int wl_device_open(struct inode *inode, struct file *file) {
	/* The open file keeps the character device, which keeps the rest. */
	file->private_data = container_of(inode->i_cdev, struct wl_device, cdev);
	return 0;
}

/* NEW is told by its number alone: its struct was shorter once. */
static long wl_device_ioctl(struct file *file, unsigned int command, unsigned long arg) {
	struct wl_device *wl = file->private_data;
	void __user *user = (void __user *)arg;

	if (_IOC_TYPE(command) == VIRTWL_IOCTL_BASE && _IOC_NR(command) == _IOC_NR(VIRTWL_IOCTL_NEW)) {
		return wl_ioctl_new(wl, _IOC_SIZE(command), user);
	}
	return command == VIRTWL_IOCTL_NEW_GUEST_PAGES ? wl_ioctl_new_guest_pages(wl, user) : -ENOTTY;
}

const struct file_operations wl_device_fops = {
	.owner = THIS_MODULE,
	.open = wl_device_open,
	.unlocked_ioctl = wl_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
