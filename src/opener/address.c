/* Which addresses are opened for a VM. In the opener's process; every byte is hostile, and any of them will
 * be an argument of programs of the host. */
#include "ph/opener.h"

#include <string.h>
#include <strings.h>

/* RFC 3986 has no others; programs that are scripts have trouble with a few of those. */
static bool is_of_addresses(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~:/?#[]@!&()*+,;=%", c) != NULL);
}

static bool has_scheme(const char *url, size_t size, const char *scheme) {
	size_t length = strlen(scheme);
	return size > length && strncasecmp(url, scheme, length) == 0;
}

/* Behind a character as it is or with its number: "%3f". NULL: there is another, or none. */
static const char *skip(const char *at, const char *end, char c, const char *encoded) {
	if (at == NULL || at == end) {
		return NULL;
	}
	if (*at == c) {
		return at + 1;
	}
	return end - at >= 3 && strncasecmp(at, encoded, 3) == 0 ? at + 3 : NULL;
}

/* The beginning of what is encoded as in mails' headers, "=?" (RFC 2047): KMail splits an address into fields
 * after it has replaced that. */
static bool has_encoded_word(const char *url, const char *end) {
	for (const char *at = url; at < end; at++) {
		if (skip(skip(at, end, '=', "%3d"), end, '?', "%3f") != NULL) {
			return true;
		}
	}
	return false;
}

/* "attach" makes some mail programs send a file of the host's. */
static bool is_harmless_field(const char *name, size_t size) {
	static const char *const fields[] = {"subject", "body", "to", "cc", "bcc", "in-reply-to"};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strlen(fields[i]) == size && strncasecmp(name, fields[i], size) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_harmless_mail(const char *url, size_t size) {
	const char *end = url + size, *next = memchr(url, '?', size);
	if (has_encoded_word(url, end)) {
		return false;
	}
	while (next != NULL) {
		const char *name = next + 1, *equals = memchr(name, '=', (size_t)(end - name));
		if (equals == NULL || !is_harmless_field(name, (size_t)(equals - name))) {
			return false;
		}
		next = memchr(equals, '&', (size_t)(end - equals));
	}
	return true;
}

/* A host's name or address follows the slashes: an option or a path never does. */
static bool has_host(const char *url, size_t size, size_t scheme) {
	const char *host = url + scheme;
	return size > scheme && host[0] != '/' && host[0] != '?' && host[0] != '#' && host[0] != '-';
}

bool opener_accepts(const char *url, size_t size) {
	if (size > GUEST_URL_MAX) {
		return false;
	}
	for (size_t i = 0; i < size; i++) {
		if (!is_of_addresses(url[i])) {
			return false;
		}
	}
	if (has_scheme(url, size, "mailto:")) {
		return is_harmless_mail(url, size);
	}
	return (has_scheme(url, size, "http://") && has_host(url, size, 7)) ||
	       (has_scheme(url, size, "https://") && has_host(url, size, 8));
}

bool opener_has_room(struct opener_rate *rate, int64_t now_ms) {
	int64_t oldest = rate->opened[rate->next];
	if (oldest != 0 && now_ms - oldest < OPENER_WINDOW_MS) {
		return false;
	}
	rate->opened[rate->next] = now_ms;
	rate->next = (rate->next + 1) % OPENER_BURST;
	return true;
}
