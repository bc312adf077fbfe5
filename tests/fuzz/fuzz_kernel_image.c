/* A hostile kernel image, ELF or bzImage, into guest RAM. */
#include "monitor/memory.h"
#include "monitor/x86/boot.h"
#include "monitor/x86/kernel_image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct guest_memory memory;
	if (memory.region_count == 0 && memory_init(&memory, MEMORY_MINIMUM, false, NULL) < 0) {
		abort();
	}
	const struct kernel_image image = {.name = "image", .bytes = data, .size = size, .fd = -1};
	struct kernel_start start;
	if (kernel_image_load(&image, &memory, &start, NULL) == 0) {
		const struct boot_options options = {
			.kernel = &start, .command_line = "quiet", .initramfs = "", .cpus = 1};
		boot_write(&memory, &options, NULL);
	}
	return 0;
}
