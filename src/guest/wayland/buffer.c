/*
 * Copies of clients' pixels in memory that the compositor can see, one for each buffer: made when it is first
 * attached, brought up to date when a frame is committed, and by no more than changed since it was last
 * shown. A buffer that is shown often enough has its own pages sent instead, where the host can do that.
 *
 * The proxy's only thread. Sizes, damage and the memory itself are the client's and hostile; the pixels
 * are only ever copied.
 */
#include "guest/wayland/buffer.h"

#include "guest/wayland/surface.h"
#include "ph/fd.h"
#include "guest/wayland/hooks.h"
#include "ph/wayland_protocols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
/* Of one client, in the window */
#define MEMORY_MAX (768u << 20)
/* Sharing pages costs as much as a few copies. */
#define PAGES_FRAMES_MIN 4
#define PAGES_SIZE_MIN (256u << 10)
#define PAGES_SIZE_MAX (256u << 20)

static uint64_t page_floor(uint64_t value) {
	return value & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_ceil(uint64_t value) {
	return page_floor(value + PAGE - 1);
}

/* ---- pools ---- */

struct pool *pool_create(struct client *client, struct object *shm, int fd, int32_t size) {
	struct pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL) {
		return NULL;
	}
	*pool = (struct pool){.references = 1, .client = client, .shm = shm, .fd = fd, .size = size};
	client->pool_count++;
	return pool;
}

void pool_unref(struct pool *pool) {
	if (--pool->references > 0) {
		return;
	}
	pool->client->pool_count--;
	close(pool->fd);
	free(pool);
}

/* ---- buffers ---- */

struct buffer *buffer_create(struct pool *pool, const union wire_arg *args) {
	struct buffer *buffer = calloc(1, sizeof(*buffer));
	struct client *client = pool->client;
	if (buffer == NULL) {
		client_fail_memory(client);
		return NULL;
	}
	*buffer = (struct buffer){.next = client->buffers,
		.link = &client->buffers,
		.client = client,
		.pool = pool,
		.offset = args[1].i,
		.width = args[2].i,
		.height = args[3].i,
		.stride = args[4].i,
		.format = args[5].u};
	buffer->size = (uint64_t)buffer->stride * (uint64_t)buffer->height;
	damage_set_full(&buffer->stale);
	if (buffer->next != NULL) {
		buffer->next->link = &buffer->next;
	}
	client->buffers = buffer;
	client->buffer_count++;
	pool->references++;
	return buffer;
}

struct buffer *buffer_of(const struct object *object) {
	return object->destroy_data == buffer_destroy_data ? object->data : NULL;
}

static void unmap(struct buffer *buffer) {
	if (buffer->memory != NULL) {
		munmap(buffer->memory, buffer->size);
		buffer->client->memory -= page_ceil(buffer->size);
	}
	buffer->memory = NULL;
}

/* What goes with the compositor's buffer. */
struct shown {
	struct buffer *buffer; /* NULL: gone */
	int pages;             /* -1: a copy. They stay in place until the compositor has done with them. */
};

static void destroy_shown(void *data) {
	struct shown *shown = data;
	if (shown->buffer != NULL) {
		shown->buffer->host = NULL;
	}
	fd_close(&shown->pages);
	free(shown);
}

struct buffer *buffer_of_host(const struct object *object) {
	return object->destroy_data == destroy_shown ? ((struct shown *)object->data)->buffer : NULL;
}

static void hide(struct buffer *buffer) {
	if (buffer->host != NULL) {
		client_send_request(buffer->client, buffer->host, WL_BUFFER_REQUEST_DESTROY, NULL);
		((struct shown *)buffer->host->data)->buffer = NULL;
		client_bury(buffer->client, buffer->host);
	}
	buffer->host = NULL;
	unmap(buffer);
}

void buffer_destroy_data(void *data) {
	struct buffer *buffer = data;
	hide(buffer);
	surfaces_forget(buffer);
	*buffer->link = buffer->next;
	if (buffer->next != NULL) {
		buffer->next->link = buffer->link;
	}
	buffer->client->buffer_count--;
	pool_unref(buffer->pool);
	free(buffer);
}

void buffers_finish(struct client *client) {
	while (client->buffers != NULL) {
		buffer_destroy_data(client->buffers);
	}
}

/* ---- the compositor's side ---- */

static struct object *create_host_pool(
	struct client *client, const struct object *shm, int fd, uint64_t size) {
	struct object *pool = client_add_own(client, &wl_shm_pool_interface, 1);
	if (pool == NULL) {
		close(fd);
		return NULL;
	}
	if (wire_queue_push_fd(&client->to_host, fd, 0) < 0) {
		close(fd);
		client_fail_memory(client);
		return NULL;
	}
	const union wire_arg args[] = {{.object = pool->host_id}, {.u = 0}, {.i = (int32_t)size}};
	client_send_request(client, shm, WL_SHM_REQUEST_CREATE_POOL, args);
	return pool;
}

/* An object for the compositor's buffer. Takes pages, also when it fails. */
static struct object *create_shown(struct buffer *buffer, int pages) {
	struct shown *shown = malloc(sizeof(*shown));
	struct object *host = shown != NULL ? client_add_own(buffer->client, &wl_buffer_interface, 1) : NULL;
	if (host == NULL) {
		client_fail_memory(buffer->client);
		free(shown);
		fd_close(&pages);
		return NULL;
	}
	*shown = (struct shown){.buffer = buffer, .pages = pages};
	host->data = shown;
	host->destroy_data = destroy_shown;
	return host;
}

/* Let the compositor have the buffer in the memory behind fd. Both descriptors are taken. */
static bool show(struct buffer *buffer, int fd, uint64_t size, uint64_t offset, int pages) {
	struct client *client = buffer->client;
	struct object *pool = create_host_pool(client, buffer->pool->shm, fd, size);
	if (pool == NULL) {
		fd_close(&pages);
		return false;
	}
	struct object *host = create_shown(buffer, pages);
	if (host != NULL) {
		const union wire_arg args[] = {{.object = host->host_id}, {.i = (int32_t)offset},
			{.i = buffer->width}, {.i = buffer->height}, {.i = buffer->stride},
			{.u = buffer->format}};
		client_send_request(client, pool, WL_SHM_POOL_REQUEST_CREATE_BUFFER, args);
	}
	client_send_request(client, pool, WL_SHM_POOL_REQUEST_DESTROY, NULL);
	client_bury(client, pool);
	buffer->host = host;
	return host != NULL;
}

/* Map memory of the window for the copy. Its descriptor, which is good for sending. */
static int create_memory(struct buffer *buffer) {
	uint64_t size = page_ceil(buffer->size);
	if (buffer->client->memory + size > MEMORY_MAX) {
		return -ENOMEM;
	}
	int fd = host_create_memory(size);
	if (fd < 0) {
		return fd;
	}
	void *memory = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		int error = errno;
		close(fd);
		return -error;
	}
	buffer->memory = memory;
	buffer->client->memory += size;
	return fd;
}

/* ---- the client's own pages ---- */

static bool may_share(const struct buffer *buffer, uint64_t start, uint64_t end) {
	struct stat st;
	return buffer->size >= PAGES_SIZE_MIN && end - start <= PAGES_SIZE_MAX &&
	       fstat(buffer->pool->fd, &st) == 0 && (uint64_t)st.st_size >= end;
}

/* Show the client's pages in the place of the copy. Without a way to do that everything stays as it is. */
static bool share_pages(struct buffer *buffer) {
	uint64_t start = page_floor((uint64_t)buffer->offset);
	uint64_t end = page_ceil((uint64_t)buffer->offset + buffer->size);
	buffer->no_pages = true;
	if (!may_share(buffer, start, end)) {
		return true;
	}
	int fd = host_create_pages(buffer->pool->fd, start, end - start);
	int kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (kept < 0) {
		fd_close(&fd);
		return true;
	}
	hide(buffer);
	return show(buffer, fd, end - start, (uint64_t)buffer->offset - start, kept);
}

bool buffer_show(struct buffer *buffer) {
	if (buffer->host != NULL) {
		bool share = buffer->frames >= PAGES_FRAMES_MIN && !buffer->no_pages;
		return !share || share_pages(buffer);
	}
	int fd = create_memory(buffer);
	if (fd < 0) {
		client_fail_memory(buffer->client);
		return false;
	}
	damage_set_full(&buffer->stale);
	return show(buffer, fd, page_ceil(buffer->size), 0, -1);
}

/* ---- copying ---- */

static bool copy_bytes(struct buffer *buffer, uint64_t start, uint64_t size) {
	uint64_t offset = (uint64_t)buffer->offset + start;
	while (size > 0) {
		ssize_t n = pread(buffer->pool->fd, buffer->memory + start, size, (off_t)offset);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return false;
		}
		buffer->client->copied += (uint64_t)n;
		start += (uint64_t)n;
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return true;
}

/* Rows are read one by one only where that saves more than it costs. */
static bool copy_rect(struct buffer *buffer, const struct damage_rect *rect, unsigned pixel) {
	uint64_t stride = (uint64_t)buffer->stride;
	uint64_t row = (uint64_t)(rect->x2 - rect->x1) * pixel;
	uint64_t start = (uint64_t)rect->y1 * stride + (uint64_t)rect->x1 * pixel;
	uint64_t rows = (uint64_t)(rect->y2 - rect->y1);
	if (row * 2 >= stride) {
		return copy_bytes(buffer, start, (rows - 1) * stride + row);
	}
	bool good = true;
	for (uint64_t y = 0; y < rows && good; y++) {
		good = copy_bytes(buffer, start + y * stride, row);
	}
	return good;
}

static bool copy_stale(struct buffer *buffer) {
	unsigned pixel = wire_pixel_size(buffer->format);
	bool good = true;
	for (unsigned i = 0; i < buffer->stale.count && good; i++) {
		struct damage_rect rect = buffer->stale.rects[i];
		good = !damage_clip(&rect, buffer->width, buffer->height) || copy_rect(buffer, &rect, pixel);
	}
	return good;
}

bool buffer_update(struct buffer *buffer) {
	if (buffer->memory != NULL && !copy_stale(buffer)) {
		client_fail(buffer->client, buffer->object, WL_SHM_ERROR_INVALID_FD,
			"error accessing SHM buffer");
		return false;
	}
	buffer->stale.count = 0;
	buffer->frames++;
	buffer->client->frames++;
	buffer->client->shared_frames += buffer->memory == NULL;
	return true;
}
