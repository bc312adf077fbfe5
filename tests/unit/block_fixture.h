/*
 * A disk under test: an image in a temporary file, the device over it, and a driver that asks it.
 */
#ifndef TEST_BLOCK_FIXTURE_H
#define TEST_BLOCK_FIXTURE_H

#include "driver.h"

#include "ph/block.h"

#define FIXTURE_DATA_SIZE (1u << 20)

struct block_fixture {
	struct driver driver;
	struct virtio_device *device;
	int image; /* the test's own descriptor of the image */
	uint64_t offset, size;
	gpa_t header, status, data;
};

/* One request: len bytes at fixture->data are its data, to be read or written. */
struct block_ask {
	unsigned queue;
	uint32_t type;
	uint64_t sector;
	uint32_t len;
	uint32_t *used_len; /* NULL: not of interest */
};

/* What the image holds at a byte of the disk before anything is written. */
uint8_t fixture_pattern(uint64_t offset);

/* An image of offset + size bytes, zeros before offset, and a started device over it. more is NULL or changes
 * the options. */
void fixture_init(struct block_fixture *fixture, enum block_mode mode, uint64_t offset, uint64_t size,
	void (*more)(struct block_options *options));
/* Start (again) with these features accepted. */
void fixture_start(struct block_fixture *fixture, uint64_t features);
void fixture_finish(struct block_fixture *fixture);

/* Offer the request, wait for its answer, return its status byte. */
uint8_t fixture_ask(struct block_fixture *fixture, const struct block_ask *ask);
/* The same for a chain of the test's own; the status byte is at fixture->status. */
uint8_t fixture_ask_chain(struct block_fixture *fixture, unsigned queue, const struct driver_buffer *buffers,
	unsigned count, uint32_t *used_len);
/* Wait for an interrupt and a used element; false after 10 seconds. */
bool fixture_wait(struct block_fixture *fixture, unsigned queue, uint16_t *head, uint32_t *used_len);
/* Write a request header at the address. */
void fixture_header(struct block_fixture *fixture, gpa_t address, uint32_t type, uint64_t sector);
/* Write a discard segment at the address. */
void fixture_segment(
	struct block_fixture *fixture, gpa_t address, uint64_t sector, uint32_t sectors, uint32_t flags);

struct CMUnitTest;
/* Run the tests twice as one group: with io_uring, and then with the kernel refusing it to this process. The
 * number of failures. */
int fixture_run_tests(const char *group, const struct CMUnitTest *tests, size_t count);

#endif
