/*
 * The commands of virtio-wl. Runs on the display's loop. All of a command is hostile; the one copy of its
 * fixed part that is made is what is checked and used.
 */
#include "display/commands.h"

#include "display/device.h"
#include "display/dmabuf.h"
#include "display/door.h"
#include "display/filtered.h"
#include "display/memory.h"
#include "display/pages.h"

#include "ph/connector.h"
#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

uint32_t wl_response(int error) {
	switch (error) {
	case -ENOMEM:
	case -ENOSPC:
	case -EMFILE:
	case -ENFILE:
	case -EFBIG:
		return VIRTIO_WL_RESP_OUT_OF_MEMORY;
	default:
		return VIRTIO_WL_RESP_ERR;
	}
}

struct wl_vfd *wl_command_create_vfd(struct wl_command *command, enum wl_kind kind, uint32_t *response) {
	uint32_t id = command->body.vfd_new.vfd_id;
	if (id == 0) { /* which would mean that the host is to choose one */
		*response = VIRTIO_WL_RESP_INVALID_ID;
		return NULL;
	}
	return wl_vfd_create(command->device, id, kind, response);
}

uint32_t wl_command_created(struct wl_command *command, struct wl_vfd *vfd, int result) {
	if (result < 0) {
		wl_vfd_destroy(vfd);
		return wl_response(result);
	}
	command->reply = wl_vfd_describe(vfd, VIRTIO_WL_RESP_VFD_NEW);
	return VIRTIO_WL_RESP_VFD_NEW;
}

/* ---- memory ---- */

static uint32_t new_memory(struct wl_command *command) {
	uint32_t response;
	const uint64_t page = WINDOW_PAGE;
	uint64_t size = ((uint64_t)command->body.vfd_new.size + page - 1) / page * page;
	if (size == 0) {
		return VIRTIO_WL_RESP_ERR;
	}
	struct wl_vfd *vfd = wl_command_create_vfd(command, WL_MEMORY, &response);
	if (vfd == NULL) {
		return response;
	}
	return wl_command_created(command, vfd, wl_memory_allocate(vfd, size));
}

/* ---- connections ---- */

static const struct display_socket *find_socket(const struct wl_device *device, const char *name) {
	for (unsigned i = 0; i < device->socket_count; i++) {
		if (strncmp(device->sockets[i].name, name, DISPLAY_NAME_SIZE) == 0) {
			return &device->sockets[i];
		}
	}
	return NULL;
}

/* The connector knows the sockets by the same numbers. */
static int ask(struct wl_vfd *vfd, const struct display_socket *target) {
	const struct wl_device *device = vfd->device;
	vfd->fd = connector_connect(device->connector, (unsigned)(target - device->sockets));
	return vfd->fd < 0 ? vfd->fd : 0;
}

static int connect_to(struct wl_vfd *vfd, const struct display_socket *target) {
	int ret = target->has_door ? wl_door_enter(vfd, target->door) : ask(vfd, target);
	if (ret < 0) {
		return ret;
	}
	vfd->is_socket = vfd->readable = vfd->writable = true;
	/* In ph's own processes nobody wants any, and those on their way count as the user's. */
	vfd->takes_fds = !target->has_door;
	ret = target->filtered ? wl_filtered_open(vfd) : 0;
	return ret < 0 ? ret : wl_vfd_watch(vfd);
}

static uint32_t new_context(struct wl_command *command, const char *name) {
	uint32_t response;
	const struct display_socket *target = find_socket(command->device, name);
	if (target == NULL) {
		return VIRTIO_WL_RESP_ERR;
	}
	struct wl_vfd *vfd = wl_command_create_vfd(command, WL_CONTEXT, &response);
	if (vfd == NULL) {
		return response;
	}
	return wl_command_created(command, vfd, connect_to(vfd, target));
}

static uint32_t new_default_context(struct wl_command *command) {
	return new_context(command, "");
}

static uint32_t new_named_context(struct wl_command *command) {
	return new_context(command, command->body.vfd_new.name);
}

/* ---- pipes ---- */

/* The end that is sent away waits for its reader or writer as pipes do; ours never. */
static int open_pipe(struct wl_vfd *vfd) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	vfd->fd = ends[vfd->readable ? 0 : 1];
	vfd->remote_fd = ends[vfd->readable ? 1 : 0];
	if (fcntl(vfd->fd, F_SETFL, O_NONBLOCK) < 0) {
		return -errno;
	}
	return wl_vfd_watch(vfd);
}

static uint32_t new_pipe(struct wl_command *command) {
	uint32_t response, flags = command->body.vfd_new.flags;
	if (flags != VIRTIO_WL_VFD_READ && flags != VIRTIO_WL_VFD_WRITE) {
		return VIRTIO_WL_RESP_INVALID_FLAGS;
	}
	struct wl_vfd *vfd = wl_command_create_vfd(command, WL_PIPE, &response);
	if (vfd == NULL) {
		return response;
	}
	vfd->readable = flags == VIRTIO_WL_VFD_READ;
	vfd->writable = !vfd->readable;
	return wl_command_created(command, vfd, open_pipe(vfd));
}

/* ---- the rest ---- */

static uint32_t close_vfd(struct wl_command *command) {
	struct wl_vfd *vfd = wl_vfd_find(command->device, command->body.vfd.vfd_id);
	if (vfd == NULL) {
		return VIRTIO_WL_RESP_INVALID_ID;
	}
	wl_vfd_close(vfd);
	return VIRTIO_WL_RESP_OK;
}

static uint32_t add_credit(struct wl_command *command) {
	const struct virtio_wl_credit *credit = &command->body.credit;
	if (!wl_has_feature(command->device, VIRTIO_WL_F_RECV_CREDIT)) {
		return VIRTIO_WL_RESP_INVALID_CMD;
	}
	struct wl_vfd *vfd = wl_vfd_find(command->device, credit->vfd_id);
	if (vfd == NULL) {
		return VIRTIO_WL_RESP_INVALID_ID;
	}
	if (credit->messages > VIRTIO_WL_RECV_CREDIT - vfd->credit) {
		return VIRTIO_WL_RESP_INVALID_FLAGS; /* more than it ever got */
	}
	vfd->credit += credit->messages;
	if (vfd->readable) {
		wl_vfd_continue(vfd);
	}
	return VIRTIO_WL_RESP_OK;
}

static const struct {
	uint32_t type;
	size_t minimum; /* bytes */
	uint32_t (*execute)(struct wl_command *command);
} commands[] = {
	{VIRTIO_WL_CMD_VFD_NEW, offsetof(struct virtio_wl_vfd_new, dmabuf), new_memory},
	{VIRTIO_WL_CMD_VFD_CLOSE, sizeof(struct virtio_wl_vfd), close_vfd},
	{VIRTIO_WL_CMD_VFD_SEND, sizeof(struct virtio_wl_transfer), wl_command_send},
	{VIRTIO_WL_CMD_VFD_NEW_CTX, sizeof(struct virtio_wl_vfd), new_default_context},
	{VIRTIO_WL_CMD_VFD_NEW_PIPE, offsetof(struct virtio_wl_vfd_new, pfn), new_pipe},
	{VIRTIO_WL_CMD_VFD_NEW_DMABUF, offsetof(struct virtio_wl_vfd_new, dmabuf.stride),
		wl_command_new_dmabuf},
	{VIRTIO_WL_CMD_VFD_DMABUF_SYNC, sizeof(struct virtio_wl_dmabuf_sync), wl_command_sync},
	{VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, sizeof(struct virtio_wl_transfer), wl_command_send_foreign},
	{VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, offsetof(struct virtio_wl_vfd_new, name) + VIRTIO_WL_NAME_SIZE,
		new_named_context},
	{VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES, sizeof(struct virtio_wl_vfd_new_guest_pages),
		wl_command_new_guest_pages},
	{VIRTIO_WL_CMD_VFD_CREDIT, sizeof(struct virtio_wl_credit), add_credit},
};

uint32_t wl_command_execute(struct wl_command *command) {
	memset(&command->body, 0, sizeof(command->body));
	size_t len = virtqueue_chain_read(command->chain, 0, &command->body, sizeof(command->body));
	command->answer = !wl_has_feature(command->device, VIRTIO_WL_F_NO_ANSWER) ||
			  (command->body.header.flags & VIRTIO_WL_FLAG_NO_ANSWER) == 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].type == command->body.header.type && len >= commands[i].minimum) {
			return commands[i].execute(command);
		}
	}
	return VIRTIO_WL_RESP_INVALID_CMD;
}
