/* The objects of a client on both sides. The proxy's only thread; ids are hostile on the client's side, and
 * the compositor's are not believed either. */
#include "guest/wayland/client.h"

#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <stdlib.h>

/* Neither side knows it: it is gone. */
static void drop(struct object *object) {
	if (object->client_id != 0 || object->host_id != 0) {
		return;
	}
	if (object->destroy_data != NULL) {
		object->destroy_data(object->data);
	}
	free(object);
}

static struct object *create(struct client *client, const struct wl_interface *interface, uint32_t version) {
	struct object *object = calloc(1, sizeof(*object));
	if (object == NULL) {
		client_fail_memory(client);
		return NULL;
	}
	object->interface = interface;
	object->version = version;
	return object;
}

static bool place(struct wire_objects *objects, uint32_t id, struct object *object) {
	struct wire_object *entry = wire_objects_add(objects, id, object->interface, object->version);
	if (entry != NULL) {
		entry->data = object;
	}
	return entry != NULL;
}

/* The lowest that is free: the compositor wants no gaps. */
static uint32_t free_host_id(const struct client *client) {
	const struct wire_objects *objects = &client->host_objects;
	uint32_t index = 0;
	while (index < objects->client_count && objects->client[index].interface != NULL) {
		index++;
	}
	return index + 1;
}

static bool place_at_host(struct client *client, struct object *object) {
	uint32_t id = free_host_id(client);
	if (!place(&client->host_objects, id, object)) {
		client_fail_memory(client);
		return false;
	}
	object->host_id = id;
	return true;
}

struct object *client_add_object(struct client *client, uint32_t client_id,
	const struct wl_interface *interface, uint32_t version, bool at_host) {
	struct object *object = create(client, interface, version);
	if (object == NULL) {
		return NULL;
	}
	if (client_id >= WIRE_SERVER_ID_FIRST || !place(&client->client_objects, client_id, object)) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_INVALID_OBJECT, "invalid new id %u", client_id);
		drop(object);
		return NULL;
	}
	object->client_id = client_id;
	if (at_host && !place_at_host(client, object)) {
		return NULL;
	}
	return object;
}

struct object *client_add_own(struct client *client, const struct wl_interface *interface, uint32_t version) {
	struct object *object = create(client, interface, version);
	if (object != NULL && !place_at_host(client, object)) {
		drop(object);
		return NULL;
	}
	return object;
}

/* Nobody says when such an id is free but who gives it out anew. */
static void forget_server(struct client *client, uint32_t id) {
	struct wire_object *entry = wire_objects_find(&client->host_objects, id);
	struct object *object = entry != NULL ? entry->data : NULL;
	if (object == NULL) {
		return;
	}
	wire_objects_remove(&client->host_objects, id);
	wire_objects_remove(&client->client_objects, id);
	object->client_id = object->host_id = 0;
	drop(object);
}

struct object *client_add_server(
	struct client *client, uint32_t id, const struct wl_interface *interface, uint32_t version) {
	if (id < WIRE_SERVER_ID_FIRST) {
		client_fail(
			client, NULL, WL_DISPLAY_ERROR_IMPLEMENTATION, "the compositor named object %u", id);
		return NULL;
	}
	forget_server(client, id);
	struct object *object = create(client, interface, version);
	if (object == NULL) {
		return NULL;
	}
	if (place(&client->host_objects, id, object)) {
		object->host_id = id;
		if (place(&client->client_objects, id, object)) {
			object->client_id = id;
			return object;
		}
	}
	client_fail_memory(client);
	drop(object);
	return NULL;
}

struct object *client_find(const struct client *client, uint32_t client_id) {
	const struct wire_object *entry = wire_objects_find(&client->client_objects, client_id);
	return entry != NULL && !entry->dead ? entry->data : NULL;
}

struct object *client_find_host(const struct client *client, uint32_t host_id) {
	const struct wire_object *entry = wire_objects_find(&client->host_objects, host_id);
	return entry != NULL ? entry->data : NULL;
}

void client_bury(struct client *client, struct object *object) {
	struct wire_object *entry = wire_objects_find(&client->client_objects, object->client_id);
	if (entry != NULL) {
		entry->dead = true;
	}
	entry = wire_objects_find(&client->host_objects, object->host_id);
	if (entry != NULL) {
		entry->dead = true;
	}
}

void client_release_id(struct client *client, struct object *object) {
	static const struct object display = {.interface = &wl_display_interface, .client_id = 1};
	const union wire_arg id = {.u = object->client_id};
	if (object->client_id == 0) {
		return;
	}
	client_send_event(client, &display, WL_DISPLAY_EVENT_DELETE_ID, &id);
	wire_objects_remove(&client->client_objects, object->client_id);
	object->client_id = 0;
	drop(object);
}

void client_release_host_id(struct client *client, struct object *object) {
	wire_objects_remove(&client->host_objects, object->host_id);
	object->host_id = 0;
	drop(object);
}

/* Objects that only the client knows first: their ends may look at those that the compositor knows. */
void client_finish_objects(struct client *client) {
	struct wire_objects *sides[] = {&client->client_objects, &client->host_objects};
	for (unsigned s = 0; s < 2; s++) {
		for (uint32_t i = 0; i < sides[s]->client_count + sides[s]->server_count; i++) {
			bool from_server = i >= sides[s]->client_count;
			struct wire_object *entry = from_server
							    ? &sides[s]->server[i - sides[s]->client_count]
							    : &sides[s]->client[i];
			struct object *object = entry->interface != NULL ? entry->data : NULL;
			if (object != NULL) {
				*(s == 0 ? &object->client_id : &object->host_id) = 0;
				drop(object);
			}
		}
	}
	wire_objects_finish(&client->client_objects);
	wire_objects_finish(&client->host_objects);
}
