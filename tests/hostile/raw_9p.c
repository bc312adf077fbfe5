/* The driver (see raw_9p.h), on top of raw_virtio.c. */
#define _GNU_SOURCE
#include "raw_9p.h"
#include "raw_virtio.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define QUEUE 64u
#define MESSAGE_MAX (2 * RAW_PAGE)
#define REPLY_PAGES (RAW_MSIZE / RAW_PAGE)
#define SMALL_REPLY RAW_PAGE

static struct raw_queue queue;
/* Segments of one page each. */
static struct raw_page requests[RAW_SLOTS][2], replies[REPLY_PAGES], small_replies[RAW_SLOTS];
static uint16_t next_tag;
static unsigned queued;
static uint8_t reply[RAW_MSIZE];
static uint32_t reply_at;
uint32_t raw_size, raw_written;

void raw_9p_start(void) {
	raw_reset();
	raw_negotiate(1); /* the mount tag */
	raw_enable(&queue, 0, QUEUE);
	raw_go();
}

void raw_open(const char *tag) {
	char pci[PATH_MAX];
	raw_take("mount_tag", tag, pci);
	for (unsigned i = 0; i < RAW_SLOTS; i++) {
		requests[i][0] = raw_page_get();
		requests[i][1] = raw_page_get();
		small_replies[i] = raw_page_get();
	}
	for (unsigned i = 0; i < REPLY_PAGES; i++) {
		replies[i] = raw_page_get();
	}
	raw_9p_start();
}

/* The request of a slot as descriptors from first on; the last goes on to whatever comes behind them. */
static unsigned put_request(unsigned first, unsigned slot, uint32_t len) {
	uint32_t head = len < RAW_PAGE ? len : RAW_PAGE;
	raw_set(&queue, first, requests[slot][0].physical, head, RAW_NEXT, first + 1);
	if (len > RAW_PAGE) {
		raw_set(&queue, first + 1, requests[slot][1].physical, len - RAW_PAGE, RAW_NEXT, first + 2);
	}
	return first + 1 + (len > RAW_PAGE);
}

/* ---- messages ---- */

struct message {
	uint8_t data[MESSAGE_MAX];
	uint32_t len;
};

static void put(struct message *message, const void *data, size_t size) {
	if (size <= MESSAGE_MAX - message->len) {
		memcpy(message->data + message->len, data, size);
		message->len += (uint32_t)size;
	}
}

static void put_number(struct message *message, uint64_t value, size_t size) {
	put(message, &value, size); /* this machine is little-endian, as the protocol is */
}

static void put_fields(struct message *message, const char *format, va_list *args) {
	for (; *format != '\0'; format++) {
		const char *string;
		size_t len;
		switch (*format) {
		case 'b':
			put_number(message, (uint64_t)va_arg(*args, int), 1);
			break;
		case 'h':
			put_number(message, (uint64_t)va_arg(*args, int), 2);
			break;
		case 'w':
			put_number(message, va_arg(*args, unsigned), 4);
			break;
		case 'q':
			put_number(message, va_arg(*args, uint64_t), 8);
			break;
		default:
			string = va_arg(*args, const char *);
			len = *format == 's' ? strlen(string) : va_arg(*args, size_t);
			if (*format != 'D') {
				put_number(message, len, 2);
			}
			put(message, string, len);
		}
	}
}

static uint32_t build(unsigned slot, uint32_t size, uint8_t type, const char *format, va_list *args) {
	struct message message = {0};
	next_tag++;
	put_number(&message, 0, 4);
	put_number(&message, type, 1);
	put_number(&message, next_tag, 2);
	put_fields(&message, format, args);
	size = size == 0 ? message.len : size;
	memcpy(message.data, &size, 4);
	uint32_t head = message.len < RAW_PAGE ? message.len : RAW_PAGE;
	memcpy(requests[slot][0].at, message.data, head);
	memcpy(requests[slot][1].at, message.data + head, message.len - head);
	return message.len;
}

uint64_t raw_number(unsigned size) {
	uint64_t value = 0;
	if (raw_size - reply_at >= size) {
		memcpy(&value, reply + reply_at, size);
		reply_at += size;
	}
	return value;
}

const uint8_t *raw_bytes(size_t size) {
	const uint8_t *at = reply + reply_at;
	if (raw_size - reply_at < size) {
		return NULL;
	}
	reply_at += (uint32_t)size;
	return at;
}

static int call(uint32_t size, uint8_t type, const char *format, va_list *args) {
	uint32_t len = build(0, size, type, format, args);
	unsigned at = put_request(0, 0, len);
	for (unsigned i = 0; i < REPLY_PAGES; i++, at++) {
		raw_set(&queue, at, replies[i].physical, RAW_PAGE,
			RAW_WRITE | (i + 1 < REPLY_PAGES ? RAW_NEXT : 0), at + 1);
	}
	raw_offer(&queue, 0);
	raw_size = reply_at = 0;
	if (!raw_wait(&queue, (uint16_t)(queue.seen + 1))) {
		return -1;
	}
	raw_written = queue.ring->used[queue.seen++ % QUEUE].len;
	for (unsigned i = 0; i < REPLY_PAGES; i++) {
		memcpy(reply + i * RAW_PAGE, replies[i].at, RAW_PAGE);
	}
	raw_size = RAW_MSIZE;
	uint32_t told = (uint32_t)raw_number(4);
	uint8_t answer = (uint8_t)raw_number(1);
	uint16_t tag = (uint16_t)raw_number(2);
	raw_size = told;
	if (told != raw_written || told < 7 || told > RAW_MSIZE || tag != next_tag ||
		(answer != 7 && answer != type + 1)) {
		printf("# a reply that is none: size %u, written %u, type %u to %u\n", told, raw_written,
			answer, type);
		return -1;
	}
	return answer == 7 ? (int)raw_number(4) : 0;
}

int raw_call(uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int ret = call(0, type, format, &args);
	va_end(args);
	return ret;
}

int raw_call_sized(uint32_t size, uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int ret = call(size, type, format, &args);
	va_end(args);
	return ret;
}

void raw_queue(unsigned slot, uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	uint32_t len = build(slot, 0, type, format, &args);
	va_end(args);
	unsigned first = slot * 3, at = put_request(first, slot, len);
	raw_set(&queue, at, small_replies[slot].physical, SMALL_REPLY, RAW_WRITE, 0);
	raw_offer(&queue, (uint16_t)first);
	queued++;
}

unsigned raw_collect(void) {
	uint16_t before = queue.seen, until = (uint16_t)(queue.seen + queued);
	queue.seen = raw_wait(&queue, until) ? until : queue.ring->used_index;
	queued = 0;
	return (uint16_t)(queue.seen - before);
}

bool raw_chain(uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	raw_set(&queue, 0, address, len, flags, next);
	raw_offer(&queue, 0);
	struct timespec pause = {.tv_nsec = 1000000};
	for (unsigned i = 0; i < 5000; i++) {
		if ((raw_common->device_status & RAW_NEEDS_RESET) != 0) {
			return false;
		}
		if (queue.ring->used_index != queue.seen) {
			queue.seen++;
			return true;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}
