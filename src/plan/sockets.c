/*
 * The sockets of this host that the guest may connect to: the compositor's, where there is one, and those
 * that the user names. ph's first thread; the caller's own input.
 */
#include "plan/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

bool plan_wayland_path(char *path, size_t size) {
	const char *display = getenv("WAYLAND_DISPLAY");
	const char *folder = getenv("XDG_RUNTIME_DIR");
	display = display != NULL && display[0] != '\0' ? display : "wayland-0";
	if (display[0] == '/') {
		return (size_t)snprintf(path, size, "%s", display) < size;
	}
	return folder != NULL && folder[0] == '/' &&
	       (size_t)snprintf(path, size, "%s/%s", folder, display) < size;
}

static bool is_socket(const char *path) {
	struct stat st;
	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int add(struct plan *plan, const char *name, size_t length, const char *path, bool filtered,
	struct error *error) {
	struct display_socket *socket = &plan->sockets[plan->socket_count];
	socket->filtered = filtered;
	memcpy(socket->name, name, length);
	socket->path = strdup(path);
	if (socket->path == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	plan->socket_count++;
	plan->has_screen = plan->has_screen || length == 0;
	return 0;
}

int plan_add_compositor(struct plan *plan, const char *path, struct error *error) {
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path) || !is_socket(path)) {
		return -ENOTSOCK;
	}
	return add(plan, "", 0, path, true, error);
}

static bool is_named(const struct plan *plan, const char *name, size_t length) {
	for (size_t i = 0; i < plan->socket_count; i++) {
		if (strlen(plan->sockets[i].name) == length &&
			memcmp(plan->sockets[i].name, name, length) == 0) {
			return true;
		}
	}
	return false;
}

/* NAME=PATH */
static int add_option(struct plan *plan, const char *option, struct error *error) {
	size_t length = strcspn(option, "=");
	const char *path = option + length + 1;
	if (option[length] == '\0' || path[0] != '/') {
		return error_set(
			error, -EINVAL, "--wl-socket %s: must be NAME=PATH, with an absolute path", option);
	}
	if (length >= DISPLAY_NAME_SIZE || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		return error_set(error, -ENAMETOOLONG, "--wl-socket %s: too long", option);
	}
	if (is_named(plan, option, length)) {
		return error_set(error, -EEXIST, "--wl-socket %s: the name is taken", option);
	}
	if (!is_socket(path)) {
		return error_set(error, -ENOTSOCK, "--wl-socket: %s is not a socket", path);
	}
	return add(plan, option, length, path, false, error);
}

int plan_resolve_sockets(struct plan *plan, const struct plan_request *request, struct error *error) {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	plan->clipboard = request->clipboard;
	plan->tag = strdup(request->tag != NULL ? request->tag : plan->name);
	int ret = plan->tag != NULL ? 0 : error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < request->wl_socket_count && ret == 0; i++) {
		ret = add_option(plan, request->wl_sockets[i], error);
	}
	if (ret == 0 && plan->realm != NULL && !is_named(plan, "", 0)) {
		return plan_add_realm_socket(plan, request, error);
	}
	if (ret < 0 || request->no_wayland || is_named(plan, "", 0)) {
		return ret;
	}
	bool found = plan_wayland_path(path, sizeof(path)) && is_socket(path);
	return found ? add(plan, "", 0, path, true, error) : 0;
}
