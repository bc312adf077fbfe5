/*
 * Fuzz the script of a realm's that says which colours a terminal gets. Input: its text. The result is for
 * the terminal, so nothing of the script may be in it but digits.
 */
#include "input.h"
#include "plan/realm/scheme.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char *text = malloc(size + 1);
	if (text == NULL) {
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	char *palette = scheme_palette_of_script(text);
	require(palette == NULL || strspn(palette, "\033]\\;:/rgb0123456789abcdef") == strlen(palette));
	free(palette);
	free(text);
	return 0;
}
