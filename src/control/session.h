/*
 * A command in the guest and its local stdio: standard input pumped within the window, output
 * buffered within the window, and what is still to be told to the guest.
 */
#ifndef PH_CONTROL_SESSION_H
#define PH_CONTROL_SESSION_H

#include "ph/stream.h"
#include "ph/control.h"

/* One output of a session on its way to a local descriptor. */
struct session_output {
	struct session *session;
	struct stream stream;
	uint8_t *data; /* what the descriptor had no room for */
	size_t start, end, capacity;
	bool close_owed;
};

struct session {
	struct session *next;
	struct control *control;
	uint32_t id;
	bool tty;
	bool exited; /* EXIT has come; gone once the output is written out */
	int status;
	bool lost; /* output could not be written, for another reason than that nobody reads it */

	struct stream in;
	bool in_ready;                    /* a read may bring something */
	uint32_t in_flight;               /* bytes of STDIN the guest gave no credit for yet */
	struct session_output outputs[2]; /* standard output, standard error */
	uint32_t received;                /* bytes of output the guest got no credit for yet */
	uint32_t credit_owed;             /* of these, the ones passed on */

	/* to be told to the guest, in this order */
	struct record_buffer exec;
	bool exec_owed;
	uint64_t signals_owed; /* bit n: signal n + 1 */
	bool winsize_owed;
	uint16_t rows, columns;
	bool hangup_owed, eof_owed;
	bool hung_up; /* told so, or to be */
};

/* 0 or -errno. */
int session_init(struct session *session, struct loop *loop, const struct control_stdio *stdio);
void session_finish(struct session *session);

/* Bytes from the guest. False when they go beyond the window. */
bool session_write(struct session *session, unsigned output, const uint8_t *data, size_t len);
/* The guest's command took bytes of its standard input. False when there were not as many. */
bool session_credit(struct session *session, uint32_t len);
void session_hangup(struct session *session);
/* The command has ended. */
void session_exit(struct session *session, int status);
/* Ended, and its output is written out. */
bool session_is_done(const struct session *session);

/* Append the frames the session has for the guest to a buffer, as far as they fit; returns the new size. */
size_t session_fill(struct session *session, uint8_t *buffer, size_t size, size_t capacity);
/* Watch standard input, if the port has room and the window is open. */
void session_watch_input(struct session *session, bool port_has_room);

/* Append one frame. The caller has made sure of the room. */
size_t frame_put(uint8_t *buffer, size_t size, uint16_t type, uint32_t session, const void *data, size_t len);

/* ---- what sessions need of their control ---- */

/* Send what is owed to the guest. */
void control_flush(struct control *control);
/* Tell the user what went wrong with a session's stdio. */
void control_report(struct control *control, const char *what, int error);
/* The session may be done: tell the owner and free it. */
void control_settle(struct session *session);

#endif
