/* The socket of the guest's Wayland programs, and the proxy behind it. */
#ifndef PH_GUEST_INIT_WAYLAND_H
#define PH_GUEST_INIT_WAYLAND_H

#include "guest/init/config.h"

struct wayland {
	int program;  /* the proxy's file; -1: none */
	int listener; /* -1: none */
	uid_t uid;    /* the proxy's */
	gid_t gid;
	pid_t pid; /* of the running proxy; 0: none, the first program to connect starts it */
};

/* In the initramfs: keep the proxy's file, which is not in the root. */
void wayland_init(struct wayland *wayland);
void wayland_finish(struct wayland *wayland);
/* In the root: make the socket, when there are a proxy, a device and a user. */
void wayland_listen(struct wayland *wayland, const struct config *config);
/* Somebody connects: start the proxy, which takes over the socket. 0 or -errno. */
int wayland_start(struct wayland *wayland);
/* The proxy ended with this wait status. True: it may be started again. */
bool wayland_ended(struct wayland *wayland, int status);

#endif
