/*
 * Fuzz the disk: five good requests lie in guest RAM, the input patches RAM, rings included, and one
 * pass over the queue is served without a thread. Beside memory errors it looks for writes to where
 * no guest may write.
 *
 * Input: a byte (bits 0-1 the mode, 2 INDIRECT, 3 EVENT_IDX, 4 write-through), then patches: two
 * bytes of address, a byte whose low 4 bits say how many bytes follow, those bytes.
 */
#include "input.h"

#include "block/device.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE 65536u
#define QUEUE_SIZE 16u
#define DISK_OFFSET 4096u
#define DISK_SIZE (67u * 512u)
#define IMAGE_SIZE (DISK_OFFSET + DISK_SIZE + 512u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct disk_under_fuzz {
	struct virtio_device *device;
	int image;
	struct block_request *requests;
};

static struct disk_under_fuzz disks[3];
static struct guest_memory memory;

static uint8_t pattern(unsigned offset) {
	return (uint8_t)(offset * 13 + 5);
}

static void disk_create(struct disk_under_fuzz *disk, enum block_mode mode) {
	uint8_t image[IMAGE_SIZE];
	for (unsigned i = 0; i < IMAGE_SIZE; i++) {
		image[i] = pattern(i);
	}
	disk->image = memfd_create("image", MFD_CLOEXEC);
	require(write(disk->image, image, IMAGE_SIZE) == (ssize_t)IMAGE_SIZE);
	struct block_options options = {.fd = dup(disk->image),
		.path = "fuzz",
		.offset = DISK_OFFSET,
		.size = DISK_SIZE,
		.overlay_limit = 16384,
		.mode = mode,
		.queues = 1};
	require(block_create(&disk->device, &options) == 0);
	disk->requests = calloc(BLOCK_QUEUE_SIZE, sizeof(*disk->requests));
	require(disk->requests != NULL);
}

static void initialise(void) {
	memory.fd = memfd_create("ram", MFD_CLOEXEC);
	require(ftruncate(memory.fd, RAM_SIZE) == 0);
	void *host = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
	require(host != MAP_FAILED);
	memory.region_count = 1;
	memory.regions[0] = (struct guest_region){.size = RAM_SIZE, .host = host};
	for (enum block_mode mode = BLOCK_READ_ONLY; mode <= BLOCK_EPHEMERAL; mode++) {
		disk_create(&disks[mode], mode);
	}
}

static void check_image(const struct disk_under_fuzz *disk, enum block_mode mode) {
	uint8_t image[IMAGE_SIZE + 1];
	require(pread(disk->image, image, sizeof(image), 0) == (ssize_t)IMAGE_SIZE);
	for (unsigned i = 0; i < IMAGE_SIZE; i++) {
		bool inside = i >= DISK_OFFSET && i < DISK_OFFSET + DISK_SIZE;
		require((inside && mode == BLOCK_READ_WRITE) || image[i] == pattern(i));
	}
}

struct descriptor {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct segment {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* Descriptors at 0, the avail ring at 0x100, the used ring at 0x200, headers from 0x300 on, data at 0x1000,
 * 0x2000 .. */
static void fill_ram(uint8_t *ram) {
	static const struct header headers[] = {{VIRTIO_BLK_T_OUT, 0, 3}, {VIRTIO_BLK_T_IN, 0, 1},
		{VIRTIO_BLK_T_DISCARD, 0, 0}, {VIRTIO_BLK_T_WRITE_ZEROES, 0, 0}, {VIRTIO_BLK_T_GET_ID, 0, 0}};
	static const uint32_t sizes[] = {1024, 4096, 16, 16, 20};
	struct descriptor *descriptors = (struct descriptor *)ram;
	uint16_t *avail = (uint16_t *)(ram + 0x100);
	memset(ram, 0, RAM_SIZE);
	avail[1] = 5;
	for (uint16_t i = 0; i < 5; i++) {
		uint16_t flags =
			headers[i].type == VIRTIO_BLK_T_IN || headers[i].type == VIRTIO_BLK_T_GET_ID ? 3 : 1;
		uint64_t header = 0x300 + 32u * i;
		struct descriptor *chain = &descriptors[3 * i];
		chain[0] = (struct descriptor){header, 16, 1, (uint16_t)(3 * i + 1)};
		chain[1] = (struct descriptor){0x1000u * (i + 1), sizes[i], flags, (uint16_t)(3 * i + 2)};
		chain[2] = (struct descriptor){header + 16, 1, 2, 0};
		memcpy(ram + header, &headers[i], sizeof(headers[i]));
		avail[2 + i] = (uint16_t)(3 * i);
	}
	*(struct segment *)(ram + 0x3000) = (struct segment){8, 16, 0};
	*(struct segment *)(ram + 0x4000) = (struct segment){4, 5, 1};
}

static void patch_ram(uint8_t *ram, const uint8_t *data, size_t size) {
	while (size >= 3) {
		size_t address = data[0] | (size_t)data[1] << 8, len = data[2] & 15;
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		len = len < RAM_SIZE - address ? len : RAM_SIZE - address;
		memcpy(ram + address, data, len);
		data += len;
		size -= len;
	}
}

static void serve(struct disk_under_fuzz *disk, uint64_t features, bool write_through) {
	struct block_device *device = (struct block_device *)disk->device;
	struct virtqueue_config config = {.descriptor_area = {0},
		.driver_area = {0x100},
		.device_area = {0x200},
		.size = QUEUE_SIZE,
		.vector = 0};
	static struct block_queue queue;
	queue = (struct block_queue){
		.device = device, .virtqueue = &disk->device->queues[0], .requests = disk->requests};
	atomic_store(&device->broken, false);
	device->disk.write_through = write_through && device->disk.mode == BLOCK_READ_WRITE;
	disk->device->config_call_fd = -1;
	require(virtqueue_start(queue.virtqueue, &memory, &config, features, -1) == 0);
	block_queue_take(&queue);
	virtqueue_stop(queue.virtqueue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (memory.region_count == 0) {
		initialise();
	}
	if (size == 0 || (data[0] & 3) == 3) {
		return -1;
	}
	enum block_mode mode = data[0] & 3;
	fill_ram(memory.regions[0].host);
	patch_ram(memory.regions[0].host, data + 1, size - 1);
	uint64_t features = (uint64_t)(data[0] >> 2 & 3) << VIRTIO_RING_F_INDIRECT_DESC |
			    UINT64_C(1) << VIRTIO_RING_F_VERSION_1;
	serve(&disks[mode], features, (data[0] >> 4 & 1) != 0);
	check_image(&disks[mode], mode);
	return 0;
}
