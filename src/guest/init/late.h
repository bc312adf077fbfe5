/* What the guest gets while the first command already runs. */
#ifndef PH_GUEST_INIT_LATE_H
#define PH_GUEST_INIT_LATE_H

#include "guest/init/config.h"

/* Start a process that adds the configured memory, sets the kernel's limits for it and gives the user a
 * cgroup; first, the first command's process or 0, is moved there. Its exit status is 0 or the errno of the
 * memory. Its pid, or -errno. */
pid_t late_start(const struct config *config, pid_t first);

#endif
