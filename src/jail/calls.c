/*
 * The system calls that each kind of thread may make: one table, from which the filters are compiled, which
 * `ph --check --verbose` prints, and which the tests go through. Whatever is not here kills the process.
 *
 * What opens, starts or reaches something is listed for those who need it, with the arguments they need. What
 * only works on what the thread has already, or asks for the time, is listed for all, if one kind uses it.
 * Each row is used by some test (tests/hostile/long-jail-calls.sh, which names those that wait for an
 * accident).
 */
#include "jail/parts.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <libdrm/drm.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MONITOR (1u << JAIL_MONITOR)
#define VCPU (1u << JAIL_VCPU)
#define DISK (1u << JAIL_DISK)
#define FILES (1u << JAIL_FILES)
#define DISPLAY (1u << JAIL_DISPLAY)
#define SOUND (1u << JAIL_SOUND)
#define CONNECTOR (1u << JAIL_CONNECTOR)
#define NET (1u << JAIL_NET)
#define TERMINAL (1u << JAIL_TERMINAL)
#define ALL ((1u << JAIL_KINDS) - 1)
#define WORKERS (FILES | DISPLAY | SOUND | CONNECTOR | NET)
/* Threads that may have to tell, on their way down, what went wrong, and put the terminal back. */
#define IN_MONITOR (MONITOR | VCPU | DISK)
/* Kinds that create threads, or are what threads are created from. */
#define THREADS (MONITOR | FILES)

#define CALL(call) .number = SYS_##call, .name = #call
#define BITS(argument_, mask_, value_, text_) \
	{ .test = JAIL_BITS, .argument = argument_, .mask = mask_, .value = value_, .text = text_ }
/* The kernel looks at the low half of an int. */
#define INT(argument, value, text) BITS(argument, 0xffffffff, (uint32_t)(value), text)
#define IOCTL(request) CALL(ioctl), .conditions = {INT(1, request, #request)}
#define FCNTL(command) CALL(fcntl), .conditions = {INT(1, command, #command)}
#define SELF(argument_) \
	{ .test = JAIL_SELF, .argument = argument_, .text = "itself" }
#define NOT_EXECUTABLE BITS(2, PROT_EXEC, 0, "not executable")
/* A descriptor, not AT_FDCWD. */
#define IN_DIRECTORY(argument) BITS(argument, 0x80000000, 0, "in a directory that is open")
#define NO_SET_ID(argument) BITS(argument, 06000, 0, "no set-id bits")
#define OPEN(mask, mode, text) BITS(2, mask, mode, text)
#define NODE(type, text) BITS(2, S_IFMT | 06000, type, text)

#define A_THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define NO_THREAD \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		CLONE_NEWNET | CLONE_IO | CLONE_PTRACE | CLONE_UNTRACED | CLONE_VFORK | CLONE_PARENT | \
		CLONE_PIDFD)

const struct jail_call jail_calls[] = {
	/* ---- what is open ---- */
	{CALL(read), .kinds = ALL},
	{CALL(write), .kinds = ALL},
	{CALL(writev), .kinds = ALL},
	{CALL(pread64), .kinds = ALL},
	{CALL(pwrite64), .kinds = ALL},
	{CALL(preadv), .kinds = ALL},
	{CALL(pwritev), .kinds = ALL},
	{CALL(preadv2), .kinds = ALL},
	{CALL(pwritev2), .kinds = MONITOR | DISK},
	{CALL(lseek), .kinds = ALL},
	{CALL(close), .kinds = ALL},
	{CALL(fstat), .kinds = ALL},
	{CALL(newfstatat), .kinds = ALL & ~FILES, .conditions = {IN_DIRECTORY(0)}},
	{CALL(poll), .kinds = ALL},
	{CALL(epoll_wait), .kinds = ALL},
	{CALL(epoll_ctl), .kinds = ALL},
	{CALL(epoll_create1), .kinds = FILES},
	{CALL(eventfd2), .kinds = FILES},
	{CALL(timerfd_settime), .kinds = MONITOR | DISPLAY},
	/* Where a thread's filter is put together; nothing can be executed. */
	{CALL(memfd_create), .kinds = MONITOR | DISPLAY},
	{FCNTL(F_DUPFD_CLOEXEC), .kinds = MONITOR | DISPLAY},
	{FCNTL(F_GETFL), .kinds = ALL},
	/* The monitor has some of these open files, too, and must not come to wait on them. */
	{CALL(fcntl), .kinds = DISPLAY,
		.conditions = {INT(1, F_SETFL, "F_SETFL"), BITS(2, O_NONBLOCK, O_NONBLOCK, "never waits")}},
	{FCNTL(F_OFD_GETLK), .kinds = FILES},
	{FCNTL(F_OFD_SETLK), .kinds = FILES},
	{CALL(fallocate), .kinds = MONITOR | DISK},
	{CALL(fsync), .kinds = FILES},
	{CALL(fdatasync), .kinds = MONITOR | DISK | FILES},
	{CALL(ftruncate), .kinds = FILES | DISPLAY},
	/* Messages on what is connected, to nowhere else. */
	{CALL(sendto), .kinds = MONITOR | VCPU | WORKERS,
		.conditions = {BITS(4, UINT64_MAX, 0, "no address")}},
	{CALL(recvfrom), .kinds = MONITOR | VCPU | WORKERS},
	/* And what comes with them: the window's thread is sent memory. */
	{CALL(sendmsg), .kinds = MONITOR | DISPLAY | CONNECTOR},
	{CALL(recvmsg), .kinds = MONITOR | DISPLAY | SOUND | NET},
	{CALL(getsockopt), .kinds = MONITOR | DISPLAY},
	/* Those who join the VM (src/monitor/clients.c). */
	{CALL(accept4), .kinds = MONITOR},
	{CALL(shutdown), .kinds = MONITOR | DISPLAY},
	{FCNTL(F_GET_SEALS), .kinds = MONITOR | DISPLAY},
	{FCNTL(F_ADD_SEALS), .kinds = DISPLAY},

	/* A tap: what the guest takes from it. */
	{IOCTL(TUNSETOFFLOAD), .kinds = NET},
	{IOCTL(TUNSETQUEUE), .kinds = NET},

	/* ---- the compositor and the sound server: their folders are all there is to connect to where
	 * namespaces are to be had. The compositor's way to a security context is a socket of an abstract
	 * name. ---- */
	{CALL(socket), .kinds = CONNECTOR,
		.conditions = {INT(0, AF_UNIX, "AF_UNIX"),
			INT(1, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, "a stream")}},
	{CALL(connect), .kinds = CONNECTOR},
	{CALL(bind), .kinds = CONNECTOR},
	{CALL(listen), .kinds = CONNECTOR},
	/* Datagrams would go from there to any socket by its name. */
	{CALL(socketpair), .kinds = DISPLAY,
		.conditions = {INT(0, AF_UNIX, "AF_UNIX"),
			INT(1, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, "a stream")}},
	{CALL(pipe2), .kinds = DISPLAY | CONNECTOR},
	{IOCTL(SYNC_IOC_FILE_INFO), .kinds = DISPLAY},
	{IOCTL(DMA_BUF_IOCTL_SYNC), .kinds = DISPLAY},
	/* Buffers of a card, and guest pages made one: what NEW_DMABUF and NEW_GUEST_PAGES take. */
	{IOCTL(DRM_IOCTL_MODE_CREATE_DUMB), .kinds = DISPLAY},
	{IOCTL(DRM_IOCTL_MODE_DESTROY_DUMB), .kinds = DISPLAY},
	{IOCTL(DRM_IOCTL_PRIME_HANDLE_TO_FD), .kinds = DISPLAY},
	{IOCTL(UDMABUF_CREATE_LIST), .kinds = DISPLAY},

	/* ---- files, which the file server alone reaches; where Landlock and the modes of files let it ----
	 */
	/* Landlock judges opening to read and to write. To open for neither, access mode 3, needs no right of
	 * its, nor does emptying a file before its third version. openat2's flags would be out of sight. */
	{CALL(openat), .kinds = FILES,
		.conditions = {IN_DIRECTORY(0), NO_SET_ID(3),
			OPEN(O_ACCMODE | O_TRUNC, O_RDONLY, "to read")}},
	{CALL(openat), .kinds = FILES,
		.conditions = {IN_DIRECTORY(0), NO_SET_ID(3), OPEN(O_ACCMODE, O_WRONLY, "to write")}},
	{CALL(openat), .kinds = FILES,
		.conditions = {IN_DIRECTORY(0), NO_SET_ID(3), OPEN(O_ACCMODE, O_RDWR, "to read and write")}},
	/* The C library looks at kernel settings while it gives memory back; it does without. */
	{CALL(openat), .kinds = FILES, .error = EACCES,
		.conditions = {BITS(0, 0x80000000, 0x80000000, "by path")}},
	{CALL(openat), .kinds = ALL & ~FILES, .error = EACCES},
	{CALL(statx), .kinds = FILES},
	{CALL(newfstatat), .kinds = FILES},
	{CALL(fstatfs), .kinds = MONITOR | FILES | DISPLAY},
	{CALL(getdents64), .kinds = FILES},
	{CALL(readlinkat), .kinds = FILES, .conditions = {IN_DIRECTORY(0)}},
	{CALL(fchmod), .kinds = FILES, .conditions = {NO_SET_ID(1)}},
	/* A directory may keep the bit that hands its group down. */
	{CALL(fchmodat), .kinds = FILES,
		.conditions = {IN_DIRECTORY(0), BITS(2, 04000, 0, "no set-uid bit")}},
	{CALL(fchownat), .kinds = FILES,
		.conditions = {IN_DIRECTORY(0), INT(4, AT_EMPTY_PATH, "what is open")}},
	{CALL(utimensat), .kinds = FILES, .conditions = {IN_DIRECTORY(0)}},
	{CALL(mkdirat), .kinds = FILES, .conditions = {IN_DIRECTORY(0)}},
	{CALL(mknodat), .kinds = FILES, .conditions = {IN_DIRECTORY(0), NODE(S_IFREG, "a file")}},
	{CALL(mknodat), .kinds = FILES, .conditions = {IN_DIRECTORY(0), NODE(S_IFIFO, "a fifo")}},
	{CALL(mknodat), .kinds = FILES, .conditions = {IN_DIRECTORY(0), NODE(S_IFSOCK, "a socket")}},
	{CALL(symlinkat), .kinds = FILES, .conditions = {IN_DIRECTORY(1)}},
	{CALL(linkat), .kinds = FILES, .conditions = {IN_DIRECTORY(0), IN_DIRECTORY(2)}},
	{CALL(renameat), .kinds = FILES, .conditions = {IN_DIRECTORY(0), IN_DIRECTORY(2)}},
	{CALL(unlinkat), .kinds = FILES, .conditions = {IN_DIRECTORY(0)}},
	{CALL(fgetxattr), .kinds = FILES},
	{CALL(fsetxattr), .kinds = FILES},
	{CALL(flistxattr), .kinds = FILES},
	{CALL(fremovexattr), .kinds = FILES},

	/* ---- KVM ---- */
	{IOCTL(KVM_RUN), .kinds = MONITOR | VCPU},
	{IOCTL(KVM_GET_REGS), .kinds = MONITOR | VCPU},
	{IOCTL(KVM_GET_SREGS), .kinds = MONITOR | VCPU},
	{IOCTL(KVM_IOEVENTFD), .kinds = MONITOR | VCPU},
	{IOCTL(KVM_IRQFD), .kinds = MONITOR | VCPU},
	{IOCTL(KVM_SET_GSI_ROUTING), .kinds = MONITOR | VCPU},
	/* A vCPU's start, before its thread has its own filter. */
	{IOCTL(KVM_SET_CPUID2), .kinds = MONITOR},
	{IOCTL(KVM_SET_MSRS), .kinds = MONITOR},
	{IOCTL(KVM_SET_SREGS), .kinds = MONITOR},
	{IOCTL(KVM_SET_REGS), .kinds = MONITOR},
	/* A slow start makes ph measure KVM, in a machine of its own. */
	{IOCTL(KVM_CREATE_VM), .kinds = MONITOR},
	{IOCTL(KVM_CREATE_VCPU), .kinds = MONITOR},
	{IOCTL(KVM_GET_VCPU_MMAP_SIZE), .kinds = MONITOR},
	{IOCTL(KVM_SET_USER_MEMORY_REGION), .kinds = MONITOR},

	/* ---- the terminal: its modes, its size, who is in front; never input on somebody's behalf ---- */
	{IOCTL(TCGETS), .kinds = ALL},
	{IOCTL(TCSETS), .kinds = IN_MONITOR | TERMINAL},
	{IOCTL(TCGETS2), .kinds = ALL},
	{IOCTL(TCSETS2), .kinds = IN_MONITOR | TERMINAL},
	{IOCTL(TIOCGWINSZ), .kinds = MONITOR},
	{IOCTL(TIOCGPGRP), .kinds = MONITOR},
	{IOCTL(TIOCGDEV), .kinds = MONITOR},

	/* ---- disks: rings are made before the jail, and can do what disks do; a disk that is started once
	 * more does without ---- */
	{CALL(io_uring_setup), .kinds = MONITOR, .error = EPERM},
	{CALL(io_uring_register), .kinds = MONITOR | DISK},
	{CALL(io_uring_enter), .kinds = MONITOR | DISK},

	/* ---- memory: never to be executed ---- */
	{CALL(mmap), .kinds = ALL, .conditions = {NOT_EXECUTABLE}},
	{CALL(mprotect), .kinds = ALL, .conditions = {NOT_EXECUTABLE}},
	{CALL(munmap), .kinds = ALL},
	{CALL(mremap), .kinds = ALL},
	{CALL(madvise), .kinds = ALL},
	{CALL(mincore), .kinds = MONITOR | VCPU | FILES},
	{CALL(brk), .kinds = ALL},

	/* ---- threads; no process is ever made ---- */
	{CALL(clone), .kinds = THREADS, .conditions = {BITS(0, A_THREAD | NO_THREAD, A_THREAD, "a thread")}},
	/* Its flags are out of a filter's sight; the C library then takes clone. */
	{CALL(clone3), .kinds = ALL, .error = ENOSYS},
	{CALL(set_robust_list), .kinds = ALL},
	{CALL(rseq), .kinds = ALL},
	{CALL(futex), .kinds = ALL},
	{CALL(sched_getaffinity), .kinds = ALL},
	{CALL(restart_syscall), .kinds = ALL},
	{CALL(exit), .kinds = ALL},
	{CALL(exit_group), .kinds = ALL},
	{CALL(prctl), .kinds = ALL, .conditions = {INT(0, PR_SET_NAME, "PR_SET_NAME")}},
	/* A thread puts its own filter on top. */
	{CALL(seccomp), .kinds = MONITOR,
		.conditions = {INT(0, SECCOMP_SET_MODE_FILTER, "SECCOMP_SET_MODE_FILTER")}},

	/* ---- signals, to itself; and the monitor's to its workers, by their descriptors ---- */
	{CALL(rt_sigaction), .kinds = ALL},
	{CALL(rt_sigprocmask), .kinds = ALL},
	{CALL(rt_sigreturn), .kinds = ALL},
	{CALL(tgkill), .kinds = ALL, .conditions = {SELF(0)}},
	{CALL(pidfd_send_signal), .kinds = MONITOR},
	{CALL(wait4), .kinds = MONITOR},
	{CALL(waitid), .kinds = MONITOR},

	/* ---- time, chance, and who one is ---- */
	{CALL(clock_gettime), .kinds = ALL},
	/* A display server that asks for too much is kept waiting. */
	{CALL(clock_nanosleep), .kinds = MONITOR},
	{CALL(getrandom), .kinds = ALL},
	{CALL(getpid), .kinds = ALL},
	{CALL(gettid), .kinds = ALL},
	{CALL(getpgrp), .kinds = ALL},
	{CALL(geteuid), .kinds = MONITOR | FILES},

	/* ---- what another version of the C library may try: as on a kernel that has it not ---- */
	{CALL(membarrier), .kinds = ALL, .error = ENOSYS},
	{CALL(sched_yield), .kinds = ALL, .error = ENOSYS},
	{CALL(getcpu), .kinds = ALL, .error = ENOSYS},
	{CALL(prctl), .kinds = ALL, .error = EINVAL, .conditions = {INT(0, PR_SET_VMA, "PR_SET_VMA")}},
	{CALL(sigaltstack), .kinds = ALL, .error = ENOSYS},
	{CALL(clock_nanosleep), .kinds = ALL & ~MONITOR, .error = ENOSYS},
	{CALL(gettimeofday), .kinds = ALL, .error = ENOSYS},
	{CALL(uname), .kinds = ALL, .error = ENOSYS},
	{CALL(sysinfo), .kinds = ALL, .error = ENOSYS},
	{CALL(prlimit64), .kinds = ALL, .error = ENOSYS},
};

const size_t jail_call_count = sizeof(jail_calls) / sizeof(jail_calls[0]);
