/*
 * The file server: 9P2000.L over virtio-9p (virtio 1.2, section 5.9 reserves the type), one device a share.
 * Runs in the *files* worker. Frames are hostile; so are the names and the tree on the host, which
 * others may change while they are being served.
 */
#ifndef PH_FILES_H
#define PH_FILES_H

#include "ph/virtio.h"

#include <sys/types.h>

#define FILES_TAG_MAX 32
#define FILES_MSIZE 512000

struct files_share {
	char tag[FILES_TAG_MAX]; /* the mount tag */
	int root_fd;             /* O_PATH | O_DIRECTORY of the shared tree */
	bool read_only;
	char **hide; /* paths beneath the root, without a leading '/', that do not exist for the guest;
			NULL-terminated or NULL */
};

/* The share is copied (its root_fd duplicated). */
int files_create(struct virtio_device **device, const struct files_share *share);
void files_destroy(struct virtio_device *device);
/* The one descriptor, beside its eventfds, that the device has open before it starts: its worker must keep
 * it. */
int files_root_fd(const struct virtio_device *device);

#endif
