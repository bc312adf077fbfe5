/* A transmit-only 8250 at 0x3f8, for the kernel's earlycon under --verbose. */
#ifndef MONITOR_SERIAL_H
#define MONITOR_SERIAL_H

#include <stdint.h>

#define SERIAL_PORT 0x3f8
#define SERIAL_PORTS 8

struct serial {
	void (*transmit)(void *owner, uint8_t byte);
	void *owner;
	uint8_t registers[SERIAL_PORTS];
};

uint8_t serial_read(const struct serial *serial, unsigned offset);
void serial_write(struct serial *serial, unsigned offset, uint8_t value);

#endif
