/* The way from the guest's programs to the host's sound server. */
#ifndef PH_GUEST_INIT_SOUND_H
#define PH_GUEST_INIT_SOUND_H

#include "guest/init/config.h"

/* If the configuration has sound: make the socket that programs look for, and start the process that serves
 * it, as the user. Failures are reported. */
void sound_start(const struct config *config);

#endif
