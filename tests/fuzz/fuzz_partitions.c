/*
 * Fuzz the tables of partitions: whatever an image says, a partition that is found lies inside of it. Input:
 * a byte, the number of the partition, then the image, which ends in zeros.
 */
#include "input.h"

#include "plan/parts.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE_SIZE (64u * 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int image = -1;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct error error = {0};
	char path[] = "image";
	if (size < 1 || data[0] == 0 || size > IMAGE_SIZE) {
		return -1;
	}
	if (image < 0) {
		image = memfd_create("image", MFD_CLOEXEC);
	}
	require(ftruncate(image, 0) == 0 && ftruncate(image, IMAGE_SIZE) == 0);
	require(pwrite(image, data + 1, size - 1, 0) == (ssize_t)size - 1);
	struct plan_disk disk = {.fd = image, .path = path, .size = IMAGE_SIZE};
	int ret = plan_find_partition(&disk, data[0], &error);
	require((ret < 0) == (error.message[0] != '\0') && strchr(error.message, '\n') == NULL);
	require(ret < 0 || (disk.offset >= 512 && disk.size >= 512 && disk.offset % 512 == 0 &&
				   disk.offset < IMAGE_SIZE && disk.size <= IMAGE_SIZE - disk.offset));
	return 0;
}
