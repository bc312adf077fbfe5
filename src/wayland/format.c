/* The sizes of pixels. A table, and no state. */
#include "ph/wayland.h"

/* By the size of a pixel: fourcc codes, but for 0 and 1, which are wl_shm's own for ARGB8888 and XRGB8888. */
#define CODE(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct size {
	unsigned bytes;
	const uint32_t *formats;
	size_t count;
};

static const uint32_t one[] = {CODE('C', '8', ' ', ' '), CODE('R', 'G', 'B', '8'), CODE('B', 'G', 'R', '8'),
	CODE('R', '8', ' ', ' ')};
static const uint32_t two[] = {CODE('X', 'R', '1', '2'), CODE('X', 'B', '1', '2'), CODE('R', 'X', '1', '2'),
	CODE('B', 'X', '1', '2'), CODE('A', 'R', '1', '2'), CODE('A', 'B', '1', '2'),
	CODE('R', 'A', '1', '2'), CODE('B', 'A', '1', '2'), CODE('X', 'R', '1', '5'),
	CODE('X', 'B', '1', '5'), CODE('R', 'X', '1', '5'), CODE('B', 'X', '1', '5'),
	CODE('A', 'R', '1', '5'), CODE('A', 'B', '1', '5'), CODE('R', 'A', '1', '5'),
	CODE('B', 'A', '1', '5'), CODE('R', 'G', '1', '6'), CODE('B', 'G', '1', '6'),
	CODE('R', '1', '6', ' '), CODE('R', 'G', '8', '8'), CODE('G', 'R', '8', '8')};
static const uint32_t three[] = {CODE('R', 'G', '2', '4'), CODE('B', 'G', '2', '4')};
static const uint32_t four[] = {0, 1, CODE('X', 'B', '2', '4'), CODE('R', 'X', '2', '4'),
	CODE('B', 'X', '2', '4'), CODE('A', 'B', '2', '4'), CODE('R', 'A', '2', '4'),
	CODE('B', 'A', '2', '4'), CODE('X', 'R', '3', '0'), CODE('X', 'B', '3', '0'),
	CODE('R', 'X', '3', '0'), CODE('B', 'X', '3', '0'), CODE('A', 'R', '3', '0'),
	CODE('A', 'B', '3', '0'), CODE('R', 'A', '3', '0'), CODE('B', 'A', '3', '0'),
	CODE('R', 'G', '3', '2'), CODE('G', 'R', '3', '2'), CODE('X', 'V', '3', '0')};
static const uint32_t eight[] = {CODE('X', 'R', '4', 'H'), CODE('X', 'B', '4', 'H'), CODE('A', 'R', '4', 'H'),
	CODE('A', 'B', '4', 'H'), CODE('X', 'V', '3', '6'), CODE('X', 'V', '4', '8'),
	CODE('A', 'B', '1', '0'), CODE('X', 'R', '4', '8'), CODE('X', 'B', '4', '8'),
	CODE('A', 'R', '4', '8'), CODE('A', 'B', '4', '8')};

#define SIZE(bytes, formats) \
	{ bytes, formats, sizeof(formats) / sizeof((formats)[0]) }
static const struct size sizes[] = {
	SIZE(4, four), SIZE(2, two), SIZE(8, eight), SIZE(3, three), SIZE(1, one)};

unsigned wire_pixel_size(uint32_t format) {
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t k = 0; k < sizes[i].count; k++) {
			if (sizes[i].formats[k] == format) {
				return sizes[i].bytes;
			}
		}
	}
	return 0;
}

bool wire_line_fits(uint32_t format, int64_t width, int64_t stride) {
	unsigned pixel = wire_pixel_size(format);
	return pixel > 0 && stride % (pixel == 8 ? 8 : 4) == 0 && stride >= width * pixel;
}
