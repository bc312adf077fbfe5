/* The boot configuration: what ph's init in the guest is to do, from the plan. */
#ifndef MONITOR_GUEST_CONFIG_H
#define MONITOR_GUEST_CONFIG_H

#include "ph/plan.h"
#include "ph/record.h"

struct guest_config_size {
	uint16_t rows, columns; /* of the terminal */
};

/* Append the records of include/ph/guest.h. late_memory: the regions after the first are for init to add. The
 * buffer tells of failed allocations. */
void guest_config_put(struct record_buffer *buffer, const struct plan *plan,
	const struct guest_memory *memory, bool late_memory, struct guest_config_size terminal);

#endif
