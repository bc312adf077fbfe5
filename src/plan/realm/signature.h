/* Who signed an image: ed25519 over the header's text, by the key of the image's channel. */
#ifndef PLAN_REALM_SIGNATURE_H
#define PLAN_REALM_SIGNATURE_H

#include "plan/realm/header.h"

/* Check the signature with the key the user gave (64 hexadecimal digits, or a file that holds them), or else
 * with that of the image's channel where it can be had. What was found goes into *said, a line for --verbose.
 * 0; -errno with *error set for a wrong signature, for one that is missing or cannot be checked when it is
 * required, and for a key that is none. */
int signature_check(
	const struct header *header, const char *key, bool required, char said[256], struct error *error);

#endif
