/*
 * A program's connection to the proxy, and the one to the compositor that belongs to it. Messages are passed
 * on with their object ids and descriptors translated; hooks.h lists what else is done to some.
 *
 * The ids are two sets, because the proxy has objects of its own at the compositor, and the client has some
 * that the compositor does not know. Ids that the compositor gives are the same on both sides.
 */
#ifndef PH_GUEST_WAYLAND_CLIENT_H
#define PH_GUEST_WAYLAND_CLIENT_H

#include "guest/wayland/host.h"
#include "ph/loop.h"
#include "ph/wayland.h"

struct buffer;
struct surface;
struct transfer;

struct object {
	const struct wl_interface *interface;
	uint32_t version;
	uint32_t client_id, host_id; /* 0: unknown there, or not known any more */
	/* What hooks keep with it, and how that ends when neither side knows the object any more. */
	void *data;
	void (*destroy_data)(void *data);
};

struct client {
	struct loop *loop;
	struct loop_source socket, connection; /* the program's, and the compositor's */
	uint32_t socket_events, connection_events;
	struct wire_queue from_client, to_client, from_host, to_host;
	struct wire_objects client_objects, host_objects; /* data: struct object */
	bool client_gone; /* nothing more comes from the program; what it sent is still passed on */
	bool closing;     /* nothing more is passed on; the last words to the program are */
	/* What it may not have too much of. */
	unsigned pool_count, buffer_count, transfer_count;
	uint64_t memory; /* bytes of the window */
	/* For --verbose: of wl_shm buffers, and those of them that were shown without a copy. */
	uint64_t frames, shared_frames, copied; /* bytes */
	struct buffer *buffers;
	struct surface *surfaces;
	uint64_t surface_number; /* the last one given out */
	struct transfer *transfers;
};

/* The loop's only one, which it stops when nothing is left to do for it. Takes the socket. When it fails, the
 * program is told why. */
void client_create(struct loop *loop, int socket);
void client_destroy(struct client *client);

/* The connection's end: a protocol error for the program, then silence. object may be NULL: the display. */
void client_fail(struct client *client, const struct object *object, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void client_fail_memory(struct client *client);

/* ---- objects (objects.c) ---- */

/* That the client named: client_id is new, and the compositor will know it when at_host. NULL: the client
 * failed. */
struct object *client_add_object(struct client *client, uint32_t client_id,
	const struct wl_interface *interface, uint32_t version, bool at_host);
/* The proxy's own at the compositor. NULL: the client failed. */
struct object *client_add_own(struct client *client, const struct wl_interface *interface, uint32_t version);
/* That the compositor named. NULL: the client failed. */
struct object *client_add_server(
	struct client *client, uint32_t id, const struct wl_interface *interface, uint32_t version);
/* NULL: there is none, or (of the client's) its destructor was sent. */
struct object *client_find(const struct client *client, uint32_t client_id);
struct object *client_find_host(const struct client *client, uint32_t host_id);
/* A destructor was sent: the client may not use it any more. */
void client_bury(struct client *client, struct object *object);
/* The client's id is free, which it is told; or the compositor's is. The object may be gone afterwards. */
void client_release_id(struct client *client, struct object *object);
void client_release_host_id(struct client *client, struct object *object);
void client_finish_objects(struct client *client);

/* ---- messages (messages.c) ---- */

/* One on its way, in either direction. */
struct message {
	struct client *client;
	struct object *object;
	uint16_t opcode;
	const struct wl_message *type;
	unsigned arg_count;                 /* of both of these, whose rest is undefined */
	union wire_arg args[WIRE_ARGS_MAX]; /* with the ids of where it is from */
	int fds[WIRE_ARGS_MAX]; /* by argument; -1: none. The message's, closed unless set to -1 */
	struct object *created; /* by passing it on */
};

/* The next message of from_client or from_host. False: there is none that could be handled now. */
bool client_pass_request(struct client *client);
bool client_pass_event(struct client *client);
/* Pass it on, translated. The descriptors must be those for the other side by now. */
void message_forward_request(struct message *message);
void message_forward_event(struct message *message);
/* Messages of the proxy's own; descriptors go with wire_queue_push_fd() before. */
void client_send_request(
	struct client *client, const struct object *object, uint16_t opcode, const union wire_arg *args);
void client_send_event(
	struct client *client, const struct object *object, uint16_t opcode, const union wire_arg *args);

#endif
