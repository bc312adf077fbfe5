/*
 * Fuzz the guest's end of the control port: what comes is cut into whole frames, however it is cut on its
 * way, and their bodies are looked at as init's agent does. Input: steps of a byte that says how many bytes
 * follow, and those.
 */
#include "input.h"

#include "guest/init/port.h"
#include "ph/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t taken, given;

static int handle(void *owner, const struct guest_frame *frame, const uint8_t *payload) {
	struct record_reader reader = {.next = payload, .left = frame->length};
	struct record record;
	require(owner == &taken && frame->length <= GUEST_FRAME_MAX);
	taken += sizeof(*frame) + frame->length;
	require(taken <= given);
	while (frame->type == GUEST_FRAME_EXEC && record_next(&reader, &record) > 0) {
		require(record.size <= frame->length);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct port port;
	struct input input = {.next = data, .left = size};
	int ends[2], ret = 0;
	taken = given = 0;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	port_init(&port);
	port.fd = ends[0];
	while (input.left > 0 && ret == 0) {
		size_t len = take(&input, 1);
		len = len < input.left ? len : input.left;
		require(len == 0 || send(ends[1], input.next, len, MSG_NOSIGNAL) == (ssize_t)len);
		input.next += len;
		input.left -= len;
		given += len;
		ret = port_receive(&port, handle, &taken);
		require(ret == 0 || ret == -EPROTO);
		if (len % 7 == 0) {
			port_send_u32(&port, GUEST_FRAME_EXIT, 1, (uint32_t)len);
			port_flush(&port);
		}
	}
	port_finish(&port);
	close(ends[1]);
	return 0;
}
