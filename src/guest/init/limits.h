/* Limits by the RAM the guest will have. */
#ifndef PH_GUEST_INIT_LIMITS_H
#define PH_GUEST_INIT_LIMITS_H

#include "guest/init/config.h"

/* This process's, which all that it starts inherit. Before memory is added. */
void limits_set_own(const struct config *config);
/* The kernel's. Before memory is added. */
void limits_set_kernel(const struct config *config);

#endif
