/*
 * Each device, behind its registers and with its host on a thread, against the driver that breaks the rules
 * (abuse.c), under the sanitizers. The same abuses come from guests in tests/hostile/abuse-*.sh.
 */
#include "abuse.h"
#include "abused_devices.h"
#include "driver.h"
#include "monitor/window.h"

#include "ph/balloon.h"
#include "ph/block.h"
#include "ph/console.h"
#include "ph/display.h"
#include "ph/fd.h"
#include "ph/files.h"
#include "ph/net.h"
#include "ph/rng.h"
#include "ph/virtio_pci.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define BARS 0xd0000000ULL

enum slot { RNG, BALLOON, BLOCK, CONSOLE, FILES, NET, WL, SLOTS };

static struct {
	struct driver driver; /* guest memory and the host's loop */
	struct virtio_host host;
	struct virtio_host_client client;
	struct virtio_pci pci[SLOTS];
	struct window window;
	int net_peer;
	gpa_t pages[ABUSE_PAGES];
	gpa_t ram;
	pthread_t thread;
	struct loop_source end;
} m;

static unsigned failed;

/* ---- the machine ---- */

uint32_t machine_config_read(unsigned slot, unsigned offset, unsigned len) {
	return virtio_pci_config_read(&m.pci[slot], offset, len);
}

void machine_config_write(unsigned slot, unsigned offset, unsigned len, uint32_t value) {
	virtio_pci_config_write(&m.pci[slot], offset, len, value);
}

uint64_t machine_bar_read(unsigned slot, unsigned offset, unsigned len) {
	return virtio_pci_bar_read(&m.pci[slot], offset, len);
}

void machine_bar_write(unsigned slot, unsigned offset, unsigned len, uint64_t value) {
	virtio_pci_bar_write(&m.pci[slot], offset, len, value);
}

uint8_t *machine_page(unsigned index) {
	return driver_at(&m.driver, m.pages[index]);
}

uint64_t machine_address(unsigned index) {
	return m.pages[index].value;
}

uint64_t machine_ram(void) {
	return m.ram.value;
}

void machine_pause(void) {
	const struct timespec time = {.tv_nsec = 20000};
	nanosleep(&time, NULL);
}

void machine_result(bool passed, const char *device, const char *abuse) {
	if (!passed) {
		print_message("# %s: %s\n", device, abuse);
		failed++;
	}
}

/* ---- the devices ---- */

static struct virtio_device *create_net(void) {
	struct virtio_device *device = NULL;
	int frames[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, frames), 0);
	const struct net_options options = {
		.fds = {frames[0]}, .pair_count = 1, .supply_fd = -1, .mac = {2, 0, 0, 0, 0, 9}, .mtu = 1500};
	assert_int_equal(net_create(&device, &options), 0);
	m.net_peer = frames[1];
	return device;
}

static struct virtio_device *create_wl(void) {
	struct virtio_device *device = NULL;
	const struct display_socket socket = {.filtered = true};
	assert_int_equal(window_init(&m.window, &m.driver.memory), 0);
	assert_int_equal(window_reserve(&m.window), 0);
	const struct display_options options = {.sockets = &socket,
		.socket_count = 1,
		.connector = -1,
		.tag = "abuse",
		.window_fd = m.window.client_fd,
		.window_address = m.window.address,
		.window_size = m.window.size};
	assert_int_equal(display_create(&device, &options), 0);
	assert_int_equal(window_serve(&m.window), 0);
	return device;
}

static void create_devices(struct virtio_device *devices[]) {
	assert_int_equal(rng_create(&devices[RNG]), 0);
	assert_int_equal(balloon_create(&devices[BALLOON]), 0);
	devices[BLOCK] = abused_block_create();
	devices[CONSOLE] = abused_console_create();
	devices[FILES] = abused_files_create();
	devices[NET] = create_net();
	devices[WL] = create_wl();
}

static void destroy_devices(struct virtio_device *devices[]) {
	rng_destroy(devices[RNG]);
	balloon_destroy(devices[BALLOON]);
	block_destroy(devices[BLOCK]);
	console_destroy(devices[CONSOLE]);
	files_destroy(devices[FILES]);
	net_destroy(devices[NET]);
	close(m.net_peer);
	display_destroy(devices[WL]);
	window_finish(&m.window);
}

/* ---- their host ---- */

static void end_host(struct loop_source *source, uint32_t events) {
	(void)source;
	(void)events;
	loop_stop(&m.driver.loop, 0);
}

static void *run_host(void *data) {
	loop_run(data);
	return NULL;
}

static void bar_changed(struct virtio_pci *pci, uint64_t address) {
	(void)pci;
	(void)address;
}

static void vector_changed(
	struct virtio_pci *pci, unsigned vector, const struct msix_entry *entry, bool masked) {
	(void)entry;
	(void)masked;
	assert_true(vector < pci->vector_count);
}

static const struct virtio_pci_ops pci_ops = {.bar_changed = bar_changed, .vector_changed = vector_changed};

static int set_up(void **state) {
	(void)state;
	int host_end, client_end;
	driver_init(&m.driver);
	for (unsigned i = 0; i < ABUSE_PAGES; i++) {
		m.pages[i] = driver_alloc(&m.driver, 4096);
	}
	m.ram = driver_alloc(&m.driver, 65536);
	m.host.device_count = SLOTS;
	create_devices(m.host.devices);
	if (virtio_host_socketpair(&host_end, &client_end) < 0 ||
		virtio_host_init(&m.host, &m.driver.loop, &m.driver.memory, host_end) < 0 ||
		virtio_host_client_init(&m.client, client_end) < 0) {
		return -1;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		virtio_pci_init(&m.pci[i], m.host.devices[i], &m.client, i, BARS + i * VIRTIO_PCI_BAR_SIZE,
			&pci_ops, NULL);
		virtio_pci_config_write(&m.pci[i], 4, 2, 6);
	}
	m.end = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = end_host};
	return loop_add(&m.driver.loop, &m.end, EPOLLIN) < 0 ||
			       pthread_create(&m.thread, NULL, run_host, &m.driver.loop) != 0
		       ? -1
		       : 0;
}

static int tear_down(void **state) {
	(void)state;
	fd_event_signal(m.end.fd);
	pthread_join(m.thread, NULL);
	close(m.end.fd);
	virtio_host_finish(&m.host);
	virtio_host_client_finish(&m.client);
	destroy_devices(m.host.devices);
	driver_finish(&m.driver);
	return 0;
}

/* ---- */

static void abuse(enum slot slot) {
	failed = 0;
	abuse_commit(slot, (slot + 1) % SLOTS, 0, abuse_count);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!abuse_lives(i)) {
			print_message("# %s does not serve any more\n", abuse_device_name(i));
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

#define TEST(name, slot) \
	static void name(void **state) { \
		(void)state; \
		abuse(slot); \
	}

TEST(test_rng, RNG)
TEST(test_balloon, BALLOON)
TEST(test_block, BLOCK)
TEST(test_console, CONSOLE)
TEST(test_files, FILES)
TEST(test_net, NET)
TEST(test_wl, WL)

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_balloon),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_wl),
	};
	return cmocka_run_group_tests_name("abuse", tests, set_up, tear_down);
}
