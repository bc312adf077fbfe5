/*
 * The shared-memory window: a range of guest-physical addresses in which memory of the host appears (virtio
 * 1.2, section 2.10), and the calls by which its user has memory put there. The user is the display worker,
 * which decides where everything goes; the monitor has the mappings, because they are KVM's, and
 * trusts none of the user's numbers.
 *
 * A call is one message on a SOCK_SEQPACKET pair, answered by one struct window_reply.
 */
#ifndef PH_WINDOW_H
#define PH_WINDOW_H

#include <stdint.h>

#define WINDOW_PAGE 4096u
/* At most so many mappings at a time. */
#define WINDOW_MAPPINGS_MAX 2048

enum window_operation {
	/* Map the beginning of the passed descriptor: a memfd that cannot shrink, or a dma-buf. */
	WINDOW_MAP = 1,
	/* Take a mapping away. */
	WINDOW_UNMAP = 2,
};

/* The guest's writes stay its own: for memfds that may not be written. */
#define WINDOW_PRIVATE 1

struct window_request {
	uint32_t operation;
	uint32_t flags;
	uint64_t offset, size; /* bytes, multiples of WINDOW_PAGE */
};

struct window_reply {
	int32_t result; /* 0 or -errno */
};

#endif
