/*
 * Running VMs and those who come later: a folder for each VM in $XDG_RUNTIME_DIR/ph, which belongs to the
 * caller alone, with a lock that the VM's processes hold, a socket and a description.
 *
 * A VM is there as long as its lock is held: what a crash leaves behind is taken over by the next one of that
 * name. Who holds the lock starts the VM, so that two who start the same one get one.
 *
 * Over the socket (SOCK_SEQPACKET, a message each) come commands to run: their streams are socket pairs,
 * whose other ends come along as descriptors, so that the VM's flow control is the sockets' own and no byte
 * of a stream is ever in a message. Both ends are the same user's, which each checks.
 */
#ifndef PH_INSTANCE_H
#define PH_INSTANCE_H

#include "ph/error.h"
#include "ph/record.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define INSTANCE_NAME_MAX 64
#define INSTANCE_MESSAGE_MAX 65536

/* ---- what a VM tells about itself: records in its description ---- */

enum instance_fact {
	INSTANCE_FACT_SINCE = 1,    /* u64: seconds since 1970 */
	INSTANCE_FACT_MEMORY = 2,   /* u64: bytes */
	INSTANCE_FACT_ROOT = 3,     /* string: for people */
	INSTANCE_FACT_COMMAND = 4,  /* string: for people */
	INSTANCE_FACT_SETTINGS = 5, /* list: name=value of each option that shaped the VM */
	INSTANCE_FACT_USER = 6,     /* list: uid, gid, name, home, shell */
	INSTANCE_FACT_SHARE = 7,   /* list: place here, place there ("": the root), what is hidden in it... */
	INSTANCE_FACT_IMAGE = 8,   /* empty: the root is not this system's */
	INSTANCE_FACT_REALM = 9,   /* string: the name of Citadel's realm that it is */
	INSTANCE_FACT_SCREEN = 10, /* empty: programs find a compositor */
	INSTANCE_FACT_SOUND = 11,  /* empty: programs find a sound server */
	INSTANCE_FACT_PALETTE = 12,  /* string: the colours of terminals */
	INSTANCE_FACT_PROTOCOL = 13, /* u64: INSTANCE_PROTOCOL of the ph that runs it */
	INSTANCE_FACT_URLS = 14,     /* empty: addresses are opened on the host */
};

/* Of the messages below and of a command's records. One more with each change that an older ph does not know.
 */
#define INSTANCE_PROTOCOL 4

/* ---- messages ---- */

enum instance_type {
	/* to the VM */
	INSTANCE_EXEC = 1,    /* records (enum guest_exec), with descriptors: in, out and perhaps err; value:
				 INSTANCE_EXEC_TTY. Answered with STATE, REFUSED or FAILED */
	INSTANCE_SIGNAL = 2,  /* value: for the command */
	INSTANCE_WINSIZE = 3, /* value: rows << 16 | columns */
	INSTANCE_HANGUP = 4,  /* the command's terminal is gone; so is it when the connection ends */
	INSTANCE_QUERY = 5,
	INSTANCE_STOP = 6, /* end the VM in order; again: now */
	INSTANCE_LOGS = 7,
	/* from the VM */
	INSTANCE_EXITED = 16,  /* value: the command's status, and whether it was the last */
	INSTANCE_TEXT = 17,    /* for standard error */
	INSTANCE_REFUSED = 18, /* the VM is ending: ask again when it is gone */
	INSTANCE_FAILED = 19,  /* text: why the VM ended without the command's status */
	INSTANCE_STATE = 20,   /* value: enum instance_state << 16 | commands. A command that was taken while
				  the VM was starting is told again when it is up */
};

/* in and out are a terminal's; without err it is there, too */
#define INSTANCE_EXEC_TTY 1

#define INSTANCE_EXITED_LAST 0x100

/* How long a VM that ends in order waits for its commands, and then for its system, which may have much to
 * write to a slow disk. */
#define INSTANCE_HANG_UP_MS 5000
#define INSTANCE_SHUT_DOWN_MS 60000

enum instance_state { INSTANCE_STARTING, INSTANCE_RUNNING, INSTANCE_ENDING };

struct instance_header {
	uint32_t type, value;
};

/* One message with at most three descriptors, which stay the caller's. 0 or -errno; -EAGAIN: no room. */
int instance_send(int fd, enum instance_type type, uint32_t value, const void *data, size_t size,
	const int *fds, unsigned fd_count);

struct instance_message {
	enum instance_type type;
	uint32_t value;
	size_t size;
	uint8_t *data; /* in the caller's buffer */
	int fds[3];    /* the receiver's own from now on; -1: none */
};

/* One message into a buffer of INSTANCE_MESSAGE_MAX bytes: 1; 0 at the end; -EAGAIN; -EPROTO; or -errno. */
int instance_receive(int fd, uint8_t *buffer, struct instance_message *message);
/* Whether the other end is the same user's. */
bool instance_peer_is_own(int fd);

/* ---- a VM's place ---- */

struct instance {
	char name[INSTANCE_NAME_MAX];
	int base_fd, folder_fd, lock_fd;
	int janitor_fd; /* a socket: its end is the janitor's sign */
};

/* Take the place of this name: 0; -EBUSY: a VM has it; or another -errno with *error set. Finish accepts
 * zeroed and gives it back, also for processes forked since. */
int instance_take(struct instance *instance, const char *name, struct error *error);
/* The first free one of ph-1, ph-2, ... */
int instance_take_any(struct instance *instance, struct error *error);
void instance_finish(struct instance *instance);
/* Start the process that clears up when this one is gone: the place, if it is one, and the descriptors that
 * fd_send() gave it through janitor_fd, which go last. 0 or -errno. Before there are threads. */
int instance_start_janitor(struct instance *instance);
/* There will be no VM: leave nothing behind. */
void instance_give_up(struct instance *instance);
/* Describe the VM, listen, and start the janitor: the listening socket, or -errno
 * with *error set. */
int instance_open(struct instance *instance, const struct record_buffer *facts, struct error *error);

/* ---- those who come later ---- */

/* A connection to the VM of this name; -ENOENT: none is running; -EAGAIN: it is about to; or -errno with
 * *error set; -ETIMEDOUT: it takes no connections, which was waited for for two seconds. */
int instance_connect(const char *name, struct error *error);
/* Its description, malloc'ed: the size, or -errno. */
ssize_t instance_read_facts(const char *name, uint8_t **facts);

/* The ends of a command's streams: in, out, and err, which is -1 where it is out, or the terminal. */
struct instance_streams {
	int ours[3], theirs[3];
	bool tty;
	char *palette; /* what the terminal gets meanwhile, or NULL; the caller's */
};

int instance_make_streams(struct instance_streams *streams, bool tty, bool own_stderr);
void instance_close_streams(int ends[3]);

/* Carry this process's stdio and signals to and from a command that was sent (INSTANCE_EXEC) over the
 * connection, to its end. Its exit status; -EAGAIN: the VM was ending or ended before it had taken the
 * command, and nothing of standard input was read; or -errno with *error set. Close streams->ours afterwards:
 * until the VM has taken the command they stay the caller's. */
int instance_attend(int connection, struct instance_streams *streams, struct error *error);

/* --list, --stop, --logs: 0 or -errno with *error set. */
int instance_list(struct error *error);
int instance_stop(const char *name, struct error *error);
int instance_print_logs(const char *name, struct error *error);

#endif
