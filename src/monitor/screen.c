/*
 * The display device and where it runs: a worker of its own, and the window, which stays in the monitor. Main
 * thread; nothing hostile comes in here.
 */
#include "monitor/screen.h"

#include "ph/display.h"
#include "ph/fd.h"

#include <string.h>
#include <sys/socket.h>

enum { ASKING_DISPLAY, ASKING_SOUND };

static const char *tag_of(const struct plan *plan) {
	return plan->tag != NULL ? plan->tag : "ph";
}

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
		.connector = plan->socket_count > 0 ? screen->asking[ASKING_DISPLAY] : -1,
		.tag = tag_of(plan),
		.clipboard = plan->clipboard,
		.no_card = plan->no_card,
		.window_fd = screen->window.client_fd,
		.window_address = screen->window.address,
		.window_size = screen->window.size};
	return display_create(&screen->device, &options);
}

static int start_worker(struct screen *screen, const struct guest_memory *memory, enum jail_mode mode) {
	const struct worker_options options = {.name = "display",
		.kind = JAIL_DISPLAY,
		.mode = mode,
		.memory = memory,
		.devices = &screen->device,
		.device_count = 1};
	return worker_start(&screen->worker, &options);
}

static int start_connector(struct screen *screen, const struct plan *plan, enum jail_mode mode) {
	struct connector_socket sockets[DISPLAY_SOCKETS_MAX];
	const struct connector_socket server = {.path = plan->sound.server};
	for (size_t i = 0; i < plan->socket_count; i++) {
		sockets[i] = (struct connector_socket){
			.path = plan->sockets[i].path, .sandboxed = plan->sockets[i].filtered};
	}
	struct connector_door doors[] = {
		[ASKING_DISPLAY] = {.sockets = sockets, .count = (unsigned)plan->socket_count},
		[ASKING_SOUND] = {.sockets = &server, .count = plan->sound.server != NULL},
	};
	int ret = connector_start(&screen->connector, doors, 2, tag_of(plan), mode);
	screen->asking[ASKING_DISPLAY] = doors[ASKING_DISPLAY].fd;
	screen->asking[ASKING_SOUND] = doors[ASKING_SOUND].fd;
	return ret;
}

int screen_start(struct screen *screen, const struct plan *plan, const struct guest_memory *memory,
	enum jail_mode mode) {
	const struct plan_sound *sound = &plan->sound;
	if (plan->socket_count == 0 && sound->server == NULL) {
		return 0;
	}
	int ret = window_init(&screen->window, memory);
	if (ret == 0) {
		ret = start_connector(screen, plan, mode);
	}
	if (ret == 0 && sound->server != NULL) {
		const struct sound_rules rules = {.tag = tag_of(plan), .microphone = sound->microphone};
		ret = sound_start(&screen->sound, screen->asking[ASKING_SOUND], &rules, mode);
		fd_close(&screen->asking[ASKING_SOUND]);
	}
	if (ret == 0) {
		ret = create_device(screen, plan);
	}
	if (ret < 0 || plan->sandbox == PLAN_SANDBOX_OFF) {
		return ret;
	}
	ret = start_worker(screen, memory, mode);
	display_leave(screen->device);
	fd_close(&screen->asking[ASKING_DISPLAY]);
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
	if (screen->connector.pid > 0) {
		fd_close(&screen->asking[ASKING_DISPLAY]);
		fd_close(&screen->asking[ASKING_SOUND]);
	}
	connector_stop(&screen->connector);
}
