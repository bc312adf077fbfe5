/* A client's wl_shm buffers, and what the compositor gets of them. */
#ifndef PH_GUEST_WAYLAND_BUFFER_H
#define PH_GUEST_WAYLAND_BUFFER_H

#include "guest/wayland/client.h"
#include "guest/wayland/damage.h"

/* A client's memory. Read with pread(), so that a client which cuts it off hurts nobody. Never told to the
 * compositor, so it can grow at will. */
struct pool {
	unsigned references; /* the object's and the buffers' */
	struct client *client;
	struct object *shm;
	int fd;
	int32_t size;
};

struct buffer {
	struct buffer *next, **link;
	struct client *client;
	struct object *object; /* the client's */
	struct pool *pool;
	int32_t offset, width, height, stride;
	uint32_t format;
	/* The compositor's, with a copy of the pixels; NULL: it does not know the buffer yet. */
	struct object *host;
	uint8_t *memory; /* the copy; NULL: none, the compositor sees the client's own pages */
	size_t size;
	/* What of the copy is older than the last frame of the surface it belongs to. */
	struct damage stale;
	uint64_t surface; /* its number; 0: none */
	unsigned frames;  /* shown since it is known */
	bool no_pages;    /* the client's own pages could not be shared */
};

struct pool *pool_create(struct client *client, struct object *shm, int fd, int32_t size);
void pool_unref(struct pool *pool);
/* NULL: the client failed. */
struct buffer *buffer_create(struct pool *pool, const union wire_arg *args);
void buffer_destroy_data(void *buffer);
/* All that is left of a client's. */
void buffers_finish(struct client *client);

/* The buffer of a client's wl_buffer; NULL: it is of another kind. */
struct buffer *buffer_of(const struct object *object);
/* The same by the compositor's; NULL: it is gone. */
struct buffer *buffer_of_host(const struct object *object);
/* Make the compositor know it, or know it by the client's own pages. False: the client failed. */
bool buffer_show(struct buffer *buffer);
/* It is about to be shown: bring the compositor's copy up to date. False: the client failed. */
bool buffer_update(struct buffer *buffer);

#endif
