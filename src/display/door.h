/* Connections to what another process of ph serves. */
#ifndef DISPLAY_DOOR_H
#define DISPLAY_DOOR_H

#include "display/vfd.h"

/* Make vfd one end of a new connection and send the other to the door. 0 or -errno. */
int wl_door_enter(struct wl_vfd *vfd, int door);

#endif
