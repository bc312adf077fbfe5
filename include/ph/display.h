/*
 * virtio-wl (docs/virtio-wl.md): connections to sockets of the host, pipes, and memory that guest and host
 * share. Runs in the *display* worker. Commands are hostile; so is what the sockets' other ends send
 * along, descriptors among it.
 */
#ifndef PH_DISPLAY_H
#define PH_DISPLAY_H

#include "ph/virtio.h"

#define DISPLAY_SOCKETS_MAX 9
#define DISPLAY_NAME_SIZE 32
#define DISPLAY_TAG_SIZE 64

/* When programs of the VM may read the host's clipboard and primary selection, and whether they may set them.
 */
enum display_clipboard {
	DISPLAY_CLIPBOARD_KEY,   /* for two seconds after the user pasted into one of the VM's windows */
	DISPLAY_CLIPBOARD_OFF,   /* never, neither */
	DISPLAY_CLIPBOARD_FOCUS, /* while the keyboard is on one of the VM's windows */
	DISPLAY_CLIPBOARD_ON,    /* as the compositor lets them */
};

/* A socket that the guest may connect to. */
struct display_socket {
	char name[DISPLAY_NAME_SIZE]; /* NUL-padded; empty: the compositor's */
	char *path;    /* the plan's; the device asks the connector by the socket's place among them */
	bool filtered; /* Wayland is spoken there, and what the guest says goes through the filter */
	/* Instead of asking: connections are made here, and their other ends sent to this SOCK_SEQPACKET. */
	bool has_door;
	int door;
};

struct display_options {
	const struct display_socket *sockets; /* copied */
	unsigned socket_count;
	int connector;   /* the door (ph/connector.h) of those that have none of their own; -1: there are none
			  */
	const char *tag; /* the VM's name, in what its windows are called; copied */
	enum display_clipboard clipboard;
	bool no_card;            /* no graphics card is opened: there are no dma-bufs */
	int window_fd;           /* for the calls of window.h; duplicated */
	uint64_t window_address; /* guest-physical */
	uint64_t window_size;
};

/* -errno, or 0 and a device for display_destroy(), which accepts NULL. */
int display_create(struct virtio_device **device, const struct display_options *options);
void display_destroy(struct virtio_device *device);
/* In the process that forked the device's server: let go of what only the server needs. */
void display_leave(struct virtio_device *device);

#endif
