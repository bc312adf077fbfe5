/*
 * Fuzz which addresses are opened for a VM: what is accepted is an address of the web or of mail, without
 * anything that a shell, a path, an option or a file of the host's would need; and never more than five come
 * in ten seconds.
 *
 * Input: an address.
 */
#include "input.h"

#include "ph/opener.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool begins(const char *text, const char *with) {
	return strncasecmp(text, with, strlen(with)) == 0;
}

static void check_address(const char *text) {
	bool web = begins(text, "http://") || begins(text, "https://");
	require(web || begins(text, "mailto:"));
	require(strlen(text) <= GUEST_URL_MAX);
	for (const char *c = text; *c != '\0'; c++) {
		require(*c > ' ' && *c < 0x7f && strchr("\"'<>\\^`{|}$", *c) == NULL);
	}
	if (web) {
		const char *host = strchr(text, '/') + 2;
		require(*host != '\0' && strchr("/?#-", *host) == NULL);
		return;
	}
	require(strstr(text, "=?") == NULL);
	for (const char *field = strchr(text, '?'); field != NULL; field = strchr(field + 1, '&')) {
		require(!begins(field + 1, "attach") && field[1] != '%');
	}
}

/* The bytes are the times between one and the next, in half seconds. */
static void check_rate(const uint8_t *data, size_t size) {
	struct opener_rate rate = {0};
	int64_t opened[OPENER_BURST] = {0}, now = 1;
	for (size_t i = 0, count = 0; i < size; i++) {
		now += (int64_t)data[i] * 500;
		if (opener_has_room(&rate, now)) {
			int64_t *oldest = &opened[count++ % OPENER_BURST];
			require(*oldest == 0 || now - *oldest >= OPENER_WINDOW_MS);
			*oldest = now;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char *text = malloc(size + 1);
	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	/* Its end is where the size says, with no byte there that could be looked at. */
	char *exact = malloc(size > 0 ? size : 1);
	require(exact != NULL);
	memcpy(exact, data, size);
	if (opener_accepts(exact, size)) {
		require(strlen(text) == size);
		check_address(text);
	}
	free(exact);
	free(text);
	check_rate(data, size);
	return 0;
}
