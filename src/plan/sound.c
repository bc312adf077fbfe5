/*
 * Sound: where this host's PulseAudio server, or pipewire-pulse in its place, listens. ph's first thread; the
 * caller's own environment.
 */
#include "plan/parts.h"

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

int plan_resolve_sound(struct plan *plan, const struct plan_request *request, struct error *error) {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;
	if (!request->sound) {
		return request->microphone ? error_set(error, -EINVAL, "--microphone goes with --sound") : 0;
	}
	if (!find_server(path, sizeof(path)) || stat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		return error_set(error, -ENOTCONN,
			"--sound: there is no PulseAudio server (PULSE_SERVER or XDG_RUNTIME_DIR tells where "
			"it is; "
			"pipewire-pulse is one, too)");
	}
	plan->sound.microphone = request->microphone;
	plan->sound.server = strdup(path);
	return plan->sound.server == NULL ? error_set(error, -ENOMEM, "out of memory") : 0;
}
