/*
 * The display device and where it runs: a worker of its own, and the window, which stays in the monitor. Main
 * thread; nothing hostile comes in here.
 */
#include "monitor/screen.h"

#include "ph/display.h"
#include "ph/fd.h"

#include <string.h>
#include <sys/socket.h>

static int create_device(struct screen *screen, const struct plan *plan) {
	struct display_socket sockets[DISPLAY_SOCKETS_MAX];
	unsigned count = (unsigned)plan->socket_count;
	memcpy(sockets, plan->sockets, sizeof(sockets));
	if (screen->sound.pid > 0) {
		sockets[count++] = (struct display_socket){
			.name = SOUND_CONTEXT, .has_door = true, .door = screen->sound.door};
	}
	const struct display_options options = {.sockets = sockets,
		.socket_count = count,
		.tag = plan->tag,
		.clipboard = plan->clipboard,
		.no_card = plan->no_card,
		.window_fd = screen->window.client_fd,
		.window_address = screen->window.address,
		.window_size = screen->window.size};
	return display_create(&screen->device, &options);
}

static int start_worker(struct screen *screen, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode) {
	const char *sockets[DISPLAY_SOCKETS_MAX];
	for (size_t i = 0; i < plan->socket_count; i++) {
		sockets[i] = plan->sockets[i].path;
	}
	const struct worker_options options = {.name = "display",
		.kind = JAIL_DISPLAY,
		.mode = mode,
		.reach = {.sockets = sockets, .socket_count = plan->socket_count},
		.memory = memory,
		.devices = &screen->device,
		.device_count = 1};
	return worker_start(&screen->worker, &options);
}

int screen_start(struct screen *screen, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode) {
	const struct plan_sound *sound = &plan->sound;
	if (plan->socket_count == 0 && sound->server == NULL) {
		return 0;
	}
	int ret = window_init(&screen->window, memory);
	if (ret == 0 && sound->server != NULL) {
		ret = sound_start(&screen->sound, sound->server, sound->microphone, mode);
	}
	if (ret == 0) {
		ret = create_device(screen, plan);
	}
	if (ret < 0 || plan->sandbox == PLAN_SANDBOX_OFF) {
		return ret;
	}
	ret = start_worker(screen, plan, memory, mode);
	display_leave(screen->device);
	sound_leave(&screen->sound);
	return ret;
}

int screen_attach(struct screen *screen, struct pci_bus *pci) {
	return screen->worker.pid != 0 ? pci_add(pci, screen->device, &screen->worker.client, 0) : 0;
}

int screen_serve(struct screen *screen) {
	return screen->device != NULL ? window_serve(&screen->window) : 0;
}

void screen_lost(struct screen *screen) {
	screen->device->shared->needs_reset = true;
	/* Which vector tells of it is the driver's choice; drivers take the first. */
	fd_event_signal(screen->device->vector_fds[0]);
}

void screen_hang_up(struct screen *screen) {
	if (screen->worker.pid != 0) {
		shutdown(screen->worker.client.fd, SHUT_RDWR);
	}
}

void screen_finish(struct screen *screen) {
	worker_stop(&screen->worker);
	display_destroy(screen->device);
	screen->device = NULL;
	window_finish(&screen->window);
	sound_stop(&screen->sound);
}
