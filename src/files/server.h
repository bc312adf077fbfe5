/*
 * A 9P2000.L server for one share, whatever carries its messages. The transport begins requests one after
 * another and serves them on as many threads as it likes, each to its end on one of them.
 */
#ifndef FILES_SERVER_H
#define FILES_SERVER_H

#include "files/exchange.h"
#include "files/fid.h"
#include "files/hide.h"
#include "files/ids.h"
#include "files/lock.h"
#include "files/qid.h"
#include "files/tree.h"
#include "files/wire.h"

#include <stdatomic.h>

/* The longest request beside Twrite's data: 16 names of Twalk, or a symbolic link's target. */
#define P9_REQUEST_MAX 8192
#define P9_REPLY_MAX 8192
#define P9_ENTRIES_MAX 32768
#define P9_MSIZE_MIN 4096
/* Where Rread's data begin, and Twrite's. */
#define P9_READ_DATA (P9_HEADER_SIZE + 4)
#define P9_WRITE_DATA (P9_HEADER_SIZE + 16)

struct p9_server_config {
	int root_fd;
	bool read_only, private_locks;
	char *const *hide;
	struct p9_ids ids;
	uint32_t msize;
	/* A request is answered, its reply of so many bytes being in place. Called on any serving thread. */
	void (*complete)(void *owner, uint64_t cookie, uint32_t written);
	void *owner;
};

struct p9_server {
	struct p9_server_config config;
	int proc_fd; /* see p9_host_open_proc(); -1 until p9_server_enter() */
	atomic_uint msize;
	atomic_bool stopping;
	atomic_size_t xattr_bytes;
	struct p9_qids qids;
	struct p9_tree tree;
	struct p9_hide hide;
	struct p9_fids fids;
	struct p9_locks locks;
	pthread_mutex_t flight_lock;
	struct p9_request *in_flight;
};

/* What a serving thread needs for one request at a time. */
struct p9_scratch {
	uint8_t request[P9_REQUEST_MAX];
	uint8_t reply[P9_REPLY_MAX];
	uint8_t entries[P9_ENTRIES_MAX]; /* as the host gives them */
	uint8_t packed[2 * P9_ENTRIES_MAX];
};

struct p9_waiter; /* a Tflush that waits for the request it flushes */

struct p9_request {
	struct p9_server *server;
	struct p9_scratch *scratch;
	const struct p9_exchange *exchange;
	uint8_t type;
	uint16_t tag;
	uint32_t size;   /* of the whole message, as its header says */
	uint32_t msize;  /* what the reply may be at most: negotiated, and in the room given */
	bool deferred;   /* another request's end will complete this one */
	uint32_t direct; /* bytes of the reply already in place, behind what the writer holds */
	struct p9_reader in;
	struct p9_writer out;
	/* under flight_lock */
	struct p9_request *next;
	struct p9_waiter *waiters;
	atomic_bool cancelled;
};

/* 0 or -errno. p9_server_finish() accepts a zeroed server. */
int p9_server_init(struct p9_server *server, const struct p9_server_config *config);
void p9_server_finish(struct p9_server *server);
/* In the process that will serve, before it is confined. 0 or -errno. */
int p9_server_enter(struct p9_server *server);

/*
 * Make an exchange, which stays where it is, a request in flight; it does not wait for anything. Called in
 * the order in which requests came, so that a Tflush finds what it flushes. False when the message is none or
 * has no room for an answer: then the transport is to be given up.
 */
bool p9_server_begin(
	struct p9_server *server, struct p9_request *request, const struct p9_exchange *exchange);
/* Serve a request that was begun and complete it, and others that waited for it. */
void p9_server_serve(struct p9_request *request, struct p9_scratch *scratch);
/* Make requests that wait end soon, and those to come not wait; until p9_server_reset(). */
void p9_server_cancel(struct p9_server *server);
/* Forget the session. Nothing is being served. */
void p9_server_reset(struct p9_server *server);

/* ---- for the operations (ops_*.c), each returning 0 or -errno ---- */

/* The fid of the number, counted, or NULL with *error -EBADF. */
struct p9_fid *p9_request_fid(struct p9_request *request, uint32_t number, int *error);
/* The same for what Tread and Treaddir both begin with; *count is no more than the reply has room for. */
struct p9_fid *p9_request_range(struct p9_request *request, uint64_t *offset, uint32_t *count, int *error);
/* Attributes of what a fid stands for. */
int p9_fid_stat(struct p9_server *server, struct p9_fid *fid, struct statx *stat);
int p9_node_stat(struct p9_server *server, struct p9_node *node, struct statx *stat);
/* The entry name of a directory, seen as the guest may see it; counted. */
int p9_walk_child(struct p9_server *server, struct p9_node *parent, const char *name, struct p9_node **node,
	struct statx *stat);
/* What an entry is that exists, by its name and by itself: an enum p9_view, or -errno. */
int p9_entry_view(struct p9_server *server, struct p9_node *parent, int directory, const char *name);
/* A directory's descriptor, pinned, in which the guest may create or remove the entry name; -ENOTDIR, -EPERM
 * for a hidden name, -EBUSY for one on the way to such, or another -errno. */
int p9_pin_directory(struct p9_server *server, struct p9_fid *fid, const char *name);
/* The same for a directory to be made, which may be on the way. */
int p9_pin_for_directory(struct p9_server *server, struct p9_fid *fid, const char *name);

int p9_op_version(struct p9_request *request);
int p9_op_auth(struct p9_request *request);
int p9_op_attach(struct p9_request *request);
int p9_op_flush(struct p9_request *request);
int p9_op_walk(struct p9_request *request);
int p9_op_clunk(struct p9_request *request);
int p9_op_statfs(struct p9_request *request);
int p9_op_getattr(struct p9_request *request);
int p9_op_setattr(struct p9_request *request);
int p9_op_lopen(struct p9_request *request);
int p9_op_lcreate(struct p9_request *request);
int p9_op_read(struct p9_request *request);
int p9_op_write(struct p9_request *request);
int p9_op_readdir(struct p9_request *request);
int p9_op_fsync(struct p9_request *request);
int p9_op_symlink(struct p9_request *request);
int p9_op_readlink(struct p9_request *request);
int p9_op_link(struct p9_request *request);
int p9_op_mknod(struct p9_request *request);
int p9_op_mkdir(struct p9_request *request);
int p9_op_rename(struct p9_request *request);
int p9_op_renameat(struct p9_request *request);
int p9_op_unlinkat(struct p9_request *request);
int p9_op_remove(struct p9_request *request);
int p9_op_lock(struct p9_request *request);
int p9_op_getlock(struct p9_request *request);
int p9_op_xattrwalk(struct p9_request *request);
int p9_op_xattrcreate(struct p9_request *request);

/* xattr.c, for reads, writes and the end of fids that stand for an attribute */
int p9_xattr_read(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count);
int p9_xattr_write(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count);
int p9_xattr_commit(struct p9_server *server, struct p9_fid *fid);
void p9_xattr_destroy(struct p9_server *server, struct p9_xattr *xattr);

#endif
