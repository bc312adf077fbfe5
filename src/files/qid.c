/*
 * Qids (see qid.h). On any thread, under a lock of their own. Devices come in few, and so do values of their
 * inodes' top byte (overlayfs and other servers of 9p have a few): an index of the two in the top byte and
 * the rest of the inode beneath it tell all files apart. Those beyond the table get numbers counted up in a
 * hash table.
 */
#include "files/qid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INODE_BITS 56
#define INODE_MASK ((UINT64_C(1) << INODE_BITS) - 1)
#define COUNTED ((uint64_t)P9_QID_DEVICES << INODE_BITS) /* the index that no device has */
#define ENTRIES_MAX (1u << 20)

struct p9_qid_entry {
	struct p9_qid_entry *next;
	struct p9_identity identity;
	uint64_t path;
};

void p9_qids_init(struct p9_qids *qids) {
	memset(qids, 0, sizeof(*qids));
	pthread_mutex_init(&qids->lock, NULL);
}

void p9_qids_finish(struct p9_qids *qids) {
	for (size_t i = 0; i < qids->bucket_count; i++) {
		for (struct p9_qid_entry *entry = qids->buckets[i], *next; entry != NULL; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(qids->buckets);
	pthread_mutex_destroy(&qids->lock);
	memset(qids, 0, sizeof(*qids));
}

static int device_index(struct p9_qids *qids, struct p9_identity identity) {
	identity.inode >>= INODE_BITS;
	for (unsigned i = 0; i < qids->device_count; i++) {
		if (p9_identity_equal(qids->devices[i], identity)) {
			return (int)i;
		}
	}
	if (qids->device_count == P9_QID_DEVICES) {
		return -1;
	}
	qids->devices[qids->device_count] = identity;
	return (int)qids->device_count++;
}

static struct p9_qid_entry **bucket_of(struct p9_qids *qids, struct p9_identity identity) {
	uint64_t hash = (identity.inode ^ identity.device << 32) * UINT64_C(0x9e3779b97f4a7c15);
	return &qids->buckets[hash >> 32 & (qids->bucket_count - 1)];
}

static int grow(struct p9_qids *qids) {
	size_t old_count = qids->bucket_count, count = old_count == 0 ? 64 : old_count * 2;
	struct p9_qid_entry **old = qids->buckets, **buckets = calloc(count, sizeof(*buckets));
	if (buckets == NULL) {
		return -ENOMEM;
	}
	qids->buckets = buckets;
	qids->bucket_count = count;
	for (size_t i = 0; i < old_count; i++) {
		for (struct p9_qid_entry *entry = old[i], *next; entry != NULL; entry = next) {
			next = entry->next;
			struct p9_qid_entry **bucket = bucket_of(qids, entry->identity);
			entry->next = *bucket;
			*bucket = entry;
		}
	}
	free(old);
	return 0;
}

static int counted_path(struct p9_qids *qids, struct p9_identity identity, uint64_t *path) {
	if (qids->entry_count >= qids->bucket_count && grow(qids) < 0) {
		return -ENOMEM;
	}
	struct p9_qid_entry **bucket = bucket_of(qids, identity);
	for (struct p9_qid_entry *entry = *bucket; entry != NULL; entry = entry->next) {
		if (p9_identity_equal(entry->identity, identity)) {
			*path = entry->path;
			return 0;
		}
	}
	struct p9_qid_entry *entry = qids->entry_count < ENTRIES_MAX ? malloc(sizeof(*entry)) : NULL;
	if (entry == NULL) {
		return -ENOMEM;
	}
	*entry = (struct p9_qid_entry){
		.next = *bucket, .identity = identity, .path = COUNTED | ++qids->entry_count};
	*bucket = entry;
	*path = entry->path;
	return 0;
}

int p9_qids_path(struct p9_qids *qids, struct p9_identity identity, uint64_t *path) {
	int ret = 0;
	pthread_mutex_lock(&qids->lock);
	int index = device_index(qids, identity);
	if (index >= 0) {
		*path = (uint64_t)index << INODE_BITS | (identity.inode & INODE_MASK);
	} else {
		ret = counted_path(qids, identity, path);
	}
	pthread_mutex_unlock(&qids->lock);
	return ret;
}

static uint32_t version_of(const struct statx *stat) {
	uint64_t hash = (uint64_t)stat->stx_mtime.tv_sec * 1000000007u + stat->stx_mtime.tv_nsec;
	hash = hash * 1000000007u + (uint64_t)stat->stx_ctime.tv_sec;
	hash = hash * 1000000007u + stat->stx_ctime.tv_nsec;
	hash = (hash ^ stat->stx_size) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t version = (uint32_t)(hash >> 32);
	return version != 0 ? version : 1;
}

int p9_qids_make(struct p9_qids *qids, const struct statx *stat, struct p9_qid *qid) {
	qid->type = S_ISDIR(stat->stx_mode)   ? P9_QID_DIR
		    : S_ISLNK(stat->stx_mode) ? P9_QID_SYMLINK
					      : P9_QID_FILE;
	qid->version = version_of(stat);
	return p9_qids_path(qids, p9_identity_of(stat), &qid->path);
}
