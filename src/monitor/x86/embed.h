/* The files inside ph (embed.S): the guest kernel, page-aligned, the guest's init and
 * its Wayland proxy. Weak, because unit
 * tests link without them. */
#ifndef MONITOR_X86_EMBED_H
#define MONITOR_X86_EMBED_H

#include <stdint.h>

extern const uint8_t embed_kernel[] __attribute__((weak));
extern const uint8_t embed_kernel_end[] __attribute__((weak));
extern const uint8_t embed_init[] __attribute__((weak));
extern const uint8_t embed_init_end[] __attribute__((weak));
extern const uint8_t embed_wayland[] __attribute__((weak));
extern const uint8_t embed_wayland_end[] __attribute__((weak));

#endif
