/* The string list. ph's first thread; no input of others. */
#include "plan/strings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct strings *strings) {
	char **items = realloc(strings->items, (strings->count + 2) * sizeof(*items));
	if (items == NULL) {
		strings->failed = true;
		return false;
	}
	strings->items = items;
	items[strings->count] = NULL;
	return true;
}

void strings_add(struct strings *strings, char *string) {
	if (string == NULL) {
		strings->failed = true;
	}
	if (strings->failed || !grow(strings)) {
		free(string);
		return;
	}
	strings->items[strings->count++] = string;
	strings->items[strings->count] = NULL;
}

void strings_add_format(struct strings *strings, const char *format, ...) {
	char *string = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&string, format, args);
	va_end(args);
	strings_add(strings, length < 0 ? NULL : string);
}

void strings_remove(struct strings *strings, size_t index) {
	free(strings->items[index]);
	memmove(&strings->items[index], &strings->items[index + 1],
		(strings->count - index) * sizeof(*strings->items));
	strings->count--;
}

char **strings_take(struct strings *strings) {
	if (strings->failed || (strings->items == NULL && !grow(strings))) {
		strings_finish(strings);
		return NULL;
	}
	char **items = strings->items;
	*strings = (struct strings){0};
	return items;
}

void strings_finish(struct strings *strings) {
	strings_free(strings->items);
	*strings = (struct strings){0};
}

void strings_free(char **items) {
	for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
		free(items[i]);
	}
	free(items);
}
