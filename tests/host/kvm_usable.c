/*
 * Exits 0 where /dev/kvm can really run a kernel, 1 where it cannot, and says why on stderr with -v.
 *
 * Some machines offer a /dev/kvm that creates VMs but emulates guest ring 0 at about a million
 * instructions a second. The probe times a ring-0 loop at two lengths: the difference is the cost of
 * known instructions alone, whatever the first entry costs. One process, one thread, no input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOOP_SHORT 1000
#define LOOP_LONG 21000
#define TRIES 3
/* 20 000 iterations: about 20 us of hardware, 50 us of QEMU TCG, 20 ms of an emulated ring 0. */
#define LIMIT_NS 4000000

#define CODE_ADDRESS 0x1000
#define MEMORY_SIZE 0x2000

/* loop: dec %ecx; jnz loop; hlt */
static const uint8_t code[] = {0x49, 0x75, 0xfd, 0xf4};

struct probe {
	int kvm, vm, vcpu;
	struct kvm_run *run;
};

static int probe_memory(struct probe *probe) {
	uint8_t *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		return -1;
	}
	memcpy(memory + CODE_ADDRESS, code, sizeof(code));
	struct kvm_userspace_memory_region region = {
		.memory_size = MEMORY_SIZE,
		.userspace_addr = (uintptr_t)memory,
	};
	return ioctl(probe->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Flat 32-bit protected mode: every KVM runs it without an emulator of its own. */
static int probe_protected_mode(struct probe *probe) {
	struct kvm_sregs sregs;
	if (ioctl(probe->vcpu, KVM_GET_SREGS, &sregs) < 0) {
		return -1;
	}
	struct kvm_segment code_segment = {
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
	struct kvm_segment data_segment = code_segment;
	data_segment.selector = 16;
	data_segment.type = 3;
	sregs.cr0 |= 1;
	sregs.cs = code_segment;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment;
	return ioctl(probe->vcpu, KVM_SET_SREGS, &sregs);
}

static const char *probe_create(struct probe *probe) {
	probe->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (probe->kvm < 0) {
		return "open /dev/kvm";
	}
	probe->vm = ioctl(probe->kvm, KVM_CREATE_VM, 0);
	if (probe->vm < 0) {
		return "create a VM";
	}
	if (probe_memory(probe) < 0) {
		return "give the VM memory";
	}
	probe->vcpu = ioctl(probe->vm, KVM_CREATE_VCPU, 0);
	if (probe->vcpu < 0) {
		return "create a vCPU";
	}
	int size = ioctl(probe->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	probe->run = size > 0 ? mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->vcpu, 0)
			      : MAP_FAILED;
	if (probe->run == MAP_FAILED) {
		return "map the vCPU";
	}
	return probe_protected_mode(probe) < 0 ? "set registers" : NULL;
}

/* The nanoseconds that the loop took, or -1 when it did not reach its HLT. */
static int64_t probe_time(struct probe *probe, uint32_t loops) {
	struct kvm_regs regs = {.rip = CODE_ADDRESS, .rcx = loops, .rflags = 2};
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	if (ioctl(probe->vcpu, KVM_SET_REGS, &regs) < 0 || ioctl(probe->vcpu, KVM_RUN, 0) < 0) {
		return -1;
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (probe->run->exit_reason != KVM_EXIT_HLT) {
		return -1;
	}
	return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
}

/* The best of a few tries: a busy machine only ever makes a try slower. */
static int64_t probe_best(struct probe *probe, uint32_t loops) {
	int64_t best = INT64_MAX;
	for (int i = 0; i < TRIES; i++) {
		int64_t time = probe_time(probe, loops);
		if (time < 0) {
			return -1;
		}
		best = time < best ? time : best;
	}
	return best;
}

int main(int argc, char **argv) {
	int verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
	struct probe probe = {.kvm = -1, .vm = -1, .vcpu = -1};
	/* A KVM that never comes back is not usable either: SIGALRM ends us with a status other than 0. */
	alarm(5);
	const char *failed = probe_create(&probe);
	if (failed != NULL) {
		if (verbose) {
			fprintf(stderr, "kvm_usable: cannot %s: %s\n", failed, strerror(errno));
		}
		return 1;
	}
	int64_t less = probe_best(&probe, LOOP_SHORT);
	int64_t more = probe_best(&probe, LOOP_LONG);
	if (verbose) {
		fprintf(stderr, "kvm_usable: %d loops %lld ns, %d loops %lld ns\n", LOOP_SHORT,
			(long long)less, LOOP_LONG, (long long)more);
	}
	return less >= 0 && more >= 0 && more - less < LIMIT_NS ? 0 : 1;
}
