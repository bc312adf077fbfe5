/* What programs of the VM may say of themselves and of their streams. */
#ifndef SOUND_REWRITE_H
#define SOUND_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write a command anew: of properties only those that are listed, each text as a plain line, and programs'
 * names with the VM's tag before them; *named: there was one. Its size; 0: it is no sequence of tagged
 * values, or is longer than room. */
size_t sound_rewrite(const char *tag, uint8_t *command, size_t size, uint8_t *to, size_t room, bool *named);

#endif
