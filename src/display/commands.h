/* The commands of the guest's driver. */
#ifndef DISPLAY_COMMANDS_H
#define DISPLAY_COMMANDS_H

#include "display/vfd.h"

#include "ph/virtqueue.h"

struct wl_command {
	struct wl_device *device;
	const struct virtqueue_chain *chain;
	bool answer; /* the driver wants one */
	union {
		struct virtio_wl_header header;
		struct virtio_wl_vfd vfd;
		struct virtio_wl_vfd_new vfd_new;
		struct virtio_wl_transfer transfer;
		struct virtio_wl_credit credit;
		struct virtio_wl_dmabuf_sync sync;
	} body;                         /* copied; zero from where the command ends */
	struct virtio_wl_vfd_new reply; /* for RESP_VFD_NEW and RESP_VFD_NEW_DMABUF */
};

/* Execute the command: the type of its answer, or WL_HELD: it is answered later. */
uint32_t wl_command_execute(struct wl_command *command);
/* The new vfd that a command is for; NULL: *response tells why there is none. */
struct wl_vfd *wl_command_create_vfd(struct wl_command *command, enum wl_kind kind, uint32_t *response);
/* The answer when it was filled with this result: RESP_VFD_NEW, or that of the error, and the vfd is gone. */
uint32_t wl_command_created(struct wl_command *command, struct wl_vfd *vfd, int result);
/* The answer that tells of an error. */
uint32_t wl_response(int error);

/* send.c: VFD_SEND and VFD_SEND_FOREIGN_ID */
uint32_t wl_command_send(struct wl_command *command);
uint32_t wl_command_send_foreign(struct wl_command *command);

#endif
