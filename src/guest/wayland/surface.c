/*
 * Damage: which part of a buffer's copy is out of date when a frame is committed. Damage tells the difference
 * between two frames of a surface, so it is added to all buffers that showed that surface, and a buffer which
 * is shown again needs all that came since. The proxy's only thread; the numbers are the client's, and
 * wrong ones spoil its own picture.
 */
#include "guest/wayland/surface.h"

#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <stdlib.h>
#include <string.h>

static void surface_destroy_data(void *data) {
	struct surface *surface = data;
	*surface->link = surface->next;
	if (surface->next != NULL) {
		surface->next->link = surface->link;
	}
	free(surface);
}

static struct surface *surface_of(const struct object *object) {
	return object != NULL && object->destroy_data == surface_destroy_data ? object->data : NULL;
}

void compositor_create_surface(struct message *message) {
	struct client *client = message->client;
	message_forward_request(message);
	struct surface *surface = message->created != NULL ? calloc(1, sizeof(*surface)) : NULL;
	if (surface == NULL) {
		client_fail_memory(client);
		return;
	}
	*surface = (struct surface){.next = client->surfaces,
		.link = &client->surfaces,
		.client = client,
		.number = ++client->surface_number,
		.geometry = {.scale = 1}};
	if (surface->next != NULL) {
		surface->next->link = &surface->next;
	}
	client->surfaces = surface;
	message->created->data = surface;
	message->created->destroy_data = surface_destroy_data;
}

void surfaces_forget(const struct buffer *buffer) {
	for (struct surface *surface = buffer->client->surfaces; surface != NULL; surface = surface->next) {
		surface->pending = surface->pending == buffer ? NULL : surface->pending;
		surface->current = surface->current == buffer ? NULL : surface->current;
	}
}

/* ---- what a frame is made of ---- */

/* Pass on with the compositor's buffer in the place of the client's. */
static void forward_attach(struct message *message, const struct buffer *buffer) {
	const union wire_arg args[] = {{.object = buffer->host->host_id}, message->args[1], message->args[2]};
	client_send_request(message->client, message->object, message->opcode, args);
}

void surface_attach(struct message *message) {
	struct surface *surface = surface_of(message->object);
	const struct object *object = client_find(message->client, message->args[0].object);
	struct buffer *buffer = object != NULL ? buffer_of(object) : NULL;
	if (surface != NULL) {
		surface->attached = true;
		surface->pending = buffer;
	}
	if (buffer == NULL) {
		/* None, or one without pixels. */
		message_forward_request(message);
	} else if (buffer_show(buffer)) {
		forward_attach(message, buffer);
	}
}

static void add(struct message *message, struct damage *damage) {
	damage_add(damage, message->args[0].i, message->args[1].i, message->args[2].i, message->args[3].i);
	message_forward_request(message);
}

void surface_damage(struct message *message) {
	struct surface *surface = surface_of(message->object);
	add(message, &surface->surface_damage);
}

void surface_damage_buffer(struct message *message) {
	struct surface *surface = surface_of(message->object);
	add(message, &surface->buffer_damage);
}

void surface_set_buffer_scale(struct message *message) {
	surface_of(message->object)->geometry.scale = message->args[0].i;
	message_forward_request(message);
}

void surface_set_buffer_transform(struct message *message) {
	surface_of(message->object)->geometry.transform = message->args[0].i;
	message_forward_request(message);
}

/* Once there was a viewport, there may be one at any time. */
void viewporter_get_viewport(struct message *message) {
	struct surface *surface = surface_of(client_find(message->client, message->args[1].object));
	if (surface != NULL) {
		surface->geometry.viewport = true;
	}
	message_forward_request(message);
}

/* ---- the frame ---- */

/* All damage, in the coordinates of the buffer. */
static void collect_damage(const struct surface *surface, struct damage *damage) {
	const struct geometry *geometry = &surface->geometry;
	*damage = surface->buffer_damage;
	if (surface->surface_damage.count == 0) {
		return;
	}
	if (geometry->viewport || geometry->transform != 0 || geometry->scale < 1) {
		damage_set_full(damage);
		return;
	}
	for (unsigned i = 0; i < surface->surface_damage.count; i++) {
		const struct damage_rect *rect = &surface->surface_damage.rects[i];
		int64_t scale = geometry->scale;
		damage_add(damage, rect->x1 * scale, rect->y1 * scale, ((int64_t)rect->x2 - rect->x1) * scale,
			((int64_t)rect->y2 - rect->y1) * scale);
	}
}

/* Whether pixels of the last frame and of this one are at the same places of their buffers. */
static bool is_comparable(const struct surface *surface, const struct buffer *buffer) {
	return surface->width == buffer->width && surface->height == buffer->height &&
	       memcmp(&surface->geometry, &surface->shown, sizeof(surface->shown)) == 0;
}

static void spread_damage(const struct surface *surface, const struct damage *damage) {
	for (struct buffer *buffer = surface->client->buffers; buffer != NULL; buffer = buffer->next) {
		if (buffer->surface == surface->number) {
			damage_add_all(&buffer->stale, damage);
		}
	}
}

static bool show_frame(struct surface *surface, struct buffer *buffer) {
	struct damage damage;
	collect_damage(surface, &damage);
	if (!is_comparable(surface, buffer)) {
		damage_set_full(&damage);
	}
	spread_damage(surface, &damage);
	if (buffer->surface != surface->number) {
		damage_set_full(&buffer->stale);
	}
	buffer->surface = surface->number;
	surface->shown = surface->geometry;
	surface->width = buffer->width;
	surface->height = buffer->height;
	return buffer_update(buffer);
}

void surface_commit(struct message *message) {
	struct surface *surface = surface_of(message->object);
	bool good = true;
	if (surface->attached) {
		surface->current = surface->pending;
	}
	if (surface->current == NULL) {
		/* The next one is compared with nothing. */
		surface->width = 0;
	} else if (surface->attached || surface->surface_damage.count + surface->buffer_damage.count > 0) {
		good = show_frame(surface, surface->current);
	}
	surface->attached = false;
	surface->pending = NULL;
	surface->surface_damage.count = surface->buffer_damage.count = 0;
	if (good) {
		message_forward_request(message);
	}
}
