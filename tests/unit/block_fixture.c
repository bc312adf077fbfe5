/* See block_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "block_fixture.h"

#include "block/request.h"
#include "ph/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

uint8_t fixture_pattern(uint64_t offset) {
	return (uint8_t)(offset / 512 * 7 + offset % 512 * 3 + 1);
}

static int image_create(uint64_t offset, uint64_t size) {
	char path[] = "/tmp/ph-block-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	assert(fd >= 0);
	unlink(path);
	uint8_t *bytes = malloc(size);
	for (uint64_t i = 0; i < size; i++) {
		bytes[i] = fixture_pattern(i);
	}
	ssize_t n = pwrite(fd, bytes, size, (off_t)offset);
	assert(n == (ssize_t)size);
	free(bytes);
	return fd;
}

void fixture_init(struct block_fixture *fixture, enum block_mode mode, uint64_t offset, uint64_t size,
	void (*more)(struct block_options *options)) {
	memset(fixture, 0, sizeof(*fixture));
	fixture->offset = offset;
	fixture->size = size;
	fixture->image = image_create(offset, size);
	driver_init(&fixture->driver);
	struct block_options options = {.fd = dup(fixture->image),
		.path = "test.img",
		.offset = offset,
		.size = size,
		.mode = mode,
		.id = "the disk's own name",
		.queues = 1};
	if (more != NULL) {
		more(&options);
	}
	int ret = block_create(&fixture->device, &options);
	assert(ret == 0);
	fixture->header = driver_alloc(&fixture->driver, 16);
	fixture->status = driver_alloc(&fixture->driver, 1);
	fixture->data = driver_alloc(&fixture->driver, FIXTURE_DATA_SIZE);
}

void fixture_start(struct block_fixture *fixture, uint64_t features) {
	int ret = driver_start(&fixture->driver, fixture->device, features);
	assert(ret == 0);
}

void fixture_finish(struct block_fixture *fixture) {
	if (fixture->driver.device != NULL) {
		driver_stop(&fixture->driver);
	}
	block_destroy(fixture->device);
	driver_finish(&fixture->driver);
	close(fixture->image);
}

void fixture_header(struct block_fixture *fixture, gpa_t address, uint32_t type, uint64_t sector) {
	uint8_t *header = driver_at(&fixture->driver, address);
	memset(header, 0, 16);
	memcpy(header, &type, sizeof(type));
	memcpy(header + 8, &sector, sizeof(sector));
}

void fixture_segment(
	struct block_fixture *fixture, gpa_t address, uint64_t sector, uint32_t sectors, uint32_t flags) {
	uint8_t *segment = driver_at(&fixture->driver, address);
	memcpy(segment, &sector, sizeof(sector));
	memcpy(segment + 8, &sectors, sizeof(sectors));
	memcpy(segment + 12, &flags, sizeof(flags));
}

bool fixture_wait(struct block_fixture *fixture, unsigned queue, uint16_t *head, uint32_t *used_len) {
	struct pollfd interrupt = {.fd = fixture->device->vector_fds[queue], .events = POLLIN};
	while (!driver_wait_used(&fixture->driver, queue, 0, head, used_len)) {
		if (poll(&interrupt, 1, 10000) <= 0) {
			return false;
		}
		fd_event_drain(interrupt.fd);
	}
	return true;
}

uint8_t fixture_ask_chain(struct block_fixture *fixture, unsigned queue, const struct driver_buffer *buffers,
	unsigned count, uint32_t *used_len) {
	uint8_t *status = driver_at(&fixture->driver, fixture->status);
	*status = 0xee;
	uint16_t head = driver_add(&fixture->driver, queue, buffers, count), answered;
	driver_kick(&fixture->driver, queue);
	bool used = fixture_wait(fixture, queue, &answered, used_len);
	assert(used && answered == head);
	return *status;
}

uint8_t fixture_ask(struct block_fixture *fixture, const struct block_ask *ask) {
	bool in = ask->type == VIRTIO_BLK_T_IN || ask->type == VIRTIO_BLK_T_GET_ID;
	fixture_header(fixture, fixture->header, ask->type, ask->sector);
	struct driver_buffer buffers[3] = {{fixture->header, 16, false}};
	unsigned count = 1;
	if (ask->len > 0) {
		buffers[count++] = (struct driver_buffer){fixture->data, ask->len, in};
	}
	buffers[count++] = (struct driver_buffer){fixture->status, 1, true};
	return fixture_ask_chain(fixture, ask->queue, buffers, count, ask->used_len);
}

static int deny_io_uring(void **state) {
	static bool denied;
	(void)state;
	if (denied) {
		return 0;
	}
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};
	int ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	ret |= prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	denied = ret == 0;
	return ret;
}

int fixture_run_tests(const char *group, const struct CMUnitTest *tests, size_t count) {
	struct CMUnitTest *both = calloc(2 * count, sizeof(*both));
	char *names = calloc(count, 64);
	assert(both != NULL && names != NULL);
	for (size_t i = 0; i < count; i++) {
		snprintf(names + 64 * i, 64, "%s, no io_uring", tests[i].name);
		both[i] = both[count + i] = tests[i];
		both[count + i].name = names + 64 * i;
		both[count + i].setup_func = deny_io_uring;
	}
	int failed = _cmocka_run_group_tests(group, both, 2 * count, NULL, NULL);
	free(names);
	free(both);
	return failed;
}
