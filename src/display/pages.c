/*
 * Zero copy: pages of guest RAM, wherever they lie, as one dma-buf (/dev/udmabuf), which others than the
 * guest can map or let their GPU read. Runs on the display's loop; the device is opened before the process is
 * confined. Addresses and counts are the guest's. The kernel keeps the pages for as long as the dma-buf
 * lives; should the guest have them given back meanwhile, it merely shows something else.
 */
#include "display/pages.h"

#include "display/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define PAGE 4096u
/* Ranges that are copied at a time, and items beyond one a range: for those across the border of two regions.
 */
#define BATCH 64u
#define SPARE_ITEMS 16u

int wl_pages_open(void) {
	return open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
}

static int add_item(struct wl_page_list *list, uint64_t offset, uint64_t size) {
	struct udmabuf_create_list *create = list->create;
	struct udmabuf_create_item *last = &create->list[create->count] - 1;
	if (create->count > 0 && last->offset + last->size == offset) {
		last->size += size;
		return 0;
	}
	if (create->count == list->capacity) {
		return -EFBIG;
	}
	create->list[create->count++] = (struct udmabuf_create_item){
		.memfd = (uint32_t)list->memory->fd, .offset = offset, .size = size};
	return 0;
}

static const struct guest_region *find_region(const struct guest_memory *memory, uint64_t address) {
	for (unsigned i = 0; i < memory->region_count; i++) {
		const struct guest_region *region = &memory->regions[i];
		if (address >= region->base && address - region->base < region->size) {
			return region;
		}
	}
	return NULL;
}

int wl_page_list_add(struct wl_page_list *list, uint64_t address, uint64_t length) {
	if (length == 0 || address % PAGE != 0 || length % PAGE != 0) {
		return -EINVAL;
	}
	if (length > WL_PAGES_MAX - list->size) {
		return -EFBIG;
	}
	list->size += length;
	while (length > 0) {
		const struct guest_region *region = find_region(list->memory, address);
		if (region == NULL) {
			return -EFAULT;
		}
		uint64_t inside = address - region->base;
		uint64_t piece = region->size - inside < length ? region->size - inside : length;
		int ret = add_item(list, region->offset + inside, piece);
		if (ret < 0) {
			return ret;
		}
		address += piece;
		length -= piece;
	}
	return 0;
}

static int read_ranges(const struct wl_command *command, struct wl_page_list *list, uint32_t count) {
	struct virtio_wl_page_range ranges[BATCH];
	uint64_t offset = sizeof(struct virtio_wl_vfd_new_guest_pages);
	int ret = 0;
	for (uint32_t done = 0; done < count && ret == 0;) {
		uint32_t batch = count - done < BATCH ? count - done : BATCH;
		virtqueue_chain_read(command->chain, offset, ranges, batch * sizeof(ranges[0]));
		for (uint32_t i = 0; i < batch && ret == 0; i++) {
			ret = wl_page_list_add(list, ranges[i].address, ranges[i].length);
		}
		done += batch;
		offset += batch * sizeof(ranges[0]);
	}
	return ret;
}

/* The dma-buf, or -errno. */
static int create_dmabuf(struct wl_command *command, uint32_t count, uint64_t *size) {
	struct wl_device *device = command->device;
	struct wl_page_list list = {.memory = device->base.memory, .capacity = count + SPARE_ITEMS};
	list.create = calloc(1, sizeof(*list.create) + list.capacity * sizeof(list.create->list[0]));
	if (list.create == NULL) {
		return -ENOMEM;
	}
	list.create->flags = UDMABUF_FLAGS_CLOEXEC;
	int ret = read_ranges(command, &list, count);
	if (ret == 0 && list.size > WL_PAGES_TOTAL_MAX - device->page_bytes) {
		ret = -EFBIG;
	}
	if (ret == 0) {
		ret = ioctl(device->udmabuf_fd, UDMABUF_CREATE_LIST, list.create);
		/* The list is sound: it can only be longer or larger than this host allows. */
		ret = ret < 0 && errno == EINVAL ? -EFBIG : ret < 0 ? -errno : ret;
	}
	free(list.create);
	*size = list.size;
	return ret;
}

uint32_t wl_command_new_guest_pages(struct wl_command *command) {
	struct wl_device *device = command->device;
	uint32_t response, count = command->body.transfer.vfd_count; /* range_count lies there, too */
	uint64_t needed = sizeof(struct virtio_wl_vfd_new_guest_pages) +
			  (uint64_t)count * sizeof(struct virtio_wl_page_range);
	if (device->udmabuf_fd < 0 || !wl_has_feature(device, VIRTIO_WL_F_GUEST_PAGES) || count == 0 ||
		count > VIRTIO_WL_PAGE_RANGES_MAX || command->chain->readable_size < needed) {
		return VIRTIO_WL_RESP_INVALID_CMD;
	}
	struct wl_vfd *vfd = wl_command_create_vfd(command, WL_DMABUF, &response);
	if (vfd == NULL) {
		return response;
	}
	uint64_t size = 0;
	vfd->fd = create_dmabuf(command, count, &size);
	if (vfd->fd >= 0) {
		vfd->page_bytes = size;
		device->page_bytes += size;
	}
	return wl_command_created(command, vfd, vfd->fd);
}
