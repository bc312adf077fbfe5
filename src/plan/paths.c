/* Absolute paths as text: nothing here looks at the file system. ph's first thread; the caller's own input.
 */
#include "plan/parts.h"

#include <stdlib.h>
#include <string.h>

const char *path_below(const char *path, const char *top) {
	size_t length = strlen(top);
	if (length == 1) {
		return strcmp(path, "/") == 0 ? "" : path;
	}
	if (strncmp(path, top, length) != 0 || (path[length] != '\0' && path[length] != '/')) {
		return NULL;
	}
	return path + length;
}

char *path_normalize(const char *path) {
	if (path[0] != '/') {
		return NULL;
	}
	char *normal = malloc(strlen(path) + 2);
	if (normal == NULL) {
		return NULL;
	}
	char *end = normal;
	while (*path != '\0') {
		path += strspn(path, "/");
		size_t length = strcspn(path, "/");
		if (length == 2 && memcmp(path, "..", 2) == 0) {
			free(normal);
			return NULL;
		}
		if (length > 0 && !(length == 1 && *path == '.')) {
			*end++ = '/';
			memcpy(end, path, length);
			end += length;
		}
		path += length;
	}
	if (end == normal) {
		*end++ = '/';
	}
	*end = '\0';
	return normal;
}
