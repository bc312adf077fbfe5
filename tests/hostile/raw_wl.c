/* The driver (see raw_wl.h). One thread. */
#define _GNU_SOURCE
#include "raw_wl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 64u
#define STREAMS 64u
#define WITNESS_SIZE (16 * RAW_PAGE)

struct stream {
	uint8_t data[4096];
	size_t len;
};

struct raw_queue raw_in, raw_out;
struct raw_page raw_commands[RAW_WL_SLOTS], raw_answers[RAW_WL_SLOTS];
bool raw_wl_busy[RAW_QUEUE_MAX];
uint32_t raw_wl_features;
uint8_t *raw_window;
uint64_t raw_window_size;
uint32_t raw_announced[64];
unsigned raw_announced_count, raw_hang_ups;
static struct raw_page buffers[BUFFERS];
static struct stream streams[STREAMS];
static bool answered[RAW_WL_SLOTS];
static uint32_t used_len[RAW_WL_SLOTS];
static uint64_t witness_offset;
static unsigned pings;

void raw_wl_open(void) {
	char pci[PATH_MAX], path[PATH_MAX + 16];
	struct stat status;
	raw_take("device", "0x003f", pci);
	snprintf(path, sizeof(path), "%s/resource2", pci);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0) {
		raw_fail(path);
	}
	raw_window_size = (uint64_t)status.st_size;
	raw_window = mmap(NULL, raw_window_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (raw_window == MAP_FAILED) {
		raw_fail(path);
	}
	close(fd);
	raw_common->device_feature_select = 0;
	raw_wl_features = raw_common->device_feature;
	for (unsigned i = 0; i < RAW_WL_SLOTS; i++) {
		raw_commands[i] = raw_page_get();
		raw_answers[i] = raw_page_get();
	}
	for (unsigned i = 0; i < BUFFERS; i++) {
		buffers[i] = raw_page_get();
	}
}

/* ---- what comes ---- */

static void receive_data(const uint8_t *message, uint32_t len) {
	const struct virtio_wl_transfer *transfer = (const void *)message;
	uint32_t start = (uint32_t)sizeof(*transfer) + transfer->vfd_count * 4;
	struct stream *stream = &streams[transfer->vfd_id % STREAMS];
	if (transfer->vfd_id < STREAMS && transfer->vfd_count <= VIRTIO_WL_FDS_MAX && len >= start &&
		len - start <= sizeof(stream->data) - stream->len) {
		memcpy(stream->data + stream->len, message + start, len - start);
		stream->len += len - start;
	}
}

static void receive_message(const uint8_t *message, uint32_t len) {
	const struct virtio_wl_vfd *head = (const void *)message;
	if (head->header.type == VIRTIO_WL_CMD_VFD_RECV && len >= sizeof(struct virtio_wl_transfer)) {
		receive_data(message, len);
	} else if (head->header.type == VIRTIO_WL_CMD_VFD_NEW) {
		raw_announced[raw_announced_count++ % 64] = head->vfd_id;
	} else if (head->header.type == VIRTIO_WL_CMD_VFD_HUP) {
		raw_hang_ups++;
	}
}

static void look(void) {
	const struct timespec pause = {.tv_nsec = 100000};
	bool any = false;
	while (raw_out.seen != raw_out.ring->used_index) {
		uint16_t at = raw_out.seen++ % raw_out.size;
		unsigned head = raw_out.ring->used[at].id, slot = head / 4;
		raw_wl_busy[head % RAW_QUEUE_MAX] = false;
		if (slot < RAW_WL_SLOTS) {
			answered[slot] = true;
			used_len[slot] = raw_out.ring->used[at].len;
		}
		any = true;
	}
	while (raw_in.seen != raw_in.ring->used_index) {
		uint16_t at = raw_in.seen++ % raw_in.size;
		unsigned index = raw_in.ring->used[at].id % BUFFERS;
		receive_message(buffers[index].at, raw_in.ring->used[at].len);
		raw_offer(&raw_in, (uint16_t)index);
		any = true;
	}
	if (!any) {
		nanosleep(&pause, NULL);
	}
}

/* ---- commands ---- */

static void prepare_with_room(unsigned slot, const void *command, size_t size, uint32_t room) {
	unsigned first = slot * 4;
	memset(raw_answers[slot].at, 0xee, 64);
	memcpy(raw_commands[slot].at, command, size);
	answered[slot] = false;
	raw_set(&raw_out, first, raw_commands[slot].physical, (uint32_t)size, room > 0 ? RAW_NEXT : 0,
		first + 1);
	raw_set(&raw_out, first + 1, raw_answers[slot].physical, room, RAW_WRITE, 0);
}

static void post_with_room(unsigned slot, const void *command, size_t size, uint32_t room) {
	prepare_with_room(slot, command, size, room);
	raw_offer(&raw_out, (uint16_t)(slot * 4));
}

void raw_wl_prepare(unsigned slot, const void *command, size_t size) {
	prepare_with_room(slot, command, size, 64);
}

void raw_wl_post(unsigned slot, const void *command, size_t size) {
	post_with_room(slot, command, size, 64);
}

uint32_t raw_wl_answer(unsigned slot) {
	look();
	return answered[slot] ? *(uint32_t *)(void *)raw_answers[slot].at : RAW_WL_NO_ANSWER;
}

void raw_wl_post_long(unsigned slot, uint32_t id, uint64_t address, uint32_t len) {
	const struct virtio_wl_transfer head = {.header.type = VIRTIO_WL_CMD_VFD_SEND, .vfd_id = id};
	unsigned first = slot * 4;
	memcpy(raw_commands[slot].at, &head, sizeof(head));
	answered[slot] = false;
	raw_set(&raw_out, first, raw_commands[slot].physical, sizeof(head), RAW_NEXT, first + 1);
	raw_set(&raw_out, first + 1, address, len, RAW_NEXT, first + 2);
	raw_set(&raw_out, first + 2, raw_answers[slot].physical, 64, RAW_WRITE, 0);
	raw_offer(&raw_out, (uint16_t)first);
}

/* A device that works answers at once; one that does not has half a minute. */
uint32_t raw_wl_await(unsigned slot) {
	time_t start = time(NULL);
	while (!answered[slot] && time(NULL) - start < 30) {
		look();
	}
	return raw_wl_answer(slot);
}

uint32_t raw_wl_call(const void *command, size_t size) {
	raw_wl_post(0, command, size);
	return raw_wl_await(0);
}

uint32_t raw_wl_call_with_room(const void *command, size_t size, uint32_t room) {
	post_with_room(0, command, size, room);
	raw_wl_await(0);
	return answered[0] ? used_len[0] : RAW_WL_NO_ANSWER;
}

uint32_t raw_wl_new(uint32_t id, uint32_t size) {
	const struct virtio_wl_vfd_new command = {
		.header.type = VIRTIO_WL_CMD_VFD_NEW, .vfd_id = id, .size = size};
	return raw_wl_call(&command, sizeof(command));
}

uint32_t raw_wl_close(uint32_t id) {
	const struct virtio_wl_vfd command = {.header.type = VIRTIO_WL_CMD_VFD_CLOSE, .vfd_id = id};
	return raw_wl_call(&command, sizeof(command));
}

uint32_t raw_wl_send(uint32_t id, const void *data, size_t size) {
	struct {
		struct virtio_wl_transfer transfer;
		uint8_t data[1024];
	} command = {.transfer = {.header.type = VIRTIO_WL_CMD_VFD_SEND, .vfd_id = id}};
	memcpy(command.data, data, size);
	return raw_wl_call(&command, sizeof(command.transfer) + size);
}

uint32_t raw_wl_ask(uint32_t id, const char *line) {
	const struct virtio_wl_vfd_new command = {
		.header.type = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, .vfd_id = id, .name = "test"};
	uint32_t type = raw_wl_call(&command, sizeof(command));
	streams[id % STREAMS].len = 0;
	return type == VIRTIO_WL_RESP_VFD_NEW ? raw_wl_send(id, line, strlen(line)) : type;
}

bool raw_wl_hears(uint32_t id, const char *text) {
	struct stream *stream = &streams[id % STREAMS];
	size_t len = strlen(text);
	time_t start = time(NULL);
	while (stream->len < len && time(NULL) - start < 30) {
		look();
	}
	bool same = stream->len >= len && memcmp(stream->data, text, len) == 0;
	len = stream->len < len ? stream->len : len;
	memmove(stream->data, stream->data + len, stream->len - len);
	stream->len -= len;
	return same;
}

/* ---- the witness ---- */

bool raw_wl_lives(void) {
	char text[32];
	snprintf(text, sizeof(text), "ping %u\n", ++pings);
	if (raw_wl_send(RAW_WL_ECHO, text, strlen(text)) != VIRTIO_WL_RESP_OK ||
		!raw_wl_hears(RAW_WL_ECHO, text)) {
		puts("# the witness does not answer");
		return false;
	}
	for (unsigned i = 0; i < WITNESS_SIZE; i += 8) {
		uint64_t value;
		memcpy(&value, raw_window + witness_offset + i, 8);
		if (value != i * UINT64_C(0x0101010101)) {
			printf("# the witness's memory has changed at %#x\n", i);
			return false;
		}
	}
	return true;
}

void raw_wl_make_witness(void) {
	struct virtio_wl_vfd_new answer;
	if (raw_wl_ask(RAW_WL_ECHO, "echo\n") != VIRTIO_WL_RESP_OK ||
		raw_wl_new(RAW_WL_MEMORY, WITNESS_SIZE) != VIRTIO_WL_RESP_VFD_NEW) {
		raw_fail("the witness");
	}
	memcpy(&answer, raw_answers[0].at, sizeof(answer));
	witness_offset = answer.pfn * RAW_PAGE;
	for (unsigned i = 0; i < WITNESS_SIZE; i += 8) {
		uint64_t value = i * UINT64_C(0x0101010101);
		memcpy(raw_window + witness_offset + i, &value, 8);
	}
}

bool raw_wl_is_witness(uint64_t offset) {
	return offset + RAW_PAGE > witness_offset && offset < witness_offset + WITNESS_SIZE;
}

void raw_wl_post_buffers(void) {
	for (unsigned i = 0; i < BUFFERS; i++) {
		raw_set(&raw_in, i, buffers[i].physical, RAW_PAGE, RAW_WRITE, 0);
		raw_offer(&raw_in, (uint16_t)i);
	}
}

void raw_wl_start_bare(uint32_t features) {
	raw_reset();
	memset(answered, 0, sizeof(answered));
	memset(raw_wl_busy, 0, sizeof(raw_wl_busy));
	memset(streams, 0, sizeof(streams));
	raw_announced_count = raw_hang_ups = 0;
	if (!raw_negotiate(features)) {
		raw_fail("features");
	}
	raw_enable(&raw_in, VIRTIO_WL_QUEUE_IN, BUFFERS);
	raw_enable(&raw_out, VIRTIO_WL_QUEUE_OUT, RAW_QUEUE_MAX);
	if (!raw_go()) {
		raw_fail("the device does not start");
	}
}

void raw_wl_start(uint32_t features) {
	raw_wl_start_bare(features);
	raw_wl_post_buffers();
	raw_wl_make_witness();
}
