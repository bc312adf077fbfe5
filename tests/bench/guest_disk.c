/* What the bench does with a disk, in the guest: random reads of 4 KiB past the page cache, one or 32 at a
 * time. */
#include "work.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK 4096U
#define DEPTH_MAX 32
#define READS 4096U
#define DISK_BLOCKS (64U << 20 >> 12)

static char blocks[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
static struct iocb iocbs[DEPTH_MAX];
static uint32_t state = 1;

static uint64_t random_offset(void) {
	state = state * 1664525U + 1013904223U;
	return (uint64_t)((state >> 8) % DISK_BLOCKS) * BLOCK;
}

static struct iocb *prepare(int fd, unsigned slot) {
	iocbs[slot] = (struct iocb){.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)blocks[slot],
		.aio_nbytes = BLOCK,
		.aio_offset = (int64_t)random_offset()};
	return &iocbs[slot];
}

static int open_disk(void) {
	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	int fd = open("/dev/vda", O_RDONLY | O_DIRECT);
	if (fd < 0) {
		bench_fail("disk");
	}
	return fd;
}

/* Whatever has ended is replaced in one call. */
static unsigned replace(
	int fd, const struct io_event *events, unsigned ended, unsigned left, aio_context_t context) {
	struct iocb *batch[DEPTH_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < ended; i++) {
		if (events[i].res != BLOCK) {
			bench_fail("disk read");
		}
		if (count < left) {
			batch[count++] = prepare(fd, (unsigned)events[i].data);
		}
	}
	if (count > 0 && syscall(SYS_io_submit, context, (long)count, batch) != (long)count) {
		bench_fail("io_submit");
	}
	return count;
}

static unsigned read_disk(unsigned depth) {
	struct io_event events[DEPTH_MAX];
	aio_context_t context = 0;
	int fd = open_disk();
	unsigned submitted = 0, ended = 0;
	if (syscall(SYS_io_setup, DEPTH_MAX, &context) < 0) {
		bench_fail("io_setup");
	}
	for (unsigned slot = 0; slot < depth; slot++) {
		struct iocb *one = prepare(fd, slot);
		submitted += syscall(SYS_io_submit, context, 1L, &one) == 1;
	}
	while (ended < READS) {
		long n = syscall(SYS_io_getevents, context, 1L, (long)DEPTH_MAX, events, NULL);
		if (n < 1) {
			bench_fail("io_getevents");
		}
		ended += (unsigned)n;
		submitted += replace(fd, events, (unsigned)n, READS - submitted, context);
	}
	syscall(SYS_io_destroy, context);
	close(fd);
	return READS;
}

static unsigned read_one_by_one(void) {
	return read_disk(1);
}

static unsigned read_many(void) {
	return read_disk(DEPTH_MAX);
}

const struct work disk_works[] = {
	{"disk-random-1", 20, false, read_one_by_one},
	{"disk-random-32", 21, false, read_many},
};
const size_t disk_work_count = sizeof(disk_works) / sizeof(disk_works[0]);
