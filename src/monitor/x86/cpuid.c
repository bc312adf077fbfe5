/*
 * CPUID of a vCPU. Any vCPU thread, each on its own copy; nothing hostile comes in.
 *
 * The edits, all others pass through:
 *   1            APIC id, processors in the package, TSC-deadline timer (KVM always has it, and without it
 *                Linux would calibrate against a PIT that is not there), hypervisor bit, no VMX, none of the
 *                features of performance counters
 *   4, 8000001D  private first- and second-level caches, one third-level cache
 *   6            ARAT alone: the APIC timer never stops, there is no thermal or frequency control
 *   7, 1D, 1E    no AMX: its tiles are for a process that asks its kernel for them, and ph does not
 *   A, 80000022  no performance counters (AMD's oldest four need no bit: kvm.c has KVM leave them out)
 *   B, 1F        one thread a core, one package (1F: absent)
 *   D            no states of tiles, nor XFD, which serves nothing else; the size of the others. KVM of
 *                Linux 5.17 to 6.3 offers one of the two states by itself, and then refuses an XCR0 with it.
 *   80000001     no SVM, no performance counters; cores in the AMD style
 *   80000007     no invariant TSC where this host's kernel does not trust it (kvm.c): Linux then prefers
 *                kvm-clock, which KVM keeps right
 *   80000008     cores, width of the core's id
 *   8000001E     core id
 *   8000001F     no memory encryption (SEV): a kernel that sees it reads an MSR that KVM does not know, when
 *                it can handle no exceptions yet
 *   40000001     no paravirtual end of interrupt where QEMU emulates the processor: its SVM may deliver an
 *                injected interrupt a second time while the handler runs, until the guest's next exit. An end
 *                of interrupt that exits closes that window before the handler takes a lock.
 */
#include "monitor/x86/cpuid.h"

#include <asm/kvm_para.h>
#include <cpuid.h>
#include <stdint.h>
#include <string.h>

#define BIT(n) (1u << (n))
#define HYPERVISOR BIT(31)                /* leaf 1, ECX */
#define AMX (BIT(22) | BIT(24) | BIT(25)) /* leaf 7, EDX: BF16, the tiles, INT8 */
#define AMX_FP16 BIT(21)                  /* leaf 7.1, EAX */
#define AMX_COMPLEX BIT(8)                /* leaf 7.1, EDX */

#define INVARIANT_TSC BIT(8) /* leaf 80000007, EDX */

/* Leaf D */
#define STATE_TILE_CONFIG 17
#define STATE_TILE_DATA 18
#define STATES_OF_TILES (BIT(STATE_TILE_CONFIG) | BIT(STATE_TILE_DATA))
#define LEGACY_STATES_SIZE 576 /* x87, SSE, and the header */
#define XFD BIT(4)             /* leaf D.1, EAX */

#define LEVEL_THREAD 1
#define LEVEL_CORE 2

static unsigned core_bits(unsigned cpus) {
	unsigned bits = 0;
	while ((1u << bits) < cpus) {
		bits++;
	}
	return bits;
}

static void set_field(uint32_t *word, unsigned shift, unsigned width, uint32_t value) {
	uint32_t mask = ((1u << width) - 1) << shift;
	*word = (*word & ~mask) | (value << shift & mask);
}

static void edit_features(struct kvm_cpuid_entry2 *entry, unsigned apic_id, unsigned cpus) {
	set_field(&entry->ebx, 24, 8, apic_id);
	set_field(&entry->ebx, 16, 8, cpus);
	entry->ecx |= BIT(24) | HYPERVISOR; /* TSC-deadline */
	entry->ecx &= ~BIT(5);              /* VMX */
	entry->ecx &= ~(BIT(2) | BIT(15));  /* DTES64, PDCM */
	entry->edx &= ~BIT(21);             /* DS */
	set_field(&entry->edx, 28, 1, cpus > 1);
}

/* Leaf 4, and its AMD likeness. */
static void edit_cache(struct kvm_cpuid_entry2 *entry, unsigned cpus, bool intel) {
	unsigned level = entry->eax >> 5 & 7;
	if ((entry->eax & 0x1f) == 0) {
		return;
	}
	set_field(&entry->eax, 14, 12, level >= 3 ? (1u << core_bits(cpus)) - 1 : 0);
	if (intel) {
		set_field(&entry->eax, 26, 6, (1u << core_bits(cpus)) - 1);
	}
}

static void edit_topology(struct kvm_cpuid_entry2 *entry, unsigned apic_id, unsigned cpus) {
	unsigned index = entry->index;
	entry->eax = index == 1 ? core_bits(cpus) : 0;
	entry->ebx = index == 0 ? 1 : index == 1 ? cpus : 0;
	entry->ecx = index | (index == 0 ? LEVEL_THREAD : index == 1 ? LEVEL_CORE : 0) << 8;
	entry->edx = apic_id;
}

static void clear_entry(struct kvm_cpuid_entry2 *entry) {
	entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
}

/* Leaf 7 */
static void edit_more_features(struct kvm_cpuid_entry2 *entry) {
	if (entry->index == 0) {
		entry->edx &= ~AMX;
	} else if (entry->index == 1) {
		entry->eax &= ~AMX_FP16;
		entry->edx &= ~AMX_COMPLEX;
	}
}

/* Leaf D.0 is withhold_tiles()'. */
static void edit_state(struct kvm_cpuid_entry2 *entry) {
	if (entry->index == 1) {
		entry->eax &= ~XFD;
	} else if (entry->index == STATE_TILE_CONFIG || entry->index == STATE_TILE_DATA) {
		clear_entry(entry);
	}
}

static bool emulated_by_qemu(void) {
	unsigned eax, signature[3];
	__cpuid(0x40000000, eax, signature[0], signature[1], signature[2]);
	return memcmp(signature, "TCGTCGTCGTCG", sizeof(signature)) == 0;
}

static void edit_extended(struct kvm_cpuid_entry2 *entry, unsigned apic_id, unsigned cpus) {
	switch (entry->function) {
	case 0x80000001:
		entry->ecx &= ~(BIT(2) | BIT(23) | BIT(24) | BIT(28)); /* SVM, performance counters */
		set_field(&entry->ecx, 1, 1, cpus > 1);
		break;
	case 0x80000008:
		set_field(&entry->ecx, 0, 8, cpus - 1);
		set_field(&entry->ecx, 12, 4, core_bits(cpus));
		break;
	case 0x8000000a:
	case 0x8000001f:
	case 0x80000022:
		clear_entry(entry);
		break;
	case 0x8000001d:
		edit_cache(entry, cpus, false);
		break;
	case KVM_CPUID_FEATURES:
		if (emulated_by_qemu()) {
			entry->eax &= ~BIT(KVM_FEATURE_PV_EOI);
		}
		break;
	case 0x8000001e:
		clear_entry(entry);
		entry->eax = apic_id;
		entry->ebx = apic_id;
		break;
	default:
		break;
	}
}

static void edit_entry(struct kvm_cpuid_entry2 *entry, unsigned apic_id, unsigned cpus) {
	switch (entry->function) {
	case 0x1:
		edit_features(entry, apic_id, cpus);
		break;
	case 0x4:
		edit_cache(entry, cpus, true);
		break;
	case 0x6:
		clear_entry(entry);
		entry->eax = BIT(2);
		break;
	case 0x7:
		edit_more_features(entry);
		break;
	case 0xa:
	case 0x1d:
	case 0x1e:
	case 0x1f:
		clear_entry(entry);
		break;
	case 0xb:
		edit_topology(entry, apic_id, cpus);
		break;
	case 0xd:
		edit_state(entry);
		break;
	default:
		edit_extended(entry, apic_id, cpus);
		break;
	}
}

/* KVM lists leaf B as far as the host has it; the guest gets both levels whatever the host has. */
static void add_topology(struct cpuid_table *table) {
	unsigned kept = 0;
	for (unsigned i = 0; i < table->nent; i++) {
		if (table->entries[i].function != 0xb) {
			table->entries[kept++] = table->entries[i];
		}
	}
	for (unsigned index = 0; index < 3 && kept < CPUID_ENTRIES_MAX; index++) {
		table->entries[kept++] = (struct kvm_cpuid_entry2){
			.function = 0xb, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
	}
	table->nent = kept;
}

/* The bytes of the area that holds these states: to the end of the last. */
static uint32_t states_size(const struct cpuid_table *table, uint32_t states) {
	uint32_t size = LEGACY_STATES_SIZE;
	for (unsigned i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &table->entries[i];
		if (entry->function == 0xd && entry->index >= 2 && entry->index < 32 &&
			(states & BIT(entry->index)) && entry->ebx + entry->eax > size) {
			size = entry->ebx + entry->eax;
		}
	}
	return size;
}

static void withhold_tiles(struct cpuid_table *table) {
	for (unsigned i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		if (entry->function == 0xd && entry->index == 0 && (entry->eax & STATES_OF_TILES)) {
			entry->eax &= ~STATES_OF_TILES;
			entry->ebx = entry->ecx = states_size(table, entry->eax);
		}
	}
}

void cpuid_edit(struct cpuid_table *table, unsigned apic_id, unsigned cpus) {
	add_topology(table);
	withhold_tiles(table);
	for (unsigned i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		if (entry->function == 0 && entry->eax < 0xb) {
			entry->eax = 0xb;
		}
		edit_entry(entry, apic_id, cpus);
	}
}

bool cpuid_trusts_tsc(const char *clock_source) {
	static const char *const others[] = {"hpet", "acpi_pm", "jiffies", "refined-jiffies"};
	size_t length = strcspn(clock_source, "\n");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (length == strlen(others[i]) && strncmp(clock_source, others[i], length) == 0) {
			return false;
		}
	}
	return true;
}

void cpuid_distrust_tsc(struct cpuid_table *table) {
	for (unsigned i = 0; i < table->nent; i++) {
		if (table->entries[i].function == 0x80000007) {
			table->entries[i].edx &= ~INVARIANT_TSC;
		}
	}
}

bool cpuid_is_in_vm(void) {
	unsigned eax, ebx, ecx, edx;
	__cpuid(1, eax, ebx, ecx, edx);
	return (ecx & HYPERVISOR) != 0;
}

unsigned cpuid_physical_bits(const struct cpuid_table *table) {
	for (unsigned i = 0; i < table->nent; i++) {
		if (table->entries[i].function == 0x80000008) {
			return table->entries[i].eax & 0xff;
		}
	}
	return 36;
}
