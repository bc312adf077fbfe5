/*
 * Messages for the person at the terminal. Everything goes to stderr, one line a message,
 * prefixed "ph: ". In the good case and without --verbose nothing is ever printed.
 *
 * A message that a guest can provoke goes through log_guest(), which is rate-limited for each
 * source, so that a guest cannot flood the terminal or the journal.
 */
#ifndef PH_LOG_H
#define PH_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Whether --verbose was given; set once by main before any thread or worker exists. */
extern bool log_verbose_enabled;

/* Set while a VM runs: then nobody waits for long for who does not read standard error. Lines are left out
 * instead, and their number is said later. */
extern bool log_drops_enabled;

/* An error the user must act on. Control characters in the text are replaced. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A detail that --verbose shows. */
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Rate limit of one source of guest-provoked messages; zeroed is ready to use. Not shared between threads. */
struct log_limit {
	uint64_t window_start_ns;
	uint32_t count;
	uint64_t suppressed;
};

/* A guest broke a rule: at most 5 lines each 10 seconds for one limit, the number left out is said later. */
void log_guest(struct log_limit *limit, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
