/* What init tells ph and, through it, the user: messages and the times of the start's steps. PID 1 only. */
#include "guest/init/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct {
	struct port *port;
	bool verbose, timings;
	char reason[512];
} report;

void report_init(struct port *port, bool verbose, bool timings) {
	report.port = port;
	report.verbose = verbose;
	report.timings = timings;
}

static void send_text(const char *mark, const char *format, va_list args) {
	char text[512];
	size_t start = strlen(mark);
	memcpy(text, mark, start);
	int len = vsnprintf(text + start, sizeof(text) - start, format, args);
	if (report.port == NULL || len < 0) {
		return;
	}
	size_t size = start + (size_t)len;
	port_send(report.port, GUEST_FRAME_LOG, 0, text, size < sizeof(text) ? size : sizeof(text) - 1);
}

void report_failure(const char *format, ...) {
	va_list args;
	va_start(args, format);
	if (report.reason[0] == '\0') {
		vsnprintf(report.reason, sizeof(report.reason), format, args);
	}
	va_end(args);
}

const char *report_reason(void) {
	return report.reason;
}

void report_error(const char *format, ...) {
	va_list args;
	va_start(args, format);
	send_text("!", format, args);
	va_end(args);
}

void report_problem(const char *format, ...) {
	va_list args;
	va_start(args, format);
	send_text("", format, args);
	va_end(args);
}

void report_verbose(const char *format, ...) {
	va_list args;
	if (!report.verbose) {
		return;
	}
	va_start(args, format);
	send_text("", format, args);
	va_end(args);
}

uint64_t report_now(void) {
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void report_timing_at(const char *step, uint64_t ns) {
	char text[64];
	if (report.port == NULL || !report.timings) {
		return;
	}
	int len = snprintf(text, sizeof(text), "%s %llu", step, (unsigned long long)ns);
	port_send(report.port, GUEST_FRAME_TIMING, 0, text, (size_t)len);
}

void report_timing(const char *step) {
	report_timing_at(step, report_now());
}
