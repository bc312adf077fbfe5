/*
 * What /dev/wl0 promises its programs, each call and each error, tried against wl_server.c on the host. Runs
 * in the guest; prints TAP.
 */
#define _GNU_SOURCE
#include "wl_client.h"

#include <linux/dma-buf.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Not known to the compiler */
static void *volatile nowhere = (void *)8;

static int mode_of(int fd) {
	return fcntl(fd, F_GETFL) & O_ACCMODE;
}

static uint32_t info_of(int vfd, uint64_t *size) {
	struct virtwl_ioctl_info info = {0};
	if (ioctl(vfd, VIRTWL_IOCTL_INFO, &info) < 0) {
		return 0;
	}
	*size = info.size;
	return info.flags;
}

/* ---- the device ---- */

static void test_device(void) {
	struct stat status;
	check(stat("/dev/wl0", &status) == 0 && S_ISCHR(status.st_mode) && (status.st_mode & 0777) == 0666,
		"/dev/wl0 is a character device for everybody");
	check(wl >= 0, "it opens");
	char data[16];
	fails(read(wl, data, 1), EINVAL, "it cannot be read");
	fails(ioctl(wl, VIRTWL_IOCTL_SEND, data), ENOTTY, "SEND is not for it: ENOTTY");
	fails(ioctl(wl, VIRTWL_IOCTL_RECV, data), ENOTTY, "RECV is not for it: ENOTTY");
	fails(ioctl(wl, _IO(VIRTWL_IOCTL_BASE, 0x7f), data), ENOTTY, "an unknown ioctl: ENOTTY");
}

static int new_with(uint32_t type, uint32_t flags, uint32_t size) {
	struct virtwl_ioctl_new new = {.type = type, .flags = flags, .size = size};
	return ioctl(wl, VIRTWL_IOCTL_NEW, &new);
}

static void test_new_errors(void) {
	fails(new_with(6, 0, 0), EINVAL, "NEW of an unknown type: EINVAL");
	fails(new_with(0xffffffff, 0, 0), EINVAL, "NEW of type 0xffffffff: EINVAL");
	fails(new_with(VIRTWL_IOCTL_NEW_CTX, 1, 0), EINVAL, "NEW with flags: EINVAL");
	fails(new_with(VIRTWL_IOCTL_NEW_ALLOC, 0, 0), EINVAL, "ALLOC of nothing: EINVAL");
	fails(ioctl(wl, VIRTWL_IOCTL_NEW, nowhere), EFAULT, "NEW without memory: EFAULT");
	fails(new_named("nobody"), ENODEV, "a name that nobody listens under: ENODEV");
	fails(ioctl(wl, _IOC(_IOC_READ | _IOC_WRITE, VIRTWL_IOCTL_BASE, 0, 12), nowhere), EFAULT,
		"a short NEW is looked at: EFAULT");
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_CTX};
	fails(ioctl(wl, _IOC(_IOC_READ | _IOC_WRITE, VIRTWL_IOCTL_BASE, 0, 12), &new), EINVAL,
		"a NEW too short: EINVAL");
}

/* The struct of 2017 */
struct old_new {
	uint32_t type;
	int32_t fd;
	uint32_t flags, size;
};
#define OLD_NEW _IOWR(VIRTWL_IOCTL_BASE, 0x00, struct old_new)

static void test_old_new(void) {
	struct old_new new[2] = {
		{.type = VIRTWL_IOCTL_NEW_ALLOC, .fd = -1, .size = 4096}, {.type = 0x55555555}};
	check(OLD_NEW == 0xc0107700 && ioctl(wl, OLD_NEW, new) == 0 && new[0].fd >= 0 &&
			new[1].type == 0x55555555,
		"the 16-byte NEW allocates");
	close(new[0].fd);
	new[0] = (struct old_new){.type = VIRTWL_IOCTL_NEW_CTX, .fd = -1};
	check(ioctl(wl, OLD_NEW, new) == 0 && new[0].fd >= 0, "the 16-byte NEW connects");
	close(new[0].fd);
	new[0].type = VIRTWL_IOCTL_NEW_DMABUF;
	fails(ioctl(wl, OLD_NEW, new), EINVAL, "the 16-byte NEW makes no dma-bufs: EINVAL");
	new[0].type = VIRTWL_IOCTL_NEW_CTX_NAMED;
	fails(ioctl(wl, OLD_NEW, new), EINVAL, "nor has it names: EINVAL");
}

static void test_files(void) {
	char path[32], link[64] = "";
	struct {
		uint32_t type, size;
		int mode;
		uint32_t info;
		const char *what;
	} kinds[] = {
		{VIRTWL_IOCTL_NEW_CTX, 0, O_RDWR, VIRTWL_INFO_READ | VIRTWL_INFO_WRITE, "a connection"},
		{VIRTWL_IOCTL_NEW_ALLOC, 5000, O_RDWR, VIRTWL_INFO_MEMORY, "memory"},
		{VIRTWL_IOCTL_NEW_PIPE_READ, 0, O_RDONLY, VIRTWL_INFO_READ, "a pipe to read"},
		{VIRTWL_IOCTL_NEW_PIPE_WRITE, 0, O_WRONLY, VIRTWL_INFO_WRITE, "a pipe to write"},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t size = 1;
		int vfd = new_vfd(kinds[i].type, kinds[i].size);
		uint32_t info = info_of(vfd, &size);
		check(vfd >= 0 && mode_of(vfd) == kinds[i].mode && fcntl(vfd, F_GETFD) == FD_CLOEXEC &&
				info == kinds[i].info && size == (kinds[i].size != 0 ? 8192 : 0),
			kinds[i].what);
		struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_CTX};
		fails(ioctl(vfd, VIRTWL_IOCTL_NEW, &new), ENOTTY, "NEW is for the device alone: ENOTTY");
		fails(lseek(vfd, 0, SEEK_END), ESPIPE, "no seeking: ESPIPE");
		snprintf(path, sizeof(path), "/proc/self/fd/%d", vfd);
		check(readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, "[virtwl_vfd]") != NULL,
			"its name is [virtwl_vfd]");
		close(vfd);
	}
}

/* ---- bytes ---- */

static void test_bytes(void) {
	static char out[70000], in[70000];
	int vfd = ask("echo\n");
	unsigned count;
	int fds[WL_FDS_MAX];
	wl_pattern_fill(0, 0, out, sizeof(out));
	check(send_fds(vfd, out, 0, NULL, 0) == 0 && write(vfd, out, 0) == 0, "nothing can be sent");
	static const size_t sizes[] = {1, 63, 3968, 3969, 4096, 32768, 70000};
	bool good = true;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t got = 0;
		good = good && send_fds(vfd, out, sizes[i], NULL, 0) == 0;
		while (good && got < sizes[i]) {
			ssize_t n = recv_fds(vfd, in + got, sizes[i] - got, fds, &count);
			good = n > 0 && count == 0;
			got += n > 0 ? (size_t)n : 0;
		}
		good = good && memcmp(in, out, sizes[i]) == 0;
	}
	check(good, "SEND and RECV of 1 to 70000 bytes");
	good = true;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		good = good && write_all(vfd, out, sizes[i]) && read_all(vfd, in, sizes[i]) &&
		       memcmp(in, out, sizes[i]) == 0;
	}
	check(good, "write and read of as many");
	struct iovec parts[] = {{out, 10}, {out + 10, 0}, {out + 10, 90}};
	struct iovec rooms[] = {{in, 50}, {in + 50, 50}};
	memset(in, 0, 100);
	check(writev(vfd, parts, 3) == 100 && readv(vfd, rooms, 2) == 100 && memcmp(in, out, 100) == 0,
		"writev and readv");
	close(vfd);
	vfd = ask("split\n");
	check(write_all(vfd, out, 200) && read_all(vfd, in, 200) && memcmp(in, out, 200) == 0,
		"bytes that come one by one");
	close(vfd);
	vfd = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	check(write_all(vfd, "echo\nx", 6) && read_all(vfd, in, 1) && in[0] == 'x',
		"NEW_CTX leads to the compositor");
	close(vfd);
}

static void test_errors(void) {
	int vfd = ask("echo\n"), null = open("/dev/null", O_RDWR);
	struct virtwl_ioctl_txn txn = {.len = 10};
	fails(send_fds(vfd, "x", 1, &null, 1), EINVAL, "SEND of a file that is no vfd: EINVAL");
	fails(send_fds(vfd, "x", 1, &wl, 1), EINVAL, "SEND of /dev/wl0: EINVAL");
	int closed = 1000;
	fails(send_fds(vfd, "x", 1, &closed, 1), EINVAL, "SEND of no file: EINVAL");
	fails(send_fds(vfd, "x", 1, &vfd, 1), EINVAL, "SEND of a connection: EINVAL");
	int ended[] = {-1, 1000};
	check(send_fds(vfd, "x", 1, ended, 2) == 0 && hears(vfd, "x"),
		"the first negative descriptor ends the list");
	fails(ioctl(vfd, VIRTWL_IOCTL_SEND, nowhere), EFAULT, "SEND without memory: EFAULT");
	fails(ioctl(vfd, VIRTWL_IOCTL_RECV, nowhere), EFAULT, "RECV without memory: EFAULT");
	fails(write(vfd, nowhere, 10), EFAULT, "write without memory: EFAULT");
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	memset(txn.fds, 0xff, sizeof(txn.fds));
	memcpy(page + 4096 - sizeof(txn), &txn, sizeof(txn));
	fails(ioctl(vfd, VIRTWL_IOCTL_SEND, page + 4096 - sizeof(txn)), EFAULT,
		"SEND of data that is not there: EFAULT");
	check(write_all(vfd, "y", 1), "a byte");
	fails(ioctl(vfd, VIRTWL_IOCTL_RECV, page + 4096 - sizeof(txn)), EFAULT,
		"RECV to where nothing is: EFAULT");
	fails(read(vfd, nowhere, 10), EFAULT, "read to where nothing is: EFAULT");
	check(hears(vfd, "y"), "and the byte is still there");
	munmap(page, 4096);
	fcntl(vfd, F_SETFL, O_NONBLOCK);
	char data[8];
	unsigned count;
	int fds[WL_FDS_MAX];
	fails(recv_fds(vfd, data, 8, fds, &count), EAGAIN, "RECV of nothing with O_NONBLOCK: EAGAIN");
	fails(read(vfd, data, 8), EAGAIN, "read of nothing with O_NONBLOCK: EAGAIN");
	check(read(vfd, data, 0) == 0, "read of no bytes");
	close(vfd);
	close(null);
	int memory = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096), pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
	fails(send_fds(memory, "x", 1, NULL, 0), EINVAL, "SEND to memory: EINVAL");
	fails(send_fds(pipe, "x", 1, &memory, 1), EINVAL, "SEND of vfds through a pipe: EINVAL");
	close(pipe);
	pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_READ, 0);
	fails(write(pipe, "x", 1), EBADF, "write to a pipe to read: EBADF");
	fails(send_fds(pipe, "x", 1, NULL, 0), EINVAL, "SEND to a pipe to read: EINVAL");
	close(pipe);
	close(memory);
}

static void on_alarm(int signo) {
	(void)signo;
}

static void test_signals(void) {
	struct sigaction action = {.sa_handler = on_alarm};
	/* Again and again: the first may come before the call waits. */
	struct itimerval timer = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000}, off = {0};
	char data[8];
	unsigned count;
	int fds[WL_FDS_MAX], vfd = ask("echo\n");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	fails(recv_fds(vfd, data, 8, fds, &count), EINTR, "a signal ends RECV: EINTR");
	fails(read(vfd, data, 8), EINTR, "a signal ends read: EINTR");
	setitimer(ITIMER_REAL, &off, NULL);
	check(write_all(vfd, "still", 5) && hears(vfd, "still"), "the connection lives on");
	close(vfd);
}

static void test_poll(void) {
	int vfd = ask("echo\n"), poller = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, got = {0};
	check(ready(vfd, POLLIN | POLLOUT, 0) == POLLOUT, "poll: to be written to");
	check(ready(vfd, POLLIN, 0) == 0, "poll: nothing to read");
	epoll_ctl(poller, EPOLL_CTL_ADD, vfd, &event);
	check(epoll_wait(poller, &got, 1, -1) == 1 && got.events == EPOLLOUT, "epoll: to be written to");
	check(epoll_wait(poller, &got, 1, 0) == 0, "epoll: told once, at an edge");
	check(write_all(vfd, "x", 1) && ready(vfd, POLLIN, -1) == POLLIN, "poll: something to read");
	check(epoll_wait(poller, &got, 1, -1) == 1 && (got.events & EPOLLIN) != 0,
		"epoll: something to read");
	check(hears(vfd, "x") && ready(vfd, POLLIN, 0) == 0, "poll: all is read");
	int pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_READ, 0);
	check(ready(pipe, POLLIN | POLLOUT, 0) == 0, "poll: a pipe to read is not to be written to");
	close(pipe);
	close(poller);
	close(vfd);
}

static void test_end(void) {
	char data[8];
	unsigned count = 9;
	int fds[WL_FDS_MAX], vfd = ask("bye\n");
	check((ready(vfd, 0, -1) & POLLHUP) != 0 && (ready(vfd, POLLIN, 0) & POLLIN) != 0,
		"poll: hung up, with bytes");
	check(hears(vfd, "bye\n"), "what came before the end is read");
	check(read(vfd, data, 8) == 0 && read(vfd, data, 8) == 0, "read: the end, as often as one asks");
	check(recv_fds(vfd, data, 8, fds, &count) == 0 && count == 0, "RECV: the end, no bytes and no vfds");
	fcntl(vfd, F_SETFL, O_NONBLOCK);
	check(read(vfd, data, 8) == 0, "the end does not wait");
	fails(write(vfd, "x", 1), ENODEV, "write after the end: ENODEV");
	fails(send_fds(vfd, "x", 1, NULL, 0), ENODEV, "SEND after the end: ENODEV");
	check((ready(vfd, POLLOUT, 0) & (POLLOUT | POLLHUP)) == (POLLOUT | POLLHUP),
		"poll says to try, and be told");
	close(vfd);
}

/* ---- vfds that travel ---- */

static bool holds_pattern(int vfd, uint32_t seed, size_t size) {
	uint8_t *data = mmap(NULL, size, PROT_READ, MAP_SHARED, vfd, 0);
	if (data == MAP_FAILED) {
		return false;
	}
	bool good = wl_pattern_holds(seed, 0, data, size);
	munmap(data, size);
	return good;
}

static bool hold_patterns(const int *fds, unsigned count) {
	bool good = true;
	for (unsigned i = 0; i < count; i++) {
		uint64_t size = 0;
		good = good && fcntl(fds[i], F_GETFD) == FD_CLOEXEC && mode_of(fds[i]) == O_RDWR &&
		       holds_pattern(fds[i], i, 4096) &&
		       (info_of(fds[i], &size) & VIRTWL_INFO_FROM_HOST) != 0 && size == 4096;
	}
	return good;
}

static void close_all(const int *fds, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		close(fds[i]);
	}
}

static void test_fds(void) {
	char data[64];
	int fds[WL_FDS_MAX], back[WL_FDS_MAX], vfd = ask("give 28 1\n"), echo = ask("echo\n");
	unsigned count, returned;
	check(recv_fds(vfd, data, 4, fds, &count) == 4 && memcmp(data, "0123", 4) == 0 && count == 28 &&
			hold_patterns(fds, count),
		"28 vfds come, with the first of their bytes");
	check(recv_fds(vfd, data, 64, back, &returned) == 6 && returned == 0, "the other bytes come later");
	check(send_fds(echo, "x", 1, fds, 28) == 0 && recv_fds(echo, data, 64, back, &returned) == 1 &&
			returned == 28 && hold_patterns(back, 28),
		"28 vfds go and come back");
	fails(send_fds(echo, "", 0, fds, 1), EINVAL, "SEND of vfds without bytes: EINVAL");
	close_all(fds, 28);
	check(hold_patterns(back, 28), "what was received outlives what was sent");
	close_all(back, 28);
	close(vfd);
	vfd = ask("give 2 3\n");
	check(read_all(vfd, data, 30), "read leaves vfds alone");
	unsigned total = 0, calls = 0;
	while (total < 6 && recv_fds(vfd, data, 64, fds, &count) == 0 && count > 0 && calls++ < 6) {
		total += count;
		close_all(fds, count);
	}
	check(total == 6, "RECV hands them out later");
	check(recv_fds(vfd, data, 64, fds, &count) == 0 && count == 0, "and then tells the end");
	close(vfd);
	vfd = ask("give 20 2\n");
	check(recv_fds(vfd, data, 10, fds, &count) == 10 && count == 20, "20 vfds");
	close_all(fds, count);
	ready(vfd, 0, -1);
	check(recv_fds(vfd, data, 64, fds, &count) == 10 && count == 20, "20 more");
	close_all(fds, count);
	close(vfd);
	vfd = ask("give 20 2\n");
	ready(vfd, 0, -1);
	check(recv_fds(vfd, data, 64, fds, &count) == 10 && count == 20,
		"no byte overtakes its vfds: 20 of 40");
	close_all(fds, count);
	check(recv_fds(vfd, data, 64, fds, &count) == 10 && count == 20, "then the others");
	close_all(fds, count);
	close(vfd);
	close(echo);
}

/* ---- memory ---- */

static void test_memory(void) {
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 3 * 4096 - 100);
	uint8_t *all = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0);
	check(all != MAP_FAILED && all[0] == 0 && all[3 * 4096 - 1] == 0, "memory is whole pages of zeros");
	uint8_t *second = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vfd, 4096);
	all[4096] = 42;
	check(second != MAP_FAILED && second[0] == 42, "mmap from the second page");
	munmap(second, 4096);
	fails((long)mmap(NULL, 4 * 4096, PROT_READ, MAP_SHARED, vfd, 0), EINVAL,
		"mmap of more than there is: EINVAL");
	fails((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, vfd, 3 * 4096), EINVAL,
		"mmap behind the end: EINVAL");
	fails((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, vfd, 1L << 50), EINVAL,
		"mmap far behind the end: EINVAL");
	uint8_t *private = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, vfd, 4096);
	check(private != MAP_FAILED && private[0] == 42, "a private mapping");
	private[0] = 43;
	check(private[0] == 43 && all[4096] == 42, "its writes stay in it");
	all[4097] = 44;
	check(all[4097] == 44, "writes beside it do not");
	munmap(private, 2 * 4096);
	wl_pattern_fill(1, 0, all, 3 * 4096);
	int server = ask("look 12288 1\n");
	check(send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, "holds 1\n"),
		"the host sees what the guest wrote");
	close(server);
	server = ask("fill 12288 2\n");
	check(send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, "filled 1\n") &&
			wl_pattern_holds(2, 0, all, 3 * 4096),
		"the guest sees what the host wrote");
	close(server);
	close(vfd);
	for (int i = 0; i < 32; i++) {
		close(new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 3 * 4096));
	}
	check(wl_pattern_holds(2, 0, all, 3 * 4096), "a mapping keeps the memory");
	pid_t child = fork();
	if (child == 0) {
		bool good = wl_pattern_holds(2, 0, all, 3 * 4096);
		all[0] = 99;
		_exit(good ? 0 : 1);
	}
	int status = -1;
	waitpid(child, &status, 0);
	check(status == 0 && all[0] == 99, "so does a child's");
	munmap(all, 3 * 4096);
	int connection = ask("echo\n");
	fails((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, connection, 0), ENODEV,
		"mmap of a connection: ENODEV");
	close(connection);
}

/* Memory from the host: whether it may be written is told, and kept. */
static void test_foreign_memory(const char *kind, bool shared) {
	char line[64], data[16];
	int fds[WL_FDS_MAX];
	unsigned count;
	uint64_t size = 0;
	snprintf(line, sizeof(line), "memfd %s 8192\n", kind);
	int vfd = ask(line);
	line[strlen(line) - 1] = '\0';
	check(recv_fds(vfd, data, 7, fds, &count) == 7 && count == 1, line);
	bool read_only = (info_of(fds[0], &size) & VIRTWL_INFO_READ_ONLY) != 0;
	uint8_t *private = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fds[0], 0);
	check(size == 8192 && private != MAP_FAILED && wl_pattern_holds(7, 0, private, 8192),
		"is read privately");
	munmap(private, 8192);
	if (read_only) {
		fails((long)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0), EACCES,
			"is not to be written: EACCES");
		void *readable = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fds[0], 0);
		fails(mprotect(readable, 8192, PROT_READ | PROT_WRITE), EACCES, "nor made so: EACCES");
		munmap(readable, 8192);
		private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
		private[0] ^= 1;
		munmap(private, 8192);
	} else {
		uint8_t *all = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
		wl_pattern_fill(8, 0, all, 8192);
		munmap(all, 8192);
	}
	check(write_all(vfd, "look", 4) && hears(vfd, shared ? "holds 1\n" : "holds 0\n"),
		shared ? "the host sees writes" : "the host's stays as it is");
	close_all(fds, count);
	close(vfd);
}

/* Its owner cuts it off. */
static void test_truncated(void) {
	char data[16];
	int fds[WL_FDS_MAX], vfd = ask("memfd plain 8192\n");
	unsigned count;
	bool came = recv_fds(vfd, data, 7, fds, &count) == 7 && count == 1;
	uint8_t *memory = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fds[0], 0);
	check(came && write_all(vfd, "trim", 4) && hears(vfd, "trimmed 1\n") &&
			wl_pattern_holds(7, 0, memory, 8192),
		"memory that its owner cuts off stays");
	munmap(memory, 8192);
	close_all(fds, count);
	close(vfd);
}

/* What is nothing to the guest can be sent on. */
static bool is_opaque(int vfd, int echo) {
	char data[16];
	int back[WL_FDS_MAX];
	unsigned count = 0;
	uint64_t size = 1;
	bool good = info_of(vfd, &size) == VIRTWL_INFO_FROM_HOST && size == 0 &&
		    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, vfd, 0) == MAP_FAILED &&
		    write(vfd, "x", 1) < 0 && send_fds(echo, "x", 1, &vfd, 1) == 0 &&
		    recv_fds(echo, data, 1, back, &count) == 1 && count == 1;
	close_all(back, count);
	return good;
}

static void test_odd_fds(void) {
	char line[16], data[16];
	int fds[WL_FDS_MAX], echo = ask("echo\n");
	unsigned count = 1, kinds = 0;
	bool good = true;
	for (; good && count > 0; kinds++) {
		snprintf(line, sizeof(line), "odd %u 0\n", kinds);
		int vfd = ask(line);
		good = recv_fds(vfd, data, 4, fds, &count) == 4 && (count == 0 || is_opaque(fds[0], echo));
		close_all(fds, count);
		close(vfd);
	}
	check(good && kinds == 10,
		"folders, devices, memory of no size and of any: good for nothing, sent on");
	close(echo);
}

static void test_dmabuf(void) {
	struct virtwl_ioctl_new new = {.type = VIRTWL_IOCTL_NEW_DMABUF, .fd = -1};
	struct virtwl_ioctl_dmabuf_sync sync = {.flags = DMA_BUF_SYNC_RW};
	int memory = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096);
	fails(ioctl(memory, VIRTWL_IOCTL_DMABUF_SYNC, &sync), EINVAL, "SYNC of memory: EINVAL");
	close(memory);
	int ret = ioctl(wl, VIRTWL_IOCTL_NEW, &new);
	if (ret < 0 && errno == ENOTTY) {
		check(true, "a host without dma-bufs says so: ENOTTY");
		return;
	}
	fails(ret, EINVAL, "one with dma-bufs makes none of no size: EINVAL");
	new = (struct virtwl_ioctl_new){.type = VIRTWL_IOCTL_NEW_DMABUF, .fd = -1};
	new.dmabuf.width = 64;
	new.dmabuf.height = 32;
	new.dmabuf.format = 0x34325258; /* XR24 */
	check(ioctl(wl, VIRTWL_IOCTL_NEW, &new) == 0 && new.dmabuf.stride0 >= 256, "a dma-buf");
	size_t size = (size_t) new.dmabuf.stride0 * 32;
	uint8_t *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, new.fd, 0);
	check(ioctl(new.fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync) == 0, "SYNC before");
	wl_pattern_fill(3, 0, data, size);
	sync.flags |= DMA_BUF_SYNC_END;
	check(ioctl(new.fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync) == 0, "SYNC after");
	sync.flags = 8;
	fails(ioctl(new.fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync), EINVAL, "SYNC with other flags: EINVAL");
	check(wl_pattern_holds(3, 0, data, size), "what was drawn is there");
	munmap(data, size);
	close(new.fd);
}

/* ---- pages of the guest ---- */

static int new_pages(int memfd, uint64_t offset, uint64_t size, uint32_t flags) {
	struct virtwl_ioctl_new_guest_pages new = {
		.memfd = memfd, .fd = -1, .offset = offset, .size = size, .flags = flags};
	return ioctl(wl, VIRTWL_IOCTL_NEW_GUEST_PAGES, &new) < 0 ? -1 : new.fd;
}

static void test_page_errors(int memfd) {
	fails(new_pages(memfd, 0, 4096, 1), EINVAL, "guest pages with flags: EINVAL");
	fails(new_pages(memfd, 0, 0, 0), EINVAL, "no guest pages: EINVAL");
	fails(new_pages(memfd, 100, 4096, 0), EINVAL, "half a guest page: EINVAL");
	fails(new_pages(memfd, 0, 1 << 20, 0), EINVAL, "guest pages behind the end: EINVAL");
	fails(new_pages(-1, 0, 4096, 0), EBADF, "guest pages of no file: EBADF");
	fails(new_pages(wl, 0, 4096, 0), EINVAL, "guest pages of no memfd: EINVAL");
}

/* Memory comes and goes, and the kernel tells the host what is free, as it does two seconds later. */
static void free_memory(void) {
	const size_t size = 64 << 20;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED) {
		memset(memory, 1, size);
		munmap(memory, size);
	}
	sleep(3);
}

static void test_pages(void) {
	int memfd = memfd_create("pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ftruncate(memfd, 64 * 4096);
	uint8_t *data = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	wl_pattern_fill(5, 0, data + 4096, 32 * 4096);
	int vfd = new_pages(memfd, 4096, 32 * 4096, 0);
	if (vfd < 0) {
		check(errno == ENOTTY, "a host without a way to guest pages says so: ENOTTY");
	} else {
		test_page_errors(memfd);
		int server = ask("look 131072 5\n");
		check(send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, "holds 1\n"),
			"the host sees guest pages");
		close(server);
		server = ask("fill 131072 6\n");
		check(send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, "filled 1\n") &&
				wl_pattern_holds(6, 0, data + 4096, 32 * 4096),
			"the guest sees them change");
		close(server);
		free_memory();
		wl_pattern_fill(7, 0, data + 4096, 32 * 4096);
		server = ask("look 131072 7\n");
		check(send_fds(server, "x", 1, &vfd, 1) == 0 && hears(server, "holds 1\n"),
			"they are not among the free pages that the host takes back");
		close(server);
		close(vfd);
		fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
		fails(new_pages(memfd, 0, 4096, 0), EPERM, "guest pages sealed against writing: EPERM");
	}
	munmap(data, 64 * 4096);
	close(memfd);
}

/* A page that somebody has a pin on cannot be sealed against writing. */
static void test_pins(void) {
	int memfd = memfd_create("pins", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ftruncate(memfd, 16 * 4096);
	int vfd = new_pages(memfd, 0, 16 * 4096, 0);
	if (vfd >= 0) {
		bool released = false;
		fails(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "guest pages stay where they are");
		close(vfd);
		for (int i = 0; i < 1000 && !released; i++) {
			released = fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE) == 0;
		}
		check(released, "until the host has closed them");
	}
	close(memfd);
}

/* ---- pipes ---- */

static bool reads_to_end(int vfd, size_t size) {
	static uint8_t data[5000];
	size_t position = 0;
	ssize_t n;
	while ((n = read(vfd, data, sizeof(data))) > 0) {
		if (!wl_pattern_holds(0, position, data, (size_t)n)) {
			return false;
		}
		position += (size_t)n;
	}
	return n == 0 && position == size;
}

static bool writes(int vfd, size_t size) {
	static uint8_t data[5000];
	for (size_t position = 0; position < size;) {
		size_t part = size - position < sizeof(data) ? size - position : sizeof(data);
		wl_pattern_fill(0, position, data, part);
		if (!write_all(vfd, data, part)) {
			return false;
		}
		position += part;
	}
	return true;
}

static void test_pipes(void) {
	char data[16];
	unsigned count;
	int fds[WL_FDS_MAX];
	int pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_READ, 0), server = ask("take write 300000\n");
	check(send_fds(server, "x", 1, &pipe, 1) == 0 && reads_to_end(pipe, 300000),
		"a pipe that the host writes to, and its end");
	fails(send_fds(server, "x", 1, &pipe, 1), EINVAL, "its other end can be sent only once: EINVAL");
	close(pipe);
	close(server);
	pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
	server = ask("take read 0\n");
	check(send_fds(server, "x", 1, &pipe, 1) == 0 && writes(pipe, 300000) && close(pipe) == 0 &&
			hears(server, "read 300000\n"),
		"a pipe that the host reads, and its end");
	close(server);
	server = ask("pipe read 100000\n");
	check(recv_fds(server, data, 5, fds, &count) == 5 && count == 1 && mode_of(fds[0]) == O_RDONLY &&
			reads_to_end(fds[0], 100000),
		"the host's pipe to read");
	close_all(fds, count);
	close(server);
	server = ask("pipe write 0\n");
	check(recv_fds(server, data, 5, fds, &count) == 5 && count == 1 && mode_of(fds[0]) == O_WRONLY &&
			writes(fds[0], 100000),
		"the host's pipe to write");
	close_all(fds, count);
	check(hears(server, "read 100000\n"), "and its end");
	close(server);
	pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
	server = ask("take write 0\n");
	send_fds(server, "x", 1, &pipe, 1);
	check((ready(pipe, 0, -1) & POLLHUP) != 0, "a pipe whose reader is gone hangs up");
	fails(write(pipe, "x", 1), ENODEV, "and takes no more: ENODEV");
	close(pipe);
	close(server);
}

int main(void) {
	signal(SIGPIPE, SIG_IGN);
	wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	test_device();
	test_new_errors();
	test_old_new();
	test_files();
	test_bytes();
	test_errors();
	test_signals();
	test_poll();
	test_end();
	test_fds();
	test_memory();
	test_foreign_memory("shared", true);
	test_foreign_memory("sealed", false);
	test_foreign_memory("readonly", false);
	test_foreign_memory("plain", false);
	test_truncated();
	test_odd_fds();
	test_dmabuf();
	test_pages();
	test_pins();
	test_pipes();
	printf("1..%d\n", number);
	return 0;
}
