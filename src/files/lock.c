/*
 * Tlock and Tgetlock (see lock.h). Runs on the share's threads, under one lock that is never held while
 * waiting for a lock; a host that does not answer holds it up, and so all locks of the share. The guest
 * chooses ranges, owners and how many there are: their number is bounded, and a request that waits gives up
 * when it is flushed, or after WAIT_MS.
 *
 * A request that may block tries again and again: a wait inside the kernel could not be flushed without
 * a race. What the guest itself releases wakes it at once, what the host releases within RETRY_MS.
 */
#include "files/lock.h"

#include "files/server.h"
#include "ph/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RANGES_MAX 65536
/* Of one file: to settle them with the host takes their number to the square. */
#define FILE_RANGES_MAX 4096
#define WAITING_MAX 8
#define RETRY_MS 20
/* While a request is on its way, the guest's kernel lets no signal through but those that kill: neither
 * alarm() nor flock -w would end the wait. It does between two requests, so a wait is one of many. The time
 * between them is the mount's (see ph/files.h). */
#define WAIT_MS 1000

enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_UNLOCK = 2 };
enum { STATUS_SUCCESS = 0, STATUS_BLOCKED = 1 };
#define FLAG_BLOCK 1u
#define FLAG_RECLAIM 2u

/* [start, end], both included, never beyond INT64_MAX, which is the end of any file. */
struct range {
	struct range *next;
	uint64_t start, end;
	uint8_t type;
	const struct p9_fid *fid;
	uint32_t process;
	uint32_t client; /* a hash: collisions share a lock that the guest's kernel has arbitrated */
};

struct p9_locked_file {
	struct p9_locked_file *next;
	struct p9_identity identity;
	int fd;         /* -1: the host is not asked */
	bool read_only; /* fd cannot hold a lock for writing */
	struct range *ranges;
	size_t range_count;
};

void p9_locks_init(struct p9_locks *locks) {
	*locks = (struct p9_locks){0};
	locks->wait_ms = WAIT_MS;
	pthread_mutex_init(&locks->lock, NULL);
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&locks->changed, &clock);
	pthread_condattr_destroy(&clock);
}

void p9_locks_finish(struct p9_locks *locks) {
	pthread_cond_destroy(&locks->changed);
	pthread_mutex_destroy(&locks->lock);
	*locks = (struct p9_locks){0};
}

void p9_locks_wake(struct p9_locks *locks) {
	pthread_mutex_lock(&locks->lock);
	pthread_cond_broadcast(&locks->changed);
	pthread_mutex_unlock(&locks->lock);
}

/* ---- the host's side ---- */

static struct flock host_lock(short type, uint64_t start, uint64_t end) {
	return (struct flock){.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)start,
		.l_len = end == INT64_MAX ? 0 : (off_t)(end - start + 1)};
}

static int host_set(const struct p9_locked_file *file, uint8_t type, uint64_t start, uint64_t end) {
	if (file->fd < 0) {
		return 0;
	}
	bool reads = type == TYPE_READ || file->read_only;
	struct flock lock = host_lock(type == TYPE_UNLOCK ? F_UNLCK : reads ? F_RDLCK : F_WRLCK, start, end);
	return fcntl(file->fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* What of the host's is in the way of a lock for writing: 0 or -EAGAIN. */
static int host_is_free(const struct p9_locked_file *file, uint64_t start, uint64_t end) {
	struct flock lock = host_lock(F_WRLCK, start, end);
	return fcntl(file->fd, F_OFD_GETLK, &lock) < 0 ? -errno : lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/* The strongest lock any owner has at a place, and the last place up to which that stays so. */
static uint8_t strongest(const struct p9_locked_file *file, uint64_t at, uint64_t *until) {
	uint8_t type = TYPE_UNLOCK;
	for (const struct range *range = file->ranges; range != NULL; range = range->next) {
		if (range->start > at) {
			*until = range->start - 1 < *until ? range->start - 1 : *until;
		} else if (range->end >= at) {
			*until = range->end < *until ? range->end : *until;
			type = type == TYPE_WRITE || range->type == TYPE_WRITE ? TYPE_WRITE : TYPE_READ;
		}
	}
	return type;
}

/* Make the host's locks in [start, end] what the owners' ranges add up to: 0 or the first -errno. */
static int host_settle(const struct p9_locked_file *file, uint64_t start, uint64_t end) {
	int first = 0;
	if (file->fd < 0) {
		return 0;
	}
	for (uint64_t at = start;;) {
		uint64_t until = end;
		uint8_t type = strongest(file, at, &until);
		int ret = host_set(file, type, at, until);
		first = first == 0 ? ret : first;
		if (until >= end) {
			return first;
		}
		at = until + 1;
	}
}

/*
 * Take from the host what an owner wants. Where that is a lock for writing which the file can only be held
 * for reading with, nobody else may have any: of two who do so at the same time at least one is refused.
 */
static int host_take(const struct p9_locked_file *file, const struct range *wanted) {
	bool alone = wanted->type == TYPE_WRITE && file->read_only;
	int ret = alone ? host_is_free(file, wanted->start, wanted->end) : 0;
	if (ret == 0) {
		ret = host_set(file, wanted->type, wanted->start, wanted->end);
	}
	if (ret == 0 && alone) {
		ret = host_is_free(file, wanted->start, wanted->end);
		if (ret < 0) {
			host_settle(file, wanted->start, wanted->end);
		}
	}
	return ret;
}

/* As long as it is open for writing, the host cannot execute a file: a program is only opened so for a guest
 * that has it open for writing itself. flock(2) asks for locks for writing of what is open for reading. */
static int open_to_write(struct p9_server *server, const struct p9_fid *fid) {
	struct stat stat;
	int fd = atomic_load(&fid->fd);
	bool writes = (fid->flags & O_ACCMODE) != O_RDONLY;
	if (server->config.read_only || fstat(fd, &stat) < 0 || (!writes && (stat.st_mode & 0111) != 0)) {
		return -EROFS;
	}
	return p9_host_reopen(server->proc_fd, fd, O_RDWR);
}

static int file_open(struct p9_server *server, const struct p9_fid *fid, struct p9_locked_file *file,
	const struct range *wanted) {
	int fd = atomic_load(&fid->fd);
	if (server->config.private_locks) {
		file->fd = -1;
		return 0;
	}
	file->read_only = wanted->type != TYPE_WRITE;
	file->fd =
		file->read_only ? p9_host_reopen(server->proc_fd, fd, O_RDONLY) : open_to_write(server, fid);
	if (file->fd < 0) {
		/* A fid opened for writing only has at least that. */
		int mode = (fid->flags & O_ACCMODE) == O_WRONLY ? O_WRONLY : O_RDONLY;
		file->read_only = mode == O_RDONLY;
		file->fd = p9_host_reopen(server->proc_fd, fd, mode);
	}
	p9_host_count(file->fd >= 0);
	return file->fd < 0 ? file->fd : 0;
}

/* From an open file that can hold locks for reading to one that can hold any. The locks are set on the new
 * one before they go with the old, which they do not conflict with as long as they are for reading. */
static int file_reopen_to_write(
	struct p9_server *server, const struct p9_fid *fid, struct p9_locked_file *file) {
	struct p9_locked_file fresh = *file;
	fresh.fd = open_to_write(server, fid);
	if (fresh.fd < 0) {
		return fresh.fd == -ENFILE ? -ENFILE : 0;
	}
	int ret = host_settle(&fresh, 0, INT64_MAX);
	if (ret < 0) {
		close(fresh.fd);
		return ret;
	}
	close(file->fd);
	file->fd = fresh.fd;
	file->read_only = false;
	/* What was to be for writing before; where that cannot be, it stays for reading. */
	host_settle(file, 0, INT64_MAX);
	return 0;
}

static struct p9_locked_file **file_slot(struct p9_locks *locks, struct p9_identity identity) {
	struct p9_locked_file **at = &locks->files;
	while (*at != NULL && !p9_identity_equal((*at)->identity, identity)) {
		at = &(*at)->next;
	}
	return at;
}

static int file_create(struct p9_server *server, const struct p9_fid *fid, const struct range *wanted,
	struct p9_locked_file **out) {
	struct p9_locked_file *file = calloc(1, sizeof(*file));
	if (file == NULL) {
		return -ENOMEM;
	}
	file->identity = fid->node->identity;
	int ret = file_open(server, fid, file, wanted);
	if (ret < 0) {
		free(file);
		return ret;
	}
	*out = file;
	return 0;
}

/* The file, opened so that it can hold what is wanted if it can be. */
static int file_get(struct p9_server *server, const struct p9_fid *fid, const struct range *wanted,
	struct p9_locked_file **out) {
	struct p9_locked_file **slot = file_slot(&server->locks, fid->node->identity);
	int ret = 0;
	*out = *slot;
	if (*out == NULL) {
		ret = file_create(server, fid, wanted, out);
		*slot = *out;
	} else if ((*out)->read_only && wanted->type == TYPE_WRITE) {
		ret = file_reopen_to_write(server, fid, *out);
	}
	return ret;
}

/* Closing the description gives up what the host still holds for it. */
static void file_forget_unused(struct p9_locks *locks, struct p9_identity identity) {
	struct p9_locked_file **slot = file_slot(locks, identity), *file = *slot;
	if (file != NULL && file->ranges == NULL) {
		*slot = file->next;
		if (file->fd >= 0) {
			close(file->fd);
			p9_host_count(-1);
		}
		free(file);
	}
}

/* ---- the owners' ranges ---- */

static bool same_owner(const struct range *a, const struct range *b) {
	return a->process == b->process && a->client == b->client;
}

static bool overlap(const struct range *a, const struct range *b) {
	return a->start <= b->end && b->start <= a->end;
}

static const struct range *find_conflict(const struct p9_locked_file *file, const struct range *wanted) {
	for (const struct range *range = file->ranges; range != NULL; range = range->next) {
		if (!same_owner(range, wanted) && overlap(range, wanted) &&
			(range->type == TYPE_WRITE || wanted->type == TYPE_WRITE)) {
			return range;
		}
	}
	return NULL;
}

static void count_ranges(struct p9_locks *locks, struct p9_locked_file *file, int change) {
	locks->range_count += (size_t)change;
	file->range_count += (size_t)change;
}

/* Cut [hole] out of what its owner has; *spare serves when a range is cut in two. */
static void cut(
	struct p9_locks *locks, struct p9_locked_file *file, const struct range *hole, struct range **spare) {
	for (struct range **at = &file->ranges; *at != NULL;) {
		struct range *range = *at;
		if (!same_owner(range, hole) || !overlap(range, hole)) {
			at = &range->next;
		} else if (range->start < hole->start && range->end > hole->end) {
			struct range *tail = *spare;
			*spare = NULL;
			*tail = *range;
			tail->start = hole->end + 1;
			range->end = hole->start - 1;
			range->next = tail;
			count_ranges(locks, file, 1);
			return; /* an owner's ranges do not overlap: there is no other */
		} else if (range->start < hole->start) {
			range->end = hole->start - 1;
			at = &range->next;
		} else if (range->end > hole->end) {
			range->start = hole->end + 1;
			at = &range->next;
		} else {
			*at = range->next;
			free(range);
			count_ranges(locks, file, -1);
		}
	}
}

/* Whether there would be too many: a range more, or one in two pieces. */
static bool too_many(
	const struct p9_locks *locks, const struct p9_locked_file *file, const struct range *wanted) {
	size_t more = wanted->type != TYPE_UNLOCK;
	for (const struct range *range = file->ranges; range != NULL; range = range->next) {
		more += same_owner(range, wanted) && range->start < wanted->start && range->end > wanted->end;
	}
	return more > 0 &&
	       (file->range_count + more > FILE_RANGES_MAX || locks->range_count + more > RANGES_MAX);
}

/* Grant, release or refuse at once: 0, -EAGAIN or another -errno. Under the lock. */
static int apply(struct p9_locks *locks, struct p9_locked_file *file, const struct range *wanted) {
	if (wanted->type != TYPE_UNLOCK && find_conflict(file, wanted) != NULL) {
		return -EAGAIN;
	}
	if (too_many(locks, file, wanted)) {
		return -ENOLCK;
	}
	struct range *spare = malloc(sizeof(*spare)), *added = malloc(sizeof(*added));
	int ret = spare == NULL || added == NULL ? -ENOLCK : 0;
	/* The host says no before anything has changed. Nobody else in the guest needs more than this here,
	 * or it would have been a conflict. */
	if (ret == 0 && wanted->type != TYPE_UNLOCK) {
		ret = host_take(file, wanted);
	}
	if (ret == 0) {
		cut(locks, file, wanted, &spare);
		if (wanted->type != TYPE_UNLOCK) {
			*added = *wanted;
			added->next = file->ranges;
			file->ranges = added;
			added = NULL;
			count_ranges(locks, file, 1);
		} else {
			host_settle(file, wanted->start, wanted->end);
			pthread_cond_broadcast(&locks->changed);
		}
	}
	free(spare);
	free(added);
	return ret == -EACCES ? -EAGAIN : ret;
}

void p9_locks_drop(struct p9_locks *locks, const struct p9_fid *fid) {
	pthread_mutex_lock(&locks->lock);
	struct p9_locked_file *file = *file_slot(locks, fid->node->identity);
	uint64_t start = UINT64_MAX, end = 0;
	struct range *none = NULL;
	for (struct range **at = file != NULL ? &file->ranges : &none; *at != NULL;) {
		struct range *range = *at;
		if (range->fid != fid) {
			at = &range->next;
			continue;
		}
		*at = range->next;
		start = range->start < start ? range->start : start;
		end = range->end > end ? range->end : end;
		free(range);
		count_ranges(locks, file, -1);
	}
	if (start <= end) {
		host_settle(file, start, end); /* once for all of them */
		file_forget_unused(locks, fid->node->identity);
		pthread_cond_broadcast(&locks->changed);
	}
	pthread_mutex_unlock(&locks->lock);
}

/* ---- requests ---- */

static int range_set(struct range *range, uint64_t start, uint64_t length) {
	if (start > INT64_MAX || range->type > TYPE_UNLOCK) {
		return -EINVAL;
	}
	range->start = start;
	range->end = length == 0 || length - 1 > INT64_MAX - start ? INT64_MAX : start + length - 1;
	return 0;
}

static bool may_wait(const struct p9_request *request) {
	return !atomic_load(&request->cancelled) && !atomic_load(&request->server->stopping);
}

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_for_change(struct p9_locks *locks) {
	int64_t until = now_ms() + RETRY_MS;
	const struct timespec time = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
	pthread_cond_timedwait(&locks->changed, &locks->lock, &time);
}

/* What stands in the way: another owner in the guest, or a process of the host. */
static int get_conflict(
	struct p9_server *server, struct p9_fid *fid, const struct range *wanted, struct range *found) {
	struct p9_locked_file *file = *file_slot(&server->locks, fid->node->identity);
	const struct range *conflict = file != NULL ? find_conflict(file, wanted) : NULL;
	if (conflict != NULL) {
		*found = *conflict;
		return 0;
	}
	if (server->config.private_locks) {
		found->type = TYPE_UNLOCK;
		return 0;
	}
	struct flock lock =
		host_lock(wanted->type == TYPE_WRITE ? F_WRLCK : F_RDLCK, wanted->start, wanted->end);
	if (fcntl(file != NULL ? file->fd : atomic_load(&fid->fd), F_OFD_GETLK, &lock) < 0) {
		return -errno;
	}
	found->type = lock.l_type == F_RDLCK ? TYPE_READ : lock.l_type == F_WRLCK ? TYPE_WRITE : TYPE_UNLOCK;
	found->start = (uint64_t)lock.l_start;
	found->end = lock.l_len == 0 ? INT64_MAX : found->start + (uint64_t)lock.l_len - 1;
	found->process = 0; /* the host's process numbers mean nothing to the guest */
	return 0;
}

static int lock_once(struct p9_server *server, struct p9_fid *fid, const struct range *wanted) {
	struct p9_locked_file *file = *file_slot(&server->locks, fid->node->identity);
	struct range found = {.type = TYPE_UNLOCK};
	int ret = 0;
	if (wanted->type == TYPE_UNLOCK && file == NULL) {
		return 0;
	}
	/* The file is not opened for writing in vain, at each try again: whoever watches it would be told. */
	if (wanted->type == TYPE_WRITE && (file == NULL || file->read_only)) {
		ret = get_conflict(server, fid, wanted, &found);
	}
	if (ret == 0) {
		ret = found.type == TYPE_UNLOCK ? file_get(server, fid, wanted, &file) : -EAGAIN;
	}
	if (ret < 0) {
		return ret;
	}
	ret = apply(&server->locks, file, wanted);
	file_forget_unused(&server->locks, fid->node->identity);
	return ret;
}

/* 0, -EAGAIN when it stays taken for long, -EINTR when flushed meanwhile, or another -errno. */
static int lock_or_wait(
	struct p9_request *request, struct p9_fid *fid, const struct range *wanted, bool wait) {
	struct p9_server *server = request->server;
	struct p9_locks *locks = &server->locks;
	pthread_mutex_lock(&locks->lock);
	int ret = lock_once(server, fid, wanted);
	/* Waiting takes a thread: when too many do, the guest's kernel is told to ask again by itself. */
	if (ret == -EAGAIN && wait && locks->waiting < WAITING_MAX) {
		int64_t end = now_ms() + locks->wait_ms;
		locks->waiting++;
		while (ret == -EAGAIN && may_wait(request) && now_ms() < end) {
			wait_for_change(locks);
			ret = may_wait(request) ? lock_once(server, fid, wanted) : -EINTR;
		}
		locks->waiting--;
	}
	pthread_mutex_unlock(&locks->lock);
	return ret;
}

int p9_op_lock(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	struct range wanted = {.type = p9_get_u8(&request->in)};
	uint32_t flags = p9_get_u32(&request->in);
	uint64_t start = p9_get_u64(&request->in), length = p9_get_u64(&request->in);
	wanted.process = p9_get_u32(&request->in);
	wanted.client = text_hash(0, p9_get_string(&request->in, UINT16_MAX));
	int ret = p9_get_end(&request->in);
	if (ret == 0) {
		ret = (flags & ~(FLAG_BLOCK | FLAG_RECLAIM)) != 0 ? -EINVAL
								  : range_set(&wanted, start, length);
	}
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	wanted.fid = fid;
	if (wanted.type != TYPE_UNLOCK) {
		atomic_store(&fid->locked, true);
	}
	ret = atomic_load(&fid->fd) < 0 ? -EBADF
					: lock_or_wait(request, fid, &wanted, (flags & FLAG_BLOCK) != 0);
	p9_fid_put(request->server, fid);
	if (ret == 0 || ret == -EAGAIN) {
		p9_put_u8(&request->out, ret == 0 ? STATUS_SUCCESS : STATUS_BLOCKED);
		ret = 0;
	}
	return ret;
}

int p9_op_getlock(struct p9_request *request) {
	struct p9_server *server = request->server;
	uint32_t number = p9_get_u32(&request->in);
	struct range wanted = {.type = p9_get_u8(&request->in)}, found;
	uint64_t start = p9_get_u64(&request->in), length = p9_get_u64(&request->in);
	wanted.process = p9_get_u32(&request->in);
	const char *client = p9_get_string(&request->in, P9_NAME_MAX);
	wanted.client = text_hash(0, client);
	int ret = p9_get_end(&request->in);
	if (ret == 0) {
		ret = range_set(&wanted, start, length);
	}
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	/* Linux asks for any lock at all by naming no type. */
	wanted.type = wanted.type == TYPE_UNLOCK ? TYPE_WRITE : wanted.type;
	found = wanted;
	pthread_mutex_lock(&server->locks.lock);
	ret = atomic_load(&fid->fd) < 0 ? -EBADF : get_conflict(server, fid, &wanted, &found);
	pthread_mutex_unlock(&server->locks.lock);
	p9_fid_put(server, fid);
	p9_put_u8(&request->out, found.type);
	p9_put_u64(&request->out, found.start);
	p9_put_u64(&request->out, found.end == INT64_MAX ? 0 : found.end - found.start + 1);
	p9_put_u32(&request->out, found.process);
	p9_put_string(&request->out, client, strlen(client));
	return ret;
}
