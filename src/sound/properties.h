/* What programs of the VM may say of themselves and of their streams. */
#ifndef SOUND_PROPERTIES_H
#define SOUND_PROPERTIES_H

#include <stddef.h>
#include <stdint.h>

/* Leave out of a command, in place, all properties that are not listed. Its new size; 0: it is no sequence
 * of tagged values. */
size_t sound_keep_properties(uint8_t *command, size_t size);

#endif
