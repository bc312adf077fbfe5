/*
 * The user's terminal: raw mode and back, on every way out, a crash of ph included.
 */
#ifndef PH_TERMINAL_H
#define PH_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Put fd into raw mode and arrange for its restoration at exit and at fatal signals. Again on a terminal that
 * is raw already sets raw mode anew. 0 or -errno. */
int terminal_raw(int fd);
/* Likewise, but for the keys that are signals (Ctrl-C, Ctrl-Z, Ctrl-\), which stay that: for as long as
 * nobody is there to read them. What is typed meanwhile is kept as it is. */
int terminal_raw_with_signals(int fd);
/* Give a terminal that was made raw other colours, by control sequences. terminal_restore() gives it those of
 * its settings back. The sequences are the caller's and stay. 0 or -errno. */
int terminal_color(int fd, const char *sequences);
#define TERMINAL_COLOR_RESET "\033]104\033\\\033]110\033\\\033]111\033\\"

/* A guest's bytes on their way to a terminal that no session of the guest's has for itself: what could do
 * more than print becomes '?', byte for byte; colours remain. Zeroed before the first of a stream. */
struct terminal_filter {
	uint8_t continuation; /* bytes of a character that are still to come */
	uint8_t least, most;  /* where the next of them lies */
};
void terminal_filter(struct terminal_filter *filter, uint8_t *to, const uint8_t *from, size_t size);

/* The terminal that fd is, opened once more with open(2)'s flags: itself where we may open it, else as
 * /dev/tty when it is the one that controls us (after su, it belongs to somebody else). Its flags are nobody
 * else's then. A descriptor, close-on-exec, or -1 when fd is no terminal or cannot be opened. */
int terminal_reopen(int fd, int flags);

/* On SIGTSTP, which the calling thread blocks: stop as programs do, with the terminal as it was before, and
 * set it again when that is over. */
void terminal_stop(void);
/* On SIGCONT: a shell may have changed the terminal. */
void terminal_resume(void);

/* Back to what it was; harmless when it was never raw. Async-signal-safe. */
void terminal_restore(void);
/* Whether fd is the terminal that controls this process, and another job has it: to read it, or to set it,
 * would stop this one. */
bool terminal_in_background(int fd);
/* Whether fd is a terminal that is raw, so that a line's end does not lead back to the first column. In any
 * process of ph. */
bool terminal_is_raw(int fd);
/* False when fd is no terminal, or one of unknown size. */
bool terminal_size(int fd, uint16_t *rows, uint16_t *columns);

#endif
