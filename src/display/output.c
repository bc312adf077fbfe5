/*
 * Writing to streams without ever waiting for their receivers. Runs on the display's loop. What the guest
 * sends is only passed on; how slowly it is taken is up to somebody else.
 *
 * A receiver that is slow gets a queue: first copies, of commands that were answered already, as far as the
 * quotas reach; then commands that stay in the ring unanswered, their bytes in the guest's memory.
 */
#include "display/output.h"

#include "display/device.h"
#include "display/filtered.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wl_send {
	struct wl_send *next;
	int fds[VIRTIO_WL_FDS_MAX];
	uint8_t kinds[VIRTIO_WL_FDS_MAX]; /* enum filter_fd, of what is yet to be filtered */
	unsigned fd_count;                /* 0 once the first byte went */
	uint64_t memory;                  /* behind them, which counts as the VM's meanwhile */
	uint64_t offset;                  /* of the next byte, in the chain or in data */
	uint64_t left;                    /* bytes */
	size_t size;                      /* of a copy, all in all: what counts in the quotas */
	bool answer;
	struct virtqueue_chain *chain; /* of a held command, or NULL */
	uint8_t data[];
};

/* ---- writing ---- */

static ssize_t write_socket(
	int fd, const struct iovec *iov, unsigned iov_count, const int *fds, unsigned fd_count) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(VIRTIO_WL_FDS_MAX * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = iov_count};
	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Bytes written, or -errno. */
static ssize_t write_some(const struct wl_vfd *vfd, const struct iovec *iov, unsigned iov_count,
	const int *fds, unsigned fd_count) {
	ssize_t n;
	do {
		n = vfd->is_socket ? write_socket(vfd->fd, iov, iov_count, fds, fd_count)
				   : writev(vfd->fd, iov, (int)iov_count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t write_chain(const struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset,
	uint64_t left, const int *fds, unsigned fd_count) {
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	unsigned count = virtqueue_chain_slice(chain, false, offset, left, iov, VIRTQUEUE_SIZE_MAX);
	return write_some(vfd, iov, count, fds, fd_count);
}

static ssize_t write_send(const struct wl_vfd *vfd, struct wl_send *send) {
	if (send->chain != NULL) {
		return write_chain(vfd, send->chain, send->offset, send->left, send->fds, send->fd_count);
	}
	const struct iovec iov = {.iov_base = send->data + send->offset, .iov_len = send->left};
	return write_some(vfd, &iov, 1, send->fds, send->fd_count);
}

/* ---- the queue ---- */

static void discharge(const struct wl_vfd *vfd, struct wl_send *send) {
	vfd->device->screen.pool_bytes -= send->memory;
	send->memory = 0;
}

static void close_fds(const struct wl_vfd *vfd, struct wl_send *send) {
	for (unsigned i = 0; i < send->fd_count; i++) {
		fd_close(&send->fds[i]);
	}
	send->fd_count = 0;
	discharge(vfd, send);
}

/* The one that *at points to is done with; response 0 answers nothing. */
static void remove_send(struct wl_vfd *vfd, struct wl_send **at, uint32_t response) {
	struct wl_device *device = vfd->device;
	struct wl_output *output = &vfd->output;
	struct wl_send *send = *at;
	*at = send->next;
	if (output->passed == send) {
		output->passed = NULL; /* it was the first one, too */
	}
	if (send->chain != NULL) {
		output->held--;
		device->held--;
		if (response != WL_HELD) {
			wl_answer(device, send->chain, send->answer, response);
		}
		free(send->chain);
	}
	output->buffered -= send->size;
	device->buffered -= send->size;
	close_fds(vfd, send);
	free(send);
}

static void find_last(struct wl_output *output) {
	output->last = output->first;
	while (output->last != NULL && output->last->next != NULL) {
		output->last = output->last->next;
	}
}

static void append(struct wl_vfd *vfd, struct wl_send *send) {
	struct wl_output *output = &vfd->output;
	if (output->first == NULL) {
		output->first = send;
	} else {
		output->last->next = send;
	}
	output->last = send;
	output->held += send->chain != NULL;
	vfd->device->held += send->chain != NULL;
	output->buffered += send->size;
	vfd->device->buffered += send->size;
}

static bool has_room(const struct wl_vfd *vfd, uint64_t size) {
	return vfd->output.buffered + size <= WL_BUFFERED_MAX &&
	       vfd->device->buffered + size <= WL_BUFFERED_TOTAL_MAX;
}

/* The guest may close what it has of them, and neither the window nor any vfd counts their memory then. */
static bool copy_fds(const struct wl_vfd *vfd, struct wl_send *send, const int *fds, const uint8_t *kinds,
	unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = filter_memory_size(fds[i], kinds[i]);
		send->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (send->fds[i] >= 0) {
			send->kinds[send->fd_count++] = kinds[i];
		}
		if (send->fds[i] < 0 || !filter_charge(&vfd->device->screen, bytes)) {
			close_fds(vfd, send);
			return false;
		}
		send->memory += bytes;
	}
	return true;
}

static bool may_hold(const struct wl_vfd *vfd) {
	unsigned size = wl_out_queue(vfd->device)->size;
	return vfd->output.held < WL_HELD_MAX && vfd->device->held < size - size / WL_HELD_SPARED;
}

/* Keep what is left of a command, as a copy or in place. */
static struct wl_send *create_send(
	const struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset, uint64_t left) {
	bool copy = has_room(vfd, sizeof(struct wl_send) + left);
	if (!copy && !may_hold(vfd)) {
		return NULL;
	}
	struct wl_send *send = calloc(1, sizeof(*send) + (copy ? left : 0));
	if (send == NULL) {
		return NULL;
	}
	send->left = left;
	if (copy) {
		send->size = sizeof(*send) + left;
		virtqueue_chain_read(chain, offset, send->data, left);
		return send;
	}
	send->offset = offset;
	send->chain = malloc(sizeof(*send->chain));
	if (send->chain == NULL) {
		free(send);
		return NULL;
	}
	*send->chain = *chain;
	return send;
}

static uint32_t keep(struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset, uint64_t left,
	const int *fds, const uint8_t *kinds, unsigned fd_count, bool answer) {
	struct wl_send *send = create_send(vfd, chain, offset, left);
	if (send == NULL || !copy_fds(vfd, send, fds, kinds, fd_count)) {
		free(send != NULL ? send->chain : NULL);
		free(send);
		return VIRTIO_WL_RESP_OUT_OF_MEMORY;
	}
	send->answer = answer;
	append(vfd, send);
	wl_vfd_update(vfd);
	return send->chain != NULL ? WL_HELD : VIRTIO_WL_RESP_OK;
}

uint32_t wl_output_send(struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset,
	const int *fds, const uint8_t *kinds, unsigned fd_count, bool answer) {
	uint64_t left = chain->readable_size - offset;
	if (vfd->output.first != NULL) {
		return keep(vfd, chain, offset, left, fds, kinds, fd_count, answer);
	}
	ssize_t n = write_chain(vfd, chain, offset, left, fds, fd_count);
	if (n == (ssize_t)left) {
		return VIRTIO_WL_RESP_OK;
	}
	if (n < 0 && n != -EAGAIN) {
		return VIRTIO_WL_RESP_ERR;
	}
	if (n <= 0) {
		return keep(vfd, chain, offset, left, fds, kinds, fd_count, answer);
	}
	uint32_t response = keep(vfd, chain, offset + (uint64_t)n, left - (uint64_t)n, NULL, NULL, 0, answer);
	if (response == VIRTIO_WL_RESP_OUT_OF_MEMORY) {
		wl_vfd_break(vfd); /* the receiver has half of it */
	}
	return response;
}

/* ---- what is filtered: messages that passed, then commands that wait to be ---- */

static struct wl_send **first_held(struct wl_output *output) {
	return output->passed != NULL ? &output->passed->next : &output->first;
}

/* Others that are slow do not keep back one that is not. So what is held with nothing before it always goes
 * on, or the loop would run in circles, its receiver being ready. */
bool wl_output_has_room(const struct wl_vfd *vfd) {
	return vfd->output.buffered == 0 || (vfd->output.buffered < WL_BUFFERED_MAX / 2 &&
						    vfd->device->buffered < WL_BUFFERED_TOTAL_MAX / 2);
}

/* Keep what could not be written, with the descriptors unless they went. */
static int keep_passed(struct wl_vfd *vfd, struct wire_queue *queue, size_t written) {
	struct wl_output *output = &vfd->output;
	size_t left = wire_queue_size(queue) - written;
	struct wl_send *send = calloc(1, sizeof(*send) + left);
	if (send == NULL) {
		return -ENOMEM;
	}
	memcpy(send->data, wire_queue_data(queue) + written, left);
	send->left = left;
	send->size = sizeof(*send) + left;
	while (written == 0 && queue->fd_count > 0) {
		send->fds[send->fd_count++] = wire_queue_pop_fd(queue, NULL);
	}
	struct wl_send **at = first_held(output);
	send->next = *at;
	*at = send;
	output->passed = send;
	if (send->next == NULL) {
		output->last = send;
	}
	output->buffered += send->size;
	vfd->device->buffered += send->size;
	return 0;
}

int wl_output_write(struct wl_vfd *vfd, struct wire_queue *queue) {
	const struct iovec iov = {
		.iov_base = (void *)wire_queue_data(queue), .iov_len = wire_queue_size(queue)};
	bool waits = vfd->output.passed != NULL;
	ssize_t n = waits ? -EAGAIN : write_some(vfd, &iov, 1, queue->fds, queue->fd_count);
	int ret = n < 0 && n != -EAGAIN ? (int)n : 0;
	size_t written = n > 0 ? (size_t)n : 0;
	if (ret == 0 && written < iov.iov_len) {
		ret = keep_passed(vfd, queue, written);
	}
	while (queue->fd_count > 0) {
		close(wire_queue_pop_fd(queue, NULL));
	}
	wire_queue_consume(queue, iov.iov_len);
	return ret;
}

static uint32_t hold(struct wl_vfd *vfd, const struct wl_feed *feed, bool answer) {
	struct wl_send *send = NULL;
	if (may_hold(vfd)) {
		send = calloc(1, sizeof(*send));
	}
	if (send != NULL) {
		send->chain = malloc(sizeof(*send->chain));
	}
	if (send == NULL || send->chain == NULL ||
		!copy_fds(vfd, send, feed->fds, feed->kinds, feed->fd_count)) {
		free(send != NULL ? send->chain : NULL);
		free(send);
		return VIRTIO_WL_RESP_OUT_OF_MEMORY;
	}
	*send->chain = *feed->chain;
	send->offset = feed->offset;
	send->left = feed->left;
	send->answer = answer;
	append(vfd, send);
	wl_vfd_update(vfd);
	return WL_HELD;
}

uint32_t wl_output_send_filtered(struct wl_vfd *vfd, const struct virtqueue_chain *chain, uint64_t offset,
	int *fds, const uint8_t *kinds, unsigned fd_count, bool answer) {
	struct wl_feed feed = {.chain = chain,
		.offset = offset,
		.left = chain->readable_size - offset,
		.fds = fds,
		.kinds = kinds,
		.fd_count = fd_count};
	bool begins = vfd->output.held == 0 && !vfd->resting && wl_output_has_room(vfd);
	int ret = begins ? wl_filtered_feed(vfd, &feed) : 0;
	if (ret < 0) {
		return ret == -ENOMEM ? VIRTIO_WL_RESP_OUT_OF_MEMORY : VIRTIO_WL_RESP_ERR;
	}
	uint32_t response = feed.left == 0 ? VIRTIO_WL_RESP_OK : hold(vfd, &feed, answer);
	if (response == VIRTIO_WL_RESP_OUT_OF_MEMORY && begins) {
		wl_vfd_break(vfd); /* the receiver has half of it */
	} else {
		wl_vfd_update(vfd);
	}
	return response;
}

/* A part of the oldest command that waits; then it is others' turn. */
static void feed_held(struct wl_vfd *vfd) {
	struct wl_output *output = &vfd->output;
	struct wl_send *send = output->first;
	struct wl_feed feed = {.chain = send->chain,
		.offset = send->offset,
		.left = send->left,
		.fds = send->fds,
		.kinds = send->kinds,
		.fd_count = send->fd_count};
	discharge(vfd, send); /* the filter counts them from here on */
	int ret = wl_filtered_feed(vfd, &feed);
	if (ret < 0) {
		wl_vfd_break(vfd);
	}
	if (output->held == 0) {
		return; /* it is broken, and nothing waits any more */
	}
	close_fds(vfd, send);
	send->offset = feed.offset;
	send->left = feed.left;
	if (send->left == 0) {
		output->last = output->last == send ? output->passed : output->last;
		remove_send(vfd, first_held(output), VIRTIO_WL_RESP_OK);
	}
}

/* ---- flushing ---- */

bool wl_output_is_ready(const struct wl_vfd *vfd) {
	const struct wl_send *send = vfd->output.first;
	return send != NULL && !(vfd->resting && send->chain != NULL);
}

/* False when no more can be written now, or at all (-errno in *error). */
static bool flush_one(struct wl_vfd *vfd, int *error) {
	struct wl_send *send = vfd->output.first;
	if (vfd->filter != NULL && send->chain != NULL) {
		feed_held(vfd);
		return false;
	}
	ssize_t n = write_send(vfd, send);
	if (n < 0) {
		*error = n == -EAGAIN ? 0 : (int)n;
		return false;
	}
	if (n > 0) {
		close_fds(vfd, send);
	}
	send->offset += (uint64_t)n;
	send->left -= (uint64_t)n;
	if (send->left > 0) {
		return false;
	}
	remove_send(vfd, &vfd->output.first, VIRTIO_WL_RESP_OK);
	return true;
}

void wl_output_flush(struct wl_vfd *vfd) {
	int error = 0;
	while (wl_output_is_ready(vfd) && flush_one(vfd, &error)) {
	}
	virtqueue_signal(wl_out_queue(vfd->device));
	if (error < 0) {
		wl_output_drop(vfd, VIRTIO_WL_RESP_ERR);
	}
	if (vfd->lingering && vfd->output.first == NULL) {
		wl_vfd_destroy(vfd);
		return;
	}
	wl_vfd_update(vfd);
}

void wl_output_drop(struct wl_vfd *vfd, uint32_t response) {
	while (vfd->output.first != NULL) {
		remove_send(vfd, &vfd->output.first, response);
	}
	if (response != WL_HELD) {
		virtqueue_signal(wl_out_queue(vfd->device));
	}
}

void wl_output_drop_held(struct wl_vfd *vfd, uint32_t response) {
	struct wl_send **at = &vfd->output.first;
	while (*at != NULL) {
		if ((*at)->chain != NULL) {
			remove_send(vfd, at, response);
		} else {
			at = &(*at)->next;
		}
	}
	find_last(&vfd->output);
}
