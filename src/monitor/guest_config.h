/* The boot configuration: what ph's init in the guest is to do, from the plan. */
#ifndef MONITOR_GUEST_CONFIG_H
#define MONITOR_GUEST_CONFIG_H

#include "ph/plan.h"
#include "ph/record.h"

/* Append the records of include/ph/guest.h. late_memory: the regions after the first are for init to add. The
 * buffer tells of failed allocations. */
void guest_config_put(struct record_buffer *buffer, const struct plan *plan,
	const struct guest_memory *memory, bool late_memory);

#endif
