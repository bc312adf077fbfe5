/* The guest's end of the control port: frames in and out over one non-blocking file descriptor. */
#ifndef PH_GUEST_INIT_PORT_H
#define PH_GUEST_INIT_PORT_H

#include "ph/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port {
	int fd;       /* -1 until port_open(): frames wait in out */
	uint8_t *out; /* frames not yet written: out[out_start .. out_end) */
	size_t out_start, out_end, out_capacity;
	size_t in_size;
	uint8_t in[sizeof(struct guest_frame) + GUEST_FRAME_MAX];
};

/* A whole frame from ph; payload has length bytes. A negative result stops the reading and is passed on. */
typedef int (*port_handler)(void *owner, const struct guest_frame *frame, const uint8_t *payload);

/* Queues READY, which is the first frame of all. */
void port_init(struct port *port);
void port_finish(struct port *port);

/* Find the device of the port with this name and open it, waiting for the driver at most timeout_ms. */
int port_open(struct port *port, const char *name, int timeout_ms);

/* Queue a frame. Never fails: without memory PID 1 has nothing better to do than to end. */
void port_send(struct port *port, enum guest_frame_type type, uint32_t session, const void *data, size_t len);
void port_send_u32(struct port *port, enum guest_frame_type type, uint32_t session, uint32_t value);
/* The same without a copy: fill at most max bytes at the place returned, then commit what was filled. */
uint8_t *port_reserve(struct port *port, size_t max);
void port_commit(struct port *port, enum guest_frame_type type, uint32_t session, size_t len);

/* How many bytes wait to be written. */
size_t port_pending(const struct port *port);
/* Write what the device takes. 0, or -errno. */
int port_flush(struct port *port);
/* Write everything and wait until ph has taken it. */
int port_drain(struct port *port);
/* Read and handle frames until nothing is left. 0, -EPROTO, what the handler said, or -errno. */
int port_receive(struct port *port, port_handler handler, void *owner);

#endif
