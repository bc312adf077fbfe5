/*
 * The file server: 9P2000.L over virtio-9p (virtio 1.2, section 5.9 reserves the type), one device a share.
 * Runs in the *files* worker. Frames are hostile; so are the names and the tree on the host, which
 * others may change while they are being served.
 */
#ifndef PH_FILES_H
#define PH_FILES_H

#include "ph/virtio.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How Linux should mount a share (beside trans=virtio,version=9p2000.L,msize=FILES_MSIZE):
 *
 * cache=loose for a tree that does not change for as long as the guest runs, or whose changes it may miss:
 * the read-only root. Everything is cached, and nothing asked twice.
 *
 * cache=mmap for a tree shared with the host, read-write: a home. Attributes, names of files, and that there
 * is none, are asked for at each use, so the host's changes are seen at once. Names of directories are good
 * for a second after they were last asked for (by a patch of ph's kernel; others ask for them, too, at each
 * use). A file's pages are cached while the guest has it open, as on NFS, so what the host writes into such a
 * file is seen after the next open, or when the guest takes a lock on it (by a patch of ph's kernel also
 * while others have it open); writes go back at the close, a lock, given up or taken, a question for the
 * size, or an fsync. Shared writable mappings work, which cache=none refuses (SQLite's write-ahead log needs
 * them).
 *
 * Both with locktimeout=1: who waits for a lock that the host holds is told after a second that it is still
 * taken, and Linux asks again after so many seconds, 30 unless told.
 *
 * Both with access=any: the files show their host owners, by which the guest's kernel judges its users, and
 * what the guest makes belongs to the caller of ph whoever made it; so one attach serves all users, and
 * access=user, the default, would only ask for one each. Root of the guest may do what the caller may. Set-id
 * bits are refused: mount with nosuid,nodev where the guest has no use for those that are there.
 */
#define FILES_TAG_MAX 32
#define FILES_MSIZE 512000

/* The ids guest .. guest + count - 1 of the guest's users and groups are host .. of the host's. */
#define FILES_IDS_MAX 16
struct files_ids {
	uint32_t guest, host, count;
};

struct files_share {
	char tag[FILES_TAG_MAX]; /* the mount tag */
	int root_fd;             /* O_PATH | O_DIRECTORY of the shared tree */
	bool read_only;
	bool private_locks; /* the guest's locks are its own: none is set on the host, nor asked for there */
	char **hide;        /* paths beneath the root, without a leading '/', that do not exist for the guest;
			       NULL-terminated or NULL */
	/* What the owners are to the guest, for root's ph; with it the share is mounted with access=user, and
	 * what a user of the guest makes is that user's. Nothing: see above. */
	struct files_ids ids[FILES_IDS_MAX];
	size_t id_count;
};

/* The share is copied (its root_fd duplicated). */
int files_create(struct virtio_device **device, const struct files_share *share);
void files_destroy(struct virtio_device *device);

#endif
