/* The registers of the machine's devices, for the abuser (tests/unit/abuse.h) in a guest: as they lie in its
 * memory. */
#include "abuse_bars.h"

#include "../unit/abuse.h"

uint8_t *abuse_bars[ABUSE_SLOTS];

uint64_t machine_bar_read(unsigned slot, unsigned offset, unsigned len) {
	volatile uint8_t *at = abuse_bars[slot] + offset;
	switch (len) {
	case 1:
		return *at;
	case 2:
		return *(volatile uint16_t *)at;
	case 4:
		return *(volatile uint32_t *)at;
	default:
		return *(volatile uint64_t *)at;
	}
}

void machine_bar_write(unsigned slot, unsigned offset, unsigned len, uint64_t value) {
	volatile uint8_t *at = abuse_bars[slot] + offset;
	switch (len) {
	case 1:
		*at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)at = value;
	}
}
