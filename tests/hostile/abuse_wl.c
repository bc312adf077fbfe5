/*
 * What a guest that has taken over its own kernel can do to virtio-wl: commands that are wrong in every way
 * there is, rings that are none, the window where nothing is. After each, the witness (raw_wl.h) goes on.
 * Runs in the guest as root; prints TAP.
 *
 * usage: abuse_wl, which says "# ready" and waits for a line before, says "# done" and waits for one
 * afterwards; abuse_wl bystander: a program in another VM, which has a connection and memory from "# ready"
 * to the line
 */
#define _GNU_SOURCE
#include "raw_wl.h"
#include "wl_client.h"

#include <pthread.h>
#include <stdarg.h>
#include <time.h>

#define FEATURES \
	(1u << VIRTIO_WL_F_TRANS_FLAGS | 1u << VIRTIO_WL_F_SEND_FENCES | 1u << VIRTIO_WL_F_USE_SHMEM | \
		1u << VIRTIO_WL_F_MAP_INFO | 1u << VIRTIO_WL_F_RECV_CREDIT)
#define INDIRECT_DESC (1u << 28)

#define OK VIRTIO_WL_RESP_OK
#define NEW VIRTIO_WL_RESP_VFD_NEW
#define ERR VIRTIO_WL_RESP_ERR
#define OUT_OF_MEMORY VIRTIO_WL_RESP_OUT_OF_MEMORY
#define INVALID_ID VIRTIO_WL_RESP_INVALID_ID
#define INVALID_TYPE VIRTIO_WL_RESP_INVALID_TYPE
#define INVALID_FLAGS VIRTIO_WL_RESP_INVALID_FLAGS
#define INVALID_CMD VIRTIO_WL_RESP_INVALID_CMD

#define lived(good, what) check_at(__LINE__, (good)&raw_wl_lives(), (what))

/* Any command: the words behind the type and the flags. */
static uint32_t call(uint32_t type, unsigned words, ...) {
	uint32_t command[16] = {type};
	va_list args;
	va_start(args, words);
	for (unsigned i = 0; i < words; i++) {
		command[2 + i] = va_arg(args, uint32_t);
	}
	va_end(args);
	return raw_wl_call(command, 4 * (2 + words));
}

static bool answers(uint32_t type, uint32_t wanted) {
	if (type != wanted) {
		printf("# answer %#x, not %#x\n", type, wanted);
	}
	return type == wanted;
}

static uint32_t new_pipe(uint32_t id, uint32_t flags) {
	return call(VIRTIO_WL_CMD_VFD_NEW_PIPE, 2, id, flags);
}

/* ---- ids ---- */

static bool refuses_id(uint32_t id) {
	const struct virtio_wl_vfd_new named = {
		.header.type = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, .vfd_id = id, .name = "test"};
	return answers(raw_wl_new(id, 4096), INVALID_ID) &
	       answers(call(VIRTIO_WL_CMD_VFD_NEW_CTX, 1, id), INVALID_ID) &
	       answers(raw_wl_call(&named, sizeof(named)), INVALID_ID) &
	       answers(new_pipe(id, VIRTIO_WL_VFD_READ), INVALID_ID);
}

static void test_ids(void) {
	lived(refuses_id(0), "id 0");
	lived(refuses_id(0x40000000) & refuses_id(0x40000001) & refuses_id(0x7fffffff), "ids with bit 30");
	lived(refuses_id(0x80000000) & refuses_id(0x80000001), "ids with bit 31");
	lived(refuses_id(0xc0000000) & refuses_id(0xffffffff), "ids with both");
	lived(refuses_id(RAW_WL_ECHO) & refuses_id(RAW_WL_MEMORY), "ids that are taken");
	lived(answers(raw_wl_close(3), INVALID_ID) & answers(raw_wl_close(0), INVALID_ID) &
			answers(raw_wl_close(0x40000000), INVALID_ID) &
			answers(raw_wl_close(0xffffffff), INVALID_ID),
		"CLOSE of what is not there");
	lived(answers(raw_wl_new(3, 4096), NEW) & answers(raw_wl_close(3), OK) &
			answers(raw_wl_close(3), INVALID_ID) & answers(raw_wl_new(3, 4096), NEW) &
			answers(raw_wl_close(3), OK),
		"CLOSE twice, and the id again");
}

/* The host counts its ids: whoever guesses the next has nothing. */
static void test_host_ids(void) {
	uint32_t asked = raw_wl_ask(4, "give 3 1\n");
	bool came = answers(asked, OK) && raw_wl_hears(4, "0123456789") && raw_announced_count == 3;
	uint32_t next = raw_announced[2] + 1;
	lived(came & answers(raw_wl_close(next), INVALID_ID) &
			answers(raw_wl_send(next, "x", 1), INVALID_ID) &
			answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, 1, next, 0x78), INVALID_ID) &
			refuses_id(next),
		"the host's next id is nobody's");
	lived(refuses_id(raw_announced[0]), "an id that the host has chosen is taken");
	lived(answers(raw_wl_close(raw_announced[0]), OK) &
			answers(raw_wl_close(raw_announced[0]), INVALID_ID) &
			answers(raw_wl_close(raw_announced[1]), OK) &
			answers(raw_wl_close(raw_announced[2]), OK) & answers(raw_wl_close(4), OK),
		"what the host gave is given back, once");
}

/* ---- commands ---- */

static void test_unknown(void) {
	static const uint32_t types[] = {0, 1, 0xff, 0x10b, 0x17f, 0x182, 0x200, 0x1000, 0x1001, 0x1100,
		0x10100, 0x80000100, 0xffffffff};
	bool good = true;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		good &= answers(call(types[i], 4, 5u, 0u, 0u, 0u), INVALID_CMD);
	}
	/* Those that only the host sends. */
	good &= answers(call(VIRTIO_WL_CMD_VFD_RECV, 2, RAW_WL_ECHO, 0u), INVALID_CMD);
	good &= answers(call(VIRTIO_WL_CMD_VFD_HUP, 1, RAW_WL_ECHO), INVALID_CMD);
	lived(good, "unknown commands");
}

static const struct {
	uint32_t type, minimum;
} lengths[] = {
	{VIRTIO_WL_CMD_VFD_NEW, 28},
	{VIRTIO_WL_CMD_VFD_CLOSE, 12},
	{VIRTIO_WL_CMD_VFD_SEND, 16},
	{VIRTIO_WL_CMD_VFD_NEW_CTX, 12},
	{VIRTIO_WL_CMD_VFD_NEW_PIPE, 16},
	{VIRTIO_WL_CMD_VFD_NEW_DMABUF, 40},
	{VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 16},
	{VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, 16},
	{VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, 60},
	{VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES, 16},
	{VIRTIO_WL_CMD_VFD_CREDIT, 16},
};

static void test_lengths(void) {
	bool good = true;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (uint32_t len = 1; len < lengths[i].minimum; len++) {
			const uint32_t command[16] = {lengths[i].type, 0, 5, 1, 0, 0, 4096};
			good &= answers(raw_wl_call(command, len), INVALID_CMD);
		}
	}
	lived(good, "commands cut short at every byte");
	static const uint32_t longer[1024] = {VIRTIO_WL_CMD_VFD_NEW, 0, 5, 0, 0, 0, 4096};
	lived(answers(raw_wl_call(longer, sizeof(longer)), NEW), "a command of a page");
	static const uint32_t close[1024] = {VIRTIO_WL_CMD_VFD_CLOSE, 0, 5};
	lived(answers(raw_wl_call(close, sizeof(close)), OK), "and another");
}

/* Room for the answer: none, too little, too much. */
static void test_room(void) {
	const uint32_t new[16] = {VIRTIO_WL_CMD_VFD_NEW, 0, 5, 0, 0, 0, 4096};
	const uint32_t close[3] = {VIRTIO_WL_CMD_VFD_CLOSE, 0, 5};
	static const uint32_t rooms[] = {0, 1, 3, 4, 7, 63, 64, 65, 4096};
	bool good = true;
	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		uint32_t room = rooms[i];
		good &= raw_wl_call_with_room(new, sizeof(new), room) == (room < 64 ? room : 64);
		good &= raw_wl_call_with_room(close, sizeof(close), room) == (room < 4 ? room : 4);
		good &= raw_answers[0].at[room < 4 ? room : 4] == 0xee;
	}
	lived(good, "answers fit their room to the byte, and are executed without any");
}

/* All that is in the ring is served, whatever number of notifications there was. */
static void test_one_kick(void) {
	const uint32_t command[4] = {VIRTIO_WL_CMD_VFD_CLOSE, 0, 99};
	volatile struct raw_ring *ring = raw_out.ring;
	bool good = true;
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		raw_wl_prepare(slot, command, 12);
		ring->avail[(uint16_t)(ring->avail_index + slot - 1) % raw_out.size] = (uint16_t)(slot * 4);
	}
	ring->avail_index = (uint16_t)(ring->avail_index + RAW_WL_SLOTS - 1);
	raw_kick(&raw_out);
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		good &= answers(raw_wl_await(slot), INVALID_ID);
	}
	lived(good, "47 commands with one notification");
}

/* Sizes of memory. */
static void test_sizes(void) {
	bool good = answers(raw_wl_new(5, 0), ERR) & answers(raw_wl_new(5, 0xffffffff), OUT_OF_MEMORY) &
		    answers(raw_wl_new(5, 0xfffff000), OUT_OF_MEMORY) &
		    answers(raw_wl_new(5, 0x40000000), OUT_OF_MEMORY);
	lived(good, "memory of no size, and larger than the window");
	lived(answers(call(VIRTIO_WL_CMD_VFD_NEW_DMABUF, 8, 5u, 0u, 0u, 0u, 0u, ~0u, ~0u, ~0u), INVALID_CMD) &
			answers(call(VIRTIO_WL_CMD_VFD_NEW_PIPE, 2, 5u, 0u), INVALID_FLAGS) &
			answers(call(VIRTIO_WL_CMD_VFD_NEW_PIPE, 2, 5u, 3u), INVALID_FLAGS) &
			answers(call(VIRTIO_WL_CMD_VFD_NEW_PIPE, 2, 5u, ~0u), INVALID_FLAGS) &
			answers(call(VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 2, RAW_WL_MEMORY, 1u), INVALID_TYPE) &
			answers(call(VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 2, RAW_WL_ECHO, ~0u), INVALID_TYPE) &
			answers(call(VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 2, 99u, 1u), INVALID_ID),
		"dma-bufs without a card, pipes without a direction, SYNC of what is no dma-buf");
	lived(answers(call(VIRTIO_WL_CMD_VFD_CREDIT, 2, RAW_WL_ECHO, ~0u), INVALID_FLAGS) &
			answers(call(VIRTIO_WL_CMD_VFD_CREDIT, 2, RAW_WL_ECHO, 65u), INVALID_FLAGS) &
			answers(call(VIRTIO_WL_CMD_VFD_CREDIT, 2, 99u, 1u), INVALID_ID),
		"credit beyond what was used");
}

static uint32_t new_pages(uint32_t count, uint64_t address, uint64_t length) {
	return call(VIRTIO_WL_CMD_VFD_NEW_GUEST_PAGES, 6, 5u, count, (uint32_t)address,
		(uint32_t)(address >> 32), (uint32_t)length, (uint32_t)(length >> 32));
}

static void test_guest_pages(void) {
	uint64_t page = raw_commands[1].physical;
	if ((raw_wl_features >> VIRTIO_WL_F_GUEST_PAGES & 1) == 0) {
		check(true, "guest pages # skip this host has no /dev/udmabuf");
		return;
	}
	lived(answers(new_pages(0, page, 4096), INVALID_CMD) &
			answers(new_pages(2, page, 4096), INVALID_CMD) &
			answers(new_pages(~0u, page, 4096), INVALID_CMD) &
			answers(new_pages(1u << 28, page, 4096), INVALID_CMD),
		"counts of ranges that are not there");
	lived(answers(new_pages(1, page + 1, 4096), ERR) & answers(new_pages(1, page, 4095), ERR) &
			answers(new_pages(1, page, 0), ERR),
		"ranges that are not whole pages");
	lived(answers(new_pages(1, UINT64_C(1) << 52, 4096), ERR) &
			answers(new_pages(1, 0xc0000000, 4096), ERR) &
			answers(new_pages(1, UINT64_MAX - 4095, 4096), ERR) &
			answers(new_pages(1, UINT64_MAX - 4095, 8192), ERR) &
			answers(new_pages(1, page, UINT64_MAX - 4095), OUT_OF_MEMORY) &
			answers(new_pages(1, page, UINT64_C(1) << 40), OUT_OF_MEMORY),
		"ranges that are not RAM, or all there is");
	lived(answers(new_pages(1, page, 4096), NEW) & answers(raw_wl_close(5), OK), "a page that is");
}

/* ---- sending ---- */

static void test_counts(void) {
	static const uint32_t counts[] = {
		0xffffffff, 0x80000000, 0x40000000, 0x3fffffff, 0x20000000, 0x10000000, 1000, 29};
	bool good = true;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		good &= answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, counts[i], RAW_WL_MEMORY, 0u),
			INVALID_CMD);
		good &= answers(call(VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, 6, RAW_WL_ECHO, counts[i], 0u, 0u,
					RAW_WL_MEMORY, 0u),
			INVALID_CMD);
	}
	lived(good, "2^32-1 vfds, and other counts whose sizes wrap around or are too large");
	good = true;
	for (uint32_t count = 3; count <= 28; count++) {
		good &= answers(
			call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, count, RAW_WL_MEMORY, RAW_WL_MEMORY),
			INVALID_CMD);
	}
	lived(good, "more vfds than the command is long");
}

static void test_wrong_sends(void) {
	bool good = answers(new_pipe(5, VIRTIO_WL_VFD_READ), NEW) &
		    answers(new_pipe(6, VIRTIO_WL_VFD_WRITE), NEW);
	good &= answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, 1u, RAW_WL_ECHO, 0u), INVALID_TYPE) &
		answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, 1u, 99u, 0u), INVALID_ID) &
		answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, RAW_WL_ECHO, 1u, 0u, 0u), INVALID_ID);
	lived(good, "connections and strangers cannot be sent");
	good = answers(raw_wl_send(RAW_WL_MEMORY, "x", 1), INVALID_TYPE) &
	       answers(raw_wl_send(5, "x", 1), INVALID_TYPE) &
	       answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, 6u, 1u, RAW_WL_MEMORY, 0u), INVALID_TYPE) &
	       answers(raw_wl_send(99, "x", 1), INVALID_ID) & answers(raw_wl_send(0, "x", 1), INVALID_ID) &
	       answers(call(VIRTIO_WL_CMD_VFD_SEND, 3, RAW_WL_ECHO, 1u, RAW_WL_MEMORY), INVALID_TYPE);
	lived(good,
		"memory and the wrong end of a pipe take nothing, pipes no vfds, and no bytes carry none");
	/* The far end is let go with the command that it went with. */
	good = answers(raw_wl_ask(7, "sink 1000000 0\n"), OK) &
	       answers(call(VIRTIO_WL_CMD_VFD_SEND, 5, 7u, 2u, 5u, 5u, 0u), OK) &
	       answers(call(VIRTIO_WL_CMD_VFD_SEND, 4, 7u, 1u, 5u, 0u), INVALID_TYPE);
	lived(good, "a pipe is sent with one command");
	lived(answers(raw_wl_close(5), OK) & answers(raw_wl_close(6), OK) & answers(raw_wl_close(7), OK),
		"all is closed");
}

static uint32_t send_foreign(bool fences, uint32_t kind, uint32_t id) {
	return fences ? call(VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, 7, 7u, 1u, kind, 0u, id, 0u, 0x78u)
		      : call(VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, 5, 7u, 1u, kind, id, 0x78u);
}

static void test_foreign(bool fences) {
	static const uint32_t kinds[] = {VIRTIO_WL_FOREIGN_VIRTGPU, VIRTIO_WL_FOREIGN_VIRTGPU_FENCE,
		VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE, 4, 0x100, 0x80000000, 0xffffffff};
	bool good = answers(raw_wl_ask(7, "sink 1000000 0\n"), OK);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		good &= answers(send_foreign(fences, kinds[i], RAW_WL_MEMORY), INVALID_TYPE);
		good &= answers(send_foreign(fences, kinds[i], 0xffffffff), INVALID_TYPE);
	}
	lived(good, "objects and fences of a GPU that there is none of");
	lived(answers(send_foreign(fences, VIRTIO_WL_FOREIGN_LOCAL, 99), INVALID_ID) &
			answers(send_foreign(fences, VIRTIO_WL_FOREIGN_LOCAL, RAW_WL_ECHO), INVALID_TYPE) &
			answers(send_foreign(fences, VIRTIO_WL_FOREIGN_LOCAL, 0xffffffff), INVALID_ID) &
			answers(send_foreign(fences, VIRTIO_WL_FOREIGN_LOCAL, RAW_WL_MEMORY), OK) &
			answers(raw_wl_close(7), OK),
		"as for local ones, only what is there goes");
}

/* ---- receivers that stall ---- */

#define PIECE (256u << 10)
#define ANY_RAM (16u << 20) /* an address: what lies there is of no interest */

/* Connection 8 takes nothing, and all slots but the first send to it. How many wait; *refused are not. */
static unsigned stall(unsigned *refused) {
	unsigned held = 0;
	*refused = 0;
	if (raw_wl_ask(8, "stall 0 0\n") != OK || !raw_wl_hears(8, "stalled\n")) {
		return 0;
	}
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		raw_wl_post_long(slot, 8, ANY_RAM, PIECE);
	}
	raw_wl_lives(); /* commands are looked at in their order */
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		uint32_t type = raw_wl_answer(slot);
		held += type == RAW_WL_NO_ANSWER;
		*refused += type == OUT_OF_MEMORY;
	}
	return held;
}

static bool release(void) {
	return answers(raw_wl_ask(9, "release\n"), OK) & raw_wl_hears(9, "released\n") &
	       answers(raw_wl_close(9), OK);
}

/* Until the server has no other connections than the witness's and the bystander's. */
static bool all_ended(void) {
	const struct timespec pause = {.tv_nsec = 10000000};
	for (unsigned i = 0; i < 300; i++) {
		bool alone = raw_wl_ask(9, "count\n") == OK && raw_wl_hears(9, "2\n");
		if (raw_wl_close(9) != OK || alone) {
			return alone;
		}
		nanosleep(&pause, NULL);
	}
	return false;
}

static void test_closed_while_sending(void) {
	unsigned refused, told = 0, held = stall(&refused);
	lived((held == 16) & (refused > 0),
		"16 commands wait for a receiver that stalls, others are refused");
	bool waits[RAW_WL_SLOTS];
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		waits[slot] = raw_wl_answer(slot) == RAW_WL_NO_ANSWER;
	}
	bool closed = answers(raw_wl_close(8), OK);
	for (unsigned slot = 1; slot < RAW_WL_SLOTS; slot++) {
		told += waits[slot] && raw_wl_await(slot) == INVALID_ID;
	}
	lived(closed & (told == held), "closed while it sends: each of them is told");
	lived(answers(raw_wl_send(8, "x", 1), INVALID_ID), "its id is nobody's");
	lived(release() & all_ended(), "and it ends when what was taken has gone");
}

static void test_reset_while_sending(void) {
	unsigned refused, held = stall(&refused);
	bool made = held == 16;
	for (uint32_t id = 100; id < 300; id++) {
		made &= (id % 2 == 0 ? raw_wl_new(id, 65536) : new_pipe(id, VIRTIO_WL_VFD_READ)) == NEW;
	}
	raw_wl_start(FEATURES);
	lived(made & release() & all_ended(), "a reset in the middle of it: nothing is left");
}

/* A command to connection 20 + index in a table of its own, which takes one descriptor of the ring. */
static void make_table(unsigned index) {
	struct raw_desc table[2] = {
		{raw_commands[2].physical + index * 16, 16, RAW_NEXT, 1}, {ANY_RAM, PIECE, 0, 0}};
	const struct virtio_wl_transfer head = {.header.type = VIRTIO_WL_CMD_VFD_SEND, .vfd_id = 20 + index};
	memcpy(raw_commands[1].at + index * sizeof(table), table, sizeof(table));
	memcpy(raw_commands[2].at + index * sizeof(head), &head, sizeof(head));
}

static unsigned count_busy(void) {
	unsigned busy = 0;
	for (unsigned head = 0; head < RAW_QUEUE_MAX; head++) {
		busy += raw_wl_busy[head];
	}
	return busy;
}

static void flood(unsigned index) {
	unsigned left = 30;
	for (unsigned head = 4; head < RAW_QUEUE_MAX && left > 0; head++) {
		if (!raw_wl_busy[head]) {
			raw_set(&raw_out, head, raw_commands[1].physical + index * 32, 32, RAW_INDIRECT, 0);
			raw_wl_busy[head] = true;
			raw_offer(&raw_out, (uint16_t)head);
			left--;
		}
	}
}

/* So many receivers stall that nearly the whole queue waits for them. */
static void test_all_stalled(void) {
	const unsigned connections = 16;
	raw_wl_start(FEATURES | INDIRECT_DESC);
	bool good = true;
	for (unsigned i = 0; i < connections; i++) {
		make_table(i);
		good &= answers(raw_wl_ask(20 + i, "stall 0 0\n"), OK) & raw_wl_hears(20 + i, "stalled\n");
		flood(i);
		good &= raw_wl_lives();
	}
	lived(good & (count_busy() == 224),
		"224 of 256 commands wait for receivers that stall, others are served");
	for (unsigned i = 0; i < connections; i++) {
		good &= answers(raw_wl_close(20 + i), OK);
	}
	lived(good & (count_busy() == 0) & release() & all_ended(), "all are told when these are closed");
}

/* ---- quotas ---- */

/* As many as there can be beside the witness; each is closed again. */
static unsigned exhaust(uint32_t (*make)(uint32_t id)) {
	uint32_t id = 10, type;
	while ((type = make(id)) == NEW && id < 2000) {
		id++;
	}
	bool good = answers(type, OUT_OF_MEMORY) & raw_wl_lives();
	for (uint32_t k = 10; k < id; k++) {
		good &= raw_wl_close(k) == OK;
	}
	return good ? id - 10 : 0;
}

static uint32_t make_page(uint32_t id) {
	return raw_wl_new(id, 4096);
}

static uint32_t make_large(uint32_t id) {
	return raw_wl_new(id, 128u << 20);
}

static uint32_t make_pipe(uint32_t id) {
	return new_pipe(id, VIRTIO_WL_VFD_WRITE);
}

static uint32_t make_connection(uint32_t id) {
	const struct virtio_wl_vfd_new command = {
		.header.type = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, .vfd_id = id, .name = "test"};
	return raw_wl_call(&command, sizeof(command));
}

static void test_quotas(void) {
	for (unsigned i = 0; i < 2; i++) {
		lived(exhaust(make_page) == 1022, "1024 vfds");
		lived(exhaust(make_large) == raw_window_size / (128u << 20) - 1,
			"as much memory as the window has");
		lived(exhaust(make_pipe) == 256, "256 pipes");
		lived((exhaust(make_connection) == 127) & all_ended(), "128 connections");
	}
}

/* ---- the window ---- */

static void test_holes(void) {
	struct virtio_wl_vfd_new answer;
	for (uint64_t at = 0; at < raw_window_size; at += (1u << 20) + RAW_PAGE) {
		if (!raw_wl_is_witness(at)) {
			raw_window[at] = 0xa5;
		}
	}
	raw_window[raw_window_size - 1] = 0xa5;
	lived(true, "holes of the window are written to");
	bool good = answers(raw_wl_new(5, 1 << 20), NEW);
	memcpy(&answer, raw_answers[0].at, sizeof(answer));
	uint8_t *memory = raw_window + answer.pfn * RAW_PAGE;
	memset(memory, 0x5a, 1 << 20);
	good &= answers(raw_wl_close(5), OK);
	memset(memory, 0x77, 1 << 20);
	lived(good, "memory that was closed is written to");
	good = answers(raw_wl_new(5, 1 << 20), NEW);
	memcpy(&answer, raw_answers[0].at, sizeof(answer));
	memory = raw_window + answer.pfn * RAW_PAGE;
	for (unsigned i = 0; i < 1 << 20; i++) {
		good &= memory[i] == 0;
	}
	lived(good & answers(raw_wl_close(5), OK), "new memory is clean all the same");
	raw_wl_start_bare(FEATURES);
	good = answers(raw_wl_new(5, (uint32_t)raw_window_size), NEW) & answers(raw_wl_close(5), OK);
	raw_wl_start(FEATURES);
	lived(good, "and the whole window can be had in one piece");
}

/* ---- rings ---- */

/* The device has noticed; after a reset it works. */
static void breaks(const char *what) {
	bool broken = raw_broken();
	for (unsigned i = 0; i < 50; i++) {
		raw_kick(&raw_in);
		raw_kick(&raw_out);
	}
	raw_wl_start(FEATURES);
	lived(broken, what);
}

static void offer_one(uint64_t address, uint32_t len, uint16_t flags, unsigned next) {
	raw_set(&raw_out, 0, address, len, flags, next);
	raw_offer(&raw_out, 0);
}

static void test_chains(void) {
	uint64_t page = raw_commands[0].physical;
	offer_one(UINT64_C(1) << 50, 64, 0, 0);
	breaks("a command outside of RAM");
	offer_one(UINT64_MAX - 8, 64, 0, 0);
	breaks("one that wraps around");
	offer_one(raw_window_size + (UINT64_C(1) << 36), 64, 0, 0);
	breaks("one that lies behind everything");
	offer_one(page, 64, RAW_NEXT, 0);
	breaks("a chain that loops");
	offer_one(page, 64, RAW_NEXT, 60000);
	breaks("a chain that leaves its table");
	raw_set(&raw_out, 1, page, 64, 0, 0);
	offer_one(page, 64, RAW_WRITE | RAW_NEXT, 1);
	breaks("a part to read after one to write");
	for (unsigned i = 0; i < 17; i++) {
		raw_set(&raw_out, i, ANY_RAM, 256u << 20, i < 16 ? RAW_NEXT : 0, i + 1);
	}
	raw_offer(&raw_out, 0);
	breaks("a command of more than 4 GiB");
	offer_one(page, 64, RAW_INDIRECT, 0);
	breaks("an indirect table that was not agreed upon");
}

static void test_heads(void) {
	unsigned refused, slot = RAW_WL_SLOTS - 1;
	raw_offer(&raw_out, 300);
	breaks("a head outside of the table");
	raw_out.ring->avail_index = (uint16_t)(raw_out.ring->avail_index + 300);
	raw_kick(&raw_out);
	breaks("an index too far ahead");
	bool held = stall(&refused) == 16;
	while (raw_wl_answer(slot) != RAW_WL_NO_ANSWER) {
		slot--;
	}
	raw_offer(&raw_out, (uint16_t)(slot * 4));
	breaks("a command offered again while it waits");
	lived(held & release() & all_ended(), "of which nothing is left, either");
}

/* Indirect tables lie in the page of slot 1's command. */
static void offer_table(uint32_t len, uint16_t flags, const struct raw_desc *table, unsigned count) {
	raw_wl_start(FEATURES | INDIRECT_DESC);
	memcpy(raw_commands[1].at, table, count * sizeof(*table));
	raw_set(&raw_out, 0, raw_commands[1].physical, len, (uint16_t)(RAW_INDIRECT | flags), 0);
	raw_offer(&raw_out, 0);
}

static void test_indirect(void) {
	const struct raw_desc command = {raw_commands[0].physical, 64, 0, 0},
			      nested = {raw_commands[1].physical, 16, RAW_INDIRECT, 0},
			      away = {raw_commands[0].physical, 64, RAW_NEXT, 1};
	offer_table(16, 0, &nested, 1);
	breaks("an indirect table in an indirect table");
	offer_table(17, 0, &command, 1);
	breaks("a table of one descriptor and a byte");
	offer_table(0, 0, &command, 1);
	breaks("a table without descriptors");
	offer_table(16 * 257, 0, &command, 1);
	breaks("a table longer than the queue");
	offer_table(0xfffffff0, 0, &command, 1);
	breaks("a table of 4 GiB");
	offer_table(16, RAW_NEXT, &command, 1);
	breaks("a table that goes on");
	offer_table(16, 0, &away, 1);
	breaks("a chain that leaves its indirect table");
}

/* ---- receive buffers ---- */

/* The device gets these and no others; connection 8 has something to say. */
static void receive_into(unsigned count, const struct raw_desc *buffers) {
	raw_wl_start_bare(FEATURES);
	for (unsigned i = 0; i < count; i++) {
		raw_set(&raw_in, i, buffers[i].address, buffers[i].len, buffers[i].flags, buffers[i].next);
	}
	raw_offer(&raw_in, 0);
	raw_wl_ask(8, "bye\n");
}

static void test_buffers(void) {
	uint64_t page = raw_commands[1].physical;
	const struct raw_desc small = {page, 4095, RAW_WRITE, 0}, readable = {page, 4096, 0, 0},
			      outside = {UINT64_C(1) << 50, 4096, RAW_WRITE, 0};
	struct raw_desc pieces[64];
	receive_into(1, &small);
	breaks("a receive buffer that is too small");
	receive_into(1, &readable);
	breaks("one that cannot be written to");
	receive_into(1, &outside);
	breaks("one outside of RAM");
	for (unsigned i = 0; i < 64; i++) {
		pieces[i] = (struct raw_desc){
			page + i * 64, 64, RAW_WRITE | (i < 63 ? RAW_NEXT : 0), (uint16_t)(i + 1)};
	}
	receive_into(64, pieces);
	breaks("one in 64 pieces");
	/* None: nothing is read from anywhere, and commands are served. */
	raw_wl_start_bare(FEATURES);
	bool good = raw_wl_ask(8, "burst 50 1000\n") == OK && raw_wl_ask(10, "give 28 10\n") == OK;
	for (unsigned i = 0; i < 50; i++) {
		good &= raw_wl_new(5, 65536) == NEW && raw_wl_close(5) == OK;
	}
	raw_wl_post_buffers();
	raw_wl_make_witness();
	lived(good, "no receive buffers at all");
	lived(answers(raw_wl_close(8), OK) & answers(raw_wl_close(10), OK), "and then some");
	raw_wl_start(FEATURES);
	lived(all_ended(), "what came and was not taken is gone");
}

/* ---- the device's registers ---- */

/* While it runs: all of this is to have no effect. */
static void test_running(void) {
	for (uint16_t queue = 0; queue < 3; queue++) {
		raw_common->queue_select = queue == 2 ? 0xffff : queue;
		raw_common->queue_size = 4;
		raw_common->queue_desc_low = raw_common->queue_driver_low = raw_common->queue_device_low =
			0xfffff000;
		raw_common->queue_desc_high = 0xffffffff;
		raw_common->queue_enable = 0;
		raw_common->queue_msix_vector = 0xfff0;
	}
	raw_common->driver_feature_select = 0;
	raw_common->driver_feature = ~0u;
	raw_common->driver_feature_select = 0xffffffff;
	raw_common->driver_feature = ~0u;
	lived(true, "queues are moved while the device runs: no, they are not");
	raw_common->queue_select = 2;
	lived((raw_common->queue_size == 0) & (raw_common->queue_enable == 0), "there is no third queue");
}

/* The device asks for a reset instead of starting. */
static bool does_not_start(uint16_t in_size, uint64_t in_address) {
	raw_reset();
	raw_negotiate(FEATURES);
	raw_enable(&raw_out, VIRTIO_WL_QUEUE_OUT, 64);
	raw_common->queue_select = VIRTIO_WL_QUEUE_IN;
	raw_common->queue_size = in_size;
	raw_common->queue_desc_low = (uint32_t)in_address;
	raw_common->queue_desc_high = (uint32_t)(in_address >> 32);
	raw_common->queue_driver_low = raw_common->queue_device_low = ANY_RAM;
	raw_common->queue_driver_high = raw_common->queue_device_high = 0;
	raw_common->queue_enable = 1;
	return !raw_go();
}

static void test_starting(void) {
	raw_reset();
	bool good = !raw_negotiate(0x00ffffff);
	raw_reset();
	raw_wl_start(FEATURES);
	lived(good, "features that were not offered");
	good = does_not_start(16, ANY_RAM) & does_not_start(64, UINT64_C(1) << 50) &
	       does_not_start(64, ANY_RAM + 1) & does_not_start(64, UINT64_MAX - 15);
	raw_wl_start(FEATURES);
	lived(good, "queues that are too short, outside of RAM and not aligned");
	raw_reset();
	raw_enable(&raw_out, VIRTIO_WL_QUEUE_OUT, 64);
	good = !raw_go();
	raw_wl_start(FEATURES);
	lived(good, "DRIVER_OK before FEATURES_OK");
	for (unsigned i = 0; i < 100; i++) {
		raw_wl_start_bare(FEATURES);
	}
	raw_wl_start(FEATURES);
	lived(all_ended(), "a hundred resets");
}

/* ---- memory that changes ---- */

static volatile bool flipping = true;

static void *flip(void *argument) {
	volatile uint32_t *words = (volatile uint32_t *)(void *)raw_commands[0].at;
	while (flipping) {
		words[0] ^= 0xb;        /* SEND or SEND_FOREIGN_ID */
		words[2] ^= 0x40000000; /* the receiver */
		words[3] ^= 0xffffffff; /* how many vfds */
		words[4] ^= 0x3;
	}
	return argument;
}

static void test_changing(void) {
	pthread_t thread;
	pthread_create(&thread, NULL, flip, NULL);
	bool good = true;
	for (unsigned i = 0; i < 500; i++) {
		uint32_t type = call(VIRTIO_WL_CMD_VFD_SEND, 3, 99u, 1u, RAW_WL_MEMORY);
		good &= type >= OK && type != RAW_WL_NO_ANSWER;
	}
	flipping = false;
	pthread_join(thread, NULL);
	raw_wl_start(FEATURES);
	lived(good, "commands that change while they are looked at");
}

/* ---- in another VM ---- */

static int bystand(void) {
	static uint8_t data[1000];
	const size_t size = 1 << 20;
	wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	int echo = ask("echo\n"), vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, size);
	uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0);
	if (echo < 0 || memory == MAP_FAILED) {
		perror("wl");
		return 1;
	}
	wl_pattern_fill(3, 0, memory, size);
	puts("# ready");
	fflush(stdout);
	getchar();
	wl_pattern_fill(4, 0, data, sizeof(data));
	check(write_all(echo, data, sizeof(data)) && read_all(echo, data, sizeof(data)) &&
			wl_pattern_holds(4, 0, data, sizeof(data)),
		"its connection is as it was");
	check(wl_pattern_holds(3, 0, memory, size), "so is its memory");
	check(asked("bye\n", "bye\n") && new_vfd(VIRTWL_IOCTL_NEW_ALLOC, size) >= 0, "it makes new ones");
	printf("1..%d\n", number);
	return 0;
}

static void test_all(void) {
	test_ids();
	test_host_ids();
	test_unknown();
	test_lengths();
	test_room();
	test_one_kick();
	test_sizes();
	test_counts();
	test_wrong_sends();
	test_foreign(true);
	test_closed_while_sending();
	test_reset_while_sending();
	test_all_stalled();
	test_quotas();
	test_holes();
	test_running();
	test_starting();
	test_chains();
	test_heads();
	if ((raw_wl_features >> VIRTIO_WL_F_GUEST_PAGES & 1) != 0) {
		raw_wl_start(FEATURES | 1u << VIRTIO_WL_F_GUEST_PAGES);
	}
	test_guest_pages();
	test_indirect();
	test_buffers();
	test_changing();
	raw_wl_start(1u << VIRTIO_WL_F_USE_SHMEM); /* else as the first drivers were */
	test_ids();
	test_foreign(false);
	test_unknown();
}

int main(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "bystander") == 0) {
		return bystand();
	}
	raw_wl_open();
	raw_wl_start(FEATURES);
	raw_wl_start_bare(FEATURES);
	puts("# ready");
	fflush(stdout);
	getchar();
	raw_wl_start(FEATURES);
	test_all();
	raw_wl_start_bare(FEATURES);
	puts("# done");
	fflush(stdout);
	getchar();
	raw_reset();
	printf("1..%d\n", number);
	return 0;
}
