/*
 * Opening KVM and creating the VM. Main thread, before the guest starts; nothing hostile comes in.
 * What the kernel offers is asked for, never guessed from the processor's name or /proc.
 */
#include "monitor/kvm.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define KVM_DEVICE "/dev/kvm"
#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define PAGE 4096u
/* Three pages outside RAM that KVM asks for on Intel hosts, for real-mode emulation. */
#define TSS_ADDRESS 0xfffbd000UL

/* ---- what is in the way ---- */

static bool is_in_container(void) {
	static const char *const signs[] = {"/run/.containerenv", "/.dockerenv", "/.flatpak-info"};
	bool found = getenv("container") != NULL;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		found |= access(signs[i], F_OK) == 0;
	}
	return found;
}

static const char *how_to_get_device(void) {
	if (is_in_container()) {
		return "this container's host must have it, and give it";
	}
	return cpuid_is_in_vm() ? "allow this VM nested virtualization, then load kvm_intel or kvm_amd"
				: "enable virtualization in the firmware, then load kvm_intel or kvm_amd";
}

static const char *how_to_be_permitted(void) {
	return is_in_container() ? "this container must be given it, with the group that may use it"
				 : "join the group kvm (sudo usermod -aG kvm $USER) and log in again";
}

const char *kvm_error_text(int error) {
	return error == EBUSY ? "another hypervisor uses the processor's virtualization; end its VMs"
			      : strerror(error);
}

/* ---- opening ---- */

int kvm_open_device(struct error *error) {
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		int version = ioctl(fd, KVM_GET_API_VERSION, 0);
		if (version == KVM_API_VERSION) {
			return fd;
		}
		fd_close(&fd);
		return error_set(error, -ENOSYS, KVM_DEVICE ": API version %d instead of %d", version,
			KVM_API_VERSION);
	}
	int ret = -errno;
	if (ret == -ENOENT || ret == -ENXIO || ret == -ENODEV) {
		return error_set(error, ret, KVM_DEVICE " is missing: %s", how_to_get_device());
	}
	if (ret == -EACCES || ret == -EPERM) {
		return error_set(error, ret, KVM_DEVICE ": not permitted: %s", how_to_be_permitted());
	}
	return error_set(error, ret, KVM_DEVICE ": %s", strerror(-ret));
}

static int check_capabilities(int dev_fd, struct error *error) {
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "user memory"},
		{KVM_CAP_SPLIT_IRQCHIP, "the split interrupt controller"},
		{KVM_CAP_TSC_DEADLINE_TIMER, "the TSC-deadline timer"},
		{KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd"},
		{KVM_CAP_IRQFD, "irqfd"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
		{KVM_CAP_SIGNAL_MSI, "MSI"},
	};
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(dev_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0) {
			return error_set(
				error, -ENOSYS, KVM_DEVICE ": this kernel's KVM lacks %s", needed[i].name);
		}
	}
	return 0;
}

static int add_slots(const struct kvm *kvm, const struct guest_memory *memory) {
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		const struct kvm_userspace_memory_region slot = {.slot = i,
			.guest_phys_addr = region->base,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->host};
		if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
			return -errno;
		}
	}
	return 0;
}

static int add_window(const struct kvm *kvm, const struct window *window) {
	const struct kvm_userspace_memory_region slot = {.slot = GUEST_REGIONS_MAX,
		.guest_phys_addr = window->address,
		.memory_size = window->size,
		.userspace_addr = (uintptr_t)window->host};
	bool none = window->size == 0;
	return none || ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) == 0 ? 0 : -errno;
}

/* A guest without the counters' bits in CPUID has four of them all the same on AMD's processors, unless KVM
 * is told (Linux 5.18). Before the first vCPU; an older KVM, or one that offers none, knows no such wish. */
static void leave_out_counters(const struct kvm *kvm) {
	const struct kvm_enable_cap none = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};
	ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &none);
}

static int ask_for_cpuid(struct kvm *kvm) {
	char clock_source[64] = "";
	kvm->supported.nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm->dev_fd, KVM_GET_SUPPORTED_CPUID, &kvm->supported) < 0) {
		return -errno;
	}
	/* KVM offers what the processor says, whatever came of it. */
	kvm->trusts_tsc = fd_read_file(CLOCK_SOURCE, clock_source, sizeof(clock_source)) < 0 ||
			  cpuid_trusts_tsc(clock_source);
	if (!kvm->trusts_tsc) {
		cpuid_distrust_tsc(&kvm->supported);
	}
	return 0;
}

static int create(struct kvm *kvm, const struct guest_memory *memory, const struct window *window) {
	do {
		kvm->vm_fd = ioctl(kvm->dev_fd, KVM_CREATE_VM, 0);
	} while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0) {
		return -errno;
	}
	int ret = add_slots(kvm, memory);
	if (ret == 0) {
		ret = add_window(kvm, window);
	}
	if (ret < 0) {
		return ret;
	}
	/* No IOAPIC in user space either, so no routes are reserved for one. */
	const struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {0}};
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0 ||
		ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &split) < 0) {
		return -errno;
	}
	leave_out_counters(kvm);
	int size = ioctl(kvm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0) {
		return -errno;
	}
	kvm->run_size = (size_t)size;
	ret = ask_for_cpuid(kvm);
	if (ret < 0) {
		return ret;
	}
	if (ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0) {
		int pages = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
		kvm->ring_offset = pages > 0 ? (unsigned)pages * PAGE : 0;
	}
	return 0;
}

int kvm_init(struct kvm *kvm, const struct guest_memory *memory, const struct window *window,
	struct error *error) {
	kvm->vm_fd = -1;
	kvm->dev_fd = kvm_open_device(error);
	if (kvm->dev_fd < 0) {
		return kvm->dev_fd;
	}
	int ret = check_capabilities(kvm->dev_fd, error);
	if (ret == 0) {
		ret = create(kvm, memory, window);
	}
	if (ret < 0) {
		kvm_finish(kvm);
		return error_set(
			error, ret, "cannot create a VM: %s (ph --check tells more)", kvm_error_text(-ret));
	}
	return 0;
}

void kvm_finish(struct kvm *kvm) {
	if (kvm->vm_fd > 0) {
		fd_close(&kvm->vm_fd);
	}
	if (kvm->dev_fd > 0) {
		fd_close(&kvm->dev_fd);
	}
}
