/* The end of the VM. */
#ifndef PH_GUEST_INIT_SHUTDOWN_H
#define PH_GUEST_INIT_SHUTDOWN_H

#include "guest/init/port.h"

/* Write everything back and take disks and shares down, once no process is left. */
void shutdown_filesystems(void);
/* Say BYE and reset the machine. */
void shutdown_machine(struct port *port) __attribute__((noreturn));

#endif
