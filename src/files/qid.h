/*
 * Qids: one 64-bit number for each (device, inode) of the share, never the same for two.
 */
#ifndef FILES_QID_H
#define FILES_QID_H

#include "files/host.h"
#include "files/wire.h"

#include <pthread.h>

#define P9_QID_DEVICES 255

struct p9_qid_entry;

struct p9_qids {
	pthread_mutex_t lock;
	unsigned device_count;
	struct p9_identity devices[P9_QID_DEVICES]; /* with the inodes' top byte */
	/* for what does not fit the scheme of index and inode */
	struct p9_qid_entry **buckets;
	size_t bucket_count, entry_count;
};

void p9_qids_init(struct p9_qids *qids);
void p9_qids_finish(struct p9_qids *qids);

/* The path for an identity. 0, or -ENOMEM. */
int p9_qids_path(struct p9_qids *qids, struct p9_identity identity, uint64_t *path);
/* The whole qid: its version changes when the file does, and is never 0, which tells Linux not to cache. */
int p9_qids_make(struct p9_qids *qids, const struct statx *stat, struct p9_qid *qid);

#endif
