/*
 * The bus as a guest sees it, and the interrupts and notifications it sets up, with a real KVM VM where
 * there is one (creating VMs works even where kernels cannot run) and without where there is none.
 */
#include "monitor/pci.h"
#include "ph/rng.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#define ADDRESS 0xcf8
#define DATA 0xcfc
#define ENABLE 0x80000000u

struct fixture {
	struct pci_bus bus;
	struct virtio_device *rng;
	struct virtio_host_client client; /* nobody answers: requests fail */
	int dev_fd, vm_fd;
	uint8_t copy[PCI_COPY_SIZE];
};

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	int host_end, client_end;
	*state = f;
	f->dev_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	f->vm_fd = f->dev_fd >= 0 ? ioctl(f->dev_fd, KVM_CREATE_VM, 0) : -1;
	if (virtio_host_socketpair(&host_end, &client_end) < 0 || rng_create(&f->rng) < 0) {
		return -1;
	}
	close(host_end);
	virtio_host_client_init(&f->client, client_end);
	if (pci_init(&f->bus, f->vm_fd) < 0) {
		return -1;
	}
	pci_copy_config(&f->bus, f->copy);
	return pci_add(&f->bus, f->rng, &f->client, 0);
}

static int teardown(void **state) {
	struct fixture *f = *state;
	pci_finish(&f->bus);
	virtio_host_client_finish(&f->client);
	rng_destroy(f->rng);
	close(f->vm_fd);
	close(f->dev_fd);
	free(f);
	return 0;
}

static uint32_t config_read(struct fixture *f, unsigned slot, unsigned offset) {
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | slot << 11 | offset);
	return pci_port_read(&f->bus, DATA, 4);
}

static void config_write(struct fixture *f, unsigned slot, unsigned offset, uint32_t value) {
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | slot << 11 | offset);
	pci_port_write(&f->bus, DATA, 4, value);
}

static void test_enumeration(void **state) {
	struct fixture *f = *state;
	assert_int_equal(config_read(f, 0, 8) >> 8, 0x060000);
	assert_int_equal(config_read(f, 1, 0), 0x10441af4);
	for (unsigned slot = 2; slot < 32; slot++) {
		assert_int_equal(config_read(f, slot, 0), 0xffffffff);
	}
	assert_int_equal(config_read(f, 1, 0x10) & ~0xfu, PCI_BAR_BASE);
	assert_int_equal(config_read(f, 0, 0x10), 0);
}

static void check_copy(struct fixture *f) {
	for (unsigned slot = 0; slot < 32; slot++) {
		for (unsigned offset = 0; offset < PCI_CONFIG_SIZE; offset += 4) {
			uint32_t word;
			memcpy(&word, &f->copy[slot * PCI_CONFIG_SIZE + offset], 4);
			assert_int_equal(word, config_read(f, slot, offset));
		}
	}
}

static void test_copy_is_what_ports_read(void **state) {
	struct fixture *f = *state;
	check_copy(f);
	config_write(f, 1, 0x10, 0xffffffff);
	check_copy(f);
	config_write(f, 1, 0x10, PCI_BAR_BASE);
	config_write(f, 1, 4, 6);
	config_write(f, 2, 0x10, 0);
	check_copy(f);
}

/* What the guest writes over its copy is its own affair. */
static void test_copy_is_never_read(void **state) {
	struct fixture *f = *state;
	memset(f->copy, 0x5a, sizeof(f->copy));
	assert_int_equal(config_read(f, 1, 0), 0x10441af4);
}

static void test_other_buses_and_functions_are_empty(void **state) {
	struct fixture *f = *state;
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | 1u << 16);
	assert_int_equal(pci_port_read(&f->bus, DATA, 4), 0xffffffff);
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | 1u << 11 | 1u << 8);
	assert_int_equal(pci_port_read(&f->bus, DATA, 4), 0xffffffff);
	pci_port_write(&f->bus, ADDRESS, 4, 1u << 11); /* not enabled */
	assert_int_equal(pci_port_read(&f->bus, DATA, 4), 0xffffffff);
	assert_int_equal(pci_port_read(&f->bus, ADDRESS, 4), 1u << 11);
}

static void test_odd_widths(void **state) {
	struct fixture *f = *state;
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | 1u << 11);
	assert_int_equal(pci_port_read(&f->bus, DATA + 2, 2), 0x1044);
	assert_int_equal(pci_port_read(&f->bus, DATA + 1, 1), 0x1a);
	assert_int_equal(pci_port_read(&f->bus, DATA + 3, 2), 0xffff); /* beyond the register */
	assert_int_equal(pci_port_read(&f->bus, ADDRESS, 1), 0xff);
	pci_port_write(&f->bus, ADDRESS, 1, 0);
	assert_int_equal(pci_port_read(&f->bus, DATA, 4), 0x10441af4);
	pci_port_write(&f->bus, ADDRESS, 4, ENABLE | 1u << 11 | 0xfc);
	pci_port_write(&f->bus, DATA + 3, 4, ~0u);
}

static void test_bar_moves(void **state) {
	struct fixture *f = *state;
	const uint64_t device_status = 0x14;
	assert_int_equal(pci_memory_read(&f->bus, PCI_BAR_BASE + device_status, 1), 0xff);
	config_write(f, 1, 4, 2);
	assert_int_equal(pci_memory_read(&f->bus, PCI_BAR_BASE + device_status, 1), 0);
	config_write(f, 1, 0x10, 0xe0000000);
	assert_int_equal(pci_memory_read(&f->bus, PCI_BAR_BASE + device_status, 1), 0xff);
	assert_int_equal(pci_memory_read(&f->bus, 0xe0000000 + device_status, 1), 0);
	assert_int_equal(f->bus.functions[0]->notify_address, 0xe0000000);
	config_write(f, 1, 4, 0);
	assert_int_equal(f->bus.functions[0]->notify_address, 0);
}

static void test_edges_of_the_bar(void **state) {
	struct fixture *f = *state;
	config_write(f, 1, 4, 2);
	uint64_t end = PCI_BAR_BASE + VIRTIO_PCI_BAR_SIZE;
	assert_int_equal(pci_memory_read(&f->bus, end - 4, 8), UINT64_MAX);
	assert_int_equal(pci_memory_read(&f->bus, end, 4), 0xffffffff);
	assert_int_equal(pci_memory_read(&f->bus, PCI_BAR_BASE - 1, 2), 0xffff);
	assert_int_equal(pci_memory_read(&f->bus, UINT64_MAX - 3, 8), UINT64_MAX);
	pci_memory_write(&f->bus, end - 4, 8, ~0ULL);
	pci_memory_write(&f->bus, UINT64_MAX, 8, ~0ULL);
}

static void write_vector(struct fixture *f, unsigned vector, uint32_t data, uint32_t control) {
	uint64_t entry = PCI_BAR_BASE + VIRTIO_PCI_MSIX_TABLE_OFFSET + 16 * vector;
	pci_memory_write(&f->bus, entry, 4, 0xfee00000);
	pci_memory_write(&f->bus, entry + 4, 4, 0);
	pci_memory_write(&f->bus, entry + 8, 4, data);
	pci_memory_write(&f->bus, entry + 12, 4, control);
}

static void test_vectors_wait_for_the_device(void **state) {
	struct fixture *f = *state;
	const struct irq_line *lines = f->bus.irqs.lines;
	config_write(f, 1, 4, 2);
	config_write(f, 1, 0x40, 0x80000011); /* MSI-X on */
	write_vector(f, 0, 0x31, 0);
	write_vector(f, 1, 0x32, 0);
	assert_int_equal(f->bus.irqs.count, 2);
	assert_true(lines[0].routed && lines[1].routed);
	assert_int_equal(lines[1].data, 0x32);
	assert_false(lines[0].attached);
	assert_int_equal(f->bus.irqs.commits, 0);
	assert_true(f->bus.irqs.dirty);
}

static void test_lines_reach_kvm(void **state) {
	struct fixture *f = *state;
	const struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP};
	if (f->vm_fd < 0 || ioctl(f->vm_fd, KVM_ENABLE_CAP, &split) < 0) {
		skip();
	}
	struct irq_router *irqs = &f->bus.irqs;
	irq_route(irqs, 0, 0xfee00000, 0x31);
	assert_int_equal(irq_commit(irqs), 0);
	assert_int_equal(irq_attach(irqs, 0, true), 0);
	assert_int_equal(irq_commit(irqs), 0);
	assert_int_equal(irqs->commits, 1);
	irq_route(irqs, 0, 0xfee00000, 0x31);
	assert_false(irqs->dirty);
	irq_route(irqs, 0, 0xfee00000, 0x41);
	assert_int_equal(irq_commit(irqs), 0);
	assert_int_equal(irqs->commits, 2);
	assert_int_equal(irq_attach(irqs, 0, false), 0);
	assert_int_equal(irq_attach(irqs, 0, false), 0);
}

static void test_bus_is_full(void **state) {
	struct fixture *f = *state;
	for (unsigned i = 1; i < PCI_FUNCTIONS_MAX; i++) {
		assert_int_equal(pci_add(&f->bus, f->rng, &f->client, 0), 0);
	}
	assert_true(pci_add(&f->bus, f->rng, &f->client, 0) < 0);
	assert_int_equal(config_read(f, 31, 0), 0x10441af4);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_enumeration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_is_what_ports_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_is_never_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_buses_and_functions_are_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_widths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edges_of_the_bar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vectors_wait_for_the_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_reach_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus_is_full, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
