/*
 * Text that may hold anything, made fit to be shown: printable ASCII and UTF-8 without control characters.
 * And numbers by which it is found.
 */
#ifndef PH_TEXT_H
#define PH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replace each byte of what is not printable by '?'; line ends and tabs, too. */
void text_make_printable(char *text, size_t size);
/* A line of text with a '?' for what is not printable, not visible or changes the direction of what is beside
 * it; cut where room, which is not 0, ends. Its length. */
size_t text_copy_plain(char *to, size_t room, const char *text);
/* That, behind the VM's name in brackets: what it is called on the host. */
size_t text_tag(char *to, size_t room, const char *tag, const char *text);
/* Of ASCII's letters and digits, '-', '_' and '.': what names consist of that are looked up. */
bool text_is_name_letter(char c);
/* How many of the first size bytes of text, which has more, are whole characters. */
size_t text_cut(const char *text, size_t size);
/* A number for what the text is beside another number (FNV-1a). Two texts may have the same, which somebody
 * who wants to can bring about. */
uint32_t text_hash(uint32_t beside, const char *text);

#endif
