/* Bytes on their way through a pair of pipes: clipboards, drag and drop. */
#ifndef PH_GUEST_WAYLAND_TRANSFER_H
#define PH_GUEST_WAYLAND_TRANSFER_H

#include "guest/wayland/client.h"

/* Make a program's descriptor one that can be written to without ever waiting: a pipe is opened anew where
 * that is allowed, since O_NONBLOCK belongs to the open file, which the program has, too. 0, or -errno: it is
 * none of its pipes or sockets. */
int transfer_take_writer(int fd);
/* Copy from one descriptor to the other until the end of either. Both are nonblocking, and the first is the
 * proxy's own. 0 and both are the transfer's, or -errno and neither is. */
int transfer_start(struct client *client, int from, int to);
/* The client is gone; what it asked for goes on, since its pipes may be others'. Whether there is any: then
 * the end of the last one stops the loop. */
bool transfers_detach(struct client *client);

#endif
