/*
 * Bytes from one descriptor to another on the loop of a ph that takes part in a VM: nothing waits, and what
 * was read and not yet written is at most one piece. What is carried is the user's or the guest's and is not
 * looked at.
 */
#include "instance/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PIECE (64 * 1024)

static void finish(struct relay *relay, int error) {
	/* The VM shall know now, not when the last copy of the descriptor is closed. */
	if (relay->inward) {
		shutdown(relay->to.source.fd, SHUT_WR);
	} else {
		shutdown(relay->from.source.fd, SHUT_RD);
	}
	stream_close(&relay->from);
	stream_close(&relay->to);
	relay->over = true;
	relay->ended(relay, error);
}

static bool write_pending(struct relay *relay) {
	while (relay->start < relay->end) {
		ssize_t n = stream_write(&relay->to, relay->data + relay->start, relay->end - relay->start);
		if (n < 0) {
			finish(relay, (int)n);
			return false;
		}
		relay->start += (size_t)n;
		if (relay->start < relay->end) {
			stream_wait(&relay->from, false);
			stream_wait(&relay->to, true);
			return false;
		}
	}
	stream_wait(&relay->to, false);
	return true;
}

void relay_pump(struct relay *relay) {
	while (!relay->over && write_pending(relay)) {
		ssize_t n = stream_read(&relay->from, relay->data, PIECE);
		if (n == -EAGAIN && relay->draining) {
			n = 0;
		} else if (n == -EAGAIN && relay->from.kind != STREAM_FILE) {
			stream_wait(&relay->from, true);
			return;
		}
		if (n <= 0) {
			finish(relay, n < 0 ? (int)n : 0);
			return;
		}
		relay->start = 0;
		relay->end = (size_t)n;
	}
}

static void from_ready(struct stream *stream) {
	relay_pump((struct relay *)(void *)((char *)stream - offsetof(struct relay, from)));
}

static void to_ready(struct stream *stream) {
	relay_pump((struct relay *)(void *)((char *)stream - offsetof(struct relay, to)));
}

int relay_init(struct relay *relay, struct loop *loop, int from, int to, bool inward,
	void (*ended)(struct relay *relay, int error)) {
	*relay = (struct relay){.inward = inward, .ended = ended};
	relay->data = malloc(PIECE);
	int ret = relay->data == NULL ? -ENOMEM : stream_open(&relay->from, loop, from, false, from_ready);
	if (ret == 0) {
		ret = stream_open(&relay->to, loop, to, true, to_ready);
	}
	if (ret < 0) {
		relay_finish(relay);
	}
	return ret;
}

void relay_drain(struct relay *relay) {
	relay->draining = true;
	relay_pump(relay);
}

void relay_stop(struct relay *relay) {
	stream_close(&relay->from);
	stream_close(&relay->to);
	relay->over = true;
}

void relay_finish(struct relay *relay) {
	stream_close(&relay->from);
	stream_close(&relay->to);
	free(relay->data);
	relay->data = NULL;
}
