/* See pci_fixture.h. */
#include "pci_fixture.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct pci_fixture *fixture_of(struct virtio_device *device) {
	return (struct pci_fixture *)(void *)((char *)device - offsetof(struct pci_fixture, device));
}

static int start(struct virtio_device *device) {
	fixture_of(device)->starts++;
	return fixture_of(device)->start_result;
}

static void stop(struct virtio_device *device) {
	fixture_of(device)->stops++;
}

/* Without notify, as a device with threads of its own: the tests look at the kick eventfds. */
static const struct virtio_device_ops device_ops = {.start = start, .stop = stop};

static void bar_changed(struct virtio_pci *pci, uint64_t address) {
	struct pci_fixture *f = pci->owner;
	f->bar_changes++;
	f->bar = address;
}

static void vector_changed(
	struct virtio_pci *pci, unsigned vector, const struct msix_entry *entry, bool masked) {
	struct pci_fixture *f = pci->owner;
	f->vector_changes++;
	f->vector = vector;
	f->entry = *entry;
	f->masked = masked;
}

static const struct virtio_pci_ops pci_ops = {.bar_changed = bar_changed, .vector_changed = vector_changed};

static void *run_host(void *data) {
	struct pci_fixture *f = data;
	loop_run(&f->driver.loop);
	return NULL;
}

static struct loop *host_loop;

static void end_host(struct loop_source *source, uint32_t events) {
	(void)source;
	(void)events;
	loop_stop(host_loop, 0);
}

static void set_up_host(struct pci_fixture *f) {
	int host_end, client_end;
	assert(virtio_host_socketpair(&host_end, &client_end) == 0);
	f->host.devices[0] = &f->device;
	f->host.device_count = 1;
	assert(virtio_host_init(&f->host, &f->driver.loop, &f->driver.memory, host_end) == 0);
	assert(virtio_host_client_init(&f->client, client_end) == 0);
	f->end = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = end_host};
	host_loop = &f->driver.loop;
	assert(loop_add(&f->driver.loop, &f->end, EPOLLIN) == 0);
	assert(pthread_create(&f->thread, NULL, run_host, f) == 0);
}

struct pci_fixture *pci_fixture_create(void) {
	struct pci_fixture *f = calloc(1, sizeof(*f));
	assert(f != NULL);
	f->device = (struct virtio_device){.ops = &device_ops,
		.name = "test",
		.type = VIRTIO_TYPE_BLOCK,
		.pci_class = 0x018000,
		.features = 1ULL << FEATURE | 1,
		.config = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66},
		.config_size = 6,
		.queue_count = QUEUES,
		.queue_size = {SIZE, 0, SIZE}}; /* the second does not exist */
	assert(virtio_device_init(&f->device) == 0);
	driver_init(&f->driver);
	for (unsigned i = 0; i < 3; i++) {
		f->rings[i] = driver_alloc(&f->driver, 4096);
	}
	set_up_host(f);
	virtio_pci_init(&f->pci, &f->device, &f->client, 0, BAR, &pci_ops, f);
	return f;
}

void pci_fixture_destroy(struct pci_fixture *f) {
	uint64_t one = 1;
	assert(write(f->end.fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(f->thread, NULL);
	close(f->end.fd);
	virtio_host_finish(&f->host);
	virtio_host_client_finish(&f->client);
	virtio_device_finish(&f->device);
	driver_finish(&f->driver);
	free(f);
}

uint32_t config_get(struct pci_fixture *f, unsigned offset, unsigned len) {
	return virtio_pci_config_read(&f->pci, offset, len);
}

void config_set(struct pci_fixture *f, unsigned offset, unsigned len, uint32_t value) {
	virtio_pci_config_write(&f->pci, offset, len, value);
}

uint64_t bar_get(struct pci_fixture *f, unsigned offset, unsigned len) {
	return virtio_pci_bar_read(&f->pci, offset, len);
}

void bar_set(struct pci_fixture *f, unsigned offset, unsigned len, uint64_t value) {
	virtio_pci_bar_write(&f->pci, offset, len, value);
}

bool fd_readable(int fd) {
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	return poll(&pollfd, 1, 0) == 1;
}

unsigned pci_find_capability(struct pci_fixture *f, uint8_t id, uint8_t type) {
	unsigned found = 0, steps = 0;
	for (unsigned at = config_get(f, 0x34, 1); at != 0; at = config_get(f, at + 1, 1)) {
		assert(at >= 0x40 && at % 4 == 0 && ++steps < 16);
		if (config_get(f, at, 1) == id && (id != 9 || config_get(f, at + 3, 1) == type)) {
			assert(found == 0);
			found = at;
		}
	}
	return found;
}

void pci_set_features(struct pci_fixture *f, uint64_t features) {
	bar_set(f, 0x08, 4, 0);
	bar_set(f, 0x0c, 4, (uint32_t)features);
	bar_set(f, 0x08, 4, 1);
	bar_set(f, 0x0c, 4, features >> 32);
}

void pci_negotiate(struct pci_fixture *f) {
	bar_set(f, STATUS, 1, 1);
	bar_set(f, STATUS, 1, ACK_DRIVER);
	pci_set_features(f, VERSION_1);
	bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK);
	assert(bar_get(f, STATUS, 1) == (ACK_DRIVER | FEATURES_OK));
}

void pci_configure_queue(struct pci_fixture *f) {
	bar_set(f, Q_SELECT, 2, 0);
	bar_set(f, Q_VECTOR, 2, 1);
	bar_set(f, Q_DESC, 4, f->rings[0].value);
	bar_set(f, Q_DRIVER, 4, f->rings[1].value);
	bar_set(f, Q_DEVICE, 4, f->rings[2].value);
	bar_set(f, Q_ENABLE, 2, 1);
}

void pci_bring_up(struct pci_fixture *f) {
	pci_negotiate(f);
	bar_set(f, CONFIG_VECTOR, 2, 0);
	pci_configure_queue(f);
	bar_set(f, STATUS, 1, ACK_DRIVER | FEATURES_OK | DRIVER_OK);
}
