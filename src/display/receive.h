/* What comes from the host's side of streams and fences. */
#ifndef DISPLAY_RECEIVE_H
#define DISPLAY_RECEIVE_H

#include "display/vfd.h"

/* The loop's callback of a vfd. */
void wl_vfd_ready(struct loop_source *source, uint32_t events);
/* Tell the guest that nothing more comes. The inbox must be free. */
void wl_vfd_hang_up(struct wl_vfd *vfd);
/* Send the guest a message of what passed the filter. The inbox must be free. */
void wl_vfd_deliver(struct wl_vfd *vfd);

#endif
