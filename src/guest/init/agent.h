/* ph's agent in the guest: serves the control port until ph asks for the end. */
#ifndef PH_GUEST_INIT_AGENT_H
#define PH_GUEST_INIT_AGENT_H

#include "guest/init/config.h"
#include "guest/init/port.h"
#include "guest/init/session.h"
#include "guest/init/service.h"
#include "guest/init/urls.h"

#define AGENT_SERVICES_MAX 3

struct agent {
	const struct config *config;
	struct port *port;
	int epoll, children; /* children: a signalfd for SIGCHLD */
	struct session *sessions;
	pid_t late; /* the process that does what may come late; 0: none */
	struct service *services[AGENT_SERVICES_MAX];
	unsigned service_count;
	struct urls *urls;  /* or NULL */
	bool over;          /* nothing more is to be served */
	unsigned stage;     /* of a shutdown; 0: none is under way */
	int64_t next_stage; /* when, in ms of CLOCK_MONOTONIC */
	int64_t next_look;  /* likewise: at the room that is left for changes to the root; -1: never */
};

/* Blocks SIGCHLD and ignores SIGPIPE. 0 or -errno. */
int agent_init(struct agent *agent, const struct config *config, struct port *port);
/* Start the service when somebody connects to it; and pass on what is to be opened. */
void agent_add_service(struct agent *agent, struct service *service);
void agent_add_urls(struct agent *agent, struct urls *urls);
void agent_finish(struct agent *agent);
/* Start session id. A failure is reported as its STDERR and EXIT. */
void agent_exec(struct agent *agent, uint32_t id, const struct exec *exec);
/* Serve until SHUTDOWN (or a broken port) and until all processes are gone. */
void agent_run(struct agent *agent);
/* End all processes as SHUTDOWN does. */
void agent_shutdown(struct agent *agent);

#endif
