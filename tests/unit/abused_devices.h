/* Devices for tests that break the rules with them; a test fails when one cannot be had. */
#ifndef TEST_ABUSED_DEVICES_H
#define TEST_ABUSED_DEVICES_H

struct virtio_device;

/* A disk of 1 MiB, read-write, in a file without a name. End it with block_destroy(). */
struct virtio_device *abused_block_create(void);
/* The tty and a named port, whose host takes all that comes. End it with console_destroy(). */
struct virtio_device *abused_console_create(void);
/* /tmp, read-only. End it with files_destroy(). */
struct virtio_device *abused_files_create(void);

#endif
