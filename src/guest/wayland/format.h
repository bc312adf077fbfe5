/* Formats of pixels, as wl_shm numbers them. */
#ifndef PH_GUEST_WAYLAND_FORMAT_H
#define PH_GUEST_WAYLAND_FORMAT_H

#include <stdint.h>

/* Bytes of a pixel; 0: not known, or there is more than one plane. */
unsigned format_pixel_size(uint32_t format);

#endif
