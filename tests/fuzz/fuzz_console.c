/*
 * Fuzz the console device: guest RAM holds good rings and control messages for two ports, the input
 * patches RAM, notifies queues and plays the ports' owners. Beside memory errors it looks for bytes
 * handed over in impossible amounts and for a device that goes on after a reset.
 *
 * Input: a byte (bit 0 MULTIPORT, 1 SIZE, 2 INDIRECT, 3 EVENT_IDX), then steps: see step().
 */
#include "device.h"

#include "ph/console.h"

#include <string.h>

#define RAM_SIZE 65536u
#define QUEUES 6u
#define QUEUE_SIZE 4u
#define BUFFER_SIZE 0x200u
#define BUFFERS(queue) (0x2000u + (queue)*0x1000u)
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
static const struct device_layout layout = {
	.memory = &memory, .stride = 0x200, .avail = 0x80, .used = 0x100, .queue_size = QUEUE_SIZE};
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

static void start(uint64_t features) {
	static const uint8_t messages[QUEUE_SIZE][8] = {
		{0, 0, 0, 0, 0, 0, 1}, {1, 0, 0, 0, 6, 0, 1}, {0, 0, 0, 0, 6, 0, 1}, {1, 0, 0, 0, 3, 0, 1}};
	memset(ram, 0, sizeof(ram));
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct device_buffers buffers = {.address = BUFFERS(i),
			.stride = BUFFER_SIZE,
			.len = i == 3 ? 8 : BUFFER_SIZE,
			.flags = i % 2 == 0 ? 2 : 0,
			.offered = QUEUE_SIZE};
		device_fill_queue(&layout, i, &buffers);
	}
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		memcpy(ram + BUFFERS(3) + i * BUFFER_SIZE, messages[i], 8);
	}
	device_start(device, &layout, NULL, features);
}

static void stop(void) {
	device_stop(device);
	require(!ports[0].open && !ports[1].open);
	require(console_port_send(ports[1].port, "x", 1) == 0);
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
		device_patch(&layout, input, what);
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
	case 5:
		stop();
		start(features);
		break;
	default: /* the guest offers one more buffer */
		device_offer(device, &layout, what % QUEUES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (device == NULL) {
		initialise();
	}
	unsigned setup = take(&input, 1);
	uint64_t features = (uint64_t)(setup & 1) << 1 | (uint64_t)(setup >> 2 & 3)
								 << VIRTIO_RING_F_INDIRECT_DESC;
	ports[0].room = ports[1].room = SIZE_MAX;
	start(features);
	while (input.left > 0) {
		step(&input, features);
	}
	stop();
	return 0;
}
