/* Programs that init starts when somebody first connects to their sockets. */
#ifndef PH_GUEST_INIT_SERVICE_H
#define PH_GUEST_INIT_SERVICE_H

#include "guest/init/config.h"

struct service {
	int listener; /* -1: none */
	pid_t pid;    /* of the running program; 0: none, the next who connects starts it */
	const char *name;
	/* In the child: become the program, which takes over the socket. Does not return. */
	void (*become)(struct service *service);
	/* It ended with this wait status. True: it may be started again. */
	bool (*ended)(int status);
};

/* A socket of the user's in the runtime folder, or -1 after a report. type: SOCK_STREAM or another. */
int service_listen(const struct config_user *user, const char *name, int type);
/* Nobody shall connect any more. */
void service_close(struct service *service);
/* Somebody connects. 0 or -errno. */
int service_start(struct service *service);
#endif
