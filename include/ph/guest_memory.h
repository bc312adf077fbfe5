/*
 * Guest RAM as devices see it: a few regions of guest-physical addresses, each mapped shared at
 * one place of every process that serves the guest.
 *
 * A guest address is a struct, so that it cannot be used as a number or a pointer by mistake, and
 * these accessors are the only way from one to the other. All of them accept any address and
 * length; nothing a guest writes can make them do more than fail. The bytes behind may change at
 * any time: copy once, then check the copy.
 */
#ifndef PH_GUEST_MEMORY_H
#define PH_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t value;
} gpa_t;

struct guest_region {
	uint64_t base;   /* guest-physical address of the first byte */
	uint64_t size;   /* bytes */
	uint8_t *host;   /* where it is mapped here */
	uint64_t offset; /* of the first byte in the memfd */
};

#define GUEST_REGIONS_MAX 4

struct guest_memory {
	int fd; /* the memfd behind all regions */
	unsigned region_count;
	struct guest_region regions[GUEST_REGIONS_MAX]; /* ascending, not overlapping */
};

/* The host address of len bytes that lie wholly in one region, or NULL. len 0 is NULL. */
void *guest_memory_at(const struct guest_memory *memory, gpa_t address, uint64_t len);

/* Copy from or to the guest: 0 or -EFAULT with nothing copied. */
int guest_memory_read(const struct guest_memory *memory, gpa_t address, void *data, size_t len);
int guest_memory_write(const struct guest_memory *memory, gpa_t address, const void *data, size_t len);

#endif
