/* The socket of the guest's Wayland programs, and the proxy behind it. */
#ifndef PH_GUEST_INIT_WAYLAND_H
#define PH_GUEST_INIT_WAYLAND_H

#include "guest/init/service.h"

struct wayland {
	struct service service;
	int program; /* the proxy's file; -1: none */
	uid_t uid;   /* the proxy's */
	gid_t gid;
};

/* In the initramfs: keep the proxy's file, which is not in the root. */
void wayland_init(struct wayland *wayland);
/* In the root: make the socket, when there are a proxy, a device and a user. */
void wayland_listen(struct wayland *wayland, const struct config *config);

#endif
