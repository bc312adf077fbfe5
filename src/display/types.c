/*
 * Types of data that programs offer. Runs on the display's loop; those of the guest are hostile.
 *
 * Programs of the host act on some: a file manager copies, moves or uploads what a list of files names, and
 * the names mean the host's files, whatever they mean in the VM; others take objects with programs in them,
 * as rich text may have, or addresses in their own memory. So of what a VM offers only those types are theirs
 * that hold a text or a picture. All others have the VM's mark in front of them, and so only its own programs
 * know what they are.
 */
#include "display/filter_parts.h"

#include <stdio.h>
#include <string.h>

/* Behind them may be parameters. */
static const char *const open_types[] = {"text/plain", "text/html", "text/csv", "text/markdown",
	"UTF8_STRING", "STRING", "TEXT", "COMPOUND_TEXT",
	"x-kde-passwordManagerHint" /* by which it is not remembered */};

static bool is_open(const char *type) {
	size_t length = strcspn(type, ";");
	for (size_t i = 0; i < sizeof(open_types) / sizeof(open_types[0]); i++) {
		if (strlen(open_types[i]) == length && strncmp(type, open_types[i], length) == 0) {
			return true;
		}
	}
	return strncmp(type, "image/", 6) == 0;
}

/* A type that some VM's filter offers: whoever offered another VM's could pass for it. */
bool filter_is_mark(const char *type) {
	return strncmp(type, FILTER_MARK_PREFIX, strlen(FILTER_MARK_PREFIX)) == 0;
}

const char *filter_type_outside(const struct filter_vm *vm, char buffer[FILTER_TYPE_SIZE], const char *type) {
	if (vm->clipboard == DISPLAY_CLIPBOARD_ON || is_open(type)) {
		return type;
	}
	int length = snprintf(buffer, FILTER_TYPE_SIZE, "%s/%s", vm->mark, type);
	return length < FILTER_TYPE_SIZE ? buffer : NULL;
}

const char *filter_type_inside(const struct filter_vm *vm, const char *type) {
	const size_t length = strlen(vm->mark);
	if (strncmp(type, vm->mark, length) == 0 && type[length] == '/') {
		return type + length + 1;
	}
	return filter_is_mark(type) ? NULL : type;
}
