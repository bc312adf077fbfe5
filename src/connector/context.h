/* The way to one compositor, through a security context where it has those. */
#ifndef CONNECTOR_CONTEXT_H
#define CONNECTOR_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#define CONTEXT_NAME_SIZE 128

/* Zeroed: nothing is known of the compositor yet. */
struct context {
	uint64_t silent_until_ns; /* it did not answer, and is not waited for again before */
	/* A connection that says nothing more: when it hangs up, the compositor is another. */
	int control;
	bool known, sandboxed;
	int close_fd;               /* while it is open the compositor accepts at the address */
	struct sockaddr_un address; /* in the connector's network namespace, which is its alone */
};

/* What compositors are told. */
struct context_names {
	bool wanted;     /* the network namespace is the process's own */
	int patience_ms; /* how long they may take for an answer */
	char app_id[CONTEXT_NAME_SIZE], instance_id[CONTEXT_NAME_SIZE];
};

/* A connected socket that does not block, or -errno. -ENAMETOOLONG: no socket can be reached by this path.
 * -ETIMEDOUT: the compositor does not answer; it comes at once for a while then. */
int context_connect_path(const char *path);
int context_connect(struct context *context, const char *path, const struct context_names *names);
void context_finish(struct context *context);

#endif
