/* The processor that the guest sees: the host's, with a short list of edits. */
#ifndef MONITOR_X86_CPUID_H
#define MONITOR_X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define CPUID_ENTRIES_MAX 256

/* struct kvm_cpuid2 with room for its entries. */
struct cpuid_table {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/* Edit what KVM supports into what the vCPU with this local APIC id of cpus shows. */
void cpuid_edit(struct cpuid_table *table, unsigned apic_id, unsigned cpus);
/* Whether this host's kernel, which runs on this clock source (a line of sysfs), takes the processors'
 * time-stamp counters for one clock. */
bool cpuid_trusts_tsc(const char *clock_source);
/* The guest shall not do so. */
void cpuid_distrust_tsc(struct cpuid_table *table);
/* Whether this host is a virtual machine itself. */
bool cpuid_is_in_vm(void);
/* Physical address bits that the table declares. */
unsigned cpuid_physical_bits(const struct cpuid_table *table);

#endif
