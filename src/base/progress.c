/* The line that tells of something slow. Any one thread of a process; the text is ph's own. */
#include "ph/progress.h"

#include "ph/fd.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* To the first column, and what was there is gone. */
#define OVER "\r\033[K"

static bool shown;

void progress_show(const char *format, ...) {
	char text[160], line[200];
	va_list args;
	if (!isatty(STDERR_FILENO)) {
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	int size = snprintf(line, sizeof(line), OVER "ph: %s", text);
	shown = fd_write_all(STDERR_FILENO, line, (size_t)size) == 0;
}

void progress_clear(void) {
	if (shown) {
		fd_write_all(STDERR_FILENO, OVER, sizeof(OVER) - 1);
		shown = false;
	}
}
