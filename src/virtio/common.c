/*
 * The common configuration structure of virtio-pci (virtio 1.2, section 4.1.4.3) and the life of a device
 * that is driven through it (section 3.1). Runs on vCPU threads under the lock of the bus. Offsets,
 * widths and values are the guest's; what would change a device behind its back is ignored: queues
 * and vectors are fixed from their enabling, respectively from DRIVER_OK, to the next reset.
 */
#include "virtio/pci.h"

#include "ph/fd.h"

#include <string.h>

#define STATUS_ACKNOWLEDGE 0x01
#define STATUS_DRIVER 0x02
#define STATUS_DRIVER_OK 0x04
#define STATUS_FEATURES_OK 0x08
#define STATUS_NEEDS_RESET 0x40
#define STATUS_FAILED 0x80

enum field {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_MSIX_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

/* The one width each field may be accessed with; 64-bit fields are two halves. */
static const uint8_t field_width[VIRTIO_PCI_COMMON_SIZE] = {
	[DEVICE_FEATURE_SELECT] = 4,
	[DEVICE_FEATURE] = 4,
	[DRIVER_FEATURE_SELECT] = 4,
	[DRIVER_FEATURE] = 4,
	[CONFIG_MSIX_VECTOR] = 2,
	[NUM_QUEUES] = 2,
	[DEVICE_STATUS] = 1,
	[CONFIG_GENERATION] = 1,
	[QUEUE_SELECT] = 2,
	[QUEUE_SIZE] = 2,
	[QUEUE_MSIX_VECTOR] = 2,
	[QUEUE_ENABLE] = 2,
	[QUEUE_NOTIFY_OFF] = 2,
	[QUEUE_DESC] = 4,
	[QUEUE_DESC + 4] = 4,
	[QUEUE_DRIVER] = 4,
	[QUEUE_DRIVER + 4] = 4,
	[QUEUE_DEVICE] = 4,
	[QUEUE_DEVICE + 4] = 4,
};

static bool access_fits(unsigned offset, unsigned len) {
	return offset < sizeof(field_width) && field_width[offset] == len;
}

static uint64_t offered_features(const struct virtio_pci *pci) {
	return pci->device->features | VIRTIO_TRANSPORT_FEATURES;
}

/* A register half of a 64-bit value; 0 for halves that do not exist. */
static uint32_t half(uint64_t value, uint32_t select) {
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

static uint64_t with_half(uint64_t old, uint32_t select, uint32_t value) {
	unsigned shift = 32 * select;
	return (old & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

void virtio_pci_common_clear(struct virtio_pci *pci) {
	pci->status = 0;
	pci->device_feature_select = pci->driver_feature_select = 0;
	pci->driver_features = 0;
	pci->queue_select = 0;
	pci->config_vector = VIRTIO_NO_VECTOR;
	pci->active = false;
	memset(pci->queues, 0, sizeof(pci->queues));
	memset(pci->queue_enabled, 0, sizeof(pci->queue_enabled));
	for (unsigned i = 0; i < pci->device->queue_count; i++) {
		pci->queues[i].size = pci->device->queue_size[i];
		pci->queues[i].vector = VIRTIO_NO_VECTOR;
	}
}

/* ---- device status ---- */

static void reset(struct virtio_pci *pci) {
	if (pci->active) {
		/* Either the device has stopped, or the process that could touch guest memory for it is gone.
		 */
		virtio_host_reset(pci->host, pci->host_index);
	}
	pci->device->shared->needs_reset = false;
	virtio_pci_common_clear(pci);
}

static void activate(struct virtio_pci *pci) {
	struct virtio_activation activation = {
		.driver_features = pci->driver_features,
		.config_vector = pci->config_vector,
	};
	for (unsigned i = 0; i < pci->device->queue_count; i++) {
		activation.queues[i] = pci->queues[i];
		if (!pci->queue_enabled[i]) {
			activation.queues[i].size = 0;
		}
	}
	int ret = virtio_host_activate(pci->host, pci->host_index, &activation);
	pci->active = ret == 0;
	if (ret == 0) {
		return;
	}
	log_guest(&pci->guest_errors, "%s: cannot start the device as its driver set it up: %s",
		pci->device->name, strerror(-ret));
	pci->device->shared->needs_reset = true;
	if (pci->config_vector < pci->vector_count) {
		fd_event_signal(pci->device->vector_fds[pci->config_vector]);
	}
}

static bool features_acceptable(const struct virtio_pci *pci) {
	return (pci->driver_features & ~offered_features(pci)) == 0 &&
	       (pci->driver_features >> VIRTIO_RING_F_VERSION_1 & 1) != 0;
}

static void write_status(struct virtio_pci *pci, uint8_t value) {
	if (value == 0) {
		reset(pci);
		return;
	}
	/* Bits are only ever added; what the driver must not do yet leaves its bit clear for it to see. */
	const uint8_t plain = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED;
	uint8_t added = value & (uint8_t)~pci->status;
	pci->status |= added & plain;
	if ((added & STATUS_FEATURES_OK) != 0 && features_acceptable(pci)) {
		pci->status |= STATUS_FEATURES_OK;
	}
	if ((added & STATUS_DRIVER_OK) != 0 && (pci->status & STATUS_FEATURES_OK) != 0 &&
		(pci->status & STATUS_FAILED) == 0) {
		pci->status |= STATUS_DRIVER_OK;
		activate(pci);
	}
}

static uint8_t read_status(const struct virtio_pci *pci) {
	return pci->status | (pci->device->shared->needs_reset ? STATUS_NEEDS_RESET : 0);
}

/* ---- the selected queue ---- */

/* NULL when the driver selected one that does not exist. */
static struct virtqueue_config *selected_queue(struct virtio_pci *pci) {
	unsigned i = pci->queue_select;
	return i < pci->device->queue_count && pci->device->queue_size[i] != 0 ? &pci->queues[i] : NULL;
}

static uint32_t read_queue(struct virtio_pci *pci, unsigned field) {
	const struct virtqueue_config *queue = selected_queue(pci);
	if (queue == NULL) {
		return field == QUEUE_MSIX_VECTOR ? VIRTIO_NO_VECTOR : 0;
	}
	switch (field) {
	case QUEUE_SIZE:
		return queue->size;
	case QUEUE_MSIX_VECTOR:
		return queue->vector;
	case QUEUE_ENABLE:
		return pci->queue_enabled[pci->queue_select];
	case QUEUE_NOTIFY_OFF:
		return pci->queue_select;
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
		return half(queue->descriptor_area.value, field > QUEUE_DESC);
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
		return half(queue->driver_area.value, field > QUEUE_DRIVER);
	default:
		return half(queue->device_area.value, field > QUEUE_DEVICE);
	}
}

static void write_queue_size(struct virtio_pci *pci, struct virtqueue_config *queue, uint16_t size) {
	if (size != 0 && (size & (size - 1)) == 0 && size <= pci->device->queue_size[pci->queue_select]) {
		queue->size = size;
	}
}

static void write_queue_address(struct virtqueue_config *queue, unsigned field, uint32_t value) {
	gpa_t *address = &queue->device_area;
	if (field < QUEUE_DRIVER) {
		address = &queue->descriptor_area;
	} else if (field < QUEUE_DEVICE) {
		address = &queue->driver_area;
	}
	address->value = with_half(address->value, (field & 4) != 0, value);
}

static uint16_t valid_vector(const struct virtio_pci *pci, uint32_t vector) {
	return vector < pci->vector_count ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static void write_queue(struct virtio_pci *pci, unsigned field, uint32_t value) {
	struct virtqueue_config *queue = selected_queue(pci);
	if (queue == NULL || (pci->status & STATUS_DRIVER_OK) != 0) {
		return;
	}
	if (field == QUEUE_MSIX_VECTOR) {
		queue->vector = valid_vector(pci, value);
		return;
	}
	if (pci->queue_enabled[pci->queue_select]) {
		return;
	}
	if (field == QUEUE_SIZE) {
		write_queue_size(pci, queue, (uint16_t)value);
	} else if (field == QUEUE_ENABLE) {
		pci->queue_enabled[pci->queue_select] = value == 1;
	} else if (field >= QUEUE_DESC) {
		write_queue_address(queue, field, value);
	}
}

/* ---- access ---- */

uint32_t virtio_pci_common_read(struct virtio_pci *pci, unsigned offset, unsigned len) {
	if (!access_fits(offset, len)) {
		return 0;
	}
	switch (offset) {
	case DEVICE_FEATURE_SELECT:
		return pci->device_feature_select;
	case DEVICE_FEATURE:
		return half(offered_features(pci), pci->device_feature_select);
	case DRIVER_FEATURE_SELECT:
		return pci->driver_feature_select;
	case DRIVER_FEATURE:
		return half(pci->driver_features, pci->driver_feature_select);
	case CONFIG_MSIX_VECTOR:
		return pci->config_vector;
	case NUM_QUEUES:
		return pci->device->queue_count;
	case DEVICE_STATUS:
		return read_status(pci);
	case CONFIG_GENERATION:
		return atomic_load(&pci->device->shared->config_generation);
	case QUEUE_SELECT:
		return pci->queue_select;
	default:
		return read_queue(pci, offset);
	}
}

static void write_driver_feature(struct virtio_pci *pci, uint32_t value) {
	if (pci->driver_feature_select < 2 && (pci->status & STATUS_FEATURES_OK) == 0) {
		pci->driver_features = with_half(pci->driver_features, pci->driver_feature_select, value);
	}
}

void virtio_pci_common_write(struct virtio_pci *pci, unsigned offset, unsigned len, uint32_t value) {
	if (!access_fits(offset, len)) {
		return;
	}
	switch (offset) {
	case DEVICE_FEATURE_SELECT:
		pci->device_feature_select = value;
		break;
	case DRIVER_FEATURE_SELECT:
		pci->driver_feature_select = value;
		break;
	case DRIVER_FEATURE:
		write_driver_feature(pci, value);
		break;
	case CONFIG_MSIX_VECTOR:
		if ((pci->status & STATUS_DRIVER_OK) == 0) {
			pci->config_vector = valid_vector(pci, value);
		}
		break;
	case DEVICE_STATUS:
		write_status(pci, (uint8_t)value);
		break;
	case QUEUE_SELECT:
		pci->queue_select = (uint16_t)value;
		break;
	default:
		if (offset > QUEUE_SELECT) {
			write_queue(pci, offset, value);
		}
	}
}
