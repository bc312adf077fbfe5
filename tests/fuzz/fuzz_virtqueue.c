/*
 * Fuzz a virtqueue over guest RAM that holds a few good chains: the input patches RAM, rings included,
 * between rounds of popping and pushing. Beside memory errors it looks for chains that reach out of RAM,
 * are longer than the queue or share a head with another one.
 *
 * Input: a byte (bits 0-2 the size as a power of two, 3 INDIRECT, 4 EVENT_IDX), then steps: a byte of
 * what to do. 0-15: patch so many bytes, at two bytes of address. Others: see step().
 */
#include "input.h"

#include "ph/virtqueue.h"

#include "ph/virtio.h"

#include <stdlib.h>
#include <string.h>

#define RAM_SIZE 65536u
#define TABLE 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define INDIRECT_TABLE 0x4000u
#define BUFFERS 0x8000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM_SIZE];

/* Two regions with a hole between them in guest addresses, none in the process. */
static const struct guest_memory memory = {
	.region_count = 2,
	.regions = {{.base = 0, .size = 0xc000, .host = ram},
		{.base = 0x10000, .size = 0x4000, .host = ram + 0xc000, .offset = 0xc000}},
};

static struct virtqueue queue;
static struct virtqueue_chain chain;
static uint16_t heads[VIRTQUEUE_SIZE_MAX]; /* popped and not pushed */
static unsigned head_count;

static void descriptor(uint32_t at, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	memcpy(ram + at, &address, 8);
	memcpy(ram + at + 8, &len, 4);
	memcpy(ram + at + 12, &flags, 2);
	memcpy(ram + at + 14, &next, 2);
}

/* Chains of one and of two descriptors, and one through an indirect table, offered where they fit. */
static void write_good_chains(unsigned size) {
	memset(ram, 0, sizeof(ram));
	descriptor(TABLE, BUFFERS, 64, 0, 0);
	descriptor(TABLE + 16, BUFFERS + 64, 16, 1, 2);
	descriptor(TABLE + 32, BUFFERS + 128, 512, 2, 0);
	descriptor(TABLE + 48, INDIRECT_TABLE, 32, 4, 0);
	descriptor(INDIRECT_TABLE, BUFFERS + 1024, 16, 1, 1);
	descriptor(INDIRECT_TABLE + 16, 0x10000, 4096, 2, 0);
	const uint16_t avail[] = {0, 3, 0, 1, 3};
	memcpy(ram + AVAIL, avail, sizeof(avail));
	if (size < 4) {
		ram[AVAIL + 2] = 1;
	}
}

static void check_chain(void) {
	uint64_t sizes[2] = {0, 0};
	require(chain.head < queue.size && chain.readable_count + chain.writable_count <= queue.size);
	for (unsigned i = 0; i < chain.readable_count + chain.writable_count; i++) {
		const uint8_t *start = chain.iov[i].iov_base;
		size_t len = chain.iov[i].iov_len;
		require(len > 0 && start >= ram && len <= RAM_SIZE && start + len <= ram + RAM_SIZE);
		require((start < ram + 0xc000) == (start + len <= ram + 0xc000)); /* within a region */
		sizes[i >= chain.readable_count] += len;
	}
	require(sizes[0] == chain.readable_size && sizes[1] == chain.writable_size);
	for (unsigned i = 0; i < head_count; i++) {
		require(heads[i] != chain.head);
	}
}

static void pop(void) {
	int ret = virtqueue_pop(&queue, &chain);
	require(ret == 0 || (ret == 1 && !queue.broken) || (ret < 0 && queue.broken && queue.rule != NULL));
	if (ret == 1) {
		check_chain();
		heads[head_count++] = chain.head;
		require(head_count <= queue.size);
	}
}

static void push(struct input *input) {
	if (head_count > 0) {
		unsigned i = take(input, 1) % head_count;
		virtqueue_push(&queue, heads[i], take(input, 1));
		heads[i] = heads[--head_count];
	}
}

static void copy(struct input *input) {
	static uint8_t buffer[RAM_SIZE];
	struct iovec iov[4];
	uint64_t offset = take(input, 2), len = take(input, 2);
	size_t n = virtqueue_chain_read(&chain, offset, buffer, len);
	uint64_t left = offset < chain.readable_size ? chain.readable_size - offset : 0;
	require(n == (len < left ? len : left));
	n = virtqueue_chain_write(&chain, offset, buffer, len);
	left = offset < chain.writable_size ? chain.writable_size - offset : 0;
	require(n == (len < left ? len : left));
	unsigned count = virtqueue_chain_slice(&chain, true, offset, len, iov, 4);
	for (unsigned i = 0; i < count; i++) {
		require(iov[i].iov_len <= len);
		len -= iov[i].iov_len;
	}
	require(count == 0 || len == 0);
}

static void patch(struct input *input, unsigned len) {
	uint32_t address = take(input, 2);
	for (unsigned i = 0; i < len && address + i < RAM_SIZE; i++) {
		ram[address + i] = (uint8_t)take(input, 1);
	}
}

static void step(struct input *input) {
	unsigned what = take(input, 1);
	switch (what) {
	case 16:
		push(input);
		break;
	case 17:
		virtqueue_signal(&queue);
		break;
	case 18:
		virtqueue_enable_notify(&queue);
		break;
	case 19:
		virtqueue_disable_notify(&queue);
		break;
	case 20:
		if (head_count > 0 && heads[head_count - 1] == queue.last_head && !queue.broken) {
			virtqueue_unpop(&queue);
			head_count--;
		}
		break;
	case 21:
		copy(input);
		break;
	default:
		if (what < 16) {
			patch(input, what);
		} else {
			pop();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	unsigned setup = take(&input, 1);
	const struct virtqueue_config config = {
		.descriptor_area = {TABLE},
		.driver_area = {AVAIL},
		.device_area = {USED},
		.size = (uint16_t)(1u << (setup & 7)),
	};
	uint64_t features = (uint64_t)(setup >> 3 & 1) << VIRTIO_RING_F_INDIRECT_DESC |
			    (uint64_t)(setup >> 4 & 1) << VIRTIO_RING_F_EVENT_IDX;
	write_good_chains(config.size);
	head_count = 0;
	memset(&chain, 0, sizeof(chain));
	require(virtqueue_start(&queue, &memory, &config, features, -1) == 0);
	while (input.left > 0) {
		step(&input);
	}
	virtqueue_stop(&queue);
	return 0;
}
