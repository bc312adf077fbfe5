/*
 * ELF vmlinux: each PT_LOAD goes to its physical address. Main thread, before the guest starts. The image
 * is hostile when it comes from the user: offsets, sizes and addresses are bounded here, libelf parses
 * the headers.
 *
 * The embedded kernel's read-only segment is mapped from ph's own file over guest RAM rather than copied:
 * pages that nobody writes are shared by all VMs and cost neither a copy nor a clear. Only pages that belong
 * to a section are mapped so. The gaps between sections are given to the page allocator by the guest kernel
 * and may become buffers, and a worker, which has the memfd alone, would not see those in a private mapping.
 */
#include "monitor/x86/kernel_image.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ULL

struct elf_load {
	const struct kernel_image *image;
	const struct guest_memory *memory;
	struct kernel_start *start;
	struct error *error;
	Elf *elf;
};

static int truncated(const struct elf_load *load) {
	return error_set(load->error, -EINVAL, "%s: the kernel is truncated", load->image->name);
}

static int map_pages(const struct elf_load *load, uint8_t *place, uint64_t offset, uint64_t size) {
	void *mapped = mmap(place, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
		load->image->fd, (off_t)(load->image->file_offset + offset));
	if (mapped == MAP_FAILED) {
		return error_set(load->error, -errno, "cannot map the kernel: %s", strerror(errno));
	}
	madvise(mapped, size, MADV_DONTDUMP);
	return 0;
}

/* Map the pages of a segment that hold bytes of a section. Sections come in ascending order. */
static int map_segment(const struct elf_load *load, const GElf_Phdr *segment, uint8_t *place) {
	uint64_t done = segment->p_offset;
	uint64_t end = segment->p_offset + segment->p_filesz;
	Elf_Scn *section = NULL;
	while ((section = elf_nextscn(load->elf, section)) != NULL) {
		GElf_Shdr header;
		if (gelf_getshdr(section, &header) == NULL || !(header.sh_flags & SHF_ALLOC) ||
			header.sh_type == SHT_NOBITS || header.sh_size == 0 ||
			header.sh_offset < segment->p_offset || header.sh_offset >= end ||
			header.sh_size > end - header.sh_offset) {
			continue;
		}
		uint64_t from = header.sh_offset & ~(PAGE - 1);
		uint64_t to = (header.sh_offset + header.sh_size + PAGE - 1) & ~(PAGE - 1);
		from = from < done ? done : from;
		if (to <= from) {
			continue;
		}
		int ret = map_pages(load, place + (from - segment->p_offset), from, to - from);
		if (ret < 0) {
			return ret;
		}
		done = to;
	}
	return 0;
}

static bool can_map(const struct elf_load *load, const GElf_Phdr *segment) {
	size_t sections = 0;
	return load->image->fd >= 0 && !(segment->p_flags & PF_W) && segment->p_paddr % PAGE == 0 &&
	       (load->image->file_offset + segment->p_offset) % PAGE == 0 && segment->p_offset % PAGE == 0 &&
	       elf_getshdrnum(load->elf, &sections) == 0 && sections > 1;
}

static int load_segment(const struct elf_load *load, const GElf_Phdr *segment) {
	if (segment->p_offset > load->image->size ||
		segment->p_filesz > load->image->size - segment->p_offset) {
		return truncated(load);
	}
	if (segment->p_memsz < segment->p_filesz || segment->p_memsz == 0) {
		return error_set(
			load->error, -EINVAL, "%s: not a kernel: a segment of wrong size", load->image->name);
	}
	uint8_t *place = kernel_image_place(
		load->image, load->memory, segment->p_paddr, segment->p_memsz, load->error);
	if (place == NULL) {
		return -ENOMEM;
	}
	if (segment->p_paddr + segment->p_memsz > load->start->end) {
		load->start->end = segment->p_paddr + segment->p_memsz;
	}
	if (can_map(load, segment)) {
		return map_segment(load, segment, place);
	}
	memcpy(place, load->image->bytes + segment->p_offset, segment->p_filesz);
	return 0;
}

static int check_header(const struct elf_load *load, const GElf_Ehdr *header) {
	const char *name = load->image->name;
	if (gelf_getclass(load->elf) != ELFCLASS64 || header->e_machine == EM_386) {
		return error_set(load->error, -ENOEXEC, "%s: a 32-bit kernel; ph needs a 64-bit one", name);
	}
	if (header->e_machine != EM_X86_64 || header->e_type != ET_EXEC) {
		return error_set(load->error, -ENOEXEC, "%s: an ELF file, but not an x86-64 kernel", name);
	}
	return 0;
}

static int load_segments(const struct elf_load *load, uint64_t entry) {
	size_t count = 0;
	if (elf_getphdrnum(load->elf, &count) != 0 || count == 0) {
		return truncated(load);
	}
	bool entered = false;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;
		if (gelf_getphdr(load->elf, (int)i, &segment) == NULL) {
			return truncated(load);
		}
		if (segment.p_type != PT_LOAD) {
			continue;
		}
		int ret = load_segment(load, &segment);
		if (ret < 0) {
			return ret;
		}
		entered = entered || entry - segment.p_paddr < segment.p_filesz;
	}
	if (!entered) {
		return error_set(load->error, -ENOEXEC,
			"%s: an ELF file, but not a kernel (its entry point is not in it)",
			load->image->name);
	}
	return 0;
}

int kernel_elf_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error) {
	struct elf_load load = {.image = image, .memory = memory, .start = start, .error = error};
	if (elf_version(EV_CURRENT) == EV_NONE) {
		return error_set(error, -ENOSYS, "libelf is too old: %s", elf_errmsg(-1));
	}
	/* libelf takes a plain pointer, but reads only: the file is never opened for writing. */
	load.elf = elf_memory((char *)(uintptr_t)image->bytes, image->size);
	GElf_Ehdr header;
	if (load.elf == NULL || gelf_getehdr(load.elf, &header) == NULL) {
		elf_end(load.elf);
		return truncated(&load);
	}
	int ret = check_header(&load, &header);
	if (ret == 0) {
		ret = load_segments(&load, header.e_entry);
	}
	elf_end(load.elf);
	start->entry = header.e_entry;
	return ret;
}
