/* Profiles: any bytes are options or one line that says what is wrong. */
#include "cli/profile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct cli_options *options = calloc(1, sizeof(*options));
	struct error error = {0};
	FILE *file = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	if (options != NULL && file != NULL) {
		int ret = profile_read(options, file, "fuzz.conf", &error);
		if ((ret < 0) != (error.message[0] != '\0') || strchr(error.message, '\n') != NULL) {
			abort();
		}
		cli_finish(options);
	}
	if (file != NULL) {
		fclose(file);
	}
	free(options);
	return 0;
}
