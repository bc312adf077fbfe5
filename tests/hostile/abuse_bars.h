/* Where the abuser (tests/unit/abuse.h) finds the registers of devices in a guest. */
#ifndef TEST_ABUSE_BARS_H
#define TEST_ABUSE_BARS_H

#include <stdint.h>

#define ABUSE_SLOTS 32

/* BAR 0 of each slot's device as it is mapped here; NULL where the guest has none. */
extern uint8_t *abuse_bars[ABUSE_SLOTS];

#endif
