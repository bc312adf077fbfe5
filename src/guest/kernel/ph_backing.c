/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Asking the host for huge pages behind the memory that comes into use.
 *
 * To the host RAM is shared memory, which few hosts give huge pages of their own accord: the first touch of
 * each 4 KiB then is an exit and a fault. So before a page is handed out of a block of 2 MiB in which nothing
 * was handed out yet, ph is told the block's number by one write to a port, and puts a huge page behind all
 * of it. Blocks that free page reporting gave back are asked for anew.
 *
 * The port is what ph.backing=PORT says on the command line. Without it nothing happens.
 */
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>

#define BLOCK_ORDER (PMD_SHIFT - PAGE_SHIFT)
/* 64 GiB. What lies above is not asked for. */
#define BLOCKS 32768

/* For mm/page_alloc.c and mm/page_reporting.c, in whose own header they are, too. */
extern u16 ph_backing_port;
void ph_back_pages(unsigned long pfn, unsigned int order);
void ph_forget_pages(unsigned long pfn, unsigned int order);

u16 ph_backing_port __ro_after_init;
static DECLARE_BITMAP(asked, BLOCKS);

static int __init set_backing_port(char *text) {
	return kstrtou16(text, 0, &ph_backing_port);
}
early_param("ph.backing", set_backing_port);

void ph_back_pages(unsigned long pfn, unsigned int order) {
	unsigned long block = pfn >> BLOCK_ORDER, end = (pfn + (1UL << order) - 1) >> BLOCK_ORDER;
	for (; block <= end && block < BLOCKS; block++) {
		if (!test_bit(block, asked) && !test_and_set_bit(block, asked)) {
			outl((u32)block, ph_backing_port);
		}
	}
}

void ph_forget_pages(unsigned long pfn, unsigned int order) {
	unsigned long block = pfn >> BLOCK_ORDER, end = (pfn + (1UL << order) - 1) >> BLOCK_ORDER;
	for (; block <= end && block < BLOCKS; block++) {
		clear_bit(block, asked);
	}
}
