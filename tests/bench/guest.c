/*
 * The init of the bench's guests, under ph as under QEMU: it does the work that the kernel's command line
 * names (bench=WORD, which the kernel hands to init as a variable), leaves what it measured in the share, and
 * ends the machine by a reset. PID 1 of a guest that runs nothing else; static, so that the guest's pages are
 * few.
 *
 * Before each work it writes its number to a port that nobody owns, and behind it asks for a leaf of CPUID
 * that nobody knows: both exit, and KVM's trace events for them are two, as its triggers want it.
 */
#include "work.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK_PORT 0x99
#define MARK_LEAF 0x4000ffffU
#define ROOT_OPTIONS "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any"
#define SHARE_OPTIONS "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=any"

static uint64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

void bench_fail(const char *what) {
	FILE *result = fopen("/share/result", "a");
	if (result != NULL) {
		fprintf(result, "failed %s\n", what);
		fclose(result);
	}
	sync();
	reboot(RB_AUTOBOOT);
}

void bench_result(const char *name, const char *what, unsigned operations, int64_t value) {
	FILE *result = fopen("/share/result", "a");
	if (result != NULL) {
		fprintf(result, "%s-%s %u %lld\n", name, what, operations, (long long)value);
		fclose(result);
	}
}

static void mount_share(void) {
	mkdir("/share", 0755);
	if (mount("share1", "/share", "9p", MS_NOATIME, SHARE_OPTIONS) < 0) {
		bench_fail("mount");
	}
}

static void mount_root(void) {
	mkdir("/lower", 0755);
	mkdir("/over", 0755);
	mkdir("/root", 0755);
	if (mount("root", "/lower", "9p", MS_RDONLY | MS_NOATIME, ROOT_OPTIONS) < 0 ||
		mount("over", "/over", "tmpfs", 0, NULL) < 0 || mkdir("/over/upper", 0755) < 0 ||
		mkdir("/over/work", 0755) < 0 ||
		mount("root", "/root", "overlay", 0,
			"lowerdir=/lower,upperdir=/over/upper,workdir=/over/work") < 0) {
		bench_fail("root");
	}
	mkdir("/root/dev", 0755); /* hidden by ph */
	if (mount("dev", "/root/dev", "devtmpfs", 0, NULL) < 0) {
		bench_fail("dev");
	}
}

/* A work starts with nothing cached. */
static void measure(const struct work *work) {
	mount_share();
	if (work->needs_root) {
		mount_root();
	}
	outb((unsigned char)work->number, MARK_PORT);
	uint64_t start = now();
	unsigned operations = work->run();
	uint64_t end = now();
	unsigned eax, ebx, ecx, edx;
	__cpuid(MARK_LEAF, eax, ebx, ecx, edx);
	FILE *result = fopen("/share/result", "a");
	if (result != NULL) {
		fprintf(result, "%s %u %llu\n", work->name, operations, (unsigned long long)(end - start));
		fclose(result);
	}
	if (work->needs_root) {
		umount("/root/dev");
		umount("/root");
		umount("/over");
		umount("/lower");
	}
	umount("/share");
}

/* The one of that name, or with NULL all. */
static void run_works(const char *name, const struct work *works, size_t count) {
	for (size_t i = 0; i < count && iopl(3) == 0; i++) {
		if (name == NULL || strcmp(works[i].name, name) == 0) {
			measure(&works[i]);
		}
	}
}

static void run_wl(void) {
	mkdir("/dev", 0755);
	mkdir("/sys", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	if (!bench_wl_open()) {
		mount_share();
		bench_fail("wl");
	}
	run_works(NULL, wl_works, wl_work_count);
}

static void run_net(const char *name) {
	mount_share();
	bench_net_open();
	umount("/share");
	run_works(name, net_works, net_work_count);
}

/*
 * The least that does for QEMU what ph's init does for "ph -- true": the host's root over 9p, read-only under
 * a tmpfs, the usual mounts, one command.
 */
static void run_true(void) {
	mount_root();
	if (chdir("/root") < 0 || chroot(".") < 0) {
		return;
	}
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("run", "/run", "tmpfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	sync();
}

int main(void) {
	const char *bench = getenv("bench");
	if (bench != NULL && strcmp(bench, "true") == 0) {
		run_true();
	} else if (bench != NULL && strcmp(bench, "wl") == 0) {
		run_wl();
	} else if (bench != NULL && strncmp(bench, "net-", 4) == 0) {
		run_net(bench);
	} else if (bench != NULL && strcmp(bench, "wait") == 0) {
		pause();
	} else if (bench != NULL) {
		run_works(bench, file_works, file_work_count);
		run_works(bench, disk_works, disk_work_count);
	}
	reboot(RB_AUTOBOOT);
	return 0;
}
