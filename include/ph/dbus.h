/*
 * libdbus-1, of a host that has it: loaded when it is needed, so that a ph which asks no bus anything neither
 * needs nor pays for it. For processes that end soon: nothing is ever unloaded.
 */
#ifndef PH_DBUS_H
#define PH_DBUS_H

#include <dbus/dbus.h>

/* What ph uses of it, each a pointer of its function's own name. */
#define DBUS_FUNCTIONS(X) \
	X(dbus_error_init) \
	X(dbus_bus_get_private) \
	X(dbus_connection_set_exit_on_disconnect) \
	X(dbus_connection_send_with_reply_and_block) \
	X(dbus_message_new_method_call) \
	X(dbus_message_append_args) \
	X(dbus_message_set_auto_start) \
	X(dbus_message_get_signature) \
	X(dbus_message_iter_init) \
	X(dbus_message_iter_get_arg_type) \
	X(dbus_message_iter_recurse) \
	X(dbus_message_iter_get_basic) \
	X(dbus_message_iter_next) \
	X(dbus_message_iter_init_append) \
	X(dbus_message_iter_append_basic) \
	X(dbus_message_iter_open_container) \
	X(dbus_message_iter_close_container)

struct dbus_library {
#define DBUS_MEMBER(name) __typeof__(name) *name;
	DBUS_FUNCTIONS(DBUS_MEMBER)
#undef DBUS_MEMBER
};

/* 0, or -ENOENT: this host has none, or not one of these. */
int dbus_load(struct dbus_library *library);

#endif
