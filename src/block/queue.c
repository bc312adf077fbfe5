/*
 * The thread of one queue of a disk: waits for the driver's kicks, pops, serves, interrupts.
 * Everything it pops is hostile (request.c checks it); it touches guest memory only between start
 * and stop, and stop waits until the kernel does not either.
 *
 * What is in the page cache is read at once (RWF_NOWAIT), because that costs one system call and no
 * queueing. What is not goes to an io_uring, so that the queue depth of the guest reaches the
 * device and neither a write nor a flush holds up reads; kicks arrive through the same ring. Where
 * the host refuses io_uring the thread does one blocking operation at a time. Measured with 4 KiB
 * random reads on ext4, queue depth 32: four times the rate of blocking reads from the device, as
 * fast as them from the page cache; interrupting after each request that was served at once instead
 * of after the batch is worth 1.8 times, as the driver works meanwhile.
 */
#include "block/device.h"

#include "ph/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KICK_USER_DATA UINT64_MAX
#define REQUESTS_BYTES (BLOCK_QUEUE_SIZE * sizeof(struct block_request))

static bool is_over(const struct block_queue *queue) {
	return atomic_load(&queue->device->stopping) || atomic_load(&queue->device->broken);
}

static void break_device(struct block_queue *queue, const char *rule) {
	struct block_device *device = queue->device;
	if (!atomic_exchange(&device->broken, true)) { /* one thread says so, the others just stop */
		virtio_device_break(&device->base, rule);
	}
}

/* There is always room: a queue has at most one operation for each of its heads, and the kick. */
static struct io_uring_sqe *ring_sqe(struct block_queue *queue) {
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);
	while (sqe == NULL) {
		io_uring_submit(&queue->ring);
		sqe = io_uring_get_sqe(&queue->ring);
	}
	return sqe;
}

static void ring_queue(struct block_queue *queue, const struct block_request *request) {
	const struct block_io *io = &request->io;
	struct io_uring_sqe *sqe = ring_sqe(queue);
	int fd = queue->device->disk.fd, mode = FALLOC_FL_KEEP_SIZE;
	switch (io->kind) {
	case BLOCK_IO_READ:
		io_uring_prep_readv(sqe, fd, io->iov, io->iov_count, io->offset);
		break;
	case BLOCK_IO_WRITE:
		io_uring_prep_writev(sqe, fd, io->iov, io->iov_count, io->offset);
		break;
	case BLOCK_IO_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_IO_PUNCH:
	case BLOCK_IO_ZERO:
		mode |= io->kind == BLOCK_IO_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
		io_uring_prep_fallocate(sqe, fd, mode, (off_t)io->offset, (off_t)io->len);
		break;
	}
	sqe->user_data = (uint64_t)(request - queue->requests);
	queue->in_flight++;
}

/* Do without waiting what can be done so. False: it has to wait. */
static bool perform_now(struct block_queue *queue, struct block_request *request) {
	const struct block_disk *disk = &queue->device->disk;
	int flags = 0;
	if (queue->has_ring) {
		if (disk->direct || request->io.kind != BLOCK_IO_READ) {
			return false;
		}
		flags = RWF_NOWAIT;
	}
	ssize_t n = block_disk_perform(disk, &request->io, flags);
	if (flags != 0 && (n == -EAGAIN || n == -EOPNOTSUPP)) {
		return false;
	}
	block_request_done(request, n);
	return true;
}

/* Go on with a request until it has to wait for the ring or is complete. */
static void advance(struct block_queue *queue, struct block_request *request) {
	while (!atomic_load(&queue->device->stopping)) {
		enum block_next next = block_request_next(request);
		if (next == BLOCK_NEXT_NONE) {
			uint32_t written = block_request_complete(request);
			virtqueue_push(queue->virtqueue, (uint16_t)(request - queue->requests), written);
			return;
		}
		if (next == BLOCK_NEXT_OPERATION && !perform_now(queue, request)) {
			ring_queue(queue, request);
			return;
		}
	}
	/* A reset: the driver has forgotten the request. */
}

static void begin(struct block_queue *queue) {
	struct block_request *request = &queue->requests[queue->chain.head];
	const char *rule;
	if (block_request_parse(request, &queue->device->disk, &queue->chain, &rule) < 0) {
		break_device(queue, rule);
		return;
	}
	advance(queue, request);
}

bool block_queue_take(struct block_queue *queue) {
	virtqueue_disable_notify(queue->virtqueue);
	for (unsigned i = 0; i < queue->virtqueue->size; i++) {
		int ret = is_over(queue) ? 0 : virtqueue_pop(queue->virtqueue, &queue->chain);
		if (ret < 0) {
			break_device(queue, queue->virtqueue->rule);
		}
		if (ret <= 0) {
			return !is_over(queue) && virtqueue_enable_notify(queue->virtqueue);
		}
		begin(queue);
		virtqueue_signal(queue->virtqueue);
	}
	return true;
}

static void serve_blocking(struct block_queue *queue) {
	struct pollfd kick = {.fd = queue->virtqueue->kick_fd, .events = POLLIN};
	while (!atomic_load(&queue->device->stopping)) {
		if (!block_queue_take(queue)) {
			poll(&kick, 1, -1);
			fd_event_drain(kick.fd);
		}
	}
}

/* A poll that stays and fires at each kick: the eventfd's count need never be read. Linux has it since 5.13;
 * before, there is a poll for each. */
static void ring_arm_kick(struct block_queue *queue) {
	struct io_uring_sqe *sqe = ring_sqe(queue);
	if (queue->kick_once) {
		io_uring_prep_poll_add(sqe, queue->virtqueue->kick_fd, POLLIN);
	} else {
		io_uring_prep_poll_multishot(sqe, queue->virtqueue->kick_fd, POLLIN);
	}
	sqe->user_data = KICK_USER_DATA;
	queue->kick_armed = true;
}

static void ring_reap_kick(struct block_queue *queue, const struct io_uring_cqe *cqe) {
	queue->kick_armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
	if (cqe->res < 0 && queue->kick_once) {
		queue->has_ring = false; /* it tells of no kick */
	} else if (cqe->res < 0) {
		queue->kick_once = true;
	} else if (queue->kick_once) {
		fd_event_drain(queue->virtqueue->kick_fd);
	}
}

static void ring_reap(struct block_queue *queue, const struct io_uring_cqe *cqe) {
	if (cqe->user_data == KICK_USER_DATA) {
		ring_reap_kick(queue, cqe);
		return;
	}
	struct block_request *request = &queue->requests[cqe->user_data];
	queue->in_flight--;
	ssize_t n = cqe->res;
	/* The host did not do it, for want of a thread to wait in (a limit on processes), or because it would
	 * have had to wait. This thread can. */
	if (n == -ECANCELED || n == -EAGAIN) {
		n = block_disk_perform(&queue->device->disk, &request->io, 0);
	}
	block_request_done(request, n);
	advance(queue, request);
}

static void ring_reap_all(struct block_queue *queue) {
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	io_uring_for_each_cqe(&queue->ring, head, cqe) {
		ring_reap(queue, cqe);
		count++;
	}
	io_uring_cq_advance(&queue->ring, count);
}

/* Until the device stops, or the ring is given up: nothing more goes into it then. */
static void serve_ring(struct block_queue *queue) {
	while ((queue->has_ring && !atomic_load(&queue->device->stopping)) || queue->in_flight > 0) {
		bool more = block_queue_take(queue);
		if (queue->has_ring && !queue->kick_armed) {
			ring_arm_kick(queue);
		}
		/* An error here is a signal or a short host; both pass, and nothing was lost. */
		if (more) {
			io_uring_submit_and_get_events(&queue->ring);
		} else {
			io_uring_submit_and_wait(&queue->ring, 1);
		}
		ring_reap_all(queue);
		virtqueue_signal(queue->virtqueue);
	}
}

/* The ring belongs to one thread alone: the kernel then defers its work to where it is waited for. */
static int ring_init(struct io_uring *ring, unsigned more_flags) {
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	int ret = io_uring_queue_init(BLOCK_QUEUE_SIZE, ring, flags | more_flags);
	if (ret == -EINVAL) { /* before Linux 6.1 */
		ret = io_uring_queue_init(BLOCK_QUEUE_SIZE, ring, more_flags);
	}
	return ret;
}

/* What disks do; all else a ring could do, past any filter of system calls, it cannot from then on. */
static int ring_restrict(struct io_uring *ring) {
	static const uint8_t operations[] = {
		IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE, IORING_OP_POLL_ADD};
	static const uint8_t registrations[] = {
		IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_RING_FDS, IORING_UNREGISTER_RING_FDS};
	struct io_uring_restriction list[sizeof(operations) + sizeof(registrations)] = {0};
	unsigned count = 0;
	for (size_t i = 0; i < sizeof(operations); i++, count++) {
		list[count].opcode = IORING_RESTRICTION_SQE_OP;
		list[count].sqe_op = operations[i];
	}
	for (size_t i = 0; i < sizeof(registrations); i++, count++) {
		list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
		list[count].register_op = registrations[i];
	}
	int ret = io_uring_register_restrictions(ring, list, count);
	if (ret == -EINVAL) { /* before Linux 5.18, which does not know the last two */
		ret = io_uring_register_restrictions(ring, list, count - 2);
	}
	return ret;
}

void block_queue_prepare(struct block_queue *queue) {
	if (ring_init(&queue->ring, IORING_SETUP_R_DISABLED) < 0) {
		return;
	}
	queue->ring_waits = ring_restrict(&queue->ring) == 0;
	if (!queue->ring_waits) {
		io_uring_queue_exit(&queue->ring);
	}
}

/* The ring made ahead; a second start finds it used up, and makes another where that is allowed. */
static int ring_open(struct block_queue *queue) {
	int ret = -EBADF;
	if (queue->ring_waits) {
		queue->ring_waits = false;
		ret = io_uring_enable_rings(&queue->ring);
		if (ret < 0) {
			io_uring_queue_exit(&queue->ring);
		}
	}
	if (ret < 0) {
		ret = ring_init(&queue->ring, 0);
	}
	if (ret < 0) {
		return ret;
	}
	io_uring_register_ring_fd(&queue->ring); /* saves a look-up per call; as good without */
	return 0;
}

static void *serve(void *arg) {
	struct block_queue *queue = arg;
	int ret = ring_open(queue);
	queue->has_ring = ret == 0;
	if (ret < 0 && queue->virtqueue->index == 0) {
		log_verbose("%s: no io_uring (%s), one operation at a time", queue->device->base.name,
			strerror(-ret));
	}
	if (queue->device->base.confine_thread != NULL) {
		queue->device->base.confine_thread();
	}
	if (queue->has_ring) {
		serve_ring(queue);
		io_uring_queue_exit(&queue->ring);
	}
	serve_blocking(queue);
	return NULL;
}

int block_queue_start(struct block_queue *queue, struct block_device *device, struct virtqueue *virtqueue) {
	queue->device = device;
	queue->virtqueue = virtqueue;
	queue->in_flight = 0;
	queue->kick_armed = queue->kick_once = false;
	queue->requests = mmap(NULL, REQUESTS_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (queue->requests == MAP_FAILED) {
		queue->requests = NULL;
		return -ENOMEM;
	}
	/* Signals belong to the main thread, and SIGXFSZ must be an error of the write. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int ret = -pthread_create(&queue->thread, NULL, serve, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	queue->running = ret == 0;
	return ret;
}

void block_queue_stop(struct block_queue *queue) {
	if (queue->running) {
		pthread_join(queue->thread, NULL);
		queue->running = false;
	}
	if (queue->requests != NULL) {
		munmap(queue->requests, REQUESTS_BYTES);
		queue->requests = NULL;
	}
}

void block_queue_finish(struct block_queue *queue) {
	if (queue->ring_waits) {
		io_uring_queue_exit(&queue->ring);
		queue->ring_waits = false;
	}
}
