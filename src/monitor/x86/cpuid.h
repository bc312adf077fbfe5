/* The processor that the guest sees: the host's, with a short list of edits. */
#ifndef MONITOR_X86_CPUID_H
#define MONITOR_X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>

#define CPUID_ENTRIES_MAX 256

struct cpuid_table {
	struct kvm_cpuid2 header;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/* Edit what KVM supports into what the vCPU with this local APIC id of cpus shows. */
void cpuid_edit(struct cpuid_table *table, unsigned apic_id, unsigned cpus);
/* Physical address bits that the table declares. */
unsigned cpuid_physical_bits(const struct cpuid_table *table);

#endif
