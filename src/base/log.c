/* Messages to stderr, each one write(2), from any thread or process. The text may hold hostile bytes: they
 * are made printable. */
#include "ph/log.h"

#include "ph/terminal.h"
#include "ph/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A reader who is merely slow gets all; one who does not read is waited for once, until he does again. */
#define LINE_WAIT_MS 100
#define ERROR_WAIT_MS 1000

bool log_verbose_enabled;
bool log_drops_enabled;
static atomic_uint dropped;

/* Whether a line can be written without waiting for long. */
static bool has_room(int wait_ms) {
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	int ret;
	do {
		ret = poll(&room, 1, atomic_load(&dropped) > 0 ? 0 : wait_ms);
	} while (ret < 0 && errno == EINTR);
	return ret != 0;
}

static void write_line(int wait_ms, const char *format, va_list args) {
	char line[1024 + 64];
	size_t len = 0;
	const char *end = terminal_is_raw(STDERR_FILENO) ? "\r\n" : "\n";
	if (log_drops_enabled && !has_room(wait_ms)) {
		atomic_fetch_add(&dropped, 1);
		return;
	}
	unsigned missing = atomic_exchange(&dropped, 0);
	if (missing > 0) {
		len = (size_t)snprintf(
			line, 64, "ph: %u messages were left out: nobody read them%s", missing, end);
	}
	char *text = line + len;
	snprintf(text, 5, "ph: ");
	vsnprintf(text + 4, 1024 - 6, format, args);
	size_t size = strlen(text);
	text_make_printable(text, size);
	len += size;
	len += (size_t)sprintf(line + len, "%s", end);
	ssize_t n = write(STDERR_FILENO, line, len);
	(void)n; /* there is nowhere left to complain to */
}

void log_error(const char *format, ...) {
	va_list args;
	va_start(args, format);
	write_line(ERROR_WAIT_MS, format, args);
	va_end(args);
}

void log_verbose(const char *format, ...) {
	if (!log_verbose_enabled) {
		return;
	}
	va_list args;
	va_start(args, format);
	write_line(LINE_WAIT_MS, format, args);
	va_end(args);
}

void log_guest(struct log_limit *limit, const char *format, ...) {
	const uint64_t window_ns = 10000000000ULL;
	const uint32_t lines_per_window = 5;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
	if (limit->window_start_ns == 0 || now_ns - limit->window_start_ns >= window_ns) {
		if (limit->suppressed > 0) {
			log_error("%llu more messages like it were left out",
				(unsigned long long)limit->suppressed);
		}
		limit->window_start_ns = now_ns;
		limit->count = 0;
		limit->suppressed = 0;
	}
	if (limit->count >= lines_per_window) {
		limit->suppressed++;
		return;
	}
	limit->count++;
	va_list args;
	va_start(args, format);
	write_line(LINE_WAIT_MS, format, args);
	va_end(args);
}
