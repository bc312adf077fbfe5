/*
 * A virtio device driven from user space: what a guest does that has taken over its own kernel. The device is
 * taken from the kernel's driver; its registers are mapped through sysfs, its rings lie in this program's
 * locked pages. Nothing checks what is put into them. The program ends when a device cannot be taken.
 */
#ifndef RAW_VIRTIO_H
#define RAW_VIRTIO_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define RAW_PAGE 4096u
#define RAW_QUEUE_MAX 256u

/* The parts of virtio 1.2 that are needed: sections 2.7 and 4.1.4. */
#define RAW_NEXT 1
#define RAW_WRITE 2
#define RAW_INDIRECT 4
#define RAW_NEEDS_RESET 0x40
struct raw_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};
struct raw_ring {
	struct raw_desc desc[RAW_QUEUE_MAX];
	uint16_t avail_flags, avail_index, avail[RAW_QUEUE_MAX];
	uint8_t gap[1024 - 4 - 2 * RAW_QUEUE_MAX];
	uint16_t used_flags, used_index;
	struct {
		uint32_t id, len;
	} used[RAW_QUEUE_MAX];
};
struct raw_common {
	uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
	uint16_t config_msix_vector, num_queues;
	uint8_t device_status, config_generation;
	uint16_t queue_select, queue_size, queue_msix_vector, queue_enable, queue_notify_off;
	uint32_t queue_desc_low, queue_desc_high, queue_driver_low, queue_driver_high, queue_device_low,
		queue_device_high;
};

/* Memory is known to be in one piece only within a page. */
struct raw_page {
	uint8_t *at;
	uint64_t physical;
};

struct raw_queue {
	volatile struct raw_ring *ring;
	uint16_t index, size;
	uint16_t seen; /* used elements, by who looks at them */
};

extern volatile struct raw_common *raw_common;

/* Print what and the error, and end. */
void raw_fail(const char *what);
struct raw_page raw_page_get(void);

/* Take the device of which this file in its folder says this. The folder of its PCI function is pci's. */
void raw_take(const char *file, const char *text, char pci[PATH_MAX]);
/* Status 0. */
void raw_reset(void);
/* From after a reset up to FEATURES_OK, with VERSION_1; false when the device does not agree. */
bool raw_negotiate(uint32_t features);
/* An empty queue, enabled; size is a power of two. */
void raw_enable(struct raw_queue *queue, uint16_t index, uint16_t size);
/* DRIVER_OK; false when the device cannot start. */
bool raw_go(void);
/* Whether the device asks for a reset, within a few seconds. */
bool raw_broken(void);

void raw_set(struct raw_queue *queue, unsigned index, uint64_t address, uint32_t len, uint16_t flags,
	unsigned next);
void raw_kick(const struct raw_queue *queue);
void raw_offer(struct raw_queue *queue, uint16_t head);
/* Until the index of used elements is this; false after a minute. */
bool raw_wait(const struct raw_queue *queue, uint16_t index);

#endif
