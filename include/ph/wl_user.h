/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What /dev/wl0 of the guest offers its programs. Numbers and layouts are those of ChromiumOS's driver, so
 * that its clients run unmodified; ph's own ioctls count from 0x10. docs/virtio-wl.md describes the
 * behaviour.
 */
#ifndef PH_WL_USER_H
#define PH_WL_USER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VIRTWL_SEND_MAX_ALLOCS 28

enum virtwl_ioctl_new_type {
	VIRTWL_IOCTL_NEW_CTX = 0,        /* a connection to the host's compositor */
	VIRTWL_IOCTL_NEW_ALLOC = 1,      /* memory that both sides map */
	VIRTWL_IOCTL_NEW_PIPE_READ = 2,  /* the guest reads, who gets the vfd sent writes */
	VIRTWL_IOCTL_NEW_PIPE_WRITE = 3, /* the other way round */
	VIRTWL_IOCTL_NEW_DMABUF = 4,     /* memory that the host's GPU can use */
	VIRTWL_IOCTL_NEW_CTX_NAMED = 5,  /* a connection to another of the host's sockets */
};

/* The first 16 bytes alone are accepted for all types but NEW_DMABUF and NEW_CTX_NAMED. */
struct virtwl_ioctl_new {
	__u32 type;
	__s32 fd;    /* out: close-on-exec */
	__u32 flags; /* 0 */
	union {
		__u32 size; /* NEW_ALLOC */
		struct {
			__u32 width, height, format;
			__u32 stride0, stride1, stride2; /* out */
			__u32 offset0, offset1, offset2; /* out */
		} dmabuf;
		char name[32]; /* NUL-padded */
	};
};

/* SEND: fds ends at the first negative one. RECV: len is the room in data, then what came; unused fds are -1.
 */
struct virtwl_ioctl_txn {
	__s32 fds[VIRTWL_SEND_MAX_ALLOCS];
	__u32 len;
	__u8 data[];
};

struct virtwl_ioctl_dmabuf_sync {
	__u32 flags; /* as of DMA_BUF_IOCTL_SYNC */
};

/* Wrap part of a memfd, as it is now, in a dma-buf of the host, without a copy. */
struct virtwl_ioctl_new_guest_pages {
	__s32 memfd;        /* open for reading and writing, not sealed against writing */
	__s32 fd;           /* out: close-on-exec; holds the pages until it is closed */
	__u64 offset, size; /* multiples of the page size */
	__u32 flags;        /* 0 */
	__u32 padding;      /* 0 */
};

/* What a vfd is */
#define VIRTWL_INFO_READ 0x1       /* the guest may read */
#define VIRTWL_INFO_WRITE 0x2      /* the guest may write */
#define VIRTWL_INFO_MEMORY 0x4     /* has memory to map */
#define VIRTWL_INFO_READ_ONLY 0x8  /* which cannot be mapped shared and writable */
#define VIRTWL_INFO_DMABUF 0x10    /* and is a dma-buf */
#define VIRTWL_INFO_FENCE 0x20     /* hangs up when signalled */
#define VIRTWL_INFO_FROM_HOST 0x40 /* was received */
struct virtwl_ioctl_info {
	__u32 flags;
	__u32 padding;
	__u64 size; /* of the memory */
};

#define VIRTWL_IOCTL_BASE 'w'
/* On /dev/wl0 */
#define VIRTWL_IOCTL_NEW _IOWR(VIRTWL_IOCTL_BASE, 0x00, struct virtwl_ioctl_new)
/* ENOTTY where the host has no way */
#define VIRTWL_IOCTL_NEW_GUEST_PAGES _IOWR(VIRTWL_IOCTL_BASE, 0x10, struct virtwl_ioctl_new_guest_pages)
/* On a vfd. The directions of the first three look backwards, and stay so. */
#define VIRTWL_IOCTL_SEND _IOR(VIRTWL_IOCTL_BASE, 0x01, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_RECV _IOW(VIRTWL_IOCTL_BASE, 0x02, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_DMABUF_SYNC _IOR(VIRTWL_IOCTL_BASE, 0x03, struct virtwl_ioctl_dmabuf_sync)
#define VIRTWL_IOCTL_INFO _IOR(VIRTWL_IOCTL_BASE, 0x11, struct virtwl_ioctl_info)

#endif
