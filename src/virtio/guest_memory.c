/*
 * From guest addresses to host addresses. Any process and thread; the regions do not change while the
 * guest runs. Addresses and lengths are the guest's and hostile, and so are the bytes behind them.
 */
#include "ph/guest_memory.h"

#include <errno.h>
#include <string.h>

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
		if (inside < region->size && len <= region->size - inside) {
			return region->host + inside;
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
