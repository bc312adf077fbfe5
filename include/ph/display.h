/*
 * virtio-wl (docs/virtio-wl.md): connections to sockets of the host, pipes, and memory that guest and host
 * share. Runs in the *display* worker. Commands are hostile; so is what the sockets' other ends send
 * along, descriptors among it.
 */
#ifndef PH_DISPLAY_H
#define PH_DISPLAY_H

#include "ph/virtio.h"

#define DISPLAY_SOCKETS_MAX 8
#define DISPLAY_NAME_SIZE 32

/* A socket that the guest may connect to. */
struct display_socket {
	char name[DISPLAY_NAME_SIZE]; /* NUL-padded; empty: the compositor's */
	char *path;
};

struct display_options {
	const struct display_socket *sockets; /* copied */
	unsigned socket_count;
	int window_fd;           /* for the calls of window.h; duplicated */
	uint64_t window_address; /* guest-physical */
	uint64_t window_size;
};

/* -errno, or 0 and a device for display_destroy(), which accepts NULL. */
int display_create(struct virtio_device **device, const struct display_options *options);
void display_destroy(struct virtio_device *device);
/* In the process that forked the device's server: let go of what only the server needs. */
void display_leave(struct virtio_device *device);

#endif
