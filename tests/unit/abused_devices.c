/* Devices that are abused: each has something to serve, and nothing that would be missed. */
#include "abused_devices.h"

#include "ph/block.h"
#include "ph/console.h"
#include "ph/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct virtio_device *abused_block_create(void) {
	struct virtio_device *device = NULL;
	char path[] = "/tmp/ph-abuse-XXXXXX";
	const struct block_options options = {.fd = mkostemp(path, O_CLOEXEC),
		.path = "abuse",
		.size = 1 << 20,
		.mode = BLOCK_READ_WRITE,
		.queues = 2};
	assert_true(options.fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(options.fd, 1 << 20), 0);
	assert_int_equal(block_create(&device, &options), 0);
	return device;
}

static size_t receive_all(void *owner, const void *data, size_t len) {
	(void)owner;
	(void)data;
	return len;
}

struct virtio_device *abused_console_create(void) {
	static const struct console_port_ops ops = {.receive = receive_all};
	struct virtio_device *device = NULL;
	struct console_port *port;
	assert_int_equal(console_create(&device), 0);
	assert_int_equal(console_add_port(device, NULL, &ops, NULL, &port), 0);
	assert_int_equal(console_add_port(device, "name", &ops, NULL, &port), 0);
	return device;
}

struct virtio_device *abused_files_create(void) {
	struct virtio_device *device = NULL;
	const struct files_share share = {
		.tag = "abuse", .root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), .read_only = true};
	assert_true(share.root_fd >= 0);
	assert_int_equal(files_create(&device, &share), 0);
	close(share.root_fd);
	return device;
}
