/*
 * Fuzz the console device: guest RAM holds good rings and control messages for two ports, the input
 * patches RAM, notifies queues and plays the ports' owners. Beside memory errors it looks for bytes
 * handed over in impossible amounts and for a device that goes on after a reset.
 *
 * Input: a byte (bit 0 MULTIPORT, 1 SIZE, 2 INDIRECT, 3 EVENT_IDX), then steps: see step().
 */
#include "input.h"

#include "ph/console.h"

#include <stdlib.h>
#include <string.h>

#define RAM_SIZE 65536u
#define QUEUES 6u
#define QUEUE_SIZE 4u
#define QUEUE_AREA 0x200u
#define BUFFER(queue, i) (0x2000u + (queue)*0x1000u + (i)*0x200u)
#define PATCH_MAX 15

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct port {
	struct console_port *port;
	size_t room;
	bool open;
};

static _Alignas(4096) uint8_t ram[RAM_SIZE];
static const struct guest_memory memory = {
	.region_count = 1, .regions = {{.base = 0, .size = RAM_SIZE, .host = ram}}};
static struct virtio_device *device;
static struct port ports[2];

static size_t receive(void *owner, const void *data, size_t len) {
	struct port *port = owner;
	static uint8_t copy[RAM_SIZE];
	require(device->started && len > 0 && len <= sizeof(copy));
	memcpy(copy, data, len);
	size_t n = len < port->room ? len : port->room;
	port->room -= n;
	return n;
}

static void opened(void *owner, bool open) {
	struct port *port = owner;
	require(port->open != open);
	port->open = open;
}

static void writable(void *owner) {
	struct port *port = owner;
	require(port->open && device->started);
	console_port_send(port->port, "more", 4);
}

static const struct console_port_ops ops = {.receive = receive, .opened = opened, .writable = writable};

static void initialise(void) {
	require(console_create(&device) == 0);
	require(console_add_port(device, NULL, &ops, &ports[0], &ports[0].port) == 0);
	require(console_add_port(device, "name", &ops, &ports[1], &ports[1].port) == 0);
	require(device->queue_count == QUEUES);
}

/* A queue full of single buffers. */
static void write_queue(unsigned queue) {
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		uint8_t *descriptor = ram + queue * QUEUE_AREA + 16 * i;
		const uint64_t address = BUFFER(queue, i);
		const uint32_t len = queue == 3 ? 8 : 0x200;
		const uint16_t flags = queue % 2 == 0 ? 2 : 0, head = (uint16_t)i;
		memcpy(descriptor, &address, 8);
		memcpy(descriptor + 8, &len, 4);
		memcpy(descriptor + 12, &flags, 2);
		memcpy(ram + queue * QUEUE_AREA + 0x80 + 4 + 2 * i, &head, 2);
	}
	ram[queue * QUEUE_AREA + 0x82] = QUEUE_SIZE;
}

static void start(uint64_t features) {
	memset(ram, 0, sizeof(ram));
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct virtqueue_config config = {.descriptor_area = {i * QUEUE_AREA},
			.driver_area = {i * QUEUE_AREA + 0x80},
			.device_area = {i * QUEUE_AREA + 0x100},
			.size = QUEUE_SIZE};
		write_queue(i);
		require(virtqueue_start(&device->queues[i], &memory, &config, features, -1) == 0);
	}
	static const uint8_t messages[QUEUE_SIZE][8] = {
		{0, 0, 0, 0, 0, 0, 1}, {1, 0, 0, 0, 6, 0, 1}, {0, 0, 0, 0, 6, 0, 1}, {1, 0, 0, 0, 3, 0, 1}};
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		memcpy(ram + BUFFER(3, i), messages[i], 8);
	}
	device->memory = &memory;
	device->driver_features = features;
	atomic_store(&device->shared->needs_reset, false);
	device->config_call_fd = -1;
	device->started = true;
	require(device->ops->start(device) == 0);
}

static void stop(void) {
	device->ops->stop(device);
	device->started = false;
	for (unsigned i = 0; i < QUEUES; i++) {
		virtqueue_stop(&device->queues[i]);
	}
	require(!ports[0].open && !ports[1].open);
	require(console_port_send(ports[1].port, "x", 1) == 0);
}

static void patch(struct input *input, unsigned len) {
	uint32_t address = take(input, 2);
	for (unsigned i = 0; i < len && address + i < RAM_SIZE; i++) {
		ram[address + i] = (uint8_t)take(input, 1);
	}
}

static void send(struct port *port, size_t len) {
	static const uint8_t data[1024];
	len = len < sizeof(data) ? len : sizeof(data);
	size_t sent = console_port_send(port->port, data, len);
	require(sent <= len && (port->open || sent == 0));
}

static void step(struct input *input, uint64_t features) {
	unsigned what = take(input, 1);
	struct port *port = &ports[what & 1];
	if (what <= PATCH_MAX) {
		patch(input, what);
		return;
	}
	switch (what >> 4) {
	case 1:
		device->ops->notify(device, &device->queues[(what & 15) % QUEUES]);
		break;
	case 2:
		port->room = take(input, 2);
		console_port_resume(port->port);
		break;
	case 3:
		send(port, take(input, 2));
		break;
	case 4:
		console_resize(device, (uint16_t)take(input, 1), (uint16_t)take(input, 1));
		break;
	case 5:
		stop();
		start(features);
		break;
	default: /* the guest offers one more buffer */
		ram[(what % QUEUES) * QUEUE_AREA + 0x82]++;
		device->ops->notify(device, &device->queues[what % QUEUES]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (device == NULL) {
		initialise();
	}
	unsigned setup = take(&input, 1);
	uint64_t features = (uint64_t)(setup & 1) << 1 | (uint64_t)(setup >> 1 & 1) |
			    (uint64_t)(setup >> 2 & 3) << VIRTIO_RING_F_INDIRECT_DESC;
	ports[0].room = ports[1].room = SIZE_MAX;
	console_resize(device, 0, 0);
	start(features);
	while (input.left > 0) {
		step(&input, features);
	}
	stop();
	return 0;
}
