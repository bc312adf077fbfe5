/* Messages to stderr, each one write(2), from any thread or process. The text may hold hostile bytes: they
 * are made printable. */
#include "ph/log.h"

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

/* The bytes of the UTF-8 character at text, 0 when it is none, or a control character of 0x80 to 0x9f. */
static unsigned utf8_length(const unsigned char *text) {
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = {{0xe0, 0xc0, 0xa0}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	for (unsigned more = 1; more <= 3; more++) {
		if ((text[0] & forms[more - 1].mask) != forms[more - 1].lead) {
			continue;
		}
		uint32_t code = text[0] & (unsigned char)~forms[more - 1].mask;
		for (unsigned i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80) {
				return 0; /* the terminating NUL, too */
			}
			code = code << 6 | (text[i] & 0x3f);
		}
		bool surrogate = code >= 0xd800 && code < 0xe000;
		return code >= forms[more - 1].least && code < 0x110000 && !surrogate ? more + 1 : 0;
	}
	return 0;
}

/* Control characters could drive the user's terminal: replace all but printable ASCII and UTF-8. */
static void make_printable(char *text) {
	unsigned char *c = (unsigned char *)text;
	while (*c != '\0') {
		unsigned len = *c >= 0x20 && *c < 0x7f ? 1 : utf8_length(c);
		if (len == 0) {
			*c = '?';
			len = 1;
		}
		c += len;
	}
}

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
	if (log_drops_enabled && !has_room(wait_ms)) {
		atomic_fetch_add(&dropped, 1);
		return;
	}
	unsigned missing = atomic_exchange(&dropped, 0);
	if (missing > 0) {
		len = (size_t)snprintf(
			line, 64, "ph: %u messages were left out: nobody read them\n", missing);
	}
	char *text = line + len;
	snprintf(text, 5, "ph: ");
	vsnprintf(text + 4, 1024 - 5, format, args);
	make_printable(text);
	len += strlen(text);
	line[len++] = '\n';
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
