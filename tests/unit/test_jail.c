/*
 * What a taken-over process of ph can still do: children enter a jail and then try what they must not, and
 * what they must be able to. Linked without sanitizers, which make system calls of their own.
 */
#include "ph/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* How a child ended: killed by a signal, failed with -errno, or did it. */
#define KILLED(signo) (1000 + (signo))
#define FORBIDDEN KILLED(SIGSYS)

static char top[] = "/tmp/test_jail.XXXXXX";
static int read_only_fd, writable_fd, outside_fd, root_fd, scratch_fd;
static char secret[] = "secret";
static char *hidden[] = {secret, NULL};
static struct jail_tree trees[2];
static const char *folders[2]; /* one, twice */
static char folder_path[64];
static char socket_path[64], other_path[64];
static struct jail_reach reach;

static void make_file(const char *name, const char *text) {
	char path[96];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static int make_directory(const char *name) {
	char path[96];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void make_socket(char *path, size_t size, const char *name) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(path, size, "%s/%s", top, name);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
}

static int set_up(void **state) {
	(void)state;
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	chmod(top, 0755);
	read_only_fd = make_directory("ro");
	writable_fd = make_directory("rw");
	outside_fd = make_directory("outside");
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(make_directory("ro/secret"));
	close(make_directory("ro/open"));
	make_file("ro/file", "data");
	make_file("ro/open/file", "data");
	make_file("ro/secret/file", "data");
	make_file("rw/file", "data");
	make_file("outside/file", "data");
	scratch_fd = openat(outside_fd, "file", O_RDWR | O_CLOEXEC);
	close(make_directory("run"));
	snprintf(folder_path, sizeof(folder_path), "%s/run", top);
	make_socket(socket_path, sizeof(socket_path), "run/compositor");
	make_socket(other_path, sizeof(other_path), "bus");
	folders[0] = folders[1] = folder_path;
	trees[0] = (struct jail_tree){.fd = read_only_fd, .hidden = hidden};
	trees[1] = (struct jail_tree){.fd = writable_fd, .writable = true};
	reach = (struct jail_reach){.trees = trees, .tree_count = 2, .folders = folders, .folder_count = 2};
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void enter(enum jail_kind kind, enum jail_mode mode) {
	bool thread = kind == JAIL_VCPU || kind == JAIL_DISK;
	enum jail_kind process = thread ? JAIL_MONITOR : kind;
	const struct jail_reach none = {0};
	bool reaches = kind == JAIL_FILES || kind == JAIL_CONNECTOR;
	if (jail_enter(process, mode, "test", reaches ? &reach : &none) < 0 ||
		jail_filter(process, mode, "test") < 0 || (thread && jail_filter(kind, mode, "test") < 0)) {
		_exit(99);
	}
}

struct result {
	int status;
};

/* 0 or what the act returned, -errno, or KILLED(). */
static int try(enum jail_kind kind, long (*act)(void)) {
	struct result *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	pid_t pid = fork();
	if (pid == 0) {
		enter(kind, JAIL_DEFAULT);
		errno = 0;
		long ret = act();
		shared->status = ret < 0 ? -errno : (int)ret;
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	int ret = WIFSIGNALED(status) ? KILLED(WTERMSIG(status)) : shared->status;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		fail_msg("the jail could not be entered");
	}
	munmap(shared, 4096);
	return ret;
}

static int try_all(long (*act)(void), int expected) {
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		int ret = try((enum jail_kind)kind, act);
		if (ret != expected) {
			print_message("# kind %d: %d instead of %d\n", kind, ret, expected);
			return -1;
		}
	}
	return 0;
}

/* ---- acts ---- */

#define ACT(name, expression) \
	static long name(void) { \
		return (long)(expression); \
	}

static char page[8192] __attribute__((aligned(4096)));
static struct iovec vector = {.iov_base = page, .iov_len = 8};
static char *no_words[] = {NULL};

ACT(act_open, open("/etc/passwd", O_RDONLY))
ACT(act_open_absolute, openat(writable_fd, "/etc/passwd", O_RDONLY))
ACT(act_open_outside, openat(outside_fd, "file", O_RDONLY))
ACT(act_fork, syscall(SYS_fork))
ACT(act_vfork, syscall(SYS_vfork))
ACT(act_clone, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
ACT(act_clone_namespace, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0))
ACT(act_clone3, syscall(SYS_clone3, page, 64))
ACT(act_execve, execve("/bin/true", no_words, no_words))
ACT(act_execveat, syscall(SYS_execveat, AT_FDCWD, "/bin/true", no_words, no_words, 0))
ACT(act_ptrace, ptrace(PTRACE_ATTACH, getppid(), 0, 0))
ACT(act_read_process, syscall(SYS_process_vm_readv, getppid(), &vector, 1, &vector, 1, 0))
ACT(act_write_process, syscall(SYS_process_vm_writev, getppid(), &vector, 1, &vector, 1, 0))
ACT(act_kill, kill(getppid(), SIGCONT))
ACT(act_tgkill, syscall(SYS_tgkill, getppid(), getppid(), SIGCONT))
ACT(act_tgkill_self, syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0))
ACT(act_pidfd_open, syscall(SYS_pidfd_open, getppid(), 0))
ACT(act_pidfd_getfd, syscall(SYS_pidfd_getfd, 0, 0, 0))
ACT(act_set_owner, fcntl(0, F_SETOWN, getppid()))
ACT(act_inet, socket(AF_INET, SOCK_STREAM, 0))
ACT(act_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
#define A_STREAM (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
ACT(act_unix, socket(AF_UNIX, A_STREAM, 0))
ACT(act_unix_packets, socket(AF_UNIX, SOCK_DGRAM, 0))
ACT(act_connect, connect(-1, (const struct sockaddr *)page, 2))
ACT(act_map_executable, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
ACT(act_make_executable, mprotect(page, 4096, PROT_READ | PROT_EXEC))
ACT(act_pkey, syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1))
ACT(act_unshare, unshare(CLONE_NEWUSER))
ACT(act_setns, setns(0, 0))
ACT(act_mount, mount("none", "/tmp", "tmpfs", 0, NULL))
ACT(act_umount, umount2("/tmp", MNT_DETACH))
ACT(act_pivot_root, syscall(SYS_pivot_root, ".", "."))
ACT(act_chroot, chroot("/"))
ACT(act_setuid, setuid(getuid()))
ACT(act_capset, syscall(SYS_capset, page, page))
ACT(act_dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
ACT(act_personality, syscall(SYS_personality, 0x0400000))
ACT(act_bpf, syscall(SYS_bpf, 0, page, 8))
ACT(act_perf, syscall(SYS_perf_event_open, page, 0, 0, -1, 0))
ACT(act_userfaultfd, syscall(SYS_userfaultfd, 0))
ACT(act_keyctl, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
ACT(act_sleep, nanosleep(&(struct timespec){0, 1}, NULL))
ACT(act_io_uring, syscall(SYS_io_uring_setup, 1, page))
ACT(act_tiocsti, ioctl(0, TIOCSTI, "x"))
ACT(act_create_vm, ioctl(-1, KVM_CREATE_VM, 0))
ACT(act_run_vcpu, ioctl(-1, KVM_RUN, 0))
ACT(act_set_memory, ioctl(-1, KVM_SET_USER_MEMORY_REGION, page))
ACT(act_reboot, syscall(SYS_reboot, 0, 0, 0, 0))
ACT(act_new_call, syscall(1000))
ACT(act_x32, syscall(0x40000000 | SYS_getpid))

#ifdef __x86_64__
static long act_i386(void) {
	long ret;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory"); /* getpid */
	return ret;
}
#endif

static void test_forbidden_to_all(void **state) {
	(void)state;
	static const struct {
		const char *name;
		long (*act)(void);
	} acts[] = {
		{"fork", act_fork},
		{"vfork", act_vfork},
		{"clone", act_clone},
		{"clone into a namespace", act_clone_namespace},
		{"execve", act_execve},
		{"execveat", act_execveat},
		{"ptrace the monitor", act_ptrace},
		{"read the monitor's memory", act_read_process},
		{"write the monitor's memory", act_write_process},
		{"kill the monitor", act_kill},
		{"tgkill the monitor", act_tgkill},
		{"pidfd_open", act_pidfd_open},
		{"pidfd_getfd", act_pidfd_getfd},
		{"signal by F_SETOWN", act_set_owner},
		{"an internet socket", act_inet},
		{"a netlink socket", act_netlink},
		{"map executable", act_map_executable},
		{"make executable", act_make_executable},
		{"pkey_mprotect", act_pkey},
		{"unshare", act_unshare},
		{"setns", act_setns},
		{"mount", act_mount},
		{"umount", act_umount},
		{"pivot_root", act_pivot_root},
		{"chroot", act_chroot},
		{"setuid", act_setuid},
		{"capset", act_capset},
		{"become dumpable", act_dumpable},
		{"personality", act_personality},
		{"bpf", act_bpf},
		{"perf_event_open", act_perf},
		{"userfaultfd", act_userfaultfd},
		{"keyctl", act_keyctl},
		{"TIOCSTI", act_tiocsti},
		{"reboot", act_reboot},
		{"a call of x32", act_x32},
	};
	if (!jail_has_filters()) {
		skip();
	}
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (try_all(acts[i].act, FORBIDDEN) < 0) {
			fail_msg("%s", acts[i].name);
		}
	}
#ifdef __x86_64__
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		int ret = try((enum jail_kind)kind, act_i386);
		assert_true(ret == FORBIDDEN || ret == KILLED(SIGSEGV)); /* a kernel without i386 */
	}
#endif
	assert_int_equal(try_all(act_open, -EACCES), 0);
	assert_int_equal(try_all(act_clone3, -ENOSYS), 0);
	assert_int_equal(try_all(act_new_call, -ENOSYS), 0);
	assert_int_equal(try_all(act_tgkill_self, 0), 0);
}

/* The window's thread keeps those waiting who ask too fast: its sleep must be one. */
static void test_the_monitor_sleeps(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		assert_int_equal(try((enum jail_kind)kind, act_sleep), kind == JAIL_MONITOR ? 0 : -ENOSYS);
	}
}

static void test_kvm_is_the_monitors(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		bool monitor = kind == JAIL_MONITOR, vcpu = kind == JAIL_VCPU;
		assert_int_equal(try((enum jail_kind)kind, act_create_vm), monitor ? -EBADF : FORBIDDEN);
		assert_int_equal(try((enum jail_kind)kind, act_set_memory), monitor ? -EBADF : FORBIDDEN);
		assert_int_equal(
			try((enum jail_kind)kind, act_run_vcpu), monitor || vcpu ? -EBADF : FORBIDDEN);
		assert_int_equal(try((enum jail_kind)kind, act_io_uring), monitor ? -EPERM : FORBIDDEN);
	}
}

static void test_connecting_is_the_connectors(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		bool may = kind == JAIL_CONNECTOR;
		assert_int_equal(try((enum jail_kind)kind, act_unix) >= KILLED(0), !may);
		assert_int_equal(try((enum jail_kind)kind, act_connect), may ? -EBADF : FORBIDDEN);
		assert_int_equal(try((enum jail_kind)kind, act_unix_packets), FORBIDDEN);
	}
}

ACT(act_wait_again, fcntl(scratch_fd, F_SETFL, 0))
ACT(act_never_wait, fcntl(scratch_fd, F_SETFL, O_RDWR | O_NONBLOCK))

/* The flags of an open file are everybody's who has it: the monitor would wait on its own eventfds. */
static void test_nobody_makes_others_wait(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	assert_int_equal(try_all(act_wait_again, FORBIDDEN), 0);
	assert_int_equal(try(JAIL_DISPLAY, act_never_wait), 0);
}

/* A file that happens to be open does not grow by who writes none, and no core is written by anybody. */
static long act_grow(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max != 0) {
		return -1;
	}
	return pwrite(scratch_fd, page, 8, 1 << 30);
}

static void test_file_sizes(void **state) {
	(void)state;
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		bool none = kind == JAIL_SOUND || kind == JAIL_CONNECTOR || kind == JAIL_NET ||
			    kind == JAIL_TERMINAL;
		assert_int_equal(try((enum jail_kind)kind, act_grow), none ? -EFBIG : 8);
	}
}

/* ---- sockets that are the process's own ---- */

static int pair[2];
ACT(act_pair, socketpair(AF_UNIX, A_STREAM, 0, pair))
ACT(act_pair_of_packets, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
ACT(act_pair_that_waits, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))

/* A datagram goes to whatever socket it names. */
static void test_pairs_are_streams(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		assert_int_equal(try((enum jail_kind)kind, act_pair), kind == JAIL_DISPLAY ? 0 : FORBIDDEN);
	}
	assert_int_equal(try_all(act_pair_of_packets, FORBIDDEN), 0);
	assert_int_equal(try_all(act_pair_that_waits, FORBIDDEN), 0);
}

/* ---- files ---- */

static long act_serve(void) {
	struct stat stat;
	int fd = openat(read_only_fd, "open/file", O_RDONLY);
	if (fd < 0 || read(fd, page, 4) != 4 || close(fd) < 0) {
		return -1;
	}
	fd = openat(writable_fd, "new", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, page, 4) != 4 || ftruncate(fd, 2) < 0 || fchmod(fd, 0640) < 0 ||
		fsync(fd) < 0 || close(fd) < 0) {
		return -1;
	}
	fd = openat(writable_fd, "new", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || close(fd) < 0 || mkdirat(writable_fd, "a", 0700) < 0 ||
		mkdirat(writable_fd, "b", 0700) < 0 ||
		renameat(writable_fd, "new", writable_fd, "a/new") < 0 ||
		renameat(writable_fd, "a/new", writable_fd, "b/new") < 0 ||
		linkat(writable_fd, "b/new", writable_fd, "a/link", 0) < 0 ||
		symlinkat("b", writable_fd, "c") < 0 || mknodat(writable_fd, "fifo", S_IFIFO | 0600, 0) < 0) {
		return -1;
	}
	if (unlinkat(writable_fd, "b/new", 0) < 0 || unlinkat(writable_fd, "a/link", 0) < 0 ||
		unlinkat(writable_fd, "a", AT_REMOVEDIR) < 0 ||
		unlinkat(writable_fd, "b", AT_REMOVEDIR) < 0 || unlinkat(writable_fd, "c", 0) < 0 ||
		unlinkat(writable_fd, "fifo", 0) < 0) {
		return -1;
	}
	return fstatat(read_only_fd, "file", &stat, 0) < 0 || stat.st_size != 4 ? -1 : 0;
}

ACT(act_write_read_only, openat(read_only_fd, "open/file", O_WRONLY))
ACT(act_create_read_only, openat(read_only_fd, "new", O_WRONLY | O_CREAT, 0600))
ACT(act_remove_read_only, unlinkat(read_only_fd, "file", 0))
ACT(act_move_read_only, renameat(read_only_fd, "file", writable_fd, "moved"))
ACT(act_link_read_only, linkat(read_only_fd, "file", writable_fd, "linked", 0))
ACT(act_move_outside, renameat(writable_fd, "file", outside_fd, "moved"))
ACT(act_read_hidden, openat(read_only_fd, "secret/file", O_RDONLY))
ACT(act_set_uid, fchmodat(writable_fd, "file", 04755, 0))
ACT(act_create_set_uid, openat(writable_fd, "suid", O_WRONLY | O_CREAT, 04755))
ACT(act_node_set_uid, mknodat(writable_fd, "suid", S_IFREG | 04755, 0))
ACT(act_node_set_gid, mknodat(writable_fd, "sgid", S_IFREG | 02755, 0))
ACT(act_fifo_set_uid, mknodat(writable_fd, "suid", S_IFIFO | 04755, 0))
ACT(act_device, mknodat(writable_fd, "device", S_IFCHR | 0600, 0x103))

/* Its mode and flags would be out of a filter's sight. */
static long act_openat2(void) {
	struct open_how how = {.flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, .mode = 06755};
	return syscall(SYS_openat2, writable_fd, "set-id", &how, sizeof(how));
}

static long act_set_gid(void) {
	struct stat stat;
	if (fchmodat(writable_fd, "file", 02755, 0) < 0 || fstatat(writable_fd, "file", &stat, 0) < 0) {
		return -1;
	}
	return (long)(stat.st_mode & 06000);
}

/* Access mode 3 asks neither to read nor to write, and is good for what needs an open file all the same; to
 * empty a file asks for no right of its own before Landlock's third version. */
ACT(act_open_for_nothing, openat(writable_fd, "file", O_ACCMODE))
ACT(act_open_outside_for_nothing, openat(outside_fd, "file", O_ACCMODE))
ACT(act_empty_for_nothing, openat(outside_fd, "file", O_ACCMODE | O_TRUNC))
ACT(act_name_for_nothing, openat(writable_fd, "file", O_PATH | O_ACCMODE))
ACT(act_empty_for_reading, openat(read_only_fd, "open/file", O_RDONLY | O_TRUNC))
ACT(act_make_for_reading, openat(writable_fd, "made", O_RDONLY | O_CREAT | O_TRUNC, 0600))

static long act_empty_for_writing(void) {
	int fd = openat(writable_fd, "emptied", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int both = openat(writable_fd, "emptied", O_RDWR | O_TRUNC);
	return fd < 0 || both < 0 ? -1 : 0;
}

static void test_files_opens_for_something(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	assert_int_equal(try(JAIL_FILES, act_open_for_nothing), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_open_outside_for_nothing), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_empty_for_nothing), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_name_for_nothing), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_empty_for_reading), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_make_for_reading), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_openat2), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_empty_for_writing), 0);
}

/* Who owns what is seen as on the host, whatever else is around the file server. */
static long act_owners(void) {
	struct stat stat;
	return fstatat(read_only_fd, "file", &stat, 0) < 0 ? -1 : (long)stat.st_uid;
}

static long act_owner_of_root(void) {
	struct stat stat;
	return fstat(root_fd, &stat) < 0 ? -1 : (long)stat.st_uid;
}

/* Why the file server of an ordinary user has no user namespace, and with that none at all. */
static void test_user_namespaces_hide_owners(void **state) {
	(void)state;
	struct stat stat;
	assert_int_equal(fstat(root_fd, &stat), 0);
	assert_int_equal(try(JAIL_FILES, act_owner_of_root), (int)stat.st_uid);
	if (stat.st_uid == geteuid() || !jail_has_namespaces()) {
		skip();
	}
	assert_int_equal(try(JAIL_NET, act_owner_of_root), 65534);
}

static void test_files_serves(void **state) {
	(void)state;
	assert_int_equal(try(JAIL_FILES, act_serve), 0);
	assert_int_equal(try(JAIL_FILES, act_owners), (int)getuid());
}

static void test_files_makes_nothing_special(void **state) {
	(void)state;
	if (!jail_has_filters()) {
		skip();
	}
	assert_int_equal(try(JAIL_FILES, act_set_uid), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_create_set_uid), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_node_set_uid), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_node_set_gid), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_fifo_set_uid), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_device), FORBIDDEN);
	assert_int_equal(try(JAIL_FILES, act_set_gid), 02000);
}

static void test_files_stays_in_its_trees(void **state) {
	(void)state;
	if (jail_landlock_version() < 2) {
		skip();
	}
	int absolute = try(JAIL_FILES, act_open_absolute); /* the empty root comes first */
	assert_true(absolute == -EACCES || absolute == -ENOENT);
	assert_int_equal(try(JAIL_FILES, act_open_outside), -EACCES);
	assert_int_equal(try(JAIL_FILES, act_write_read_only), -EACCES);
	assert_int_equal(try(JAIL_FILES, act_create_read_only), -EACCES);
	assert_int_equal(try(JAIL_FILES, act_remove_read_only), -EACCES);
	int moved = try(JAIL_FILES, act_move_read_only);
	assert_true(moved == -EACCES || moved == -EXDEV);
	int linked = try(JAIL_FILES, act_link_read_only);
	assert_true(linked == -EACCES || linked == -EXDEV);
	int left = try(JAIL_FILES, act_move_outside);
	assert_true(left == -EACCES || left == -EXDEV);
	assert_int_equal(try(JAIL_FILES, act_read_hidden), -EACCES);
}

/* The folder of somebody else's FUSE can be opened, but not looked at: the rest is confined all the same. */
static void test_files_beside_a_foreign_mount(void **state) {
	(void)state;
	char options[80], path[64];
	struct stat stat;
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	close(make_directory("ro/foreign"));
	snprintf(path, sizeof(path), "%s/ro/foreign", top);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=12345,group_id=12345", fuse);
	if (jail_landlock_version() < 2 || fuse < 0 ||
		mount("test", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		skip();
	}
	int fd = openat(read_only_fd, "foreign", O_PATH | O_CLOEXEC), looked = fstat(fd, &stat);
	int outside = try(JAIL_FILES, act_open_outside), served = try(JAIL_FILES, act_serve);
	close(fd);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	close(fuse);
	assert_true(fd >= 0 && looked < 0);
	assert_int_equal(outside, -EACCES);
	assert_int_equal(served, 0);
}

/* ---- the connector ---- */

static long connect_to(const struct sockaddr_un *address) {
	int fd = socket(AF_UNIX, A_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

static long act_compositor(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, socket_path);
	return connect_to(&address);
}

static long act_bus(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, other_path);
	return connect_to(&address);
}

/* What the socket is does not matter, nor when it was made. */
static void make_socket_again(void) {
	assert_int_equal(unlink(socket_path), 0);
	make_socket(socket_path, sizeof(socket_path), "run/compositor");
}

static void test_connector_sees_its_folders(void **state) {
	(void)state;
	assert_int_equal(try(JAIL_CONNECTOR, act_compositor), 0);
	make_socket_again();
	assert_int_equal(try(JAIL_CONNECTOR, act_compositor), 0);
	if (!jail_has_namespaces()) {
		skip();
	}
	int ret = try(JAIL_CONNECTOR, act_bus);
	if (ret == 0) {
		skip(); /* a container that allows namespaces and forbids to mount */
	}
	assert_int_equal(ret, -ENOENT);
}

/* ---- what must work everywhere ---- */

static void *use_memory(void *data) {
	void *blocks[64];
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 64; i++) {
			blocks[i] = malloc(1000 + 3000 * i);
			memset(blocks[i], 1, 1000);
		}
		for (size_t i = 0; i < 64; i++) {
			free(blocks[i]);
		}
	}
	return data;
}

static long act_ordinary(void) {
	struct timespec moment = {.tv_nsec = 1000};
	use_memory(NULL);
	free(malloc(100 << 20));
	nanosleep(&moment, NULL);
	sched_yield();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &moment);
	sysconf(_SC_NPROCESSORS_ONLN);
	open("/dev/null", O_WRONLY); /* refused, and no more than that */
	isatty(STDERR_FILENO);
	strerror(ENOENT);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	return 0;
}

static long act_threads(void) {
	pthread_t threads[8];
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < 8; i++) {
			if (pthread_create(&threads[i], NULL, use_memory, NULL) != 0) {
				return -1;
			}
		}
		for (size_t i = 0; i < 8; i++) {
			pthread_join(threads[i], NULL);
		}
	}
	return 0;
}

static long act_abort(void) {
	abort();
}

static void test_ordinary_life_goes_on(void **state) {
	(void)state;
	assert_int_equal(try_all(act_ordinary, 0), 0);
	assert_int_equal(try_all(act_abort, KILLED(SIGABRT)), 0);
	assert_int_equal(try(JAIL_MONITOR, act_threads), 0);
	assert_int_equal(try(JAIL_FILES, act_threads), 0);
	int threads = try(JAIL_DISPLAY, act_threads);
	assert_true(!jail_has_filters() || threads == FORBIDDEN);
}

/* ---- privileges ---- */

static bool status_says(pid_t pid, const char *file, const char *line) {
	char path[64], text[8192];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	FILE *status = fopen(path, "re");
	if (status == NULL) {
		return false;
	}
	size_t len = fread(text, 1, sizeof(text) - 1, status);
	text[len] = '\0';
	fclose(status);
	return strstr(text, line) != NULL;
}

static void test_nobody_keeps_privileges(void **state) {
	(void)state;
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		int ready[2], never[2];
		char byte;
		assert_int_equal(pipe(ready), 0);
		assert_int_equal(pipe(never), 0);
		pid_t pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			enter((enum jail_kind)kind, JAIL_DEFAULT);
			_exit(write(ready[1], "y", 1) != 1 || read(never[0], &byte, 1) < 0);
		}
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		assert_true(!jail_has_filters() || status_says(pid, "status", "Seccomp:\t2"));
		bool root_serves = geteuid() == 0 && (kind == JAIL_FILES || kind == JAIL_CONNECTOR);
		assert_true(status_says(pid, "status", "NoNewPrivs:\t1"));
		assert_true(status_says(pid, "status", "CapInh:\t0000000000000000"));
		assert_true(status_says(pid, "status", "CapAmb:\t0000000000000000"));
		assert_true(root_serves || status_says(pid, "status", "CapEff:\t0000000000000000"));
		assert_true(root_serves || status_says(pid, "status", "CapPrm:\t0000000000000000"));
		assert_true(geteuid() != 0 || status_says(pid, "status", "CapBnd:\t0000000000000000"));
		assert_true(kind != JAIL_FILES || geteuid() != 0 ||
			    status_says(pid, "status", "CapEff:\t000000000000000f"));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ready[0]);
		close(never[0]);
		close(never[1]);
	}
}

/* Root by sudo is the user who ran that, with the one group more that may be what sudo was for. */
static void test_root_becomes_the_caller(void **state) {
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		uid_t uids[3];
		gid_t gids[3], groups[8];
		struct stat kvm = {0};
		struct error error = {0};
		bool has_kvm = stat("/dev/kvm", &kvm) == 0 && kvm.st_gid != 0;
		setenv("SUDO_UID", "54321", 1);
		setenv("SUDO_GID", "54322", 1);
		bool ok = jail_become_caller(&error) == 0 && getresuid(&uids[0], &uids[1], &uids[2]) == 0 &&
			  getresgid(&gids[0], &gids[1], &gids[2]) == 0;
		for (size_t i = 0; i < 3; i++) {
			ok = ok && uids[i] == 54321 && gids[i] == 54322;
		}
		int count = getgroups(8, groups);
		ok = ok && count == 1 + has_kvm &&
		     groups[0] == (has_kvm && kvm.st_gid < 54322 ? kvm.st_gid : 54322);
		ok = ok && getenv("HOME") == NULL && setuid(0) < 0 && prctl(PR_GET_DUMPABLE) == 1;
		_exit(ok ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Without sudo, or with nonsense for a user, root stays root. */
static void test_root_stays_root(void **state) {
	(void)state;
	static const char *const users[] = {"0", "", "1000x", "-1", "4294967295", "99999999999999999999"};
	pid_t pid = fork();
	if (pid == 0) {
		struct error error = {0};
		uid_t uid = getuid();
		bool ok = unsetenv("SUDO_UID") == 0 && jail_become_caller(&error) == 0 && getuid() == uid;
		setenv("SUDO_GID", "1000", 1);
		for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
			setenv("SUDO_UID", users[i], 1);
			ok = ok && jail_become_caller(&error) == 0 && getuid() == uid;
		}
		_exit(ok ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Off confines nothing, so that debuggers work. */
static void test_off(void **state) {
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		enter(JAIL_FILES, JAIL_OFF);
		_exit(open("/etc/passwd", O_RDONLY) >= 0 && prctl(PR_GET_DUMPABLE) == 1 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_strict_needs_all(void **state) {
	(void)state;
	bool complete = jail_has_filters() && jail_landlock_version() >= 2;
	for (int kind = 0; kind < JAIL_KINDS; kind++) {
		struct error error = {0};
		bool wants = kind == JAIL_DISPLAY || kind == JAIL_SOUND || kind == JAIL_CONNECTOR ||
			     kind == JAIL_NET || (kind == JAIL_FILES && geteuid() == 0);
		bool all = complete && (!wants || jail_has_namespaces());
		assert_int_equal(jail_check_strict((enum jail_kind)kind, &error) == 0, all);
		assert_int_equal(error.message[0] == '\0', all);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_to_all),
		cmocka_unit_test(test_the_monitor_sleeps),
		cmocka_unit_test(test_nobody_makes_others_wait),
		cmocka_unit_test(test_file_sizes),
		cmocka_unit_test(test_kvm_is_the_monitors),
		cmocka_unit_test(test_pairs_are_streams),
		cmocka_unit_test(test_files_serves),
		cmocka_unit_test(test_user_namespaces_hide_owners),
		cmocka_unit_test(test_files_makes_nothing_special),
		cmocka_unit_test(test_files_opens_for_something),
		cmocka_unit_test(test_files_stays_in_its_trees),
		cmocka_unit_test(test_files_beside_a_foreign_mount),
		cmocka_unit_test(test_connecting_is_the_connectors),
		cmocka_unit_test(test_connector_sees_its_folders),
		cmocka_unit_test(test_ordinary_life_goes_on),
		cmocka_unit_test(test_nobody_keeps_privileges),
		cmocka_unit_test(test_root_becomes_the_caller),
		cmocka_unit_test(test_root_stays_root),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_strict_needs_all),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
