/* The virtio-pci transport as a driver sees it: configuration space, BAR, device status. */
#include "pci_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- configuration space ---- */

static void test_identity(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	assert_int_equal(config_get(f, 0, 4), 0x10421af4);
	assert_int_equal(config_get(f, 2, 2), 0x1042);
	assert_int_equal(config_get(f, 8, 4), 0x01800001);
	assert_int_equal(config_get(f, 0x0e, 1), 0);
	assert_int_equal(config_get(f, 0x2c, 4), 0x10421af4);
	assert_int_equal(config_get(f, 0x3d, 1), 0); /* no INTx */
	assert_int_equal(config_get(f, 6, 2), 0x10);
	config_set(f, 0, 4, 0);
	config_set(f, 8, 4, 0);
	assert_int_equal(config_get(f, 0, 4), 0x10421af4);
	assert_int_equal(config_get(f, 8, 4), 0x01800001);
	pci_fixture_destroy(f);
}

static void expect_capability(
	struct pci_fixture *f, uint8_t type, uint8_t size, uint32_t offset, uint32_t length) {
	unsigned at = pci_find_capability(f, 9, type);
	assert_int_not_equal(at, 0);
	assert_int_equal(config_get(f, at + 2, 1), size);
	assert_int_equal(config_get(f, at + 4, 4), 0); /* BAR 0 */
	assert_int_equal(config_get(f, at + 8, 4), offset);
	assert_int_equal(config_get(f, at + 12, 4), length);
	assert_true(offset + length <= VIRTIO_PCI_BAR_SIZE);
	config_set(f, at, 4, 0);
	assert_int_equal(config_get(f, at, 1), 9);
}

static void test_capabilities(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	expect_capability(f, 1, 16, VIRTIO_PCI_COMMON_OFFSET, 0x38);
	expect_capability(f, 2, 20, VIRTIO_PCI_NOTIFY_OFFSET, 4 * QUEUES);
	expect_capability(f, 3, 16, VIRTIO_PCI_ISR_OFFSET, 1);
	expect_capability(f, 4, 16, VIRTIO_PCI_DEVICE_OFFSET, 6);
	expect_capability(f, 5, 20, 0, 0);
	assert_int_equal(config_get(f, pci_find_capability(f, 9, 2) + 16, 4), VIRTIO_PCI_NOTIFY_MULTIPLIER);
	unsigned msix = pci_find_capability(f, 0x11, 0);
	assert_int_equal(config_get(f, msix + 2, 2), QUEUES); /* one less than there are */
	assert_int_equal(config_get(f, msix + 4, 4), VIRTIO_PCI_MSIX_TABLE_OFFSET);
	assert_int_equal(config_get(f, msix + 8, 4), VIRTIO_PCI_MSIX_PBA_OFFSET);
	pci_fixture_destroy(f);
}

static void test_no_device_configuration(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	f->device.config_size = 0;
	virtio_pci_init(&f->pci, &f->device, &f->client, 0, BAR, f->pci.ops, f);
	assert_int_equal(pci_find_capability(f, 9, 4), 0);
	expect_capability(f, 5, 20, 0, 0);
	pci_fixture_destroy(f);
}

static void test_config_bounds(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	const unsigned lens[] = {0, 3, 8, 5, UINT32_MAX};
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(config_get(f, 0, lens[i]), 0xffffffff);
		config_set(f, COMMAND, lens[i], MEMORY);
	}
	assert_int_equal(config_get(f, 255, 4), 0xffffffff);
	assert_int_equal(config_get(f, 256, 1), 0xffffffff);
	assert_int_equal(config_get(f, UINT32_MAX, 1), 0xffffffff);
	config_set(f, 254, 4, 0);
	config_set(f, UINT32_MAX, 2, 0);
	assert_int_equal(f->bar_changes, 0);
	pci_fixture_destroy(f);
}

static void test_command_bits(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	config_set(f, COMMAND, 4, 0xffffffff);
	assert_int_equal(config_get(f, COMMAND, 4), 0x00100406);
	pci_fixture_destroy(f);
}

static void test_bar_sizing(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	assert_int_equal(config_get(f, BAR_LOW, 4), BAR | 4);
	config_set(f, BAR_LOW, 4, 0xffffffff);
	assert_int_equal(config_get(f, BAR_LOW, 4), (0xffffffff & ~(VIRTIO_PCI_BAR_SIZE - 1u)) | 4);
	config_set(f, BAR_HIGH, 4, 0xffffffff);
	assert_int_equal(config_get(f, BAR_HIGH, 4), 0xffffffff);
	config_set(f, BAR_LOW, 4, (uint32_t)BAR);
	config_set(f, BAR_HIGH, 4, 0);
	assert_int_equal(f->bar_changes, 0);
	for (unsigned at = 0x18; at < 0x28; at += 4) {
		config_set(f, at, 4, 0xffffffff);
		assert_int_equal(config_get(f, at, 4), 0); /* no other BAR */
	}
	config_set(f, 0x30, 4, 0xffffffff);
	assert_int_equal(config_get(f, 0x30, 4), 0); /* no ROM */
	pci_fixture_destroy(f);
}

static void test_bar_decoding(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	config_set(f, COMMAND, 2, 0x4);
	assert_int_equal(f->bar_changes, 0);
	config_set(f, COMMAND, 2, 0x6);
	assert_int_equal(f->bar_changes, 1);
	assert_true(f->bar == BAR && f->pci.bar_address == BAR);
	config_set(f, COMMAND, 2, 0x2);
	config_set(f, BAR_LOW, 4, (uint32_t)BAR);
	config_set(f, BAR_LOW, 4, (uint32_t)BAR | 0x3fff); /* the low bits are not address */
	assert_int_equal(f->bar_changes, 1);
	config_set(f, BAR_HIGH, 4, 0x12);
	assert_int_equal(f->bar_changes, 2);
	assert_true(f->bar == (0x1200000000ULL | BAR));
	config_set(f, COMMAND, 1, 0);
	assert_int_equal(f->bar_changes, 3);
	assert_true(f->bar == 0 && f->pci.bar_address == 0);
	pci_fixture_destroy(f);
}

/* ---- the window onto the BAR in configuration space ---- */

static void set_window(struct pci_fixture *f, uint8_t bar, uint32_t offset, uint32_t length) {
	unsigned at = pci_find_capability(f, 9, 5);
	config_set(f, at + 4, 1, bar);
	config_set(f, at + 8, 4, offset);
	config_set(f, at + 12, 4, length);
}

static void test_window(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	unsigned data = pci_find_capability(f, 9, 5) + 16;
	set_window(f, 0, NUM_QUEUES, 2);
	assert_int_equal(config_get(f, data, 2), QUEUES);
	set_window(f, 0, STATUS, 1);
	config_set(f, data, 1, 1);
	assert_int_equal(bar_get(f, STATUS, 1), 1);
	set_window(f, 0, VIRTIO_PCI_DEVICE_OFFSET, 4);
	assert_int_equal(config_get(f, data, 4), 0x44332211);
	pci_fixture_destroy(f);
}

static void test_window_bounds(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	const struct {
		uint8_t bar;
		uint32_t offset, length;
	} bad[] = {{1, STATUS, 1}, {0xff, STATUS, 1}, {0, STATUS, 0}, {0, STATUS, 3}, {0, 0, 8},
		{0, VIRTIO_PCI_BAR_SIZE, 1}, {0, VIRTIO_PCI_BAR_SIZE - 2, 4}, {0, UINT32_MAX, 1},
		{0, UINT32_MAX - 3, 4}, {0, 0, UINT32_MAX}, {0, STATUS + 1, 2}};
	unsigned data = pci_find_capability(f, 9, 5) + 16;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_window(f, bad[i].bar, bad[i].offset, bad[i].length);
		config_set(f, data, 4, 0x01010101);
		assert_int_equal(config_get(f, data, 4), 0x01010101);
		assert_int_equal(bar_get(f, STATUS, 1), 0);
	}
	pci_fixture_destroy(f);
}

/* ---- common configuration ---- */

static void test_offered_features(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	uint64_t offered = bar_get(f, 4, 4);
	bar_set(f, 0, 4, 1);
	offered |= bar_get(f, 4, 4) << 32;
	assert_true(offered == (1ULL << FEATURE | 1 | VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
				       1ULL << VIRTIO_RING_F_EVENT_IDX));
	bar_set(f, 0, 4, 2);
	assert_int_equal(bar_get(f, 4, 4), 0);
	bar_set(f, 0, 4, UINT32_MAX);
	assert_int_equal(bar_get(f, 4, 4), 0);
	bar_set(f, 8, 4, UINT32_MAX);
	bar_set(f, 12, 4, UINT32_MAX);
	assert_true(f->pci.driver_features == 0);
	pci_fixture_destroy(f);
}

static void test_widths(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	static const struct {
		uint8_t offset, len;
	} fields[] = {{0, 4}, {4, 4}, {8, 4}, {12, 4}, {CONFIG_VECTOR, 2}, {NUM_QUEUES, 2}, {STATUS, 1},
		{0x15, 1}, {Q_SELECT, 2}, {Q_SIZE, 2}, {Q_VECTOR, 2}, {Q_ENABLE, 2}, {Q_NOTIFY_OFF, 2},
		{Q_DESC, 4}, {Q_DESC + 4, 4}, {Q_DRIVER, 4}, {Q_DRIVER + 4, 4}, {Q_DEVICE, 4},
		{Q_DEVICE + 4, 4}};
	const unsigned lens[] = {1, 2, 4};
	for (unsigned offset = 0; offset < 0x38; offset++) {
		for (unsigned i = 0; i < 3; i++) {
			bool right = false;
			for (unsigned k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
				right |= fields[k].offset == offset && fields[k].len == lens[i];
			}
			if (!right) {
				struct virtio_pci before = f->pci;
				assert_int_equal(bar_get(f, offset, lens[i]), 0);
				bar_set(f, offset, lens[i], 0);
				assert_memory_equal(&before, &f->pci, sizeof(before));
			}
		}
	}
	assert_int_equal(f->stops, 0);
	pci_fixture_destroy(f);
}

static void test_64_bit_access(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	bar_set(f, Q_DESC, 8, 0x123456789abcdef0);
	assert_true(bar_get(f, Q_DESC, 8) == 0x123456789abcdef0);
	assert_int_equal(bar_get(f, Q_DESC + 4, 4), 0x12345678);
	pci_fixture_destroy(f);
}

static void test_features_refused(void **state) {
	(void)state;
	const uint64_t bad[] = {0, 1, VERSION_1 | 2, VERSION_1 | 1ULL << 63, ~0ULL, VERSION_1 | 1ULL << 34};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pci_fixture *f = pci_fixture_create();
		pci_set_features(f, bad[i]);
		bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK);
		assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER);
		bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK | DRIVER_OK);
		assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER);
		assert_int_equal(f->starts, 0);
		pci_fixture_destroy(f);
	}
}

static void test_features_fixed_once_accepted(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_negotiate(f);
	pci_set_features(f, ~0ULL);
	assert_true(f->pci.driver_features == VERSION_1);
	pci_fixture_destroy(f);
}

static void test_driver_ok_needs_features_ok(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	bar_set(f, STATUS, 1, ACK_DRIVER | DRIVER_OK);
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER);
	assert_int_equal(f->starts, 0);
	pci_fixture_destroy(f);
}

static void test_failed_driver_cannot_start(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_negotiate(f);
	bar_set(f, STATUS, 1, FAILED);
	bar_set(f, STATUS, 1, 0xff);
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER | FEATURES_OK | FAILED);
	assert_int_equal(f->starts, 0);
	pci_fixture_destroy(f);
}

static void test_life(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(f->starts, 1);
	assert_int_equal(f->device.queues[0].size, SIZE);
	assert_int_equal(f->device.queues[0].call_fd, f->device.vector_fds[1]);
	assert_int_equal(f->device.config_call_fd, f->device.vector_fds[0]);
	assert_int_equal(f->device.queues[2].size, 0); /* not enabled */
	bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK | DRIVER_OK);
	bar_set(f, STATUS, 1, 1); /* bits cannot be taken back one by one */
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(f->starts, 1);
	bar_set(f, STATUS, 1, 0);
	assert_int_equal(bar_get(f, STATUS, 1), 0);
	assert_int_equal(f->stops, 1); /* already: the write waits */
	assert_int_equal(bar_get(f, Q_ENABLE, 2), 0);
	assert_int_equal(bar_get(f, Q_DESC, 4), 0);
	assert_int_equal(bar_get(f, CONFIG_VECTOR, 2), 0xffff);
	assert_true(f->pci.driver_features == 0);
	pci_bring_up(f);
	assert_int_equal(f->starts, 2);
	pci_fixture_destroy(f);
}

static void test_start_fails(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	f->start_result = -EIO;
	pci_bring_up(f);
	assert_int_equal(bar_get(f, STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	assert_true(fd_readable(f->device.vector_fds[0]));
	bar_set(f, STATUS, 1, 0);
	assert_int_equal(bar_get(f, STATUS, 1), 0);
	assert_int_equal(f->stops, 0);
	f->start_result = 0;
	pci_bring_up(f);
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER | FEATURES_OK | DRIVER_OK);
	pci_fixture_destroy(f);
}

static void test_queue_outside_of_ram(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_negotiate(f);
	bar_set(f, Q_DESC + 4, 4, 0xffffffff);
	pci_configure_queue(f);
	bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(bar_get(f, STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	assert_int_equal(f->starts, 0);
	pci_fixture_destroy(f);
}

static void test_host_gone(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	close(f->client.fd); /* the same as the other end's death */
	f->client.fd = open("/dev/null", O_RDWR);
	bar_set(f, STATUS, 1, 0);
	assert_int_equal(bar_get(f, STATUS, 1), 0);
	pci_bring_up(f);
	assert_int_equal(bar_get(f, STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	pci_fixture_destroy(f);
}

static void test_needs_reset_shows(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	f->device.shared->needs_reset = true;
	assert_int_equal(bar_get(f, STATUS, 1), ACK_DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	bar_set(f, STATUS, 1, 0);
	assert_int_equal(bar_get(f, STATUS, 1), 0);
	bar_set(f, STATUS, 1, NEEDS_RESET | 0x30); /* the driver cannot set these */
	assert_int_equal(bar_get(f, STATUS, 1), 0);
	pci_fixture_destroy(f);
}

/* ---- queues ---- */

static void test_queue_registers(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	assert_int_equal(bar_get(f, NUM_QUEUES, 2), QUEUES);
	bar_set(f, Q_SELECT, 2, 2);
	assert_int_equal(bar_get(f, Q_SIZE, 2), SIZE);
	assert_int_equal(bar_get(f, Q_NOTIFY_OFF, 2), 2);
	assert_int_equal(bar_get(f, Q_VECTOR, 2), 0xffff);
	const uint16_t bad[] = {0, 3, SIZE * 2, SIZE + 1, 0x8000, 0xffff};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bar_set(f, Q_SIZE, 2, bad[i]);
		assert_int_equal(bar_get(f, Q_SIZE, 2), SIZE);
	}
	bar_set(f, Q_SIZE, 2, 4);
	assert_int_equal(bar_get(f, Q_SIZE, 2), 4);
	bar_set(f, Q_SELECT, 2, 0);
	assert_int_equal(bar_get(f, Q_SIZE, 2), SIZE);
	pci_fixture_destroy(f);
}

static void test_no_such_queue(void **state) {
	(void)state;
	const uint16_t selects[] = {1, QUEUES, VIRTIO_QUEUES_MAX, 0x8000, 0xffff};
	for (unsigned i = 0; i < sizeof(selects) / sizeof(selects[0]); i++) {
		struct pci_fixture *f = pci_fixture_create();
		bar_set(f, Q_SELECT, 2, selects[i]);
		assert_int_equal(bar_get(f, Q_SELECT, 2), selects[i]);
		struct virtio_pci before = f->pci;
		for (unsigned reg = Q_SIZE; reg < Q_DESC; reg += 2) {
			bar_set(f, reg, 2, 1);
			assert_int_equal(bar_get(f, reg, 2), reg == Q_VECTOR ? 0xffff : 0);
		}
		for (unsigned reg = Q_DESC; reg < 0x38; reg += 4) {
			bar_set(f, reg, 4, 0x41414141);
			assert_int_equal(bar_get(f, reg, 4), 0);
		}
		assert_memory_equal(&before, &f->pci, sizeof(before));
		pci_fixture_destroy(f);
	}
}

static void test_vector_indexes(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	const unsigned registers[] = {CONFIG_VECTOR, Q_VECTOR};
	for (unsigned i = 0; i < 2; i++) {
		bar_set(f, registers[i], 2, QUEUES);
		assert_int_equal(bar_get(f, registers[i], 2), QUEUES);
		bar_set(f, registers[i], 2, QUEUES + 1);
		assert_int_equal(bar_get(f, registers[i], 2), 0xffff);
		bar_set(f, registers[i], 2, 0xfffe);
		assert_int_equal(bar_get(f, registers[i], 2), 0xffff);
	}
	pci_fixture_destroy(f);
}

static void test_enabled_queue_is_fixed(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_negotiate(f);
	pci_configure_queue(f);
	struct virtqueue_config before = f->pci.queues[0];
	bar_set(f, Q_SIZE, 2, 4);
	for (unsigned reg = Q_DESC; reg < 0x38; reg += 4) {
		bar_set(f, reg, 4, 0x10000);
	}
	bar_set(f, Q_ENABLE, 2, 0);
	assert_int_equal(bar_get(f, Q_ENABLE, 2), 1);
	assert_memory_equal(&before, &f->pci.queues[0], sizeof(before));
	pci_fixture_destroy(f);
}

static void test_running_device_is_fixed(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	struct virtio_pci before = f->pci;
	bar_set(f, CONFIG_VECTOR, 2, 2);
	bar_set(f, Q_VECTOR, 2, 2);
	bar_set(f, Q_SELECT, 2, 2);
	bar_set(f, Q_DESC, 4, 0x10000);
	bar_set(f, Q_SIZE, 2, 4);
	bar_set(f, Q_ENABLE, 2, 1);
	assert_int_equal(bar_get(f, Q_ENABLE, 2), 0);
	bar_set(f, Q_SELECT, 2, 0);
	assert_memory_equal(&before, &f->pci, sizeof(before));
	pci_fixture_destroy(f);
}

static void test_enable_takes_one_only(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	bar_set(f, Q_ENABLE, 2, 2);
	assert_int_equal(bar_get(f, Q_ENABLE, 2), 0);
	bar_set(f, Q_ENABLE, 2, 1);
	assert_int_equal(bar_get(f, Q_ENABLE, 2), 1);
	pci_fixture_destroy(f);
}

static void test_notify(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	bar_set(f, VIRTIO_PCI_NOTIFY_OFFSET + 8, 2, 2);
	assert_false(fd_readable(f->device.queues[2].kick_fd)); /* not before DRIVER_OK */
	pci_bring_up(f);
	bar_set(f, VIRTIO_PCI_NOTIFY_OFFSET + 8, 2, 2);
	assert_true(fd_readable(f->device.queues[2].kick_fd));
	bar_set(f, VIRTIO_PCI_NOTIFY_OFFSET + 4 * QUEUES, 2, QUEUES);
	bar_set(f, VIRTIO_PCI_NOTIFY_OFFSET + 0xffc, 4, 0);
	bar_set(f, VIRTIO_PCI_NOTIFY_OFFSET + 5, 2, 1);
	assert_false(fd_readable(f->device.queues[1].kick_fd));
	pci_fixture_destroy(f);
}

/* ---- the rest of the BAR ---- */

static void test_device_configuration(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	const unsigned base = VIRTIO_PCI_DEVICE_OFFSET;
	assert_int_equal(bar_get(f, base, 1), 0x11);
	assert_int_equal(bar_get(f, base + 1, 2), 0x3322);
	assert_int_equal(bar_get(f, base + 2, 4), 0x66554433);
	assert_int_equal(bar_get(f, base + 5, 1), 0x66);
	assert_int_equal(bar_get(f, base + 5, 2), 0);
	assert_int_equal(bar_get(f, base + 6, 1), 0);
	assert_int_equal(bar_get(f, base + 64, 4), 0);
	bar_set(f, base, 4, 0);
	assert_int_equal(bar_get(f, base, 4), 0x44332211);
	pci_fixture_destroy(f);
}

/* Every offset and length, valid or not, before and after the device runs. */
static void test_any_access(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	pci_bring_up(f);
	for (unsigned offset = 0; offset < VIRTIO_PCI_BAR_SIZE + 16; offset++) {
		for (unsigned len = 0; len <= 9; len++) {
			bar_get(f, offset, len);
			bar_set(f, offset, len, 0x4141414141414141);
		}
	}
	assert_int_equal(bar_get(f, VIRTIO_PCI_BAR_SIZE, 1), 0);
	assert_int_equal(bar_get(f, VIRTIO_PCI_BAR_SIZE - 4, 8), 0);
	assert_int_equal(bar_get(f, UINT32_MAX, 1), 0);
	assert_int_equal(bar_get(f, UINT32_MAX - 3, 8), 0);
	bar_set(f, UINT32_MAX - 3, 8, 0);
	pci_fixture_destroy(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_no_device_configuration),
		cmocka_unit_test(test_config_bounds),
		cmocka_unit_test(test_command_bits),
		cmocka_unit_test(test_bar_sizing),
		cmocka_unit_test(test_bar_decoding),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_bounds),
		cmocka_unit_test(test_offered_features),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_64_bit_access),
		cmocka_unit_test(test_features_refused),
		cmocka_unit_test(test_features_fixed_once_accepted),
		cmocka_unit_test(test_driver_ok_needs_features_ok),
		cmocka_unit_test(test_failed_driver_cannot_start),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_queue_outside_of_ram),
		cmocka_unit_test(test_host_gone),
		cmocka_unit_test(test_needs_reset_shows),
		cmocka_unit_test(test_queue_registers),
		cmocka_unit_test(test_no_such_queue),
		cmocka_unit_test(test_vector_indexes),
		cmocka_unit_test(test_enabled_queue_is_fixed),
		cmocka_unit_test(test_running_device_is_fixed),
		cmocka_unit_test(test_enable_takes_one_only),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_device_configuration),
		cmocka_unit_test(test_any_access),
	};
	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
