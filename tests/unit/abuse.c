/*
 * See abuse.h. Nothing here knows how ph is made: registers are found by the capabilities, as a driver does,
 * and what is expected is what the specification says (virtio 1.2), or that nothing happens.
 */
#include "abuse_parts.h"

struct abuse_target abused;

static uint32_t random_state;

uint32_t abuse_random_number(void) {
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

void abuse_fill(void *at, uint8_t value, size_t len) {
	volatile uint8_t *bytes = at;
	for (size_t i = 0; i < len; i++) {
		bytes[i] = value;
	}
}

static void copy(void *to, const void *from, size_t len) {
	volatile uint8_t *bytes = to;
	for (size_t i = 0; i < len; i++) {
		bytes[i] = ((const uint8_t *)from)[i];
	}
}

/* ---- registers ---- */

uint32_t abuse_get(enum field field, unsigned len) {
	return (uint32_t)machine_bar_read(abused.slot, abused.common + field, len);
}

void abuse_set(enum field field, unsigned len, uint32_t value) {
	machine_bar_write(abused.slot, abused.common + field, len, value);
}

void abuse_set_address(enum field field, uint64_t address) {
	abuse_set(field, 4, (uint32_t)address);
	abuse_set(field + 4, 4, (uint32_t)(address >> 32));
}

uint64_t abuse_get_address(enum field field) {
	return abuse_get(field, 4) | (uint64_t)abuse_get(field + 4, 4) << 32;
}

bool abuse_running(void) {
	return abuse_get(STATUS, 1) == (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

bool abuse_reset(void) {
	abuse_set(STATUS, 1, 0);
	for (unsigned i = 0; i < PATIENCE && abuse_get(STATUS, 1) != 0; i++) {
		machine_pause();
	}
	return abuse_get(STATUS, 1) == 0;
}

/* Whether the device says that it needs a reset, once it had the time to look. */
bool abuse_needs_reset(void) {
	for (unsigned i = 0; i < PATIENCE; i++) {
		if ((abuse_get(STATUS, 1) & NEEDS_RESET) != 0) {
			return true;
		}
		machine_pause();
	}
	return false;
}

void abuse_look_away(void) {
	for (unsigned i = 0; i < 20; i++) {
		abuse_get(STATUS, 1);
		machine_pause();
	}
}

uint64_t abuse_offered(void) {
	abuse_set(FEATURE_SELECT, 4, 1);
	uint64_t features = (uint64_t)abuse_get(FEATURE, 4) << 32;
	abuse_set(FEATURE_SELECT, 4, 0);
	return features | abuse_get(FEATURE, 4);
}

void abuse_accept(uint64_t features) {
	abuse_set(DRIVER_FEATURE_SELECT, 4, 0);
	abuse_set(DRIVER_FEATURE, 4, (uint32_t)features);
	abuse_set(DRIVER_FEATURE_SELECT, 4, 1);
	abuse_set(DRIVER_FEATURE, 4, (uint32_t)(features >> 32));
}

void abuse_kick(unsigned queue) {
	machine_bar_write(abused.slot, abused.notify + queue * abused.notify_multiplier, 2, queue);
}

/* ---- what is there ---- */

static void find_parts(void) {
	unsigned count = 0;
	for (unsigned at = machine_config_read(abused.slot, 0x34, 1); at >= 0x40 && count < 16; count++) {
		unsigned id = machine_config_read(abused.slot, at, 1),
			 kind = machine_config_read(abused.slot, at + 3, 1);
		uint32_t offset = machine_config_read(abused.slot, at + 8, 4);
		if (id == 0x11) {
			abused.msix = machine_config_read(abused.slot, at + 4, 4) & ~7u;
			abused.vector_count = (machine_config_read(abused.slot, at + 2, 2) & 0x7ff) + 1;
		} else if (id == 9 && kind == 1) {
			abused.common = offset;
		} else if (id == 9 && kind == 2) {
			abused.notify = offset;
			abused.notify_multiplier = machine_config_read(abused.slot, at + 16, 4);
		} else if (id == 9 && kind == 5) {
			abused.window = at;
		}
		at = machine_config_read(abused.slot, at + 1, 1);
	}
}

static const char *name_of(unsigned type) {
	switch (type) {
	case NET:
		return "net";
	case BLOCK:
		return "block";
	case CONSOLE:
		return "console";
	case RNG:
		return "rng";
	case BALLOON:
		return "balloon";
	case FILES:
		return "9p";
	case WL:
		return "wl";
	default:
		return "unknown";
	}
}

static unsigned type_of(unsigned slot) {
	uint32_t id = machine_config_read(slot, 0, 4);
	return (id & 0xffff) == 0x1af4 && id >> 16 >= 0x1040 ? (id >> 16) - 0x1040 : 0;
}

const char *abuse_device_name(unsigned slot) {
	unsigned type = type_of(slot);
	return type == 0 ? NULL : name_of(type);
}

static void take(unsigned slot) {
	abused.slot = slot;
	abused.type = type_of(slot);
	find_parts();
	abused.queue_count = abuse_get(NUM_QUEUES, 2);
	random_state = slot;
}

/* Whether the device takes chains from this queue as soon as they come; of others when it has something. */
bool abuse_takes(unsigned queue) {
	switch (abused.type) {
	case NET:
	case WL:
		return queue == 1;
	case CONSOLE:
		return queue % 2 == 1;
	default:
		return true;
	}
}

/* The queues, from the first on, that requests of noise may come through. What is said on the console's ports
 * but the first is for ph itself, which ends a VM that talks nonsense there. */
unsigned abuse_noisy_queues(void) {
	return abused.type == CONSOLE ? 4 : abused.queue_count;
}

/* ---- starting ---- */

static void choose(struct queue *queue, unsigned index, unsigned rings) {
	abuse_set(Q_SELECT, 2, index);
	*queue = (struct queue){.index = index, .rings = rings, .size = (uint16_t)abuse_get(Q_SIZE, 2)};
	for (unsigned i = 0; i < 3; i++) {
		abuse_fill(machine_page(rings + i), 0, PAGE);
	}
}

static void lay_out(const struct queue *queue) {
	abuse_set(Q_SELECT, 2, queue->index);
	abuse_set(Q_VECTOR, 2, queue->index < abused.vector_count ? queue->index : NO_VECTOR);
	abuse_set_address(Q_DESC, machine_address(queue->rings));
	abuse_set_address(Q_DRIVER, machine_address(queue->rings + 1));
	abuse_set_address(Q_DEVICE, machine_address(queue->rings + 2));
}

/* virtio-wl starts with both of its queues only. */
static void lay_out_second(unsigned index) {
	struct queue second;
	choose(&second, 1 - index, RINGS_2);
	lay_out(&second);
	abuse_set(Q_ENABLE, 2, 1);
}

/* From a reset on, as far as the step and not further. */
void abuse_start_until(enum step last, unsigned index, uint64_t features) {
	choose(&abused.queue, index, RINGS);
	for (enum step step = ACKNOWLEDGED; step <= last; step++) {
		if (step == ACKNOWLEDGED) {
			abuse_set(STATUS, 1, ACKNOWLEDGE);
			abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER);
		} else if (step == SELECTED) {
			abuse_accept(features | VERSION_1);
		} else if (step == NEGOTIATED) {
			abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
		} else if (step == WITH_VECTOR) {
			abuse_set(CONFIG_VECTOR, 2, abused.vector_count - 1);
		} else if (step == WITH_QUEUE) {
			if (abused.type == WL) {
				lay_out_second(index);
			}
			lay_out(&abused.queue);
		} else if (step == ENABLED) {
			abuse_set(Q_ENABLE, 2, 1);
		} else if (step == RUNNING) {
			abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		}
	}
}

bool abuse_start(unsigned index, uint64_t features) {
	abuse_start_until(RUNNING, index, features);
	return abuse_running();
}

void abuse_put(void *at, unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	struct {
		uint64_t address;
		uint32_t len;
		uint16_t flags, next;
	} descriptor = {address, len, flags, next};
	copy((uint8_t *)at + 16 * (size_t)index, &descriptor, 16);
}

void abuse_describe(unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	abuse_put(machine_page(abused.queue.rings), index, address, len, flags, next);
}

void abuse_offer(struct queue *queue, uint16_t head) {
	uint8_t *avail = machine_page(queue->rings + 1);
	copy(avail + 4 + 2 * (size_t)(queue->avail % queue->size), &head, 2);
	queue->avail++;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	copy(avail + 2, &queue->avail, 2);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint16_t used_index(const struct queue *queue) {
	const volatile uint8_t *used = machine_page(queue->rings + 2);
	return (uint16_t)(used[2] | used[3] << 8);
}

static bool await_used(const struct queue *queue, uint16_t count) {
	for (unsigned i = 0; i < PATIENCE && used_index(queue) != count; i++) {
		abuse_get(STATUS, 1); /* lets even a machine without a pause run the device */
		machine_pause();
	}
	return used_index(queue) == count;
}

/* ---- that it lives ---- */

uint8_t *abuse_buffer(unsigned index) {
	return machine_page(BUFFERS + index);
}

uint64_t abuse_buffer_address(unsigned index) {
	return machine_address(BUFFERS + index);
}

/* What is in buffer 0 as a request, buffer 1 for the answer. */
static bool ask(uint32_t len, uint32_t room) {
	abuse_fill(abuse_buffer(1), 0, PAGE);
	abuse_describe(0, abuse_buffer_address(0), len, NEXT, 1);
	abuse_describe(1, abuse_buffer_address(1), room, WRITE, 0);
	abuse_offer(&abused.queue, 0);
	abuse_kick(abused.queue.index);
	return await_used(&abused.queue, 1);
}

static bool rng_serves(void) {
	abuse_describe(0, abuse_buffer_address(0), 64, WRITE, 0);
	abuse_offer(&abused.queue, 0);
	abuse_kick(0);
	return await_used(&abused.queue, 1);
}

static bool block_serves(void) {
	abuse_fill(abuse_buffer(0), 0, PAGE); /* read, sector 0 */
	abuse_fill(abuse_buffer(1), 0xff, PAGE);
	abuse_describe(0, abuse_buffer_address(0), 16, NEXT, 1);
	abuse_describe(1, abuse_buffer_address(1), 512, NEXT | WRITE, 2);
	abuse_describe(2, abuse_buffer_address(2), 1, WRITE, 0);
	abuse_fill(abuse_buffer(2), 0xff, 1);
	abuse_offer(&abused.queue, 0);
	abuse_kick(0);
	return await_used(&abused.queue, 1) && abuse_buffer(2)[0] == 0;
}

static bool files_serves(void) {
	static const uint8_t version[] = {
		21, 0, 0, 0, 100, 0xff, 0xff, 0, 16, 0, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};
	copy(abuse_buffer(0), version, sizeof(version));
	return ask(sizeof(version), PAGE) && abuse_buffer(1)[4] == 101;
}

/* A command that does not exist is answered. */
static bool wl_serves(void) {
	static const uint8_t command[8] = {0xee, 0xee};
	copy(abuse_buffer(0), command, sizeof(command));
	return ask(sizeof(command), PAGE);
}

/* An ARP packet of nobody's to nobody, which is taken and does not come back. */
static bool net_serves(void) {
	abuse_fill(abuse_buffer(0), 0, PAGE);
	abuse_describe(0, abuse_buffer_address(0), 12 + 60, 0, 0);
	abuse_offer(&abused.queue, 0);
	abuse_kick(1);
	return await_used(&abused.queue, 1);
}

/* That the driver is there, on the control queue; room for the answer is not given. */
static bool console_serves(void) {
	static const uint8_t ready[8] = {0, 0, 0, 0, 0, 0, 1, 0};
	copy(abuse_buffer(0), ready, sizeof(ready));
	abuse_describe(0, abuse_buffer_address(0), sizeof(ready), 0, 0);
	abuse_offer(&abused.queue, 0);
	abuse_kick(3);
	return await_used(&abused.queue, 1);
}

/* A page of nobody's is given back. */
static bool balloon_serves(void) {
	abuse_describe(0, abuse_buffer_address(0), PAGE, WRITE, 0);
	abuse_offer(&abused.queue, 0);
	abuse_kick(abused.queue.index);
	return await_used(&abused.queue, 1);
}

static const struct service {
	enum type type;
	unsigned queue;
	bool (*serves)(void);
} services[] = {
	{NET, 1, net_serves},
	{BLOCK, 0, block_serves},
	{CONSOLE, 3, console_serves},
	{RNG, 0, rng_serves},
	{BALLOON, 2, balloon_serves},
	{FILES, 0, files_serves},
	{WL, 1, wl_serves},
};

static bool serves(void) {
	for (unsigned i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (services[i].type == abused.type) {
			uint64_t own = abuse_offered() & ~(EVENT_IDX | INDIRECT);
			return abuse_reset() && abuse_start(services[i].queue, own) && services[i].serves() &&
			       abuse_running() && abuse_reset();
		}
	}
	return false;
}

bool abuse_lives(unsigned slot) {
	take(slot);
	return serves();
}

/* ---- all of them ---- */

static const struct abuse {
	const char *name;
	bool (*commit)(void);
} abuses[] = {
	{"the status out of order, features that are not offered", abuse_status_rules},
	{"a reset at every step", abuse_reset_at_every_step},
	{"a reset with requests in flight", abuse_reset_in_flight},
	{"queues, vectors and features changed while live", abuse_changed_while_live},
	{"queues out of range", abuse_queues_out_of_range},
	{"queue sizes out of range", abuse_sizes_out_of_range},
	{"vectors out of range", abuse_vectors_out_of_range},
	{"rings outside of memory", abuse_rings_nowhere},
	{"rings over each other", abuse_rings_over_each_other},
	{"rings that break every rule", abuse_broken_rings},
	{"a head in flight twice", abuse_head_twice},
	{"noise for requests, features not negotiated", abuse_noise},
	{"requests changed while they are served", abuse_changed_under_it},
	{"notifications of anything", abuse_notifications},
	{"configuration space of every width and offset", abuse_config_of_every_width},
	{"registers of every width and offset", abuse_registers_of_every_width},
	{"the window onto the registers", abuse_window_onto_registers},
	{"the table of vectors", abuse_vector_table},
	{"the BAR over memory, the APIC and another device", abuse_bar_elsewhere},
};

const unsigned abuse_count = sizeof(abuses) / sizeof(abuses[0]);

void abuse_commit(unsigned slot, unsigned other, unsigned first, unsigned count) {
	take(slot);
	abused.other = other;
	for (unsigned i = first; i < first + count && i < abuse_count; i++) {
		bool good = abuse_reset() && abuses[i].commit();
		good = abuse_reset() && good;
		/* Apart, so that it is tried in each case. */
		bool lives = serves();
		machine_result(good && lives, name_of(abused.type), abuses[i].name);
	}
}
