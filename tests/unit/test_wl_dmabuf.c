/* dma-bufs: what is asked wrongly everywhere, and what works where this machine has the nodes for it. */
#include "wl_fixture.h"

#include "display/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm_fourcc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define R(name) VIRTIO_WL_RESP_##name
#define C(name) VIRTIO_WL_CMD_##name
#define PAGE WL_PAGE

static int setup(void **state) {
	struct wl_fixture *f = wl_set_up(WL_ALL_FEATURES);
	/* As the monitor's RAM is. */
	if (fcntl(f->driver.memory.fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
		return -1;
	}
	wl_restart(f, f->device->features, 256);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	wl_tear_down(*state);
	return 0;
}

/* ---- buffers of a card ---- */

static uint32_t new_dmabuf(
	struct wl_fixture *f, uint32_t id, uint32_t width, uint32_t height, uint32_t format) {
	const struct virtio_wl_vfd_new command = {.header.type = C(VFD_NEW_DMABUF),
		.vfd_id = id,
		.dmabuf = {.width = width, .height = height, .format = format}};
	return wl_execute(f, &command, sizeof(command), sizeof(command));
}

static uint32_t sync_vfd(struct wl_fixture *f, uint32_t id, uint32_t flags) {
	const struct virtio_wl_dmabuf_sync command = {
		.header.type = C(VFD_DMABUF_SYNC), .vfd_id = id, .flags = flags};
	return wl_execute(f, &command, sizeof(command), 8);
}

/* A client's question whether there are any: 0 times 0. */
static void test_probe(void **state) {
	struct wl_fixture *f = *state;
	uint32_t type = new_dmabuf(f, 1, 0, 0, DRM_FORMAT_ARGB8888);
	assert_true(type == R(INVALID_CMD) || type == R(INVALID_TYPE));
	assert_int_equal(wl_close(f, 1), R(INVALID_ID));
}

static void test_card(void **state) {
	struct wl_fixture *f = *state;
	if (new_dmabuf(f, 1, 0, 0, 0) == R(INVALID_CMD)) {
		skip();
	}
	static const uint32_t sides[] = {0, 16385, 0xffffffff};
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(new_dmabuf(f, 1, sides[i], 1, DRM_FORMAT_ARGB8888), R(INVALID_TYPE));
		assert_int_equal(new_dmabuf(f, 1, 1, sides[i], DRM_FORMAT_ARGB8888), R(INVALID_TYPE));
	}
	assert_int_equal(new_dmabuf(f, 1, 64, 64, 0x12345678), R(INVALID_TYPE));
	assert_int_equal(new_dmabuf(f, 1, 100, 50, DRM_FORMAT_ARGB8888), R(VFD_NEW_DMABUF));
	assert_int_equal(f->reply_len, 64);
	assert_true(f->reply.dmabuf.stride[0] >= 400);
	assert_true(f->reply.size >= 50 * f->reply.dmabuf.stride[0]);
	assert_int_equal(f->reply.flags, VIRTIO_WL_VFD_DMABUF);
	assert_int_equal(sync_vfd(f, 1, 3), R(OK));
	memset(wl_memory(f, f->reply.pfn), 0x5a, f->reply.size);
	assert_int_equal(new_dmabuf(f, 2, 64, 33, DRM_FORMAT_NV12), R(VFD_NEW_DMABUF));
	assert_int_equal(f->reply.dmabuf.offset[1], 33 * f->reply.dmabuf.stride[0]);
	assert_int_equal(wl_close(f, 1), R(OK));
	assert_int_equal(wl_close(f, 2), R(OK));
}

static void test_sync_errors(void **state) {
	struct wl_fixture *f = *state;
	assert_int_equal(wl_new(f, C(VFD_NEW), 1, 0, 4096), R(VFD_NEW));
	assert_int_equal(sync_vfd(f, 1, 3), R(INVALID_TYPE));
	assert_int_equal(sync_vfd(f, 2, 3), R(INVALID_ID));
}

/* ---- guest pages ---- */

#define RANGES_MAX 8200

struct pages_command {
	struct virtio_wl_transfer head;
	struct virtio_wl_page_range ranges[RANGES_MAX];
};

static uint32_t new_pages(struct wl_fixture *f, uint32_t id, const struct virtio_wl_page_range *ranges,
	uint32_t count, uint32_t present) {
	struct pages_command *command = calloc(1, sizeof(*command));
	command->head = (struct virtio_wl_transfer){
		.header.type = C(VFD_NEW_GUEST_PAGES), .vfd_id = id, .vfd_count = count};
	memcpy(command->ranges, ranges, present * sizeof(*ranges));
	uint32_t type = wl_execute(f, command, sizeof(command->head) + present * sizeof(*ranges), 64);
	free(command);
	return type;
}

static void test_pages_errors(void **state) {
	struct wl_fixture *f = *state;
	static struct virtio_wl_page_range many[RANGES_MAX];
	struct virtio_wl_page_range range = {.address = 0x100000, .length = PAGE};
	assert_int_equal(new_pages(f, 1, &range, 0, 0), R(INVALID_CMD));
	assert_int_equal(new_pages(f, 1, &range, 2, 1), R(INVALID_CMD));
	assert_int_equal(new_pages(f, 1, &range, 0xffffffff, 1), R(INVALID_CMD));
	assert_int_equal(new_pages(f, 1, many, 8193, 8193), R(INVALID_CMD));
	if ((f->device->features & F(GUEST_PAGES)) == 0) {
		assert_int_equal(new_pages(f, 1, &range, 1, 1), R(INVALID_CMD));
		skip();
	}
	range.address = DRIVER_RAM_SIZE;
	assert_int_equal(new_pages(f, 1, &range, 1, 1), R(ERR));
	range.address = 1;
	assert_int_equal(new_pages(f, 1, &range, 1, 1), R(ERR));
	assert_int_equal(new_pages(f, 0, &range, 1, 1), R(INVALID_ID));
	assert_int_equal(wl_close(f, 1), R(INVALID_ID));
}

static void test_pages(void **state) {
	struct wl_fixture *f = *state;
	if ((f->device->features & F(GUEST_PAGES)) == 0) {
		skip();
	}
	gpa_t area = driver_alloc(&f->driver, 8 * PAGE);
	struct virtio_wl_page_range ranges[8];
	for (unsigned i = 0; i < 8; i++) { /* from the last to the first */
		ranges[i] = (struct virtio_wl_page_range){area.value + (7 - i) * PAGE, PAGE};
		memset((uint8_t *)driver_at(&f->driver, area) + i * PAGE, 'a' + (int)i, PAGE);
	}
	assert_int_equal(new_pages(f, 1, ranges, 8, 8), R(VFD_NEW));
	assert_int_equal(f->reply.pfn, f->window.size / PAGE);
	uint32_t id = 1;
	int fd, server = wl_connect(f, 2);
	unsigned count;
	char byte;
	assert_int_equal(wl_send(f, 2, &id, 1, "x", 1), R(OK));
	assert_int_equal(wl_server_receive(server, &byte, 1, &fd, &count), 1);
	uint8_t *mapped = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(mapped[i * PAGE + 5], 'h' - i);
	}
	assert_int_equal(sync_vfd(f, 1, 3), R(OK));
	munmap(mapped, 8 * PAGE);
	close(fd);
	close(server);
	assert_int_equal(wl_close(f, 1), R(OK));
}

/* ---- the list ---- */

static struct guest_memory two_regions = {.fd = 9,
	.region_count = 3,
	.regions = {{.base = 0, .size = 16 * PAGE, .offset = 0},
		{.base = 16 * PAGE, .size = 16 * PAGE, .offset = 100 * PAGE},
		{.base = 1ULL << 32, .size = 4 * PAGE, .offset = 16 * PAGE}}};

static struct wl_page_list list_of(uint32_t capacity) {
	struct wl_page_list list = {.memory = &two_regions, .capacity = capacity};
	list.create = calloc(1, sizeof(*list.create) + capacity * sizeof(list.create->list[0]));
	return list;
}

static void test_list(void **state) {
	(void)state;
	struct wl_page_list list = list_of(4);
	assert_int_equal(wl_page_list_add(&list, 2 * PAGE, PAGE), 0);
	assert_int_equal(wl_page_list_add(&list, 3 * PAGE, 2 * PAGE), 0); /* one with the first */
	assert_int_equal(list.create->count, 1);
	assert_int_equal(list.create->list[0].memfd, 9);
	assert_int_equal(list.create->list[0].offset, 2 * PAGE);
	assert_int_equal(list.create->list[0].size, 3 * PAGE);
	/* Neighbours for the guest, but not in the file. */
	assert_int_equal(wl_page_list_add(&list, 14 * PAGE, 4 * PAGE), 0);
	assert_int_equal(list.create->count, 3);
	assert_int_equal(list.create->list[1].offset, 14 * PAGE);
	assert_int_equal(list.create->list[1].size, 2 * PAGE);
	assert_int_equal(list.create->list[2].offset, 100 * PAGE);
	/* The other way round: neighbours in the file. */
	assert_int_equal(wl_page_list_add(&list, 15 * PAGE, PAGE), 0);
	assert_int_equal(wl_page_list_add(&list, 1ULL << 32, 4 * PAGE), 0);
	assert_int_equal(list.create->count, 4);
	assert_int_equal(list.create->list[3].size, 5 * PAGE);
	assert_int_equal(wl_page_list_add(&list, 0, PAGE), -EFBIG); /* no item left */
	assert_int_equal(list.size, 13 * PAGE);
	free(list.create);
}

static void test_list_errors(void **state) {
	(void)state;
	static const struct {
		uint64_t address, length;
		int error;
	} wrong[] = {
		{0, 0, -EINVAL},
		{1, PAGE, -EINVAL},
		{0, PAGE + 1, -EINVAL},
		{32 * PAGE, PAGE, -EFAULT},
		{31 * PAGE, 2 * PAGE, -EFAULT},
		{(1ULL << 32) + 4 * PAGE, PAGE, -EFAULT},
		{~0ULL - PAGE + 1, PAGE, -EFAULT},
		{~0ULL - PAGE + 1, 2 * PAGE, -EFAULT},
		{0, 1ULL << 32, -EFBIG},
		{PAGE, ~0ULL - PAGE + 1, -EFBIG},
	};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct wl_page_list list = list_of(4);
		assert_int_equal(wl_page_list_add(&list, wrong[i].address, wrong[i].length), wrong[i].error);
		free(list.create);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_card, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sync_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_errors),
	};
	return cmocka_run_group_tests_name("wl dmabuf", tests, NULL, NULL);
}
