/*
 * Pools and buffers: descriptors that are what they are said to be, and as large. Runs on the display's loop.
 * Sizes are hostile; that of memory from the guest cannot change.
 */
#include "display/filter_parts.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct wire_object *created(const struct passage *passage, unsigned arg) {
	return wire_objects_find(&passage->filter->objects, passage->args[arg].object);
}

/* ---- what the compositor has ---- */

/*
 * All that is behind the descriptors of a pool, or of a dma-buf's planes. The guest may close them as soon as
 * they are sent, and neither the window nor any vfd counts them then; the compositor has the memory for as
 * long as there are the pool, or the parameters, and buffers made of it.
 */
struct filter_memory {
	unsigned references;
	uint64_t bytes;
};

static enum verdict charge(struct passage *passage, struct wire_object *object, uint64_t bytes) {
	struct filter_vm *vm = passage->filter->vm;
	if (bytes > FILTER_POOLS_MAX - vm->pool_bytes) {
		return filter_break(passage, "the VM has too much memory with the compositor");
	}
	if (object->memory == NULL) {
		object->memory = calloc(1, sizeof(*object->memory));
		if (object->memory == NULL) {
			return filter_break(passage, "no memory to count it");
		}
		object->memory->references = 1;
	}
	object->memory->bytes += bytes;
	vm->pool_bytes += bytes;
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
		free(memory);
	}
}

/* ---- wl_shm ---- */

static uint64_t size_of(int fd, enum filter_fd kind) {
	struct stat status;
	if (kind == FILTER_FD_DMABUF) {
		off_t size = lseek(fd, 0, SEEK_END);
		return size > 0 ? (uint64_t)size : 0;
	}
	return fstat(fd, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

/* A pool's object has its size, and how large it could become. */
enum verdict filter_pool_create(struct passage *passage) {
	enum filter_fd kind = passage->kinds[0];
	int32_t size = passage->args[2].i;
	if (kind != FILTER_FD_MEMORY && kind != FILTER_FD_DMABUF) {
		return filter_break(passage, "the descriptor is no memory");
	}
	uint64_t have = size_of(passage->fds[0], kind);
	if (size <= 0 || (uint64_t)size > have) {
		return filter_break(passage, "%d bytes of %llu", size, (unsigned long long)have);
	}
	struct wire_object *pool = created(passage, 0);
	pool->data = filter_pack_size(size, have < INT32_MAX ? (int32_t)have : INT32_MAX);
	return charge(passage, pool, have);
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

enum verdict filter_buffer_create(struct passage *passage) {
	const union wire_arg *args = passage->args;
	int64_t offset = args[1].i, width = args[2].i, height = args[3].i, stride = args[4].i;
	int64_t size = filter_width(passage_object(passage));
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

/* ---- dma-bufs ---- */

enum verdict filter_dmabuf_add(struct passage *passage) {
	if (passage->kinds[0] != FILTER_FD_DMABUF) {
		return filter_break(passage, "the descriptor is no dma-buf");
	}
	return charge(passage, passage_object(passage), size_of(passage->fds[0], FILTER_FD_DMABUF));
}

/* create_immed makes the buffer, create has an event make it. */
enum verdict filter_dmabuf_create(struct passage *passage) {
	bool immediate = passage->message.opcode == ZWP_LINUX_BUFFER_PARAMS_V1_REQUEST_CREATE_IMMED;
	const union wire_arg *size = passage->args + immediate;
	if (size[0].i <= 0 || size[1].i <= 0) {
		return filter_break(passage, "%dx%d", size[0].i, size[1].i);
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
