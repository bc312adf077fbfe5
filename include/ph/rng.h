/* virtio-rng (virtio 1.2, section 5.4): getrandom(2), rate-limited. Runs in the monitor. */
#ifndef PH_RNG_H
#define PH_RNG_H

#include "ph/virtio.h"

/* -errno, or 0 and a device for rng_destroy(), which accepts NULL. */
int rng_create(struct virtio_device **device);
void rng_destroy(struct virtio_device *device);

#endif
