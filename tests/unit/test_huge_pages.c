/*
 * Huge pages beneath guest RAM: its content stays, what cannot have them is left alone, and where this host
 * grants them they come. On a memfd, as guest RAM is.
 */
#include "ph/huge_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096
#define PLACES 4

static struct guest_memory memory;
static struct huge_pages pages;

static int setup(void **state) {
	(void)state;
	size_t size = PLACES * HUGE_PAGES_SIZE;
	memset(&memory, 0, sizeof(memory));
	memset(&pages, 0, sizeof(pages));
	memory.fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t *span = mmap(
		NULL, size + HUGE_PAGES_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory.fd < 0 || ftruncate(memory.fd, (off_t)size) < 0 || span == MAP_FAILED) {
		return -1;
	}
	uint8_t *host = span + (HUGE_PAGES_SIZE - (uintptr_t)span % HUGE_PAGES_SIZE) % HUGE_PAGES_SIZE;
	if (mmap(host, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.fd, 0) == MAP_FAILED) {
		return -1;
	}
	memory.region_count = 1;
	memory.regions[0] = (struct guest_region){.base = 0, .size = size, .host = host};
	return 0;
}

static int teardown(void **state) {
	(void)state;
	munmap(memory.regions[0].host, memory.regions[0].size);
	close(memory.fd);
	return 0;
}

static uint8_t *at(unsigned place, unsigned page) {
	return memory.regions[0].host + place * HUGE_PAGES_SIZE + (size_t)page * PAGE;
}

static void ask_for(uint8_t *start, size_t len) {
	struct iovec iov = {.iov_base = start, .iov_len = len};
	huge_pages_back(&pages, &memory, &iov, 1);
}

static unsigned backed_pages(unsigned place) {
	unsigned char state[HUGE_PAGES_SIZE / PAGE];
	unsigned count = 0;
	assert_int_equal(mincore(at(place, 0), HUGE_PAGES_SIZE, state), 0);
	for (size_t i = 0; i < sizeof(state); i++) {
		count += state[i] & 1;
	}
	return count;
}

/* Refused, one page of the place was touched, and nothing else. */
static void assert_backed(unsigned place) {
	assert_int_equal(backed_pages(place), atomic_load(&pages.refusals) > 0 ? 1 : HUGE_PAGES_SIZE / PAGE);
}

static void test_content(void **state) {
	(void)state;
	memset(at(1, 3), 'a', PAGE);
	memset(at(1, 511), 'b', PAGE);
	ask_for(at(1, 100), 125 * PAGE);
	for (unsigned i = 0; i < 512; i++) {
		int expected = i == 3 ? 'a' : i == 511 ? 'b' : 0;
		assert_int_equal(*at(1, i), expected);
		assert_int_equal(at(1, i)[PAGE - 1], expected);
	}
	assert_int_equal(backed_pages(0), 0);
	assert_int_equal(backed_pages(2), 0);
}

static void test_places(void **state) {
	(void)state;
	ask_for(at(0, 500) + 7, 20 * PAGE);
	assert_backed(0);
	assert_backed(1);
	assert_int_equal(backed_pages(2), 0);
	/* As when the guest gave it back. */
	assert_int_equal(madvise(at(1, 0), HUGE_PAGES_SIZE, MADV_REMOVE), 0);
	ask_for(at(1, 8), PAGE);
	assert_backed(1);
}

/* What has memory stays as it is. */
static void test_backed(void **state) {
	(void)state;
	*at(2, 5) = 1;
	ask_for(at(2, 5), PAGE);
	assert_int_equal(backed_pages(2), 1);
}

/* A region need not be made of whole huge pages. */
static void test_edges(void **state) {
	(void)state;
	memory.regions[0].host += PAGE;
	memory.regions[0].size -= 2 * PAGE;
	ask_for(at(0, 0), PAGE);
	ask_for(at(3, 509), PAGE);
	memory.regions[0].host -= PAGE;
	memory.regions[0].size += 2 * PAGE;
	for (unsigned i = 0; i < PLACES; i++) {
		assert_int_equal(backed_pages(i), 0);
	}
}

/* A host that always refuses is not asked for ever. */
static void test_refusals(void **state) {
	(void)state;
	atomic_store(&pages.refusals, UINT32_MAX);
	ask_for(at(0, 0), PLACES * HUGE_PAGES_SIZE);
	for (unsigned i = 0; i < PLACES; i++) {
		assert_int_equal(backed_pages(i), 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
