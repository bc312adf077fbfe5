/*
 * The objects of a connection by id, and the known interfaces by name. Runs wherever the connection is
 * served. Ids are hostile: the tables grow by one entry at a time, as libwayland's do, so that no id costs
 * more than itself.
 */
#include "ph/wayland.h"

#include <stdlib.h>
#include <string.h>

/* ---- interfaces ---- */

const struct wl_interface *wire_interface_find(const char *name) {
	const struct wire_interface *known = wire_interfaces;
	while (known->interface != NULL && strcmp(known->interface->name, name) != 0) {
		known++;
	}
	return known->interface;
}

uint32_t wire_interface_destructors(const struct wl_interface *interface) {
	const struct wire_interface *known = wire_interfaces;
	while (known->interface != NULL && known->interface != interface) {
		known++;
	}
	return known->destructors;
}

/* ---- objects ---- */

/* One side's objects; index 0 of the client's is nobody. */
struct side {
	struct wire_object **objects;
	uint32_t *count, *capacity;
	uint32_t index;
};

static struct side side_of(struct wire_objects *objects, uint32_t id) {
	if (id >= WIRE_SERVER_ID_FIRST) {
		return (struct side){&objects->server, &objects->server_count, &objects->server_capacity,
			id - WIRE_SERVER_ID_FIRST};
	}
	return (struct side){&objects->client, &objects->client_count, &objects->client_capacity, id - 1};
}

struct wire_object *wire_objects_find(const struct wire_objects *objects, uint32_t id) {
	if (id == 0) {
		return NULL;
	}
	struct side side = side_of((struct wire_objects *)objects, id);
	if (side.index >= *side.count || (*side.objects)[side.index].interface == NULL) {
		return NULL;
	}
	return &(*side.objects)[side.index];
}

static bool grow(const struct side *side) {
	uint32_t capacity = *side->capacity > 0 ? *side->capacity * 2 : 16;
	struct wire_object *objects = realloc(*side->objects, capacity * sizeof(*objects));
	if (objects == NULL) {
		return false;
	}
	*side->objects = objects;
	*side->capacity = capacity;
	return true;
}

/* The place of a new object; NULL: it may not be there. */
static struct wire_object *place(const struct side *side, bool from_server) {
	if (side->index < *side->count) {
		struct wire_object *object = &(*side->objects)[side->index];
		bool free = object->interface == NULL || (from_server && object->dead);
		return free ? object : NULL;
	}
	if (side->index > *side->count || side->index >= WIRE_OBJECTS_MAX ||
		(*side->count == *side->capacity && !grow(side))) {
		return NULL;
	}
	++*side->count;
	return &(*side->objects)[side->index];
}

struct wire_object *wire_objects_add(
	struct wire_objects *objects, uint32_t id, const struct wl_interface *interface, uint32_t version) {
	struct side side = side_of(objects, id);
	struct wire_object *object = id != 0 ? place(&side, id >= WIRE_SERVER_ID_FIRST) : NULL;
	if (object != NULL) {
		*object = (struct wire_object){.interface = interface,
			.version = version,
			.destructors = wire_interface_destructors(interface)};
	}
	return object;
}

void wire_objects_remove(struct wire_objects *objects, uint32_t id) {
	struct wire_object *object = wire_objects_find(objects, id);
	if (object != NULL) {
		*object = (struct wire_object){0};
	}
}

void wire_objects_finish(struct wire_objects *objects) {
	free(objects->client);
	free(objects->server);
	*objects = (struct wire_objects){0};
}
