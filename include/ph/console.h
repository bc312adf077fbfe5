/*
 * virtio-console with multiple ports (virtio 1.2, section 5.3). Runs in the monitor.
 *
 * Port 0 is the guest's console (hvc0): kernel messages go through it. Linux spins with interrupts
 * off until the device has taken such a message, so port 0's receive should always take all. The
 * other ports are byte streams with names, with back-pressure both ways; ph's own control port is
 * one of them.
 */
#ifndef PH_CONSOLE_H
#define PH_CONSOLE_H

#include "ph/virtio.h"

#define CONSOLE_PORTS_MAX 4

struct console_port;

struct console_port_ops {
	/* Bytes from the guest. Returns how many were taken; the rest is offered again after
	 * console_port_resume(). */
	size_t (*receive)(void *owner, const void *data, size_t len);
	/* The guest has room for more after a short console_port_send(). NULL: not interested. */
	void (*writable)(void *owner);
	/* The guest opened or closed its end, or its driver reset the device (closed). NULL: not
	 * interested. */
	void (*opened)(void *owner, bool open);
};

/* A console with no ports yet; they are to be added, port 0 first. */
int console_create(struct virtio_device **device);
void console_destroy(struct virtio_device *device);
/* Add the next port (before the VM starts, and before anyone copies the device's eventfds). name is NULL for
 * port 0, else shorter than 32. -ENOSPC when all are taken. */
int console_add_port(struct virtio_device *device, const char *name, const struct console_port_ops *ops,
	void *owner, struct console_port **port);
/* Copy bytes straight into the guest's buffers; returns how many fitted: none while the guest has not opened
 * the port, and after less than len ops->writable follows. Loop thread only. */
size_t console_port_send(struct console_port *port, const void *data, size_t len);
/* Offer again what receive did not take. */
void console_port_resume(struct console_port *port);

#endif
