/* What init tells ph: LOG and TIMING frames. Before report_init() and without a port nothing is lost:
 * frames wait in the port's buffer. */
#ifndef PH_GUEST_INIT_REPORT_H
#define PH_GUEST_INIT_REPORT_H

#include "guest/init/port.h"

/* The one port of this process; verbose and timings as configured. */
void report_init(struct port *port, bool verbose, bool timings);

/* Init cannot go on: why, for BYE. The first reason counts. */
void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* That reason, or "". */
const char *report_reason(void);
/* What the user must know: shown as an error. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An optional step failed. */
void report_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What init does, when the user wants to know. */
void report_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A step of the start is over: now, or at a time report_now() gave. */
void report_timing(const char *step);
void report_timing_at(const char *step, uint64_t ns);
/* Nanoseconds since the guest's boot. */
uint64_t report_now(void);

#endif
