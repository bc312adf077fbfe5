/*
 * core DIRECTORY: the file server's core on this machine, without a guest, a queue or a socket: requests that
 * a guest would send, one after the other on one thread. Prints NAME ph VALUE lines: MB/s, or operations/s. A
 * tool of the bench; DIRECTORY is a new one, whose file system is measured along with it.
 */
#include "files/server.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MSIZE 512000
#define SEQUENTIAL (64U << 20)
#define CHUNK 500000U
#define FILES 1000
#define ENTRIES 10000
#define SECONDS 1.0

enum message {
	TLOPEN = 12,
	TGETATTR = 24,
	TREADDIR = 40,
	TVERSION = 100,
	TATTACH = 104,
	TWALK = 110,
	TREAD = 116,
	TWRITE = 118,
	TCLUNK = 120,
	RLERROR = 7,
};

static struct p9_server server;
static struct p9_scratch scratch;
static uint8_t request[MSIZE], reply[MSIZE];
static uint32_t request_size, reply_size;

static void put(uint64_t value, unsigned size) {
	for (unsigned i = 0; i < size; i++) {
		request[request_size++] = (uint8_t)(value >> (8 * i));
	}
}

static void put_string(const char *string) {
	size_t length = strlen(string);
	put(length, 2);
	memcpy(request + request_size, string, length);
	request_size += (uint32_t)length;
}

static uint64_t get(unsigned at, unsigned size) {
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++) {
		value |= (uint64_t)reply[at + i] << (8 * i);
	}
	return value;
}

static void begin(enum message type) {
	request_size = 4;
	put(type, 1);
	put(1, 2);
}

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	(void)owner;
	(void)cookie;
	reply_size = written;
}

/* Data of so many bytes follow the message; what they are does not matter. */
static void call(uint32_t data) {
	uint32_t size = request_size + data;
	for (unsigned i = 0; i < 4; i++) {
		request[i] = (uint8_t)(size >> (8 * i));
	}
	const struct iovec in = {request, size}, out = {reply, sizeof(reply)};
	const struct p9_exchange exchange = {.in = &in,
		.out = &out,
		.in_count = 1,
		.out_count = 1,
		.in_size = size,
		.out_size = sizeof(reply)};
	struct p9_request begun;
	reply_size = 0;
	if (p9_server_begin(&server, &begun, &exchange)) {
		p9_server_serve(&begun, &scratch);
	}
	if (reply_size < 7 || reply[4] == RLERROR) {
		fprintf(stderr, "core: request %u failed\n", request[4]);
		exit(1);
	}
}

static void start(const char *directory) {
	const struct p9_server_config config = {.root_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.msize = MSIZE,
		.complete = completed};
	if (config.root_fd < 0 || p9_server_init(&server, &config) < 0 || p9_server_enter(&server) < 0) {
		perror(directory);
		exit(1);
	}
	begin(TVERSION);
	put(MSIZE, 4);
	put_string("9P2000.L");
	call(0);
	begin(TATTACH);
	put(0, 4);
	put(~0U, 4);
	put_string("user");
	put_string("");
	put(~0U, 4);
	call(0);
}

static void walk(const char *name) {
	begin(TWALK);
	put(0, 4);
	put(1, 4);
	put(1, 2);
	put_string(name);
	call(0);
}

static void open_fid(uint32_t flags) {
	begin(TLOPEN);
	put(1, 4);
	put(flags, 4);
	call(0);
}

static void clunk(void) {
	begin(TCLUNK);
	put(1, 4);
	call(0);
}

/* ---- the measures: each does its thing once and says how much of it that was ---- */

static double transfer(enum message type) {
	walk("sequential");
	open_fid(O_RDWR);
	for (uint64_t offset = 0; offset + CHUNK <= SEQUENTIAL; offset += CHUNK) {
		begin(type);
		put(1, 4);
		put(offset, 8);
		put(CHUNK, 4);
		call(type == TWRITE ? CHUNK : 0);
	}
	clunk();
	return SEQUENTIAL / CHUNK * CHUNK / 1e6;
}

static double read_sequential(void) {
	return transfer(TREAD);
}

static double write_sequential(void) {
	return transfer(TWRITE);
}

static double read_random(void) {
	uint32_t state = 1;
	walk("sequential");
	open_fid(O_RDONLY);
	for (int i = 0; i < FILES; i++) {
		state = state * 1664525U + 1013904223U;
		begin(TREAD);
		put(1, 4);
		put((uint64_t)((state >> 8) % (SEQUENTIAL / 4096)) * 4096, 8);
		put(4096, 4);
		call(0);
	}
	clunk();
	return FILES;
}

static double stat_files(void) {
	char name[16];
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "entry%05d", i);
		walk(name);
		begin(TGETATTR);
		put(1, 4);
		put(0x7ff, 8);
		call(0);
		clunk();
	}
	return FILES;
}

static double open_files(void) {
	char name[16];
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "entry%05d", i);
		walk(name);
		open_fid(O_RDONLY);
		clunk();
	}
	return FILES;
}

static double read_directory(void) {
	uint64_t offset = 0;
	unsigned entries = 0;
	begin(TWALK);
	put(0, 4);
	put(1, 4);
	put(0, 2);
	call(0);
	open_fid(O_RDONLY | O_DIRECTORY);
	for (;;) {
		begin(TREADDIR);
		put(1, 4);
		put(offset, 8);
		put(MSIZE - 24, 4);
		call(0);
		unsigned at = 11, end = 11 + (unsigned)get(7, 4);
		if (at == end) {
			break;
		}
		for (; at < end; entries++) {
			offset = get(at + 13, 8);
			at += 24 + (unsigned)get(at + 22, 2);
		}
	}
	clunk();
	return entries;
}

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void measure(const char *name, double (*run)(void)) {
	double started = now(), ended, amount = 0;
	run();
	started = now();
	do {
		amount += run();
		ended = now();
	} while (ended - started < SECONDS);
	printf("%s ph %.0f\n", name, amount / (ended - started));
}

static void make_files(const char *directory) {
	char path[512];
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(path, sizeof(path), "%s/entry%05d", directory, i);
		close(open(path, O_WRONLY | O_CREAT, 0644));
	}
	snprintf(path, sizeof(path), "%s/sequential", directory);
	int fd = open(path, O_WRONLY | O_CREAT, 0644);
	if (fd < 0 || ftruncate(fd, SEQUENTIAL) < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
}

int main(int argc, char **argv) {
	if (argc != 2) {
		return 2;
	}
	make_files(argv[1]);
	start(argv[1]);
	measure("core-write", write_sequential);
	measure("core-read", read_sequential);
	measure("core-random", read_random);
	measure("core-stat", stat_files);
	measure("core-open", open_files);
	measure("core-readdir", read_directory);
	p9_server_finish(&server);
	return 0;
}
