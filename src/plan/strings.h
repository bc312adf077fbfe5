/* A growing NULL-terminated list of strings it owns. Zeroed is empty; after a failed allocation it stays
 * failed and drops what is added, so that callers check once. */
#ifndef PLAN_STRINGS_H
#define PLAN_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

struct strings {
	char **items; /* NULL while empty */
	size_t count;
	bool failed;
};

/* Takes over string; NULL (a failed allocation of the caller's) makes the list failed. */
void strings_add(struct strings *strings, char *string);
void strings_add_format(struct strings *strings, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void strings_remove(struct strings *strings, size_t index);
/* The list for the caller to keep (an empty one still holds its NULL), or NULL when it failed. */
char **strings_take(struct strings *strings);
void strings_finish(struct strings *strings);
/* Free a list that was taken; accepts NULL. */
void strings_free(char **items);

#endif
