/* The state a vCPU starts in. */
#ifndef MONITOR_X86_CPU_H
#define MONITOR_X86_CPU_H

#include "monitor/x86/cpuid.h"

#include <stdint.h>

/* CPUID, MTRRs and the other MSRs of one vCPU; for the boot CPU also its registers, at entry. -errno. */
int cpu_setup(
	int vcpu_fd, const struct cpuid_table *supported, unsigned apic_id, unsigned cpus, uint64_t entry);
/* One line of registers for a person, into text. */
void cpu_describe(int vcpu_fd, char *text, unsigned size);

#endif
