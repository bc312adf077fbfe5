/*
 * VFD_SEND: bytes and vfds from the guest to a connection or a pipe. Runs on the display's loop. Ids, kinds
 * and counts are the guest's; its bytes are passed on unread.
 */
#include "display/commands.h"
#include "display/device.h"
#include "display/filtered.h"

#include "ph/fd.h"

/* What a command sends along: borrowed descriptors, and whose they are. */
struct parcel {
	unsigned count;
	int fds[VIRTIO_WL_FDS_MAX];
	uint8_t kinds[VIRTIO_WL_FDS_MAX]; /* enum filter_fd */
	struct wl_vfd *vfds[VIRTIO_WL_FDS_MAX];
};

static uint32_t add(struct wl_device *device, struct parcel *parcel, uint32_t id) {
	struct wl_vfd *vfd = wl_vfd_find(device, id);
	if (vfd == NULL) {
		return VIRTIO_WL_RESP_INVALID_ID;
	}
	int fd = wl_vfd_sendable(vfd);
	if (fd < 0) {
		return VIRTIO_WL_RESP_INVALID_TYPE;
	}
	parcel->vfds[parcel->count] = vfd;
	parcel->kinds[parcel->count] = (uint8_t)wl_filtered_kind(vfd);
	parcel->fds[parcel->count++] = fd;
	return VIRTIO_WL_RESP_OK;
}

/* An element is an id, or (kind, id) with these sizes. There are no virtio-gpu objects here. */
static uint32_t pack(struct wl_command *command, size_t element_size, struct parcel *parcel) {
	uint32_t response = VIRTIO_WL_RESP_OK;
	uint64_t offset = sizeof(struct virtio_wl_transfer);
	for (uint32_t i = 0; i < command->body.transfer.vfd_count && response == VIRTIO_WL_RESP_OK; i++) {
		struct virtio_wl_foreign element = {0};
		uint32_t old[2] = {0};
		if (element_size == sizeof(element)) {
			virtqueue_chain_read(command->chain, offset, &element, sizeof(element));
		} else {
			virtqueue_chain_read(command->chain, offset, old, element_size);
			element.kind = element_size == sizeof(old) ? old[0] : VIRTIO_WL_FOREIGN_LOCAL;
			element.id = old[element_size / sizeof(old[0]) - 1];
		}
		offset += element_size;
		response = element.kind == VIRTIO_WL_FOREIGN_LOCAL ? add(command->device, parcel, element.id)
								   : VIRTIO_WL_RESP_INVALID_TYPE;
	}
	return response;
}

/* The far end of a pipe belongs to its receiver alone: else there would never be an end of file. */
static void part_with(const struct parcel *parcel) {
	for (unsigned i = 0; i < parcel->count; i++) {
		if (parcel->vfds[i]->kind == WL_PIPE) {
			fd_close(&parcel->vfds[i]->remote_fd);
		}
	}
}

static uint32_t send_parcel(struct wl_command *command, struct wl_vfd *vfd, size_t element_size) {
	struct parcel parcel;
	parcel.count = 0;
	uint64_t data =
		sizeof(struct virtio_wl_transfer) + (uint64_t)command->body.transfer.vfd_count * element_size;
	if (command->body.transfer.vfd_count > VIRTIO_WL_FDS_MAX || data > command->chain->readable_size) {
		return VIRTIO_WL_RESP_INVALID_CMD;
	}
	uint32_t response = pack(command, element_size, &parcel);
	if (response != VIRTIO_WL_RESP_OK) {
		return response;
	}
	if (!vfd->writable || (parcel.count > 0 && !vfd->takes_fds)) {
		return VIRTIO_WL_RESP_INVALID_TYPE;
	}
	if (vfd->broken || vfd->hung_up) {
		return VIRTIO_WL_RESP_ERR;
	}
	if (data == command->chain->readable_size) {
		/* Descriptors travel with a byte at least. */
		return parcel.count > 0 ? VIRTIO_WL_RESP_INVALID_TYPE : VIRTIO_WL_RESP_OK;
	}
	response = vfd->filter != NULL ? wl_output_send_filtered(vfd, command->chain, data, parcel.fds,
						 parcel.kinds, parcel.count, command->answer)
				       : wl_output_send(vfd, command->chain, data, parcel.fds, parcel.kinds,
						 parcel.count, command->answer);
	if (response == VIRTIO_WL_RESP_OK || response == WL_HELD) {
		part_with(&parcel);
	}
	return response;
}

static uint32_t send_elements(struct wl_command *command, size_t element_size) {
	struct wl_vfd *vfd = wl_vfd_find(command->device, command->body.transfer.vfd_id);
	if (vfd == NULL) {
		return VIRTIO_WL_RESP_INVALID_ID;
	}
	uint32_t response = send_parcel(command, vfd, element_size);
	if (!command->answer && response >= VIRTIO_WL_RESP_ERR) {
		wl_vfd_break(vfd); /* how else would the guest hear of it */
	}
	return response;
}

uint32_t wl_command_send(struct wl_command *command) {
	return send_elements(command, sizeof(uint32_t));
}

uint32_t wl_command_send_foreign(struct wl_command *command) {
	bool fences = wl_has_feature(command->device, VIRTIO_WL_F_SEND_FENCES);
	return send_elements(command, fences ? sizeof(struct virtio_wl_foreign) : 2 * sizeof(uint32_t));
}
