/*
 * A guest that wants out: each way in which file servers have been left before, tried by raw requests,
 * with a directory beside the share as the prize. Also what is hidden, and a race with the host.
 *
 * P9_RACE_TRIES in the environment sets how often each race is run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RDWR 2u

static char outside[64];

static char secret[] = "secret", shadow[] = "etc/shadow", other[] = "link-home/other", tree[] = "tree/",
	    deep[] = "a/b/deep";
static char *const hidden[] = {secret, shadow, other, tree, deep, NULL};

static int setup_share(void **state, char *const *hide) {
	struct p9_client *client = malloc(sizeof(*client));
	strcpy(outside, "/tmp/ph-outside-XXXXXX");
	assert_non_null(mkdtemp(outside));
	int directory = open(outside, O_PATH | O_CLOEXEC);
	int fd = openat(directory, "prize", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "PRIZE", 5), 5);
	close(fd);
	close(directory);
	char share[] = "/tmp/ph-p9-XXXXXX", path[64];
	assert_non_null(mkdtemp(share));
	if (hide != NULL) {
		directory = open(share, O_PATH | O_CLOEXEC);
		mkdirat(directory, "etc", 0755);
		mkdirat(directory, "home", 0755);
		mkdirat(directory, "home/other", 0755);
		mkdirat(directory, "home/mine", 0755);
		mkdirat(directory, "tree", 0755);
		mkdirat(directory, "a", 0755);
		mkdirat(directory, "a/b", 0755);
		close(openat(directory, "a/b/deep", O_WRONLY | O_CREAT, 0600));
		symlinkat("home", directory, "link-home");
		close(openat(directory, "etc/shadow", O_WRONLY | O_CREAT, 0600));
		close(openat(directory, "secret", O_WRONLY | O_CREAT, 0600));
		linkat(directory, "secret", directory, "etc/alias", 0);
		close(directory);
	}
	snprintf(path, sizeof(path), "%s", share);
	p9_client_init_on(client, path, false, hide);
	p9_client_attach(client);
	*state = client;
	return 0;
}

static int setup(void **state) {
	return setup_share(state, NULL);
}

static int setup_hidden(void **state) {
	return setup_share(state, hidden);
}

static int teardown(void **state) {
	char prize[128];
	snprintf(prize, sizeof(prize), "%s/prize", outside);
	int fd = open(prize, O_RDONLY | O_CLOEXEC);
	char data[8];
	assert_int_equal(read(fd, data, sizeof(data)), 5); /* untouched */
	close(fd);
	unlink(prize);
	assert_int_equal(rmdir(outside), 0); /* and nothing was put beside it */
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static uint64_t parent_inode(struct p9_client *c) {
	struct stat stat;
	assert_int_equal(fstatat(c->directory_fd, "..", &stat, 0), 0);
	return stat.st_ino;
}

static void test_dotdot(void **state) {
	struct p9_client *c = *state;
	struct p9_client_stat root, stat;
	p9_host_make(c, "a", NULL);
	assert_int_equal(p9_stat(c, 0, &root), 0);
	static const char *const paths[] = {"..", "../..", "a/../..", "../../../../../../../.."};
	for (uint32_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(p9_walk(c, 0, 10 + i, paths[i]), 0);
		assert_int_equal(p9_stat(c, 10 + i, &stat), 0);
		assert_true(stat.qid_path == root.qid_path);
		assert_true(stat.qid_path != parent_inode(c));
	}
	/* Paths in one name. */
	static const char *const names[] = {"../prize", "a/../../x", "/etc/passwd", "..\0x", "a/", "./a"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(p9_call(c, P9_TWALK, "wwhS", 0, 9, 1, names[i],
					 (size_t)(i == 3 ? 4 : strlen(names[i]))),
			EINVAL);
	}
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "a", 0, "../moved"), EINVAL);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "a", 0, ".."), EINVAL);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 0, "..", 0x200), EINVAL);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", 0, 0, "../link"), EINVAL);
}

/* The last word on names, whoever has checked them before: an entry of the directory itself or nothing. */
static void test_entries(void **state) {
	struct p9_client *c = *state;
	static const char *const names[] = {"", ".", "..", "/", "../prize", "a/..", "a/b", "/etc/passwd"};
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(p9_host_open_child(c->directory_fd, names[i]), -EINVAL);
	}
	int fd = p9_host_open_child(c->directory_fd, "a");
	assert_true(fd >= 0);
	close(fd);
}

/* Links to outside, of every length and depth: never followed, whatever is asked of them. */
static void test_symlinks(void **state) {
	struct p9_client *c = *state;
	char relative[128];
	snprintf(relative, sizeof(relative), "..%s", outside + 4);
	const char *const targets[] = {outside, relative, "/", "..", "/proc/self/root", "/proc/self/fd/0"};
	for (uint32_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		uint32_t fid = 10 + i;
		char name[8];
		snprintf(name, sizeof(name), "l%u", i);
		assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 0, name, targets[i], 0), 0);
		assert_int_equal(p9_walk(c, 0, fid, name), 0);
		assert_int_equal(p9_walk(c, fid, 50, "prize"), ENOTDIR);
		assert_int_equal(p9_walk(c, fid, 50, ".."), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TWALK, "wwhss", 0, 50, 2, name, "prize"), 0);
		assert_int_equal(p9_u16(c), 1); /* the link, not beyond */
		assert_int_equal(p9_open(c, fid, 0), ELOOP);
		assert_int_equal(p9_create(c, fid, "new", RDWR, 0600), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", fid, "new", 0755, 0), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", fid, "new", "x", 0), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", fid, "prize", 0), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", fid, "prize", 0, "mine"), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, name, fid, "new"), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TLINK, "wws", fid, 0, "new"), ENOTDIR);
		assert_int_equal(p9_call(c, P9_TXATTRWALK, "wws", fid, 50, "user.x"), ENODATA);
		/* Attributes of the link, not of where it leads. */
		assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", fid, 1, 0777, 0, 0, UINT64_C(0),
					 UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0)),
			EOPNOTSUPP);
		assert_int_equal(p9_call(c, P9_TSETATTR, "wwwwwqqqqq", fid, 8, 0, 0, 0, UINT64_C(0),
					 UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0)),
			EINVAL);
		/* Creating over one: the link is met, not followed. */
		assert_int_equal(p9_walk(c, 0, 60 + i, ""), 0);
		assert_int_equal(p9_create(c, 60 + i, name, RDWR, 0600), ELOOP);
	}
	char path[128];
	snprintf(path, sizeof(path), "%s/created", outside);
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", 0, "dangling", path, 0), 0);
	assert_int_equal(p9_walk(c, 0, 70, ""), 0);
	assert_int_equal(p9_create(c, 70, "dangling", RDWR, 0600), ELOOP);
	assert_int_equal(p9_create(c, 70, "dangling", RDWR | 0200, 0600), EEXIST);
}

/* A directory the guest has walked into becomes a link to outside, under its feet. */
static void test_swapped_parent(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "a"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "a/b"), 0);
	assert_int_equal(renameat(c->directory_fd, "a", c->directory_fd, "old"), 0);
	assert_int_equal(symlinkat(outside, c->directory_fd, "a"), 0);
	assert_int_equal(p9_walk(c, 1, 3, "prize"), ENOENT);
	assert_int_equal(p9_walk(c, 0, 3, "a/prize"), ENOENT);
	assert_int_equal(p9_walk(c, 2, 3, "../prize"), ENOENT);
	assert_int_equal(p9_create(c, 2, "file", RDWR, 0600), 0);
	assert_true(p9_host_has(c, "old/b/file", ""));
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 1), ESTALE);
}

/* What others have put into the share: devices, sockets and fifos are seen and never opened. */
static void test_special_files(void **state) {
	struct p9_client *c = *state;
	char path[128];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(path, sizeof(path), "%s/socket", c->directory);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(mkfifoat(c->directory_fd, "fifo", 0666), 0);
	static const char *const names[] = {"socket", "fifo"};
	for (uint32_t i = 0; i < 2; i++) {
		struct p9_client_stat stat;
		assert_int_equal(p9_walk(c, 0, 10 + i, names[i]), 0);
		assert_int_equal(p9_stat(c, 10 + i, &stat), 0);
		for (uint32_t flags = 0; flags < 3; flags++) {
			assert_int_equal(p9_open(c, 10 + i, flags), EACCES);
		}
		assert_int_equal(p9_call(c, P9_TXATTRWALK, "wws", 10 + i, 50, "user.x"), ENODATA);
	}
	close(fd);
	/* A device: the host's own /dev as a share. */
	struct p9_client devices;
	p9_client_init_on(&devices, "/dev", false, NULL);
	p9_client_attach(&devices);
	assert_int_equal(p9_walk(&devices, 0, 1, "null"), 0);
	for (uint32_t flags = 0; flags < 3; flags++) {
		assert_int_equal(p9_open(&devices, 1, flags), EACCES);
	}
	assert_int_equal(p9_walk(&devices, 0, 2, ""), 0);
	assert_int_equal(p9_create(&devices, 2, "null", RDWR, 0600), EACCES);
	p9_client_finish(&devices);
}

/* Magic links lead anywhere, and O_NOFOLLOW does not stop them in the middle of a path. */
static void test_magic_links(void **state) {
	(void)state;
	struct p9_client proc;
	p9_client_init_on(&proc, "/proc", false, NULL);
	p9_client_attach(&proc);
	char pid[16], path[64];
	snprintf(pid, sizeof(pid), "%d", getpid());
	static const char *const links[] = {"root", "cwd", "exe"};
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", pid, links[i]);
		assert_int_equal(p9_walk(&proc, 0, 10 + i, path), 0);
		assert_int_equal(p9_open(&proc, 10 + i, 0), ELOOP);
		assert_int_equal(p9_walk(&proc, 10 + i, 50, "etc"), ENOTDIR);
	}
	snprintf(path, sizeof(path), "%s/root/etc/passwd", pid);
	assert_int_equal(p9_walk(&proc, 0, 50, path), ENOENT);
	p9_client_finish(&proc);
}

static bool listed(struct p9_client *c, const char *path, const char *name) {
	assert_int_equal(p9_walk_open(c, 90, path, 0), 0);
	assert_int_equal(p9_call(c, P9_TREADDIR, "wqw", 90, UINT64_C(0), 100000), 0);
	bool found = false;
	for (uint32_t left = p9_u32(c); left > 0;) {
		p9_bytes(c, 13 + 8 + 1);
		const char *entry = p9_str(c);
		left -= 24 + (uint32_t)strlen(entry);
		found = found || strcmp(entry, name) == 0;
	}
	assert_int_equal(p9_clunk(c, 90), 0);
	return found;
}

static void check_hidden(struct p9_client *c, uint32_t fid, const char *name) {
	assert_int_equal(p9_walk(c, fid, 50, name), ENOENT);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", fid, name, 0755, 0), EPERM);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", fid, name, 0), EPERM);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", fid, name, 0, "mine"), ENOENT);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "free", fid, name), EPERM);
	assert_int_equal(p9_walk(c, fid, 51, ""), 0);
	assert_int_equal(p9_create(c, 51, name, RDWR, 0600), EPERM);
	assert_int_equal(p9_clunk(c, 51), 0);
}

static void test_hidden(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "free", "");
	assert_int_equal(p9_walk(c, 0, 1, "etc"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "home"), 0);
	check_hidden(c, 0, "secret");
	check_hidden(c, 0, "tree");
	check_hidden(c, 1, "shadow");
	check_hidden(c, 2, "other");
	assert_false(listed(c, "", "secret"));
	assert_false(listed(c, "", "tree"));
	assert_false(listed(c, "etc", "shadow"));
	assert_false(listed(c, "home", "other"));
	assert_true(listed(c, "home", "mine"));
	/* The same file by another name. */
	assert_int_equal(p9_walk(c, 1, 50, "alias"), ENOENT);
	assert_false(listed(c, "etc", "alias"));
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 1, "alias", 0, "mine"), ENOENT);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 1, "alias", 0), ENOENT);
	/* Another file in its place, as passwd(1) makes one. */
	p9_host_make(c, "etc/shadow-", "new");
	assert_int_equal(renameat(c->directory_fd, "etc/shadow-", c->directory_fd, "etc/shadow"), 0);
	assert_int_equal(p9_walk(c, 1, 50, "shadow"), ENOENT);
	assert_false(listed(c, "etc", "shadow"));
}

/* A name on the way to what is hidden, in a directory that fid stands for, stays what it is. */
static void check_kept(struct p9_client *c, uint32_t fid, const char *name) {
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", fid, name, 0, "mine"), EBUSY);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "empty", fid, name), EBUSY);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", fid, name, 0), EBUSY);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", fid, name, 0x200), EBUSY);
	assert_int_equal(p9_walk(c, fid, 50, name), 0);
	assert_int_equal(p9_call(c, P9_TRENAME, "wws", 50, 0, "mine"), EBUSY);
	assert_int_equal(p9_call(c, P9_TREMOVE, "w", 50), EBUSY);
}

/* Where a link would lead elsewhere what the host writes there, directories may be made again. */
static void check_remade(struct p9_client *c, uint32_t fid, const char *name) {
	assert_int_equal(p9_call(c, P9_TSYMLINK, "wssw", fid, name, "mine", 0), EBUSY);
	assert_int_equal(p9_call(c, P9_TMKNOD, "wswwww", fid, name, S_IFREG | 0600, 0, 0, 0), EBUSY);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "empty", fid, name), EBUSY);
	assert_int_equal(p9_walk(c, 0, 50, "free"), 0);
	assert_int_equal(p9_call(c, P9_TLINK, "wws", fid, 50, name), EBUSY);
	assert_int_equal(p9_clunk(c, 50), 0);
	assert_int_equal(p9_walk(c, fid, 50, ""), 0);
	assert_int_equal(p9_create(c, 50, name, RDWR, 0600), EBUSY);
	assert_int_equal(p9_clunk(c, 50), 0);
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", fid, name, 0755, 0), 0);
}

/* The guest cannot put another directory, or a link, where the host will look for what is hidden. */
static void test_hidden_way(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "free", "");
	p9_host_make(c, "empty", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "a"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "a/b"), 0);
	check_kept(c, 0, "etc");
	check_kept(c, 0, "link-home");
	check_kept(c, 0, "a");
	check_kept(c, 1, "b");
	check_hidden(c, 2, "deep");
	/* Beside it everything goes on. */
	assert_int_equal(p9_call(c, P9_TMKDIR, "wsww", 2, "beside", 0755, 0), 0);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 2, "beside", 0, "mine"), 0);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 0, "mine", 0x200), 0);
	/* The host removes it all. */
	assert_int_equal(unlinkat(c->directory_fd, "a/b/deep", 0), 0);
	assert_int_equal(unlinkat(c->directory_fd, "a/b", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(c->directory_fd, "a", AT_REMOVEDIR), 0);
	check_remade(c, 0, "a");
	assert_int_equal(p9_walk(c, 0, 3, "a"), 0);
	check_remade(c, 3, "b");
	assert_int_equal(p9_walk(c, 0, 4, "a/b"), 0);
	check_hidden(c, 4, "deep");
	p9_host_make(c, "a/b/deep", "new");
	check_hidden(c, 4, "deep");
	check_kept(c, 0, "a");
	check_kept(c, 3, "b");
}

/* Whatever the host moves and replaces on the way, the path is hidden, and so is what was hidden first. */
static void test_hidden_moved(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "free", "");
	assert_int_equal(p9_walk(c, 0, 1, "a"), 0);
	assert_int_equal(p9_walk(c, 0, 2, "a/b"), 0);
	assert_int_equal(renameat(c->directory_fd, "a", c->directory_fd, "old"), 0);
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "a/b", NULL);
	p9_host_make(c, "a/b/deep", "new");
	assert_int_equal(p9_walk(c, 0, 3, "a/b"), 0);
	check_hidden(c, 3, "deep");
	assert_false(listed(c, "a/b", "deep"));
	assert_int_equal(p9_walk(c, 0, 4, "old/b"), 0);
	check_hidden(c, 4, "deep");
	assert_false(listed(c, "old/b", "deep"));
	/* By handles from before, too. */
	check_hidden(c, 2, "deep");
	assert_int_equal(p9_walk(c, 1, 50, "b/deep"), ENOENT);
	assert_int_equal(renameat(c->directory_fd, "old/b/deep", c->directory_fd, "moved"), 0);
	assert_int_equal(p9_walk(c, 0, 50, "moved"), ENOENT);
	assert_false(listed(c, "", "moved"));
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "free", 0, "moved"), EPERM);
	/* By another name there, as where case does not count. */
	p9_host_make(c, "a/b/fresh", "fresh");
	assert_int_equal(linkat(c->directory_fd, "a/b/fresh", c->directory_fd, "a/b/Deep", 0), 0);
	assert_int_equal(renameat(c->directory_fd, "a/b/fresh", c->directory_fd, "a/b/deep"), 0);
	assert_int_equal(p9_walk(c, 3, 50, "Deep"), ENOENT);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 0, "free", 3, "Deep"), EPERM);
	assert_int_equal(p9_call(c, P9_TRENAMEAT, "wsws", 3, "Deep", 0, "mine"), ENOENT);
	assert_int_equal(p9_call(c, P9_TUNLINKAT, "wsw", 3, "Deep", 0), ENOENT);
	/* A new file may be given the number that a hidden one had. */
	assert_int_equal(unlinkat(c->directory_fd, "moved", 0), 0);
	for (unsigned i = 0; i < 8; i++) {
		char name[8];
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(p9_walk(c, 0, 50, ""), 0);
		assert_int_equal(p9_create(c, 50, name, RDWR, 0600), 0);
		assert_int_equal(p9_clunk(c, 50), 0);
		assert_true(listed(c, "", name));
	}
}

/* ---- the race ---- */

static atomic_bool racing;

static long race_tries(void) {
	const char *wanted = getenv("P9_RACE_TRIES");
	return wanted != NULL ? atol(wanted) : 2000;
}

static void *swap(void *data) {
	struct p9_client *c = data;
	while (atomic_load(&racing)) {
		renameat(c->directory_fd, "dir", c->directory_fd, "parked");
		renameat(c->directory_fd, "link", c->directory_fd, "dir");
		renameat(c->directory_fd, "dir", c->directory_fd, "link");
		renameat(c->directory_fd, "parked", c->directory_fd, "dir");
	}
	return NULL;
}

static void test_race(void **state) {
	struct p9_client *c = *state;
	long tries = race_tries(), met_link = 0, met_directory = 0, wrong = 0;
	pthread_t thread;
	c->reply_room = 8192; /* less to clear for each reply */
	p9_host_make(c, "dir", NULL);
	p9_host_make(c, "dir/inside", "x");
	assert_int_equal(symlinkat(outside, c->directory_fd, "link"), 0);
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, swap, c), 0);
	for (long i = 0; i < tries; i++) {
		int ret = p9_walk(c, 0, 1, "dir/prize");
		wrong += ret != ENOENT;
		switch (p9_walk(c, 0, 1, "dir")) {
		case 0:
			ret = p9_walk(c, 1, 2, "prize");
			wrong += ret != ENOENT && ret != ENOTDIR;
			met_directory += p9_walk(c, 1, 3, "inside") == 0 && p9_clunk(c, 3) == 0;
			met_link += p9_call(c, P9_TREADLINK, "w", 1) == 0;
			if (p9_create(c, 1, "new", RDWR, 0600) == 0) {
				p9_call(c, P9_TREMOVE, "w", 1);
			} else {
				assert_int_equal(p9_clunk(c, 1), 0);
			}
			break;
		case ENOENT:
			break;
		default:
			wrong++;
			break;
		}
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
	/* The race was one: both were met. */
	assert_true(met_link > 0 && met_directory > 0);
}

static void *move(void *data) {
	struct p9_client *c = data;
	while (atomic_load(&racing)) {
		renameat(c->directory_fd, "a/dir", c->directory_fd, "b/dir");
		renameat(c->directory_fd, "b/dir", c->directory_fd, "a/dir");
	}
	return NULL;
}

static void *come_and_go(void *data) {
	struct p9_client *c = data;
	while (atomic_load(&racing)) {
		close(openat(c->directory_fd, "lock", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
		unlinkat(c->directory_fd, "lock", 0);
	}
	return NULL;
}

/* A file that others make and remove all the time is opened, or made: O_CREAT knows no ENOENT. */
static void test_race_of_makers(void **state) {
	struct p9_client *c = *state;
	long tries = race_tries(), wrong = 0;
	pthread_t thread;
	c->reply_room = 8192;
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, come_and_go, c), 0);
	for (long i = 0; i < tries; i++) {
		assert_int_equal(p9_walk(c, 0, 1, ""), 0);
		wrong += p9_create(c, 1, "lock", RDWR, 0600) != 0;
		assert_int_equal(p9_clunk(c, 1), 0);
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
}

/* A directory that leaves the one it is looked up in: it was there or it was not. */
static void test_race_between_directories(void **state) {
	struct p9_client *c = *state;
	long tries = race_tries(), wrong = 0;
	pthread_t thread;
	c->reply_room = 8192;
	p9_host_make(c, "a", NULL);
	p9_host_make(c, "b", NULL);
	p9_host_make(c, "a/dir", NULL);
	assert_int_equal(p9_walk(c, 0, 1, "a"), 0);
	atomic_store(&racing, true);
	assert_int_equal(pthread_create(&thread, NULL, move, c), 0);
	for (long i = 0; i < tries; i++) {
		int ret = p9_walk(c, 1, 2, "dir");
		wrong += ret == 0 ? p9_clunk(c, 2) != 0 : ret != ENOENT;
	}
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dotdot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symlinks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_swapped_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_special_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_magic_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden, setup_hidden, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_way, setup_hidden, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_moved, setup_hidden, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race_between_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race_of_makers, setup, teardown),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 escapes", tests, NULL, NULL);
}
