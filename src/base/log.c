/* Messages to stderr, each one write(2), from any thread or process. The text may hold hostile bytes: they
 * are made printable. */
#include "ph/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool log_verbose_enabled;

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

static void write_line(const char *format, va_list args) {
	char line[1024] = "ph: ";
	const size_t prefix = 4;
	vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, args);
	make_printable(line);
	size_t len = strlen(line);
	line[len++] = '\n';
	ssize_t n = write(STDERR_FILENO, line, len);
	(void)n; /* there is nowhere left to complain to */
}

void log_error(const char *format, ...) {
	va_list args;
	va_start(args, format);
	write_line(format, args);
	va_end(args);
}

void log_verbose(const char *format, ...) {
	if (!log_verbose_enabled) {
		return;
	}
	va_list args;
	va_start(args, format);
	write_line(format, args);
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
	write_line(format, args);
	va_end(args);
}
