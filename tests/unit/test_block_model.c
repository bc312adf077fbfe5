/*
 * Disks against a model: random operations over random framings, the same ones each run (a seed may
 * be given as the only argument), on an ephemeral and on a writable disk; and the requests themselves
 * served by a host that is interrupted and does less than it was asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "block_fixture.h"

#include "block/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTORS 1003u /* no whole number of pages, nor of bitmap words */
#define DISK_SIZE (SECTORS * 512u)
#define OPERATIONS 6000

static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state % bound);
}

struct model {
	struct block_fixture fixture;
	uint8_t bytes[DISK_SIZE];
};

static void model_init(struct model *model, enum block_mode mode) {
	fixture_init(&model->fixture, mode, 4096, DISK_SIZE, NULL);
	for (unsigned i = 0; i < DISK_SIZE; i++) {
		model->bytes[i] = fixture_pattern(i);
	}
	fixture_start(&model->fixture, model->fixture.device->features);
}

/* Data of len bytes in up to 12 descriptors of any length. */
static unsigned random_frame(gpa_t at, uint32_t len, bool write, struct driver_buffer *buffers) {
	unsigned count = 0;
	while (len > 0) {
		uint32_t part = count == 11 ? len : 1 + random_below(len);
		buffers[count++] = (struct driver_buffer){at, part, write};
		at.value += part;
		len -= part;
	}
	return count;
}

static uint8_t transfer(struct model *model, uint32_t type, uint64_t sector, uint32_t len) {
	struct block_fixture *fixture = &model->fixture;
	struct driver_buffer buffers[14] = {{fixture->header, 16, false}};
	fixture_header(fixture, fixture->header, type, sector);
	unsigned count = 1 + random_frame(fixture->data, len, type == VIRTIO_BLK_T_IN, buffers + 1);
	buffers[count++] = (struct driver_buffer){fixture->status, 1, true};
	return fixture_ask_chain(fixture, 0, buffers, count, NULL);
}

static void step_read(struct model *model, uint32_t sector, uint32_t sectors) {
	uint8_t *data = driver_at(&model->fixture.driver, model->fixture.data);
	memset(data, 0xdd, sectors * 512u);
	assert_int_equal(transfer(model, VIRTIO_BLK_T_IN, sector, sectors * 512), VIRTIO_BLK_S_OK);
	assert_memory_equal(data, model->bytes + sector * 512u, sectors * 512u);
}

static void step_write(struct model *model, uint32_t sector, uint32_t sectors) {
	uint8_t *data = driver_at(&model->fixture.driver, model->fixture.data);
	for (uint32_t i = 0; i < sectors * 512; i++) {
		data[i] = (uint8_t)random_below(256);
	}
	memcpy(model->bytes + sector * 512u, data, sectors * 512u);
	assert_int_equal(transfer(model, VIRTIO_BLK_T_OUT, sector, sectors * 512), VIRTIO_BLK_S_OK);
}

static void step_zero(struct model *model, uint32_t type, uint32_t sector, uint32_t sectors) {
	struct block_fixture *fixture = &model->fixture;
	uint32_t unmap = type == VIRTIO_BLK_T_WRITE_ZEROES ? random_below(2) : 0;
	fixture_segment(fixture, fixture->data, sector, sectors, unmap);
	assert_int_equal(transfer(model, type, 0, 16), VIRTIO_BLK_S_OK);
	memset(model->bytes + sector * 512u, 0, sectors * 512u);
	if (type == VIRTIO_BLK_T_DISCARD) { /* whatever the host made of it is what stays */
		fixture_header(fixture, fixture->header, VIRTIO_BLK_T_IN, sector);
		assert_int_equal(transfer(model, VIRTIO_BLK_T_IN, sector, sectors * 512), VIRTIO_BLK_S_OK);
		memcpy(model->bytes + sector * 512u, driver_at(&fixture->driver, fixture->data),
			sectors * 512u);
	}
}

static void step(struct model *model) {
	/* mostly small ones close together, so that they overlap */
	uint32_t span = random_below(4) == 0 ? SECTORS : 70, sector = random_below(span);
	uint32_t most = random_below(8) == 0 ? SECTORS - sector : 20;
	uint32_t sectors = 1 + random_below(most < SECTORS - sector ? most : SECTORS - sector);
	switch (random_below(8)) {
	case 0:
		step_zero(model, VIRTIO_BLK_T_DISCARD, sector, sectors);
		break;
	case 1:
		step_zero(model, VIRTIO_BLK_T_WRITE_ZEROES, sector, sectors);
		break;
	case 2:
	case 3:
	case 4:
		step_write(model, sector, sectors);
		break;
	default:
		step_read(model, sector, sectors);
		break;
	}
}

static void run_model(enum block_mode mode, bool untouched) {
	static struct model model;
	static uint8_t image[DISK_SIZE];
	model_init(&model, mode);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		step(&model);
	}
	step_read(&model, 0, SECTORS);
	assert_int_equal(pread(model.fixture.image, image, DISK_SIZE, 4096), DISK_SIZE);
	for (unsigned i = 0; i < DISK_SIZE; i++) {
		assert_int_equal(image[i], untouched ? fixture_pattern(i) : model.bytes[i]);
	}
	fixture_finish(&model.fixture);
}

static void test_ephemeral(void **state) {
	(void)state;
	run_model(BLOCK_EPHEMERAL, true);
}

static void test_read_write(void **state) {
	(void)state;
	run_model(BLOCK_READ_WRITE, false);
}

/* The first reader that trusted the bits 0 .. n for the sectors s .. s + n read the image here. */
static void test_first_write_far_away(void **state) {
	(void)state;
	static struct model model;
	model_init(&model, BLOCK_EPHEMERAL);
	step_write(&model, 700, 3);
	step_read(&model, 698, 7);
	step_read(&model, 700, 3);
	step_read(&model, 0, SECTORS);
	fixture_finish(&model.fixture);
}

/* An overlay forgets nothing over a reset of the device. */
static void test_reset_keeps_overlay(void **state) {
	(void)state;
	static struct model model;
	model_init(&model, BLOCK_EPHEMERAL);
	step_write(&model, 5, 9);
	driver_stop(&model.fixture.driver);
	fixture_start(&model.fixture, model.fixture.device->features);
	step_read(&model, 0, SECTORS);
	fixture_finish(&model.fixture);
}

/* ---- a limited overlay ---- */

static void limit_16_pages(struct block_options *options) {
	options->overlay_limit = 16 * 4096;
}

static void test_overlay_limit(void **state) {
	(void)state;
	static struct model model;
	fixture_init(&model.fixture, BLOCK_EPHEMERAL, 0, DISK_SIZE, limit_16_pages);
	fixture_start(&model.fixture, model.fixture.device->features);
	/* one sector a page: 16 fit, the 17th does not, sectors of paid pages still do */
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, i * 8, 512), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, 16 * 8, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, 15 * 8, 4096 + 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, 8, 8192), VIRTIO_BLK_S_OK);
	/* what was refused reads as before, what is full can be read, zeroed, and used again */
	uint8_t *data = driver_at(&model.fixture.driver, model.fixture.data);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_IN, 16 * 8, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[7], fixture_pattern(16 * 4096 + 7));
	fixture_segment(&model.fixture, model.fixture.data, 0, 17, 0); /* 2 whole pages and a sector */
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_OK);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, 20 * 8, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_OUT, 22 * 8, 512), VIRTIO_BLK_S_IOERR);
	/* zeros cost nothing, however many */
	fixture_segment(&model.fixture, model.fixture.data, 200, 800, 0);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), VIRTIO_BLK_S_OK);
	assert_int_equal(transfer(&model, VIRTIO_BLK_T_IN, 900, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[7], 0);
	fixture_finish(&model.fixture);
}

/* ---- a host that is interrupted and does things by halves ---- */

static ssize_t perform_badly(const struct block_disk *disk, const struct block_io *io) {
	if (random_below(4) == 0) {
		return -EINTR;
	}
	if (io->kind == BLOCK_IO_PUNCH || (io->kind == BLOCK_IO_ZERO && random_below(2) == 0)) {
		return -EOPNOTSUPP;
	}
	struct block_io less = *io;
	struct iovec first;
	if (io->iov_count > 0) {
		first = io->iov[0];
		first.iov_len = 1 + random_below((uint32_t)first.iov_len);
		less.iov = &first;
		less.iov_count = 1;
	}
	return block_disk_perform(disk, &less, 0);
}

static void serve_badly(struct block_disk *disk, struct virtqueue_chain *chain, uint8_t *status) {
	static struct block_request request;
	const char *rule;
	chain->readable_size = chain->writable_size = 0;
	for (unsigned i = 0; i < chain->readable_count + chain->writable_count; i++) {
		uint64_t *size = i < chain->readable_count ? &chain->readable_size : &chain->writable_size;
		*size += chain->iov[i].iov_len;
	}
	assert_int_equal(block_request_parse(&request, disk, chain, &rule), 0);
	enum block_next next;
	while ((next = block_request_next(&request)) != BLOCK_NEXT_NONE) {
		if (next == BLOCK_NEXT_OPERATION) {
			block_request_done(&request, perform_badly(disk, &request.io));
		}
	}
	block_request_complete(&request);
	assert_int_equal(*status, VIRTIO_BLK_S_OK);
}

struct header {
	uint32_t type, zero;
	uint64_t sector;
};

static void test_short_and_interrupted(void **state) {
	(void)state;
	static uint8_t data[8192], back[8192];
	struct block_fixture fixture;
	struct block_disk disk;
	uint8_t status;
	fixture_init(&fixture, BLOCK_READ_WRITE, 4096, DISK_SIZE, NULL);
	struct block_options options = {.fd = dup(fixture.image),
		.path = "x",
		.offset = 4096,
		.size = DISK_SIZE,
		.mode = BLOCK_READ_WRITE};
	assert_int_equal(block_disk_init(&disk, &options), 0);
	for (unsigned i = 0; i < 300; i++) {
		uint32_t sector = random_below(SECTORS - 16), len = 512 * (1 + random_below(16));
		uint32_t cut = random_below(len - 1) + 1;
		struct header header = {VIRTIO_BLK_T_OUT, 0, sector};
		static struct virtqueue_chain chain;
		for (uint32_t b = 0; b < len; b++) {
			data[b] = (uint8_t)random_below(256);
		}
		chain = (struct virtqueue_chain){.readable_count = 3,
			.writable_count = 1,
			.iov = {{&header, 16}, {data, cut}, {data + cut, len - cut}, {&status, 1}}};
		serve_badly(&disk, &chain, &status);
		header.type = VIRTIO_BLK_T_IN;
		chain = (struct virtqueue_chain){.readable_count = 1,
			.writable_count = 3,
			.iov = {{&header, 16}, {back, cut}, {back + cut, len - cut}, {&status, 1}}};
		serve_badly(&disk, &chain, &status);
		assert_memory_equal(data, back, len);
	}
	block_disk_finish(&disk);
	fixture_finish(&fixture);
}

/* Zeros where the file system cannot make them are written, more than one operation's worth. */
static void test_zeros_by_hand(void **state) {
	(void)state;
	const uint32_t sectors = 12000;
	struct block_fixture fixture;
	struct block_disk disk;
	uint8_t status;
	fixture_init(&fixture, BLOCK_READ_WRITE, 0, (sectors + 2) * 512u, NULL);
	struct block_options options = {.fd = dup(fixture.image),
		.path = "x",
		.size = (sectors + 2) * 512u,
		.mode = BLOCK_READ_WRITE};
	assert_int_equal(block_disk_init(&disk, &options), 0);
	struct header header = {VIRTIO_BLK_T_WRITE_ZEROES, 0, 0};
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} segment = {1, sectors, 1};
	static struct virtqueue_chain chain;
	chain = (struct virtqueue_chain){.readable_count = 2,
		.writable_count = 1,
		.iov = {{&header, 16}, {&segment, 16}, {&status, 1}}};
	serve_badly(&disk, &chain, &status);
	uint8_t *image = malloc((sectors + 2) * 512u);
	assert_int_equal(pread(fixture.image, image, (sectors + 2) * 512u, 0), (sectors + 2) * 512u);
	for (uint32_t i = 0; i < (sectors + 2) * 512u; i++) {
		bool edge = i < 512 || i >= (sectors + 1) * 512u;
		assert_int_equal(image[i], edge ? fixture_pattern(i) : 0);
	}
	free(image);
	block_disk_finish(&disk);
	fixture_finish(&fixture);
}

/* A discard in many parts gives as much memory back as one in a single part. */
static void test_large_discard(void **state) {
	(void)state;
	const uint32_t sectors = 40000;
	uint8_t *data = calloc(sectors, 512);
	struct iovec iov = {data, sectors * 512u};
	struct block_fixture fixture;
	struct block_disk disk;
	uint8_t status;
	fixture_init(&fixture, BLOCK_READ_ONLY, 0, DISK_SIZE, NULL);
	struct block_options options = {
		.fd = dup(fixture.image), .path = "x", .size = sectors * 512u, .mode = BLOCK_EPHEMERAL};
	assert_int_equal(block_disk_init(&disk, &options), 0);
	assert_int_equal(block_overlay_write(&disk.overlay, &iov, 1, 0, iov.iov_len), iov.iov_len);
	assert_int_equal(disk.overlay.page_count, sectors / 8);
	struct header header = {VIRTIO_BLK_T_DISCARD, 0, 0};
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} segment = {1, sectors - 2, 0};
	static struct virtqueue_chain chain;
	chain = (struct virtqueue_chain){.readable_count = 2,
		.writable_count = 1,
		.iov = {{&header, 16}, {&segment, 16}, {&status, 1}}};
	serve_badly(&disk, &chain, &status);
	assert_int_equal(disk.overlay.page_count, 2);
	block_disk_finish(&disk);
	fixture_finish(&fixture);
	free(data);
}

int main(int argc, char **argv) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_first_write_far_away),
		cmocka_unit_test(test_reset_keeps_overlay),
		cmocka_unit_test(test_overlay_limit),
		cmocka_unit_test(test_short_and_interrupted),
		cmocka_unit_test(test_zeros_by_hand),
		cmocka_unit_test(test_large_discard),
	};
	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) | 1 : 88172645463325252ULL;
	return fixture_run_tests("block model", tests, sizeof(tests) / sizeof(tests[0]));
}
