/*
 * The shared-memory window: one range of this process's addresses that is one memory slot of KVM, from before
 * the first vCPU on, in which a worker's memory comes and goes. A thread of its own answers the worker, so
 * that nobody else waits, and nobody waits for somebody who waits for the worker.
 *
 * Requests and descriptors are hostile. Mapped memory is never touched from here (a fault would be the
 * monitor's), and only what cannot lose its pages is mapped: a guest access that KVM cannot resolve would
 * end the VM. For the same reason holes are mapped, too: to a small file, over and over. Should a dma-buf's
 * exporter break its word, vCPU threads have a hole put in its place.
 */
#include "monitor/window.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* What all holes together can cost the host; each piece of them is a mapping. */
#define SCRATCH_SIZE (16ULL << 20)
/*
 * Each change of the window costs this process time, and vCPUs that fault meanwhile theirs. A call may take
 * so many nanoseconds and as many again for each MiB; BURST saves up for all mappings at once.
 */
#define CALL_NS 50000ULL
#define BURST_NS (2 * CALL_NS * WINDOW_MAPPINGS_MAX)

/* ---- holes ---- */

/* Each hole shows the part of the scratch file that belongs to its place, so that neighbours merge. */
static int map_scratch(const struct window *window, uint64_t offset, uint64_t size) {
	while (size > 0) {
		uint64_t start = offset % SCRATCH_SIZE;
		uint64_t piece = SCRATCH_SIZE - start < size ? SCRATCH_SIZE - start : size;
		void *place = mmap(window->host + offset, piece, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED | MAP_NORESERVE, window->scratch_fd, (off_t)start);
		if (place == MAP_FAILED) {
			return -errno;
		}
		offset += piece;
		size -= piece;
	}
	return 0;
}

/* An unmapped part of the window could become any of this process's memory, with the guest in it. */
static void restore_hole(const struct window *window, uint64_t offset, uint64_t size) {
	int ret = map_scratch(window, offset, size);
	if (ret < 0) {
		log_error("cannot keep the guest's memory together: %s", strerror(-ret));
		abort();
	}
}

/* ---- mappings ---- */

/* The index of the first mapping that ends behind offset. */
static unsigned find_mapping(const struct window *window, uint64_t offset) {
	unsigned low = 0, high = window->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct window_mapping *mapping = &window->mappings[middle];
		if (mapping->offset + mapping->size > offset) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

static void insert_mapping(struct window *window, unsigned index, const struct window_mapping *mapping) {
	struct window_mapping *at = &window->mappings[index];
	memmove(at + 1, at, (window->count - index) * sizeof(*at));
	*at = *mapping;
	window->count++;
}

static void remove_mapping(struct window *window, unsigned index) {
	struct window_mapping *at = &window->mappings[index];
	window->count--;
	memmove(at, at + 1, (window->count - index) * sizeof(*at));
}

/* ---- what may be mapped ---- */

static bool has_size(int fd, uint64_t size) {
	struct stat status;
	return fstat(fd, &status) == 0 && status.st_size >= 0 &&
	       ((uint64_t)status.st_size + WINDOW_PAGE - 1) / WINDOW_PAGE * WINDOW_PAGE >= size;
}

/* 0, or -errno; *dmabuf tells which of the two it is. */
static int check_memory(int fd, uint64_t size, bool *dmabuf) {
	struct statfs system;
	if (fstatfs(fd, &system) < 0) {
		return -errno;
	}
	*dmabuf = system.f_type == DMA_BUF_MAGIC;
	if (!*dmabuf) {
		int seals = system.f_type == TMPFS_MAGIC ? fcntl(fd, F_GET_SEALS) : -1;
		if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
			return -EPERM;
		}
	}
	return has_size(fd, size) ? 0 : -EFBIG;
}

/*
 * KVM does not fault pages of a device's memory in for writing if they are there for reading. An atomic OR
 * with nothing, done by the kernel, does, changes nothing, and fails with an error where an access from
 * here would fail with a signal.
 */
static int fault_in(uint8_t *bytes, uint64_t size) {
	static uint32_t nobody;
	const uint32_t operation = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0);
	for (uint64_t offset = 0; offset < size; offset += WINDOW_PAGE) {
		if (syscall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, NULL, bytes + offset, operation) <
			0) {
			return -errno;
		}
	}
	return 0;
}

/* Map it anywhere first: what fails, fails there. */
static int prepare(int fd, uint64_t size, uint32_t flags, void **prepared, bool *dmabuf) {
	int ret = check_memory(fd, size, dmabuf);
	if (ret < 0) {
		return ret;
	}
	int sharing = (flags & WINDOW_PRIVATE) != 0 ? MAP_PRIVATE : MAP_SHARED;
	void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_NORESERVE, fd, 0);
	if (place == MAP_FAILED) {
		return -errno;
	}
	ret = *dmabuf ? fault_in(place, size) : 0;
	if (ret < 0) {
		munmap(place, size);
		return ret;
	}
	*prepared = place;
	return 0;
}

/* ---- calls ---- */

static int map(struct window *window, const struct window_request *request, int fd) {
	uint64_t offset = request->offset, size = request->size;
	unsigned index = find_mapping(window, offset);
	if ((request->flags & ~(uint32_t)WINDOW_PRIVATE) != 0) {
		return -EINVAL;
	}
	if (window->count == WINDOW_MAPPINGS_MAX) {
		return -ENOSPC;
	}
	if (index < window->count && window->mappings[index].offset < offset + size) {
		return -EEXIST;
	}
	struct window_mapping mapping = {.offset = offset, .size = size};
	void *prepared = NULL;
	int ret = prepare(fd, size, request->flags, &prepared, &mapping.dmabuf);
	if (ret < 0) {
		return ret;
	}
	if (mremap(prepared, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, window->host + offset) ==
		MAP_FAILED) {
		ret = -errno;
		munmap(prepared, size);
		restore_hole(window, offset, size);
		return ret;
	}
	insert_mapping(window, index, &mapping);
	return 0;
}

static int unmap(struct window *window, const struct window_request *request) {
	unsigned index = find_mapping(window, request->offset);
	const struct window_mapping *mapping = &window->mappings[index];
	if (index == window->count || mapping->offset != request->offset || mapping->size != request->size) {
		return -ENOENT;
	}
	restore_hole(window, request->offset, request->size);
	remove_mapping(window, index);
	return 0;
}

static bool is_range(const struct window *window, uint64_t offset, uint64_t size) {
	return offset % WINDOW_PAGE == 0 && size % WINDOW_PAGE == 0 && size > 0 && offset < window->size &&
	       size <= window->size - offset;
}

int window_handle(struct window *window, const struct window_request *request, int fd) {
	int ret = -EINVAL;
	pthread_mutex_lock(&window->lock);
	if (!is_range(window, request->offset, request->size)) {
		ret = -ERANGE;
	} else if (request->operation == WINDOW_MAP && fd >= 0) {
		ret = map(window, request, fd);
	} else if (request->operation == WINDOW_UNMAP && fd < 0) {
		ret = unmap(window, request);
	}
	pthread_mutex_unlock(&window->lock);
	fd_close(&fd);
	return ret;
}

/* ---- memory that is gone ---- */

static void lose(struct window *window, struct window_mapping *mapping) {
	restore_hole(window, mapping->offset, mapping->size);
	mapping->lost = true;
}

static bool lose_dmabufs(struct window *window) {
	bool any = false;
	for (unsigned i = 0; i < window->count; i++) {
		if (window->mappings[i].dmabuf && !window->mappings[i].lost) {
			lose(window, &window->mappings[i]);
			any = true;
		}
	}
	return any;
}

static bool lose_at(struct window *window, uint64_t offset) {
	unsigned index = find_mapping(window, offset);
	struct window_mapping *mapping = &window->mappings[index];
	if (index == window->count || mapping->offset > offset || mapping->lost) {
		return false;
	}
	lose(window, mapping);
	return true;
}

bool window_lose(struct window *window, const uint64_t *address) {
	if (window->size == 0) {
		return false;
	}
	pthread_mutex_lock(&window->lock);
	bool lost = address == NULL
			    ? lose_dmabufs(window)
			    : *address >= window->address && *address - window->address < window->size &&
				      lose_at(window, *address - window->address);
	pthread_mutex_unlock(&window->lock);
	return lost;
}

/* ---- the thread ---- */

static uint64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

/* The user waits for its answer meanwhile. */
static void pace(struct window *window, uint64_t size) {
	uint64_t start = now(), least = start > BURST_NS ? start - BURST_NS : 0;
	if (window->paid_until < least) {
		window->paid_until = least;
	}
	window->paid_until += CALL_NS * (1 + ((size < window->size ? size : window->size) >> 20));
	if (window->paid_until > start) {
		uint64_t wait = window->paid_until - start;
		const struct timespec time = {
			.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
		nanosleep(&time, NULL);
	}
}

/* False: the user is gone. */
static bool serve_call(struct window *window) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct window_request request = {0};
	struct iovec iov = {.iov_base = &request, .iov_len = sizeof(request)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(window->fd, &message, MSG_CMSG_CLOEXEC);
	if (n <= 0) {
		return n < 0 && errno == EINTR;
	}
	int fd = fd_take(&message);
	struct window_reply reply = {.result = -EINVAL};
	if (n == sizeof(request) && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) {
		pace(window, request.size);
		reply.result = window_handle(window, &request, fd);
	} else {
		fd_close(&fd);
	}
	return send(window->fd, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply);
}

static void *serve(void *data) {
	struct window *window = data;
	while (serve_call(window)) {
	}
	/* Nobody will ever take these away. */
	pthread_mutex_lock(&window->lock);
	while (window->count > 0) {
		const struct window_mapping *last = &window->mappings[window->count - 1];
		restore_hole(window, last->offset, last->size);
		window->count--;
	}
	pthread_mutex_unlock(&window->lock);
	return NULL;
}

/* ---- the window ---- */

/* Behind all RAM, and where a BAR of that size may be. */
static uint64_t find_address(const struct guest_memory *memory, uint64_t size) {
	const struct guest_region *last = &memory->regions[memory->region_count - 1];
	uint64_t end = last->base + last->size;
	uint64_t least = 1ULL << 32;
	return ((end > least ? end : least) + size - 1) / size * size;
}

int window_init(struct window *window, const struct guest_memory *memory) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	*window = (struct window){.address = find_address(memory, WINDOW_SIZE),
		.size = WINDOW_SIZE,
		.scratch_fd = -1,
		.fd = ends[0],
		.client_fd = ends[1],
		.lock = PTHREAD_MUTEX_INITIALIZER};
	return 0;
}

int window_reserve(struct window *window) {
	if (window->size == 0) {
		return 0;
	}
	window->scratch_fd = memfd_create("ph-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (window->scratch_fd < 0 || ftruncate(window->scratch_fd, SCRATCH_SIZE) < 0) {
		return -errno;
	}
	void *place = mmap(NULL, window->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED) {
		return -errno;
	}
	window->host = place;
	madvise(place, window->size, MADV_DONTDUMP);
	return map_scratch(window, 0, window->size);
}

int window_serve(struct window *window) {
	fd_close(&window->client_fd);
	int ret = -pthread_create(&window->thread, NULL, serve, window);
	window->serving = ret == 0;
	return ret;
}

void window_finish(struct window *window) {
	if (window->size == 0) {
		return;
	}
	if (window->serving) {
		shutdown(window->fd, SHUT_RDWR);
		pthread_join(window->thread, NULL);
	}
	fd_close(&window->client_fd);
	fd_close(&window->fd);
	fd_close(&window->scratch_fd);
	if (window->host != NULL) {
		munmap(window->host, window->size);
	}
	memset(window, 0, sizeof(*window));
}
