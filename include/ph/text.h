/*
 * Text that may hold anything, made fit to be shown: printable ASCII and UTF-8 without control characters.
 */
#ifndef PH_TEXT_H
#define PH_TEXT_H

#include <stddef.h>

/* Replace each byte of what is not printable by '?'; line ends and tabs, too. */
void text_make_printable(char *text, size_t size);
/* How many of the first size bytes of text, which has more, are whole characters. */
size_t text_cut(const char *text, size_t size);

#endif
