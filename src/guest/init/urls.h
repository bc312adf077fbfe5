/* Addresses that programs of the guest want to have opened on the host. */
#ifndef PH_GUEST_INIT_URLS_H
#define PH_GUEST_INIT_URLS_H

#include "guest/init/config.h"
#include "guest/init/port.h"

struct urls {
	int program;    /* init's own file, which is xdg-open, too; -1: none */
	int listener;   /* -1: the host opens none */
	int connection; /* whom the host is asked for, or who is about to ask; -1: nobody */
	int epoll;
	int64_t deadline; /* by when who is about to ask has to, in ms of CLOCK_MONOTONIC; -1: nobody is */
	uint32_t request; /* 0: the host has not been asked */
	uint32_t last;
};

/* In the initramfs: keep init's file, which is not in the root. */
void urls_init(struct urls *urls);
/* In the root: put xdg-open where commands look first, and make its socket if the host opens addresses. */
void urls_place(struct urls *urls, const struct config *config);
/* Serve the socket in a loop whose events have &urls->listener or &urls->connection as their pointer. */
void urls_watch(struct urls *urls, int epoll);
void urls_ask(struct urls *urls, struct port *port);
void urls_accept(struct urls *urls, int64_t now_ms);
/* The deadline has passed. */
void urls_expire(struct urls *urls);
/* What the host says of a request: GUEST_FRAME_URL_ANSWER. */
void urls_answer(struct urls *urls, uint32_t request, uint32_t answer);

/* Init's program as xdg-open: its exit status. */
int xdg_open_main(int argc, char **argv);

#endif
