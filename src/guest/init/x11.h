/* The socket of the guest's X11 programs, and Xwayland behind it, where the guest has that. */
#ifndef PH_GUEST_INIT_X11_H
#define PH_GUEST_INIT_X11_H

#include "guest/init/service.h"

#define X11_DISPLAY ":0"
#define X11_SOCKET "/tmp/.X11-unix/X0"

struct x11 {
	struct service service;
	uid_t uid; /* Xwayland's */
	gid_t gid;
};

/* In the root. has_screen: there is a Wayland socket. Makes the socket, if the guest has Xwayland, too. */
void x11_listen(struct x11 *x11, const struct config *config, bool has_screen);

#endif
