/*
 * bzImage (Documentation/arch/x86/boot.rst): its protected-mode part goes where it prefers to run and is
 * entered at its 64-bit entry; it unpacks itself. Main thread, before the guest starts. Hostile: the
 * header's fields are bounded here.
 */
#include "monitor/x86/kernel_image.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SETUP_HEADER_OFFSET 0x1f1
#define SECTOR 512ULL
#define ENTRY_64_OFFSET 0x200
#define VERSION_MINIMUM 0x020c
#define MAGIC 0x53726448 /* "HdrS" */
#define BOOT_FLAG 0xaa55

static int check_header(
	const struct kernel_image *image, const struct setup_header *header, struct error *error) {
	if (header->boot_flag != BOOT_FLAG || header->header != MAGIC) {
		return error_set(
			error, -ENOEXEC, "%s: not a kernel (neither an ELF file nor a bzImage)", image->name);
	}
	if (header->version < VERSION_MINIMUM || !(header->loadflags & LOADED_HIGH)) {
		return error_set(error, -ENOEXEC,
			"%s: too old a kernel (boot protocol %u.%u, 2.12 is needed)", image->name,
			header->version >> 8, header->version & 0xff);
	}
	if (!(header->xloadflags & XLF_KERNEL_64)) {
		return error_set(error, -ENOEXEC, "%s: a 32-bit kernel; ph needs a 64-bit one", image->name);
	}
	return 0;
}

/* The version's first word, when it can be the name of a folder. The string is as hostile as the rest. */
static void read_version(const struct kernel_image *image, uint64_t setup, struct kernel_start *start) {
	uint64_t offset = start->header.kernel_version + SECTOR;
	size_t length = 0;
	while (offset + length < setup && length < sizeof(start->version) - 1) {
		char c = (char)image->bytes[offset + length];
		if (!isalnum((unsigned char)c) && (c == '\0' || strchr(".-+_~", c) == NULL)) {
			break;
		}
		start->version[length++] = c;
	}
	if (start->header.kernel_version == 0 || start->version[0] == '.') {
		length = 0;
	}
	start->version[length] = '\0';
}

int kernel_bzimage_load(const struct kernel_image *image, const struct guest_memory *memory,
	struct kernel_start *start, struct error *error) {
	struct setup_header *header = &start->header;
	if (image->size < SETUP_HEADER_OFFSET + sizeof(*header)) {
		return error_set(error, -ENOEXEC, "%s: not a kernel", image->name);
	}
	memcpy(header, image->bytes + SETUP_HEADER_OFFSET, sizeof(*header));
	int ret = check_header(image, header, error);
	if (ret < 0) {
		return ret;
	}
	uint64_t setup = ((header->setup_sects != 0 ? header->setup_sects : 4ULL) + 1) * SECTOR;
	uint64_t payload = (uint64_t)header->syssize * 16;
	/* syssize is rounded up to 16; the file need not be. */
	if (payload <= ENTRY_64_OFFSET || setup > image->size || payload > image->size - setup + 15) {
		return error_set(error, -EINVAL, "%s: the kernel is truncated", image->name);
	}
	payload = payload < image->size - setup ? payload : image->size - setup;
	uint64_t span = header->init_size > payload ? header->init_size : payload;
	uint8_t *place = kernel_image_place(image, memory, header->pref_address, span, error);
	if (place == NULL) {
		return -ENOMEM;
	}
	memcpy(place, image->bytes + setup, payload);
	read_version(image, setup, start);
	start->entry = header->pref_address + ENTRY_64_OFFSET;
	start->end = header->pref_address + span;
	return 0;
}
