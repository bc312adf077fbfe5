/*
 * virtio-balloon (virtio 1.2, section 5.5) with nothing but free page reporting
 * (VIRTIO_BALLOON_F_REPORTING): reported pages are punched out of the RAM memfd. Runs in the monitor.
 */
#ifndef PH_BALLOON_H
#define PH_BALLOON_H

#include "ph/virtio.h"

int balloon_create(struct virtio_device **device);
void balloon_destroy(struct virtio_device *device);

#endif
