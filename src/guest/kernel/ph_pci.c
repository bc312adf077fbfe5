/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Reading PCI configuration space from memory.
 *
 * ph keeps a copy of the 256 bytes of each slot of bus 0 (function 0; there is no other) in reserved memory,
 * one behind the other, and says where with ph.config=ADDRESS on the command line. Enumeration reads each
 * function's space a hundred times over, and each read through the ports costs two exits; reads of the copy
 * cost none. Writes go through the ports as ever, and the copy has changed when they return. Without the
 * parameter nothing happens. Only reads of the data behind virtio's access capability, which no driver uses,
 * differ.
 */
#include <linux/init.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <asm/pci_x86.h>

#define SLOTS 32
#define SLOT_SIZE 256

static phys_addr_t config_address __initdata;
static const u8 *config;

static int __init set_config_address(char *text) {
	unsigned long long address;
	if (kstrtoull(text, 0, &address) == 0) {
		config_address = address;
	}
	return 1;
}
__setup("ph.config=", set_config_address);

static int read_config(
	unsigned int domain, unsigned int bus, unsigned int devfn, int offset, int size, u32 *value) {
	const u8 *place = config + PCI_SLOT(devfn) * SLOT_SIZE + offset;
	*value = ~0;
	if (domain != 0 || bus != 0 || PCI_FUNC(devfn) != 0 || offset < 0 || offset > SLOT_SIZE - size) {
		return 0;
	}
	switch (size) {
	case 1:
		*value = READ_ONCE(*place);
		break;
	case 2:
		*value = READ_ONCE(*(const u16 *)place);
		break;
	case 4:
		*value = READ_ONCE(*(const u32 *)place);
		break;
	}
	return 0;
}

static int write_config(
	unsigned int domain, unsigned int bus, unsigned int devfn, int offset, int size, u32 value) {
	return pci_direct_conf1.write(domain, bus, devfn, offset, size, value);
}

static const struct pci_raw_ops config_ops = {
	.read = read_config,
	.write = write_config,
};

/* After the ports were found to work, before the bus is scanned. */
static int __init ph_pci_init(void) {
	if (config_address == 0 || raw_pci_ops != &pci_direct_conf1) {
		return 0;
	}
	config = memremap(config_address, SLOTS * SLOT_SIZE, MEMREMAP_WB);
	if (config) {
		raw_pci_ops = &config_ops;
	}
	return 0;
}
arch_initcall_sync(ph_pci_init);
