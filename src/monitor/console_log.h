/* The guest kernel's messages, and ph's where it has no terminal: the last of them kept, for --logs and for
 * the end; the kernel's shown under --verbose. */
#ifndef MONITOR_CONSOLE_LOG_H
#define MONITOR_CONSOLE_LOG_H

#include "ph/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LOG_KEPT 16384
#define CONSOLE_LOG_LINE 256

struct console_log {
	pthread_mutex_t lock; /* all below: the loop and, with the serial port, vCPU threads write */
	uint8_t ring[CONSOLE_LOG_KEPT];
	uint64_t total; /* bytes ever written */
	char line[CONSOLE_LOG_LINE];
	size_t line_length;
	struct log_limit corruption; /* of a sealed image: one message for each block */
	struct log_limit memory;
	bool told_memory; /* that the VM has too little */
};

void console_log_init(struct console_log *log);
void console_log_finish(struct console_log *log);
void console_log_write(struct console_log *log, const void *data, size_t len);
/* Show the last lines, as errors. */
void console_log_show(struct console_log *log);

/* Keep a message of ph among them. */
void console_log_keep(struct console_log *log, const char *text, size_t len);
/* What is kept, as text; returns its length. size is more than CONSOLE_LOG_KEPT. */
size_t console_log_copy(struct console_log *log, char *text, size_t size);

#endif
