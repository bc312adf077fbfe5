/*
 * Byte-range locks. Owners are the guest's processes (client id and process id), as POSIX locks have
 * it, whichever fid they use; towards the host all of a file's locks are held on one open file
 * description (OFD locks), which conflicts with the locks of the host's processes.
 */
#ifndef FILES_LOCK_H
#define FILES_LOCK_H

#include "files/host.h"

#include <pthread.h>
#include <stddef.h>

struct p9_fid;
struct p9_request;
struct p9_server;
struct p9_locked_file;

struct p9_locks {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a lock went away, or a request was cancelled */
	struct p9_locked_file *files;
	size_t range_count;
	unsigned waiting;
	unsigned wait_ms; /* how long a request waits at most; tests set another time */
};

void p9_locks_init(struct p9_locks *locks);
void p9_locks_finish(struct p9_locks *locks);
/* Release what was locked through a fid that goes away. */
void p9_locks_drop(struct p9_locks *locks, const struct p9_fid *fid);
/* Let those who wait look again, a cancelled request among them. */
void p9_locks_wake(struct p9_locks *locks);

#endif
