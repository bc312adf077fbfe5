/* Guest RAM: one memfd, cut into the regions of the guest's address space. */
#ifndef MONITOR_MEMORY_H
#define MONITOR_MEMORY_H

#include "ph/error.h"
#include "ph/guest_memory.h"

#include <stdbool.h>

/* The 32-bit hole: local APIC, PCI windows. RAM never lies here. */
#define MEMORY_HOLE_START 0xc0000000ULL
#define MEMORY_HOLE_END 0x100000000ULL

/* What Linux adds as one block through /sys/devices/system/memory/probe. */
#define MEMORY_BLOCK (128ULL << 20)
#define MEMORY_MINIMUM (64ULL << 20)

/*
 * Guest RAM of size bytes. With late, all but a boot part (region 0) is left for the guest's init to add once
 * it is up: every gigabyte that the kernel finds at boot costs it time, and the regions after the first
 * are then cut into whole blocks. -errno with *error set.
 */
int memory_init(struct guest_memory *memory, uint64_t size, bool late, struct error *error);
/*
 * Have the host back the RAM around these addresses of region 0 with huge pages now, whatever it does by
 * itself with shared memory. What is there already stays. False when it does not, for all or some of it.
 */
bool memory_use_huge_pages(const struct guest_memory *memory, uint64_t from, uint64_t to);
/* Accepts a zeroed struct. */
void memory_finish(struct guest_memory *memory);

#endif
