/* One direction between this process's stdio and a command's stream. */
#ifndef INSTANCE_RELAY_H
#define INSTANCE_RELAY_H

#include "ph/stream.h"

struct relay {
	struct stream from, to;
	uint8_t *data;
	size_t start, end;
	bool inward; /* to the command, whose end is to; otherwise from */
	bool draining, over;
	/* At the end of from (0), or when one of both failed. */
	void (*ended)(struct relay *relay, int error);
};

/* The descriptors may be closed afterwards. The command's is shut down at the end, the caller's never: others
 * may go on with that. 0 or -errno. Finish accepts zeroed. */
int relay_init(struct relay *relay, struct loop *loop, int from, int to, bool inward,
	void (*ended)(struct relay *relay, int error));
void relay_finish(struct relay *relay);
/* Move what can be moved. */
void relay_pump(struct relay *relay);
/* Nobody writes into from any more: when what is there has been moved, it is over, whoever still has copies.
 */
void relay_drain(struct relay *relay);
/* Nobody wants the rest. */
void relay_stop(struct relay *relay);

#endif
