/* Bytes on their way through a pair of pipes: clipboards, drag and drop. */
#ifndef PH_GUEST_WAYLAND_TRANSFER_H
#define PH_GUEST_WAYLAND_TRANSFER_H

#include "guest/wayland/client.h"

/* Copy from one descriptor to the other until the end of either. 0 and both are the transfer's, or -errno and
 * neither is. */
int transfer_start(struct client *client, int from, int to);
/* The client is gone; what it asked for goes on, since its pipes may be others'. */
void transfers_detach(struct client *client);

#endif
