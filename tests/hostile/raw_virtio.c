/* The driver (see raw_virtio.h). One thread; the device polls nothing and neither does the kernel: used
 * elements are waited for here. */
#define _GNU_SOURCE
#include "raw_virtio.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 60

#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8

volatile struct raw_common *raw_common;
static volatile uint8_t *notifications;
static uint32_t notify_multiplier;

void raw_fail(const char *what) {
	perror(what);
	exit(2);
}

/* ---- memory the device can be told of ---- */

static uint64_t physical_of(const volatile void *at) {
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)at / RAW_PAGE * 8)) != 8 || entry >> 63 == 0) {
		raw_fail("pagemap");
	}
	close(fd);
	return (entry & ((UINT64_C(1) << 55) - 1)) * RAW_PAGE;
}

static void *get_memory(size_t size) {
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (at == MAP_FAILED || mlock(at, size) < 0) {
		raw_fail("memory");
	}
	memset(at, 0, size);
	return at;
}

struct raw_page raw_page_get(void) {
	struct raw_page page = {.at = get_memory(RAW_PAGE)};
	page.physical = physical_of(page.at);
	return page;
}

/* ---- taking the device ---- */

static bool read_line(const char *path, char *text, size_t size) {
	FILE *file = fopen(path, "re");
	bool read = file != NULL && fgets(text, (int)size, file) != NULL;
	if (file != NULL) {
		fclose(file);
	}
	text[strcspn(text, "\n")] = '\0';
	return read;
}

static void write_line(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		raw_fail(path);
	}
	close(fd);
}

static bool find(const char *file, const char *wanted, char pci[PATH_MAX]) {
	char path[PATH_MAX], text[64];
	DIR *devices = opendir("/sys/bus/virtio/devices");
	bool found = false;
	for (struct dirent *entry; devices != NULL && !found && (entry = readdir(devices)) != NULL;) {
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/%s", entry->d_name, file);
		if (entry->d_name[0] == '.' || !read_line(path, text, sizeof(text)) ||
			strcmp(text, wanted) != 0) {
			continue;
		}
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/..", entry->d_name);
		found = realpath(path, pci) != NULL;
	}
	if (devices != NULL) {
		closedir(devices);
	}
	return found;
}

/* The registers, which virtio-pci describes by capabilities in the configuration space. */
static void map_registers(const char *pci) {
	char path[PATH_MAX + 16];
	uint8_t config[256];
	snprintf(path, sizeof(path), "%s/config", pci);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint16_t command = 0x6; /* memory and bus mastering */
	if (fd < 0 || pread(fd, config, sizeof(config), 0) != sizeof(config) ||
		pwrite(fd, &command, 2, 4) != 2) {
		raw_fail(path);
	}
	close(fd);
	snprintf(path, sizeof(path), "%s/resource0", pci);
	fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t *bar = mmap(NULL, 4 * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || bar == MAP_FAILED) {
		raw_fail(path);
	}
	close(fd);
	for (uint8_t at = config[0x34]; at != 0; at = config[at + 1]) {
		uint32_t offset;
		memcpy(&offset, config + at + 8, 4);
		if (config[at] == 9 && config[at + 3] == 1) {
			raw_common = (volatile struct raw_common *)(void *)(bar + offset);
		} else if (config[at] == 9 && config[at + 3] == 2) {
			notifications = bar + offset;
			memcpy(&notify_multiplier, config + at + 16, 4);
		}
	}
	if (raw_common == NULL || notifications == NULL) {
		raw_fail("no virtio device");
	}
}

void raw_take(const char *file, const char *text, char pci[PATH_MAX]) {
	char path[PATH_MAX + 32];
	if (!find(file, text, pci)) {
		raw_fail("there is no such device");
	}
	snprintf(path, sizeof(path), "%s/driver/unbind", pci);
	write_line(path, strrchr(pci, '/') + 1);
	map_registers(pci);
}

/* ---- its life ---- */

void raw_reset(void) {
	raw_common->device_status = 0;
	while (raw_common->device_status != 0) {
	}
}

bool raw_negotiate(uint32_t features) {
	raw_common->device_status = ACKNOWLEDGE | DRIVER;
	raw_common->driver_feature_select = 1;
	raw_common->driver_feature = 1; /* VERSION_1 */
	raw_common->driver_feature_select = 0;
	raw_common->driver_feature = features;
	raw_common->device_status = ACKNOWLEDGE | DRIVER | FEATURES_OK;
	return (raw_common->device_status & FEATURES_OK) != 0;
}

void raw_enable(struct raw_queue *queue, uint16_t index, uint16_t size) {
	if (queue->ring == NULL) {
		queue->ring = get_memory(2 * RAW_PAGE);
	}
	memset((void *)(uintptr_t)queue->ring, 0, sizeof(*queue->ring));
	queue->index = index;
	queue->size = size;
	queue->seen = 0;
	uint64_t desc = physical_of(queue->ring),
		 rings = physical_of((volatile uint8_t *)queue->ring + RAW_PAGE);
	uint64_t used = rings + offsetof(struct raw_ring, used_flags) - RAW_PAGE;
	raw_common->queue_select = index;
	raw_common->queue_size = size;
	raw_common->queue_desc_low = (uint32_t)desc;
	raw_common->queue_desc_high = (uint32_t)(desc >> 32);
	raw_common->queue_driver_low = (uint32_t)rings;
	raw_common->queue_driver_high = (uint32_t)(rings >> 32);
	raw_common->queue_device_low = (uint32_t)used;
	raw_common->queue_device_high = (uint32_t)(used >> 32);
	raw_common->queue_enable = 1;
}

bool raw_go(void) {
	raw_common->device_status = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
	return (raw_common->device_status & (DRIVER_OK | RAW_NEEDS_RESET)) == DRIVER_OK;
}

bool raw_broken(void) {
	const struct timespec pause = {.tv_nsec = 1000000};
	for (unsigned i = 0; i < 5000; i++) {
		if ((raw_common->device_status & RAW_NEEDS_RESET) != 0) {
			return true;
		}
		nanosleep(&pause, NULL);
	}
	return false;
}

/* ---- rings ---- */

void raw_set(struct raw_queue *queue, unsigned index, uint64_t address, uint32_t len, uint16_t flags,
	unsigned next) {
	volatile struct raw_desc *desc = &queue->ring->desc[index];
	desc->address = address;
	desc->len = len;
	desc->flags = flags;
	desc->next = (uint16_t)next;
}

void raw_kick(const struct raw_queue *queue) {
	*(volatile uint16_t *)(volatile void *)(notifications + queue->index * notify_multiplier) =
		queue->index;
}

void raw_offer(struct raw_queue *queue, uint16_t head) {
	volatile struct raw_ring *ring = queue->ring;
	ring->avail[ring->avail_index % queue->size] = head;
	__sync_synchronize();
	ring->avail_index++;
	__sync_synchronize();
	raw_kick(queue);
}

bool raw_wait(const struct raw_queue *queue, uint16_t index) {
	struct timespec start, now, pause = {.tv_nsec = 200000};
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned turns = 0; queue->ring->used_index != index; turns++) {
		if (turns > 1000) {
			nanosleep(&pause, NULL);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > WAIT_SECONDS) {
			return false;
		}
	}
	__sync_synchronize();
	return true;
}
