/* A session: one command and the streams between it and the control port. */
#ifndef PH_GUEST_INIT_SESSION_H
#define PH_GUEST_INIT_SESSION_H

#include "guest/init/config.h"
#include "guest/init/port.h"

/* One direction of output. */
struct session_output {
	int fd;                     /* -1: ended */
	enum guest_frame_type type; /* STDOUT or STDERR */
	size_t left;                /* once the command has exited: how much may still be what it wrote */
};

struct session {
	struct session *next;
	struct port *port;
	int epoll; /* where its streams are watched */
	uint32_t id;
	pid_t pid;
	bool tty;
	bool ready;   /* there may be something to do: session_pump() */
	bool blocked; /* output waits until the port has room: session_unblock() */
	bool exited;  /* reaped; status holds */
	bool dropped; /* ph wants no more of it */
	int status;
	int in; /* -1: closed. With a terminal the same as outputs[0].fd */
	struct session_output outputs[2];
	uint32_t credit; /* bytes of output ph will take */
	/* Standard input under way, a ring of GUEST_WINDOW bytes made when first needed. */
	uint8_t *input;
	size_t input_start, input_size;
	bool input_end;  /* end of file follows */
	uint32_t untold; /* bytes taken by the command that ph has not been credited for */
};

/* Start a command; its streams are added to epoll with the session as the event's pointer. 0 or -errno. */
int session_create(struct session **session, uint32_t id, const struct exec *exec,
	const struct config *config, struct port *port, int epoll);
void session_destroy(struct session *session);

/* Frames from ph. */
int session_input(struct session *session, const uint8_t *data, size_t len);
void session_credit(struct session *session, uint32_t bytes);
void session_signal(struct session *session, int signo);
void session_resize(struct session *session, uint16_t rows, uint16_t columns);
void session_hangup(struct session *session);
void session_close_output(struct session *session, enum guest_frame_type type);

/* Its process was reaped with this wait status. */
void session_exited(struct session *session, int wait_status);
/* The port may have room again; true when that makes the session ready. */
bool session_unblock(struct session *session);
/* Move bytes, each stream one piece at most. ready tells whether to call again at once. True: the session is
 * over, EXIT was sent; destroy it. */
bool session_pump(struct session *session);

#endif
