/*
 * A program that talks to the compositor past ph's proxy, through /dev/wl0, and keeps to no rule: each abuse
 * on a connection of its own, which ends with the filter's word, while another goes on. Runs in the guest;
 * prints TAP.
 */
#define _GNU_SOURCE
#include "ph/wl_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define WORDS_MAX 2000
#define TITLES 600

static int device;
static unsigned number;

static void result(bool good, const char *name) {
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++number, name);
}

static int new_vfd(uint32_t type, uint32_t size) {
	struct virtwl_ioctl_new arguments = {.type = type, .fd = -1, .size = size};
	return ioctl(device, VIRTWL_IOCTL_NEW, &arguments) < 0 ? -1 : arguments.fd;
}

static bool send_words(int vfd, const uint32_t *words, size_t count, int fd, unsigned fd_count) {
	struct virtwl_ioctl_txn *txn = calloc(1, sizeof(*txn) + count * sizeof(*words));
	for (unsigned i = 0; i < VIRTWL_SEND_MAX_ALLOCS; i++) {
		txn->fds[i] = i < fd_count ? fd : -1;
	}
	txn->len = (uint32_t)(count * sizeof(*words));
	memcpy(txn->data, words, count * sizeof(*words));
	bool sent = ioctl(vfd, VIRTWL_IOCTL_SEND, txn) == 0;
	free(txn);
	return sent;
}

/* What comes until the end. */
static size_t hear(int vfd, char *text, size_t size, bool *ended) {
	size_t length = 0;
	struct pollfd pollfd = {.fd = vfd, .events = POLLIN};
	*ended = false;
	while (length < size && !*ended && poll(&pollfd, 1, PATIENCE_MS) == 1) {
		ssize_t n = read(vfd, text + length, size - length);
		*ended = n <= 0;
		length += n > 0 ? (size_t)n : 0;
	}
	return length;
}

/* The connection ends, and ph says why. */
static bool is_refused(const uint32_t *words, size_t count, int fd, unsigned fd_count) {
	static char text[1 << 20];
	bool ended;
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	send_words(vfd, words, count, fd, fd_count); /* which may tell already */
	size_t length = hear(vfd, text, sizeof(text), &ended);
	close(vfd);
	return ended && memmem(text, length, "ph: ", 4) != NULL;
}

/* All that comes before an object's first event: the words; -1: that did not come. */
static ssize_t hear_until(int vfd, uint32_t id, uint32_t *words, size_t most) {
	size_t length = 0, at = 0;
	struct pollfd pollfd = {.fd = vfd, .events = POLLIN};
	while (length < most * 4 && poll(&pollfd, 1, PATIENCE_MS) == 1) {
		ssize_t n = read(vfd, (char *)words + length, most * 4 - length);
		if (n <= 0) {
			return -1;
		}
		length += (size_t)n;
		while (at + 2 <= length / 4 && at + (words[at + 1] >> 18) <= length / 4) {
			if (words[at] == id || words[at + 1] >> 18 < 2) {
				return words[at] == id ? (ssize_t)at : -1;
			}
			at += words[at + 1] >> 18;
		}
	}
	return -1;
}

/* A round trip on a connection of a well-behaved program. */
static bool answers(int vfd, uint32_t id) {
	const uint32_t sync[] = {1, 12 << 16, id};
	uint32_t words[64];
	return send_words(vfd, sync, 3, -1, 0) && hear_until(vfd, id, words, 64) >= 0;
}

static void try_words(const char *name, const uint32_t *words, size_t count) {
	result(is_refused(words, count, -1, 0), name);
}

#define TRY(name, ...) try_words(name, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

/* By every number that there could be, under the name of what it would be. */
static bool hidden_are_hidden(const char *name, uint32_t most) {
	uint32_t words[64] = {1, 12 << 16 | 1, 2};
	uint32_t length = (uint32_t)strlen(name) + 1, padded = (length + 3) / 4;
	uint32_t *bind = words + 3;
	bool good = true;
	bind[0] = 2;
	bind[1] = (24 + padded * 4) << 16;
	bind[3] = length;
	memcpy(bind + 4, name, length);
	bind[4 + padded] = 1;
	bind[5 + padded] = 3;
	for (uint32_t i = 1; i <= most && good; i++) {
		bind[2] = i;
		good = is_refused(words, 3 + 6 + padded, -1, 0);
	}
	return good;
}

static void flood(void) {
	static uint32_t words[WORDS_MAX * 3];
	bool ended = false;
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	for (uint32_t id = 2; !ended && id < 200000; id += WORDS_MAX) {
		for (uint32_t i = 0; i < WORDS_MAX; i++) {
			const uint32_t sync[] = {1, 12 << 16, id + i};
			memcpy(words + 3 * i, sync, sizeof(sync));
		}
		ended = !send_words(vfd, words, 3 * WORDS_MAX, -1, 0);
		struct pollfd pollfd = {.fd = vfd, .events = POLLIN};
		ended = ended || (poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLHUP) != 0);
	}
	close(vfd);
}

struct words {
	uint32_t data[4 * TITLES + 64];
	size_t count;
};

static void put(struct words *words, uint32_t object, uint32_t opcode, const uint32_t *args, size_t count) {
	const uint32_t header[] = {object, (uint32_t)(8 + count * 4) << 16 | opcode};
	memcpy(words->data + words->count, header, sizeof(header));
	memcpy(words->data + words->count + 2, args, count * sizeof(*args));
	words->count += 2 + count;
}

#define PUT(words, object, opcode, ...) \
	put(words, object, opcode, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

/* By what the registry, object 2, has told. */
static void put_bind(
	struct words *words, const uint32_t *told, size_t count, const char *interface, uint32_t id) {
	uint32_t args[32] = {0};
	uint32_t length = (uint32_t)strlen(interface) + 1, padded = (length + 3) / 4;
	for (size_t at = 0; at < count; at += told[at + 1] >> 18) {
		if (told[at] == 2 && told[at + 3] == length &&
			memcmp(told + at + 4, interface, length) == 0) {
			args[0] = told[at + 2];
		}
	}
	args[1] = length;
	memcpy(args + 2, interface, length);
	args[2 + padded] = 1;
	args[3 + padded] = id;
	put(words, 2, 0, args, 4 + padded);
}

/* A window with more titles than the compositor may tell others of at once: its connection rests and goes on.
 */
static bool goes_on_after_titles(void) {
	static struct words words;
	static uint32_t told[16384];
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	PUT(&words, 1, 1, 2);
	PUT(&words, 1, 0, 3);
	send_words(vfd, words.data, words.count, -1, 0);
	ssize_t count = hear_until(vfd, 3, told, sizeof(told) / sizeof(told[0]));
	if (count < 0) {
		return false;
	}
	words.count = 0;
	put_bind(&words, told, (size_t)count, "wl_compositor", 4);
	put_bind(&words, told, (size_t)count, "xdg_wm_base", 5);
	PUT(&words, 4, 0, 6);    /* a surface */
	PUT(&words, 5, 2, 7, 6); /* an xdg_surface */
	PUT(&words, 7, 1, 8);    /* a toplevel */
	for (unsigned i = 0; i < TITLES; i++) {
		PUT(&words, 8, 2, 2, 'a' + i % 26);
	}
	PUT(&words, 1, 0, 9);
	bool good = send_words(vfd, words.data, words.count, -1, 0) &&
		    hear_until(vfd, 9, told, sizeof(told) / sizeof(told[0])) >= 0;
	close(vfd);
	return good;
}

int main(void) {
	device = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	int good = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	result(good >= 0 && answers(good, 2), "a program that behaves is served");

	TRY("an object that there is not", 7, 8 << 16);
	TRY("a request that there is not", 1, 8 << 16 | 9);
	TRY("a message of no length", 1, 0, 0);
	TRY("a message of 7 bytes", 1, 7 << 16, 0);
	TRY("an id that is not the next", 1, 12 << 16, 1000);
	TRY("an id that is in use", 1, 12 << 16 | 1, 2, 1, 12 << 16 | 1, 2);
	TRY("an id of the compositor's", 1, 12 << 16, 0xff000000);
	TRY("an object that is nobody's", 1, 12 << 16, 0);
	TRY("more than its arguments", 1, 16 << 16, 2, 0);
	TRY("a string beyond its message", 1, 12 << 16 | 1, 2, 2, 24 << 16, 1, 0xfffffff0, 0, 0);
	TRY("a string without an end", 1, 12 << 16 | 1, 2, 2, 28 << 16, 1, 4, 0x41414141, 1, 3);
	TRY("a request to what only speaks", 1, 12 << 16, 2, 2, 8 << 16);

	static const char *const hidden[] = {"zwlr_screencopy_manager_v1", "zwp_virtual_keyboard_manager_v1",
		"zwlr_data_control_manager_v1", "zwlr_layer_shell_v1"};
	for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		char name[80];
		snprintf(name, sizeof(name), "%s, by any number", hidden[i]);
		result(hidden_are_hidden(hidden[i], 50), name);
	}

	result(goes_on_after_titles(), "more titles than the VM may tell others of: they take their time");

	const uint32_t sync[] = {1, 12 << 16, 2}, half[] = {1, 4092u << 16, 2};
	int memory = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096), flooded = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	bool taken = true;
	for (unsigned i = 0; i < 8 && taken; i++) {
		const uint32_t next[] = {1, 12 << 16, 2 + i};
		taken = send_words(flooded, i == 0 ? sync : next, 3, memory, VIRTWL_SEND_MAX_ALLOCS);
	}
	result(!taken, "descriptors that nobody takes");
	int unfinished = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	send_words(unfinished, half, 3, -1, 0);
	flood();
	result(answers(good, 2), "beside a flood and a message without an end the first is still served");
	close(unfinished);
	close(flooded);
	int another = new_vfd(VIRTWL_IOCTL_NEW_CTX, 0);
	result(another >= 0 && answers(another, 2), "and so is a new one");
	printf("1..%u\n", number);
	return 0;
}
