/*
 * Treaddir. Runs on the share's threads. Offsets are the host's own directory cookies, so that
 * nothing is remembered between requests and a listing stays stable while entries come and go; a
 * wrong one is the guest's own confusion. Entries are copied to the guest in chunks, each no longer than what
 * surely fits: so the descriptor stands where the guest goes on, and need not be moved, which costs some file
 * systems a search and others their idea of which entries have been seen.
 */
#include "files/server.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRY_HEAD (P9_QID_SIZE + 8 + 1 + 2)
/* The guest's form of an entry is at most 7/6 of the host's: 28 bytes for 24, with a name of 4. */
#define HOST_SHARE(room) ((room) - (room) / 7)
#define HOST_ENTRY_MAX 280

struct host_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

struct listing {
	struct p9_request *request;
	struct p9_fid *fid;
	int fd;
	uint32_t count, done; /* bytes of entries that fit in the reply, and that are in it */
	bool full;
};

static bool is_hidden(const struct listing *listing, const struct host_entry *entry) {
	const struct p9_hide *hide = &listing->request->server->hide;
	struct p9_identity directory = listing->fid->node->identity;
	if (hide->count == 0) {
		return false;
	}
	if (p9_hide_view(hide, listing->fid->node->place, directory, entry->name) == P9_HIDDEN) {
		return true;
	}
	struct p9_identity identity = {.device = directory.device, .inode = entry->inode};
	struct statx stat;
	return p9_hide_has_number(hide, identity) && p9_host_stat(listing->fd, entry->name, &stat) == 0 &&
	       p9_hide_view_file(hide, &stat) == P9_HIDDEN;
}

/* The number of an entry, without looking at it. Above the root the guest must not see even a number. */
static struct p9_qid entry_qid(const struct listing *listing, const struct host_entry *entry) {
	struct p9_server *server = listing->request->server;
	struct p9_identity identity = listing->fid->node->identity;
	struct p9_qid qid = {.type = entry->type == DT_DIR   ? P9_QID_DIR
				     : entry->type == DT_LNK ? P9_QID_SYMLINK
							     : P9_QID_FILE};
	if (listing->fid->node != server->tree.root || strcmp(entry->name, "..") != 0) {
		identity.inode = entry->inode;
	}
	p9_qids_path(&server->qids, identity, &qid.path);
	return qid;
}

/* Pack entries of one chunk into the reply; stops where the room ends. */
static void pack(struct listing *listing, const uint8_t *entries, size_t size) {
	struct p9_scratch *scratch = listing->request->scratch;
	struct p9_writer out = {.data = scratch->packed, .size = sizeof(scratch->packed)};
	for (size_t at = 0; at < size;) {
		const struct host_entry *entry = (const struct host_entry *)(const void *)(entries + at);
		at += entry->size;
		size_t len = strlen(entry->name);
		/* What is too long cannot be walked to, and a Linux guest would list nothing behind it. */
		if (len > P9_NAME_MAX || is_hidden(listing, entry)) {
			continue;
		}
		if (ENTRY_HEAD + len > listing->count - listing->done - out.len) {
			listing->full = true;
			break;
		}
		struct p9_qid qid = entry_qid(listing, entry);
		p9_put_qid(&out, &qid);
		p9_put_u64(&out, (uint64_t)entry->offset);
		p9_put_u8(&out, entry->type);
		p9_put_string(&out, entry->name, len);
	}
	p9_exchange_write(
		listing->request->exchange, P9_READ_DATA + (uint64_t)listing->done, out.data, out.len);
	listing->done += (uint32_t)out.len;
}

static int list(struct listing *listing, uint64_t offset) {
	struct p9_scratch *scratch = listing->request->scratch;
	if (lseek(listing->fd, 0, SEEK_CUR) != (off_t)offset &&
		lseek(listing->fd, (off_t)offset, SEEK_SET) < 0) {
		return -errno;
	}
	while (!listing->full) {
		size_t want = HOST_SHARE(listing->count - listing->done);
		if (want < HOST_ENTRY_MAX && listing->done > 0) {
			return 0;
		}
		/* Of a guest that has hardly any room, what does not fit is read again. */
		want = want < HOST_ENTRY_MAX ? HOST_ENTRY_MAX : want;
		want = want > sizeof(scratch->entries) ? sizeof(scratch->entries) : want;
		long n = syscall(SYS_getdents64, listing->fd, scratch->entries, want);
		if (n < 0) {
			return listing->done > 0 ? 0 : -errno;
		}
		if (n == 0) {
			return 0;
		}
		pack(listing, scratch->entries, (size_t)n);
	}
	return listing->done > 0 ? 0 : -EINVAL; /* not even one entry has room */
}

static int readdir_fid(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count) {
	struct listing listing = {
		.request = request, .fid = fid, .fd = atomic_load(&fid->fd), .count = count};
	if (listing.fd < 0) {
		return -EBADF;
	}
	if (fid->node->type != S_IFDIR) {
		return -ENOTDIR;
	}
	pthread_mutex_lock(&fid->reading);
	int ret = list(&listing, offset);
	pthread_mutex_unlock(&fid->reading);
	p9_put_u32(&request->out, listing.done);
	request->direct = listing.done;
	return ret;
}

int p9_op_readdir(struct p9_request *request) {
	uint64_t offset;
	uint32_t count;
	int ret;
	struct p9_fid *fid = p9_request_range(request, &offset, &count, &ret);
	if (fid == NULL) {
		return ret;
	}
	ret = readdir_fid(request, fid, offset, count);
	p9_fid_put(request->server, fid);
	return ret;
}
