/* The driver (see raw_9p.h). One thread; the device polls nothing and neither does the kernel: used entries
 * are waited for here. */
#define _GNU_SOURCE
#include "raw_9p.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define QUEUE 64u
#define WAIT_SECONDS 60
#define MESSAGE_MAX (2 * PAGE)
#define REPLY_PAGES (RAW_MSIZE / PAGE)
#define SMALL_REPLY PAGE

/* The parts of virtio 1.2 that are needed: sections 2.7, 4.1.4. */
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
struct desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};
struct ring {
	struct desc desc[QUEUE];
	uint16_t avail_flags, avail_index, avail[QUEUE];
	uint8_t gap[PAGE - 16 * QUEUE - 4 - 2 * QUEUE];
	uint16_t used_flags, used_index;
	struct {
		uint32_t id, len;
	} used[QUEUE];
};
struct common {
	uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
	uint16_t config_msix_vector, num_queues;
	uint8_t device_status, config_generation;
	uint16_t queue_select, queue_size, queue_msix_vector, queue_enable, queue_notify_off;
	uint32_t queue_desc_low, queue_desc_high, queue_driver_low, queue_driver_high, queue_device_low,
		queue_device_high;
};

struct page {
	uint8_t *at;
	uint64_t physical;
};

static volatile struct common *common;
static volatile uint16_t *notify;
static volatile struct ring *ring;
static uint64_t ring_physical;
/* Segments of one page each, since only within a page memory is known to be in one piece. */
static struct page requests[RAW_SLOTS][2], replies[REPLY_PAGES], small_replies[RAW_SLOTS];
static uint16_t next_tag, seen_used;
static unsigned queued;
static uint8_t reply[RAW_MSIZE];
static uint32_t reply_at;
uint32_t raw_size, raw_written;

static void fail(const char *what) {
	perror(what);
	exit(2);
}

/* ---- memory the device can be told of ---- */

static uint64_t physical_of(const void *at) {
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8 || entry >> 63 == 0) {
		fail("pagemap");
	}
	close(fd);
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static struct page page_get(void) {
	struct page page = {.at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0)};
	if (page.at == MAP_FAILED || mlock(page.at, PAGE) < 0) {
		fail("memory");
	}
	memset(page.at, 0, PAGE);
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
		fail(path);
	}
	close(fd);
}

/* The PCI address of the device with this mount tag. */
static bool find(const char *tag, char pci[PATH_MAX]) {
	char path[PATH_MAX], text[64];
	DIR *devices = opendir("/sys/bus/virtio/devices");
	bool found = false;
	for (struct dirent *entry; devices != NULL && !found && (entry = readdir(devices)) != NULL;) {
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/mount_tag", entry->d_name);
		if (entry->d_name[0] == '.' || !read_line(path, text, sizeof(text)) ||
			strcmp(text, tag) != 0) {
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
		fail(path);
	}
	close(fd);
	snprintf(path, sizeof(path), "%s/resource0", pci);
	fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t *bar = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || bar == MAP_FAILED) {
		fail(path);
	}
	close(fd);
	for (uint8_t at = config[0x34]; at != 0; at = config[at + 1]) {
		uint32_t offset;
		memcpy(&offset, config + at + 8, 4);
		if (config[at] == 9 && config[at + 3] == 1) {
			common = (volatile struct common *)(void *)(bar + offset);
		} else if (config[at] == 9 && config[at + 3] == 2) {
			notify = (volatile uint16_t *)(void *)(bar + offset);
		}
	}
	if (common == NULL || notify == NULL) {
		fail("no virtio device");
	}
}

void raw_reset(void) {
	const uint8_t acknowledge = 1, driver = 2, driver_ok = 4, features_ok = 8;
	memset((void *)ring, 0, sizeof(*ring));
	seen_used = 0;
	common->device_status = 0;
	while (common->device_status != 0) {
	}
	common->device_status = acknowledge | driver;
	common->driver_feature_select = 1;
	common->driver_feature = 1; /* VERSION_1, and nothing else */
	common->driver_feature_select = 0;
	common->driver_feature = 1; /* the mount tag */
	common->device_status = acknowledge | driver | features_ok;
	common->queue_select = 0;
	common->queue_size = QUEUE;
	common->queue_desc_low = (uint32_t)ring_physical;
	common->queue_desc_high = (uint32_t)(ring_physical >> 32);
	uint64_t avail = ring_physical + offsetof(struct ring, avail_flags);
	common->queue_driver_low = (uint32_t)avail;
	common->queue_driver_high = (uint32_t)(avail >> 32);
	uint64_t used = physical_of((const uint8_t *)(uintptr_t)ring + PAGE);
	common->queue_device_low = (uint32_t)used;
	common->queue_device_high = (uint32_t)(used >> 32);
	common->queue_enable = 1;
	common->device_status = acknowledge | driver | features_ok | driver_ok;
}

void raw_open(const char *tag) {
	char pci[PATH_MAX], path[PATH_MAX + 32];
	if (!find(tag, pci)) {
		fail("there is no such share");
	}
	snprintf(path, sizeof(path), "%s/driver/unbind", pci);
	write_line(path, strrchr(pci, '/') + 1);
	map_registers(pci);
	ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring == MAP_FAILED || mlock((void *)(uintptr_t)ring, 2 * PAGE) < 0) {
		fail("memory");
	}
	ring_physical = physical_of((const void *)(uintptr_t)ring);
	for (unsigned i = 0; i < RAW_SLOTS; i++) {
		requests[i][0] = page_get();
		requests[i][1] = page_get();
		small_replies[i] = page_get();
	}
	for (unsigned i = 0; i < REPLY_PAGES; i++) {
		replies[i] = page_get();
	}
	raw_reset();
}

/* ---- the ring ---- */

static void offer(uint16_t head) {
	ring->avail[ring->avail_index % QUEUE] = head;
	__sync_synchronize();
	ring->avail_index++;
	__sync_synchronize();
	*notify = 0;
}

static bool wait_used(uint16_t until) {
	struct timespec start, now, pause = {.tv_nsec = 200000};
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned turns = 0; ring->used_index != until; turns++) {
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

static void set_desc(unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	volatile struct desc *desc = &ring->desc[index];
	desc->address = address;
	desc->len = len;
	desc->flags = flags;
	desc->next = next;
}

/* The request of a slot as descriptors from first on; the last goes on to whatever comes behind them. */
static unsigned put_request(unsigned first, unsigned slot, uint32_t len) {
	uint32_t head = len < PAGE ? len : PAGE;
	set_desc(first, requests[slot][0].physical, head, DESC_NEXT, (uint16_t)(first + 1));
	if (len > PAGE) {
		set_desc(first + 1, requests[slot][1].physical, len - PAGE, DESC_NEXT, (uint16_t)(first + 2));
	}
	return first + 1 + (len > PAGE);
}

/* ---- messages ---- */

struct message {
	uint8_t data[MESSAGE_MAX];
	uint32_t len;
};

static void put(struct message *message, const void *data, size_t size) {
	if (size <= MESSAGE_MAX - message->len) {
		memcpy(message->data + message->len, data, size);
		message->len += (uint32_t)size;
	}
}

static void put_number(struct message *message, uint64_t value, size_t size) {
	put(message, &value, size); /* this machine is little-endian, as the protocol is */
}

static void put_fields(struct message *message, const char *format, va_list *args) {
	for (; *format != '\0'; format++) {
		const char *string;
		size_t len;
		switch (*format) {
		case 'b':
			put_number(message, (uint64_t)va_arg(*args, int), 1);
			break;
		case 'h':
			put_number(message, (uint64_t)va_arg(*args, int), 2);
			break;
		case 'w':
			put_number(message, va_arg(*args, unsigned), 4);
			break;
		case 'q':
			put_number(message, va_arg(*args, uint64_t), 8);
			break;
		default:
			string = va_arg(*args, const char *);
			len = *format == 's' ? strlen(string) : va_arg(*args, size_t);
			if (*format != 'D') {
				put_number(message, len, 2);
			}
			put(message, string, len);
		}
	}
}

static uint32_t build(unsigned slot, uint32_t size, uint8_t type, const char *format, va_list *args) {
	struct message message = {0};
	next_tag++;
	put_number(&message, 0, 4);
	put_number(&message, type, 1);
	put_number(&message, next_tag, 2);
	put_fields(&message, format, args);
	size = size == 0 ? message.len : size;
	memcpy(message.data, &size, 4);
	uint32_t head = message.len < PAGE ? message.len : PAGE;
	memcpy(requests[slot][0].at, message.data, head);
	memcpy(requests[slot][1].at, message.data + head, message.len - head);
	return message.len;
}

uint64_t raw_number(unsigned size) {
	uint64_t value = 0;
	if (raw_size - reply_at >= size) {
		memcpy(&value, reply + reply_at, size);
		reply_at += size;
	}
	return value;
}

const uint8_t *raw_bytes(size_t size) {
	const uint8_t *at = reply + reply_at;
	if (raw_size - reply_at < size) {
		return NULL;
	}
	reply_at += (uint32_t)size;
	return at;
}

static int call(uint32_t size, uint8_t type, const char *format, va_list *args) {
	uint32_t len = build(0, size, type, format, args);
	unsigned at = put_request(0, 0, len);
	for (unsigned i = 0; i < REPLY_PAGES; i++, at++) {
		set_desc(at, replies[i].physical, PAGE, DESC_WRITE | (i + 1 < REPLY_PAGES ? DESC_NEXT : 0),
			(uint16_t)(at + 1));
	}
	offer(0);
	raw_size = reply_at = 0;
	if (!wait_used((uint16_t)(seen_used + 1))) {
		return -1;
	}
	raw_written = ring->used[seen_used++ % QUEUE].len;
	for (unsigned i = 0; i < REPLY_PAGES; i++) {
		memcpy(reply + i * PAGE, replies[i].at, PAGE);
	}
	raw_size = RAW_MSIZE;
	uint32_t told = (uint32_t)raw_number(4);
	uint8_t answer = (uint8_t)raw_number(1);
	uint16_t tag = (uint16_t)raw_number(2);
	raw_size = told;
	if (told != raw_written || told < 7 || told > RAW_MSIZE || tag != next_tag ||
		(answer != 7 && answer != type + 1)) {
		printf("# a reply that is none: size %u, written %u, type %u to %u\n", told, raw_written,
			answer, type);
		return -1;
	}
	return answer == 7 ? (int)raw_number(4) : 0;
}

int raw_call(uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int ret = call(0, type, format, &args);
	va_end(args);
	return ret;
}

int raw_call_sized(uint32_t size, uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int ret = call(size, type, format, &args);
	va_end(args);
	return ret;
}

void raw_queue(unsigned slot, uint8_t type, const char *format, ...) {
	va_list args;
	va_start(args, format);
	uint32_t len = build(slot, 0, type, format, &args);
	va_end(args);
	unsigned first = slot * 3, at = put_request(first, slot, len);
	set_desc(at, small_replies[slot].physical, SMALL_REPLY, DESC_WRITE, 0);
	offer((uint16_t)first);
	queued++;
}

unsigned raw_collect(void) {
	uint16_t before = seen_used, until = (uint16_t)(seen_used + queued);
	seen_used = wait_used(until) ? until : ring->used_index;
	queued = 0;
	return (uint16_t)(seen_used - before);
}

bool raw_chain(uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	const uint8_t needs_reset = 0x40;
	set_desc(0, address, len, flags, next);
	offer(0);
	struct timespec pause = {.tv_nsec = 1000000};
	for (unsigned i = 0; i < 5000; i++) {
		if ((common->device_status & needs_reset) != 0) {
			return false;
		}
		if (ring->used_index != seen_used) {
			seen_used++;
			return true;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}
