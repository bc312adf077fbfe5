/*
 * What a driver must not do (see abuse.h). Each act begins after a reset; what it leaves behind, the next
 * reset takes away.
 */
#include "abuse_parts.h"

/* ---- the state machine ---- */

bool abuse_status_rules(void) {
	abuse_set(STATUS, 1, DRIVER_OK);
	bool good = (abuse_get(STATUS, 1) & DRIVER_OK) == 0;
	good = abuse_reset() && good;
	abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER);
	abuse_accept(abuse_offered() & ~VERSION_1);
	abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	good = good && (abuse_get(STATUS, 1) & FEATURES_OK) == 0;
	abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	good = good && (abuse_get(STATUS, 1) & DRIVER_OK) == 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((abuse_offered() >> bit & 1) == 0) {
			good = abuse_reset() && good;
			abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER);
			abuse_accept(VERSION_1 | 1ULL << bit);
			abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
			good = good && (abuse_get(STATUS, 1) & FEATURES_OK) == 0;
		}
	}
	good = abuse_reset() && good;
	abuse_start_until(ENABLED, 0, 0);
	abuse_set(STATUS, 1, FAILED);
	abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	return good && (abuse_get(STATUS, 1) & DRIVER_OK) == 0 && (abuse_get(STATUS, 1) & FAILED) != 0;
}

static bool is_fresh(void) {
	abuse_set(Q_SELECT, 2, 0);
	abuse_set(DRIVER_FEATURE_SELECT, 4, 1);
	bool fresh = abuse_get(STATUS, 1) == 0 && abuse_get(CONFIG_VECTOR, 2) == NO_VECTOR &&
		     abuse_get(Q_VECTOR, 2) == NO_VECTOR && abuse_get(Q_ENABLE, 2) == 0 &&
		     abuse_get_address(Q_DESC) == 0 && abuse_get_address(Q_DRIVER) == 0 &&
		     abuse_get_address(Q_DEVICE) == 0 && abuse_get(DRIVER_FEATURE, 4) == 0;
	abuse_set(DRIVER_FEATURE_SELECT, 4, 0);
	return fresh && abuse_get(DRIVER_FEATURE, 4) == 0;
}

bool abuse_reset_at_every_step(void) {
	bool good = true;
	for (enum step step = FRESH; step < STEPS; step++) {
		abuse_start_until(step, 0, abuse_offered());
		good = abuse_reset() && is_fresh() && good;
	}
	return good;
}

/* Every queue filled with what is hardly a request, a page and a bit for the answer. */
static void fill_queue(void) {
	for (unsigned i = 0; i + 1 < abused.queue.size; i += 2) {
		abuse_describe(i, abuse_buffer_address(0), 16, NEXT, (uint16_t)(i + 1));
		abuse_describe(i + 1, abuse_buffer_address(1 + i / 2 % 8), PAGE, WRITE, 0);
		abuse_offer(&abused.queue, (uint16_t)i);
	}
	abuse_kick(abused.queue.index);
}

/* After the reset the device touches nothing. */
bool abuse_reset_in_flight(void) {
	bool good = true;
	for (unsigned round = 0; round < 8; round++) {
		abuse_start(round % abuse_noisy_queues(),
			abuse_offered() & ~(round % 2 != 0 ? EVENT_IDX | INDIRECT : 0));
		if (abused.queue.size > 0) {
			fill_queue();
		}
		for (unsigned i = 0; i < round * 4; i++) {
			machine_pause();
		}
		good = abuse_reset() && good;
		for (unsigned i = 0; i < ABUSE_PAGES; i++) {
			abuse_fill(machine_page(i), 0x5a, PAGE);
		}
		abuse_look_away();
		for (unsigned i = 0; i < ABUSE_PAGES * PAGE; i++) {
			good = good && machine_page(i / PAGE)[i % PAGE] == 0x5a;
		}
	}
	return good;
}

/* ---- registers that lie ---- */

bool abuse_changed_while_live(void) {
	bool good = abuse_start(0, 0);
	const uint16_t size = (uint16_t)abuse_get(Q_SIZE, 2), vector = (uint16_t)abuse_get(Q_VECTOR, 2);
	const uint64_t areas[] = {
		abuse_get_address(Q_DESC), abuse_get_address(Q_DRIVER), abuse_get_address(Q_DEVICE)};
	abuse_set(Q_SIZE, 2, size > 1 ? size / 2 : 2);
	abuse_set(Q_VECTOR, 2, (vector + 1u) % abused.vector_count);
	abuse_set_address(Q_DESC, NOWHERE);
	abuse_set_address(Q_DRIVER, NOWHERE);
	abuse_set_address(Q_DEVICE, NOWHERE);
	abuse_set(Q_ENABLE, 2, 0);
	abuse_set(CONFIG_VECTOR, 2, 0x7fff);
	abuse_accept(0);
	abuse_set(DRIVER_FEATURE_SELECT, 4, 1);
	good = good && abuse_get(Q_SIZE, 2) == size && abuse_get(Q_VECTOR, 2) == vector &&
	       abuse_get(Q_ENABLE, 2) == 1 && abuse_get_address(Q_DESC) == areas[0] &&
	       abuse_get_address(Q_DRIVER) == areas[1] && abuse_get_address(Q_DEVICE) == areas[2] &&
	       abuse_get(CONFIG_VECTOR, 2) == abused.vector_count - 1 &&
	       abuse_get(DRIVER_FEATURE, 4) == VERSION_1 >> 32;
	/* Those which are not in use cannot be put to use either. */
	for (unsigned i = 1; i < abused.queue_count; i++) {
		abuse_set(Q_SELECT, 2, i);
		const uint64_t area = abuse_get_address(Q_DESC);
		const bool enabled = abuse_get(Q_ENABLE, 2) != 0;
		abuse_set_address(Q_DESC, NOWHERE);
		abuse_set(Q_ENABLE, 2, !enabled);
		good = good && abuse_get(Q_ENABLE, 2) == enabled && abuse_get_address(Q_DESC) == area;
	}
	return good && abuse_running();
}

bool abuse_queues_out_of_range(void) {
	static const uint16_t beyond[] = {0x40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff};
	bool good = true;
	for (unsigned i = 0; i < 8 + sizeof(beyond) / sizeof(beyond[0]); i++) {
		abuse_set(Q_SELECT, 2, i < 8 ? abused.queue_count + i : beyond[i - 8]);
		good = good && abuse_get(Q_SIZE, 2) == 0;
		for (unsigned field = Q_SIZE; field < Q_DEVICE + 8; field += 2) {
			abuse_set(field, 2, 0xffff);
			abuse_set(field, 4, 1);
		}
		good = good && abuse_get(Q_SIZE, 2) == 0 && abuse_get(Q_ENABLE, 2) == 0 &&
		       abuse_get_address(Q_DESC) == 0;
	}
	return good;
}

bool abuse_sizes_out_of_range(void) {
	bool good = true;
	for (unsigned i = 0; i < abused.queue_count; i++) {
		abuse_set(Q_SELECT, 2, i);
		const uint16_t size = (uint16_t)abuse_get(Q_SIZE, 2);
		const uint16_t wrong[] = {0, 3, (uint16_t)(size * 2), (uint16_t)(size + 1), 0x8000, 0xffff};
		for (unsigned k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			abuse_set(Q_SIZE, 2, wrong[k]);
			good = good && abuse_get(Q_SIZE, 2) == size;
		}
	}
	return good;
}

bool abuse_vectors_out_of_range(void) {
	const uint16_t wrong[] = {
		(uint16_t)abused.vector_count, (uint16_t)(abused.vector_count + 1), 0x7ff, 0x800, 0xfffe};
	bool good = true;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		abuse_set(CONFIG_VECTOR, 2, wrong[i]);
		good = good && abuse_get(CONFIG_VECTOR, 2) == NO_VECTOR;
		for (unsigned k = 0; k < abused.queue_count; k++) {
			abuse_set(Q_SELECT, 2, k);
			abuse_set(Q_VECTOR, 2, wrong[i]);
			good = good && abuse_get(Q_VECTOR, 2) == NO_VECTOR;
		}
	}
	return good;
}

bool abuse_rings_nowhere(void) {
	static const struct {
		enum field field;
		uint64_t address; /* below a page: added to the right one */
	} wrong[] = {{Q_DESC, 1}, {Q_DRIVER, 1}, {Q_DEVICE, 2}, {Q_DESC, NOWHERE}, {Q_DRIVER, NOWHERE},
		{Q_DEVICE, NOWHERE}, {Q_DESC, ~15ULL}, {Q_DRIVER, ~1ULL}, {Q_DEVICE, ~3ULL},
		{Q_DESC, 1ULL << 63}, {Q_DEVICE, 0xfffffffffffff000}};
	bool good = true;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		abuse_start_until(WITH_QUEUE, 0, 0);
		abuse_set_address(wrong[i].field,
			wrong[i].address < PAGE ? abuse_get_address(wrong[i].field) + wrong[i].address
						: wrong[i].address);
		abuse_set(Q_ENABLE, 2, 1);
		abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		good = abuse_needs_reset() && abuse_reset() && good;
	}
	return good;
}

/* The device writes over what it reads. */
bool abuse_rings_over_each_other(void) {
	for (unsigned i = 0; i < abuse_noisy_queues(); i++) {
		abuse_start_until(WITH_QUEUE, i, INDIRECT);
		abuse_set_address(Q_DEVICE, machine_address(RINGS));
		abuse_set_address(Q_DRIVER, machine_address(RINGS) + 64);
		abuse_set(Q_ENABLE, 2, 1);
		abuse_set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		for (unsigned k = 0; k < PAGE; k++) {
			machine_page(RINGS)[k] = (uint8_t)abuse_random_number();
		}
		abuse_kick(i);
		abuse_look_away();
		if (!abuse_reset()) {
			return false;
		}
	}
	return true;
}

/* ---- rings that lie ---- */

static void loop_of_descriptors(void) {
	abuse_describe(0, abuse_buffer_address(0), 16, NEXT, 1);
	abuse_describe(1, abuse_buffer_address(0), 16, NEXT, 0);
	abuse_offer(&abused.queue, 0);
}

static void next_outside(void) {
	abuse_describe(0, abuse_buffer_address(0), 16, NEXT, abused.queue.size);
	abuse_offer(&abused.queue, 0);
}

static void head_outside(void) {
	abuse_offer(&abused.queue, abused.queue.size);
}

static void index_jump(void) {
	abuse_describe(0, abuse_buffer_address(0), 16, WRITE, 0);
	abused.queue.avail = 0x8000;
	abuse_offer(&abused.queue, 0);
}

static void readable_after_writable(void) {
	abuse_describe(0, abuse_buffer_address(0), 16, NEXT | WRITE, 1);
	abuse_describe(1, abuse_buffer_address(0), 16, 0, 0);
	abuse_offer(&abused.queue, 0);
}

static void outside_of_ram(void) {
	abuse_describe(0, NOWHERE, 16, 0, 0);
	abuse_offer(&abused.queue, 0);
}

static void address_wraps(void) {
	abuse_describe(0, UINT64_MAX - 7, 16, WRITE, 0);
	abuse_offer(&abused.queue, 0);
}

static void longer_than_ram(void) {
	abuse_describe(0, abuse_buffer_address(0), 0xffffffff, 0, 0);
	abuse_offer(&abused.queue, 0);
}

static void table_in_table(void) {
	abuse_put(abuse_buffer(0), 0, abuse_buffer_address(0), 16, IS_TABLE, 0);
	abuse_describe(0, abuse_buffer_address(0), 16, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
}

static void odd_table(void) {
	abuse_put(abuse_buffer(0), 0, abuse_buffer_address(1), 16, 0, 0);
	abuse_describe(0, abuse_buffer_address(0), 24, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
}

static void empty_table(void) {
	abuse_describe(0, abuse_buffer_address(0), 0, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
}

static void huge_table(void) {
	abuse_put(abuse_buffer(0), 0, abuse_buffer_address(1), 16, 0, 0);
	abuse_describe(0, abuse_buffer_address(0), 0x100000, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
}

static void table_nowhere(void) {
	abuse_describe(0, NOWHERE, 16, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
}

static void table_not_negotiated(void) {
	abuse_put(abuse_buffer(0), 0, abuse_buffer_address(1), 16, 0, 0);
	abuse_describe(0, abuse_buffer_address(0), 16, IS_TABLE, 0);
	abuse_offer(&abused.queue, 0);
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

bool abuse_broken_rings(void) {
	bool good = true;
	for (unsigned i = 0; i < abused.queue_count; i++) {
		abuse_set(Q_SELECT, 2, i);
		if (abuse_get(Q_SIZE, 2) == 0) {
			continue;
		}
		for (unsigned k = 0; k < sizeof(lies) / sizeof(lies[0]); k++) {
			good = abuse_start(i, lies[k].features) && good;
			lies[k].tell();
			abuse_kick(i);
			if (abuse_takes(i)) {
				good = abuse_needs_reset() && good;
			}
			good = abuse_reset() && good;
		}
	}
	return good;
}

/* The same head again and again before the device can have returned it. */
bool abuse_head_twice(void) {
	bool good = true;
	for (unsigned i = 0; i < abuse_noisy_queues(); i++) {
		abuse_start(i, 0);
		if (abused.queue.size == 0) {
			good = abuse_reset() && good;
			continue;
		}
		abuse_describe(0, abuse_buffer_address(0), 16, NEXT, 1);
		abuse_describe(1, abuse_buffer_address(1), PAGE, WRITE, 0);
		for (unsigned k = 0; k < abused.queue.size; k++) {
			abuse_offer(&abused.queue, 0);
		}
		abuse_kick(i);
		abuse_look_away();
		good = abuse_reset() && good;
	}
	return good;
}

static void offer_noise(void) {
	for (unsigned k = 0; k < abused.queue.size; k++) {
		uint32_t dice = abuse_random_number();
		uint16_t flags = (uint16_t)((dice & 7) == 7 ? IS_TABLE : dice & (NEXT | WRITE));
		uint64_t address = abuse_buffer_address(dice >> 4 & 7) + (dice >> 8 & 0xfff);
		abuse_describe(k, (dice >> 3 & 0x3f) == 0 ? abuse_random_number() * 4096ULL : address,
			dice >> 12 & 0xff, flags,
			(uint16_t)(abuse_random_number() % (abused.queue.size + (dice >> 20 & 1))));
		abuse_put(abuse_buffer(dice & 7), abuse_random_number() % 256, address, dice >> 10 & 0x3f,
			flags & WRITE, 0);
	}
	for (unsigned k = 0; k < abused.queue.size; k++) {
		abuse_offer(&abused.queue, (uint16_t)(abuse_random_number() % abused.queue.size));
	}
}

/* Chains and requests of abuse_noise, with all features and with none: what was not negotiated is not there.
 */
bool abuse_noise(void) {
	bool good = true;
	for (unsigned round = 0; round < 48; round++) {
		for (unsigned i = 0; i < 8 * PAGE; i += 1 + abuse_random_number() % 64) {
			abuse_buffer(i / PAGE)[i % PAGE] = (uint8_t)(abuse_random_number() % 16);
		}
		abuse_start(round % abuse_noisy_queues(), round % 2 != 0 ? abuse_offered() : 0);
		if (abused.queue.size != 0) {
			offer_noise();
			abuse_kick(abused.queue.index);
			abuse_look_away();
		}
		good = abuse_reset() && good;
	}
	return good;
}

/* What the device has checked is changed while it serves. */
bool abuse_changed_under_it(void) {
	bool good = true;
	for (unsigned round = 0; round < 16; round++) {
		abuse_start(round % abuse_noisy_queues(), INDIRECT);
		if (abused.queue.size != 0) {
			fill_queue();
			for (unsigned i = 0; i < 4000; i++) {
				unsigned k = i % abused.queue.size;
				abuse_describe(k, i % 3 == 0 ? NOWHERE : abuse_buffer_address(k % 8),
					i % 2 != 0 ? PAGE : UINT32_MAX, (uint16_t)(i % 8), (uint16_t)i);
				abuse_buffer(0)[i % 64] = (uint8_t)i;
			}
			abuse_look_away();
		}
		good = abuse_reset() && good;
	}
	return good;
}

/* ---- accesses of every width and offset ---- */

bool abuse_notifications(void) {
	for (unsigned live = 0; live < 2; live++) {
		if (live == 1 && !abuse_start(0, 0)) {
			return false;
		}
		for (unsigned i = 0; i < 0x1000; i += i < 0x100 ? 1 : 0x3f) {
			for (unsigned len = 1; len <= 8; len *= 2) {
				machine_bar_write(abused.slot, abused.notify + i, len, ~0ULL);
			}
			machine_bar_read(abused.slot, abused.notify + i, 4);
		}
	}
	return abuse_running();
}

static uint32_t saved[64];

static void save_config(void) {
	for (unsigned i = 0; i < 64; i++) {
		saved[i] = machine_config_read(abused.slot, 4 * i, 4);
	}
}

/* The BARs while they are not decoded, then all else. */
static bool restore_config(void) {
	machine_config_write(abused.slot, 4, 2, 0);
	for (unsigned i = 4; i < 64; i++) {
		machine_config_write(abused.slot, 4 * i, 4, saved[i]);
	}
	machine_config_write(abused.slot, 4, 4, saved[1]);
	for (unsigned i = 0; i < 16; i++) {
		if (machine_config_read(abused.slot, 4 * i, 4) != saved[i]) {
			return false;
		}
	}
	return true;
}

bool abuse_config_of_every_width(void) {
	bool good = true;
	save_config();
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned len = 1; len <= 4; len *= 2) {
			for (unsigned i = 0; i + len <= 256; i += len) {
				machine_config_write(
					abused.slot, i, len, pass == 0 ? 0xffffffff : abuse_random_number());
				machine_config_read(abused.slot, i, len);
			}
		}
		good = restore_config() && abuse_reset() && good;
	}
	return good;
}

static void touch(unsigned offset, uint64_t value) {
	for (unsigned len = 1; len <= 8; len *= 2) {
		machine_bar_read(abused.slot, offset, len);
		machine_bar_write(abused.slot, offset, len, value);
	}
}

bool abuse_registers_of_every_width(void) {
	static const unsigned places[] = {0x7f8, 0x7fc, 0x7ff, 0x800, 0xbfc, 0xc00, 0xc01, 0xc03, 0xc07,
		0xc3c, 0xc3f, 0xc40, 0xff8, 0xfff, 0x1ffc, 0x1fff, 0x2000, 0x2fff, 0x3000, 0x3001, 0x3004,
		0x3ff8};
	for (unsigned pass = 0; pass < 3; pass++) {
		uint64_t value = pass == 0 ? 0 : pass == 1 ? ~0ULL : 0x0102030405060708;
		for (unsigned i = 0; i < 0x48; i++) {
			touch(abused.common + i, value);
		}
		for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			touch(places[i], value);
		}
	}
	return abuse_reset();
}

/* The registers by way of the configuration space (virtio 1.2, section 4.1.4.9). */
bool abuse_window_onto_registers(void) {
	static const uint32_t offsets[] = {
		0, 0x14, 0x16, 0x3ffc, 0x3ffd, 0x3fff, 0x4000, 0x80000000, 0xfffffffc, 0xffffffff};
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 0x80000000, 0xffffffff};
	save_config();
	for (unsigned bar = 0; bar < 256; bar += bar < 7 ? 1 : 31) {
		machine_config_write(abused.slot, abused.window + 4, 1, bar);
		for (unsigned i = 0; i < 10; i++) {
			machine_config_write(abused.slot, abused.window + 8, 4, offsets[i]);
			for (unsigned k = 0; k < 9; k++) {
				machine_config_write(abused.slot, abused.window + 12, 4, lengths[k]);
				machine_config_read(abused.slot, abused.window + 16, 4);
				machine_config_write(abused.slot, abused.window + 16, 4, 0xffffff00);
			}
		}
	}
	bool good = abuse_reset();
	machine_config_write(abused.slot, abused.window + 4, 1, 0);
	machine_config_write(abused.slot, abused.window + 8, 4, abused.common + NUM_QUEUES);
	machine_config_write(abused.slot, abused.window + 12, 4, 2);
	good = good &&
	       (machine_config_read(abused.slot, abused.window + 16, 4) & 0xffff) == abused.queue_count;
	return restore_config() && good;
}

/* ---- vectors ---- */

static void set_vector(unsigned vector, uint64_t address, uint32_t data, uint32_t control) {
	machine_bar_write(abused.slot, abused.msix + 16 * vector, 4, (uint32_t)address);
	machine_bar_write(abused.slot, abused.msix + 16 * vector + 4, 4, address >> 32);
	machine_bar_write(abused.slot, abused.msix + 16 * vector + 8, 4, data);
	machine_bar_write(abused.slot, abused.msix + 16 * vector + 12, 4, control);
}

static unsigned msix_control(void) {
	for (unsigned at = machine_config_read(abused.slot, 0x34, 1); at >= 0x40;
		at = machine_config_read(abused.slot, at + 1, 1)) {
		if (machine_config_read(abused.slot, at, 1) == 0x11) {
			return at + 2;
		}
	}
	return 0;
}

/* To processors that are not there, by number and by mask: what the interrupt is does not matter then, and
 * nobody is disturbed. One that resets its own processor may be sent by any guest. */
#define NOBODY 0xfee45000u
#define NOBODY_OF_MASK 0xfee8000cu

bool abuse_vector_table(void) {
	static const uint64_t addresses[] = {
		NOBODY, 0x46000, NOBODY | 0xffffffff00000000, 0x45000, NOBODY_OF_MASK, NOBODY | 3};
	const unsigned control = msix_control();
	const uint32_t before = machine_config_read(abused.slot, control, 2);
	bool good = abuse_start(0, 0);
	for (unsigned round = 0; round < 40; round++) {
		machine_config_write(abused.slot, control, 2, (round % 4) << 14);
		for (unsigned i = 0; i < abused.vector_count; i++) {
			set_vector(i, addresses[round % 6], abuse_random_number(), round % 5 == 0);
		}
		if (round % 8 == 0 && abuse_takes(0)) {
			fill_queue();
		}
		machine_bar_read(abused.slot, abused.msix + 0x1000, 4);
	}
	for (unsigned i = abused.vector_count; i < 256; i += 7) {
		set_vector(i, NOBODY, ~0u, 0);
		good = good && machine_bar_read(abused.slot, abused.msix + 16 * i, 4) == 0;
	}
	good = abuse_reset() && good;
	machine_config_write(abused.slot, control, 2, 0);
	for (unsigned i = 0; i < abused.vector_count; i++) {
		set_vector(i, 0, 0, 1);
	}
	machine_config_write(abused.slot, control, 2, before);
	return good;
}

/* ---- the BAR ---- */

static void move_bar(uint64_t address) {
	machine_config_write(abused.slot, 4, 2, 0);
	machine_config_write(abused.slot, 0x10, 4, (uint32_t)address);
	machine_config_write(abused.slot, 0x14, 4, (uint32_t)(address >> 32));
	machine_config_write(abused.slot, 4, 2, 6);
	machine_config_write(abused.slot, 0x10, 4, (uint32_t)address + 0x4000); /* and while it is decoded */
	machine_config_write(abused.slot, 0x10, 4, (uint32_t)address);
}

bool abuse_bar_elsewhere(void) {
	const uint64_t other = machine_config_read(abused.other, 0x10, 4) & ~15u;
	const uint64_t places[] = {machine_ram(), 0, other, 0xfee00000, 0xffffc000, 0x100000000,
		0xffffffffffffc000, NOWHERE, 0xfffffffffc000};
	save_config();
	bool good = abuse_start(0, 0);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		move_bar(places[i]);
		good = restore_config() && abuse_running() && good;
	}
	machine_config_write(abused.slot, 4, 2, 0);
	machine_config_write(abused.slot, 0x10, 4, 0xffffffff);
	good = good && (machine_config_read(abused.slot, 0x10, 4) & ~15u) == 0xffffc000;
	return restore_config() && abuse_running() && good;
}
