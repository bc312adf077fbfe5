/*
 * Attributes: Tgetattr, Tsetattr, Tstatfs. Runs on the share's threads. The values are the guest's;
 * what they may change is up to the host's own rules for the caller of ph.
 */
#include "files/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define GETATTR_BASIC UINT64_C(0x7ff)
#define GETATTR_BTIME UINT64_C(0x800)

#define SETATTR_MODE 0x1
#define SETATTR_UID 0x2
#define SETATTR_GID 0x4
#define SETATTR_SIZE 0x8
#define SETATTR_ATIME 0x10
#define SETATTR_MTIME 0x20
#define SETATTR_ATIME_SET 0x80
#define SETATTR_MTIME_SET 0x100

static void put_time(struct p9_writer *out, const struct statx_timestamp *time) {
	p9_put_u64(out, (uint64_t)time->tv_sec);
	p9_put_u64(out, time->tv_nsec);
}

/* As Linux encodes device numbers for others. */
static uint64_t device_number(const struct statx *stat) {
	uint32_t major = stat->stx_rdev_major, minor = stat->stx_rdev_minor;
	return (minor & 0xff) | major << 8 | (uint64_t)(minor & ~0xffu) << 12;
}

int p9_op_getattr(struct p9_request *request) {
	struct p9_server *server = request->server;
	struct p9_writer *out = &request->out;
	uint32_t number = p9_get_u32(&request->in);
	p9_get_u64(&request->in); /* the mask: everything is at hand anyway */
	int ret = p9_get_end(&request->in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	struct statx stat;
	struct p9_qid qid;
	ret = p9_fid_stat(server, fid, &stat);
	p9_fid_put(server, fid);
	if (ret == 0) {
		ret = p9_qids_make(&server->qids, &stat, &qid);
	}
	if (ret < 0) {
		return ret;
	}
	p9_put_u64(out, GETATTR_BASIC | ((stat.stx_mask & STATX_BTIME) != 0 ? GETATTR_BTIME : 0));
	p9_put_qid(out, &qid);
	p9_put_u32(out, stat.stx_mode);
	p9_put_u32(out, p9_ids_to_guest(&server->config.ids, stat.stx_uid));
	p9_put_u32(out, p9_ids_to_guest(&server->config.ids, stat.stx_gid));
	p9_put_u64(out, stat.stx_nlink);
	p9_put_u64(out, device_number(&stat));
	p9_put_u64(out, stat.stx_size);
	p9_put_u64(out, stat.stx_blksize);
	p9_put_u64(out, stat.stx_blocks);
	put_time(out, &stat.stx_atime);
	put_time(out, &stat.stx_mtime);
	put_time(out, &stat.stx_ctime);
	put_time(out, &stat.stx_btime);
	p9_put_u64(out, 0); /* generation and data version: not known */
	p9_put_u64(out, 0);
	return 0;
}

struct changes {
	uint32_t valid, mode, uid, gid;
	uint64_t size;
	struct timespec times[2];
};

static int change_owner(struct p9_server *server, int fd, const struct changes *changes) {
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int ret = 0;
	if ((changes->valid & SETATTR_UID) != 0) {
		ret = p9_ids_to_host(&server->config.ids, changes->uid, &uid);
	}
	if (ret == 0 && (changes->valid & SETATTR_GID) != 0) {
		ret = p9_ids_to_host(&server->config.ids, changes->gid, &gid);
	}
	if (ret < 0) {
		return ret;
	}
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* A directory's set-group-id bit only hands its group down: it may stay where the host has set it. */
static int change_mode(struct p9_server *server, int fd, uint32_t mode) {
	struct statx stat;
	int ret = p9_host_stat(fd, "", &stat);
	if (ret < 0) {
		return ret;
	}
	if (S_ISLNK(stat.stx_mode)) {
		return -EOPNOTSUPP; /* before Linux 6.6 some file systems do, and then say that they cannot */
	}
	uint32_t allowed = 01777 | (S_ISDIR(stat.stx_mode) ? stat.stx_mode & S_ISGID : 0);
	char name[P9_PROC_NAME_SIZE];
	p9_host_proc_name(fd, name);
	return fchmodat(server->proc_fd, name, mode & allowed, 0) < 0 ? -errno : 0;
}

static int change_size(struct p9_server *server, struct p9_fid *fid, int fd, uint64_t size) {
	if (fid->node->type != S_IFREG) {
		return fid->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	}
	if (size > INT64_MAX) {
		return -EFBIG;
	}
	if (fd == atomic_load(&fid->fd) && (fid->flags & O_ACCMODE) != O_RDONLY) {
		return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	}
	int opened = p9_host_reopen(server->proc_fd, fd, O_WRONLY);
	if (opened < 0) {
		return opened;
	}
	p9_host_strip_set_id(opened);
	int ret = ftruncate(opened, (off_t)size) < 0 ? -errno : 0;
	close(opened);
	return ret;
}

static int change_times(struct p9_server *server, int fd, struct changes *changes) {
	struct timespec *times = changes->times;
	if ((changes->valid & SETATTR_ATIME_SET) == 0) {
		times[0].tv_nsec = (changes->valid & SETATTR_ATIME) != 0 ? UTIME_NOW : UTIME_OMIT;
	}
	if ((changes->valid & SETATTR_MTIME_SET) == 0) {
		times[1].tv_nsec = (changes->valid & SETATTR_MTIME) != 0 ? UTIME_NOW : UTIME_OMIT;
	}
	char name[P9_PROC_NAME_SIZE];
	p9_host_proc_name(fd, name);
	return utimensat(server->proc_fd, name, times, 0) < 0 ? -errno : 0;
}

/* Owner before mode, because a change of owner takes bits away; size before times, because it sets one: now,
 * as ftruncate() does also when the size stays. Only the owner may ask for that again by utimensat(). */
static int change(struct p9_server *server, struct p9_fid *fid, int fd, struct changes *changes) {
	int ret = 0;
	if ((changes->valid & (SETATTR_UID | SETATTR_GID)) != 0) {
		ret = change_owner(server, fd, changes);
	}
	if (ret == 0 && (changes->valid & SETATTR_MODE) != 0) {
		ret = change_mode(server, fd, changes->mode);
	}
	if (ret == 0 && (changes->valid & SETATTR_SIZE) != 0) {
		ret = change_size(server, fid, fd, changes->size);
		if ((changes->valid & SETATTR_MTIME_SET) == 0) {
			changes->valid &= ~(uint32_t)SETATTR_MTIME;
		}
	}
	if (ret == 0 && (changes->valid & (SETATTR_ATIME | SETATTR_MTIME)) != 0) {
		ret = change_times(server, fd, changes);
	}
	return ret;
}

int p9_op_setattr(struct p9_request *request) {
	struct p9_server *server = request->server;
	struct p9_reader *in = &request->in;
	uint32_t number = p9_get_u32(in);
	struct changes changes = {.valid = p9_get_u32(in)};
	changes.mode = p9_get_u32(in);
	changes.uid = p9_get_u32(in);
	changes.gid = p9_get_u32(in);
	changes.size = p9_get_u64(in);
	for (int i = 0; i < 2; i++) {
		changes.times[i].tv_sec = (time_t)p9_get_u64(in);
		uint64_t nanoseconds = p9_get_u64(in);
		/* Anything from 10^9 on has a meaning of its own or is refused by the kernel. */
		changes.times[i].tv_nsec = nanoseconds < 1000000000 ? (long)nanoseconds : 1000000000;
	}
	int ret = p9_get_end(in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	struct p9_hold hold;
	ret = p9_fid_hold(server, fid, &hold);
	if (ret == 0) {
		ret = change(server, fid, hold.fd, &changes);
		p9_fid_release(server, &hold);
	}
	p9_fid_put(server, fid);
	return ret;
}

int p9_op_statfs(struct p9_request *request) {
	struct p9_server *server = request->server;
	struct p9_writer *out = &request->out;
	uint32_t number = p9_get_u32(&request->in);
	int ret = p9_get_end(&request->in);
	struct p9_fid *fid = ret == 0 ? p9_request_fid(request, number, &ret) : NULL;
	if (fid == NULL) {
		return ret;
	}
	struct p9_hold hold;
	struct statfs fs;
	ret = p9_fid_hold(server, fid, &hold);
	if (ret == 0) {
		ret = fstatfs(hold.fd, &fs) < 0 ? -errno : 0;
		p9_fid_release(server, &hold);
	}
	p9_fid_put(server, fid);
	if (ret < 0) {
		return ret;
	}
	p9_put_u32(out, (uint32_t)fs.f_type);
	/* What blocks are counted in; some file systems prefer to be read in larger ones. */
	p9_put_u32(out, (uint32_t)(fs.f_frsize != 0 ? fs.f_frsize : fs.f_bsize));
	p9_put_u64(out, fs.f_blocks);
	p9_put_u64(out, fs.f_bfree);
	p9_put_u64(out, fs.f_bavail);
	p9_put_u64(out, fs.f_files);
	p9_put_u64(out, fs.f_ffree);
	p9_put_u64(out, (uint32_t)fs.f_fsid.__val[0] | (uint64_t)(uint32_t)fs.f_fsid.__val[1] << 32);
	p9_put_u32(out, (uint32_t)fs.f_namelen);
	return 0;
}
