/* Those who use the VM from other processes: include/ph/instance.h, the VM's end. */
#ifndef MONITOR_CLIENTS_H
#define MONITOR_CLIENTS_H

#include "ph/control.h"
#include "ph/loop.h"
#include "ph/vm.h"

struct client;

/* What they want of the VM that is not about their own command. */
struct clients_ops {
	bool (*is_ending)(void *owner);
	uint32_t (*state)(void *owner); /* enum instance_state << 16 | commands */
	void (*stop)(void *owner);
	/* A command was started for one of them. */
	void (*started)(void *owner);
	size_t (*logs)(void *owner, char *text, size_t size);
	/* A line for standard error, to be kept. */
	void (*keep)(void *owner, const char *text, size_t size);
};

struct clients {
	struct loop *loop;
	struct control *control;
	const struct clients_ops *ops;
	void *owner;
	struct loop_source listener, messages;
	struct client *list;
	unsigned count;
	uint32_t last_session;
	uint8_t *buffer;
};

/* Serve the seat; sessions from first on are for clients, and its own client's is the one before. 0 or
 * -errno. */
int clients_init(struct clients *clients, struct loop *loop, struct control *control,
	const struct vm_seat *seat, uint32_t first, const struct clients_ops *ops, void *owner);
/* Their connections stay open until the process ends: then the VM's disks are closed, too. */
void clients_finish(struct clients *clients);
/* A session ended; it was the last one. Ignored when it was nobody's. */
void clients_exited(struct clients *clients, uint32_t session, int status, bool last);
/* The VM is up: tell all who wait for their commands. */
void clients_ready(struct clients *clients);
/* The VM ended early: tell all whose commands have not. Accepts a zeroed one. */
void clients_failed(struct clients *clients, const char *reason);

#endif
