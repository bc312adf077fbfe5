/*
 * Fuzz the two devices that have hardly a request: the balloon, which gives pages back that the guest
 * reports, and the source of random bytes. Guest RAM holds good rings, the input patches RAM and notifies.
 * Beside memory errors it looks for random bytes where none were asked for.
 *
 * Input: a byte (bit 0: which device, 1 INDIRECT, 2 EVENT_IDX), then steps: see step().
 */
#include "device.h"

#include "ph/balloon.h"
#include "ph/rng.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE 65536u
#define QUEUE_SIZE 8u
#define PATCH_MAX 31
#define MARK 0x8000u /* no buffer of the target's lies behind it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_memory memory;
static const struct device_layout layout = {
	.memory = &memory, .stride = 0x400, .avail = 0x100, .used = 0x200, .queue_size = QUEUE_SIZE};
static struct loop loop;
static struct virtio_device *devices[2];

static void initialise(void) {
	memory.fd = memfd_create("ram", MFD_CLOEXEC);
	require(ftruncate(memory.fd, RAM_SIZE) == 0);
	void *host = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
	require(host != MAP_FAILED && loop_init(&loop) == 0);
	memory.region_count = 1;
	memory.regions[0] = (struct guest_region){.size = RAM_SIZE, .host = host};
	require(balloon_create(&devices[0]) == 0 && rng_create(&devices[1]) == 0);
}

static void start(struct virtio_device *device, uint64_t features) {
	static const struct device_buffers buffers = {
		.address = 0x2000, .stride = 0x400, .len = 0x400, .flags = 2, .offered = 1};
	memset(memory.regions[0].host, 0, RAM_SIZE);
	for (unsigned i = 0; i < device->queue_count; i++) {
		device_fill_queue(&layout, i, &buffers);
	}
	device_start(device, &layout, &loop, features);
}

static void step(struct virtio_device *device, struct input *input, uint64_t features) {
	unsigned what = take(input, 1), queue = what % device->queue_count;
	if (what <= PATCH_MAX) {
		device_patch(&layout, input, what);
	} else if (what >> 4 == 2) {
		device_stop(device);
		start(device, features);
	} else if (what >> 4 == 3) {
		device_run_loop(&loop, 4);
	} else if (device->queue_size[queue] != 0) {
		device_offer(device, &layout, queue);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (memory.region_count == 0) {
		initialise();
	}
	unsigned setup = take(&input, 1);
	struct virtio_device *device = devices[setup & 1];
	uint64_t features = device->features | (uint64_t)(setup >> 1 & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	start(device, features);
	bool patched = false;
	while (input.left > 0) {
		patched = patched || *input.next <= PATCH_MAX;
		step(device, &input, features);
	}
	for (unsigned i = MARK; i < RAM_SIZE; i++) {
		require(patched || memory.regions[0].host[i] == 0);
	}
	device_stop(device);
	return 0;
}
