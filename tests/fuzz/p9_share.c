/*
 * The file server under fuzz (see p9_share.h). One thread. Locks never wait here.
 */
#include "p9_share.h"

#include "input.h"

#include "files/server.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM 8192u

static struct p9_server server;
static struct p9_scratch scratch;
static char top[64];
static int share_fd = -1;
static unsigned completions;
static uint32_t last_written;

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	(void)owner;
	require(cookie == 42);
	completions++;
	last_written = written;
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *at) {
	(void)flag;
	if (at->level > 0 && remove(path) < 0 && S_ISDIR(stat->st_mode)) {
		chmod(path, 0700);
		remove(path);
	}
	return 0;
}

static void clean(void) {
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void finish(void) {
	p9_server_finish(&server);
	clean();
	rmdir(top);
}

static void make_file(int directory, const char *name, const char *content) {
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	require(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	close(fd);
}

static void setup(void) {
	/* In memory where there is such a place: the inputs are full of fsyncs. */
	strcpy(top, "/dev/shm/ph-fuzz-XXXXXX");
	if (mkdtemp(top) == NULL) {
		strcpy(top, "/tmp/ph-fuzz-XXXXXX");
		require(mkdtemp(top) != NULL);
	}
	atexit(finish);
}

static void make_tree(void) {
	int outside = open(top, O_PATH | O_CLOEXEC);
	make_file(outside, "prize", "PRIZE");
	require(mkdirat(outside, "share", 0755) == 0);
	share_fd = openat(outside, "share", O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(outside);
	require(mkdirat(share_fd, "d", 0755) == 0);
	make_file(share_fd, "d/f", "inside");
	make_file(share_fd, "d/hidden", "HIDDEN");
	make_file(share_fd, "f", "content");
	require(symlinkat("..", share_fd, "l") == 0);
}

static void create_server(void) {
	static char hidden[] = "d/hidden";
	static char *const hide[] = {hidden, NULL};
	struct p9_server_config config = {
		.root_fd = share_fd, .hide = hide, .msize = ROOM, .complete = completed, .owner = &server};
	require(p9_server_init(&server, &config) == 0);
	require(p9_server_enter(&server) == 0);
	p9_server_cancel(&server); /* nothing waits */
}

static void say(uint8_t type, const void *body, size_t size) {
	p9_share_send_body(type, body, size);
}

void p9_share_begin(void) {
	if (share_fd < 0) {
		setup();
	}
	make_tree();
	create_server();
	say(P9_TVERSION,
		"\0\x20\0\0\x8\0"
		"9P2000.L",
		14);
	say(P9_TATTACH, "\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16);
	say(P9_TWALK, "\0\0\0\0\1\0\0\0\0\0", 10);
	say(P9_TLOPEN, "\1\0\0\0\0\0\0\0", 8);
	say(P9_TWALK, "\0\0\0\0\2\0\0\0\1\0\1\0f", 13);
	say(P9_TLOPEN, "\2\0\0\0\2\0\0\0", 8);
	say(P9_TWALK, "\0\0\0\0\3\0\0\0\2\0\1\0d\1\0f", 16);
	say(P9_TWALK, "\0\0\0\0\4\0\0\0\1\0\1\0l", 13);
	say(P9_TWALK, "\0\0\0\0\5\0\0\0\1\0\1\0d", 13);
}

void p9_share_send(const uint8_t *message, size_t size) {
	static uint8_t room[ROOM];
	/* A copy of its own, so that reading beyond it is seen. */
	uint8_t *copy = malloc(size + 1);
	require(copy != NULL);
	memcpy(copy, message, size);
	size_t half = size / 2;
	struct iovec in[2] = {{copy, half}, {copy + half, size - half}},
		     out[2] = {{room, 9}, {room + 9, ROOM - 9}};
	struct p9_exchange exchange = {.in = in,
		.in_count = 2,
		.in_size = size,
		.out = out,
		.out_count = 2,
		.out_size = ROOM,
		.cookie = 42};
	completions = 0;
	struct p9_request request;
	bool served = p9_server_begin(&server, &request, &exchange);
	if (served) {
		p9_server_serve(&request, &scratch);
	}
	require(served == (size >= P9_HEADER_SIZE));
	require(completions == served);
	if (served) {
		uint32_t claimed =
			room[0] | (uint32_t)room[1] << 8 | (uint32_t)room[2] << 16 | (uint32_t)room[3] << 24;
		require(claimed == last_written && last_written >= P9_HEADER_SIZE && last_written <= ROOM);
		require(room[4] == P9_RLERROR || room[4] == copy[4] + 1);
		require(room[5] == copy[5] && room[6] == copy[6]);
	}
	free(copy);
}

void p9_share_send_body(uint8_t type, const uint8_t *body, size_t size) {
	uint8_t message[ROOM];
	size = size < ROOM - P9_HEADER_SIZE ? size : ROOM - P9_HEADER_SIZE;
	uint32_t total = (uint32_t)(P9_HEADER_SIZE + size);
	uint8_t header[P9_HEADER_SIZE] = {(uint8_t)total, (uint8_t)(total >> 8), 0, 0, type, 7, 0};
	memcpy(message, header, sizeof(header));
	memcpy(message + sizeof(header), body, size);
	p9_share_send(message, total);
}

/* What is hidden is still in its place: whatever the modes of the way there are by now. */
static void check_hidden(void) {
	char data[16], path[64];
	snprintf(path, sizeof(path), "%s/share", top);
	require(chmod(path, 0700) == 0 && fchmodat(share_fd, "d", 0700, 0) == 0);
	int fd = openat(share_fd, "d/hidden", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	require(fd >= 0 && read(fd, data, sizeof(data)) == 6 && memcmp(data, "HIDDEN", 6) == 0);
	close(fd);
}

void p9_share_end(void) {
	char data[16], path[64];
	p9_server_finish(&server);
	check_hidden();
	close(share_fd);
	snprintf(path, sizeof(path), "%s/prize", top);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd >= 0 && read(fd, data, sizeof(data)) == 5 && memcmp(data, "PRIZE", 5) == 0);
	close(fd);
	clean();
}
