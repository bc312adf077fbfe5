/* The shared-memory region as PCI shows it: a BAR of its own, and the capability that points to it. */
#include "wl_fixture.h"

#include "ph/virtio_pci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAR2 0x18

static void bar_changed(struct virtio_pci *pci, uint64_t address) {
	(void)address;
	(*(unsigned *)pci->owner)++;
}

static const struct virtio_pci_ops ops = {.bar_changed = bar_changed};

struct state {
	struct wl_fixture *f;
	struct virtio_host_client host;
	struct virtio_pci pci;
	unsigned bar_changes;
};

static int setup(void **state) {
	struct state *s = calloc(1, sizeof(*s));
	s->f = wl_set_up(WL_ALL_FEATURES);
	virtio_pci_init(&s->pci, s->f->device, &s->host, 0, 0xd0000000, &ops, &s->bar_changes);
	*state = s;
	return 0;
}

static int teardown(void **state) {
	struct state *s = *state;
	wl_tear_down(s->f);
	free(s);
	return 0;
}

static uint32_t get(struct state *s, unsigned offset, unsigned len) {
	return virtio_pci_config_read(&s->pci, offset, len);
}

static void test_bar(void **state) {
	struct state *s = *state;
	uint64_t address = s->f->window.address;
	assert_int_equal(get(s, BAR2, 4), (uint32_t)address | 0xc);
	assert_int_equal(get(s, BAR2 + 4, 4), address >> 32);
	/* How large is it? */
	virtio_pci_config_write(&s->pci, BAR2, 4, 0xffffffff);
	virtio_pci_config_write(&s->pci, BAR2 + 4, 4, 0xffffffff);
	uint64_t mask = (uint64_t)get(s, BAR2 + 4, 4) << 32 | (get(s, BAR2, 4) & ~0xfu);
	assert_true(~mask + 1 == WINDOW_SIZE);
	assert_int_equal(get(s, BAR2, 4) & 0xf, 0xc);
	virtio_pci_config_write(&s->pci, BAR2, 4, (uint32_t)address);
	virtio_pci_config_write(&s->pci, BAR2 + 4, 4, (uint32_t)(address >> 32));
	assert_int_equal(get(s, BAR2, 4), (uint32_t)address | 0xc);
	assert_int_equal(s->bar_changes, 0); /* that is about the registers' BAR */
}

static void test_capability(void **state) {
	struct state *s = *state;
	unsigned found = 0, last = 0;
	for (unsigned at = get(s, 0x34, 1); at != 0; last = at, at = get(s, at + 1, 1)) {
		assert_true(at >= 0x40 && at > last);
		if (get(s, at, 1) != 9 || get(s, at + 3, 1) != 8) {
			continue;
		}
		found++;
		assert_int_equal(get(s, at + 2, 1), 24);
		assert_int_equal(get(s, at + 4, 1), 2);                    /* BAR */
		assert_int_equal(get(s, at + 5, 1), VIRTIO_WL_SHM_REGION); /* id */
		assert_int_equal(get(s, at + 8, 4), 0);
		assert_int_equal(get(s, at + 12, 4), (uint32_t)WINDOW_SIZE);
		assert_int_equal(get(s, at + 16, 4), 0);
		assert_int_equal(get(s, at + 20, 4), WINDOW_SIZE >> 32);
		/* None of it is the guest's to write. */
		virtio_pci_config_write(&s->pci, at + 12, 4, 0);
		assert_int_equal(get(s, at + 12, 4), (uint32_t)WINDOW_SIZE);
	}
	assert_int_equal(found, 1);
}

/* The other capabilities are still there. */
static void test_ids(void **state) {
	struct state *s = *state;
	unsigned types = 0;
	assert_int_equal(get(s, 0, 4), 0x107f1af4);
	for (unsigned at = get(s, 0x34, 1); at != 0; at = get(s, at + 1, 1)) {
		types |= get(s, at, 1) == 9 ? 1u << get(s, at + 3, 1) : 0;
	}
	assert_int_equal(types, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 8);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capability, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
	};
	return cmocka_run_group_tests_name("wl pci", tests, NULL, NULL);
}
