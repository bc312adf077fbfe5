/*
 * Sound: where this host's PulseAudio server, or pipewire-pulse in its place, listens. ph's first thread; the
 * caller's own environment.
 */
#include "plan/parts.h"

#include "ph/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define UNIX "unix:"

/* PULSE_SERVER may name servers elsewhere, which are of no use here. */
static bool find_server(char *path, size_t size) {
	const char *server = getenv("PULSE_SERVER"), *folder = getenv("XDG_RUNTIME_DIR");
	if (server != NULL && strncmp(server, UNIX, sizeof(UNIX) - 1) == 0) {
		server += sizeof(UNIX) - 1;
	}
	if (server != NULL && server[0] == '/') {
		return (size_t)snprintf(path, size, "%s", server) < size;
	}
	return folder != NULL && folder[0] == '/' &&
	       (size_t)snprintf(path, size, "%s/pulse/native", folder) < size;
}

static bool is_server(const char *path) {
	struct stat st;
	return path != NULL && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path) &&
	       stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A realm's own server, where there is one: without it the realm starts all the same. */
static int find_realm_server(
	struct plan *plan, const struct plan_request *request, char **server, struct error *error) {
	char *path = NULL;
	*server = NULL;
	int ret = plan->realm != NULL ? plan_realm_sound(plan, request, &path, error) : 0;
	if (is_server(path)) {
		*server = path;
		return 0;
	}
	if (path != NULL && !request->sound) {
		log_verbose("realm %s: there is no sound server at %s", plan->realm_name, path);
	}
	free(path);
	return ret;
}

int plan_resolve_sound(struct plan *plan, const struct plan_request *request, struct error *error) {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *server;
	int ret = find_realm_server(plan, request, &server, error);
	if (ret < 0) {
		return ret;
	}
	if (server == NULL && request->sound) {
		if (!find_server(path, sizeof(path)) || !is_server(path)) {
			return error_set(error, -ENOTCONN,
				"--sound: there is no PulseAudio server (PULSE_SERVER or XDG_RUNTIME_DIR "
				"tells "
				"where it is; pipewire-pulse is one, too)");
		}
		server = strdup(path);
		if (server == NULL) {
			return error_set(error, -ENOMEM, "out of memory");
		}
	}
	if (server == NULL && request->microphone) {
		return error_set(error, -EINVAL, "--microphone goes with --sound");
	}
	plan->sound.microphone = request->microphone;
	plan->sound.server = server;
	plan->has_sound = server != NULL;
	return 0;
}
