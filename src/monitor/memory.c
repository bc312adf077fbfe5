/*
 * Guest RAM. Created by the main thread before any worker is forked, so that all processes inherit the
 * mappings. Nothing hostile comes in here; what the guest does with its RAM meets guest_memory_at().
 *
 * The memfd cannot shrink (SIGBUS in whoever serves the guest), and is not prefaulted: a page costs
 * host memory when the guest first touches it. But for what every boot touches: a huge page costs less than a
 * few hundred exits for first touches.
 */
#include "monitor/memory.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define BOOT_PART (256ULL << 20)
#define HUGE_PAGE (2ULL << 20)
#define PAGE 4096ULL
/* Linux 6.1 */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void add_region(struct guest_memory *memory, uint64_t base, uint64_t size) {
	struct guest_region *region = &memory->regions[memory->region_count];
	uint64_t offset = 0;
	if (memory->region_count > 0) {
		const struct guest_region *last = region - 1;
		offset = last->offset + last->size;
	}
	*region = (struct guest_region){.base = base, .size = size, .offset = offset};
	memory->region_count++;
}

/* Lay RAM out from base on, around the 32-bit hole. */
static void lay_out(struct guest_memory *memory, uint64_t base, uint64_t size) {
	if (base < MEMORY_HOLE_START && size > 0) {
		uint64_t below = MEMORY_HOLE_START - base < size ? MEMORY_HOLE_START - base : size;
		add_region(memory, base, below);
		size -= below;
	}
	if (size > 0) {
		add_region(memory, MEMORY_HOLE_END, size);
	}
}

static void plan_regions(struct guest_memory *memory, uint64_t size, bool late) {
	if (!late || size <= BOOT_PART + MEMORY_BLOCK) {
		lay_out(memory, 0, size);
		return;
	}
	/* The rest must be whole blocks: what is left over boots. */
	uint64_t boot = BOOT_PART + size % MEMORY_BLOCK;
	add_region(memory, 0, boot);
	lay_out(memory, (boot + MEMORY_BLOCK - 1) / MEMORY_BLOCK * MEMORY_BLOCK, size - boot);
}

/*
 * Map the whole memfd as one piece, at a multiple of the huge page size, so that the host can use huge pages
 * where it allows them and regions that follow each other in the guest do so here.
 */
static int map_regions(struct guest_memory *memory, uint64_t size) {
	size_t span = size + HUGE_PAGE;
	uint8_t *reserved = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED) {
		return -errno;
	}
	uint8_t *place = reserved + (HUGE_PAGE - (uintptr_t)reserved % HUGE_PAGE) % HUGE_PAGE;
	uint8_t *mapped = mmap(
		place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, memory->fd, 0);
	if (mapped == MAP_FAILED) {
		int ret = -errno;
		munmap(reserved, span);
		return ret;
	}
	if (place > reserved) {
		munmap(reserved, (size_t)(place - reserved));
	}
	munmap(place + size, (size_t)(reserved + span - (place + size)));
	madvise(mapped, size, MADV_HUGEPAGE);
	madvise(mapped, size, MADV_DONTDUMP);
	for (unsigned i = 0; i < memory->region_count; i++) {
		memory->regions[i].host = mapped + memory->regions[i].offset;
	}
	return 0;
}

/* RAM is a file to the host, and one beyond the caller's limit would end ph by a signal. */
static int check_file_limit(uint64_t size, struct error *error) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || size <= limit.rlim_cur) {
		return 0;
	}
	return error_set(error, -EFBIG,
		"cannot set up %llu MiB of guest memory: the limit on the size of files (ulimit -f) is %llu "
		"MiB",
		(unsigned long long)(size >> 20), (unsigned long long)(limit.rlim_cur >> 20));
}

int memory_init(struct guest_memory *memory, uint64_t size, bool late, struct error *error) {
	memset(memory, 0, sizeof(*memory));
	int ret = check_file_limit(size, error);
	if (ret < 0) {
		return ret;
	}
	memory->fd = memfd_create("ph-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory->fd < 0) {
		return error_set(error, -errno, "cannot create guest memory: %s", strerror(errno));
	}
	if (ftruncate(memory->fd, (off_t)size) < 0 ||
		fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		ret = -errno;
		goto error;
	}
	plan_regions(memory, size, late);
	ret = map_regions(memory, size);
	if (ret < 0) {
		goto error;
	}
	return 0;

error:
	memory_finish(memory);
	return error_set(error, ret, "cannot set up %llu MiB of guest memory: %s (use less with --mem)",
		(unsigned long long)(size >> 20), strerror(-ret));
}

bool memory_use_huge_pages(const struct guest_memory *memory, uint64_t from, uint64_t to) {
	const struct guest_region *region = &memory->regions[0];
	from = from / HUGE_PAGE * HUGE_PAGE;
	to = (to + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	if (to > region->size) {
		to = region->size / HUGE_PAGE * HUGE_PAGE;
	}
	if (from >= to) {
		return false;
	}
	/* The kernel takes an extent without a single page for one that was cut off. */
	for (uint64_t at = from; at < to; at += HUGE_PAGE) {
		if (madvise(region->host + at, PAGE, MADV_POPULATE_WRITE) < 0) {
			return false;
		}
	}
	return madvise(region->host + from, to - from, MADV_COLLAPSE) == 0;
}

void memory_finish(struct guest_memory *memory) {
	for (unsigned i = 0; i < memory->region_count; i++) {
		if (memory->regions[i].host != NULL) {
			munmap(memory->regions[i].host, memory->regions[i].size);
		}
	}
	if (memory->fd > 0) {
		fd_close(&memory->fd);
	}
	memset(memory, 0, sizeof(*memory));
}
