/*
 * virtio-wl for unit tests: the device with the monitor's own window behind it, a driver that posts buffers
 * and sends commands, and a server on a plain unix socket for the other end.
 */
#ifndef TEST_WL_FIXTURE_H
#define TEST_WL_FIXTURE_H

#include "driver.h"
#include "monitor/window.h"

#include "ph/connector.h"
#include "ph/display.h"
#include "ph/wl_wire.h"

#define F(name) (1ULL << VIRTIO_WL_F_##name)
#define WL_ALL_FEATURES \
	(F(TRANS_FLAGS) | F(SEND_FENCES) | F(USE_SHMEM) | F(NO_ANSWER) | F(MAP_INFO) | F(RECV_CREDIT))
#define WL_PAGE 4096u
#define WL_COMMAND_MAX (2u << 20)

struct wl_received {
	uint32_t len; /* as the device said */
	union {
		struct virtio_wl_header header;
		struct virtio_wl_vfd vfd;
		struct virtio_wl_vfd_new news;
		struct virtio_wl_transfer transfer;
		uint8_t bytes[VIRTIO_WL_IN_BUFFER_SIZE];
	};
};

struct wl_fixture {
	struct driver driver;
	struct virtio_device *device;
	struct connector connector;
	int door;              /* to it */
	int house, house_door; /* where the other ends of connections of the name "house" arrive */
	struct window window;
	char folder[32];
	int listener, other_listener; /* of the default context and of the one named "other" */
	gpa_t buffers;                /* of the in queue, by descriptor */
	gpa_t command;                /* where the next command goes */
	unsigned commands;
	struct virtio_wl_vfd_new reply; /* to the last command */
	uint32_t reply_len;
};

/* The device started with these features and all buffers posted. */
struct wl_fixture *wl_set_up(uint64_t features);
void wl_tear_down(struct wl_fixture *f);
/* Reset the device and start it again with count buffers. */
void wl_restart(struct wl_fixture *f, uint64_t features, unsigned count);
void wl_post_buffers(struct wl_fixture *f, unsigned count);

/* Put a command into the out queue, with room bytes for its answer in the same memory, and notify; where it
 * lies, until the fourth one after it. */
gpa_t wl_submit(struct wl_fixture *f, const void *command, size_t len, size_t room);
/* The same, and wait for the answer, which is in f->reply then: its type. 0: none came. */
uint32_t wl_execute(struct wl_fixture *f, const void *command, size_t len, size_t room);

uint32_t wl_new(struct wl_fixture *f, uint32_t type, uint32_t id, uint32_t flags, uint32_t size);
uint32_t wl_new_named(struct wl_fixture *f, uint32_t id, const char *name);
uint32_t wl_close(struct wl_fixture *f, uint32_t id);
uint32_t wl_send(
	struct wl_fixture *f, uint32_t id, const uint32_t *ids, uint32_t count, const void *data, size_t len);
/* VFD_SEND without an answer of its own: what a command for it looks like. */
size_t wl_build_send(
	void *command, uint32_t id, const uint32_t *ids, uint32_t count, const void *data, size_t len);

/* The next message to the guest, its buffer posted again. False: none came. */
bool wl_receive(struct wl_fixture *f, struct wl_received *message);
/* Let the device do all that it can without anything happening: it and its window have no clock. */
void wl_settle(struct wl_fixture *f);
/* Whether nothing comes unless something happens. */
bool wl_silent(struct wl_fixture *f);
/* The answer to any one command, if it is there. */
bool wl_answered(struct wl_fixture *f, uint32_t *len);

/* A new context of the default socket with this id; the server's end of it. */
int wl_connect(struct wl_fixture *f, uint32_t id);
/* The same with the filter between. */
int wl_connect_filtered(struct wl_fixture *f, uint32_t id);
/* The server sends and receives with descriptors; the number received in *count. */
void wl_server_send(int fd, const void *data, size_t len, const int *fds, unsigned count);
ssize_t wl_server_receive(int fd, void *data, size_t len, int *fds, unsigned *count);
/* Let the device run until fd is readable. */
bool wl_run_until_readable(struct wl_fixture *f, int fd);
/* What the guest sees of a vfd's memory. */
uint8_t *wl_memory(struct wl_fixture *f, uint64_t pfn);
/* Whether this process may have more descriptors than vfds can take. */
bool wl_has_descriptors(void);
/* Open descriptors of this process. */
unsigned wl_count_fds(void);

#endif
