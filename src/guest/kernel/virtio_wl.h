/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the parts of the virtio-wl driver share: virtio_wl.c owns the device and its queues,
 * virtio_wl_vfd.c the files that programs hold, virtio_wl_new.c the commands that make them.
 *
 * One spinlock per device protects the queues, the table of vfds and all that interrupts change. It is held
 * for short, never while user memory is touched.
 */
#ifndef VIRTIO_WL_H
#define VIRTIO_WL_H

#include "ph/wl_user.h"
#include "ph/wl_wire.h"

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct wl_device {
	struct device device;
	struct cdev cdev;
	struct virtio_device *virtio;
	phys_addr_t window; /* guest-physical */
	u64 window_size;    /* 0: none */

	spinlock_t lock;
	struct virtqueue *in, *out;
	struct idr vfds;          /* by id; an entry stays until the answer to its CLOSE */
	bool gone;                /* the queues are not touched any more */
	struct list_head backlog; /* requests that did not fit in the queue */
	unsigned int answers;     /* requests under way that are answered */
	unsigned int closing;     /* vfds to be closed later */
	bool want_room;           /* somebody waits on room */
	bool callbacks;           /* the out queue interrupts */
	bool kick;                /* the device is to be told of the out queue */
	void *undelivered;        /* a message that memory lacked for */
	unsigned int undelivered_size;
	struct delayed_work retry;
	struct work_struct broken;
	wait_queue_head_t room; /* for senders */
};

/* A command on its way to the device. */
struct wl_request {
	struct list_head link; /* in the backlog */
	void *command, *answer;
	unsigned int command_size;
	unsigned int answer_size; /* 0: there is none */
	unsigned int written;     /* of the answer, by the device */
	/* The request came back and nobody waits for it: with the lock held, free it. */
	void (*finish)(struct wl_device *wl, struct wl_request *request);
	bool waited, done;
	struct completion completed;
};

/* What came in one VFD_RECV. */
struct wl_message {
	struct list_head link;
	unsigned int data_size, data_taken;
	unsigned int vfd_count;
	u8 *data; /* behind vfds */
	struct wl_vfd *vfds[];
};

struct wl_vfd {
	struct kref kref; /* one while the host has it, one for each request that uses it */
	struct wl_device *wl;
	u32 id;
	/* what it is: constant once there is a file */
	bool readable, writable, fence, dmabuf, memory, memory_read_only;
	u64 memory_offset, memory_size; /* in the window */
	struct folio **folios;          /* of the guest, pinned */
	long folio_count;
	struct work_struct unpin;

	struct mutex recv_lock, send_lock; /* order: before the device's lock */
	struct list_head messages;         /* recv_lock: being read */

	/* the device's lock */
	bool announced; /* no file, and no message that carries it, yet */
	bool closing, hung_up;
	struct list_head incoming; /* not yet among messages */
	unsigned int unread;       /* messages in both lists */
	unsigned int unread_data;  /* of them, those with data left */
	unsigned int sending;
	unsigned int unanswered; /* of them, those that nobody waits for */
	bool close_later;        /* when unanswered is 0 */
	unsigned int credit;     /* messages read and not yet reported */
	bool crediting;
	wait_queue_head_t wait; /* for readers */

	struct list_head closing_link;
	struct wl_request close_request, credit_request;
	struct virtio_wl_vfd close;
	struct virtio_wl_credit credit_command;
};

/* Also when the driver is gone, when virtio_has_feature() has nobody to ask. */
static inline bool wl_has_feature(const struct wl_device *wl, unsigned int bit) {
	return __virtio_test_bit(wl->virtio, bit);
}

/* ---- virtio_wl.c ---- */

/* Lock held. Requests are sent by wl_run(). */
void wl_submit(struct wl_device *wl, struct wl_request *request);
/* Lock held: take back what the device is done with, send what waits. Unlock with wl_unlock() then. */
void wl_run(struct wl_device *wl);
/* Unlock, and tell the device if it has to be told. */
void wl_unlock(struct wl_device *wl) __releases(&wl->lock);
/*
 * Submit, run and wait for the answer: 0 when it came, or -EINTR when the task is killed, and the request
 * then belongs to its finish function.
 */
int wl_request_wait(struct wl_device *wl, struct wl_request *request);
/* The answer of a request, if it is type: 0; -errno what stands for an error. */
int wl_request_result(struct wl_device *wl, const struct wl_request *request, u32 type, unsigned int size);

struct wl_vfd *wl_vfd_create(struct wl_device *wl, gfp_t gfp);
void wl_vfd_put(struct wl_vfd *vfd);
/* Lock held: what the host says of it. 0 or -EPROTO. */
int wl_vfd_describe(struct wl_vfd *vfd, const struct virtio_wl_vfd_new *message);
/* Lock held: have the host close it, once all was sent, and what was received through it and not taken. */
void wl_vfd_close(struct wl_vfd *vfd);
/* Lock held: a send that nobody waits for is done. */
void wl_vfd_sent(struct wl_vfd *vfd);
/* Lock held: the host has none of that id. */
void wl_vfd_forget(struct wl_vfd *vfd);

/* ---- virtio_wl_vfd.c ---- */

/* A file that owns the vfd. 0 or -errno. */
int wl_vfd_open(struct wl_vfd *vfd, struct file **file);

/* ---- virtio_wl_new.c ---- */

extern const struct file_operations wl_device_fops;

#endif
