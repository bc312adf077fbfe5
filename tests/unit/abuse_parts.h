/* What the abuser of devices (abuse.h) is made of: a driver in abuse.c, and what it does wrong in
 * abuse_acts.c. */
#ifndef TEST_ABUSE_PARTS_H
#define TEST_ABUSE_PARTS_H

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

enum step { FRESH, ACKNOWLEDGED, SELECTED, NEGOTIATED, WITH_VECTOR, WITH_QUEUE, ENABLED, RUNNING, STEPS };

/* The device under attack. */
extern struct abuse_target {
	unsigned slot, other, type, queue_count, vector_count, common, notify, msix, window;
	uint32_t notify_multiplier;
	struct queue queue;
} abused;

/* ---- the driver ---- */

uint32_t abuse_random_number(void);
void abuse_fill(void *at, uint8_t value, size_t len);
uint32_t abuse_get(enum field field, unsigned len);
void abuse_set(enum field field, unsigned len, uint32_t value);
void abuse_set_address(enum field field, uint64_t address);
uint64_t abuse_get_address(enum field field);
bool abuse_running(void);
bool abuse_reset(void);
bool abuse_needs_reset(void);
void abuse_look_away(void);
uint64_t abuse_offered(void);
void abuse_accept(uint64_t features);
void abuse_kick(unsigned queue);
bool abuse_takes(unsigned queue);
unsigned abuse_noisy_queues(void);
void abuse_start_until(enum step last, unsigned index, uint64_t features);
bool abuse_start(unsigned index, uint64_t features);
void abuse_put(void *at, unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next);
void abuse_describe(unsigned index, uint64_t address, uint32_t len, uint16_t flags, uint16_t next);
void abuse_offer(struct queue *queue, uint16_t head);
uint8_t *abuse_buffer(unsigned index);
uint64_t abuse_buffer_address(unsigned index);

/* ---- what it does wrong: true when nothing came of it ---- */

bool abuse_status_rules(void);
bool abuse_reset_at_every_step(void);
bool abuse_reset_in_flight(void);
bool abuse_changed_while_live(void);
bool abuse_queues_out_of_range(void);
bool abuse_sizes_out_of_range(void);
bool abuse_vectors_out_of_range(void);
bool abuse_rings_nowhere(void);
bool abuse_rings_over_each_other(void);
bool abuse_broken_rings(void);
bool abuse_head_twice(void);
bool abuse_noise(void);
bool abuse_changed_under_it(void);
bool abuse_notifications(void);
bool abuse_config_of_every_width(void);
bool abuse_registers_of_every_width(void);
bool abuse_window_onto_registers(void);
bool abuse_vector_table(void);
bool abuse_bar_elsewhere(void);

#endif
