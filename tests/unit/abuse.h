/*
 * A driver that breaks the rules, of any virtio-pci device, in each of the ways that have broken devices of
 * other VMMs (docs/security.md lists them). It uses no library and looks only at what a guest sees, since it
 * runs in three places: in unit tests (test_abuse.c), as root of a Linux guest (tests/hostile/abuse_root.c),
 * and as a guest of its own (tests/hostile/abuse_micro.c). Each of them is a machine to it: the functions
 * below.
 */
#ifndef TEST_ABUSE_H
#define TEST_ABUSE_H

#include <stdbool.h>
#include <stdint.h>

/* ---- what the machine provides ---- */

/* The configuration space of the function in a slot of the bus, and its BAR 0. */
uint32_t machine_config_read(unsigned slot, unsigned offset, unsigned len);
void machine_config_write(unsigned slot, unsigned offset, unsigned len, uint32_t value);
uint64_t machine_bar_read(unsigned slot, unsigned offset, unsigned len);
void machine_bar_write(unsigned slot, unsigned offset, unsigned len, uint64_t value);
/* Pages of the guest's memory, each for itself. */
#define ABUSE_PAGES 24
uint8_t *machine_page(unsigned index);
uint64_t machine_address(unsigned index);
/* Where this machine has memory that nobody misses, or ph's own: never one of the pages. */
uint64_t machine_ram(void);
/* Let the device's thread run. */
void machine_pause(void);
void machine_result(bool passed, const char *device, const char *abuse);

/* ---- the abuser ---- */

extern const unsigned abuse_count;

/* The name of the device in a slot, NULL when no virtio device is there. */
const char *abuse_device_name(unsigned slot);
/* Commit count abuses against a device, from the first on; after each of them it starts and serves again.
 * What it takes of other devices' places is those of the slot "other". */
void abuse_commit(unsigned slot, unsigned other, unsigned first, unsigned count);
/* Whether the device starts, and serves what can be asked of any of its kind. Resets it before and
 * afterwards. */
bool abuse_lives(unsigned slot);

#endif
