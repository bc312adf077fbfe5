/*
 * Open files: Tlopen, Tlcreate, Tread, Twrite, Tfsync. Runs on the share's threads. Only regular
 * files and directories are ever opened, and only after their type was seen on a descriptor that
 * opening cannot change. Data go between the page cache and the guest's own pages.
 */
#include "files/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* 9P2000.L's open flags have numbers of their own, which are those of Linux on most machines. */
#define P9_ACCMODE 03u
#define P9_WRONLY 01u
#define P9_RDWR 02u
#define P9_EXCL 0200u
#define P9_TRUNC 01000u
#define P9_DSYNC 010000u
#define P9_DIRECTORY 0200000u
#define P9_SYNC 04000000u

/* How often a file is opened or made that others make and remove meanwhile. */
#define CREATE_TRIES 32

/*
 * What of the guest's flags reaches the host. Not O_APPEND: Linux would then ignore the offset of each write,
 * and a caching guest writes whole pages back. Not O_DIRECT: the guest's buffers are as they are.
 */
static int open_flags(uint32_t flags) {
	int host = (flags & P9_ACCMODE) == P9_RDWR     ? O_RDWR
		   : (flags & P9_ACCMODE) == P9_WRONLY ? O_WRONLY
						       : O_RDONLY;
	/* To empty a file is to write it: Linux asks for the same permission, and the jail for this. */
	if ((flags & P9_TRUNC) != 0) {
		host = (host == O_RDONLY ? O_RDWR : host) | O_TRUNC;
	}
	host |= (flags & P9_DSYNC) != 0 ? O_DSYNC : 0;
	host |= (flags & P9_SYNC) != 0 ? O_SYNC : 0;
	return host;
}

static bool writes(int flags) {
	return (flags & O_ACCMODE) != O_RDONLY;
}

static int open_node(struct p9_server *server, struct p9_node *node, int flags) {
	if (node->type != S_IFREG && node->type != S_IFDIR) {
		return node->type == S_IFLNK ? -ELOOP : -EACCES;
	}
	if (node->type == S_IFDIR && writes(flags)) {
		return -EISDIR;
	}
	int path_fd = p9_node_pin(&server->tree, node);
	if (path_fd < 0) {
		return path_fd;
	}
	int fd = p9_host_reopen(server->proc_fd, path_fd, flags);
	if (fd == -ENFILE && p9_tree_park(&server->tree, UINT32_MAX) > 0) {
		fd = p9_host_reopen(server->proc_fd, path_fd, flags);
	}
	p9_node_unpin(&server->tree, node);
	if (fd >= 0 && node->type == S_IFREG && writes(flags)) {
		p9_host_strip_set_id(fd);
	}
	return fd;
}

static int put_opened(struct p9_request *request, int fd) {
	struct statx stat;
	struct p9_qid qid;
	int ret = p9_host_stat(fd, "", &stat);
	if (ret == 0) {
		ret = p9_qids_make(&request->server->qids, &stat, &qid);
	}
	if (ret == 0) {
		p9_put_qid(&request->out, &qid);
		p9_put_u32(&request->out, 0); /* iounit: whatever msize allows */
	}
	return ret;
}

static int open_fid(struct p9_request *request, struct p9_fid *fid, uint32_t flags) {
	int host_flags = open_flags(flags);
	if ((flags & P9_ACCMODE) == P9_ACCMODE) {
		return -EINVAL;
	}
	if (request->server->config.read_only && writes(host_flags)) {
		return -EROFS;
	}
	if ((flags & P9_DIRECTORY) != 0 && fid->node->type != S_IFDIR) {
		return -ENOTDIR;
	}
	if (atomic_load(&fid->fd) >= 0 || fid->xattr != NULL) {
		return -EBUSY;
	}
	int fd = open_node(request->server, fid->node, host_flags);
	if (fd < 0) {
		return fd;
	}
	int ret = p9_fid_set_open(fid, fd, host_flags);
	return ret == 0 ? put_opened(request, fd) : ret;
}

int p9_op_lopen(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in), flags = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid != NULL) {
		ret = open_fid(request, fid, flags);
		p9_fid_put(request->server, fid);
	}
	return ret;
}

/* ---- Tlcreate ---- */

struct creation {
	const char *name;
	uint32_t flags, mode, uid, gid;
};

/* A new file is made by an exclusive open, which cannot meet a file of another kind. */
static int open_new(struct p9_server *server, int directory, const struct creation *creation) {
	int flags = (open_flags(creation->flags) & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC |
		    O_NOCTTY;
	struct p9_owner owner;
	int ret = p9_ids_owner(&server->config.ids, creation->uid, creation->gid, &owner);
	if (ret < 0) {
		return ret;
	}
	int fd = openat(directory, creation->name, flags, creation->mode & 01777);
	if (fd < 0) {
		return errno == EMFILE ? -ENFILE : -errno;
	}
	ret = p9_ids_give(&server->config.ids, fd, &owner);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static int create_new(struct p9_server *server, struct p9_node *parent, int directory,
	const struct creation *creation, struct p9_node **node) {
	int fd = open_new(server, directory, creation);
	if (fd < 0) {
		return fd;
	}
	struct statx stat;
	int ret = p9_host_stat(fd, "", &stat);
	int path_fd = ret == 0 ? p9_host_reopen(server->proc_fd, fd, O_PATH) : ret;
	if (path_fd >= 0) {
		*node = p9_tree_add(&server->tree, parent, creation->name, &stat, path_fd);
		ret = *node != NULL ? 0 : -ENOMEM;
	} else {
		ret = path_fd;
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

/* Somebody else's file of that name is opened as a walk and an open would. */
static int open_existing(struct p9_server *server, struct p9_node *parent, const struct creation *creation,
	struct p9_node **node) {
	struct statx stat;
	int ret = p9_walk_child(server, parent, creation->name, node, &stat);
	if (ret < 0) {
		return ret;
	}
	int fd = (*node)->type == S_IFDIR ? -EISDIR : open_node(server, *node, open_flags(creation->flags));
	if (fd < 0) {
		p9_node_unref(&server->tree, *node);
	}
	return fd;
}

/* Who makes a file is not told that it is not there: what was in the way may be gone by now. */
static int create_or_open(struct p9_server *server, struct p9_node *parent, int directory,
	const struct creation *creation, struct p9_node **node) {
	int fd = -ENOENT;
	for (unsigned i = 0; i < CREATE_TRIES && fd == -ENOENT; i++) {
		fd = create_new(server, parent, directory, creation, node);
		if (fd == -EEXIST && (creation->flags & P9_EXCL) == 0) {
			fd = open_existing(server, parent, creation, node);
		}
	}
	return fd;
}

/* The fid of the directory becomes the file's. */
static int become(struct p9_request *request, struct p9_fid *from, struct p9_node *node, int fd, int flags) {
	struct p9_server *server = request->server;
	struct p9_fid *fid = p9_fid_create(server, node, from->uid);
	if (fid == NULL) {
		close(fd);
		return -ENOMEM;
	}
	p9_fid_set_open(fid, fd, flags);
	int ret = put_opened(request, fd);
	if (ret == 0) {
		ret = p9_fid_replace(server, from, fid);
	}
	p9_fid_put(server, fid);
	return ret;
}

static int create(struct p9_request *request, struct p9_fid *from, const struct creation *creation) {
	struct p9_server *server = request->server;
	if (atomic_load(&from->fd) >= 0 || from->xattr != NULL) {
		return -EBUSY;
	}
	int directory = p9_pin_directory(server, from, creation->name);
	if (directory < 0) {
		return directory;
	}
	struct p9_node *node;
	int fd = create_or_open(server, from->node, directory, creation, &node);
	int ret = fd < 0 ? fd : become(request, from, node, fd, open_flags(creation->flags));
	p9_node_unpin(&server->tree, from->node);
	return ret;
}

int p9_op_lcreate(struct p9_request *request) {
	struct creation creation;
	uint32_t number = p9_get_u32(&request->in);
	creation.name = p9_get_name(&request->in);
	creation.flags = p9_get_u32(&request->in);
	creation.mode = p9_get_u32(&request->in);
	creation.gid = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret == 0 && (creation.flags & P9_ACCMODE) == P9_ACCMODE) {
		ret = -EINVAL;
	}
	struct p9_fid *from = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (from != NULL) {
		creation.uid = from->uid;
		ret = create(request, from, &creation);
		p9_fid_put(request->server, from);
	}
	return ret;
}

/* ---- Tread, Twrite, Tfsync ---- */

static int read_file(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count) {
	const struct p9_exchange *exchange = request->exchange;
	int fd = atomic_load(&fid->fd);
	if (fd < 0) {
		return -EBADF;
	}
	if (fid->node->type == S_IFDIR) {
		return -EISDIR;
	}
	if (offset > INT64_MAX) {
		return -EINVAL;
	}
	struct iovec slice[P9_SEGMENTS_MAX];
	unsigned slices = p9_segments_slice(exchange->out, exchange->out_count, P9_READ_DATA, count, slice);
	ssize_t n = preadv(fd, slice, (int)slices, (off_t)offset);
	if (n < 0) {
		return -errno;
	}
	p9_put_u32(&request->out, (uint32_t)n);
	request->direct = (uint32_t)n;
	return 0;
}

int p9_op_read(struct p9_request *request) {
	uint64_t offset;
	uint32_t count;
	int ret;
	struct p9_fid *fid = p9_request_range(request, &offset, &count, &ret);
	if (fid == NULL) {
		return ret;
	}
	ret = fid->xattr != NULL ? p9_xattr_read(request, fid, offset, count)
				 : read_file(request, fid, offset, count);
	p9_fid_put(request->server, fid);
	return ret;
}

/*
 * All of it or an error. Linux's client takes a short count for what the disk had time for and starts the
 * request over at its first byte with the rest of the data: on a disk that is full from then on, this goes
 * where blocks are already, and succeeds.
 */
static int write_file(struct p9_request *request, struct p9_fid *fid, uint64_t offset, uint32_t count) {
	const struct p9_exchange *exchange = request->exchange;
	int fd = atomic_load(&fid->fd);
	if (fd < 0) {
		return -EBADF;
	}
	if (offset > INT64_MAX) {
		return -EINVAL;
	}
	uint32_t done = 0;
	do {
		struct iovec slice[P9_SEGMENTS_MAX];
		unsigned slices = p9_segments_slice(
			exchange->in, exchange->in_count, P9_WRITE_DATA + done, count - done, slice);
		ssize_t n = pwritev(fd, slice, (int)slices, (off_t)(offset + done));
		if (n < 0) {
			return -errno;
		}
		if (n == 0 && count > 0) {
			return -EIO;
		}
		done += (uint32_t)n;
	} while (done < count);
	p9_put_u32(&request->out, count);
	return 0;
}

int p9_op_write(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in);
	uint64_t offset = p9_get_u64(&request->in);
	uint32_t count = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	if (ret == 0 && count != request->size - P9_WRITE_DATA) {
		ret = -EINVAL;
	}
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	ret = fid->xattr != NULL ? p9_xattr_write(request, fid, offset, count)
				 : write_file(request, fid, offset, count);
	p9_fid_put(request->server, fid);
	return ret;
}

int p9_op_fsync(struct p9_request *request) {
	uint32_t number = p9_get_u32(&request->in), data_only = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	int fd = atomic_load(&fid->fd);
	if (fd < 0) {
		ret = -EBADF;
	} else {
		ret = (data_only != 0 ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
	}
	p9_fid_put(request->server, fid);
	return ret;
}
