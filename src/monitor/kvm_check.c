/*
 * Can this /dev/kvm run kernel code? Some machines offer one that emulates the guest's ring 0 at a thousandth
 * of the speed, and fails on instructions that every kernel uses. Runs for --check and when a boot goes
 * wrong, in a VM of its own; nothing hostile comes in.
 */
#include "monitor/kvm.h"
#include "ph/fd.h"
#include "ph/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096
#define TRIES 5
/* The loop below is 20000 instructions: some 10 us on a processor, 20 ms and more when they are emulated. */
#define TOO_SLOW_NS 10000000

/* Real mode: mov cx, 10000; loop itself (dec cx; jnz); hlt */
static const uint8_t loop_code[] = {0xb9, 0x10, 0x27, 0x49, 0x75, 0xfd, 0xf4};

struct scratch {
	int vm_fd, vcpu_fd;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_size;
};

static int scratch_init(struct scratch *scratch, int dev_fd) {
	*scratch = (struct scratch){.vm_fd = -1, .vcpu_fd = -1, .memory = MAP_FAILED, .run = MAP_FAILED};
	int size = ioctl(dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	scratch->vm_fd = ioctl(dev_fd, KVM_CREATE_VM, 0);
	scratch->memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (size < 0 || scratch->vm_fd < 0 || scratch->memory == MAP_FAILED) {
		return -errno;
	}
	memcpy(scratch->memory, loop_code, sizeof(loop_code));
	const struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = PAGE, .memory_size = PAGE, .userspace_addr = (uintptr_t)scratch->memory};
	if (ioctl(scratch->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
		return -errno;
	}
	scratch->vcpu_fd = ioctl(scratch->vm_fd, KVM_CREATE_VCPU, 0);
	if (scratch->vcpu_fd < 0) {
		return -errno;
	}
	scratch->run_size = (size_t)size;
	scratch->run = mmap(NULL, scratch->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, scratch->vcpu_fd, 0);
	return scratch->run == MAP_FAILED ? -errno : 0;
}

static void scratch_finish(struct scratch *scratch) {
	if (scratch->run != MAP_FAILED) {
		munmap(scratch->run, scratch->run_size);
	}
	fd_close(&scratch->vcpu_fd);
	fd_close(&scratch->vm_fd);
	if (scratch->memory != MAP_FAILED) {
		munmap(scratch->memory, PAGE);
	}
}

static int enter(const struct scratch *scratch) {
	struct kvm_sregs special;
	const struct kvm_regs registers = {.rip = PAGE, .rflags = 2};
	if (ioctl(scratch->vcpu_fd, KVM_GET_SREGS, &special) < 0) {
		return -errno;
	}
	special.cs.base = 0;
	special.cs.selector = 0;
	if (ioctl(scratch->vcpu_fd, KVM_SET_SREGS, &special) < 0 ||
		ioctl(scratch->vcpu_fd, KVM_SET_REGS, &registers) < 0) {
		return -errno;
	}
	int ret;
	do {
		ret = ioctl(scratch->vcpu_fd, KVM_RUN, 0);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0) {
		return -errno;
	}
	return scratch->run->exit_reason == KVM_EXIT_HLT ? 0 : -EOPNOTSUPP;
}

static int64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The best of a few tries, so that a busy host is not taken for a slow one. */
static int best_time(const struct scratch *scratch, int64_t *best) {
	*best = INT64_MAX;
	for (int i = 0; i < TRIES; i++) {
		int64_t start = now_ns();
		int ret = enter(scratch);
		if (ret < 0) {
			return ret;
		}
		int64_t taken = now_ns() - start;
		*best = taken < *best ? taken : *best;
	}
	return 0;
}

int kvm_check_speed(int dev_fd, struct error *error) {
	struct scratch scratch;
	int64_t best = 0;
	int ret = scratch_init(&scratch, dev_fd);
	if (ret == 0) {
		ret = best_time(&scratch, &best);
	}
	scratch_finish(&scratch);
	if (ret < 0) {
		return error_set(error, ret, "/dev/kvm cannot run kernel code: %s", kvm_error_text(-ret));
	}
	if (best > TOO_SLOW_NS) {
		return error_set(error, -EOPNOTSUPP,
			"/dev/kvm opens but cannot run a kernel: it emulates kernel code (%lld instructions "
			"a "
			"second); use a machine or a VM with hardware (nested) virtualization",
			20000LL * 1000000000 / (long long)best);
	}
	return 0;
}

int vm_check_kvm(struct error *error) {
	int fd = kvm_open_device(error);
	if (fd < 0) {
		return fd;
	}
	int ret = kvm_check_speed(fd, error);
	fd_close(&fd);
	return ret;
}
