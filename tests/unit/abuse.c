/*
 * See abuse.h. Nothing here knows how ph is made: registers are found by the capabilities, as a driver does,
 * and what is expected is what the specification says (virtio 1.2), or that nothing happens.
 */
#include "abuse.h"

#include <stddef.h>

#define PAGE 4096u
#define QUEUES_MAX 64u
#define PATIENCE 100000u

#define VERSION_1 (1ULL << 32)
#define EVENT_IDX (1ULL << 29)
#define INDIRECT (1ULL << 28)

#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
#define NEEDS_RESET 0x40
#define FAILED 0x80

#define NEXT 1
#define WRITE 2
#define IS_TABLE 4

#define NO_VECTOR 0xffff
#define NOWHERE 0xd8000000u /* in the 32-bit hole, where no RAM lies */

enum field {
	FEATURE_SELECT = 0x00,
	FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	Q_SELECT = 0x16,
	Q_SIZE = 0x18,
	Q_VECTOR = 0x1a,
	Q_ENABLE = 0x1c,
	Q_NOTIFY = 0x1e,
	Q_DESC = 0x20,
	Q_DRIVER = 0x28,
	Q_DEVICE = 0x30,
};

enum type { NET = 1, BLOCK = 2, CONSOLE = 3, RNG = 4, BALLOON = 5, FILES = 9, WL = 63 };

/* Pages: the rings of two queues, then buffers. */
enum { RINGS = 0, RINGS_2 = 3, BUFFERS = 6 };

struct queue {
	unsigned index, rings;
	uint16_t size, avail;
};

/* The device under attack. */
static struct {
	unsigned slot, other, type, queue_count, vector_count, common, notify, msix, window;
	uint32_t notify_multiplier;
	struct queue queue;
} d;

static uint32_t random_state;

static uint32_t random_number(void) {
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

static void fill(void *at, uint8_t value, size_t len) {
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

static uint32_t get(enum field field, unsigned len) {
	return (uint32_t)machine_bar_read(d.slot, d.common + field, len);
}

static void set(enum field field, unsigned len, uint32_t value) {
	machine_bar_write(d.slot, d.common + field, len, value);
}

static void set_address(enum field field, uint64_t address) {
	set(field, 4, (uint32_t)address);
	set(field + 4, 4, (uint32_t)(address >> 32));
}

static uint64_t get_address(enum field field) {
	return get(field, 4) | (uint64_t)get(field + 4, 4) << 32;
}

static bool running(void) {
	return get(STATUS, 1) == (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

static bool reset(void) {
	set(STATUS, 1, 0);
	for (unsigned i = 0; i < PATIENCE && get(STATUS, 1) != 0; i++) {
		machine_pause();
	}
	return get(STATUS, 1) == 0;
}

/* Whether the device says that it needs a reset, once it had the time to look. */
static bool needs_reset(void) {
	for (unsigned i = 0; i < PATIENCE; i++) {
		if ((get(STATUS, 1) & NEEDS_RESET) != 0) {
			return true;
		}
		machine_pause();
	}
	return false;
}

static void look_away(void) {
	for (unsigned i = 0; i < 20; i++) {
		get(STATUS, 1);
		machine_pause();
	}
}

static uint64_t offered(void) {
	set(FEATURE_SELECT, 4, 1);
	uint64_t features = (uint64_t)get(FEATURE, 4) << 32;
	set(FEATURE_SELECT, 4, 0);
	return features | get(FEATURE, 4);
}

static void accept(uint64_t features) {
	set(DRIVER_FEATURE_SELECT, 4, 0);
	set(DRIVER_FEATURE, 4, (uint32_t)features);
	set(DRIVER_FEATURE_SELECT, 4, 1);
	set(DRIVER_FEATURE, 4, (uint32_t)(features >> 32));
}

static void kick(unsigned queue) {
	machine_bar_write(d.slot, d.notify + queue * d.notify_multiplier, 2, queue);
}

/* ---- what is there ---- */

static void find_parts(void) {
	unsigned count = 0;
	for (unsigned at = machine_config_read(d.slot, 0x34, 1); at >= 0x40 && count < 16; count++) {
		unsigned id = machine_config_read(d.slot, at, 1),
			 kind = machine_config_read(d.slot, at + 3, 1);
		uint32_t offset = machine_config_read(d.slot, at + 8, 4);
		if (id == 0x11) {
			d.msix = machine_config_read(d.slot, at + 4, 4) & ~7u;
			d.vector_count = (machine_config_read(d.slot, at + 2, 2) & 0x7ff) + 1;
		} else if (id == 9 && kind == 1) {
			d.common = offset;
		} else if (id == 9 && kind == 2) {
			d.notify = offset;
			d.notify_multiplier = machine_config_read(d.slot, at + 16, 4);
		} else if (id == 9 && kind == 5) {
			d.window = at;
		}
		at = machine_config_read(d.slot, at + 1, 1);
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
	d.slot = slot;
	d.type = type_of(slot);
	find_parts();
	d.queue_count = get(NUM_QUEUES, 2);
	random_state = slot;
}

/* Whether the device takes chains from this queue as soon as they come; of others when it has something. */
static bool takes(unsigned queue) {
	switch (d.type) {
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
static unsigned noisy_queues(void) {
	return d.type == CONSOLE ? 4 : d.queue_count;
}

/* ---- starting ---- */

enum step { FRESH, ACKNOWLEDGED, SELECTED, NEGOTIATED, WITH_VECTOR, WITH_QUEUE, ENABLED, RUNNING, STEPS };

static void choose(struct queue *queue, unsigned index, unsigned rings) {
	set(Q_SELECT, 2, index);
	*queue = (struct queue){.index = index, .rings = rings, .size = (uint16_t)get(Q_SIZE, 2)};
	for (unsigned i = 0; i < 3; i++) {
		fill(machine_page(rings + i), 0, PAGE);
	}
}

static void lay_out(const struct queue *queue) {
	set(Q_SELECT, 2, queue->index);
	set(Q_VECTOR, 2, queue->index < d.vector_count ? queue->index : NO_VECTOR);
	set_address(Q_DESC, machine_address(queue->rings));
	set_address(Q_DRIVER, machine_address(queue->rings + 1));
	set_address(Q_DEVICE, machine_address(queue->rings + 2));
}

/* virtio-wl starts with both of its queues only. */
static void lay_out_second(unsigned index) {
	struct queue second;
	choose(&second, 1 - index, RINGS_2);
	lay_out(&second);
	set(Q_ENABLE, 2, 1);
}

/* From a reset on, as far as the step and not further. */
static void start_until(enum step last, unsigned index, uint64_t features) {
	choose(&d.queue, index, RINGS);
	for (enum step step = ACKNOWLEDGED; step <= last; step++) {
		if (step == ACKNOWLEDGED) {
			set(STATUS, 1, ACKNOWLEDGE);
			set(STATUS, 1, ACKNOWLEDGE | DRIVER);
		} else if (step == SELECTED) {
			accept(features | VERSION_1);
		} else if (step == NEGOTIATED) {
			set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
		} else if (step == WITH_VECTOR) {
			set(CONFIG_VECTOR, 2, d.vector_count - 1);
		} else if (step == WITH_QUEUE) {
			if (d.type == WL) {
				lay_out_second(index);
			}
			lay_out(&d.queue);
		} else if (step == ENABLED) {
			set(Q_ENABLE, 2, 1);
		} else if (step == RUNNING) {
			set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		}
	}
}

static bool start(unsigned index, uint64_t features) {
	start_until(RUNNING, index, features);
	return running();
}

static void put(void *at, unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	struct {
		uint64_t address;
		uint32_t len;
		uint16_t flags, next;
	} descriptor = {address, len, flags, next};
	copy((uint8_t *)at + 16 * (size_t)index, &descriptor, 16);
}

static void describe(unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next) {
	put(machine_page(d.queue.rings), index, address, len, flags, next);
}

static void offer(struct queue *queue, uint16_t head) {
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
		get(STATUS, 1); /* lets even a machine without a pause run the device */
		machine_pause();
	}
	return used_index(queue) == count;
}

/* ---- that it lives ---- */

static uint8_t *buffer(unsigned index) {
	return machine_page(BUFFERS + index);
}

static uint64_t buffer_address(unsigned index) {
	return machine_address(BUFFERS + index);
}

/* What is in buffer 0 as a request, buffer 1 for the answer. */
static bool ask(uint32_t len, uint32_t room) {
	fill(buffer(1), 0, PAGE);
	describe(0, buffer_address(0), len, NEXT, 1);
	describe(1, buffer_address(1), room, WRITE, 0);
	offer(&d.queue, 0);
	kick(d.queue.index);
	return await_used(&d.queue, 1);
}

static bool rng_serves(void) {
	describe(0, buffer_address(0), 64, WRITE, 0);
	offer(&d.queue, 0);
	kick(0);
	return await_used(&d.queue, 1);
}

static bool block_serves(void) {
	fill(buffer(0), 0, PAGE); /* read, sector 0 */
	fill(buffer(1), 0xff, PAGE);
	describe(0, buffer_address(0), 16, NEXT, 1);
	describe(1, buffer_address(1), 512, NEXT | WRITE, 2);
	describe(2, buffer_address(2), 1, WRITE, 0);
	fill(buffer(2), 0xff, 1);
	offer(&d.queue, 0);
	kick(0);
	return await_used(&d.queue, 1) && buffer(2)[0] == 0;
}

static bool files_serves(void) {
	static const uint8_t version[] = {
		21, 0, 0, 0, 100, 0xff, 0xff, 0, 16, 0, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};
	copy(buffer(0), version, sizeof(version));
	return ask(sizeof(version), PAGE) && buffer(1)[4] == 101;
}

/* A command that does not exist is answered. */
static bool wl_serves(void) {
	static const uint8_t command[8] = {0xee, 0xee};
	copy(buffer(0), command, sizeof(command));
	return ask(sizeof(command), PAGE);
}

/* An ARP packet of nobody's to nobody, which is taken and does not come back. */
static bool net_serves(void) {
	fill(buffer(0), 0, PAGE);
	describe(0, buffer_address(0), 12 + 60, 0, 0);
	offer(&d.queue, 0);
	kick(1);
	return await_used(&d.queue, 1);
}

/* That the driver is there, on the control queue; room for the answer is not given. */
static bool console_serves(void) {
	static const uint8_t ready[8] = {0, 0, 0, 0, 0, 0, 1, 0};
	copy(buffer(0), ready, sizeof(ready));
	describe(0, buffer_address(0), sizeof(ready), 0, 0);
	offer(&d.queue, 0);
	kick(3);
	return await_used(&d.queue, 1);
}

/* A page of nobody's is given back. */
static bool balloon_serves(void) {
	describe(0, buffer_address(0), PAGE, WRITE, 0);
	offer(&d.queue, 0);
	kick(d.queue.index);
	return await_used(&d.queue, 1);
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
		if (services[i].type == d.type) {
			uint64_t own = offered() & ~(EVENT_IDX | INDIRECT);
			return reset() && start(services[i].queue, own) && services[i].serves() &&
			       running() && reset();
		}
	}
	return false;
}

bool abuse_lives(unsigned slot) {
	take(slot);
	return serves();
}

/* ---- the state machine ---- */

static bool status_rules(void) {
	set(STATUS, 1, DRIVER_OK);
	bool good = (get(STATUS, 1) & DRIVER_OK) == 0;
	good = reset() && good;
	set(STATUS, 1, ACKNOWLEDGE | DRIVER);
	accept(offered() & ~VERSION_1);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	good = good && (get(STATUS, 1) & FEATURES_OK) == 0;
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	good = good && (get(STATUS, 1) & DRIVER_OK) == 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((offered() >> bit & 1) == 0) {
			good = reset() && good;
			set(STATUS, 1, ACKNOWLEDGE | DRIVER);
			accept(VERSION_1 | 1ULL << bit);
			set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
			good = good && (get(STATUS, 1) & FEATURES_OK) == 0;
		}
	}
	good = reset() && good;
	start_until(ENABLED, 0, 0);
	set(STATUS, 1, FAILED);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	return good && (get(STATUS, 1) & DRIVER_OK) == 0 && (get(STATUS, 1) & FAILED) != 0;
}

static bool is_fresh(void) {
	set(Q_SELECT, 2, 0);
	set(DRIVER_FEATURE_SELECT, 4, 1);
	bool fresh = get(STATUS, 1) == 0 && get(CONFIG_VECTOR, 2) == NO_VECTOR &&
		     get(Q_VECTOR, 2) == NO_VECTOR && get(Q_ENABLE, 2) == 0 && get_address(Q_DESC) == 0 &&
		     get_address(Q_DRIVER) == 0 && get_address(Q_DEVICE) == 0 && get(DRIVER_FEATURE, 4) == 0;
	set(DRIVER_FEATURE_SELECT, 4, 0);
	return fresh && get(DRIVER_FEATURE, 4) == 0;
}

static bool reset_at_every_step(void) {
	bool good = true;
	for (enum step step = FRESH; step < STEPS; step++) {
		start_until(step, 0, offered());
		good = reset() && is_fresh() && good;
	}
	return good;
}

/* Every queue filled with what is hardly a request, a page and a bit for the answer. */
static void fill_queue(void) {
	for (unsigned i = 0; i + 1 < d.queue.size; i += 2) {
		describe(i, buffer_address(0), 16, NEXT, (uint16_t)(i + 1));
		describe(i + 1, buffer_address(1 + i / 2 % 8), PAGE, WRITE, 0);
		offer(&d.queue, (uint16_t)i);
	}
	kick(d.queue.index);
}

/* After the reset the device touches nothing. */
static bool reset_in_flight(void) {
	bool good = true;
	for (unsigned round = 0; round < 8; round++) {
		start(round % noisy_queues(), offered() & ~(round % 2 != 0 ? EVENT_IDX | INDIRECT : 0));
		if (d.queue.size > 0) {
			fill_queue();
		}
		for (unsigned i = 0; i < round * 4; i++) {
			machine_pause();
		}
		good = reset() && good;
		for (unsigned i = 0; i < ABUSE_PAGES; i++) {
			fill(machine_page(i), 0x5a, PAGE);
		}
		look_away();
		for (unsigned i = 0; i < ABUSE_PAGES * PAGE; i++) {
			good = good && machine_page(i / PAGE)[i % PAGE] == 0x5a;
		}
	}
	return good;
}

/* ---- registers that lie ---- */

static bool changed_while_live(void) {
	bool good = start(0, 0);
	const uint16_t size = (uint16_t)get(Q_SIZE, 2), vector = (uint16_t)get(Q_VECTOR, 2);
	const uint64_t areas[] = {get_address(Q_DESC), get_address(Q_DRIVER), get_address(Q_DEVICE)};
	set(Q_SIZE, 2, size > 1 ? size / 2 : 2);
	set(Q_VECTOR, 2, (vector + 1u) % d.vector_count);
	set_address(Q_DESC, NOWHERE);
	set_address(Q_DRIVER, NOWHERE);
	set_address(Q_DEVICE, NOWHERE);
	set(Q_ENABLE, 2, 0);
	set(CONFIG_VECTOR, 2, 0x7fff);
	accept(0);
	set(DRIVER_FEATURE_SELECT, 4, 1);
	good = good && get(Q_SIZE, 2) == size && get(Q_VECTOR, 2) == vector && get(Q_ENABLE, 2) == 1 &&
	       get_address(Q_DESC) == areas[0] && get_address(Q_DRIVER) == areas[1] &&
	       get_address(Q_DEVICE) == areas[2] && get(CONFIG_VECTOR, 2) == d.vector_count - 1 &&
	       get(DRIVER_FEATURE, 4) == VERSION_1 >> 32;
	/* Those which are not in use cannot be put to use either. */
	for (unsigned i = 1; i < d.queue_count; i++) {
		set(Q_SELECT, 2, i);
		const uint64_t area = get_address(Q_DESC);
		const bool enabled = get(Q_ENABLE, 2) != 0;
		set_address(Q_DESC, NOWHERE);
		set(Q_ENABLE, 2, !enabled);
		good = good && get(Q_ENABLE, 2) == enabled && get_address(Q_DESC) == area;
	}
	return good && running();
}

static bool queues_out_of_range(void) {
	static const uint16_t beyond[] = {0x40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff};
	bool good = true;
	for (unsigned i = 0; i < 8 + sizeof(beyond) / sizeof(beyond[0]); i++) {
		set(Q_SELECT, 2, i < 8 ? d.queue_count + i : beyond[i - 8]);
		good = good && get(Q_SIZE, 2) == 0;
		for (unsigned field = Q_SIZE; field < Q_DEVICE + 8; field += 2) {
			set(field, 2, 0xffff);
			set(field, 4, 1);
		}
		good = good && get(Q_SIZE, 2) == 0 && get(Q_ENABLE, 2) == 0 && get_address(Q_DESC) == 0;
	}
	return good;
}

static bool sizes_out_of_range(void) {
	bool good = true;
	for (unsigned i = 0; i < d.queue_count; i++) {
		set(Q_SELECT, 2, i);
		const uint16_t size = (uint16_t)get(Q_SIZE, 2);
		const uint16_t wrong[] = {0, 3, (uint16_t)(size * 2), (uint16_t)(size + 1), 0x8000, 0xffff};
		for (unsigned k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			set(Q_SIZE, 2, wrong[k]);
			good = good && get(Q_SIZE, 2) == size;
		}
	}
	return good;
}

static bool vectors_out_of_range(void) {
	const uint16_t wrong[] = {
		(uint16_t)d.vector_count, (uint16_t)(d.vector_count + 1), 0x7ff, 0x800, 0xfffe};
	bool good = true;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set(CONFIG_VECTOR, 2, wrong[i]);
		good = good && get(CONFIG_VECTOR, 2) == NO_VECTOR;
		for (unsigned k = 0; k < d.queue_count; k++) {
			set(Q_SELECT, 2, k);
			set(Q_VECTOR, 2, wrong[i]);
			good = good && get(Q_VECTOR, 2) == NO_VECTOR;
		}
	}
	return good;
}

static bool rings_nowhere(void) {
	static const struct {
		enum field field;
		uint64_t address; /* below a page: added to the right one */
	} wrong[] = {{Q_DESC, 1}, {Q_DRIVER, 1}, {Q_DEVICE, 2}, {Q_DESC, NOWHERE}, {Q_DRIVER, NOWHERE},
		{Q_DEVICE, NOWHERE}, {Q_DESC, ~15ULL}, {Q_DRIVER, ~1ULL}, {Q_DEVICE, ~3ULL},
		{Q_DESC, 1ULL << 63}, {Q_DEVICE, 0xfffffffffffff000}};
	bool good = true;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		start_until(WITH_QUEUE, 0, 0);
		set_address(wrong[i].field, wrong[i].address < PAGE
						    ? get_address(wrong[i].field) + wrong[i].address
						    : wrong[i].address);
		set(Q_ENABLE, 2, 1);
		set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		good = needs_reset() && reset() && good;
	}
	return good;
}

/* The device writes over what it reads. */
static bool rings_over_each_other(void) {
	for (unsigned i = 0; i < noisy_queues(); i++) {
		start_until(WITH_QUEUE, i, INDIRECT);
		set_address(Q_DEVICE, machine_address(RINGS));
		set_address(Q_DRIVER, machine_address(RINGS) + 64);
		set(Q_ENABLE, 2, 1);
		set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		for (unsigned k = 0; k < PAGE; k++) {
			machine_page(RINGS)[k] = (uint8_t)random_number();
		}
		kick(i);
		look_away();
		if (!reset()) {
			return false;
		}
	}
	return true;
}

/* ---- rings that lie ---- */

static void loop_of_descriptors(void) {
	describe(0, buffer_address(0), 16, NEXT, 1);
	describe(1, buffer_address(0), 16, NEXT, 0);
	offer(&d.queue, 0);
}

static void next_outside(void) {
	describe(0, buffer_address(0), 16, NEXT, d.queue.size);
	offer(&d.queue, 0);
}

static void head_outside(void) {
	offer(&d.queue, d.queue.size);
}

static void index_jump(void) {
	describe(0, buffer_address(0), 16, WRITE, 0);
	d.queue.avail = 0x8000;
	offer(&d.queue, 0);
}

static void readable_after_writable(void) {
	describe(0, buffer_address(0), 16, NEXT | WRITE, 1);
	describe(1, buffer_address(0), 16, 0, 0);
	offer(&d.queue, 0);
}

static void outside_of_ram(void) {
	describe(0, NOWHERE, 16, 0, 0);
	offer(&d.queue, 0);
}

static void address_wraps(void) {
	describe(0, UINT64_MAX - 7, 16, WRITE, 0);
	offer(&d.queue, 0);
}

static void longer_than_ram(void) {
	describe(0, buffer_address(0), 0xffffffff, 0, 0);
	offer(&d.queue, 0);
}

static void table_in_table(void) {
	put(buffer(0), 0, buffer_address(0), 16, IS_TABLE, 0);
	describe(0, buffer_address(0), 16, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static void odd_table(void) {
	put(buffer(0), 0, buffer_address(1), 16, 0, 0);
	describe(0, buffer_address(0), 24, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static void empty_table(void) {
	describe(0, buffer_address(0), 0, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static void huge_table(void) {
	put(buffer(0), 0, buffer_address(1), 16, 0, 0);
	describe(0, buffer_address(0), 0x100000, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static void table_nowhere(void) {
	describe(0, NOWHERE, 16, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static void table_not_negotiated(void) {
	put(buffer(0), 0, buffer_address(1), 16, 0, 0);
	describe(0, buffer_address(0), 16, IS_TABLE, 0);
	offer(&d.queue, 0);
}

static const struct lie {
	void (*tell)(void);
	uint64_t features;
} lies[] = {
	{loop_of_descriptors, 0},
	{next_outside, 0},
	{head_outside, 0},
	{index_jump, 0},
	{readable_after_writable, 0},
	{outside_of_ram, 0},
	{address_wraps, 0},
	{longer_than_ram, 0},
	{table_in_table, INDIRECT},
	{odd_table, INDIRECT},
	{empty_table, INDIRECT},
	{huge_table, INDIRECT},
	{table_nowhere, INDIRECT},
	{table_not_negotiated, 0},
};

static bool broken_rings(void) {
	bool good = true;
	for (unsigned i = 0; i < d.queue_count; i++) {
		set(Q_SELECT, 2, i);
		if (get(Q_SIZE, 2) == 0) {
			continue;
		}
		for (unsigned k = 0; k < sizeof(lies) / sizeof(lies[0]); k++) {
			good = start(i, lies[k].features) && good;
			lies[k].tell();
			kick(i);
			if (takes(i)) {
				good = needs_reset() && good;
			}
			good = reset() && good;
		}
	}
	return good;
}

/* The same head again and again before the device can have returned it. */
static bool head_twice(void) {
	bool good = true;
	for (unsigned i = 0; i < noisy_queues(); i++) {
		start(i, 0);
		if (d.queue.size == 0) {
			good = reset() && good;
			continue;
		}
		describe(0, buffer_address(0), 16, NEXT, 1);
		describe(1, buffer_address(1), PAGE, WRITE, 0);
		for (unsigned k = 0; k < d.queue.size; k++) {
			offer(&d.queue, 0);
		}
		kick(i);
		look_away();
		good = reset() && good;
	}
	return good;
}

static void offer_noise(void) {
	for (unsigned k = 0; k < d.queue.size; k++) {
		uint32_t dice = random_number();
		uint16_t flags = (uint16_t)((dice & 7) == 7 ? IS_TABLE : dice & (NEXT | WRITE));
		uint64_t address = buffer_address(dice >> 4 & 7) + (dice >> 8 & 0xfff);
		describe(k, (dice >> 3 & 0x3f) == 0 ? random_number() * 4096ULL : address, dice >> 12 & 0xff,
			flags, (uint16_t)(random_number() % (d.queue.size + (dice >> 20 & 1))));
		put(buffer(dice & 7), random_number() % 256, address, dice >> 10 & 0x3f, flags & WRITE, 0);
	}
	for (unsigned k = 0; k < d.queue.size; k++) {
		offer(&d.queue, (uint16_t)(random_number() % d.queue.size));
	}
}

/* Chains and requests of noise, with all features and with none: what was not negotiated is not there. */
static bool noise(void) {
	bool good = true;
	for (unsigned round = 0; round < 48; round++) {
		for (unsigned i = 0; i < 8 * PAGE; i += 1 + random_number() % 64) {
			buffer(i / PAGE)[i % PAGE] = (uint8_t)(random_number() % 16);
		}
		start(round % noisy_queues(), round % 2 != 0 ? offered() : 0);
		if (d.queue.size != 0) {
			offer_noise();
			kick(d.queue.index);
			look_away();
		}
		good = reset() && good;
	}
	return good;
}

/* What the device has checked is changed while it serves. */
static bool changed_under_it(void) {
	bool good = true;
	for (unsigned round = 0; round < 16; round++) {
		start(round % noisy_queues(), INDIRECT);
		if (d.queue.size != 0) {
			fill_queue();
			for (unsigned i = 0; i < 4000; i++) {
				unsigned k = i % d.queue.size;
				describe(k, i % 3 == 0 ? NOWHERE : buffer_address(k % 8),
					i % 2 != 0 ? PAGE : UINT32_MAX, (uint16_t)(i % 8), (uint16_t)i);
				buffer(0)[i % 64] = (uint8_t)i;
			}
			look_away();
		}
		good = reset() && good;
	}
	return good;
}

/* ---- accesses of every width and offset ---- */

static bool notifications(void) {
	for (unsigned live = 0; live < 2; live++) {
		if (live == 1 && !start(0, 0)) {
			return false;
		}
		for (unsigned i = 0; i < 0x1000; i += i < 0x100 ? 1 : 0x3f) {
			for (unsigned len = 1; len <= 8; len *= 2) {
				machine_bar_write(d.slot, d.notify + i, len, ~0ULL);
			}
			machine_bar_read(d.slot, d.notify + i, 4);
		}
	}
	return running();
}

static uint32_t saved[64];

static void save_config(void) {
	for (unsigned i = 0; i < 64; i++) {
		saved[i] = machine_config_read(d.slot, 4 * i, 4);
	}
}

/* The BARs while they are not decoded, then all else. */
static bool restore_config(void) {
	machine_config_write(d.slot, 4, 2, 0);
	for (unsigned i = 4; i < 64; i++) {
		machine_config_write(d.slot, 4 * i, 4, saved[i]);
	}
	machine_config_write(d.slot, 4, 4, saved[1]);
	for (unsigned i = 0; i < 16; i++) {
		if (machine_config_read(d.slot, 4 * i, 4) != saved[i]) {
			return false;
		}
	}
	return true;
}

static bool config_of_every_width(void) {
	bool good = true;
	save_config();
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned len = 1; len <= 4; len *= 2) {
			for (unsigned i = 0; i + len <= 256; i += len) {
				machine_config_write(
					d.slot, i, len, pass == 0 ? 0xffffffff : random_number());
				machine_config_read(d.slot, i, len);
			}
		}
		good = restore_config() && reset() && good;
	}
	return good;
}

static void touch(unsigned offset, uint64_t value) {
	for (unsigned len = 1; len <= 8; len *= 2) {
		machine_bar_read(d.slot, offset, len);
		machine_bar_write(d.slot, offset, len, value);
	}
}

static bool registers_of_every_width(void) {
	static const unsigned places[] = {0x7f8, 0x7fc, 0x7ff, 0x800, 0xbfc, 0xc00, 0xc01, 0xc03, 0xc07,
		0xc3c, 0xc3f, 0xc40, 0xff8, 0xfff, 0x1ffc, 0x1fff, 0x2000, 0x2fff, 0x3000, 0x3001, 0x3004,
		0x3ff8};
	for (unsigned pass = 0; pass < 3; pass++) {
		uint64_t value = pass == 0 ? 0 : pass == 1 ? ~0ULL : 0x0102030405060708;
		for (unsigned i = 0; i < 0x48; i++) {
			touch(d.common + i, value);
		}
		for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			touch(places[i], value);
		}
	}
	return reset();
}

/* The registers by way of the configuration space (virtio 1.2, section 4.1.4.9). */
static bool window_onto_registers(void) {
	static const uint32_t offsets[] = {
		0, 0x14, 0x16, 0x3ffc, 0x3ffd, 0x3fff, 0x4000, 0x80000000, 0xfffffffc, 0xffffffff};
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 0x80000000, 0xffffffff};
	save_config();
	for (unsigned bar = 0; bar < 256; bar += bar < 7 ? 1 : 31) {
		machine_config_write(d.slot, d.window + 4, 1, bar);
		for (unsigned i = 0; i < 10; i++) {
			machine_config_write(d.slot, d.window + 8, 4, offsets[i]);
			for (unsigned k = 0; k < 9; k++) {
				machine_config_write(d.slot, d.window + 12, 4, lengths[k]);
				machine_config_read(d.slot, d.window + 16, 4);
				machine_config_write(d.slot, d.window + 16, 4, 0xffffff00);
			}
		}
	}
	bool good = reset();
	machine_config_write(d.slot, d.window + 4, 1, 0);
	machine_config_write(d.slot, d.window + 8, 4, d.common + NUM_QUEUES);
	machine_config_write(d.slot, d.window + 12, 4, 2);
	good = good && (machine_config_read(d.slot, d.window + 16, 4) & 0xffff) == d.queue_count;
	return restore_config() && good;
}

/* ---- vectors ---- */

static void set_vector(unsigned vector, uint64_t address, uint32_t data, uint32_t control) {
	machine_bar_write(d.slot, d.msix + 16 * vector, 4, (uint32_t)address);
	machine_bar_write(d.slot, d.msix + 16 * vector + 4, 4, address >> 32);
	machine_bar_write(d.slot, d.msix + 16 * vector + 8, 4, data);
	machine_bar_write(d.slot, d.msix + 16 * vector + 12, 4, control);
}

static unsigned msix_control(void) {
	for (unsigned at = machine_config_read(d.slot, 0x34, 1); at >= 0x40;
		at = machine_config_read(d.slot, at + 1, 1)) {
		if (machine_config_read(d.slot, at, 1) == 0x11) {
			return at + 2;
		}
	}
	return 0;
}

/* To a processor that is not there: what the interrupt is does not matter then, and nobody is disturbed. */
#define NOBODY 0xfee45000u

static bool vector_table(void) {
	static const uint64_t addresses[] = {
		NOBODY, 0, NOBODY | 0xffffffff00000000, 0x45000, NOBODY | 0xc, NOBODY | 3};
	const unsigned control = msix_control();
	const uint32_t before = machine_config_read(d.slot, control, 2);
	bool good = start(0, 0);
	for (unsigned round = 0; round < 40; round++) {
		machine_config_write(d.slot, control, 2, (round % 4) << 14);
		for (unsigned i = 0; i < d.vector_count; i++) {
			set_vector(i, addresses[round % 6], random_number(), round % 5 == 0);
		}
		if (round % 8 == 0 && takes(0)) {
			fill_queue();
		}
		machine_bar_read(d.slot, d.msix + 0x1000, 4);
	}
	for (unsigned i = d.vector_count; i < 256; i += 7) {
		set_vector(i, NOBODY, ~0u, 0);
		good = good && machine_bar_read(d.slot, d.msix + 16 * i, 4) == 0;
	}
	good = reset() && good;
	machine_config_write(d.slot, control, 2, 0);
	for (unsigned i = 0; i < d.vector_count; i++) {
		set_vector(i, 0, 0, 1);
	}
	machine_config_write(d.slot, control, 2, before);
	return good;
}

/* ---- the BAR ---- */

static void move_bar(uint64_t address) {
	machine_config_write(d.slot, 4, 2, 0);
	machine_config_write(d.slot, 0x10, 4, (uint32_t)address);
	machine_config_write(d.slot, 0x14, 4, (uint32_t)(address >> 32));
	machine_config_write(d.slot, 4, 2, 6);
	machine_config_write(d.slot, 0x10, 4, (uint32_t)address + 0x4000); /* and while it is decoded */
	machine_config_write(d.slot, 0x10, 4, (uint32_t)address);
}

static bool bar_elsewhere(void) {
	const uint64_t other = machine_config_read(d.other, 0x10, 4) & ~15u;
	const uint64_t places[] = {machine_ram(), 0, other, 0xfee00000, 0xffffc000, 0x100000000,
		0xffffffffffffc000, NOWHERE, 0xfffffffffc000};
	save_config();
	bool good = start(0, 0);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		move_bar(places[i]);
		good = restore_config() && running() && good;
	}
	machine_config_write(d.slot, 4, 2, 0);
	machine_config_write(d.slot, 0x10, 4, 0xffffffff);
	good = good && (machine_config_read(d.slot, 0x10, 4) & ~15u) == 0xffffc000;
	return restore_config() && running() && good;
}

/* ---- all of them ---- */

static const struct abuse {
	const char *name;
	bool (*commit)(void);
} abuses[] = {
	{"the status out of order, features that are not offered", status_rules},
	{"a reset at every step", reset_at_every_step},
	{"a reset with requests in flight", reset_in_flight},
	{"queues, vectors and features changed while live", changed_while_live},
	{"queues out of range", queues_out_of_range},
	{"queue sizes out of range", sizes_out_of_range},
	{"vectors out of range", vectors_out_of_range},
	{"rings outside of memory", rings_nowhere},
	{"rings over each other", rings_over_each_other},
	{"rings that break every rule", broken_rings},
	{"a head in flight twice", head_twice},
	{"noise for requests, features not negotiated", noise},
	{"requests changed while they are served", changed_under_it},
	{"notifications of anything", notifications},
	{"configuration space of every width and offset", config_of_every_width},
	{"registers of every width and offset", registers_of_every_width},
	{"the window onto the registers", window_onto_registers},
	{"the table of vectors", vector_table},
	{"the BAR over memory, the APIC and another device", bar_elsewhere},
};

const unsigned abuse_count = sizeof(abuses) / sizeof(abuses[0]);

void abuse_commit(unsigned slot, unsigned other, unsigned first, unsigned count) {
	take(slot);
	d.other = other;
	for (unsigned i = first; i < first + count && i < abuse_count; i++) {
		bool good = reset() && abuses[i].commit();
		good = reset() && good;
		/* Apart, so that it is tried in each case. */
		bool lives = serves();
		machine_result(good && lives, name_of(d.type), abuses[i].name);
	}
}
