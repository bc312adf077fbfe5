/*
 * Asking the host for huge pages behind guest RAM (see huge_pages.h). On any thread of a process that serves
 * devices. The segments were checked by the virtqueue; which places they lie in is the guest's choice, so a
 * place is asked for only while it is not backed, and a host that grants none is left alone.
 */
#include "ph/huge_pages.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Then the host is out of huge pages, or has no such thing, and is not asked again. */
#define REFUSALS_MAX 8

/* Whether one region has all of the huge page at this address. */
static bool in_region(const struct guest_memory *memory, const uint8_t *place) {
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		if (place >= region->host && region->size >= HUGE_PAGES_SIZE &&
			(uint64_t)(place - region->host) <= region->size - HUGE_PAGES_SIZE) {
			return true;
		}
	}
	return false;
}

/* Whether the page has memory behind it. */
static bool is_backed(uint8_t *page) {
	unsigned char state = 0;
	return mincore(page, 1, &state) == 0 && (state & 1) != 0;
}

static void back(struct huge_pages *pages, const struct guest_memory *memory, uint8_t *place, uint8_t *page) {
	if (!in_region(memory, place) || is_backed(page)) {
		return;
	}
	/* The host wants to see one page of those it is to replace. */
	if (madvise(page, 1, MADV_POPULATE_WRITE) == 0 &&
		madvise(place, HUGE_PAGES_SIZE, MADV_COLLAPSE) == 0) {
		atomic_store(&pages->refusals, 0);
	} else {
		atomic_fetch_add(&pages->refusals, 1);
	}
}

void huge_pages_back(struct huge_pages *pages, const struct guest_memory *memory, const struct iovec *iov,
	unsigned count) {
	uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	uint8_t *last = NULL;
	for (unsigned i = 0; i < count && atomic_load(&pages->refusals) < REFUSALS_MAX; i++) {
		uint8_t *start = iov[i].iov_base, *end = start + iov[i].iov_len;
		uint8_t *place = start - (uintptr_t)start % HUGE_PAGES_SIZE;
		for (; place < end; place += HUGE_PAGES_SIZE) {
			if (place != last) {
				uint8_t *page = place > start ? place : start;
				back(pages, memory, place, page - (uintptr_t)page % page_size);
			}
			last = place;
		}
	}
}
