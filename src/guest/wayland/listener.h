/* Taking programs in, each into a process of its own. */
#ifndef PH_GUEST_WAYLAND_LISTENER_H
#define PH_GUEST_WAYLAND_LISTENER_H

/* Serve whoever connects. Returns only when that is impossible: -errno. */
int listener_run(int listener);

#endif
