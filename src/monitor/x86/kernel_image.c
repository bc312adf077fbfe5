/*
 * Opening a kernel image and telling what it is. Main thread, before the guest starts.
 * A file given with --kernel is hostile: it is read into private memory first, so that it cannot change or
 * shrink while it is looked at, and everything in it is bounded. The embedded kernel is ph's own.
 */
#include "monitor/x86/kernel_image.h"

#include "monitor/x86/embed.h"
#include "ph/fd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_SIZE_MAX (512ULL << 20)

struct locate {
	uintptr_t address;
	uint64_t offset;
};

/* Find the file offset of an address in this program, the first object that is reported. */
static int locate_address(struct dl_phdr_info *info, size_t size, void *data) {
	(void)size;
	struct locate *locate = data;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_LOAD && locate->address - start < segment->p_filesz) {
			locate->offset = segment->p_offset + (locate->address - start);
			return 1;
		}
	}
	return -1;
}

static int open_embedded(struct kernel_image *image, struct error *error) {
	if (embed_kernel == NULL || &embed_kernel[0] == &embed_kernel_end[0]) {
		return error_set(error, -ENOENT, "this ph was built without a kernel (use --kernel)");
	}
	image->name = "the kernel inside ph";
	image->bytes = embed_kernel;
	image->size = (size_t)(embed_kernel_end - embed_kernel);
	struct locate locate = {.address = (uintptr_t)embed_kernel};
	if (dl_iterate_phdr(locate_address, &locate) == 1) {
		image->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		image->file_offset = locate.offset;
	}
	return 0;
}

static int read_file(struct kernel_image *image, int fd, struct error *error) {
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return error_set(error, -errno, "%s: %s", image->name, strerror(errno));
	}
	if (!S_ISREG(st.st_mode)) {
		return error_set(error, -EINVAL, "%s: not a regular file, so not a kernel", image->name);
	}
	if (st.st_size < 1024 || (uint64_t)st.st_size > IMAGE_SIZE_MAX) {
		return error_set(error, -EINVAL, "%s: not a kernel (its size is %lld bytes)", image->name,
			(long long)st.st_size);
	}
	image->size = (size_t)st.st_size;
	image->mapping = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image->mapping == MAP_FAILED) {
		image->mapping = NULL;
		return error_set(error, -errno, "%s: %s", image->name, strerror(errno));
	}
	image->bytes = image->mapping;
	int ret = fd_pread_all(fd, image->mapping, image->size, 0);
	return ret < 0 ? error_set(error, ret, "%s: cannot read it: %s", image->name, strerror(-ret)) : 0;
}

int kernel_image_open(struct kernel_image *image, const char *path, struct error *error) {
	*image = (struct kernel_image){.name = path, .fd = -1};
	if (path == NULL) {
		return open_embedded(image, error);
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	}
	int ret = read_file(image, fd, error);
	fd_close(&fd);
	if (ret < 0) {
		kernel_image_close(image);
	}
	return ret;
}

void kernel_image_close(struct kernel_image *image) {
	if (image->mapping != NULL) {
		munmap(image->mapping, image->size);
		image->mapping = NULL;
	}
	if (image->fd > 0) {
		fd_close(&image->fd);
	}
}

uint8_t *kernel_image_place(const struct kernel_image *image, const struct guest_memory *memory,
	uint64_t address, uint64_t size, struct error *error) {
	uint8_t *host = NULL;
	if (address >= KERNEL_LOAD_MINIMUM && memory->region_count > 0 && address < memory->regions[0].size) {
		host = guest_memory_at(memory, (gpa_t){address}, size);
	}
	if (host == NULL) {
		error_set(error, -ENOMEM,
			"%s: does not fit into the guest's memory: it wants 0x%llx bytes at 0x%llx (use more "
			"with --mem)",
			image->name, (unsigned long long)size, (unsigned long long)address);
	}
	return host;
}

int kernel_image_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error) {
	memset(start, 0, sizeof(*start));
	if (image->size >= EI_NIDENT && memcmp(image->bytes, ELFMAG, SELFMAG) == 0) {
		return kernel_elf_load(image, memory, start, error);
	}
	return kernel_bzimage_load(image, memory, start, error);
}
