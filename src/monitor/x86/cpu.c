/*
 * A vCPU's registers before its first instruction. Each vCPU thread for its own vCPU, so that the
 * processors are set up side by side. Nothing hostile comes in.
 *
 * The boot CPU starts in 64-bit mode at the kernel's entry; the others wait for the guest's start-up
 * interrupt. The local APIC stays as KVM resets it: with no PIC there is nothing to wire through LINT0, and
 * Linux sets its local vectors itself.
 */
#include "monitor/x86/cpu.h"

#include "monitor/memory.h"
#include "monitor/x86/boot.h"
#include "ph/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define MSR_MISC_ENABLE 0x1a0
#define MSR_MTRR_PHYS_BASE0 0x200
#define MSR_MTRR_PHYS_MASK0 0x201
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MISC_ENABLE_FAST_STRING 1
#define MTRR_ENABLE 0x800
#define MTRR_MASK_VALID 0x800
#define MTRR_UNCACHED 0
#define MTRR_WRITE_BACK 6

#define CR0_PE 0x1
#define CR0_ET 0x10
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define EFER_LME 0x100
#define EFER_LMA 0x400

/* All memory is write-back but for the 32-bit hole. Without this an AMD host would take every store
 * into shared memory as uncached. A power-of-two hole needs one register. */
static int set_msrs(int fd, unsigned physical_bits) {
	const uint64_t hole = MEMORY_HOLE_END - MEMORY_HOLE_START;
	const uint64_t mask = ((1ULL << physical_bits) - 1) & ~(hole - 1);
	struct { /* struct kvm_msrs with its entries */
		uint32_t nmsrs;
		uint32_t pad;
		struct kvm_msr_entry entries[4];
	} msrs = {.nmsrs = sizeof(msrs.entries) / sizeof(msrs.entries[0]),
		.entries = {
			{.index = MSR_MTRR_PHYS_BASE0, .data = MEMORY_HOLE_START | MTRR_UNCACHED},
			{.index = MSR_MTRR_PHYS_MASK0, .data = mask | MTRR_MASK_VALID},
			{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_WRITE_BACK},
			{.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING},
		}};
	int set = ioctl(fd, KVM_SET_MSRS, &msrs);
	if (set >= 0 && (unsigned)set < msrs.nmsrs) {
		log_verbose(
			"KVM does not know MSR 0x%x; the guest starts without it", msrs.entries[set].index);
	}
	return set < 0 ? -errno : 0;
}

static void set_segment(struct kvm_segment *segment, uint16_t selector, uint8_t type) {
	*segment = (struct kvm_segment){.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = type == 11,
		.db = type != 11};
}

static int set_boot_registers(int fd, uint64_t entry) {
	struct kvm_sregs special;
	if (ioctl(fd, KVM_GET_SREGS, &special) < 0) {
		return -errno;
	}
	set_segment(&special.cs, 0x10, 11);
	set_segment(&special.ds, 0x18, 3);
	special.es = special.fs = special.gs = special.ss = special.ds;
	special.gdt.base = BOOT_GDT_ADDRESS;
	special.gdt.limit = 4 * 8 - 1;
	special.cr0 = CR0_PE | CR0_ET | CR0_PG;
	special.cr3 = BOOT_PAGE_TABLES;
	special.cr4 = CR4_PAE;
	special.efer = EFER_LME | EFER_LMA;
	struct kvm_regs registers = {.rip = entry, .rsi = BOOT_PARAMS_ADDRESS, .rflags = 2};
	if (ioctl(fd, KVM_SET_SREGS, &special) < 0 || ioctl(fd, KVM_SET_REGS, &registers) < 0) {
		return -errno;
	}
	return 0;
}

int cpu_setup(int fd, const struct cpuid_table *supported, unsigned apic_id, unsigned cpus, uint64_t entry) {
	struct cpuid_table *table = malloc(sizeof(*table));
	if (table == NULL) {
		return -ENOMEM;
	}
	memcpy(table, supported, sizeof(*table));
	cpuid_edit(table, apic_id, cpus);
	int ret = ioctl(fd, KVM_SET_CPUID2, table) < 0 ? -errno : 0;
	unsigned physical_bits = cpuid_physical_bits(table);
	free(table);
	if (ret == 0) {
		ret = set_msrs(fd, physical_bits);
	}
	if (ret == 0 && apic_id == 0) {
		ret = set_boot_registers(fd, entry);
	}
	return ret;
}

void cpu_describe(int fd, char *text, unsigned size) {
	struct kvm_regs regs;
	struct kvm_sregs special;
	if (ioctl(fd, KVM_GET_REGS, &regs) < 0 || ioctl(fd, KVM_GET_SREGS, &special) < 0) {
		snprintf(text, size, "registers unknown");
		return;
	}
	snprintf(text, size,
		"rip %llx rsp %llx rflags %llx rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx "
		"cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx",
		regs.rip, regs.rsp, regs.rflags, regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi,
		special.cr0, special.cr2, special.cr3, special.cr4, special.efer);
}
