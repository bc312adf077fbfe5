/* The KVM descriptors of one VM. */
#ifndef MONITOR_KVM_H
#define MONITOR_KVM_H

#include "monitor/window.h"
#include "monitor/x86/cpuid.h"
#include "ph/error.h"
#include "ph/guest_memory.h"

#include <stdbool.h>
#include <stdint.h>

struct kvm {
	int dev_fd, vm_fd;
	size_t run_size;      /* of a vCPU's shared pages */
	unsigned ring_offset; /* in them, of the VM's ring of collected port writes; 0: none */
	bool trusts_tsc;      /* this host does */
	struct cpuid_table supported;
};

/* Open /dev/kvm: distinguishes missing, not permitted and too old. The descriptor, or -errno with *error set.
 */
int kvm_open_device(struct error *error);
/* What an error of KVM's means, which the C library's text does not tell. */
const char *kvm_error_text(int error);
/* Create the VM with its memory slots, then the interrupt controller; vCPUs and eventfds come after: KVM
 * takes milliseconds for a slot once those exist. -errno with *error set. */
int kvm_init(
	struct kvm *kvm, const struct guest_memory *memory, const struct window *window, struct error *error);
void kvm_finish(struct kvm *kvm);

/* A usable KVM runs a short loop of kernel code in microseconds; one that emulates it takes 1000 times as
 * long. 0, or -errno with *error set. */
int kvm_check_speed(int dev_fd, struct error *error);

#endif
