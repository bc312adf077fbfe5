/*
 * Descriptors, by what their messages say they are for: those of the host are no files here, those of
 * programs mean nothing there. The proxy's only thread. Programs' descriptors are hostile: any kind of file.
 */
#include "guest/wayland/hooks.h"
#include "guest/wayland/transfer.h"
#include "ph/fd.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_MAX (4u << 20)

/* ---- tables: the host's memory as a file ---- */

static int copy_to_file(int from, size_t size, const char *name) {
	int file = memfd_create(name, MFD_CLOEXEC);
	void *memory = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, from, 0) : NULL;
	int result = file < 0 || memory == MAP_FAILED ? -errno : 0;
	if (result == 0) {
		result = fd_write_all(file, memory, size);
	}
	if (memory != MAP_FAILED && memory != NULL) {
		munmap(memory, size);
	}
	if (result < 0) {
		fd_close(&file);
	}
	return result < 0 ? result : file;
}

/* Put a file with the same bytes in the place of argument i. */
static void forward_table(struct message *message, unsigned i, uint32_t size, const char *name) {
	int file = size <= TABLE_MAX ? copy_to_file(message->fds[i], size, name) : -EFBIG;
	if (file < 0) {
		client_fail_memory(message->client);
		return;
	}
	close(message->fds[i]);
	message->fds[i] = file;
	message_forward_event(message);
}

void keyboard_keymap(struct message *message) {
	uint32_t size = message->args[0].u == WL_KEYBOARD_KEYMAP_FORMAT_NO_KEYMAP ? 0 : message->args[2].u;
	forward_table(message, 1, size, "keymap");
}

void feedback_format_table(struct message *message) {
	forward_table(message, 0, message->args[1].u, "format-table");
}

/* ---- pipes ---- */

/* The program wants data: a pipe from the host to the descriptor it gave. */
void offer_receive(struct message *message) {
	int pipe = host_create_pipe(true);
	if (pipe < 0 || transfer_take_writer(message->fds[1]) < 0 ||
		transfer_start(message->client, pipe, message->fds[1]) < 0) {
		/* Without data, then: the program sees the end of its pipe. */
		fd_close(&pipe);
		return;
	}
	message->fds[1] = fcntl(pipe, F_DUPFD_CLOEXEC, 0);
	if (message->fds[1] >= 0) {
		message_forward_request(message);
	}
}

/* The program has data: a pipe for it, whose other end leads to the host. Each end is an open file of its
 * own, so the program has no say in the flags of the proxy's. */
void source_send(struct message *message) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return;
	}
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(message->fds[1], F_SETFL, O_NONBLOCK) < 0 ||
		transfer_start(message->client, ends[0], message->fds[1]) < 0) {
		close(ends[0]);
		close(ends[1]);
		return;
	}
	message->fds[1] = ends[1];
	message_forward_event(message);
}

/* ---- buffers of a GPU ---- */

void params_add(struct message *message) {
	if (!host_can_send(message->fds[0])) {
		client_fail(message->client, message->object,
			ZWP_LINUX_BUFFER_PARAMS_V1_ERROR_INVALID_WL_BUFFER,
			"the host cannot use this dma-buf");
		return;
	}
	message_forward_request(message);
}
