/*
 * From guest addresses to host addresses. Any process and thread; the regions do not change while the
 * guest runs. Addresses and lengths are the guest's and hostile, and so are the bytes behind them.
 */
#include "ph/guest_memory.h"

#include <errno.h>
#include <string.h>

/* The bytes from the start of region i on that follow each other both in the guest and here: a guest that
 * was given RAM in two parts may well have a buffer across their border. */
static uint64_t size_from(const struct guest_memory *memory, unsigned i) {
	uint64_t size = memory->regions[i].size;
	for (const struct guest_region *region = &memory->regions[i]; i + 1 < memory->region_count;
		i++, region++) {
		const struct guest_region *next = region + 1;
		if (next->base != region->base + region->size || next->host != region->host + region->size) {
			break;
		}
		size += next->size;
	}
	return size;
}

void *guest_memory_at(const struct guest_memory *memory, gpa_t address, uint64_t len) {
	if (len == 0) {
		return NULL;
	}
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		if (address.value < region->base) {
			continue;
		}
		/* Subtractions only: neither can wrap, whatever the guest wrote. */
		uint64_t inside = address.value - region->base;
		if (inside < region->size) {
			return len <= size_from(memory, i) - inside ? region->host + inside : NULL;
		}
	}
	return NULL;
}

int guest_memory_read(const struct guest_memory *memory, gpa_t address, void *data, size_t len) {
	const void *host = guest_memory_at(memory, address, len);
	if (host == NULL) {
		return -EFAULT;
	}
	memcpy(data, host, len);
	/* What is checked from here on is the copy: the compiler must not read the guest's bytes again. */
	__asm__ volatile("" : : : "memory");
	return 0;
}

int guest_memory_write(const struct guest_memory *memory, gpa_t address, const void *data, size_t len) {
	void *host = guest_memory_at(memory, address, len);
	if (host == NULL) {
		return -EFAULT;
	}
	memcpy(host, data, len);
	return 0;
}
