/*
 * Local descriptors, never waited for. They are inherited: their O_NONBLOCK flag belongs to the open
 * file description and so to the shell and to every process in the pipeline, and must stay as it is.
 * So a pipe or a terminal is opened once more through /proc/self/fd, which gives a description of our
 * own; a socket takes the wish with each call; a file never waits long. What is left (a terminal of
 * another user, a named pipe to read from) is asked with poll() before each step, and steps are so
 * small that what poll() promised covers them; there, and only there, another process that writes to
 * the same place at the same moment can make us wait for its reader.
 *
 * Runs on the monitor's loop thread. What is read is the user's, what is written the guest's; neither
 * is interpreted here, but for what could reprogram a terminal that is not the guest's to program.
 */
#include "ph/stream.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A terminal promises no more than some room. */
#define TERMINAL_STEP 64
#define TEXT_STEP 4096

static int reopen_self(int fd, bool writing) {
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* A named pipe without a writer opens non-blocking, but then never reports the end of file to epoll. */
static bool fifo_can_reopen(int fd, bool writing) {
	struct statfs filesystem;
	return writing || (fstatfs(fd, &filesystem) == 0 && filesystem.f_type == PIPEFS_MAGIC);
}

static enum stream_kind open_kind(struct stream *stream, int fd) {
	struct stat stat;
	int copy = -1;
	stream->step = TERMINAL_STEP;
	if (fstat(fd, &stat) < 0) {
		return STREAM_GATED;
	}
	if (S_ISSOCK(stat.st_mode)) {
		return STREAM_SOCKET;
	}
	if (S_ISFIFO(stat.st_mode)) {
		stream->step = PIPE_BUF;
		copy = fifo_can_reopen(fd, stream->writing) ? reopen_self(fd, stream->writing) : -1;
	} else if (S_ISCHR(stat.st_mode) && isatty(fd)) {
		stream->terminal = true;
		copy = terminal_reopen(fd, (stream->writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
	}
	stream->source.fd = copy;
	return copy >= 0 ? STREAM_NONBLOCK : STREAM_GATED;
}

static void source_ready(struct loop_source *source, uint32_t events) {
	(void)events;
	struct stream *stream = (struct stream *)((char *)source - offsetof(struct stream, source));
	stream->ready(stream);
}

int stream_open(struct stream *stream, struct loop *loop, int fd, bool writing,
	void (*ready)(struct stream *stream)) {
	*stream = (struct stream){.loop = loop,
		.source = {.fd = -1, .ready = source_ready},
		.writing = writing,
		.ready = ready};
	enum stream_kind kind = open_kind(stream, fd);
	if (stream->source.fd < 0) {
		stream->source.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	if (stream->source.fd < 0) {
		return -errno;
	}
	/* epoll refuses what never waits. */
	int ret = loop_add(loop, &stream->source, 0);
	loop_remove(loop, &stream->source);
	if (ret == -EPERM) {
		kind = STREAM_FILE;
	} else if (ret < 0) {
		fd_close(&stream->source.fd);
		return ret;
	}
	stream->kind = kind;
	return 0;
}

void stream_close(struct stream *stream) {
	if (stream->kind == STREAM_CLOSED) {
		return;
	}
	loop_remove(stream->loop, &stream->source);
	fd_close(&stream->source.fd);
	stream->kind = STREAM_CLOSED;
}

static bool gate_is_open(const struct stream *stream) {
	struct pollfd gate = {.fd = stream->source.fd, .events = stream->writing ? POLLOUT : POLLIN};
	return stream->kind != STREAM_GATED || poll(&gate, 1, 0) > 0;
}

/*
 * A background job that reads its terminal is stopped, and the VM with it, even though its command may
 * never want to read: a keystroke meant for the shell would do. Such a job leaves the terminal alone.
 */
static bool in_background(const struct stream *stream) {
	return stream->terminal && terminal_in_background(stream->source.fd);
}

ssize_t stream_read(struct stream *stream, void *data, size_t size) {
	ssize_t n;
	if (in_background(stream) || !gate_is_open(stream)) {
		return -EAGAIN;
	}
	do {
		n = stream->kind == STREAM_SOCKET ? recv(stream->source.fd, data, size, MSG_DONTWAIT)
						  : read(stream->source.fd, data, size);
	} while (n < 0 && errno == EINTR);
	if (n >= 0 && stream->terminal) {
		loop_remove(stream->loop, &stream->source); /* so that the next wait sees what is left */
	}
	if (n < 0 && errno == EBADF) {
		return 0; /* open for writing alone, as nohup's standard input */
	}
	return n < 0 ? -errno : n;
}

static ssize_t write_some(struct stream *stream, const void *data, size_t size) {
	if (!gate_is_open(stream)) {
		return -EAGAIN;
	}
	if (stream->kind == STREAM_GATED && size > stream->step) {
		size = stream->step;
	}
	ssize_t n = stream->kind == STREAM_SOCKET
			    ? send(stream->source.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : write(stream->source.fd, data, size);
	return n < 0 ? -errno : n;
}

/* What was not written is judged again, by what was. */
static ssize_t write_text(struct stream *stream, const uint8_t *data, size_t size) {
	uint8_t text[TEXT_STEP];
	struct terminal_filter filter = stream->filter;
	size = size < sizeof(text) ? size : sizeof(text);
	terminal_filter(&filter, text, data, size);
	ssize_t n = write_some(stream, text, size);
	if (n > 0) {
		terminal_filter(&stream->filter, text, data, (size_t)n);
	}
	return n;
}

ssize_t stream_write(struct stream *stream, const void *data, size_t size) {
	const bool filtered = stream->only_text && stream->terminal;
	size_t done = 0;
	while (done < size) {
		const uint8_t *next = (const uint8_t *)data + done;
		ssize_t n = filtered ? write_text(stream, next, size - done)
				     : write_some(stream, next, size - done);
		if (n == -EAGAIN && stream->kind != STREAM_FILE) {
			break;
		}
		if (n <= 0 && n != -EINTR) {
			return n < 0 ? n : -EIO;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

void stream_wait(struct stream *stream, bool on) {
	if (stream->kind == STREAM_CLOSED || stream->kind == STREAM_FILE || stream->source.added == on) {
		return;
	}
	/* Removed rather than asked for nothing: a hang-up is always reported and would keep the loop busy.
	 */
	if (on) {
		/* What a background job must not read is told once, not as long as it lies there. */
		loop_add(stream->loop, &stream->source,
			stream->writing ? EPOLLOUT : EPOLLIN | (stream->terminal ? EPOLLET : 0));
	} else {
		loop_remove(stream->loop, &stream->source);
	}
}
