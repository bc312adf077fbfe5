/* Loads libdbus-1. In a process forked for it, or about to end; the library is the host's own. */
#include "ph/dbus.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

int dbus_load(struct dbus_library *library) {
	void *handle = dlopen("libdbus-1.so.3", RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		return -ENOENT;
	}
#define LOAD(name) \
	*(void **)&library->name = dlsym(handle, #name); \
	if (library->name == NULL) { \
		return -ENOENT; \
	}
	DBUS_FUNCTIONS(LOAD)
#undef LOAD
	return 0;
}
