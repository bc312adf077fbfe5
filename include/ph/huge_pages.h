/*
 * Huge pages for the guest RAM that devices move much data to. RAM is shared memory, which hosts give no
 * huge pages of their own accord: each page of it then costs a fault in the process that serves the guest,
 * and an exit of the guest. What a host (Linux 6.1 and newer) does give is a huge page in the place of 512
 * small ones when asked to, content kept. So that is asked for where a large transfer is to go to pages that
 * nothing is behind yet.
 *
 * Nothing is different for the guest but its speed, and its RAM comes into use in larger pieces.
 */
#ifndef PH_HUGE_PAGES_H
#define PH_HUGE_PAGES_H

#include "ph/guest_memory.h"

#include <stdatomic.h>
#include <sys/uio.h>

#define HUGE_PAGES_SIZE (2ULL << 20)

/* Zeroed is ready. May be used by several threads at a time. */
struct huge_pages {
	atomic_uint refusals; /* in a row */
};

/* Have the places of these segments, which lie in guest RAM, backed by huge pages where nothing backs them.
 */
void huge_pages_back(
	struct huge_pages *pages, const struct guest_memory *memory, const struct iovec *iov, unsigned count);

#endif
