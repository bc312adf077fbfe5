/*
 * What a POSIX file system does, asked of the one that the working directory lies on. Run in the guest on a
 * share; prints TAP. Needs nothing else and leaves nothing behind.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int number;

static void check_at(int line, bool good, const char *what) {
	int error = errno;
	number++;
	printf("%s %d - %s\n", good ? "ok" : "not ok", number, what);
	if (!good) {
		printf("#   line %d, errno %d (%s)\n", line, error, strerror(error));
	}
	errno = 0;
}
#define check(good, what) check_at(__LINE__, (good), (what))
#define fails(call, error, what) check_at(__LINE__, (call) < 0 && errno == (error), (what))

static int make(const char *name, const char *content) {
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, content, strlen(content)) != (ssize_t)strlen(content)) {
		perror(name);
	}
	return fd;
}

static bool holds(const char *name, const char *content) {
	char data[256];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, data, sizeof(data));
	close(fd);
	return n == (ssize_t)strlen(content) && memcmp(data, content, (size_t)n) == 0;
}

static struct stat attributes(const char *name) {
	struct stat stat = {0};
	if (lstat(name, &stat) < 0) {
		stat.st_nlink = 0;
	}
	return stat;
}

static void test_open(void) {
	close(make("file", "0123456789"));
	check(holds("file", "0123456789"), "what was written is read");
	fails(open("none", O_RDONLY), ENOENT, "open: ENOENT");
	fails(open("file", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST, "O_EXCL: EEXIST");
	fails(open("file/x", O_RDONLY), ENOTDIR, "open: ENOTDIR");
	fails(open(".", O_WRONLY), EISDIR, "open a directory for writing: EISDIR");
	fails(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY: ENOTDIR");
	int fd = open("file", O_WRONLY | O_TRUNC);
	check(fd >= 0 && attributes("file").st_size == 0, "O_TRUNC");
	close(fd);
	int a = open("file", O_WRONLY | O_APPEND), b = open("file", O_RDWR | O_APPEND);
	bool written = true;
	for (int i = 0; i < 5; i++) {
		written = written && write(a, "a", 1) == 1 && write(b, "b", 1) == 1;
	}
	close(a);
	close(b);
	check(written && holds("file", "ababababab"), "O_APPEND by two");
	fd = open("file", O_RDONLY);
	fails(write(fd, "x", 1), EBADF, "write without the right: EBADF");
	close(fd);
	unlink("file");
}

static void test_sizes(void) {
	int fd = make("large", "");
	const off_t far = (off_t)5 << 30;
	char data[16] = {0};
	check(pwrite(fd, "far", 3, far) == 3 && fsync(fd) == 0, "write beyond 4 GiB");
	check(attributes("large").st_size == far + 3, "its size");
	check(attributes("large").st_blocks < 4096, "the hole takes nothing");
	check(pread(fd, data, sizeof(data), far - 4) == 7 && memcmp(data, "\0\0\0\0far", 7) == 0,
		"read it back");
	check(pread(fd, data, 1, 1 << 20) == 1 && data[0] == 0, "the hole reads zero");
	check(ftruncate(fd, 10) == 0 && pread(fd, data, 16, 0) == 10, "truncate");
	check(ftruncate(fd, 100) == 0 && attributes("large").st_size == 100, "extend");
	check(pread(fd, data, 16, 90) == 10 && data[9] == 0, "zeroes behind");
	check(truncate("large", 0) == 0 && attributes("large").st_size == 0, "truncate by name");
	close(fd);
	unlink("large");
}

static void test_unlinked(void) {
	int fd = make("gone", "hello");
	struct stat stat;
	char data[8];
	check(unlink("gone") == 0 && fstat(fd, &stat) == 0 && stat.st_nlink == 0 && stat.st_size == 5,
		"fstat without a name");
	check(pwrite(fd, "HE", 2, 0) == 2 && pread(fd, data, 8, 0) == 5 && memcmp(data, "HEllo", 5) == 0,
		"read and write without a name");
	check(ftruncate(fd, 2) == 0 && fchmod(fd, 0600) == 0 && fsync(fd) == 0, "ftruncate, fchmod, fsync");
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
	check(futimens(fd, times) == 0 && fstat(fd, &stat) == 0 && stat.st_size == 2 && stat.st_mtime == 2,
		"futimens without a name");
	int other = make("gone", "other");
	check(fstat(fd, &stat) == 0 && stat.st_size == 2, "another file of the name is another file");
	close(other);
	close(fd);
	unlink("gone");
	mkdir("empty", 0755);
	fd = open("empty", O_RDONLY | O_DIRECTORY);
	check(rmdir("empty") == 0 && fstat(fd, &stat) == 0, "a removed directory that is open");
	close(fd);
	close(make("gone", "hello"));
	fd = open("gone", O_PATH);
	check(unlink("gone") == 0 && fstat(fd, &stat) == 0 && stat.st_nlink == 0,
		"fstat by O_PATH without a name");
	close(fd);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	mkdir("empty", 0755);
	check(chdir("empty") == 0 && rmdir("../empty") == 0 && lstat(".", &stat) == 0,
		"a removed working directory");
	check(fchdir(fd) == 0, "leave it");
	close(fd);
}

static void test_names(void) {
	char longest[NAME_MAX + 2];
	memset(longest, 'n', sizeof(longest));
	longest[NAME_MAX + 1] = '\0';
	fails(open(longest, O_CREAT, 0600), ENAMETOOLONG, "a name of 256 bytes");
	longest[NAME_MAX] = '\0';
	close(make(longest, "x"));
	check(holds(longest, "x") && unlink(longest) == 0, "a name of 255 bytes");
	close(make("\xff\xfe \n\x01\\", "bytes"));
	check(holds("\xff\xfe \n\x01\\", "bytes") && unlink("\xff\xfe \n\x01\\") == 0, "names are bytes");
	check(mkdir("dir", 0750) == 0 && (attributes("dir").st_mode & 07777) == 0750, "mkdir");
	fails(mkdir("dir", 0755), EEXIST, "mkdir: EEXIST");
	close(make("dir/file", "x"));
	fails(rmdir("dir"), ENOTEMPTY, "rmdir: ENOTEMPTY");
	fails(unlink("dir"), EISDIR, "unlink a directory: EISDIR");
	fails(rmdir("dir/file"), ENOTDIR, "rmdir a file: ENOTDIR");
	check(symlink("dir/file", "link") == 0 && holds("link", "x"), "a symbolic link");
	check(symlink("dir", "dirlink") == 0 && holds("dirlink/file", "x"), "through one");
	char target[PATH_MAX];
	check(readlink("link", target, sizeof(target)) == 8, "readlink");
	fails(readlink("dir", target, sizeof(target)), EINVAL, "readlink of a directory: EINVAL");
	check(unlink("dirlink") == 0 && attributes("dir").st_nlink > 0, "unlink a link to a directory");
	check(symlink("link2", "link2") == 0, "a link to itself");
	fails(open("link2", O_RDONLY), ELOOP, "ELOOP");
	unlink("link2");
	unlink("link");
	unlink("dir/file");
	check(rmdir("dir") == 0, "rmdir");
}

static void test_links(void) {
	close(make("one", "x"));
	check(link("one", "two") == 0 && attributes("one").st_nlink == 2 &&
			attributes("one").st_ino == attributes("two").st_ino,
		"a hard link");
	fails(link("one", "two"), EEXIST, "link: EEXIST");
	fails(link(".", "three"), EPERM, "link a directory: EPERM");
	int one = open("one", O_RDWR | O_CLOEXEC), two = open("two", O_RDONLY | O_CLOEXEC);
	char *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, two, 0);
	check(map != MAP_FAILED && *map == 'x' && pwrite(one, "y", 1, 0) == 1 && *map == 'y',
		"two names, one file");
	munmap(map, 1);
	check(rename("one", "two") == 0 && attributes("one").st_nlink == 2, "rename to itself");
	check(ftruncate(one, 0) == 0 && pwrite(one, "x", 1, 0) == 1 && holds("two", "x"),
		"cut by its other name");
	close(one);
	close(two);
	check(unlink("one") == 0 && attributes("two").st_nlink == 1 && holds("two", "x"), "one of two");
	unlink("two");
}

/* Whether the file that is watched tells of just this, now. */
static bool told(int watch, uint32_t mask) {
	struct inotify_event events[4];
	ssize_t n = read(watch, events, sizeof(events));
	return n == sizeof(events[0]) && events[0].mask == mask;
}

static void test_watch(void) {
	close(make("watched", "x"));
	link("watched", "second");
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	inotify_add_watch(watch, "watched", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
	int fd = open("watched", O_WRONLY | O_CLOEXEC);
	check(write(fd, "y", 1) == 1 && told(watch, IN_MODIFY), "a watched file: written");
	close(fd);
	check(chmod("watched", 0600) == 0 && told(watch, IN_ATTRIB), "its mode");
	fd = open("second", O_WRONLY | O_CLOEXEC);
	check(write(fd, "z", 1) == 1 && told(watch, IN_MODIFY), "by another name");
	close(fd);
	check(unlink("watched") == 0 && told(watch, IN_ATTRIB), "one name less");
	check(unlink("second") == 0 && read(watch, (char[256]){0}, 256) > 0, "and gone");
	close(watch);
}

static void test_rename(void) {
	int old = make("target", "old");
	close(make("source", "new"));
	char data[8];
	check(rename("source", "target") == 0 && holds("target", "new"), "rename over");
	check(pread(old, data, 8, 0) == 3 && memcmp(data, "old", 3) == 0, "the open one still is");
	close(old);
	mkdir("a", 0755);
	mkdir("a/b", 0755);
	close(make("a/b/file", "x"));
	int fd = open("a/b/file", O_RDWR);
	check(rename("a/b", "moved") == 0 && holds("moved/file", "x"), "rename a directory");
	check(pwrite(fd, "y", 1, 0) == 1 && close(fd) == 0 && holds("moved/file", "y"),
		"a file open beneath");
	fails(rename("a", "a/c"), EINVAL, "beneath itself: EINVAL");
	fails(rename("none", "x"), ENOENT, "rename: ENOENT");
	fails(rename("target", "a"), EISDIR, "a file over a directory: EISDIR");
	fails(rename("a", "target"), ENOTDIR, "a directory over a file: ENOTDIR");
	fails(rename("a", "moved"), ENOTEMPTY, "over a full directory: ENOTEMPTY");
	check(unlink("moved/file") == 0 && rename("a", "moved") == 0, "over an empty directory");
	check(rmdir("moved") == 0 && unlink("target") == 0, "and away");
}

static void test_attributes(void) {
	close(make("file", "x"));
	check(chmod("file", 0741) == 0 && (attributes("file").st_mode & 07777) == 0741, "chmod");
	struct timespec times[2] = {
		{.tv_sec = 1000000001, .tv_nsec = 123456789}, {.tv_sec = 5000000000, .tv_nsec = 1}};
	check(utimensat(AT_FDCWD, "file", times, 0) == 0, "utimensat");
	struct stat stat = attributes("file");
	check(stat.st_atim.tv_sec == 1000000001 && stat.st_mtim.tv_sec == 5000000000, "times beyond 2038");
	check(stat.st_atim.tv_nsec == 123456789 && stat.st_mtim.tv_nsec == 1, "times to the nanosecond");
	check(symlink("file", "link") == 0 && utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0 &&
			attributes("link").st_mtim.tv_sec == 5000000000,
		"those of a link");
	unlink("link");
	check(chown("file", stat.st_uid, stat.st_gid) == 0, "chown to the owner");
	fails(chown("file", stat.st_uid + 1, -1), EPERM, "chown to another: EPERM");
	chmod("file", 06755);
	check((attributes("file").st_mode & 06000) == 0, "no set-id bit");
	mode_t mask = umask(0);
	int fd = open("wide", O_CREAT | O_RDWR, 0666);
	check((attributes("wide").st_mode & 0777) == 0666, "umask 0 is the guest's to have");
	umask(027);
	close(fd);
	fd = open("narrow", O_CREAT | O_RDWR, 0666);
	check((attributes("narrow").st_mode & 0777) == 0640, "umask 027");
	close(fd);
	umask(mask);
	fd = open("unreadable", O_CREAT | O_RDWR, 0);
	check(fd >= 0 && write(fd, "x", 1) == 1, "created without rights, open nevertheless");
	close(fd);
	struct statvfs fs;
	check(statvfs(".", &fs) == 0 && fs.f_blocks > 0 && fs.f_namemax == 255, "statvfs");
	unlink("wide");
	unlink("narrow");
	unlink("unreadable");
	unlink("file");
}

static void test_special(void) {
	check(mkfifo("fifo", 0600) == 0 && S_ISFIFO(attributes("fifo").st_mode), "mkfifo");
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open("fifo", O_WRONLY);
		_exit(write(fd, "through", 7) != 7);
	}
	int fd = open("fifo", O_RDONLY);
	char data[16];
	check(read(fd, data, sizeof(data)) == 7 && memcmp(data, "through", 7) == 0, "through it");
	close(fd);
	waitpid(pid, NULL, 0);
	unlink("fifo");
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(server, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(server, 1) == 0,
		"bind");
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	close(client);
	/* How ssh makes the socket that others share a connection by. */
	check(link("socket", "named") == 0 && unlink("socket") == 0, "link a socket");
	strcpy(address.sun_path, "named");
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0,
		"connect by its other name");
	close(server);
	close(client);
	unlink("named");
	check(mknod("null", S_IFCHR | 0666, makedev(1, 3)) < 0 && errno == EPERM, "a device: EPERM");
}

static void test_mmap(void) {
	const size_t size = 3 * 4096 + 100;
	int fd = make("map", "");
	ftruncate(fd, (off_t)size);
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(map != MAP_FAILED, "mmap, shared and writable");
	if (map == MAP_FAILED) {
		return;
	}
	memset(map, 'm', size);
	check(msync(map, size, MS_SYNC) == 0, "msync");
	char data[8];
	check(pread(fd, data, 8, (off_t)size - 4) == 4 && data[3] == 'm', "read sees it");
	check(pwrite(fd, "pwrite", 6, 5000) == 6 && memcmp(map + 5000, "pwrite", 6) == 0,
		"the map sees a write");
	char *private = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	private[0] = 'p';
	check(map[0] == 'm', "a private map is private");
	munmap(private, size);
	munmap(map, size);
	close(fd);
	fd = open("map", O_RDONLY);
	check(pread(fd, data, 6, 5000) == 6 && memcmp(data, "pwrite", 6) == 0, "after all is closed");
	close(fd);
	unlink("map");
}

static bool lock_as_another(short type, off_t start, off_t len) {
	pid_t pid = fork();
	if (pid == 0) {
		struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
		int fd = open("lock", O_RDWR);
		_exit(fcntl(fd, F_SETLK, &lock) < 0 ? 1 : 0);
	}
	int status;
	waitpid(pid, &status, 0);
	return status == 0;
}

/* What another process is told to be in the way of a lock: its type, or F_UNLCK. */
static int in_the_way(short type) {
	pid_t pid = fork();
	if (pid == 0) {
		struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
		int fd = open("lock", O_RDWR);
		_exit(fcntl(fd, F_GETLK, &lock) < 0 ? 100 : lock.l_type);
	}
	int status;
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void test_getlock(void) {
	int fd = make("lock", "x");
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	check(fcntl(fd, F_SETLK, &lock) == 0 && in_the_way(F_WRLCK) == F_RDLCK, "F_GETLK: a reader");
	check(in_the_way(F_RDLCK) == F_UNLCK, "which is not in the way of another");
	lock.l_type = F_WRLCK;
	check(fcntl(fd, F_SETLK, &lock) == 0 && in_the_way(F_RDLCK) == F_WRLCK, "a writer is");
	close(fd);
	unlink("lock");
}

static void test_locks(void) {
	int fd = make("lock", "x"), other = open("lock", O_RDWR);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
	check(fcntl(fd, F_SETLK, &lock) == 0, "F_SETLK");
	check(!lock_as_another(F_RDLCK, 15, 1) && lock_as_another(F_WRLCK, 20, 10),
		"against another process");
	lock.l_type = F_UNLCK;
	check(fcntl(other, F_SETLK, &lock) == 0 && lock_as_another(F_WRLCK, 0, 0),
		"released by another descriptor");
	lock.l_type = F_WRLCK;
	fcntl(fd, F_SETLK, &lock);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int mine = open("lock", O_RDWR);
		alarm(30);
		_exit(fcntl(mine, F_SETLKW, &wanted) < 0);
	}
	usleep(200000);
	int status = -1;
	check(waitpid(pid, &status, WNOHANG) == 0, "F_SETLKW waits");
	close(other); /* POSIX: any close gives the locks up */
	check(waitpid(pid, &status, 0) == pid && status == 0, "and gets it");
	check(flock(fd, LOCK_EX) == 0, "flock");
	int third = open("lock", O_RDWR);
	fails(flock(third, LOCK_EX | LOCK_NB), EWOULDBLOCK, "flock: EWOULDBLOCK");
	check(flock(fd, LOCK_UN) == 0 && flock(third, LOCK_EX | LOCK_NB) == 0, "LOCK_UN");
	close(fd);
	close(third);
	unlink("lock");
}

static void test_directory(void) {
	char name[32];
	static int seen[200];
	mkdir("many", 0755);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	DIR *directory = opendir("many");
	int count = 0, dots = 0, twice = 0;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.') {
			dots++;
			continue;
		}
		count++;
		twice += seen[atoi(entry->d_name)]++ > 0;
		if (count % 2 == 0) {
			unlinkat(dirfd(directory), entry->d_name, 0);
		}
	}
	check(count == 200 && dots == 2 && twice == 0, "200 entries, every second removed while listed");
	rewinddir(directory);
	count = 0;
	while (readdir(directory) != NULL) {
		count++;
	}
	check(count == 102, "rewinddir");
	closedir(directory);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		unlink(name);
	}
	check(rmdir("many") == 0, "and away");
}

static void test_xattr(void) {
	char data[256];
	close(make("file", "x"));
	if (setxattr("file", "user.one", "first", 5, 0) < 0 && errno == EOPNOTSUPP) {
		printf("ok %d - extended attributes # skip the host's file system has none\n", ++number);
		unlink("file");
		return;
	}
	check(getxattr("file", "user.one", data, sizeof(data)) == 5 && memcmp(data, "first", 5) == 0,
		"setxattr");
	fails(setxattr("file", "user.one", "x", 1, XATTR_CREATE), EEXIST, "XATTR_CREATE: EEXIST");
	fails(setxattr("file", "user.two", "x", 1, XATTR_REPLACE), ENODATA, "XATTR_REPLACE: ENODATA");
	fails(getxattr("file", "user.two", data, sizeof(data)), ENODATA, "getxattr: ENODATA");
	fails(getxattr("file", "user.one", data, 2), ERANGE, "getxattr: ERANGE");
	check(setxattr("file", "user.empty", "", 0, 0) == 0 && getxattr("file", "user.empty", data, 256) == 0,
		"an empty value");
	check(listxattr("file", data, sizeof(data)) == 20, "listxattr");
	check(removexattr("file", "user.one") == 0 && getxattr("file", "user.one", data, 256) < 0,
		"removexattr");
	unlink("file");
}

static void test_many_open(void) {
	static int fds[200];
	int opened = 0;
	char name[32];
	for (; opened < 200; opened++) {
		snprintf(name, sizeof(name), "open%d", opened);
		fds[opened] = open(name, O_CREAT | O_RDWR, 0600);
		if (fds[opened] < 0) {
			break;
		}
	}
	check(opened == 200, "200 files open");
	bool good = true;
	for (int i = 0; i < opened; i++) {
		snprintf(name, sizeof(name), "open%d", i);
		good = good && write(fds[i], name, 5) == 5 && close(fds[i]) == 0 && unlink(name) == 0;
	}
	check(good, "written and gone");
}

static void interrupted(int signal) {
	(void)signal;
}

/* A signal is no reason to write less than all to a file, or nothing. */
static void test_signals(void) {
	const struct sigaction handler = {.sa_handler = interrupted}, fatal = {.sa_handler = SIG_DFL};
	const struct itimerval often = {{0, 1000}, {0, 1000}};
	const size_t size = 4 << 20;
	char *data = calloc(1, size);
	int fd = make("signals", "");
	ssize_t n = (ssize_t)size;
	sigaction(SIGALRM, &handler, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 25 && n == (ssize_t)size; i++) {
		n = pwrite(fd, data, size, 0);
	}
	int error = errno;
	alarm(300);
	sigaction(SIGALRM, &fatal, NULL);
	errno = error;
	check(n == (ssize_t)size, "writes amid signals are whole");
	close(fd);
	unlink("signals");
	free(data);
}

#define PIECE 4096
#define PIECES 40

/* In a process of its own: pieces of one letter to the end of the file. */
static pid_t append_pieces(const char *name, int flags, char letter) {
	static char piece[PIECE] __attribute__((aligned(PIECE)));
	pid_t pid = fork();
	if (pid == 0) {
		bool good = true;
		memset(piece, letter, sizeof(piece));
		int fd = open(name, O_WRONLY | O_APPEND | flags);
		for (int i = 0; i < PIECES; i++) {
			good = good && write(fd, piece, PIECE) == PIECE;
		}
		_exit(!good);
	}
	return pid;
}

static bool two_append(int flags) {
	int first, second, counts[2] = {0};
	char piece[PIECE];
	close(make("pieces", ""));
	pid_t pid = append_pieces("pieces", flags, 'a');
	waitpid(append_pieces("pieces", flags, 'b'), &second, 0);
	waitpid(pid, &first, 0);
	int fd = open("pieces", O_RDONLY);
	while (read(fd, piece, PIECE) == PIECE && (piece[0] == 'a' || piece[0] == 'b')) {
		counts[piece[0] == 'b'] += memcmp(piece, piece + 1, PIECE - 1) == 0;
	}
	close(fd);
	unlink("pieces");
	return first == 0 && second == 0 && counts[0] == PIECES && counts[1] == PIECES;
}

/* What is written to be safe at once, or past the cache, is what others read, map and write. */
static void test_synchronous(void) {
	const off_t size = (3 << 20) + 100;
	int file = make("safe", "");
	char data[16], *map;
	ftruncate(file, size);
	check(pread(file, data, 16, size - 8) == 8, "read the end of a file");
	int fd = open("safe", O_WRONLY | O_APPEND | O_SYNC);
	check(write(fd, "appended", 8) == 8 && pread(file, data, 16, size) == 8 &&
			memcmp(data, "appended", 8) == 0,
		"what is appended behind it with O_SYNC");
	close(fd);
	fd = open("safe", O_WRONLY | O_DSYNC);
	map = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	bool good = map != MAP_FAILED;
	for (char i = 1; i < 20 && good; i++) {
		map[0] = i;
		good = pwrite(fd, &i, 1, 1) == 1 && map[0] == i && map[1] == i;
	}
	check(good, "a map of what is written with O_DSYNC");
	munmap(map, PIECE);
	close(fd);
	close(file);
	unlink("safe");
	check(two_append(O_SYNC), "two append with O_SYNC");
	check(two_append(O_DIRECT), "two append with O_DIRECT");
}

int main(void) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(300);
	test_open();
	test_sizes();
	test_unlinked();
	test_names();
	test_links();
	test_watch();
	test_rename();
	test_attributes();
	test_special();
	test_mmap();
	test_locks();
	test_getlock();
	test_directory();
	test_xattr();
	test_many_open();
	test_signals();
	test_synchronous();
	printf("1..%d\n", number);
	return 0;
}
