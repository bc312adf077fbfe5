/*
 * The host's end of the tests of virtio-wl: a plain unix socket server, a thread a connection. A connection's
 * first line says what the server is to do with it; see the table at the end. What it then sends and wants to
 * see are the patterns of wl_pattern.h.
 *
 * usage: wl_server SOCKET
 */
#define _GNU_SOURCE
#include "wl_buffers.h"
#include "wl_pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct connection {
	int socket;
	int fds[WL_FDS_MAX]; /* that came */
	unsigned fd_count;
	unsigned long numbers[2]; /* of the first line */
	char word[16];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned connections, released;

static void close_fds(struct connection *c) {
	while (c->fd_count > 0) {
		close(c->fds[--c->fd_count]);
	}
}

/* Like read(2), with what came along in c->fds. */
static ssize_t receive(struct connection *c, void *data, size_t size) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(c->fds))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(c->socket, &message, MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; h != NULL;
		h = CMSG_NXTHDR(&message, h)) {
		unsigned count = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (c->fd_count < WL_FDS_MAX) {
				c->fds[c->fd_count++] = fd;
			} else {
				close(fd);
			}
		}
	}
	return n;
}

static ssize_t receive_exactly(struct connection *c, void *data, size_t size) {
	size_t done = 0;
	while (done < size) {
		ssize_t n = receive(c, (char *)data + done, size - done);
		if (n <= 0) {
			break;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static bool send_with(struct connection *c, const void *data, size_t size, const int *fds, unsigned count) {
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(WL_FDS_MAX * sizeof(int))];
	} control = {0};
	size_t done = 0;
	while (done < size) {
		struct iovec iov = {.iov_base = (char *)data + done, .iov_len = size - done};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		if (count > 0) {
			message.msg_control = &control;
			message.msg_controllen = CMSG_SPACE(count * sizeof(int));
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
			memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		}
		ssize_t n = sendmsg(c->socket, &message, MSG_NOSIGNAL);
		if (n < 0) {
			return false;
		}
		done += (size_t)n;
		count = 0;
	}
	return true;
}

static bool say(struct connection *c, const char *format, unsigned long a, unsigned long b) {
	char line[64];
	int n = snprintf(line, sizeof(line), format, a, b);
	return send_with(c, line, (size_t)n, NULL, 0);
}

static int memory(unsigned long size, uint32_t seed) {
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *data;
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		return -1;
	}
	data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	wl_pattern_fill(seed, 0, data, size);
	munmap(data, size);
	return fd;
}

/* ---- what it does ---- */

/* All back as it came. */
static void echo(struct connection *c) {
	char data[8192];
	for (;;) {
		ssize_t n = receive(c, data, sizeof(data));
		if (n <= 0 || !send_with(c, data, (size_t)n, c->fds, c->fd_count)) {
			return;
		}
		close_fds(c);
	}
}

/* The same, byte by byte. */
static void split(struct connection *c) {
	char data[256];
	for (;;) {
		ssize_t n = receive(c, data, sizeof(data));
		if (n <= 0) {
			return;
		}
		for (ssize_t i = 0; i < n; i++) {
			if (!send_with(c, data + i, 1, c->fds, i == 0 ? c->fd_count : 0)) {
				return;
			}
		}
		close_fds(c);
	}
}

/* NUMBER bytes of the pattern are to come. */
static void sink(struct connection *c) {
	static const size_t size = 65536;
	uint8_t *data = malloc(size);
	unsigned long left = c->numbers[0], position = 0;
	bool good = true;
	while (left > 0) {
		ssize_t n = receive(c, data, left < size ? left : size);
		if (n <= 0) {
			break;
		}
		good = good && wl_pattern_holds(0, position, data, (size_t)n);
		position += (unsigned long)n;
		left -= (unsigned long)n;
	}
	free(data);
	say(c, good ? "good %lu\n" : "bad %lu\n", position, 0);
}

/* The same, but not before another connection says "release". */
static void stall(struct connection *c) {
	pthread_mutex_lock(&lock);
	unsigned before = released;
	pthread_mutex_unlock(&lock);
	say(c, "stalled\n", 0, 0);
	pthread_mutex_lock(&lock);
	while (released == before) {
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	sink(c);
}

static void release(struct connection *c) {
	pthread_mutex_lock(&lock);
	released++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	say(c, "released\n", 0, 0);
}

/* NUMBER records are to come, whole, each thread's in order. */
static void records(struct connection *c) {
	struct wl_record record;
	uint32_t next[64] = {0};
	unsigned long good = 0;
	for (unsigned long i = 0; i < c->numbers[0]; i++) {
		if (receive_exactly(c, &record, sizeof(record)) != sizeof(record) || record.thread >= 64 ||
			record.number != next[record.thread]) {
			break;
		}
		next[record.thread]++;
		good += wl_pattern_holds(record.thread, record.number, record.fill, sizeof(record.fill));
	}
	say(c, "good %lu\n", good, 0);
}

/* NUMBER messages of NUMBER bytes. */
static void burst(struct connection *c) {
	uint8_t *data = malloc(c->numbers[1]);
	for (unsigned long i = 0; i < c->numbers[0]; i++) {
		wl_pattern_fill(0, i * c->numbers[1], data, c->numbers[1]);
		if (!send_with(c, data, c->numbers[1], NULL, 0)) {
			break;
		}
	}
	free(data);
}

/* NUMBER pieces of memory at a time, NUMBER times, of 4096 bytes with the patterns 0, 1, 2... */
static void give(struct connection *c) {
	int fds[WL_FDS_MAX];
	unsigned count = (unsigned)c->numbers[0];
	for (unsigned long i = 0; i < c->numbers[1]; i++) {
		for (unsigned k = 0; k < count; k++) {
			fds[k] = memory(4096, k);
			fcntl(fds[k], F_ADD_SEALS, F_SEAL_SHRINK);
		}
		bool sent = send_with(c, "0123456789", 10, fds, count);
		for (unsigned k = 0; k < count; k++) {
			close(fds[k]);
		}
		if (!sent) {
			return;
		}
	}
}

/* Memory of NUMBER bytes: WORD is plain, shared (sealed against shrinking), sealed (against all) or readonly.
 */
static void memfd(struct connection *c) {
	int fd = memory(c->numbers[0], 7);
	if (strcmp(c->word, "shared") == 0) {
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	} else if (strcmp(c->word, "sealed") == 0) {
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	} else if (strcmp(c->word, "readonly") == 0) {
		char path[32];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		int readonly = open(path, O_RDONLY | O_CLOEXEC);
		close(fd);
		fd = readonly;
	}
	send_with(c, "memory\n", 7, &fd, 1);
	/* What the guest makes of it. */
	char request[4] = "";
	if (receive_exactly(c, request, 4) == 4 && memcmp(request, "trim", 4) == 0) {
		say(c, "trimmed %lu\n", ftruncate(fd, 0) == 0, 0);
	} else if (memcmp(request, "look", 4) == 0) {
		uint8_t *data = mmap(NULL, c->numbers[0], PROT_READ, MAP_PRIVATE, fd, 0);
		say(c, "holds %lu\n", wl_pattern_holds(8, 0, data, c->numbers[0]), 0);
		munmap(data, c->numbers[0]);
	}
	close(fd);
}

/* Descriptors that no guest can do anything with; NUMBER says which. False when there is none of that number.
 */
static bool open_odd(unsigned long number, int *fd) {
	switch (number) {
	case 0:
		*fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return true;
	case 1:
		*fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		return true;
	case 2:
		*fd = epoll_create1(EPOLL_CLOEXEC);
		return true;
	case 3:
		*fd = eventfd(1, EFD_CLOEXEC);
		return true;
	case 4:
		*fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
		return true;
	case 5:
		*fd = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		return true;
	case 6: /* memory of no size */
		*fd = memfd_create("odd", MFD_CLOEXEC);
		return true;
	case 7: /* too large to be copied, and it may shrink */
		*fd = memfd_create("odd", MFD_CLOEXEC);
		return ftruncate(*fd, 3LL << 30) == 0;
	case 8: /* larger than the window */
		*fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		return ftruncate(*fd, 1LL << 40) == 0 && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
	default:
		return false;
	}
}

static void odd(struct connection *c) {
	int fd;
	if (!open_odd(c->numbers[0], &fd)) {
		say(c, "none\n", 0, 0);
		return;
	}
	send_with(c, "odd\n", 4, &fd, 1);
	close(fd);
}

/* A dma-buf of NUMBER bytes with the pattern 7; the guest is to draw 8. WORD tells of whose memory. */
static void dmabuf(struct connection *c) {
	int fd = strcmp(c->word, "heap") == 0 ? wl_heap_create(c->numbers[0])
					      : wl_buffer_create(c->numbers[0]);
	uint8_t *data = mmap(NULL, c->numbers[0], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		return;
	}
	wl_pattern_fill(7, 0, data, c->numbers[0]);
	send_with(c, "dmabuf\n", 7, &fd, 1);
	char request[4];
	if (receive_exactly(c, request, 4) == 4) {
		say(c, "holds %lu\n", wl_pattern_holds(8, 0, data, c->numbers[0]), 0);
	}
	munmap(data, c->numbers[0]);
	close(fd);
}

/* A fence, which is signalled when two bytes come. */
static void fence(struct connection *c) {
	struct wl_fence fence;
	char request[2];
	if (wl_fence_create(&fence) && send_with(c, "fence\n", 6, &fence.file, 1) &&
		receive_exactly(c, request, 2) == 2 && !wl_fence_signal(&fence)) {
		perror("fence");
	}
	wl_fence_destroy(&fence);
}

static uint8_t *map_received(struct connection *c, unsigned long size, int protection) {
	char go;
	while (c->fd_count == 0) {
		if (receive(c, &go, 1) <= 0) {
			return NULL;
		}
	}
	uint8_t *data = mmap(NULL, size, protection, MAP_SHARED, c->fds[0], 0);
	return data == MAP_FAILED ? NULL : data;
}

/* Memory of NUMBER bytes comes; its pattern NUMBER is looked for. */
static void look(struct connection *c) {
	uint8_t *data = map_received(c, c->numbers[0], PROT_READ);
	say(c, "holds %lu\n",
		data != NULL && wl_pattern_holds((uint32_t)c->numbers[1], 0, data, c->numbers[0]), 0);
}

/* The same; it is filled with the pattern NUMBER. */
static void fill(struct connection *c) {
	uint8_t *data = map_received(c, c->numbers[0], PROT_READ | PROT_WRITE);
	if (data != NULL) {
		wl_pattern_fill((uint32_t)c->numbers[1], 0, data, c->numbers[0]);
	}
	say(c, "filled %lu\n", data != NULL, 0);
}

static unsigned long read_pipe(int fd) {
	uint8_t data[4096];
	unsigned long position = 0;
	ssize_t n;
	while ((n = read(fd, data, sizeof(data))) > 0) {
		if (!wl_pattern_holds(0, position, data, (size_t)n)) {
			return 0;
		}
		position += (unsigned long)n;
	}
	return position;
}

static void write_pipe(int fd, unsigned long size) {
	uint8_t data[1000];
	for (unsigned long position = 0; position < size;) {
		size_t part = size - position < sizeof(data) ? size - position : sizeof(data);
		wl_pattern_fill(0, position, data, part);
		if (write(fd, data, part) != (ssize_t)part) {
			return;
		}
		position += part;
	}
}

/* The guest's pipe comes: WORD says whether to read it to its end, or to write NUMBER bytes. */
static void take(struct connection *c) {
	char go;
	while (c->fd_count == 0) {
		if (receive(c, &go, 1) <= 0) {
			return;
		}
	}
	if (strcmp(c->word, "read") == 0) {
		say(c, "read %lu\n", read_pipe(c->fds[0]), 0);
	} else {
		write_pipe(c->fds[0], c->numbers[0]);
	}
	close_fds(c);
}

/* A pipe of the host's: the guest is to WORD it, NUMBER bytes. */
static void pipe_end(struct connection *c) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return;
	}
	bool read = strcmp(c->word, "read") == 0;
	send_with(c, "pipe\n", 5, &ends[!read], 1);
	close(ends[!read]);
	if (read) {
		write_pipe(ends[1], c->numbers[0]);
	} else {
		say(c, "read %lu\n", read_pipe(ends[0]), 0);
	}
	close(ends[read]);
}

/* Bytes, and the end. */
static void bye(struct connection *c) {
	send_with(c, "bye\n", 4, NULL, 0);
}

/* No more to come, but still listening. */
static void half(struct connection *c) {
	shutdown(c->socket, SHUT_WR);
	char data[64];
	while (receive(c, data, sizeof(data)) > 0) {
	}
}

/* How many connections there are beside this one. */
static void count(struct connection *c) {
	pthread_mutex_lock(&lock);
	unsigned n = connections - 1;
	pthread_mutex_unlock(&lock);
	say(c, "%lu\n", n, 0);
}

static unsigned long long kvm_counter(const char *name) {
	char path[64];
	unsigned long long value = 0;
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%s", name);
	FILE *file = fopen(path, "r");
	if (file != NULL && fscanf(file, "%llu", &value) != 1) {
		value = 0;
	}
	if (file != NULL) {
		fclose(file);
	}
	return value;
}

/* How often guests have left and been interrupted; zeros for who may not know. */
static void kvm(struct connection *c) {
	say(c, "%lu %lu\n", kvm_counter("exits"), kvm_counter("irq_injections"));
}

static const struct {
	const char *name;
	const char *format; /* of the rest of the line */
	void (*serve)(struct connection *c);
} modes[] = {
	{"echo", "", echo},
	{"split", "", split},
	{"sink", "nn", sink},
	{"stall", "nn", stall},
	{"release", "", release},
	{"records", "nn", records},
	{"burst", "nn", burst},
	{"give", "nn", give},
	{"memfd", "wn", memfd},
	{"odd", "nn", odd},
	{"dmabuf", "wn", dmabuf},
	{"fence", "", fence},
	{"look", "nn", look},
	{"fill", "nn", fill},
	{"take", "wn", take},
	{"pipe", "wn", pipe_end},
	{"bye", "", bye},
	{"half", "", half},
	{"count", "", count},
	{"kvm", "", kvm},
};

static void serve_line(struct connection *c, const char *line) {
	char name[16] = "";
	for (size_t i = 0; sscanf(line, "%15s", name) == 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, name) != 0) {
			continue;
		}
		if (modes[i].format[0] == 'n') {
			sscanf(line, "%*s %lu %lu", &c->numbers[0], &c->numbers[1]);
		} else if (modes[i].format[0] == 'w') {
			sscanf(line, "%*s %15s %lu", c->word, &c->numbers[0]);
		}
		modes[i].serve(c);
		return;
	}
	if (line[0] != '\0') {
		fprintf(stderr, "wl_server: no such thing as %s\n", line);
	}
}

static void *serve(void *argument) {
	struct connection c = {.socket = *(int *)argument};
	char line[64] = "";
	size_t len = 0;
	free(argument);
	while (len < sizeof(line) - 1 && receive(&c, line + len, 1) == 1 && line[len] != '\n') {
		len++;
	}
	line[len] = '\0';
	serve_line(&c, line);
	close_fds(&c);
	/* Counted out before the other end can see the end. */
	pthread_mutex_lock(&lock);
	connections--;
	pthread_mutex_unlock(&lock);
	close(c.socket);
	return NULL;
}

int main(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (argc != 2) {
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 128) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		pthread_t thread;
		int *fd = malloc(sizeof(*fd));
		*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (*fd < 0) {
			perror("accept");
			return 1;
		}
		pthread_mutex_lock(&lock);
		connections++;
		pthread_mutex_unlock(&lock);
		if (pthread_create(&thread, NULL, serve, fd) != 0) {
			perror("thread");
			return 1;
		}
		pthread_detach(thread);
	}
}
