/* The line an error carries to the user. Any thread, each with its own struct; hostile text may be inside. */
#include "ph/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *error, int code, const char *format, ...) {
	if (error == NULL || error->message[0] != '\0') {
		return code;
	}
	va_list args;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return code;
}
