/*
 * Opening addresses on the host for a VM (--open-urls): a process outside the jail, since what it starts is
 * the user's own browser or mail program. It is sent text that the guest chose, by a monitor that the guest
 * may have taken over: what may be opened, and how often, is decided in it and nowhere else.
 */
#ifndef PH_OPENER_H
#define PH_OPENER_H

#include "ph/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct opener {
	pid_t pid; /* 0: none */
	int pid_fd;
	int fd; /* SOCK_SEQPACKET, non-blocking: an address, and then a byte, enum guest_url */
};

/* While the process has one thread. 0 or -errno. Stop accepts zeroed. */
int opener_start(struct opener *opener);
void opener_stop(struct opener *opener);

/* ---- what it decides ---- */

/*
 * Whether this is an address of the web (http, https) or of mail, whole, in characters that addresses are
 * made of, and no longer than GUEST_URL_MAX. A mail address may come with a subject and a text, but never
 * with a file.
 */
bool opener_accepts(const char *url, size_t size);

/* At most 5 addresses within 10 seconds. Zeroed is ready to use. */
#define OPENER_BURST 5
#define OPENER_WINDOW_MS 10000
struct opener_rate {
	int64_t opened[OPENER_BURST]; /* when, in ms; 0: not yet */
	unsigned next;
};
/* Whether there may be one more now, which is counted. */
bool opener_has_room(struct opener_rate *rate, int64_t now_ms);

#endif
