/* Descriptors that the host's side sent along. */
#ifndef DISPLAY_FOREIGN_H
#define DISPLAY_FOREIGN_H

#include "display/vfd.h"

/* Make a vfd of a received descriptor, which it then owns. NULL: no room for another vfd. */
struct wl_vfd *wl_foreign_create(struct wl_device *device, int fd);

#endif
