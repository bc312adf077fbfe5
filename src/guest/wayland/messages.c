/*
 * Messages from one side to the other: checked against their signatures, their objects and descriptors
 * translated. The proxy's only thread. A client's messages are hostile, and cost that client its
 * connection when they break a rule; the compositor's are checked by the same means.
 */
#include "guest/wayland/client.h"

#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes that may wait for a side before no more is read from the other. */
#define WAITING_MAX 65536
/* Descriptors that the proxy itself adds to a message */
#define OWN_FDS 1

static const struct object display = {.interface = &wl_display_interface, .version = 1, .client_id = 1};

/* ---- writing ---- */

static void check(struct client *client, int result) {
	if (result == -EMSGSIZE) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_INVALID_METHOD, "a message is too long");
	} else if (result < 0) {
		client_fail_memory(client);
	}
}

void client_send_request(
	struct client *client, const struct object *object, uint16_t opcode, const union wire_arg *args) {
	check(client, wire_write(&client->to_host, object->host_id, opcode,
			      &object->interface->methods[opcode], args, WIRE_LIBWAYLAND_MAX));
}

void client_send_event(
	struct client *client, const struct object *object, uint16_t opcode, const union wire_arg *args) {
	check(client, wire_write(&client->to_client, object->client_id, opcode,
			      &object->interface->events[opcode], args, WIRE_LIBWAYLAND_MAX));
}

static bool has_room(const struct wire_queue *queue, const struct wl_message *type) {
	return wire_queue_size(queue) < WAITING_MAX &&
	       queue->fd_count + wire_count(type, 'h') + OWN_FDS <= HOST_FDS_MAX;
}

static void push_fds(struct message *message, struct wire_queue *queue) {
	for (unsigned i = 0; i < message->arg_count; i++) {
		if (message->fds[i] >= 0 && wire_queue_push_fd(queue, message->fds[i], 0) == 0) {
			message->fds[i] = -1;
		}
	}
}

/* ---- translating ---- */

/* The version of new objects is that of the object they come from, but for what registries bind. */
static uint32_t translate_request_object(struct message *message, unsigned i, char type) {
	struct client *client = message->client;
	const struct wl_interface *interface = message->type->types[i];
	uint32_t id = message->args[i].object;
	if (id == 0) {
		return 0;
	}
	if (type == 'n') {
		message->created = client_add_object(client, id, interface, message->object->version, true);
		return message->created != NULL ? message->created->host_id : 0;
	}
	const struct object *object = client_find(client, id);
	if (object == NULL || (interface != NULL && object->interface != interface) || object->host_id == 0) {
		client_fail(
			client, message->object, WL_DISPLAY_ERROR_INVALID_OBJECT, "unknown object %u", id);
		return 0;
	}
	return object->host_id;
}

void message_forward_request(struct message *message) {
	struct client *client = message->client;
	union wire_arg args[WIRE_ARGS_MAX];
	const char *signature = message->type->signature;
	bool nullable;
	char type;
	memcpy(args, message->args, message->arg_count * sizeof(args[0]));
	for (unsigned i = 0; !client->closing && (type = wire_signature_next(&signature, &nullable)) != '\0';
		i++) {
		if (type == 'o' || type == 'n') {
			args[i].object = translate_request_object(message, i, type);
		}
	}
	if (client->closing) {
		return;
	}
	client_send_request(client, message->object, message->opcode, args);
	push_fds(message, &client->to_host);
	if (wire_interface_destructors(message->object->interface) >> message->opcode & 1) {
		client_bury(client, message->object);
	}
}

static uint32_t translate_event_object(struct message *message, unsigned i, char type) {
	struct client *client = message->client;
	uint32_t id = message->args[i].object;
	if (id == 0) {
		return 0;
	}
	if (type == 'n') {
		message->created =
			client_add_server(client, id, message->type->types[i], message->object->version);
		return message->created != NULL ? id : 0;
	}
	const struct object *object = client_find_host(client, id);
	return object != NULL ? object->client_id : 0;
}

/* An object that the client does not know any more may not be named to it. */
static bool is_complete(char type, bool nullable, const union wire_arg *arg) {
	return type != 'o' || nullable || arg->object != 0;
}

void message_forward_event(struct message *message) {
	struct client *client = message->client;
	union wire_arg args[WIRE_ARGS_MAX];
	const char *signature = message->type->signature;
	bool nullable, complete = message->object->client_id != 0;
	char type;
	memcpy(args, message->args, message->arg_count * sizeof(args[0]));
	for (unsigned i = 0; !client->closing && (type = wire_signature_next(&signature, &nullable)) != '\0';
		i++) {
		if (type == 'o' || type == 'n') {
			args[i].object = translate_event_object(message, i, type);
			complete = complete && is_complete(type, nullable, &args[i]);
		}
	}
	if (!client->closing && complete) {
		client_send_event(client, message->object, message->opcode, args);
		push_fds(message, &client->to_client);
	}
}

/* ---- reading ---- */

/* False: they are not here, so the message cannot be what it says. */
static bool take_fds(struct message *message, struct wire_queue *queue) {
	const char *signature = message->type->signature;
	bool nullable, complete = true;
	char type;
	while ((type = wire_signature_next(&signature, &nullable)) != '\0') {
		int fd = type == 'h' ? wire_queue_pop_fd(queue, NULL) : -1;
		complete = complete && (type != 'h' || fd >= 0);
		message->fds[message->arg_count++] = fd;
	}
	return complete;
}

static void finish(struct message *message) {
	for (unsigned i = 0; i < message->arg_count; i++) {
		if (message->fds[i] >= 0) {
			close(message->fds[i]);
		}
	}
}

/* Take the wire's message apart. NULL, or what is wrong. */
static const char *read_message(
	struct message *message, const struct wire_message *wire, struct wire_queue *queue) {
	const char *rule = wire_parse(wire, message->type, message->args);
	if (rule == NULL && wire_since(message->type) > message->object->version) {
		rule = "a message is of a later version than its object";
	}
	if (!take_fds(message, queue) && rule == NULL) {
		rule = "a descriptor is missing";
	}
	return rule;
}

static void start(struct message *message, struct client *client, struct object *object,
	const struct wire_message *wire, const struct wl_message *types) {
	message->client = client;
	message->object = object;
	message->opcode = wire->opcode;
	message->type = &types[wire->opcode];
	message->arg_count = 0;
	message->created = NULL;
}

static void handle_request(struct message *message, const struct wire_message *wire) {
	struct client *client = message->client;
	const char *rule = read_message(message, wire, &client->from_client);
	if (rule != NULL) {
		client_fail(client, message->object, WL_DISPLAY_ERROR_INVALID_METHOD, "%s@%u.%s: %s",
			message->object->interface->name, wire->object, message->type->name, rule);
	} else {
		hook *special = hook_find_request(message->object->interface, message->opcode);
		(special != NULL ? special : message_forward_request)(message);
	}
	finish(message);
}

bool client_pass_request(struct client *client) {
	struct wire_message wire;
	struct message message;
	int there = wire_peek(
		wire_queue_data(&client->from_client), wire_queue_size(&client->from_client), &wire);
	if (there == 0) {
		return false;
	}
	struct object *object = there > 0 ? client_find(client, wire.object) : NULL;
	if (object == NULL) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_INVALID_OBJECT, "invalid object %u",
			there > 0 ? wire.object : 0);
		return false;
	}
	if (wire.opcode >= object->interface->method_count) {
		client_fail(client, object, WL_DISPLAY_ERROR_INVALID_METHOD,
			"invalid method %u, object %s@%u", wire.opcode, object->interface->name, wire.object);
		return false;
	}
	start(&message, client, object, &wire, object->interface->methods);
	if (!has_room(&client->to_host, message.type)) {
		return false;
	}
	handle_request(&message, &wire);
	wire_queue_consume(&client->from_client, wire.size);
	return !client->closing;
}

static void handle_event(struct message *message, const struct wire_message *wire) {
	struct client *client = message->client;
	if (read_message(message, wire, &client->from_host) != NULL) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_IMPLEMENTATION, "the compositor's %s.%s is broken",
			message->object->interface->name, message->type->name);
	} else {
		hook *special = hook_find_event(message->object->interface, message->opcode);
		(special != NULL ? special : message_forward_event)(message);
	}
	finish(message);
}

bool client_pass_event(struct client *client) {
	struct wire_message wire;
	struct message message;
	int there =
		wire_peek(wire_queue_data(&client->from_host), wire_queue_size(&client->from_host), &wire);
	if (there == 0) {
		return false;
	}
	struct object *object = there > 0 ? client_find_host(client, wire.object) : NULL;
	if (object == NULL || wire.opcode >= object->interface->event_count) {
		client_fail(client, NULL, WL_DISPLAY_ERROR_IMPLEMENTATION,
			"the compositor sent what is no message");
		return false;
	}
	start(&message, client, object, &wire, object->interface->events);
	if (!has_room(&client->to_client, message.type)) {
		return false;
	}
	handle_event(&message, &wire);
	wire_queue_consume(&client->from_host, wire.size);
	return !client->closing;
}

/* ---- wl_display ---- */

void display_error(struct message *message) {
	const struct object *object = client_find_host(message->client, message->args[0].object);
	/* What only the proxy knows, the client cannot be told of. */
	client_fail(message->client, object, message->args[1].u, "%s", message->args[2].string);
}

void display_delete_id(struct message *message) {
	struct client *client = message->client;
	struct object *object = client_find_host(client, message->args[0].u);
	if (object == NULL || object == message->object) {
		return;
	}
	if (object->client_id != 0) {
		uint32_t host_id = object->host_id;
		object->host_id = 0;
		wire_objects_remove(&client->host_objects, host_id);
		client_release_id(client, object);
	} else {
		client_release_host_id(client, object);
	}
}

static void put_error(struct client *client, const struct object *object, uint32_t code, const char *text) {
	const union wire_arg args[] = {
		{.object = object != NULL && object->client_id != 0 ? object->client_id : display.client_id},
		{.u = code}, {.string = text}};
	/* Without memory for the message the end must do. */
	wire_write(&client->to_client, display.client_id, WL_DISPLAY_EVENT_ERROR,
		&wl_display_interface.events[WL_DISPLAY_EVENT_ERROR], args, WIRE_LIBWAYLAND_MAX);
}

void client_fail(struct client *client, const struct object *object, uint32_t code, const char *format, ...) {
	char text[512];
	va_list args;
	if (client->closing) {
		return;
	}
	client->closing = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_error(client, object, code, text);
}

void client_fail_memory(struct client *client) {
	client_fail(client, NULL, WL_DISPLAY_ERROR_NO_MEMORY, "no memory");
}
