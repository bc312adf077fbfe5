/*
 * Wayland's wire format, for the filter on the host and the proxy in the guest: messages checked against
 * their signatures and written by them, the objects of a connection, and what is on its way through it; and
 * how large pixels are.
 *
 * Hostile: every byte of a stream, whichever side it is from. Nothing here trusts one, or needs more of a
 * message to be true than what it has checked itself. The tables (ph/wayland_protocols.h, generated from the
 * protocols' XML) are trusted; so are numbers of arguments given by the caller.
 *
 * Integers are in the byte order of the host, as on every Wayland socket.
 */
#ifndef PH_WAYLAND_H
#define PH_WAYLAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

/* ---- protocols ---- */

/* An interface, and its requests after which the object is gone. */
struct wire_interface {
	const struct wl_interface *interface;
	uint32_t destructors; /* a bit for each request, by opcode */
};

/* All that are known, up to the one without an interface. */
extern const struct wire_interface wire_interfaces[];

/* NULL: not known. */
const struct wl_interface *wire_interface_find(const char *name);
/* The requests of an interface after which the object is gone, a bit for each opcode. */
uint32_t wire_interface_destructors(const struct wl_interface *interface);

/* ---- messages ---- */

#define WIRE_HEADER_SIZE 8
#define WIRE_MESSAGE_MAX 65532 /* bytes, header included */
#define WIRE_ARGS_MAX 20
/* The largest that libwayland takes, in either direction. */
#define WIRE_LIBWAYLAND_MAX 4096

struct wire_message {
	uint32_t object;
	uint16_t opcode;
	uint16_t size;       /* bytes, header included: 8 .. 65532, a multiple of 4 */
	const uint8_t *data; /* size bytes from the header on; not aligned */
};

/* Strings and arrays point into the message, or to whatever is to be written. */
union wire_arg {
	int32_t i; /* of signature i, and f (24.8 bits) */
	uint32_t u;
	uint32_t object;    /* of o and n; 0: none */
	const char *string; /* NULL: none */
	struct {
		const void *data;
		uint32_t size; /* bytes */
	} array;
};

/* The message at the start of len bytes. 1: it is there as a whole; 0: more bytes are needed; -EPROTO: no
 * message starts like this. With 0 and 8 bytes or more the message's header is filled in already. */
int wire_peek(const void *data, size_t len, struct wire_message *message);

/*
 * Check the message against its signature and take it apart: NULL, or the rule that it breaks. Descriptors
 * (signature h) take no bytes and their args[] are left alone: they come in order beside the stream.
 * Objects are not looked up.
 */
const char *wire_parse(const struct wire_message *message, const struct wl_message *type,
	union wire_arg args[WIRE_ARGS_MAX]);

/* Walk through a signature: the next type of argument (one of iufsonah), 0 at its end. */
char wire_signature_next(const char **signature, bool *nullable);
/* The version of the interface that the message came with. */
uint32_t wire_since(const struct wl_message *type);
/* How many arguments are of this type. */
unsigned wire_count(const struct wl_message *type, char wanted);

/* ---- pixels ---- */

/*
 * Bytes of a pixel, by the format's number in wl_shm. 0: nobody here knows the format, or its pixels do not
 * lie one after the other (several planes, pixels that share bytes): so nobody can tell where its last one
 * ends.
 */
unsigned wire_pixel_size(uint32_t format);
/* Whether lines of this many bytes each have a pixel for each column; compositors read whole words of 4, or
 * whole pixels of 8. */
bool wire_line_fits(uint32_t format, int64_t width, int64_t stride);

/* ---- what is on its way ---- */

#define WIRE_FDS_MAX 64

/*
 * Bytes of a stream and the descriptors beside it, first in, first out. Zeroed is empty. Descriptors in it
 * belong to it.
 */
struct wire_queue {
	uint8_t *data;
	size_t start, end, capacity; /* what is there lies between start and end */
	int fds[WIRE_FDS_MAX];
	uint8_t kinds[WIRE_FDS_MAX]; /* what the owner of the queue knows of each */
	unsigned fd_count;
};

void wire_queue_finish(struct wire_queue *queue); /* closes what is left */
static inline size_t wire_queue_size(const struct wire_queue *queue) {
	return queue->end - queue->start;
}
static inline const uint8_t *wire_queue_data(const struct wire_queue *queue) {
	return queue->data != NULL ? queue->data + queue->start : NULL;
}
/* Make room for size bytes at the end, to be written there and made part of it by wire_queue_commit(). NULL:
 * no memory. */
uint8_t *wire_queue_reserve(struct wire_queue *queue, size_t size);
void wire_queue_commit(struct wire_queue *queue, size_t size);
/* 0 or -ENOMEM */
int wire_queue_append(struct wire_queue *queue, const void *data, size_t size);
/* The first size bytes are done with; memory is given back when nothing is left. */
void wire_queue_consume(struct wire_queue *queue, size_t size);
/* 0 and the descriptor is the queue's, or -ENOSPC and it is not. */
int wire_queue_push_fd(struct wire_queue *queue, int fd, uint8_t kind);
/* The first one, which is the caller's then; -1: there is none. */
int wire_queue_pop_fd(struct wire_queue *queue, uint8_t *kind);

/*
 * Append a message; its descriptors go by wire_queue_push_fd(). 0, -ENOMEM, or -EMSGSIZE when it would be
 * larger than max bytes. Strings that are NULL where the signature wants one are written as "".
 */
int wire_write(struct wire_queue *queue, uint32_t object, uint16_t opcode, const struct wl_message *type,
	const union wire_arg *args, size_t max);

/* ---- the objects of a connection ---- */

#define WIRE_SERVER_ID_FIRST 0xff000000u
#define WIRE_OBJECTS_MAX 65536u /* of either side */

struct wire_object {
	const struct wl_interface *interface; /* NULL: there is no such object */
	uint32_t version;
	uint32_t destructors;
	/* Its destructor was sent. Events for it may still come, and its id is taken until delete_id. */
	bool dead;
	/* The filter sent it, and the program does not know; and then the compositor gave the id back. */
	bool gone, deleted;
	void *data;                   /* the owner's; destroying objects does not free it */
	struct filter_memory *memory; /* the filter's, likewise: what the compositor has by it */
};

/* Those the client named and those the server named, by id. Zeroed there is none, not even wl_display. */
struct wire_objects {
	struct wire_object *client, *server;
	uint32_t client_count, server_count, client_capacity, server_capacity;
};

void wire_objects_finish(struct wire_objects *objects);
/* Dead ones too; NULL: there is none. Good until the next one is added. */
struct wire_object *wire_objects_find(const struct wire_objects *objects, uint32_t id);
/*
 * A new one. NULL: the id is 0, taken, or not the lowest that was never used or one that was and is free now
 * (which is what libwayland demands), or there are too many. A dead one of the server's is replaced, since
 * nobody is told when such an id is free.
 */
struct wire_object *wire_objects_add(
	struct wire_objects *objects, uint32_t id, const struct wl_interface *interface, uint32_t version);
/* The id is free. */
void wire_objects_remove(struct wire_objects *objects, uint32_t id);

#endif
