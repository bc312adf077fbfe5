/*
 * Fuzz the virtio-pci transport down to a served queue: the input is the accesses of a driver, to its
 * configuration space, its BAR and guest RAM. Beside memory errors it looks for states that a driver must
 * not be able to bring about.
 *
 * Input: operations of a byte (bits 0-1: configuration space, BAR, RAM, the whole set-up of a good
 * driver; bits 2-3 the length as a power of two; bit 4 a read; bits 5-7: from which register on) and, but
 * for the last kind, an offset byte and for writes the value.
 */
#include "device.h"

#include "ph/loop.h"
#include "ph/virtio_pci.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM_SIZE 65536u
#define QUEUES 2
#define SIZE 8
#define BAR 0xc0000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM_SIZE];
static const struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = RAM_SIZE, .host = ram}}};
static struct loop loop;
static struct virtio_host host;
static struct virtio_host_client client;
static struct virtio_pci pci;
static bool running;
static uint64_t bar;

/* ---- the device: its queues are served on the fuzzer's thread, so that an input always does the same ----
 */

static int start(struct virtio_device *device) {
	(void)device;
	require(!running);
	running = true;
	return 0;
}

static void stop(struct virtio_device *device) {
	(void)device;
	require(running);
	running = false;
}

static uint32_t serve(struct virtio_device *device, struct virtqueue_chain *chain) {
	uint8_t bytes[64];
	require(running && !device->queues[0].broken);
	size_t n = virtqueue_chain_read(chain, 0, bytes, sizeof(bytes));
	return (uint32_t)virtqueue_chain_write(chain, 0, bytes, n);
}

static const struct virtio_device_ops device_ops = {.start = start, .stop = stop};

static struct virtio_device device = {
	.ops = &device_ops,
	.name = "fuzz",
	.type = VIRTIO_TYPE_BLOCK,
	.features = 7,
	.config_size = 10,
	.queue_count = QUEUES,
	.queue_size = {SIZE, SIZE},
};

/* ---- what the transport tells ---- */

static void bar_changed(struct virtio_pci *changed, uint64_t address) {
	require(changed == &pci && address % VIRTIO_PCI_BAR_SIZE == 0 && address != bar);
	bar = address;
}

static void vector_changed(
	struct virtio_pci *changed, unsigned vector, const struct msix_entry *entry, bool masked) {
	require(changed == &pci && vector <= QUEUES && (masked || (entry->control & 1) == 0));
}

static const struct virtio_pci_ops pci_ops = {.bar_changed = bar_changed, .vector_changed = vector_changed};

static void create(void) {
	require(virtio_device_init(&device) == 0);
	host.devices[0] = &device;
	host.device_count = 1;
	device_start_host(&host, &loop, &memory, &client);
}

/* ---- the driver ---- */

static void good_driver(void) {
	for (size_t i = 0; i < DEVICE_WRITES; i++) {
		virtio_pci_bar_write(
			&pci, device_set_up[i].offset, device_set_up[i].len, device_set_up[i].value);
	}
}

static void operate(struct input *input) {
	static const unsigned parts[] = {0, VIRTIO_PCI_ISR_OFFSET, VIRTIO_PCI_DEVICE_OFFSET,
		VIRTIO_PCI_NOTIFY_OFFSET, VIRTIO_PCI_MSIX_TABLE_OFFSET, VIRTIO_PCI_MSIX_PBA_OFFSET,
		VIRTIO_PCI_BAR_SIZE - 8, 0x2080};
	unsigned operation = take(input, 1);
	if ((operation & 3) == 3) {
		good_driver();
		return;
	}
	unsigned len = 1u << (operation >> 2 & 3);
	bool reading = (operation >> 4 & 1) != 0;
	unsigned offset = take(input, 1);
	uint64_t value = reading ? 0 : take_long(input, len);
	if ((operation & 3) == 2) {
		memcpy(ram + 0x1000 + (operation >> 5 & 3) * 0x1000 + offset, &value, len);
	} else if ((operation & 3) == 1) {
		offset += parts[operation >> 5];
		reading ? (void)virtio_pci_bar_read(&pci, offset, len)
			: virtio_pci_bar_write(&pci, offset, len, value);
	} else {
		reading ? (void)virtio_pci_config_read(&pci, offset, len)
			: virtio_pci_config_write(&pci, offset, len, (uint32_t)value);
	}
}

static void serve_kicks(void) {
	for (unsigned i = 0; i < QUEUES && running; i++) {
		uint64_t count;
		if (read(device.queues[i].kick_fd, &count, sizeof(count)) == sizeof(count)) {
			virtio_device_serve_queue(&device, &device.queues[i], serve);
		}
	}
}

static void check(void) {
	uint32_t status = (uint32_t)virtio_pci_bar_read(&pci, 0x14, 1);
	require(pci.active == running && bar == pci.bar_address);
	require((status & 4) == 0 || (status & 8) != 0);                /* DRIVER_OK: FEATURES_OK */
	require((status & 8) == 0 || (pci.driver_features >> 32) == 1); /* FEATURES_OK: VERSION_1 */
	require(!running || (status & 4) != 0);
	require(virtio_pci_config_read(&pci, 0, 4) == 0x10421af4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (client.fd == 0) {
		create();
	}
	memset(ram, 0, sizeof(ram));
	bar = 0;
	virtio_pci_init(&pci, &device, &client, 0, BAR, &pci_ops, NULL);
	while (input.left > 0) {
		operate(&input);
		serve_kicks();
		check();
	}
	virtio_pci_bar_write(&pci, 0x14, 1, 0);
	require(!running && virtio_pci_bar_read(&pci, 0x14, 1) == 0);
	return 0;
}
