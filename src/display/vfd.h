/* vfds: what the guest has of the host's, each under an id that one of the two chose. */
#ifndef DISPLAY_VFD_H
#define DISPLAY_VFD_H

#include "display/output.h"

#include "ph/loop.h"
#include "ph/wl_wire.h"

struct wl_device;
struct filter;

enum wl_kind {
	WL_CONTEXT, /* a connection */
	WL_PIPE,    /* bytes without descriptors: a pipe's end, or somebody else's socket */
	WL_MEMORY,  /* a memfd */
	WL_DMABUF,
	WL_FENCE,  /* a sync file */
	WL_OPAQUE, /* good for nothing but being sent on */
	WL_KINDS,
};

struct wl_vfd {
	struct wl_device *device;
	struct wl_vfd *next; /* in its bucket, or of the lingering ones */
	struct wl_vfd *next_paused, *next_resting;
	uint32_t id;
	enum wl_kind kind;
	int fd;        /* the host's; -1: a stream that is over */
	int remote_fd; /* the other end of a pipe the guest made, until it was sent; or -1 */
	bool is_socket;
	bool readable, writable; /* by the guest, as a stream */
	bool takes_fds;          /* what the guest sends there may bring descriptors */
	bool announced;          /* the guest knows of it */
	bool lingering;
	bool broken;  /* of no use any more; the guest is to be told */
	bool hung_up; /* nothing more comes, and the guest will be told or was */
	bool paused;
	bool resting;    /* what it has for the compositor waits for its time */
	uint32_t credit; /* messages the guest may still be sent */

	struct loop_source source;
	uint32_t events; /* that the source is watched for */
	struct wl_output output;
	struct filter *filter; /* of a connection to the compositor; or NULL */

	uint64_t size; /* of the memory, 0: none */
	bool mapped, read_only;
	uint64_t offset, mapped_size; /* in the window */
	uint64_t page_bytes;          /* of guest RAM that this is made of */
};

/*
 * A new vfd with the guest's id, or with the next of the host's ids for id 0. *response tells what is wrong
 * when there is none. The descriptors are the caller's to set.
 */
struct wl_vfd *wl_vfd_create(struct wl_device *device, uint32_t id, enum wl_kind kind, uint32_t *response);
/* It is of another kind, after all. */
void wl_vfd_set_kind(struct wl_vfd *vfd, enum wl_kind kind);
/* Without further ado: what waits in its output is dropped. */
void wl_vfd_destroy(struct wl_vfd *vfd);
/* The guest closes it. What it was told is sent will still be. */
void wl_vfd_close(struct wl_vfd *vfd);
void wl_vfds_destroy_all(struct wl_device *device);

/* By an id from the guest; NULL when the guest has no such vfd. */
struct wl_vfd *wl_vfd_find(struct wl_device *device, uint32_t id);

/* One that the guest did not know until now. */
struct wl_vfd *wl_vfd_introduce(struct wl_device *device, uint32_t id);

/* Begin to watch the descriptor of a stream or a fence. 0 or -errno. */
int wl_vfd_watch(struct wl_vfd *vfd);
/* Whether anything may be made of what comes from the host. */
bool wl_vfd_listens(const struct wl_vfd *vfd);
/* Watch for what is of interest now. A stream that is over, with nothing left to be written, is let go of. */
void wl_vfd_update(struct wl_vfd *vfd);
/* The stream is of no use any more: it will hang up. */
void wl_vfd_break(struct wl_vfd *vfd);
/* Something that passed the filter waits for the guest: send as much as it takes now. */
void wl_vfd_continue(struct wl_vfd *vfd);
/* It has something for the guest, but the inbox is taken. */
void wl_vfd_pause(struct wl_vfd *vfd);
/* The inbox is free again. */
void wl_vfds_resume(struct wl_device *device);

/* The description that a VFD_NEW or an answer carries. */
struct virtio_wl_vfd_new wl_vfd_describe(const struct wl_vfd *vfd, uint32_t type);

/* What to pass on when the guest sends this vfd; -1: it cannot be sent. */
int wl_vfd_sendable(const struct wl_vfd *vfd);

#endif
