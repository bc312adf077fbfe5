/* The root file system: from the initramfs to the system the user asked for. */
#ifndef PH_GUEST_INIT_ROOT_H
#define PH_GUEST_INIT_ROOT_H

#include "guest/init/config.h"

/* Mount the configured root, make it this process's / and empty the initramfs. Failures are reported; -errno.
 */
int root_enter(const struct config *config);
/* Tell the user, once, when there is no room left for what is not kept. Milliseconds after which to look
 * again, no later than memory can be filled; -1: never. */
int root_report_full(const struct config *config);

#endif
