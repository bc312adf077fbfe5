/*
 * Attempts to leave a share, to change a read-only one and to break the server, by raw requests (see
 * raw_9p.h). escape_9p TAG rw|ro|devices. Prints TAP: ok is what was refused or had no effect.
 * tests/hostile/9p.sh lays out the share and looks afterwards at what must not have changed.
 */
#include "raw_9p.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RDWR 2u
#define EXCL 0200u
#define TRUNC 01000u
#define REMOVEDIR 0x200u
#define SET_MODE 1u
#define SET_SIZE 8u

static int number;

static void check_at(int line, bool good, const char *what) {
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, what);
	if (!good) {
		printf("#   line %d\n", line);
	}
}
#define check(good, what) check_at(__LINE__, (good), (what))

static int attach(uint32_t fid) {
	return raw_call(TATTACH, "wwssw", fid, RAW_NOFID, "root", "", 0);
}

static void session(void) {
	int version = raw_call(TVERSION, "ws", RAW_MSIZE, "9P2000.L");
	if (version != 0 || attach(0) != 0) {
		printf("Bail out! there is no session\n");
	}
}

static int walk(uint32_t fid, uint32_t new_fid, const char *name) {
	int error = raw_call(TWALK, "wwhs", fid, new_fid, 1, name);
	return error == 0 && raw_number(2) != 1 ? ENOENT : error;
}

/* A copy of the root's fid, for what changes a fid. */
static uint32_t fresh(void) {
	static uint32_t next = 1000;
	raw_call(TWALK, "wwh", 0, ++next, 0);
	return next;
}

static int set(uint32_t fid, uint32_t valid, uint32_t mode, uint64_t size) {
	return raw_call(TSETATTR, "wwwwwqqqqq", fid, valid, mode, 0, 0, size, UINT64_C(0), UINT64_C(0),
		UINT64_C(0), UINT64_C(0));
}

static uint64_t qid_path(uint32_t fid) {
	if (raw_call(TGETATTR, "wq", fid, UINT64_C(0x7ff)) != 0) {
		return 0;
	}
	raw_number(8);
	raw_number(1);
	raw_number(4);
	return raw_number(8);
}

static uint32_t mode_of(uint32_t fid) {
	if (raw_call(TGETATTR, "wq", fid, UINT64_C(0x7ff)) != 0) {
		return UINT32_MAX;
	}
	raw_bytes(8 + 13);
	return (uint32_t)raw_number(4);
}

/* ---- beyond the root ---- */

static void test_dotdot(void) {
	check(raw_call(TWALK, "wwhssss", 0, 1, 4, "..", "..", "..", "..") == 0 && qid_path(1) == qid_path(0),
		".. above the root, four times, is the root");
	check(raw_call(TWALK, "wwhssss", 0, 2, 4, "dir", "..", "..", "dir") == 0 && walk(2, 3, "..") == 0 &&
			qid_path(3) == qid_path(0),
		".. by way of a directory is the root");
	static const char *const names[] = {"../outside/prize", "dir/../../outside", "/etc/passwd", "..\0x",
		"", ".", "dir/", "./dir", "/"};
	bool refused = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = i == 3 ? 4 : strlen(names[i]);
		refused = refused && raw_call(TWALK, "wwhS", 0, 4, 1, names[i], len) == EINVAL;
	}
	check(refused, "paths, NULs and empty names where one name belongs");
	check(raw_call(TATTACH, "wwssw", 4, RAW_NOFID, "root", "/etc", 0) == ENOENT &&
			raw_call(TATTACH, "wwssw", 4, RAW_NOFID, "root", "../outside", 0) == ENOENT,
		"attaching to another tree");
	check(raw_call(TAUTH, "wssw", 4, "root", "", 0) == EOPNOTSUPP &&
			raw_call(TATTACH, "wwssw", 4, 0, "root", "", 0) == EINVAL,
		"authenticating");
}

static void test_names(void) {
	static const char *const names[] = {"..", ".", "", "../new", "/new", "dir/new"};
	bool refused = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *name = names[i];
		refused = refused && raw_call(TLCREATE, "wswww", fresh(), name, RDWR, 0644, 0) == EINVAL &&
			  raw_call(TMKDIR, "wsww", 0, name, 0755, 0) == EINVAL &&
			  raw_call(TSYMLINK, "wssw", 0, name, "x", 0) == EINVAL &&
			  raw_call(TMKNOD, "wswwww", 0, name, S_IFIFO | 0644, 0, 0, 0) == EINVAL &&
			  raw_call(TLINK, "wws", 0, 0, name) == EINVAL &&
			  raw_call(TRENAMEAT, "wsws", 0, "file", 0, name) == EINVAL &&
			  raw_call(TRENAMEAT, "wsws", 0, name, 0, "mine") == EINVAL &&
			  raw_call(TUNLINKAT, "wsw", 0, name, REMOVEDIR) == EINVAL;
	}
	check(refused, "making, moving and removing by such names");
	check(walk(0, 5, "dir") == 0 && raw_call(TRENAME, "wws", 5, 0, "../outside/dir") == EINVAL,
		"moving by fid to such a name");
	uint32_t root = fresh();
	check(raw_call(TRENAME, "wws", root, 5, "root") == EBUSY && raw_call(TREMOVE, "w", root) == EBUSY,
		"moving or removing the root");
}

/* Links that the host has: out by an absolute and a relative path, and to the root of everything. */
static void test_host_links(void) {
	static const char *const names[] = {"absolute", "relative", "rootlink", "loop"};
	bool walked = true, opened = true, made = true, changed = true;
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t fid = 10 + i;
		walked = walked && walk(0, fid, names[i]) == 0 && walk(fid, 20, "prize") == ENOTDIR &&
			 walk(fid, 20, "..") == ENOTDIR &&
			 raw_call(TWALK, "wwhss", 0, 20, 2, names[i], "prize") == 0 && raw_number(2) == 1;
		opened = opened && raw_call(TLOPEN, "ww", fid, 0) == ELOOP &&
			 raw_call(TLOPEN, "ww", fid, RDWR | TRUNC) == ELOOP &&
			 raw_call(TLCREATE, "wswww", fresh(), names[i], RDWR | TRUNC, 0644, 0) == ELOOP;
		made = made && raw_call(TLCREATE, "wswww", fid, "new", RDWR, 0644, 0) == ENOTDIR &&
		       raw_call(TMKDIR, "wsww", fid, "new", 0755, 0) == ENOTDIR &&
		       raw_call(TUNLINKAT, "wsw", fid, "prize", 0) == ENOTDIR &&
		       raw_call(TRENAMEAT, "wsws", fid, "prize", 0, "mine") == ENOTDIR &&
		       raw_call(TRENAMEAT, "wsws", 0, "file", fid, "new") == ENOTDIR &&
		       raw_call(TLINK, "wws", fid, 5, "new") == ENOTDIR;
		changed = changed && set(fid, SET_SIZE, 0, 0) == EINVAL &&
			  set(fid, SET_MODE, 0777, 0) == EOPNOTSUPP;
	}
	check(walked, "walking through links");
	check(opened, "opening and creating through links");
	check(made, "making, moving and removing beneath links");
	check(changed, "changing what links lead to");
}

static void test_own_links(void) {
	static const char *const targets[] = {"/etc", "../outside", "..", "/proc/self/root", "/proc/self/fd"};
	bool refused = true;
	for (uint32_t i = 0; i < 5; i++) {
		char name[] = {'o', 'w', 'n', (char)('0' + i), '\0'};
		refused = refused && raw_call(TSYMLINK, "wssw", 0, name, targets[i], 0) == 0 &&
			  walk(0, 30 + i, name) == 0 && walk(30 + i, 20, "passwd") == ENOTDIR &&
			  walk(30 + i, 20, "prize") == ENOTDIR &&
			  raw_call(TLOPEN, "ww", 30 + i, 0) == ELOOP &&
			  raw_call(TUNLINKAT, "wsw", 0, name, 0) == 0;
	}
	check(refused, "links of the guest's own making lead nowhere on the host");
	check(raw_call(TSYMLINK, "wssw", 0, "dangling", "../outside/created", 0) == 0 &&
			raw_call(TLCREATE, "wswww", fresh(), "dangling", RDWR, 0644, 0) == ELOOP &&
			raw_call(TLCREATE, "wswww", fresh(), "dangling", RDWR | EXCL, 0644, 0) == EEXIST &&
			raw_call(TUNLINKAT, "wsw", 0, "dangling", 0) == 0,
		"creating through a dangling link");
	/* A hard link to a link is another link. */
	check(walk(0, 40, "absolute") == 0 && raw_call(TLINK, "wws", 0, 40, "second") == 0 &&
			walk(0, 41, "second") == 0 && raw_call(TLOPEN, "ww", 41, 0) == ELOOP &&
			raw_call(TUNLINKAT, "wsw", 0, "second", 0) == 0,
		"a hard link of a link");
}

/* ---- what must not be opened, made or kept ---- */

static void test_special(void) {
	bool refused = raw_call(TMKNOD, "wswwww", 0, "socket", S_IFSOCK | 0644, 0, 0, 0) == 0;
	static const char *const names[] = {"fifo", "socket"};
	for (uint32_t i = 0; i < 2; i++) {
		refused = refused && walk(0, 50 + i, names[i]) == 0;
		for (uint32_t flags = 0; flags < 3; flags++) {
			refused = refused && raw_call(TLOPEN, "ww", 50 + i, flags) == EACCES;
		}
		refused = refused && raw_call(TLCREATE, "wswww", fresh(), names[i], RDWR, 0644, 0) == EACCES;
	}
	check(refused && raw_call(TUNLINKAT, "wsw", 0, "socket", 0) == 0,
		"opening the host's fifos and sockets");
	check(raw_call(TMKNOD, "wswwww", 0, "null", S_IFCHR | 0666, 1, 3, 0) == EPERM &&
			raw_call(TMKNOD, "wswwww", 0, "disk", S_IFBLK | 0666, 8, 0, 0) == EPERM &&
			raw_call(TMKNOD, "wswwww", 0, "odd", 0170000 | 0666, 8, 0, 0) == EINVAL,
		"making devices");
	check(raw_call(TMKNOD, "wswwww", 0, "pipe", S_IFIFO | 06666, 0, 0, 0) == 0 &&
			walk(0, 53, "pipe") == 0 && raw_call(TLOPEN, "ww", 53, 0) == EACCES &&
			raw_call(TREMOVE, "w", 53) == 0,
		"opening a fifo of one's own");
}

static void test_devices(void) {
	bool refused = true;
	static const char *const names[] = {"null", "zero", "full"};
	for (uint32_t i = 0; i < 3; i++) {
		refused = refused && walk(0, 50 + i, names[i]) == 0;
		for (uint32_t flags = 0; flags < 3; flags++) {
			refused = refused && raw_call(TLOPEN, "ww", 50 + i, flags) == EACCES;
		}
		refused = refused && raw_call(TLCREATE, "wswww", fresh(), names[i], RDWR, 0644, 0) == EACCES;
	}
	check(refused, "opening the host's devices");
	check(walk(0, 60, "fd") == 0 && walk(60, 61, "0") == ENOTDIR &&
			raw_call(TLOPEN, "ww", 60, 0) == ELOOP,
		"the way into /proc by /dev/fd");
}

static void test_set_id(void) {
	uint32_t fid = fresh();
	check(raw_call(TLCREATE, "wswww", fid, "setid", RDWR, 06755, 0) == 0 &&
			(mode_of(fid) & 07777) == 0755,
		"creating a set-id file");
	check(set(fid, SET_MODE, 06755, 0) == 0 && (mode_of(fid) & 07777) == 0755, "setting set-id bits");
	check(raw_call(TMKDIR, "wsww", 0, "setgid", 06755, 0) == 0 && walk(0, 70, "setgid") == 0 &&
			(mode_of(70) & 06000) == 0 && raw_call(TREMOVE, "w", 70) == 0,
		"making a set-id directory");
	check(raw_call(TREMOVE, "w", fid) == 0, "a file made and removed");
	check(walk(0, 71, "hostsetid") == 0 && raw_call(TLOPEN, "ww", 71, RDWR) == 0 &&
			raw_call(TWRITE, "wqwD", 71, UINT64_C(0), 1, "x", (size_t)1) == 0 &&
			(mode_of(71) & 06000) == 0,
		"the host's set-id bits do not survive writing");
}

static void test_attributes(void) {
	static const char *const names[] = {"trusted.overlay.opaque", "security.capability",
		"security.selinux", "system.nfs4_acl", "user", "x"};
	bool refused = walk(0, 80, "file") == 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint32_t fid = fresh();
		refused = refused && raw_call(TXATTRWALK, "wws", 80, 81, names[i]) == EOPNOTSUPP &&
			  raw_call(TXATTRCREATE, "wsqw", fid, names[i], UINT64_C(4), 0) == EOPNOTSUPP;
	}
	check(refused, "attributes that mean something to the host");
	check(raw_call(TXATTRCREATE, "wsqw", fresh(), "user.x", UINT64_MAX, 0) == E2BIG &&
			raw_call(TXATTRCREATE, "wsqw", fresh(), "user.x", UINT64_C(1) << 32, 0) == E2BIG,
		"attributes of any size");
	uint32_t fid = fresh();
	check(raw_call(TXATTRCREATE, "wsqw", fid, "user.x", UINT64_C(4), 0) == 0 &&
			raw_call(TWRITE, "wqwD", fid, UINT64_C(2), 4, "data", (size_t)4) == EINVAL &&
			raw_call(TREAD, "wqw", fid, UINT64_C(0), 100) == EBADF &&
			raw_call(TCLUNK, "w", fid) == EINVAL,
		"reading and overrunning an attribute that is written");
}

/* ---- numbers and fids ---- */

static void test_counts(void) {
	check(walk(0, 90, "file") == 0 && raw_call(TLOPEN, "ww", 90, 0) == 0 &&
			raw_call(TREAD, "wqw", 90, UINT64_C(0), UINT32_MAX) == 0 && raw_number(4) == 7 &&
			raw_size == 18,
		"reading 4 GiB of a file of 7 bytes");
	check(raw_call(TREAD, "wqw", 90, UINT64_MAX, 16) == EINVAL &&
			raw_call(TREAD, "wqw", 90, UINT64_C(1) << 62, UINT32_MAX) == 0 && raw_number(4) == 0,
		"reading far behind the end");
	uint32_t root = fresh();
	check(raw_call(TLOPEN, "ww", root, 0) == 0 &&
			raw_call(TREADDIR, "wqw", root, UINT64_C(0), UINT32_MAX) == 0 &&
			raw_size <= RAW_MSIZE,
		"listing 4 GiB");
	int error = raw_call(TREADDIR, "wqw", root, UINT64_MAX, 4096);
	check(error >= 0 && raw_call(TREADDIR, "wqw", root, UINT64_C(0), 3) == EINVAL,
		"listing from nowhere, and into no room");
	check(walk(0, 91, "file") == 0 && raw_call(TLOPEN, "ww", 91, RDWR) == 0 &&
			raw_call(TWRITE, "wqwD", 91, UINT64_C(0), 1000, "abc", (size_t)3) == EINVAL &&
			raw_call(TWRITE, "wqwD", 91, UINT64_C(0), UINT32_MAX, "abc", (size_t)3) == EINVAL &&
			raw_call(TWRITE, "wqwD", 91, UINT64_MAX, 3, "abc", (size_t)3) == EINVAL,
		"writing more than was sent, and beyond all files");
	check(set(91, SET_SIZE, 0, UINT64_MAX) == EFBIG, "a size beyond all files");
	check(raw_call(TLOCK, "wbwqqws", 91, 9, 0, UINT64_C(0), UINT64_C(0), 1, "x") == EINVAL &&
			raw_call(TLOCK, "wbwqqws", 91, 1, 0, UINT64_MAX, UINT64_C(1), 1, "x") == EINVAL &&
			raw_call(TGETLOCK, "wbqqws", 91, 1, UINT64_MAX, UINT64_MAX, 1, "x") == EINVAL,
		"locks of no kind and of no place");
}

static void test_fids(void) {
	check(raw_call(TGETATTR, "wq", 99999, UINT64_C(0)) == EBADF &&
			raw_call(TCLUNK, "w", 99999) == EBADF && walk(99999, 1, "file") == EBADF &&
			raw_call(TREAD, "wqw", 99999, UINT64_C(0), 1) == EBADF,
		"fids that mean nothing");
	check(walk(0, 90, "dir") == EINVAL && attach(90) == EINVAL && attach(RAW_NOFID) == EINVAL,
		"a number that is in use");
	check(raw_call(TLOPEN, "ww", 90, 0) == EBUSY && raw_call(TWALK, "wwh", 90, 90, 0) == EBUSY &&
			raw_call(TLCREATE, "wswww", 90, "x", RDWR, 0644, 0) == EBUSY,
		"opening twice, and walking with an open fid");
	check(raw_call(TCLUNK, "w", 90) == 0 && raw_call(TREAD, "wqw", 90, UINT64_C(0), 1) == EBADF &&
			raw_call(TCLUNK, "w", 90) == EBADF,
		"using what was given up");
	check(raw_call(TREADLINK, "w", 0) == EINVAL &&
			raw_call(TREADDIR, "wqw", 91, UINT64_C(0), 4096) == ENOTDIR &&
			walk(91, 92, "x") == ENOTDIR,
		"taking a file for a directory and a directory for a link");
}

/* The same fid created, walked, renamed and clunked at once, again and again: each is answered, nothing else.
 */
static void test_races(void) {
	bool answered = true;
	for (uint32_t round = 0; round < 300 && answered; round++) {
		uint32_t fid = fresh();
		raw_queue(0, TLCREATE, "wswww", fid, "raced", RDWR, 0644, 0);
		raw_queue(1, TWALK, "wwhss", fid, fid + 100000, 2, "dir", "..");
		raw_queue(2, TWALK, "wwh", fid, fid, 0);
		raw_queue(3, TRENAMEAT, "wsws", 0, "raced", 0, "moved");
		raw_queue(4, TRENAME, "wws", fid, 0, "raced");
		raw_queue(5, TREMOVE, "w", fid);
		raw_queue(6, TCLUNK, "w", fid);
		raw_queue(7, TGETATTR, "wq", fid, UINT64_C(0));
		answered = raw_collect() == RAW_SLOTS;
		raw_call(TCLUNK, "w", fid);
		raw_call(TCLUNK, "w", fid + 100000);
	}
	raw_call(TUNLINKAT, "wsw", 0, "raced", 0);
	raw_call(TUNLINKAT, "wsw", 0, "moved", 0);
	check(answered, "eight requests at once on one fid, 300 times");
	check(qid_path(0) != 0 && raw_call(TWALK, "wwhs", 0, 95, 1, "..") == 0 && qid_path(95) == qid_path(0),
		"and the root still is the root");
}

/* ---- messages ---- */

static void test_messages(void) {
	bool refused = true;
	for (int type = 0; type < 256; type += 2) {
		int error = type == TVERSION || type == TAUTH ? EINVAL : raw_call((uint8_t)type, "");
		refused = refused && (error == EINVAL || error == EOPNOTSUPP);
	}
	check(refused, "every type of request without its fields");
	check(raw_call_sized(6, TCLUNK, "w", 0) == EINVAL && raw_call_sized(3, TCLUNK, "w", 0) == EINVAL &&
			raw_call_sized(UINT32_MAX, TCLUNK, "w", 0) == EINVAL &&
			raw_call_sized(5000, TCLUNK, "w", 0) == EINVAL &&
			raw_call_sized(1, TCLUNK, "w", 0) == EINVAL,
		"sizes that are not true");
	check(raw_call(TWALK, "wwhhD", 0, 96, 1, 0xffff, "abc", (size_t)3) == EINVAL &&
			raw_call(TWALK, "wwh", 0, 96, 0xffff) == EINVAL &&
			raw_call(TWALK, "wwhs", 0, 96, 2, "dir") == EINVAL &&
			raw_call(TMKDIR, "whD", 0, 500, "abc", (size_t)3) == EINVAL,
		"strings longer than their message, and missing ones");
	check(raw_call(TCLUNK, "wb", 0, 0) == EINVAL, "bytes left over");
	static const char long_name[300] = {[0 ... 299] = 'n'};
	check(raw_call(TWALK, "wwhS", 0, 96, 1, long_name, sizeof(long_name)) == ENAMETOOLONG,
		"names beyond 255 bytes");
	check(raw_call(TVERSION, "ws", 100, "9P2000.L") == EMSGSIZE, "a session too small for anything");
	check(raw_call(TVERSION, "ws", UINT32_MAX, "9P2000.L") == 0 && raw_number(4) <= 512000,
		"messages of 4 GiB");
	check(raw_call(TGETATTR, "wq", 0, UINT64_C(0)) == EBADF, "fids of an earlier session");
	session();
}

static void test_ring(void) {
	check(!raw_chain(UINT64_C(1) << 50, 64, 0, 0), "a request outside the memory");
	raw_9p_start();
	session();
	check(qid_path(0) != 0, "after a reset the share is served again");
	check(!raw_chain(UINT64_MAX - 8, 4096, 0, 0), "a request that wraps around");
	raw_9p_start();
	check(!raw_chain(4096, 0, 1, 0), "a chain that loops");
	raw_9p_start();
	check(!raw_chain(4096, 3, 0, 0), "a request shorter than its header");
	raw_9p_start();
	session();
	check(qid_path(0) != 0, "and it still is served");
}

/* ---- a share that is read-only ---- */

static void test_read_only(void) {
	check(walk(0, 1, "file") == 0 && walk(0, 2, "dir") == 0, "names are found");
	bool refused = true;
	for (uint32_t flags = 1; flags < 3; flags++) {
		refused = refused && raw_call(TLOPEN, "ww", 1, flags) == EROFS;
	}
	refused = refused && raw_call(TLOPEN, "ww", 1, TRUNC) == EROFS && raw_call(TLOPEN, "ww", 1, 3) != 0;
	check(refused, "opening for writing or truncation");
	check(raw_call(TLCREATE, "wswww", fresh(), "new", RDWR, 0644, 0) == EROFS &&
			raw_call(TLCREATE, "wswww", fresh(), "file", 0, 0644, 0) == EROFS &&
			raw_call(TMKDIR, "wsww", 0, "new", 0755, 0) == EROFS &&
			raw_call(TSYMLINK, "wssw", 0, "new", "x", 0) == EROFS &&
			raw_call(TMKNOD, "wswwww", 0, "new", S_IFIFO | 0644, 0, 0, 0) == EROFS &&
			raw_call(TLINK, "wws", 0, 1, "new") == EROFS,
		"making anything");
	check(set(1, SET_MODE, 0777, 0) == EROFS && set(1, SET_SIZE, 0, 0) == EROFS &&
			set(1, 0, 0, 0) == EROFS &&
			raw_call(TXATTRCREATE, "wsqw", 1, "user.x", UINT64_C(1), 0) == EROFS,
		"changing attributes");
	check(raw_call(TRENAMEAT, "wsws", 0, "file", 0, "moved") == EROFS &&
			raw_call(TRENAME, "wws", 1, 0, "moved") == EROFS &&
			raw_call(TUNLINKAT, "wsw", 0, "file", 0) == EROFS &&
			raw_call(TUNLINKAT, "wsw", 0, "dir", REMOVEDIR) == EROFS &&
			raw_call(TREMOVE, "w", 2) == EROFS,
		"moving and removing");
	check(raw_call(TLOPEN, "ww", 1, 0) == 0 &&
			raw_call(TWRITE, "wqwD", 1, UINT64_C(0), 1, "x", (size_t)1) == EROFS &&
			raw_call(TREAD, "wqw", 1, UINT64_C(0), 100) == 0 && raw_number(4) == 7,
		"writing where reading is allowed");
}

int main(int argc, char **argv) {
	if (argc != 3) {
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	raw_open(argv[1]);
	session();
	switch (argv[2][1]) {
	case 'w':
		test_dotdot();
		test_names();
		test_host_links();
		test_own_links();
		test_special();
		test_set_id();
		test_attributes();
		test_counts();
		test_fids();
		test_races();
		test_messages();
		test_ring();
		break;
	case 'o':
		test_read_only();
		break;
	default:
		test_devices();
	}
	printf("1..%d\n", number);
	return 0;
}
