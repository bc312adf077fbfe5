/*
 * Fids: the guest's numbers for files. A fid refers to a node and, once opened, holds a descriptor of
 * its own; both are set once and never change, so that requests running side by side cannot pull them from
 * under each other. A number is made to mean another file by putting another fid in its place.
 */
#ifndef FILES_FID_H
#define FILES_FID_H

#include "files/tree.h"

#include <pthread.h>
#include <stdatomic.h>

#define P9_FIDS_MAX (1u << 20)

struct p9_server;

/* An extended attribute that is read (a snapshot of its value) or written (until the clunk) as a file. */
struct p9_xattr {
	char *name; /* NULL: being read */
	uint8_t *value;
	uint32_t size, written;
	uint32_t flags;
};

struct p9_fid {
	uint32_t number;
	unsigned refs;       /* under the table's lock */
	struct p9_fid *next; /* in its bucket */
	struct p9_node *node;
	uint32_t uid;            /* the guest's, of the attach it comes from */
	atomic_int fd;           /* -1: not opened */
	int flags;               /* access mode it was opened with */
	atomic_bool locked;      /* a lock was asked for through it, and may be held */
	pthread_mutex_t reading; /* the position of an opened directory */
	struct p9_xattr *xattr;  /* set before the fid is in the table */
};

struct p9_fids {
	pthread_mutex_t lock;
	struct p9_fid **buckets;
	size_t bucket_count, count;
};

int p9_fids_init(struct p9_fids *fids);
/* Forget all; accepts zeroed. */
void p9_fids_clear(struct p9_server *server);
void p9_fids_finish(struct p9_fids *fids);

/* A fid of a user of the guest for a node, whose reference it takes in any case; not yet in the table. NULL:
 * out of memory. */
struct p9_fid *p9_fid_create(struct p9_server *server, struct p9_node *node, uint32_t uid);
/* Give it a number nobody uses: 0 or -errno. The table takes a reference of its own. */
int p9_fid_insert(struct p9_server *server, uint32_t number, struct p9_fid *fid);
/* Put it in the place of another: 0, or -EBADF when old no longer has the number. */
int p9_fid_replace(struct p9_server *server, struct p9_fid *old, struct p9_fid *fid);
/* Counted; NULL: no such fid. */
struct p9_fid *p9_fid_get(struct p9_server *server, uint32_t number);
/* Take it out of the table, the reference going to the caller; NULL: no such fid. */
struct p9_fid *p9_fid_remove(struct p9_server *server, uint32_t number);
void p9_fid_put(struct p9_server *server, struct p9_fid *fid); /* accepts NULL */

/* Make it opened; takes opened in any case. 0, or -EBUSY when it is already. */
int p9_fid_set_open(struct p9_fid *fid, int opened, int flags);

/* A descriptor for the fid's attributes: the opened one, or the node's, pinned until the release. */
struct p9_hold {
	int fd;
	struct p9_node *pinned;
};
int p9_fid_hold(struct p9_server *server, struct p9_fid *fid, struct p9_hold *hold);
void p9_fid_release(struct p9_server *server, struct p9_hold *hold);

#endif
