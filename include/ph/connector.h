/*
 * Connections to sockets of this host, for processes that cannot make any: a process of its own, the
 * connector, has a table of sockets for each of them, connects to the one that is asked for by its number,
 * and hands the connection over. It sees the folders that the sockets are in, so a server that was started
 * anew is found, whatever became of the old one's socket.
 *
 * Whoever asks meets the guest and may have been taken over: a number is all that it can say.
 */
#ifndef PH_CONNECTOR_H
#define PH_CONNECTOR_H

#include "ph/jail.h"

#include <stdint.h>
#include <sys/types.h>

#define CONNECTOR_DOORS_MAX 2
#define CONNECTOR_SOCKETS_MAX 8 /* behind one door */

struct connector_socket {
	const char *path;
	/* Wayland is spoken there: connections are made through a security context (wp_security_context_v1)
	 * where the compositor has that, and the process a network namespace of its own. */
	bool sandboxed;
};

/* What one process may ask for. */
struct connector_door {
	const struct connector_socket *sockets;
	unsigned count;
	int fd; /* set by connector_start(): the end to ask by */
};

struct connector {
	pid_t pid;
	int pid_fd;
};

/* While the process has one thread. tag: what compositors are told of the VM. 0 or -errno. */
int connector_start(struct connector *connector, struct connector_door *doors, unsigned count,
	const char *tag, enum jail_mode mode);
/* Wait for its end, which comes once all doors are closed everywhere; killed after a grace time. Accepts a
 * zeroed one. */
void connector_stop(struct connector *connector);

/* Ask for a connection: a stream that does not block, or -errno. Waits for the answer; the connector waits
 * for nobody but, the first time, for a compositor. */
int connector_connect(int door, unsigned index);

#endif
