/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * virtio-wl on the wire: what the guest's driver (src/guest/kernel) and the host's device (src/display) say
 * to each other. Included by both, so nothing but linux/types.h is used. All integers are little-endian.
 *
 * Queue 0 (in): the driver posts buffers of VIRTIO_WL_IN_BUFFER_SIZE bytes, the device fills each with one
 * VFD_NEW, VFD_RECV or VFD_HUP and returns it with its exact length. Queue 1 (out): commands. A command's
 * chain is a readable part with the command and a writable part for the answer, which may be the same memory.
 * The device reads all before it writes; it tolerates commands shorter (down to the fields it needs) and
 * longer than their structs. Without the bits from 16 on it behaves as ChromiumOS's devices do.
 *
 * Ids in a command are resolved in the order of the queue. Answers may come in any order: the answer to a
 * VFD_SEND may be held back until the receiver took data, and other vfds must not notice.
 */
#ifndef PH_WL_WIRE_H
#define PH_WL_WIRE_H

#include <linux/types.h>

#define VIRTIO_WL_ID 63
#define VIRTIO_WL_QUEUE_IN 0
#define VIRTIO_WL_QUEUE_OUT 1
#define VIRTIO_WL_QUEUE_COUNT 2
#define VIRTIO_WL_SHM_REGION 0 /* id of the shared memory region: the window of vfds' memory */

/* ---- feature bits ---- */

#define VIRTIO_WL_F_TRANS_FLAGS 1 /* vfd flags READ and WRITE instead of MAP and CONTROL */
#define VIRTIO_WL_F_SEND_FENCES 2 /* VFD_SEND_FOREIGN_ID has 16-byte elements; vfds may be fences */
#define VIRTIO_WL_F_USE_SHMEM 3   /* pfns count from the start of the region; region length >> 12 is "none" */
/* ph's own */
/*
 * A VFD_SEND or VFD_CREDIT with VIRTIO_WL_FLAG_NO_ANSWER has no writable part. The device returns the chain
 * with length 0 once it has taken the data, which it may hold back as an answer. When it cannot send:
 * VFD_HUP.
 */
#define VIRTIO_WL_F_NO_ANSWER 16
#define VIRTIO_WL_F_GUEST_PAGES 17 /* VFD_NEW_GUEST_PAGES */
#define VIRTIO_WL_F_MAP_INFO 18    /* vfd flags MAP_READ_ONLY and DMABUF */
/*
 * The device has at most VIRTIO_WL_RECV_CREDIT messages (VFD_RECV) per vfd on their way; VFD_CREDIT adds to
 * them. With none left it does not read from that vfd's source, so one slow reader in the guest stalls only
 * itself.
 */
#define VIRTIO_WL_F_RECV_CREDIT 19

/* ---- message types ---- */

#define VIRTIO_WL_CMD_VFD_NEW \
	0x100 /* to the host: allocate memory; to the guest: a vfd that the next RECV carries */
#define VIRTIO_WL_CMD_VFD_CLOSE \
	0x101 /* answered when all is released; no message of that id comes after the answer */
#define VIRTIO_WL_CMD_VFD_SEND 0x102
#define VIRTIO_WL_CMD_VFD_RECV 0x103 /* to the guest */
#define VIRTIO_WL_CMD_VFD_NEW_CTX 0x104
#define VIRTIO_WL_CMD_VFD_NEW_PIPE 0x105
#define VIRTIO_WL_CMD_VFD_HUP 0x106 /* to the guest, at most once per vfd */
#define VIRTIO_WL_CMD_VFD_NEW_DMABUF 0x107
#define VIRTIO_WL_CMD_VFD_DMABUF_SYNC 0x108
#define VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID 0x109
#define VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED 0x10a
/* ph's own */
#define VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES 0x180
#define VIRTIO_WL_CMD_VFD_CREDIT 0x181

#define VIRTIO_WL_RESP_OK 0x1000
#define VIRTIO_WL_RESP_VFD_NEW 0x1001
#define VIRTIO_WL_RESP_VFD_NEW_DMABUF 0x1002
#define VIRTIO_WL_RESP_ERR 0x1100
#define VIRTIO_WL_RESP_OUT_OF_MEMORY 0x1101
#define VIRTIO_WL_RESP_INVALID_ID 0x1102
#define VIRTIO_WL_RESP_INVALID_TYPE 0x1103
#define VIRTIO_WL_RESP_INVALID_FLAGS 0x1104
#define VIRTIO_WL_RESP_INVALID_CMD 0x1105

/* ---- limits ---- */

#define VIRTIO_WL_IN_BUFFER_SIZE 4096
#define VIRTIO_WL_FDS_MAX 28         /* vfds in one VFD_SEND or VFD_RECV */
#define VIRTIO_WL_RECV_DATA_MAX 3968 /* in a buffer beside FDS_MAX ids */
#define VIRTIO_WL_RECV_CREDIT 64
#define VIRTIO_WL_NAME_SIZE 32
#define VIRTIO_WL_PAGE_RANGES_MAX 8192 /* in one VFD_NEW_GUEST_PAGES */
#define VIRTIO_WL_FIRST_GUEST_ID 1
#define VIRTIO_WL_LAST_GUEST_ID 0x7ff
#define VIRTIO_WL_FIRST_HOST_ID 0x40000000 /* ids of vfds that the host made have this bit */

/* ---- vfd flags ---- */

#define VIRTIO_WL_VFD_WRITE 0x1   /* the guest may write */
#define VIRTIO_WL_VFD_READ 0x2    /* the guest may read (with TRANS_FLAGS) */
#define VIRTIO_WL_VFD_MAP 0x2     /* has memory (without) */
#define VIRTIO_WL_VFD_CONTROL 0x4 /* carries messages (without) */
#define VIRTIO_WL_VFD_FENCE 0x8   /* a sync file: hangs up when signalled */
/* with MAP_INFO */
#define VIRTIO_WL_VFD_MAP_READ_ONLY 0x100 /* the memory must not be mapped writable */
#define VIRTIO_WL_VFD_DMABUF 0x200        /* the memory is a dma-buf */

/* ---- messages ---- */

#define VIRTIO_WL_FLAG_NO_ANSWER 0x1 /* in virtio_wl_header.flags, with F_NO_ANSWER */

struct virtio_wl_header {
	__le32 type;
	__le32 flags; /* 0 */
};

/* VFD_CLOSE, VFD_HUP */
struct virtio_wl_vfd {
	struct virtio_wl_header header;
	__le32 vfd_id;
};

/* VFD_NEW, _NEW_CTX, _NEW_CTX_NAMED, _NEW_PIPE, _NEW_DMABUF and the answers */
struct virtio_wl_vfd_new {
	struct virtio_wl_header header;
	__le32 vfd_id;
	__le32 flags; /* to the host: 0, but VFD_READ or VFD_WRITE for a pipe */
	__le64 pfn;
	__le32 size;
	union {
		struct {
			__le32 width, height, format;
			__le32 stride[3], offset[3];
		} dmabuf;
		char name[VIRTIO_WL_NAME_SIZE];
	};
};

/* VFD_SEND, VFD_RECV: then vfd_count ids, then data up to the end */
struct virtio_wl_transfer {
	struct virtio_wl_header header;
	__le32 vfd_id;
	__le32 vfd_count;
};

/* An element of VFD_SEND_FOREIGN_ID with SEND_FENCES; without, kind and id take 8 bytes. */
#define VIRTIO_WL_FOREIGN_LOCAL 0
#define VIRTIO_WL_FOREIGN_VIRTGPU 1
#define VIRTIO_WL_FOREIGN_VIRTGPU_FENCE 2
#define VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE 3
struct virtio_wl_foreign {
	__le32 kind;
	__le32 padding;
	union {
		__le32 id;
		__le64 seqno;
	};
};

struct virtio_wl_dmabuf_sync {
	struct virtio_wl_header header;
	__le32 vfd_id;
	__le32 flags; /* as of DMA_BUF_IOCTL_SYNC: 1 read, 2 write, 4 end */
};

/*
 * VFD_NEW_GUEST_PAGES: wrap these pages of guest memory, in this order, in one dma-buf. Addresses and lengths
 * are multiples of 4096. The answer is a RESP_VFD_NEW without memory, or INVALID_CMD where the host cannot.
 * The guest leaves the pages in place until VFD_CLOSE is answered.
 */
struct virtio_wl_page_range {
	__le64 address;
	__le64 length;
};
struct virtio_wl_vfd_new_guest_pages {
	struct virtio_wl_header header;
	__le32 vfd_id;
	__le32 range_count;
	struct virtio_wl_page_range ranges[]; /* the answer, 64 bytes long, goes to memory of its own */
};

/* VFD_CREDIT: the guest's readers took this many more messages of the vfd. */
struct virtio_wl_credit {
	struct virtio_wl_header header;
	__le32 vfd_id;
	__le32 messages;
};

#endif
