/* MSI-X of the virtio-pci transport: what is passed on of the table, and the pending bits. */
#include "pci_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned table(unsigned vector, unsigned field) {
	return VIRTIO_PCI_MSIX_TABLE_OFFSET + 16 * vector + field;
}

static void set_msix_control(struct pci_fixture *f, uint16_t control) {
	config_set(f, pci_find_capability(f, 0x11, 0) + 2, 2, control);
}

static void program(struct pci_fixture *f, unsigned vector, uint32_t data) {
	bar_set(f, table(vector, 0), 4, 0xfee00000);
	bar_set(f, table(vector, 4), 4, 0);
	bar_set(f, table(vector, 8), 4, data);
	bar_set(f, table(vector, 12), 4, 0);
}

/* As Linux does it: all under the function's mask, then one callback a vector in use. */
static void test_vectors_under_mask(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	set_msix_control(f, 0xc000);
	program(f, 1, 0x21);
	bar_set(f, table(2, 8), 4, 0x22);
	assert_int_equal(f->vector_changes, 0);
	set_msix_control(f, 0x8000);
	assert_int_equal(f->vector_changes, 1);
	assert_int_equal(f->vector, 1);
	assert_false(f->masked);
	assert_int_equal(f->entry.data, 0x21);
	assert_int_equal(f->entry.address_low, 0xfee00000);
	bar_set(f, table(2, 12), 4, 0);
	assert_int_equal(f->vector_changes, 2);
	assert_int_equal(f->vector, 2);
	pci_fixture_destroy(f);
}

static void test_vector_changes(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	set_msix_control(f, 0x8000);
	program(f, 0, 0x30);
	assert_int_equal(f->vector_changes, 1);
	bar_set(f, table(0, 8), 4, 0x30); /* the same again */
	bar_set(f, table(0, 12), 4, 0);
	assert_int_equal(f->vector_changes, 1);
	bar_set(f, table(0, 8), 4, 0x31);
	assert_int_equal(f->vector_changes, 2);
	assert_int_equal(f->entry.data, 0x31);
	bar_set(f, table(0, 12), 4, 1);
	assert_int_equal(f->vector_changes, 3);
	assert_true(f->masked);
	bar_set(f, table(0, 8), 4, 0x32);
	assert_int_equal(f->vector_changes, 3);
	bar_set(f, table(0, 12), 4, 0);
	assert_int_equal(f->vector_changes, 4);
	set_msix_control(f, 0);
	assert_int_equal(f->vector_changes, 5);
	assert_true(f->masked);
	pci_fixture_destroy(f);
}

static void test_table_access(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	assert_int_equal(bar_get(f, table(0, 12), 4), 1);
	bar_set(f, table(0, 0), 8, 0x11112222fee01000);
	assert_true(bar_get(f, table(0, 0), 8) == 0x11112222fee01000);
	bar_set(f, table(0, 12), 4, 0xfffffffe);
	assert_int_equal(bar_get(f, table(0, 12), 4), 0);
	bar_set(f, table(0, 8), 1, 0x41);
	bar_set(f, table(0, 8), 2, 0x4141);
	bar_set(f, table(0, 8) + 2, 4, 0x41414141);
	assert_int_equal(bar_get(f, table(0, 8), 4), 0);
	bar_set(f, table(QUEUES + 1, 8), 4, 0x41414141);
	assert_int_equal(bar_get(f, table(QUEUES + 1, 8), 4), 0);
	bar_set(f, VIRTIO_PCI_MSIX_PBA_OFFSET - 4, 4, 0x41414141);
	assert_int_equal(bar_get(f, VIRTIO_PCI_MSIX_PBA_OFFSET - 4, 4), 0);
	pci_fixture_destroy(f);
}

static void test_msix_control_bits(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	set_msix_control(f, 0xffff);
	assert_int_equal(config_get(f, pci_find_capability(f, 0x11, 0) + 2, 2), 0xc000 | QUEUES);
	pci_fixture_destroy(f);
}

static void test_pending(void **state) {
	(void)state;
	struct pci_fixture *f = pci_fixture_create();
	const unsigned pending = VIRTIO_PCI_MSIX_PBA_OFFSET;
	uint64_t one = 1;
	assert_int_equal(bar_get(f, pending, 8), 0);
	assert_int_equal(write(f->device.vector_fds[2], &one, sizeof(one)), sizeof(one));
	assert_int_equal(bar_get(f, pending, 4), 1 << 2);
	assert_int_equal(bar_get(f, pending, 8), 1 << 2); /* looking does not take it */
	bar_set(f, pending, 8, 0);
	assert_int_equal(bar_get(f, pending, 4), 1 << 2);
	set_msix_control(f, 0x8000);
	bar_set(f, table(2, 12), 4, 0);
	assert_int_equal(bar_get(f, pending, 4), 0); /* unmasked: on its way */
	assert_int_equal(bar_get(f, pending + 4, 4), 0);
	assert_int_equal(bar_get(f, pending + 0xffc, 4), 0);
	assert_int_equal(bar_get(f, pending, 1), 0);
	pci_fixture_destroy(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_under_mask),
		cmocka_unit_test(test_vector_changes),
		cmocka_unit_test(test_table_access),
		cmocka_unit_test(test_msix_control_bits),
		cmocka_unit_test(test_pending),
	};
	return cmocka_run_group_tests_name("msix", tests, NULL, NULL);
}
