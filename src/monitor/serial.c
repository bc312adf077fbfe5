/*
 * The 8250's transmitter is always empty and its receiver too; the other registers only remember. vCPU
 * threads, at most one at a time (the port lock of struct machine); every value is the guest's.
 */
#include "monitor/serial.h"

#define DATA 0
#define INTERRUPT_IDENTITY 2
#define LINE_CONTROL 3
#define LINE_STATUS 5
#define MODEM_STATUS 6

#define DIVISOR_LATCH 0x80
#define NO_INTERRUPT 0x01
#define TRANSMITTER_EMPTY 0x60
#define CARRIER_AND_READY 0xb0

uint8_t serial_read(const struct serial *serial, unsigned offset) {
	switch (offset) {
	case DATA:
		return 0;
	case INTERRUPT_IDENTITY:
		return NO_INTERRUPT;
	case LINE_STATUS:
		return TRANSMITTER_EMPTY;
	case MODEM_STATUS:
		return CARRIER_AND_READY;
	default:
		return serial->registers[offset];
	}
}

void serial_write(struct serial *serial, unsigned offset, uint8_t value) {
	if (offset == DATA && !(serial->registers[LINE_CONTROL] & DIVISOR_LATCH)) {
		serial->transmit(serial->owner, value);
		return;
	}
	serial->registers[offset] = value;
}
