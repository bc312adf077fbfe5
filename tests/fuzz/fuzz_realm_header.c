/*
 * Fuzz the headers of sealed images. Input: the 4096 bytes of one, and the block that describes the tree;
 * what is missing is zero. What is accepted must hold together.
 */
#include "input.h"
#include "plan/realm/header.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct header header = {0};
	struct error error = {0};
	uint8_t block[HEADER_BLOCK] = {0};
	const uint64_t file_size = 1ull << 34;
	size_t first = size < HEADER_SIZE ? size : HEADER_SIZE;
	memcpy(header.bytes, data, first);
	memcpy(block, data + first, size - first < sizeof(block) ? size - first : sizeof(block));
	if (header_parse(&header, file_size, &error) < 0) {
		require(error.message[0] != '\0');
		return 0;
	}
	require(header_is_name(header.name, HEADER_NAME_SIZE - 1));
	require(header.blocks > 0 && header.has_root && header_tree_offset(&header) <= file_size);
	require(header.signature + HEADER_SIGNATURE_SIZE <= header.bytes + HEADER_SIZE);
	header_check_tree(&header, block, file_size, &error);
	return 0;
}
