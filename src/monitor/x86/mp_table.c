/*
 * The MultiProcessor Specification's table: how a kernel without ACPI finds its processors. Main thread,
 * before the guest starts.
 *
 * There is no IOAPIC. The one bus and its one interrupt entry are there because Linux takes a table without
 * interrupt entries for a firmware bug, says so, and makes up its own.
 */
#include "monitor/x86/boot.h"

#include <string.h>

#define MP_TABLE_ADDRESS 0x9fc00
#define LOCAL_APIC_ADDRESS 0xfee00000
#define LOCAL_APIC_VERSION 0x14
#define CPU_ENABLED 1
#define CPU_BOOT 2

enum mp_entry_type {
	MP_PROCESSOR = 0,
	MP_BUS = 1,
	MP_INTERRUPT = 3,
};

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, version, checksum, feature[5];
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t version, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t local_apic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct mp_interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, bus_irq, ioapic, ioapic_pin;
} __attribute__((packed));

struct mp_table {
	struct mp_pointer pointer;
	struct mp_header header;
	uint8_t entries[16 * sizeof(struct mp_processor) + sizeof(struct mp_bus) +
			sizeof(struct mp_interrupt)];
} __attribute__((packed));

static uint8_t checksum(const void *data, size_t len) {
	const uint8_t *bytes = data;
	uint8_t sum = 0;
	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return (uint8_t)-sum;
}

static size_t put(struct mp_table *table, size_t used, const void *entry, size_t size) {
	memcpy(table->entries + used, entry, size);
	table->header.entries++;
	return used + size;
}

static size_t put_entries(struct mp_table *table, unsigned cpus) {
	size_t used = 0;
	for (unsigned i = 0; i < cpus; i++) {
		const struct mp_processor processor = {.type = MP_PROCESSOR,
			.apic_id = (uint8_t)i,
			.apic_version = LOCAL_APIC_VERSION,
			.flags = (uint8_t)(CPU_ENABLED | (i == 0 ? CPU_BOOT : 0))};
		used = put(table, used, &processor, sizeof(processor));
	}
	const struct mp_bus bus = {.type = MP_BUS, .name = {'I', 'S', 'A', ' ', ' ', ' '}};
	used = put(table, used, &bus, sizeof(bus));
	const struct mp_interrupt interrupt = {.type = MP_INTERRUPT};
	return put(table, used, &interrupt, sizeof(interrupt));
}

void boot_write_mp_table(const struct guest_memory *memory, unsigned cpus) {
	struct mp_table table = {
		.pointer = {.signature = {'_', 'M', 'P', '_'},
			.table = MP_TABLE_ADDRESS + sizeof(struct mp_pointer),
			.length = 1,
			.version = 4},
		.header = {.signature = {'P', 'C', 'M', 'P'},
			.version = 4,
			.oem = {'p', 'h', ' ', ' ', ' ', ' ', ' ', ' '},
			.product = {'v', 'm', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '},
			.local_apic = LOCAL_APIC_ADDRESS},
	};
	size_t size = sizeof(table.header) + put_entries(&table, cpus);
	table.header.length = (uint16_t)size;
	table.header.checksum = checksum(&table.header, size);
	table.pointer.checksum = checksum(&table.pointer, sizeof(table.pointer));
	guest_memory_write(memory, (gpa_t){MP_TABLE_ADDRESS}, &table, sizeof(table.pointer) + size);
}
