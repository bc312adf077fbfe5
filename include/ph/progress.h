/*
 * How something slow is getting on: one line of standard error, written over again and again, on a terminal
 * only. Whoever shows it clears it before anything else is said, and shows nothing in the first second.
 */
#ifndef PH_PROGRESS_H
#define PH_PROGRESS_H

#define PROGRESS_MS 1000 /* between two lines */

void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

#endif
