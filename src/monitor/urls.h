/* Addresses from the guest on their way to the process that opens them. */
#ifndef MONITOR_URLS_H
#define MONITOR_URLS_H

#include "ph/control.h"
#include "ph/loop.h"
#include "ph/opener.h"

struct urls {
	struct opener opener;
	struct loop *loop;
	struct control *control;
	struct loop_source source; /* the opener's answers */
	uint32_t request;          /* the guest's that has no answer yet; 0: none */
};

/* Start the opener, while the process has one thread. 0 or -errno. */
int urls_start(struct urls *urls);
/* Pass answers on. 0 or -errno; nothing without an opener. */
int urls_watch(struct urls *urls, struct loop *loop, struct control *control);
/* The guest asks: false when it may not, or has not waited for its answer. */
bool urls_open(struct urls *urls, uint32_t request, const void *url, size_t size);
/* Accepts zeroed. */
void urls_finish(struct urls *urls);

#endif
