/*
 * ph's side of the control port: commands in the guest ("sessions") and their stdio.
 *
 * Runs on the monitor's loop. Frames come from the guest and are hostile: a frame that breaks the
 * protocol ends the VM through ops->failed. Local file descriptors are never waited for, and their
 * flags, which are shared with the shell and its other children, stay as they are. When the reader
 * of an output is gone, the guest's command meets SIGPIPE; when a terminal is gone, SIGHUP.
 */
#ifndef PH_CONTROL_H
#define PH_CONTROL_H

#include "ph/guest.h"
#include "ph/loop.h"
#include "ph/record.h"
#include "ph/virtio.h"

struct control;

/* None of these may destroy the control, and log may not call it at all. */
struct control_ops {
	void (*ready)(void *owner);                             /* the guest's init is up */
	void (*log)(void *owner, bool error, const char *text); /* what init has to say */
	void (*timing)(void *owner, const char *step, uint64_t ns);
	/* The guest wants an address opened, and waits for control_answer_url(). False: it may not ask now.
	 */
	bool (*url)(void *owner, uint32_t request, const void *url, size_t size);
	/* A session ended and its output was written out. A command's success is 125 when output was lost
	 * because it could not be written (log has said why). */
	void (*exited)(void *owner, uint32_t session, int status);
	/* The guest is synced and unmounted. reason: why it did not start the command, in ASCII, or "". */
	void (*bye)(void *owner, const char *reason);
	void (*failed)(void *owner, const char *reason); /* the guest broke the protocol */
};

/* Local ends of a session's stdio; none is closed by control, and all may be closed once it has them. -1 is
 * /dev/null, and with a terminal, for err, the terminal. */
struct control_stdio {
	int in, out, err;
	bool tty;
};

/* Adds the control port to console, and has the process ignore SIGPIPE. 0 or -errno. */
int control_create(struct control **control, struct loop *loop, struct virtio_device *console,
	const struct control_ops *ops, void *owner);
/* After the device has stopped, or when its loop will not run again. */
void control_destroy(struct control *control);

/* Session 1 is in the boot configuration: attach its stdio. Others are started by control_exec(). 0 or
 * -errno. */
int control_attach(struct control *control, uint32_t session, const struct control_stdio *stdio);
int control_exec(struct control *control, uint32_t session, const struct record_buffer *exec,
	const struct control_stdio *stdio);
/* The stdio is gone (terminal closed, joining ph died): SIGHUP in the guest. Output not yet written is
 * dropped; ops->exited follows, at once when the command has ended already. */
void control_hangup(struct control *control, uint32_t session);
/* Session 0: all of them. */
void control_signal(struct control *control, uint32_t session, int signo);
void control_resize(struct control *control, uint32_t session, uint16_t rows, uint16_t columns);
/* To the address of that request. */
void control_answer_url(struct control *control, uint32_t request, enum guest_url answer);
/* Tell init what the host's clock says when it hears it. */
void control_tell_time(struct control *control);
/* Tell init what resolv.conf says from now on, at most GUEST_NAMES_MAX bytes. */
void control_tell_names(struct control *control, const char *text);
/* Ask init for an orderly end; ops->bye follows. */
void control_shutdown(struct control *control);

#endif
