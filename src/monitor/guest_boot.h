/* Everything in guest RAM before the guest starts: kernel, initramfs, command line. */
#ifndef MONITOR_GUEST_BOOT_H
#define MONITOR_GUEST_BOOT_H

#include "ph/error.h"
#include "ph/guest_memory.h"
#include "ph/plan.h"

/* Where ph's own kernel reads PCI configuration space (src/guest/kernel/ph_pci.c): low memory that is no RAM.
 */
#define GUEST_BOOT_PCI_CONFIG 0xe0000

/*
 * The port where ph's own kernel tells which memory comes into use (src/guest/kernel/ph_backing.c), before it
 * touches it: 32 bits, the number of a block of this size. It is a wish for a huge page and no more.
 */
#define GUEST_BOOT_BACKING_PORT 0x600
#define GUEST_BOOT_BACKING_BLOCK (2ULL << 20)

/* Whether the plan's kernel takes RAM that is added later: ph's own does. */
bool guest_boot_late_memory(const struct plan *plan);
/* Fill guest RAM; *entry is where the boot CPU starts. trusts_tsc: the host takes its processors' counters
 * for one clock, and the guest may, too. -errno with *error set. */
int guest_boot_load(const struct plan *plan, const struct guest_memory *memory, bool trusts_tsc,
	uint64_t *entry, struct error *error);

#endif
