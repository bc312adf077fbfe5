/* What programs are offered: what the compositor (behind ph's filter) has, the tables know, and makes sense
 * in the VM. */
#include "guest/wayland/hooks.h"

#include "ph/wayland_protocols.h"

#include <glob.h>
#include <string.h>

/* Buffers of a GPU are nothing that programs can make without one. */
static bool has_gpu(void) {
	static int known = -1;
	if (known < 0) {
		glob_t nodes;
		known = glob("/dev/dri/renderD*", 0, NULL, &nodes) == 0;
		globfree(&nodes);
	}
	return known != 0;
}

/* The highest version that programs may use; 0: none. */
static uint32_t version_of(const struct wl_interface *interface) {
	if (interface == &wl_shm_interface) {
		/* Later ones can be destroyed, with pools left that need them. */
		return 1;
	}
	if (interface == &zwp_linux_dmabuf_v1_interface && !has_gpu()) {
		return 0;
	}
	return (uint32_t)interface->version;
}

void registry_global(struct message *message) {
	const struct wl_interface *interface = wire_interface_find(message->args[1].string);
	uint32_t version = interface != NULL ? version_of(interface) : 0;
	if (version == 0) {
		return;
	}
	if (message->args[2].u > version) {
		message->args[2].u = version;
	}
	message_forward_event(message);
}

void registry_bind(struct message *message) {
	struct client *client = message->client;
	const struct wl_interface *interface = wire_interface_find(message->args[1].string);
	uint32_t version = message->args[2].u;
	if (interface == NULL || version == 0 || version > version_of(interface)) {
		client_fail(client, message->object, WL_DISPLAY_ERROR_INVALID_OBJECT,
			"invalid global %s (%u)", message->args[1].string, message->args[0].u);
		return;
	}
	struct object *object = client_add_object(client, message->args[3].object, interface, version, true);
	if (object != NULL) {
		union wire_arg args[4];
		memcpy(args, message->args, sizeof(args));
		args[3].object = object->host_id;
		client_send_request(client, message->object, message->opcode, args);
	}
}
