/*
 * The console device: its ports, their two queues each, and the control messages that bring ports up
 * in the guest. Runs on the loop thread of the device's host. Chains, control messages and their order
 * are the guest's and hostile; names and sizes are ours.
 */
#include "ph/console.h"

#include "ph/fd.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSOLE_F_MULTIPORT 1

#define CONTROL_RX 2
#define CONTROL_TX 3

/* What one notification may move before the loop's other sources get their turn. */
#define TURN_BYTES (256 * 1024)
#define BOUNCE_SIZE (32 * 1024)
#define NAME_MAX_SIZE 32

enum control_event {
	CONTROL_DEVICE_READY = 0,
	CONTROL_PORT_ADD = 1,
	CONTROL_PORT_READY = 3,
	CONTROL_CONSOLE_PORT = 4,
	CONTROL_PORT_OPEN = 6,
	CONTROL_PORT_NAME = 7,
};

struct control_message {
	uint32_t id;
	uint16_t event;
	uint16_t value;
};

/* The longest message to the driver. */
struct control_buffer {
	struct control_message message;
	char text[NAME_MAX_SIZE];
};

struct config {
	uint16_t columns, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

struct console_port {
	struct console_device *console;
	unsigned id;
	char name[NAME_MAX_SIZE];
	const struct console_port_ops *ops;
	void *owner;

	/* all forgotten on a reset */
	unsigned announce; /* bit per enum control_event: to be told to the driver, in this order */
	bool open;         /* the guest has opened its end */
	bool blocked;      /* receive left bytes: nothing more is offered until console_port_resume() */
	bool starved;      /* a send was short: the driver's next buffers are of interest */
	uint64_t offset;   /* how far into the next chain receive has got */
};

struct console_device {
	struct virtio_device base;
	struct console_port ports[CONSOLE_PORTS_MAX];
	unsigned port_count;
	bool multiport; /* the driver accepted it */
	bool ready;     /* the driver said DEVICE_READY */
	uint8_t bounce[BOUNCE_SIZE];
};

static struct console_device *from_base(struct virtio_device *device) {
	return (struct console_device *)((char *)device - offsetof(struct console_device, base));
}

static struct virtqueue *receive_queue(struct console_port *port) {
	return &port->console->base.queues[port->id == 0 ? 0 : 2 + 2 * port->id];
}

static struct virtqueue *transmit_queue(struct console_port *port) {
	return receive_queue(port) + 1;
}

/* Pop; a broken rule breaks the device. True when there is a chain. */
static bool pop(struct console_device *console, struct virtqueue *queue, struct virtqueue_chain *chain) {
	int ret = virtqueue_pop(queue, chain);
	if (ret < 0 && queue->rule != NULL) {
		virtio_device_break(&console->base, queue->rule);
	}
	return ret > 0;
}

/* ---- control messages to the driver ---- */

static size_t make_message(struct console_port *port, unsigned event, struct control_buffer *buffer) {
	buffer->message = (struct control_message){
		.id = htole32(port->id),
		.event = htole16((uint16_t)event),
		.value = htole16(1),
	};
	size_t text = 0;
	if (event == CONTROL_PORT_NAME) {
		text = strlen(port->name);
		memcpy(buffer->text, port->name, text);
	}
	return sizeof(buffer->message) + text;
}

/* Send one message. False when it has to wait for a buffer. */
static bool send_message(struct console_port *port, unsigned event) {
	struct console_device *console = port->console;
	struct virtqueue *queue = &console->base.queues[CONTROL_RX];
	struct virtqueue_chain chain;
	while (!pop(console, queue, &chain)) {
		if (!virtqueue_enable_notify(queue)) {
			return false;
		}
	}
	struct control_buffer buffer;
	size_t size = make_message(port, event, &buffer);
	if (virtqueue_chain_write(&chain, 0, &buffer, size) < size) {
		virtio_device_break(&console->base, "a buffer too small for a control message");
		return false;
	}
	virtqueue_push(queue, chain.head, (uint32_t)size);
	return true;
}

static bool announce_port(struct console_port *port) {
	while (port->announce != 0) {
		unsigned event = (unsigned)__builtin_ctz(port->announce);
		if (!send_message(port, event)) {
			return false;
		}
		port->announce &= ~(1u << event);
	}
	return true;
}

/*
 * Tell the driver all there is to tell, with one interrupt. The named ports come first: they are what a
 * boot waits for, while a console port has the guest replay its log.
 */
static void announce(struct console_device *console) {
	virtqueue_disable_notify(&console->base.queues[CONTROL_RX]);
	bool done = true;
	for (unsigned i = 1; i <= console->port_count && done; i++) {
		done = announce_port(&console->ports[i % console->port_count]);
	}
	virtqueue_signal(&console->base.queues[CONTROL_RX]);
}

/*
 * The driver is up. All messages go out at once rather than after each port's PORT_READY: the driver
 * handles them in order, so a port exists by the time its name comes, and the round trips are saved.
 */
static void device_ready(struct console_device *console) {
	console->ready = true;
	for (unsigned i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];
		port->announce = 1u << CONTROL_PORT_ADD;
		port->announce |= i > 0 ? 1u << CONTROL_PORT_OPEN | 1u << CONTROL_PORT_NAME
					: 1u << CONTROL_CONSOLE_PORT;
	}
	announce(console);
}

/* ---- control messages from the driver ---- */

static void port_opened(struct console_port *port, bool open) {
	if (port->open == open) {
		return;
	}
	port->open = open;
	port->starved = false;
	if (port->ops->opened != NULL) {
		port->ops->opened(port->owner, open);
	}
}

/* The specification knows no answer to a senseless message: it is told and otherwise ignored. */
static void handle_message(struct console_device *console, const struct control_message *message) {
	uint32_t id = le32toh(message->id);
	uint16_t event = le16toh(message->event);
	uint16_t value = le16toh(message->value);
	struct log_limit *limit = &console->base.guest_errors;
	if (event == CONTROL_DEVICE_READY) {
		if (value == 1 && !console->multiport) {
			log_guest(limit, "console: DEVICE_READY without VIRTIO_CONSOLE_F_MULTIPORT");
		} else if (value == 1 && !console->ready) {
			device_ready(console);
		}
	} else if (id >= console->port_count) {
		log_guest(limit, "console: control message %u for port %u, which does not exist", event, id);
	} else if (event == CONTROL_PORT_OPEN) {
		port_opened(&console->ports[id], value != 0);
	} else if (event == CONTROL_PORT_READY && value != 1) {
		log_guest(limit, "console: the guest could not add port %u", id);
	} else if (event != CONTROL_PORT_READY) {
		log_guest(limit, "console: unknown control message %u", event);
	}
}

static uint32_t serve_control(struct virtio_device *device, struct virtqueue_chain *chain) {
	struct control_message message;
	if (virtqueue_chain_read(chain, 0, &message, sizeof(message)) < sizeof(message)) {
		log_guest(&device->guest_errors, "console: a control message too short");
		return 0;
	}
	handle_message(from_base(device), &message);
	return 0;
}

/* ---- bytes from the guest ---- */

/* Offer a chain's bytes from port->offset on, within the turn's budget. True when all were taken. */
static bool offer_chain(struct console_port *port, struct virtqueue_chain *chain, size_t *budget) {
	uint8_t *bounce = port->console->bounce;
	while (port->offset<chain->readable_size && * budget> 0) {
		size_t len = virtqueue_chain_read(chain, port->offset, bounce, BOUNCE_SIZE);
		size_t taken = port->ops->receive(port->owner, bounce, len);
		assert(taken <= len);
		port->offset += taken;
		*budget -= taken < *budget ? taken : *budget;
		if (taken < len) {
			port->blocked = true;
			return false;
		}
	}
	return port->offset >= chain->readable_size;
}

/* Serve chains until there are none (true), or the receiver or the budget stops it (false). */
static bool transmit_chains(struct console_port *port, size_t *budget) {
	struct virtqueue *queue = transmit_queue(port);
	struct virtqueue_chain chain;
	while (pop(port->console, queue, &chain)) {
		bool taken = offer_chain(port, &chain, budget);
		if (queue->broken) {
			return false;
		}
		if (!taken) {
			virtqueue_unpop(queue);
			return false;
		}
		virtqueue_push(queue, chain.head, 0);
		port->offset = 0;
		/* An empty chain costs something too. */
		*budget -= *budget < 64 ? *budget : 64;
		if (*budget == 0) {
			return false;
		}
	}
	return true;
}

static void serve_transmit(struct console_port *port) {
	struct virtqueue *queue = transmit_queue(port);
	size_t budget = TURN_BYTES;
	bool empty = true;
	while (!port->blocked && empty) {
		virtqueue_disable_notify(queue);
		empty = transmit_chains(port, &budget);
		virtqueue_signal(queue);
		if (empty && !virtqueue_enable_notify(queue)) {
			return;
		}
	}
	if (!port->blocked && !queue->broken) {
		fd_event_signal(queue->kick_fd); /* the rest at the loop's next turn */
	}
}

void console_port_resume(struct console_port *port) {
	if (port->blocked) {
		port->blocked = false;
		fd_event_signal(transmit_queue(port)->kick_fd);
	}
}

/* ---- bytes to the guest ---- */

size_t console_port_send(struct console_port *port, const void *data, size_t len) {
	struct virtqueue *queue = receive_queue(port);
	size_t sent = 0;
	while (port->open && sent < len) {
		struct virtqueue_chain chain;
		if (!pop(port->console, queue, &chain)) {
			if (virtqueue_enable_notify(queue)) {
				continue;
			}
			port->starved = true;
			break;
		}
		size_t n = virtqueue_chain_write(&chain, 0, (const uint8_t *)data + sent, len - sent);
		if (n == 0) {
			virtio_device_break(&port->console->base, "a receive buffer without room");
			break;
		}
		virtqueue_push(queue, chain.head, (uint32_t)n);
		sent += n;
	}
	virtqueue_signal(queue);
	return sent;
}

static void serve_receive(struct console_port *port) {
	virtqueue_disable_notify(receive_queue(port));
	if (!port->starved) {
		return;
	}
	port->starved = false;
	if (port->ops->writable != NULL) {
		port->ops->writable(port->owner);
	}
}

/* ---- the device ---- */

static void forget(struct console_device *console) {
	for (unsigned i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];
		port_opened(port, false);
		port->announce = 0;
		port->blocked = port->starved = false;
		port->offset = 0;
	}
	console->multiport = console->ready = false;
}

static int start(struct virtio_device *device) {
	struct console_device *console = from_base(device);
	forget(console);
	console->multiport = (device->driver_features >> CONSOLE_F_MULTIPORT & 1) != 0;
	if (!console->multiport && console->port_count > 0) {
		port_opened(&console->ports[0], true);
	}
	return 0;
}

static void stop(struct virtio_device *device) {
	forget(from_base(device));
}

static void notify(struct virtio_device *device, struct virtqueue *queue) {
	struct console_device *console = from_base(device);
	if (queue->index == CONTROL_RX) {
		announce(console);
	} else if (queue->index == CONTROL_TX) {
		virtio_device_serve_queue(device, queue, serve_control);
	} else {
		struct console_port *port = &console->ports[queue->index < 2 ? 0 : queue->index / 2 - 1];
		if (queue->index % 2 == 0) {
			serve_receive(port);
		} else {
			serve_transmit(port);
		}
	}
}

static const struct virtio_device_ops device_ops = {
	.start = start,
	.stop = stop,
	.notify = notify,
};

int console_create(struct virtio_device **device) {
	struct console_device *console = calloc(1, sizeof(*console));
	if (console == NULL) {
		return -ENOMEM;
	}
	console->base.ops = &device_ops;
	snprintf(console->base.name, sizeof(console->base.name), "console");
	console->base.type = VIRTIO_TYPE_CONSOLE;
	console->base.pci_class = 0x078000;
	console->base.features = 1ULL << CONSOLE_F_MULTIPORT;
	console->base.config_size = sizeof(struct config);
	*device = &console->base;
	return 0;
}

void console_destroy(struct virtio_device *device) {
	if (device == NULL) {
		return;
	}
	virtio_device_finish(device);
	free(from_base(device));
}

/*
 * The driver fills every receive queue with a page a slot, at boot: they are kept short. Port 0 carries
 * the kernel's messages and hardly any input; the others carry a session's window.
 */
static void set_queues(struct virtio_device *device, unsigned ports) {
	device->queue_count = 2 * (ports + 1);
	device->queue_size[0] = 4;
	device->queue_size[1] = 16;
	device->queue_size[CONTROL_RX] = 8;
	device->queue_size[CONTROL_TX] = 4;
	for (unsigned i = 4; i < device->queue_count; i++) {
		device->queue_size[i] = 32;
	}
	struct config config = {.max_nr_ports = htole32(ports)};
	memcpy(device->config, &config, sizeof(config));
}

int console_add_port(struct virtio_device *device, const char *name, const struct console_port_ops *ops,
	void *owner, struct console_port **port) {
	struct console_device *console = from_base(device);
	assert(!device->started && (name == NULL) == (console->port_count == 0));
	assert(name == NULL || strlen(name) < NAME_MAX_SIZE);
	if (console->port_count == CONSOLE_PORTS_MAX) {
		return -ENOSPC;
	}
	/* The number of queues follows the ports, and the eventfds follow the queues. */
	virtio_device_finish(device);
	set_queues(device, console->port_count + 1);
	int ret = virtio_device_init(device);
	if (ret < 0) {
		return ret;
	}
	*port = &console->ports[console->port_count];
	**port = (struct console_port){
		.console = console, .id = console->port_count, .ops = ops, .owner = owner};
	snprintf((*port)->name, sizeof((*port)->name), "%s", name != NULL ? name : "");
	console->port_count++;
	return 0;
}
