/*
 * The device side of a split virtqueue: chains out of the available ring, used elements back, and the
 * two ways to keep each other quiet. Runs wherever the queue's device does, on the one thread that
 * owns the queue. Rings, descriptors and indirect tables are the driver's, hostile, and may change
 * between any two reads: each is copied once, and only the copy is checked and used.
 */
#include "ph/virtqueue.h"

#include "ph/fd.h"
#include "ph/virtio.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2
#define DESCRIPTOR_INDIRECT 4
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1

struct descriptor {
	uint64_t address;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct used_element {
	uint32_t id;
	uint32_t len;
};

/* ---- the fields of the rings; offsets from virtio 1.2, sections 2.7.6 and 2.7.8 ---- */

static uint16_t *avail_flags(const struct virtqueue *queue) {
	return (uint16_t *)queue->avail;
}

static uint16_t *avail_index(const struct virtqueue *queue) {
	return (uint16_t *)(queue->avail + 2);
}

static uint16_t *avail_head(const struct virtqueue *queue, uint16_t index) {
	return (uint16_t *)(queue->avail + 4) + (index & (queue->size - 1));
}

static uint16_t *used_event(const struct virtqueue *queue) {
	return (uint16_t *)(queue->avail + 4) + queue->size;
}

static uint16_t *used_flags(const struct virtqueue *queue) {
	return (uint16_t *)queue->used;
}

static uint16_t *used_index(const struct virtqueue *queue) {
	return (uint16_t *)(queue->used + 2);
}

static struct used_element *used_element(const struct virtqueue *queue, uint16_t index) {
	return (struct used_element *)(queue->used + 4) + (index & (queue->size - 1));
}

static uint16_t *avail_event(const struct virtqueue *queue) {
	return (uint16_t *)((struct used_element *)(queue->used + 4) + queue->size);
}

/* ---- heads in flight ---- */

static bool in_flight(const struct virtqueue *queue, uint16_t head) {
	return (queue->in_flight[head / 64] >> (head % 64) & 1) != 0;
}

static void set_in_flight(struct virtqueue *queue, uint16_t head) {
	queue->in_flight[head / 64] |= 1ULL << (head % 64);
}

static void clear_in_flight(struct virtqueue *queue, uint16_t head) {
	queue->in_flight[head / 64] &= ~(1ULL << (head % 64));
}

/* ---- start and stop ---- */

static void *ring_at(const struct guest_memory *memory, gpa_t address, unsigned alignment, uint64_t len) {
	return address.value % alignment != 0 ? NULL : guest_memory_at(memory, address, len);
}

int virtqueue_start(struct virtqueue *queue, const struct guest_memory *memory,
	const struct virtqueue_config *config, uint64_t features, int call_fd) {
	uint16_t size = config->size;
	virtqueue_stop(queue);
	if (size == 0 || size > VIRTQUEUE_SIZE_MAX || (size & (size - 1)) != 0) {
		return -EINVAL;
	}
	uint8_t *descriptors = ring_at(memory, config->descriptor_area, 16, 16ULL * size);
	uint8_t *avail = ring_at(memory, config->driver_area, 2, 6 + 2ULL * size);
	uint8_t *used = ring_at(memory, config->device_area, 4, 6 + 8ULL * size);
	if (descriptors == NULL || avail == NULL || used == NULL) {
		return -EINVAL;
	}
	queue->memory = memory;
	queue->size = size;
	queue->event_idx = (features >> VIRTIO_RING_F_EVENT_IDX & 1) != 0;
	queue->indirect = (features >> VIRTIO_RING_F_INDIRECT_DESC & 1) != 0;
	queue->descriptors = descriptors;
	queue->avail = avail;
	queue->used = used;
	queue->call_fd = call_fd;
	return 0;
}

void virtqueue_stop(struct virtqueue *queue) {
	queue->memory = NULL;
	queue->size = 0;
	queue->broken = false;
	queue->rule = NULL;
	queue->descriptors = NULL;
	queue->avail = NULL;
	queue->used = NULL;
	queue->last_avail = queue->last_head = queue->used_index = queue->signalled_used = 0;
	queue->signalled_valid = true;
	queue->call_fd = -1;
	memset(queue->in_flight, 0, sizeof(queue->in_flight));
}

/* ---- chains ---- */

static int break_queue(struct virtqueue *queue, const char *rule) {
	queue->rule = rule;
	queue->broken = true;
	return -EPROTO;
}

static struct descriptor copy_descriptor(const uint8_t *table, uint32_t index) {
	struct descriptor copy;
	memcpy(&copy, table + (size_t)index * sizeof(copy), sizeof(copy));
	/* What is checked from here on is the copy: the compiler must not read the guest's bytes again. */
	__asm__ volatile("" : : : "memory");
	return copy;
}

/* Add what a descriptor points to to the chain. */
static int add_segment(
	struct virtqueue *queue, struct virtqueue_chain *chain, const struct descriptor *descriptor) {
	bool writable = (descriptor->flags & DESCRIPTOR_WRITE) != 0;
	if (!writable && chain->writable_count > 0) {
		return break_queue(queue, "a device-readable descriptor follows a device-writable one");
	}
	if (descriptor->len == 0) {
		return 0;
	}
	void *host = guest_memory_at(queue->memory, (gpa_t){descriptor->address}, descriptor->len);
	if (host == NULL) {
		return break_queue(queue, "a descriptor points outside of RAM");
	}
	struct iovec *iov = &chain->iov[chain->readable_count + chain->writable_count];
	*iov = (struct iovec){.iov_base = host, .iov_len = descriptor->len};
	if (writable) {
		chain->writable_count++;
		chain->writable_size += descriptor->len;
	} else {
		chain->readable_count++;
		chain->readable_size += descriptor->len;
	}
	if (chain->readable_size + chain->writable_size > 1ULL << 32) {
		return break_queue(queue, "a descriptor chain is longer than 4 GiB");
	}
	return 0;
}

/* A table of descriptors that a chain is being followed through. */
struct table {
	const uint8_t *descriptors;
	uint32_t count;
	bool indirect;
};

static int enter_indirect(struct virtqueue *queue, struct table *table, const struct descriptor *descriptor) {
	if (!queue->indirect) {
		return break_queue(queue, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	}
	if (table->indirect) {
		return break_queue(queue, "an indirect descriptor within an indirect table");
	}
	if ((descriptor->flags & DESCRIPTOR_NEXT) != 0) {
		return break_queue(queue, "a descriptor both indirect and continued");
	}
	if (descriptor->len == 0 || descriptor->len % sizeof(struct descriptor) != 0) {
		return break_queue(queue, "the size of an indirect table is zero or no multiple of 16");
	}
	table->count = descriptor->len / sizeof(struct descriptor);
	if (table->count > queue->size) {
		return break_queue(queue, "an indirect table has more entries than the queue");
	}
	table->descriptors = guest_memory_at(queue->memory, (gpa_t){descriptor->address}, descriptor->len);
	if (table->descriptors == NULL) {
		return break_queue(queue, "an indirect table lies outside of RAM");
	}
	table->indirect = true;
	return 0;
}

/* Follow a chain from its head. Each step but the one into an indirect table is a segment, and a chain has at
 * most as many as the queue: that ends loops, too. */
static int follow_chain(struct virtqueue *queue, struct virtqueue_chain *chain) {
	struct table table = {.descriptors = queue->descriptors, .count = queue->size};
	uint32_t index = chain->head;
	for (unsigned steps = 0; steps < queue->size;) {
		struct descriptor descriptor = copy_descriptor(table.descriptors, index);
		if ((descriptor.flags & DESCRIPTOR_INDIRECT) != 0) {
			int ret = enter_indirect(queue, &table, &descriptor);
			if (ret < 0) {
				return ret;
			}
			index = 0;
			continue;
		}
		int ret = add_segment(queue, chain, &descriptor);
		if (ret < 0) {
			return ret;
		}
		if ((descriptor.flags & DESCRIPTOR_NEXT) == 0) {
			return 0;
		}
		if (descriptor.next >= table.count) {
			return break_queue(queue, "a descriptor continues outside of its table");
		}
		index = descriptor.next;
		steps++;
	}
	return break_queue(queue, "a descriptor chain is a loop or longer than the queue");
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain) {
	if (queue->broken) {
		return -EPROTO;
	}
	if (queue->size == 0) {
		return 0;
	}
	/* Acquire: the head and the descriptors were written before the index. */
	uint16_t waiting =
		(uint16_t)(__atomic_load_n(avail_index(queue), __ATOMIC_ACQUIRE) - queue->last_avail);
	if (waiting == 0) {
		return 0;
	}
	if (waiting > queue->size) {
		return break_queue(queue, "the available index is further ahead than the queue is long");
	}
	uint16_t head = __atomic_load_n(avail_head(queue, queue->last_avail), __ATOMIC_RELAXED);
	if (head >= queue->size) {
		return break_queue(queue, "an available head outside of the descriptor table");
	}
	if (in_flight(queue, head)) {
		return break_queue(queue, "an available head that the device already has");
	}
	chain->head = head;
	chain->readable_count = chain->writable_count = 0;
	chain->readable_size = chain->writable_size = 0;
	int ret = follow_chain(queue, chain);
	if (ret < 0) {
		return ret;
	}
	set_in_flight(queue, head);
	queue->last_head = head;
	queue->last_avail++;
	return 1;
}

void virtqueue_unpop(struct virtqueue *queue) {
	assert(in_flight(queue, queue->last_head));
	clear_in_flight(queue, queue->last_head);
	queue->last_avail--;
}

void virtqueue_push_all(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		assert(used[i].head < queue->size && in_flight(queue, used[i].head));
		clear_in_flight(queue, used[i].head);
		*used_element(queue, queue->used_index) =
			(struct used_element){.id = used[i].head, .len = used[i].written};
		queue->used_index++;
		if (queue->used_index == queue->signalled_used) {
			queue->signalled_valid =
				false; /* 65536 pushed since: the indexes alone no longer tell */
		}
	}
	/* Release: the elements and what the device wrote into the chains come first. */
	__atomic_store_n(used_index(queue), queue->used_index, __ATOMIC_RELEASE);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written) {
	const struct virtqueue_used used = {.head = head, .written = written};
	virtqueue_push_all(queue, &used, 1);
}

/* ---- notifications and interrupts ---- */

static bool driver_wants_interrupt(const struct virtqueue *queue, uint16_t old) {
	if (!queue->event_idx) {
		return (__atomic_load_n(avail_flags(queue), __ATOMIC_RELAXED) & AVAIL_NO_INTERRUPT) == 0;
	}
	/* It asked to hear when the element with number used_event is used: is that among the new ones? */
	uint16_t event = __atomic_load_n(used_event(queue), __ATOMIC_RELAXED);
	return !queue->signalled_valid ||
	       (uint16_t)(queue->used_index - event - 1) < (uint16_t)(queue->used_index - old);
}

bool virtqueue_take_signal(struct virtqueue *queue) {
	if (queue->size == 0 || (queue->used_index == queue->signalled_used && queue->signalled_valid)) {
		return false;
	}
	/* The driver asks for interrupts and then looks at the used index; we moved the index and now look at
	 * what it asked for. One of the two sees the other only if neither is reordered. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	bool wanted = driver_wants_interrupt(queue, queue->signalled_used);
	queue->signalled_used = queue->used_index;
	queue->signalled_valid = true;
	return wanted && queue->call_fd >= 0;
}

void virtqueue_signal(struct virtqueue *queue) {
	if (virtqueue_take_signal(queue)) {
		fd_event_signal(queue->call_fd);
	}
}

bool virtqueue_enable_notify(struct virtqueue *queue) {
	if (queue->size == 0 || queue->broken) {
		return false;
	}
	if (queue->event_idx) {
		__atomic_store_n(avail_event(queue), queue->last_avail, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(used_flags(queue), 0, __ATOMIC_RELAXED);
	}
	/* As in virtqueue_take_signal(), with the parts exchanged. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(avail_index(queue), __ATOMIC_ACQUIRE) != queue->last_avail;
}

void virtqueue_disable_notify(struct virtqueue *queue) {
	/* With EVENT_IDX the event that was asked for has passed: silence until another one is asked for. */
	if (queue->size != 0 && !queue->event_idx) {
		__atomic_store_n(used_flags(queue), USED_NO_NOTIFY, __ATOMIC_RELAXED);
	}
}
