/*
 * Open files over 9P2000.L: opening, creating, reading, writing, attributes and directories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define RDONLY 0u
#define WRONLY 1u
#define RDWR 2u
#define EXCL 0200u
#define TRUNC 01000u
#define APPEND 02000u
#define DIRECTORY 0200000u

#define SET_MODE 0x1u
#define SET_UID 0x2u
#define SET_GID 0x4u
#define SET_SIZE 0x8u
#define SET_ATIME 0x10u
#define SET_MTIME 0x20u
#define SET_CTIME 0x40u
#define SET_ATIME_SET 0x80u
#define SET_MTIME_SET 0x100u

static int setup_share(void **state, bool read_only) {
	struct p9_client *client = malloc(sizeof(*client));
	p9_client_init(client, read_only, NULL);
	p9_client_attach(client);
	*state = client;
	return 0;
}

static int setup(void **state) {
	return setup_share(state, false);
}

static int setup_read_only(void **state) {
	return setup_share(state, true);
}

/* A share with a file of root's that everybody may write: only root can make it. */
static char others_share[] = "/tmp/ph-p9-others-XXXXXX";
static bool others_made;

static void make_others_share(void) {
	if (geteuid() != 0 || mkdtemp(others_share) == NULL) {
		return;
	}
	int directory = open(others_share, O_PATH | O_CLOEXEC);
	int fd = openat(directory, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	others_made = fd >= 0 && write(fd, "0123456789", 10) == 10 && fchmod(fd, 0666) == 0 &&
		      chown(others_share, 65534, 65534) == 0;
	close(fd);
	close(directory);
}

static int setup_others(void **state) {
	struct p9_client *client = NULL;
	if (others_made) {
		client = malloc(sizeof(*client));
		p9_client_init_on(client, others_share, false, NULL);
		p9_client_attach(client);
	}
	*state = client;
	return 0;
}

static int teardown(void **state) {
	if (*state != NULL) {
		p9_client_finish(*state);
	}
	free(*state);
	return 0;
}

static int set(struct p9_client *c, uint32_t fid, uint32_t valid, uint32_t value, uint64_t size) {
	return p9_call(c, P9_TSETATTR, "wwwwwqqqqq", fid, valid, value, value, value, size, UINT64_C(0),
		UINT64_C(0), UINT64_C(0), UINT64_C(0));
}

static struct stat host_stat(struct p9_client *c, const char *path) {
	struct stat stat;
	assert_int_equal(fstatat(c->directory_fd, path, &stat, AT_SYMLINK_NOFOLLOW), 0);
	return stat;
}

static void test_open(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "0123456789");
	char data[32];
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(p9_read(c, 1, 0, data, 4), -EBADF); /* not opened */
	assert_int_equal(p9_write(c, 1, 0, "x", 1), -EBADF);
	assert_int_equal(p9_open(c, 1, RDONLY), 0);
	assert_int_equal(p9_u8(c), P9_QID_FILE);
	assert_int_not_equal(p9_u32(c), 0);
	assert_int_equal(p9_open(c, 1, RDONLY), EBUSY);
	assert_int_equal(p9_walk(c, 1, 1, ""), EBUSY);
	assert_int_equal(p9_read(c, 1, 2, data, 4), 4);
	assert_memory_equal(data, "2345", 4);
	assert_int_equal(p9_read(c, 1, 8, data, 32), 2);
	assert_int_equal(p9_read(c, 1, 10, data, 32), 0);
	assert_int_equal(p9_read(c, 1, UINT64_MAX, data, 32), -EINVAL);
	assert_int_equal(p9_write(c, 1, 0, "x", 1), -EBADF);
	assert_int_equal(p9_walk_open(c, 2, "file", WRONLY), 0);
	assert_int_equal(p9_read(c, 2, 0, data, 4), -EBADF);
	assert_int_equal(p9_write(c, 2, 3, "abc", 3), 3);
	assert_true(p9_host_has(c, "file", "012abc6789"));
	assert_int_equal(p9_walk_open(c, 3, "file", DIRECTORY), ENOTDIR);
	assert_int_equal(p9_walk_open(c, 4, "file", WRONLY | TRUNC), 0);
	assert_true(p9_host_has(c, "file", ""));
	assert_int_equal(p9_open(c, 99, RDONLY), EBADF);
}

/* The offset counts, whatever the flags: a caching client writes whole pages back through such a fid. */
static void test_append_flag(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "0123456789");
	assert_int_equal(p9_walk_open(c, 1, "file", RDWR | APPEND), 0);
	assert_int_equal(p9_write(c, 1, 0, "ab", 2), 2);
	assert_true(p9_host_has(c, "file", "ab23456789"));
}

static void test_create(void **state) {
	struct p9_client *c = *state;
	char data[8];
	assert_int_equal(p9_walk(c, 0, 1, ""), 0);
	assert_int_equal(p9_create(c, 1, "new", RDWR, 06666), 0);
	assert_int_equal(p9_write(c, 1, 0, "hello", 5), 5);
	assert_int_equal(p9_read(c, 1, 1, data, 3), 3);
	assert_true(p9_host_has(c, "new", "hello"));
	/* The mode as it was sent, whatever the server's umask, but for the set-id bits. */
	assert_int_equal(host_stat(c, "new").st_mode, S_IFREG | 0666);
	assert_int_equal(p9_create(c, 1, "again", RDWR, 0600), EBUSY);
	/* Existing: opened, unless exclusive. */
	assert_int_equal(p9_walk(c, 0, 2, ""), 0);
	assert_int_equal(p9_create(c, 2, "new", RDWR | EXCL, 0600), EEXIST);
	assert_int_equal(p9_create(c, 2, "new", RDONLY, 0600), 0);
	assert_int_equal(p9_read(c, 2, 0, data, 8), 5);
	assert_int_equal(p9_walk(c, 0, 3, ""), 0);
	assert_int_equal(p9_create(c, 3, "new", RDWR | TRUNC, 0600), 0);
	assert_true(p9_host_has(c, "new", ""));
	/* In what is no directory, and over one. */
	p9_host_make(c, "dir", NULL);
	assert_int_equal(p9_walk(c, 0, 4, "new"), 0);
	assert_int_equal(p9_create(c, 4, "x", RDWR, 0600), ENOTDIR);
	assert_int_equal(p9_walk(c, 0, 5, ""), 0);
	assert_int_equal(p9_create(c, 5, "dir", RDWR, 0600), EISDIR);
	/* Without any right to what was made, it is open nevertheless. */
	assert_int_equal(p9_create(c, 5, "secret", RDWR, 0), 0);
	assert_int_equal(p9_write(c, 5, 0, "x", 1), 1);
}

static void test_large(void **state) {
	struct p9_client *c = *state;
	const uint64_t far = UINT64_C(5) << 30;
	struct p9_client_stat stat;
	uint8_t *data = calloc(1, P9_CLIENT_MSIZE), *back = calloc(1, P9_CLIENT_MSIZE);
	const uint32_t count = P9_CLIENT_MSIZE - 23;
	for (uint32_t i = 0; i < count; i++) {
		data[i] = (uint8_t)(i * 31 + i / 253);
	}
	assert_int_equal(p9_walk(c, 0, 1, ""), 0);
	assert_int_equal(p9_create(c, 1, "large", RDWR, 0600), 0);
	assert_int_equal(p9_write(c, 1, far, data, count), count);
	assert_int_equal(p9_read(c, 1, far, back, count), count);
	assert_memory_equal(data, back, count);
	/* Asked for more than msize: what fits. */
	assert_int_equal(p9_read(c, 1, far - 4096, back, P9_CLIENT_MSIZE), P9_CLIENT_MSIZE - 11);
	assert_memory_equal(data, back + 4096, P9_CLIENT_MSIZE - 11 - 4096);
	/* A hole, and what it takes. */
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_true(stat.size == far + count);
	assert_true(stat.blocks < 4096);
	assert_int_equal(p9_read(c, 1, 1 << 20, back, 4096), 4096);
	assert_int_equal(back[0] | back[4095], 0);
	/* A count that is not what follows. */
	assert_int_equal(p9_call(c, P9_TWRITE, "wqwD", 1, UINT64_C(0), 5, "1234", (size_t)4), EINVAL);
	assert_int_equal(
		p9_call(c, P9_TWRITE, "wqwD", 1, UINT64_C(0), UINT32_MAX, "1234", (size_t)4), EINVAL);
	assert_int_equal(p9_write(c, 1, INT64_MAX, "x", 1), -EINVAL);
	free(data);
	free(back);
}

/* A disk that has room for a part of the data only, here by a limit. */
static void test_write_whole(void **state) {
	struct p9_client *c = *state;
	static char data[16384];
	struct rlimit before, small;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){.rlim_cur = 10000, .rlim_max = before.rlim_max};
	p9_host_make(c, "file", "");
	assert_int_equal(p9_walk_open(c, 1, "file", RDWR), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(p9_write(c, 1, 0, data, 10000), 10000);
	assert_int_equal(p9_write(c, 1, 0, data, sizeof(data)), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(p9_write(c, 1, 0, data, sizeof(data)), sizeof(data));
	assert_int_equal(p9_write(c, 1, 0, data, 0), 0);
	assert_int_equal(host_stat(c, "file").st_size, sizeof(data));
}

static void test_getattr(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat, again;
	p9_host_make(c, "file", "12345");
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	struct stat host = host_stat(c, "file");
	assert_int_equal(stat.valid & 0x7ff, 0x7ff);
	assert_int_equal(stat.mode, host.st_mode);
	assert_int_equal(stat.uid, host.st_uid);
	assert_int_equal(stat.gid, host.st_gid);
	assert_int_equal(stat.links, 1);
	assert_int_equal(stat.size, 5);
	assert_int_equal(stat.times[2], host.st_mtim.tv_sec);
	assert_int_equal(stat.times[3], host.st_mtim.tv_nsec);
	assert_int_not_equal(stat.qid_version, 0);
	/* The version changes with the file, the number does not. */
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1, .tv_nsec = 2}};
	assert_int_equal(utimensat(c->directory_fd, "file", times, 0), 0);
	assert_int_equal(p9_stat(c, 1, &again), 0);
	assert_int_not_equal(stat.qid_version, again.qid_version);
	assert_true(stat.qid_path == again.qid_path);
	assert_int_equal(p9_call(c, P9_TGETATTR, "wq", 99, UINT64_C(0)), EBADF);
}

static void test_setattr(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "0123456789");
	p9_host_make(c, "dir", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(set(c, 1, SET_MODE, 06751, 0), 0);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 0751);
	assert_int_equal(set(c, 1, SET_SIZE, 0, 4), 0);
	assert_true(p9_host_has(c, "file", "0123"));
	assert_int_equal(set(c, 1, SET_SIZE, 0, UINT64_MAX), EFBIG);
	struct stat before = host_stat(c, "file");
	assert_int_equal(set(c, 1, 0, 0, 0), 0);
	assert_int_equal(
		p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 1,
			SET_ATIME | SET_ATIME_SET | SET_MTIME | SET_MTIME_SET, 0, 0, 0, UINT64_C(0),
			UINT64_C(1000000001), UINT64_C(123456789), UINT64_C(5000000000), UINT64_C(7)),
		0);
	struct stat after = host_stat(c, "file");
	assert_int_equal(after.st_atim.tv_sec, 1000000001);
	assert_int_equal(after.st_mtim.tv_sec, 5000000000);
	assert_int_equal(after.st_mtim.tv_nsec, 7);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(set(c, 1, SET_ATIME, 0, 0), 0); /* now */
	assert_true(host_stat(c, "file").st_atim.tv_sec >= before.st_atim.tv_sec);
	assert_int_equal(host_stat(c, "file").st_mtim.tv_sec, 5000000000);
	/* Nanoseconds beyond a second. */
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 1, SET_ATIME | SET_ATIME_SET, 0, 0, 0,
				 UINT64_C(0), UINT64_C(1), UINT64_C(0x3fffffff), UINT64_C(0), UINT64_C(0)),
		EINVAL);
	assert_int_equal(p9_walk(c, 0, 2, "dir"), 0);
	assert_int_equal(set(c, 2, SET_SIZE, 0, 0), EISDIR);
	assert_int_equal(set(c, 2, SET_MODE, 02700, 0), 0);
	assert_int_equal(host_stat(c, "dir").st_mode & 07777, 0700);
}

/* Who may write a file may truncate it, with the time that Linux sends along, but not set one time alone. */
static void test_truncate_others(void **state) {
	struct p9_client *c = *state;
	if (c == NULL) {
		skip();
	}
	assert_int_not_equal(host_stat(c, "file").st_uid, geteuid());
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(set(c, 1, SET_SIZE | SET_MTIME | SET_CTIME, 0, 6), 0);
	assert_true(p9_host_has(c, "file", "012345"));
	assert_int_equal(p9_walk_open(c, 2, "file", WRONLY), 0);
	assert_int_equal(set(c, 2, SET_SIZE | SET_MTIME | SET_CTIME, 0, 3), 0);
	assert_true(p9_host_has(c, "file", "012"));
	assert_int_equal(set(c, 2, SET_SIZE | SET_MTIME | SET_CTIME, 0, 3), 0); /* as it is already */
	assert_int_equal(set(c, 2, SET_ATIME | SET_MTIME, 0, 0), 0);
	assert_int_equal(set(c, 2, SET_MTIME, 0, 0), EPERM);
	assert_int_equal(set(c, 2, SET_SIZE | SET_MTIME | SET_MTIME_SET, 0, 3), EPERM);
}

/* The time of modification is now, whether the size changes or not, or what the guest says. */
static void test_truncate_times(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "0123456789");
	assert_int_equal(p9_walk_open(c, 1, "file", WRONLY), 0);
	static const uint64_t sizes[] = {4, 4, 9};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
		assert_int_equal(utimensat(c->directory_fd, "file", old, 0), 0);
		assert_int_equal(set(c, 1, SET_SIZE | SET_MTIME | SET_CTIME, 0, sizes[i]), 0);
		assert_int_equal(host_stat(c, "file").st_size, sizes[i]);
		assert_true(host_stat(c, "file").st_mtim.tv_sec > 2);
		assert_int_equal(host_stat(c, "file").st_atim.tv_sec, 1);
	}
	assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", 1, SET_SIZE | SET_MTIME | SET_MTIME_SET, 0, 0,
				 0, UINT64_C(2), UINT64_C(0), UINT64_C(0), UINT64_C(7), UINT64_C(8)),
		0);
	assert_int_equal(host_stat(c, "file").st_mtim.tv_sec, 7);
	assert_int_equal(host_stat(c, "file").st_size, 2);
}

static void test_owner(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "");
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(set(c, 1, SET_UID, geteuid(), 0), 0);
	assert_int_equal(set(c, 1, SET_GID, getegid(), 0), 0);
	assert_int_equal(set(c, 1, SET_UID, 0, 0), EPERM);
	assert_int_equal(set(c, 1, SET_GID, 0, 0), EPERM);
}

/* Set-id bits that the host gave do not survive the guest's writing. */
static void test_set_id_stripped(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "x");
	assert_int_equal(fchmodat(c->directory_fd, "file", 06755, 0), 0);
	assert_int_equal(p9_walk_open(c, 1, "file", WRONLY), 0);
	assert_int_equal(p9_write(c, 1, 0, "y", 1), 1);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 0755);
	/* A directory's set-group-id bit, which is harmless, stays on a chmod that names it. */
	p9_host_make(c, "dir", NULL);
	assert_int_equal(fchmodat(c->directory_fd, "dir", 02755, 0), 0);
	assert_int_equal(p9_walk(c, 0, 2, "dir"), 0);
	assert_int_equal(set(c, 2, SET_MODE, 02770, 0), 0);
	assert_int_equal(host_stat(c, "dir").st_mode & 07777, 02770);
}

/* Everything works on an open file that has no name any more. */
static void test_unlinked(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat stat;
	char data[8];
	assert_int_equal(p9_walk(c, 0, 1, ""), 0);
	assert_int_equal(p9_create(c, 1, "gone", RDWR, 0600), 0);
	assert_int_equal(p9_write(c, 1, 0, "hello", 5), 5);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 0, "gone", 0), 0);
	assert_int_equal(p9_stat(c, 1, &stat), 0);
	assert_int_equal(stat.links, 0);
	assert_int_equal(stat.size, 5);
	assert_int_equal(set(c, 1, SET_MODE, 0644, 0), 0);
	assert_int_equal(set(c, 1, SET_SIZE, 0, 3), 0);
	assert_int_equal(set(c, 1, SET_ATIME | SET_MTIME, 0, 0), 0);
	assert_int_equal(p9_read(c, 1, 0, data, 8), 3);
	assert_int_equal(p9_call(c, P9_TFSYNC, "ww", 1, 0), 0);
	/* Another file takes the name: the fid still is the old one. */
	p9_host_make(c, "gone", "other");
	assert_int_equal(p9_read(c, 1, 0, data, 8), 3);
	/* A fid that was never opened, too. */
	assert_int_equal(p9_walk(c, 0, 2, "gone"), 0);
	assert_int_equal(unlinkat(c->directory_fd, "gone", 0), 0);
	assert_int_equal(p9_stat(c, 2, &stat), 0);
	assert_int_equal(set(c, 2, SET_SIZE, 0, 1), 0);
	assert_int_equal(p9_open(c, 2, RDONLY), 0);
	assert_int_equal(p9_read(c, 2, 0, data, 8), 1);
}

/* How much smaller than its f_bsize a host's file system has the blocks that it counts in. */
static unsigned blocks_in_one;

int __real_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs) {
	int ret = __real_fstatfs(fd, fs);
	if (ret == 0 && blocks_in_one > 0) {
		fs->f_frsize = fs->f_bsize / blocks_in_one;
	}
	return ret;
}

/* The message has one size of blocks, by which the guest counts. */
static void test_statfs_of_fragments(void **state) {
	struct p9_client *c = *state;
	struct statfs fs;
	assert_int_equal(statfs(c->directory, &fs), 0);
	blocks_in_one = 8;
	assert_int_equal(p9_call(c, P9_TSTATFS, "w", 0), 0);
	blocks_in_one = 0;
	p9_u32(c);
	assert_int_equal(p9_u32(c), fs.f_bsize / 8);
	assert_int_equal(p9_u64(c), fs.f_blocks);
}

static void test_fsync_statfs(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "file", "x");
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(p9_call(c, P9_TFSYNC, "ww", 1, 0), EBADF);
	assert_int_equal(p9_open(c, 1, RDWR), 0);
	assert_int_equal(p9_call(c, P9_TFSYNC, "ww", 1, 0), 0);
	assert_int_equal(p9_call(c, P9_TFSYNC, "ww", 1, 1), 0);
	struct statfs fs;
	assert_int_equal(statfs(c->directory, &fs), 0);
	assert_int_equal(p9_call(c, P9_TSTATFS, "w", 0), 0);
	assert_int_equal(p9_u32(c), fs.f_type);
	assert_int_equal(p9_u32(c), fs.f_bsize);
	assert_int_equal(p9_u64(c), fs.f_blocks);
	p9_bytes(c, 8 * 5);
	assert_int_equal(p9_u32(c), fs.f_namelen);
}

/* ---- directories ---- */

struct names {
	unsigned count, dots;
	uint8_t seen[2000];
};

/* One Treaddir; the offset to go on from, or the one given at the end. */
static uint64_t list(
	struct p9_client *c, uint32_t fid, uint64_t offset, uint32_t count, struct names *names) {
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", fid, offset, count), 0);
	uint32_t left = p9_u32(c);
	assert_true(left <= count);
	while (left > 0) {
		p9_bytes(c, 13);
		offset = p9_u64(c);
		p9_u8(c);
		const char *name = p9_str(c);
		left -= 24 + (uint32_t)strlen(name);
		if (name[0] == '.') {
			names->dots++;
			continue;
		}
		int number = atoi(name + 1);
		assert_in_range(number, 0, 1999);
		names->seen[number]++;
		names->count++;
	}
	return offset;
}

static void list_all(struct p9_client *c, uint32_t fid, uint32_t count, struct names *names) {
	memset(names, 0, sizeof(*names));
	uint64_t offset = 0, next;
	while ((next = list(c, fid, offset, count, names)) != offset) {
		offset = next;
	}
}

static void fill_directory(struct p9_client *c) {
	char name[32];
	p9_host_make(c, "dir", NULL);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "dir/f%d", i);
		p9_host_make(c, name, "");
	}
}

static void test_readdir(void **state) {
	struct p9_client *c = *state;
	struct names names;
	fill_directory(c);
	assert_int_equal(p9_walk(c, 0, 1, "dir"), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 1, UINT64_C(0), 1000), EBADF);
	assert_int_equal(p9_open(c, 1, RDONLY | DIRECTORY), 0);
	assert_int_equal(p9_u8(c), P9_QID_DIR);
	static const uint32_t counts[] = {64, 300, 5000, 32768, 500000, UINT32_MAX};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		list_all(c, 1, counts[i], &names);
		assert_int_equal(names.count, 2000);
		assert_int_equal(names.dots, 2);
		for (int n = 0; n < 2000; n++) {
			assert_int_equal(names.seen[n], 1);
		}
	}
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 1, UINT64_C(0), 20), EINVAL); /* no room for one */
	char byte;
	assert_int_equal(p9_read(c, 1, 0, &byte, 1), -EISDIR);
	assert_int_equal(p9_write(c, 1, 0, "x", 1), -EBADF);
	assert_int_equal(p9_walk_open(c, 2, "dir", WRONLY), EISDIR);
	assert_int_equal(p9_walk_open(c, 3, "dir/f1", RDONLY), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 3, UINT64_C(0), 1000), ENOTDIR);
}

/* While entries come and go, those that stay are listed once. */
static void test_readdir_stable(void **state) {
	struct p9_client *c = *state;
	static struct names names;
	char name[32];
	fill_directory(c);
	memset(&names, 0, sizeof(names));
	assert_int_equal(p9_walk_open(c, 1, "dir", RDONLY), 0);
	uint64_t offset = 0, next;
	for (int gone = 0; (next = list(c, 1, offset, 1000, &names)) != offset; offset = next) {
		for (int i = 0; i < 10 && gone < 1000; i++, gone++) {
			snprintf(name, sizeof(name), "dir/f%d", gone * 2);
			assert_int_equal(unlinkat(c->directory_fd, name, 0), 0);
			snprintf(name, sizeof(name), "dir/.new%d", gone);
			p9_host_make(c, name, "");
		}
	}
	for (int i = 1; i < 2000; i += 2) {
		assert_int_equal(names.seen[i], 1);
	}
}

/* ".." of the root does not give away what is above. */
static void test_readdir_root(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat root;
	assert_int_equal(p9_stat(c, 0, &root), 0);
	assert_int_equal(p9_walk_open(c, 1, "", RDONLY), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 1, UINT64_C(0), 1000), 0);
	assert_int_equal(p9_u32(c), 24 + 1 + 24 + 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p9_u8(c), P9_QID_DIR);
		p9_u32(c);
		assert_true(p9_u64(c) == root.qid_path);
		p9_u64(c);
		p9_u8(c);
		p9_str(c);
	}
}

/* ---- read-only ---- */

static void test_read_only(void **state) {
	struct p9_client *c = *state;
	char data[8];
	p9_host_make(c, "file", "content");
	p9_host_make(c, "dir", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "file"), 0);
	assert_int_equal(p9_open(c, 1, RDWR), EROFS);
	assert_int_equal(p9_open(c, 1, WRONLY), EROFS);
	assert_int_equal(p9_open(c, 1, RDONLY | TRUNC), EROFS);
	assert_int_equal(p9_open(c, 1, 3), EINVAL);
	assert_int_equal(p9_open(c, 1, RDONLY), 0);
	assert_int_equal(p9_read(c, 1, 0, data, 8), 7);
	assert_int_equal(p9_write(c, 1, 0, "x", 1), -EROFS);
	assert_int_equal(set(c, 1, SET_MODE, 0777, 0), EROFS);
	assert_int_equal(set(c, 1, SET_SIZE, 0, 0), EROFS);
	assert_int_equal(p9_walk(c, 0, 2, ""), 0);
	assert_int_equal(p9_create(c, 2, "new", RDWR, 0600), EROFS);
	assert_int_equal(p9_create(c, 2, "file", RDONLY, 0600), EROFS);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 0, "new", 0755, 0), EROFS);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 0, "new", "file", 0), EROFS);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 0, 1, "new"), EROFS);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", 0, "new", S_IFIFO | 0600, 0, 0, 0), EROFS);
	assert_int_equal(p9_call(c, P9_TRENAME, "wws", 1, 0, "new"), EROFS);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "file", 0, "new"), EROFS);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 0, "file", 0), EROFS);
	assert_int_equal(p9_call(c, P9_TXATTRCREATE, "wsqw", 2, "user.x", UINT64_C(1), 0), EROFS);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 1), EROFS);
	assert_true(p9_host_has(c, "file", "content"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append_flag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_getattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncate_others, setup_others, teardown),
		cmocka_unit_test_setup_teardown(test_truncate_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_id_stripped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unlinked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fsync_statfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statfs_of_fragments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readdir, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readdir_stable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readdir_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup_read_only, teardown),
	};
	make_others_share();
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 files", tests, NULL, NULL);
}
