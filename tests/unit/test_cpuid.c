/* The edits of CPUID, each on a table as KVM gives it. */
#include "monitor/x86/cpuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fill(struct cpuid_table *table, const struct kvm_cpuid_entry2 *entries, unsigned count) {
	memset(table, 0, sizeof(*table));
	memcpy(table->entries, entries, count * sizeof(entries[0]));
	table->nent = count;
}

static const struct kvm_cpuid_entry2 *find(
	const struct cpuid_table *table, uint32_t function, uint32_t index) {
	for (unsigned i = 0; i < table->nent; i++) {
		if (table->entries[i].function == function && table->entries[i].index == index) {
			return &table->entries[i];
		}
	}
	fail_msg("no leaf %x.%x", function, index);
	return NULL;
}

static const struct kvm_cpuid_entry2 host[] = {
	{.function = 0, .eax = 1},
	{.function = 1, .ebx = 0x07400800, .ecx = 0x00008025, .edx = 0x10200001},
	{.function = 4, .index = 0, .eax = 0x7c00c121},
	{.function = 4, .index = 3, .eax = 0xfc01c163},
	{.function = 4, .index = 4},
	{.function = 6, .eax = 0x77, .ecx = 9},
	{.function = 0xa, .eax = 0x08300805},
	{.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100},
	{.function = 0x1f, .index = 0, .eax = 1},
	{.function = 0x80000001, .ecx = 0x00c00007, .edx = 0x2c100800},
	{.function = 0x80000007, .edx = 0x00000100},
	{.function = 0x80000008, .eax = 0x3028, .ecx = 0x600f},
	{.function = 0x8000000a, .eax = 1, .ebx = 8},
	{.function = 0x8000001d, .index = 3, .eax = 0x3c163},
	{.function = 0x8000001e, .eax = 5, .ebx = 0x102, .ecx = 1},
	{.function = 0x8000001f, .eax = 0x40a, .ebx = 0x33, .ecx = 509, .edx = 1},
};

static void assert_zero(const struct kvm_cpuid_entry2 *leaf) {
	assert_int_equal(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx, 0);
}

static void edited(struct cpuid_table *table, unsigned apic_id, unsigned cpus) {
	fill(table, host, sizeof(host) / sizeof(host[0]));
	cpuid_edit(table, apic_id, cpus);
}

static void test_features(void **state) {
	(void)state;
	struct cpuid_table table;
	edited(&table, 2, 6);
	const struct kvm_cpuid_entry2 *leaf = find(&table, 1, 0);
	assert_int_equal(leaf->ebx, 0x02060800);
	assert_int_equal(leaf->ecx, 0x81000001); /* TSC-deadline, hypervisor, no VMX, counters */
	assert_int_equal(leaf->edx, 0x10000001);
	assert_int_equal(find(&table, 0x80000001, 0)->ecx, 0x00400003);
	assert_int_equal(find(&table, 0x8000000a, 0)->eax, 0);
	assert_zero(find(&table, 0x8000001f, 0));
	assert_int_equal(find(&table, 6, 0)->eax, 4);
	assert_int_equal(find(&table, 6, 0)->ecx, 0);
	assert_int_equal(find(&table, 0xa, 0)->eax, 0);
	edited(&table, 0, 1);
	assert_int_equal(find(&table, 1, 0)->edx, 1);
	assert_int_equal(find(&table, 0x80000001, 0)->ecx, 0x00400001);
}

/* A kernel that found the processors' counters to differ runs on another clock. */
static void test_counters(void **state) {
	(void)state;
	struct cpuid_table table;
	edited(&table, 0, 2);
	assert_int_equal(find(&table, 0x80000007, 0)->edx, 0x100);
	cpuid_distrust_tsc(&table);
	assert_zero(find(&table, 0x80000007, 0));
	assert_true(cpuid_trusts_tsc("tsc\n"));
	assert_true(cpuid_trusts_tsc("kvm-clock\n"));
	assert_true(cpuid_trusts_tsc("hyperv_clocksource_tsc_page\n"));
	assert_true(cpuid_trusts_tsc(""));
	assert_false(cpuid_trusts_tsc("hpet\n"));
	assert_false(cpuid_trusts_tsc("acpi_pm\n"));
	assert_false(cpuid_trusts_tsc("jiffies\n"));
	assert_false(cpuid_trusts_tsc("refined-jiffies\n"));
}

static void test_topology(void **state) {
	(void)state;
	struct cpuid_table table;
	edited(&table, 5, 6);
	assert_int_equal(find(&table, 0, 0)->eax, 0xb);
	assert_int_equal(find(&table, 0xb, 0)->eax, 0);
	assert_int_equal(find(&table, 0xb, 0)->ebx, 1);
	assert_int_equal(find(&table, 0xb, 0)->ecx, 0x100);
	assert_int_equal(find(&table, 0xb, 1)->eax, 3);
	assert_int_equal(find(&table, 0xb, 1)->ebx, 6);
	assert_int_equal(find(&table, 0xb, 1)->ecx, 0x201);
	assert_int_equal(find(&table, 0xb, 2)->ecx, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(find(&table, 0xb, i)->edx, 5);
	}
	assert_int_equal(find(&table, 0x1f, 0)->eax, 0);
	assert_int_equal(find(&table, 0x80000008, 0)->ecx, 0x3005);
	assert_int_equal(find(&table, 0x8000001e, 0)->eax, 5);
	assert_int_equal(find(&table, 0x8000001e, 0)->ebx, 5);
	assert_int_equal(find(&table, 0x8000001e, 0)->ecx, 0);
}

static void test_caches(void **state) {
	(void)state;
	struct cpuid_table table;
	edited(&table, 0, 4);
	assert_int_equal(find(&table, 4, 0)->eax, 0x0c000121);
	assert_int_equal(find(&table, 4, 3)->eax, 0x0c00c163);
	assert_int_equal(find(&table, 4, 4)->eax, 0);
	assert_int_equal(find(&table, 0x8000001d, 3)->eax, 0xc163);
}

/* A processor with AMX under a KVM that leaves the tiles' data out of the states (bit 18), as nobody asked
 * for them, and their configuration in (bit 17). */
static const struct kvm_cpuid_entry2 with_tiles[] = {
	{.function = 0x7, .index = 0, .eax = 2, .ebx = 0xd19f07ab, .edx = 0xffd14412},
	{.function = 0x7, .index = 1, .eax = 0x00201c30, .edx = 0x00000110},
	{.function = 0x7, .index = 2, .eax = 0xffffffff, .edx = 0x00000017},
	{.function = 0xd, .index = 0, .eax = 0x000202e7, .ebx = 2816, .ecx = 2816},
	{.function = 0xd, .index = 1, .eax = 0x1f, .ebx = 2568, .ecx = 0x1800},
	{.function = 0xd, .index = 2, .eax = 256, .ebx = 576},
	{.function = 0xd, .index = 9, .eax = 8, .ebx = 2688},
	{.function = 0xd, .index = 11, .eax = 16, .ecx = 1},
	{.function = 0xd, .index = 17, .eax = 64, .ebx = 2752, .ecx = 2},
	{.function = 0xd, .index = 18, .eax = 8192, .ebx = 2816, .ecx = 6},
	{.function = 0x1d, .index = 0, .eax = 1},
	{.function = 0x1d, .index = 1, .eax = 0x04002000, .ebx = 0x00080040, .ecx = 16},
	{.function = 0x1e, .index = 0, .ebx = 0x4010},
	{.function = 0x1e, .index = 1, .eax = 1},
};
#define WITH_TILES (sizeof(with_tiles) / sizeof(with_tiles[0]))

static void assert_no_tiles(const struct cpuid_table *table) {
	assert_int_equal(find(table, 0xd, 0)->eax, 0x2e7);
	assert_int_equal(find(table, 0xd, 0)->ebx, 2696);
	assert_int_equal(find(table, 0xd, 0)->ecx, 2696);
	assert_int_equal(find(table, 0xd, 1)->eax, 0xf);
	assert_int_equal(find(table, 0xd, 1)->ecx, 0x1800);
	assert_int_equal(find(table, 0xd, 9)->ebx, 2688);
	assert_int_equal(find(table, 0xd, 11)->eax, 16);
	assert_zero(find(table, 0xd, 17));
	assert_zero(find(table, 0xd, 18));
	assert_int_equal(find(table, 0x7, 0)->ebx, 0xd19f07ab);
	assert_int_equal(find(table, 0x7, 0)->edx, 0xfc914412);
	assert_int_equal(find(table, 0x7, 1)->eax, 0x00001c30);
	assert_int_equal(find(table, 0x7, 1)->edx, 0x00000010);
	assert_int_equal(find(table, 0x7, 2)->eax, 0xffffffff);
	assert_int_equal(find(table, 0x7, 2)->edx, 0x00000017);
	for (unsigned index = 0; index < 2; index++) {
		assert_zero(find(table, 0x1d, index));
		assert_zero(find(table, 0x1e, index));
	}
}

static void test_tiles(void **state) {
	(void)state;
	struct cpuid_table table;
	fill(&table, with_tiles, WITH_TILES);
	cpuid_edit(&table, 0, 2);
	assert_no_tiles(&table);
	/* With their data, as a KVM that asks nobody has it. */
	fill(&table, with_tiles, WITH_TILES);
	table.entries[3].eax |= 1u << 18;
	table.entries[3].ebx = table.entries[3].ecx = 11008;
	cpuid_edit(&table, 0, 2);
	assert_no_tiles(&table);
}

/* Other processors' states stay as KVM has them. */
static void test_states(void **state) {
	(void)state;
	static const struct kvm_cpuid_entry2 states[] = {
		{.function = 0xd, .index = 0, .eax = 0x207, .ebx = 2440, .ecx = 2440},
		{.function = 0xd, .index = 1, .eax = 0xf, .ebx = 840, .ecx = 0x1800},
		{.function = 0xd, .index = 2, .eax = 256, .ebx = 576},
	};
	struct cpuid_table table;
	fill(&table, states, 3);
	cpuid_edit(&table, 0, 1);
	assert_memory_equal(table.entries, states, sizeof(states));
}

static void test_full_table(void **state) {
	(void)state;
	struct cpuid_table table = {.nent = CPUID_ENTRIES_MAX};
	for (unsigned i = 0; i < CPUID_ENTRIES_MAX; i++) {
		table.entries[i].function = 0x40000000 + i;
	}
	cpuid_edit(&table, 0, 1);
	assert_int_equal(table.nent, CPUID_ENTRIES_MAX);
}

static void test_physical_bits(void **state) {
	(void)state;
	struct cpuid_table table;
	edited(&table, 0, 1);
	assert_int_equal(cpuid_physical_bits(&table), 40);
	table.nent = 0;
	assert_int_equal(cpuid_physical_bits(&table), 36);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_caches),
		cmocka_unit_test(test_tiles),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_physical_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
