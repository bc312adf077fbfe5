/*
 * The table of fids (see fid.h). Runs on the share's threads. Numbers are the guest's; how many it
 * may have is bounded, and using one that it has not given a meaning to is its error.
 */
#include "files/fid.h"

#include "files/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int p9_fids_init(struct p9_fids *fids) {
	*fids = (struct p9_fids){.bucket_count = 256};
	pthread_mutex_init(&fids->lock, NULL);
	fids->buckets = calloc(fids->bucket_count, sizeof(struct p9_fid *));
	if (fids->buckets == NULL) {
		p9_fids_finish(fids);
		return -ENOMEM;
	}
	return 0;
}

void p9_fids_finish(struct p9_fids *fids) {
	if (fids->bucket_count == 0) {
		return;
	}
	free(fids->buckets);
	pthread_mutex_destroy(&fids->lock);
	*fids = (struct p9_fids){0};
}

void p9_fids_clear(struct p9_server *server) {
	struct p9_fids *fids = &server->fids;
	for (size_t i = 0; i < fids->bucket_count; i++) {
		for (;;) {
			pthread_mutex_lock(&fids->lock);
			/* The table may have grown meanwhile, but then a concurrent request did it, and its
			 * fid is newer than this clearing. */
			struct p9_fid *fid = i < fids->bucket_count ? fids->buckets[i] : NULL;
			if (fid != NULL) {
				fids->buckets[i] = fid->next;
				fids->count--;
			}
			pthread_mutex_unlock(&fids->lock);
			if (fid == NULL) {
				break;
			}
			p9_fid_put(server, fid);
		}
	}
}

static struct p9_fid **slot_of(struct p9_fids *fids, uint32_t number) {
	struct p9_fid **at = &fids->buckets[(number * 2654435761u) & (fids->bucket_count - 1)];
	while (*at != NULL && (*at)->number != number) {
		at = &(*at)->next;
	}
	return at;
}

static void grow(struct p9_fids *fids) {
	size_t old_count = fids->bucket_count;
	struct p9_fid **old = fids->buckets, **buckets = calloc(old_count * 2, sizeof(*buckets));
	if (buckets == NULL) {
		return;
	}
	fids->buckets = buckets;
	fids->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct p9_fid *fid = old[i], *next; fid != NULL; fid = next) {
			next = fid->next;
			fid->next = NULL;
			*slot_of(fids, fid->number) = fid;
		}
	}
	free(old);
}

struct p9_fid *p9_fid_create(struct p9_server *server, struct p9_node *node, uint32_t uid) {
	struct p9_fid *fid = calloc(1, sizeof(*fid));
	if (fid == NULL) {
		p9_node_unref(&server->tree, node);
		return NULL;
	}
	fid->refs = 1;
	fid->node = node;
	fid->uid = uid;
	atomic_init(&fid->fd, -1);
	pthread_mutex_init(&fid->reading, NULL);
	return fid;
}

int p9_fid_insert(struct p9_server *server, uint32_t number, struct p9_fid *fid) {
	struct p9_fids *fids = &server->fids;
	int ret = 0;
	pthread_mutex_lock(&fids->lock);
	if (fids->count >= fids->bucket_count) {
		grow(fids);
	}
	struct p9_fid **slot = slot_of(fids, number);
	if (number == P9_NOFID || *slot != NULL) {
		ret = -EINVAL;
	} else if (fids->count >= P9_FIDS_MAX) {
		ret = -ENFILE;
	} else {
		fid->number = number;
		fid->next = NULL;
		fid->refs++;
		*slot = fid;
		fids->count++;
	}
	pthread_mutex_unlock(&fids->lock);
	return ret;
}

int p9_fid_replace(struct p9_server *server, struct p9_fid *old, struct p9_fid *fid) {
	struct p9_fids *fids = &server->fids;
	pthread_mutex_lock(&fids->lock);
	struct p9_fid **slot = slot_of(fids, old->number);
	bool found = *slot == old;
	if (found) {
		fid->number = old->number;
		fid->next = old->next;
		fid->refs++;
		*slot = fid;
	}
	pthread_mutex_unlock(&fids->lock);
	if (found) {
		p9_fid_put(server, old);
	}
	return found ? 0 : -EBADF;
}

struct p9_fid *p9_fid_get(struct p9_server *server, uint32_t number) {
	pthread_mutex_lock(&server->fids.lock);
	struct p9_fid *fid = *slot_of(&server->fids, number);
	if (fid != NULL) {
		fid->refs++;
	}
	pthread_mutex_unlock(&server->fids.lock);
	return fid;
}

struct p9_fid *p9_fid_remove(struct p9_server *server, uint32_t number) {
	pthread_mutex_lock(&server->fids.lock);
	struct p9_fid **slot = slot_of(&server->fids, number);
	struct p9_fid *fid = *slot;
	if (fid != NULL) {
		*slot = fid->next;
		server->fids.count--;
	}
	pthread_mutex_unlock(&server->fids.lock);
	return fid;
}

void p9_fid_put(struct p9_server *server, struct p9_fid *fid) {
	if (fid == NULL) {
		return;
	}
	pthread_mutex_lock(&server->fids.lock);
	bool last = --fid->refs == 0;
	pthread_mutex_unlock(&server->fids.lock);
	if (!last) {
		return;
	}
	int fd = atomic_load(&fid->fd);
	if (fd >= 0) {
		/* Others do not wait for a host that is slow to answer a lock. */
		if (atomic_load(&fid->locked)) {
			p9_locks_drop(&server->locks, fid);
		}
		close(fd);
		p9_host_count(-1);
	}
	p9_xattr_destroy(server, fid->xattr);
	p9_node_unref(&server->tree, fid->node);
	pthread_mutex_destroy(&fid->reading);
	free(fid);
}

int p9_fid_set_open(struct p9_fid *fid, int opened, int flags) {
	int none = -1, ret = 0;
	pthread_mutex_lock(&fid->reading);
	if (atomic_load(&fid->fd) == none && fid->xattr == NULL) {
		fid->flags = flags;
		atomic_store(&fid->fd, opened);
		p9_host_count(1);
	} else {
		ret = -EBUSY;
	}
	pthread_mutex_unlock(&fid->reading);
	if (ret < 0) {
		close(opened);
	}
	return ret;
}

int p9_fid_hold(struct p9_server *server, struct p9_fid *fid, struct p9_hold *hold) {
	*hold = (struct p9_hold){.fd = atomic_load(&fid->fd)};
	if (hold->fd >= 0) {
		return 0;
	}
	int fd = p9_node_pin(&server->tree, fid->node);
	if (fd < 0) {
		return fd;
	}
	*hold = (struct p9_hold){.fd = fd, .pinned = fid->node};
	return 0;
}

void p9_fid_release(struct p9_server *server, struct p9_hold *hold) {
	if (hold->pinned != NULL) {
		p9_node_unpin(&server->tree, hold->pinned);
	}
}
