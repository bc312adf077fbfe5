/* Memory behind vfds. */
#ifndef DISPLAY_MEMORY_H
#define DISPLAY_MEMORY_H

#include "display/vfd.h"

/* Give the vfd new memory of size bytes, a multiple of the page size, and map it. 0 or -errno. */
int wl_memory_allocate(struct wl_vfd *vfd, uint64_t size);
/* Map the vfd's descriptor, size bytes; flags are those of window.h. 0 or -errno. */
int wl_memory_map(struct wl_vfd *vfd, uint64_t size, uint32_t flags);
/* Give the vfd a copy of the first size bytes of a file; what was cut off meanwhile reads as zeros. 0 or
 * -errno. */
int wl_memory_copy(struct wl_vfd *vfd, int file, uint64_t size);

#endif
