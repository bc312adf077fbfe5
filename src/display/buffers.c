/*
 * Pools and buffers: descriptors that are what they are said to be, and as large, with all pixels in them.
 * Runs on the display's loop. Sizes are hostile; that of memory from the guest cannot change.
 */
#include "display/filter_parts.h"

#include <libdrm/drm_fourcc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLANES_MAX 4u

static struct wire_object *created(const struct passage *passage, unsigned arg) {
	return wire_objects_find(&passage->filter->objects, passage->args[arg].object);
}

/* ---- what the compositor has ---- */

uint64_t filter_memory_size(int fd, enum filter_fd kind) {
	struct stat status;
	if (kind == FILTER_FD_DMABUF || kind == FILTER_FD_PAGES) {
		off_t size = lseek(fd, 0, SEEK_END);
		return size > 0 ? (uint64_t)size : 0;
	}
	bool known = kind == FILTER_FD_MEMORY && fstat(fd, &status) == 0;
	return known && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

/*
 * All that is behind the descriptors of a pool, or of a dma-buf's planes. The guest may close them as soon as
 * they are sent, and neither the window nor any vfd counts them then; the compositor has the memory for as
 * long as there are the pool, or the parameters, and buffers made of it.
 */
struct filter_memory {
	unsigned references;
	uint64_t bytes;
	unsigned pools, plane_count;
	struct plane {
		uint64_t size, offset, stride;
	} planes[PLANES_MAX]; /* of a dma-buf */
};

bool filter_charge(struct filter_vm *vm, uint64_t bytes) {
	if (bytes > FILTER_POOLS_MAX - vm->pool_bytes) {
		return false;
	}
	vm->pool_bytes += bytes;
	return true;
}

static enum verdict charge(struct passage *passage, struct wire_object *object, uint64_t bytes) {
	struct filter_vm *vm = passage->filter->vm;
	if (object->memory == NULL) {
		object->memory = calloc(1, sizeof(*object->memory));
		if (object->memory == NULL) {
			return filter_break(passage, "no memory to count it");
		}
		object->memory->references = 1;
	}
	if (!filter_charge(vm, bytes)) {
		return filter_break(passage, FILTER_TOO_MUCH_MEMORY);
	}
	object->memory->bytes += bytes;
	return FILTER_PASS;
}

static void share(struct wire_object *buffer, const struct wire_object *source) {
	buffer->memory = source->memory;
	if (buffer->memory != NULL) {
		buffer->memory->references++;
	}
}

void filter_drop_memory(struct filter_vm *vm, struct wire_object *object) {
	struct filter_memory *memory = object->memory;
	object->memory = NULL;
	if (memory != NULL && --memory->references == 0) {
		vm->pool_bytes -= memory->bytes;
		vm->pools -= memory->pools;
		vm->planes -= memory->plane_count;
		free(memory);
	}
}

/* ---- wl_shm ---- */

/* A pool's object has its size, and how large it could become. The compositor maps it and reads it with the
 * CPU, which of a card's memory, or of a dma-buf from who knows where, may take long or fail. */
enum verdict filter_pool_create(struct passage *passage) {
	enum filter_fd kind = passage->kinds[0];
	int32_t size = passage->args[2].i;
	if (kind != FILTER_FD_MEMORY && kind != FILTER_FD_PAGES) {
		return filter_break(passage, "the descriptor is no memory");
	}
	uint64_t have = filter_memory_size(passage->fds[0], kind);
	if (size <= 0 || (uint64_t)size > have) {
		return filter_break(passage, "%d bytes of %llu", size, (unsigned long long)have);
	}
	struct wire_object *pool = created(passage, 0);
	pool->data = filter_pack_size(size, have < INT32_MAX ? (int32_t)have : INT32_MAX);
	if (passage->filter->vm->pools == FILTER_POOL_COUNT_MAX) {
		return filter_break(passage, "the VM has too many pools");
	}
	enum verdict verdict = charge(passage, pool, have);
	if (verdict == FILTER_PASS) {
		pool->memory->pools = 1;
		passage->filter->vm->pools++;
	}
	return verdict;
}

enum verdict filter_pool_resize(struct passage *passage) {
	struct wire_object *pool = passage_object(passage);
	int32_t size = passage->args[0].i, most = filter_height(pool);
	if (size < filter_width(pool) || size > most) {
		return filter_break(passage, "from %d to %d bytes of %d", filter_width(pool), size, most);
	}
	pool->data = filter_pack_size(size, most);
	return FILTER_PASS;
}

/* The compositor maps the pool, and reads what it thinks is in the lines. */
enum verdict filter_buffer_create(struct passage *passage) {
	const union wire_arg *args = passage->args;
	int64_t offset = args[1].i, width = args[2].i, height = args[3].i, stride = args[4].i;
	int64_t size = filter_width(passage_object(passage));
	uint32_t format = args[5].u;
	if (wire_pixel_size(format) == 0) {
		return filter_break(passage, "pixels of the format 0x%x", format);
	}
	if (width > 0 && !wire_line_fits(format, width, stride)) {
		return filter_break(passage, "lines of %lld pixels of %u bytes in %lld bytes each",
			(long long)width, wire_pixel_size(format), (long long)stride);
	}
	if (offset < 0 || width <= 0 || height <= 0 || stride <= 0 || offset + stride * height > size) {
		return filter_break(passage, "%lldx%lld, %lld a line, at %lld of %lld bytes",
			(long long)width, (long long)height, (long long)stride, (long long)offset,
			(long long)size);
	}
	struct wire_object *buffer = created(passage, 0);
	buffer->data = filter_pack_size((int32_t)width, (int32_t)height);
	share(buffer, passage_object(passage));
	return FILTER_PASS;
}

/* A format that no buffer may have is none for the guest. */
enum verdict filter_shm_format(struct passage *passage) {
	return wire_pixel_size(passage->args[0].u) > 0 ? FILTER_PASS : FILTER_DONE;
}

/* ---- dma-bufs ---- */

/* wl_shm has numbers of its own for two of them. */
static unsigned pixel_of(uint32_t fourcc) {
	return fourcc == DRM_FORMAT_ARGB8888 || fourcc == DRM_FORMAT_XRGB8888 ? 4 : wire_pixel_size(fourcc);
}

enum verdict filter_dmabuf_format(struct passage *passage) {
	uint32_t format = passage->args[0].u;
	return pixel_of(format) > 0 || format == DRM_FORMAT_NV12 ? FILTER_PASS : FILTER_DONE;
}

enum verdict filter_dmabuf_add(struct passage *passage) {
	uint32_t index = passage->args[1].u;
	if (passage->kinds[0] != FILTER_FD_DMABUF && passage->kinds[0] != FILTER_FD_PAGES) {
		return filter_break(passage, "the descriptor is no dma-buf");
	}
	if (index >= PLANES_MAX) {
		return filter_break(passage, "plane %u, at most %u", index, PLANES_MAX - 1);
	}
	if (passage->filter->vm->planes == FILTER_PLANES_MAX) {
		return filter_break(passage, "the VM has too many planes of dma-bufs");
	}
	struct wire_object *params = passage_object(passage);
	uint64_t size = filter_memory_size(passage->fds[0], FILTER_FD_DMABUF);
	enum verdict verdict = charge(passage, params, size);
	if (verdict == FILTER_PASS) {
		params->memory->plane_count++;
		passage->filter->vm->planes++;
		params->memory->planes[index] = (struct plane){
			.size = size, .offset = passage->args[2].u, .stride = passage->args[3].u};
	}
	return verdict;
}

/* A plane that was not added has no room for any line. */
static bool has_lines(const struct plane *plane, uint64_t width, uint64_t lines) {
	return plane->stride >= width && plane->offset + plane->stride * lines <= plane->size;
}

/* Others than the guest read them. What is behind the planes that the format is known to have (a modifier may
 * come with more) is nobody's business but its driver's. */
static bool planes_fit(const struct filter_memory *memory, uint64_t width, uint64_t height, uint32_t format) {
	if (memory == NULL) {
		return false;
	}
	if (format == DRM_FORMAT_NV12) {
		return has_lines(&memory->planes[0], width, height) &&
		       has_lines(&memory->planes[1], (width + 1) / 2 * 2, (height + 1) / 2);
	}
	unsigned pixel = pixel_of(format);
	return pixel > 0 && has_lines(&memory->planes[0], width * pixel, height);
}

/* create_immed makes the buffer, create has an event make it. */
enum verdict filter_dmabuf_create(struct passage *passage) {
	bool immediate = passage->message.opcode == ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE_IMMED;
	const union wire_arg *size = passage->args + immediate;
	if (size[0].i <= 0 || size[1].i <= 0) {
		return filter_break(passage, "%dx%d", size[0].i, size[1].i);
	}
	if (!planes_fit(
		    passage_object(passage)->memory, (uint32_t)size[0].i, (uint32_t)size[1].i, size[2].u)) {
		return filter_break(passage, "%dx%d of the format 0x%x do not fit the planes", size[0].i,
			size[1].i, size[2].u);
	}
	struct wire_object *object = immediate ? created(passage, 0) : passage_object(passage);
	object->data = filter_pack_size(size[0].i, size[1].i);
	if (immediate) {
		share(object, passage_object(passage));
	}
	return FILTER_PASS;
}

/* It is as large as was asked for. */
void filter_dmabuf_created(struct wire_object *buffer, const struct wire_object *params) {
	buffer->data = params->data;
	share(buffer, params);
}

enum verdict filter_pixel_create(struct passage *passage) {
	created(passage, 0)->data = filter_pack_size(1, 1);
	return FILTER_PASS;
}
