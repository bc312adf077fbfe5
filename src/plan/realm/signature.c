/*
 * Signatures of images. ph's first thread. The header is hostile, and libsodium gets of it a text and 64
 * bytes of a signature. Keys come from the user, the host's own files and its kernel.
 *
 * Channels and their keys: the one that os-release names, with CITADEL_IMAGE_PUBKEY; one given to the kernel
 * as citadel.channel=NAME:KEY; and realmfs-user, that of images sealed on this machine, whose seed only
 * root's keyring holds. The secret key of channel dev is public, so its signature says nothing.
 */
#include "plan/realm/signature.h"

#include "plan/realm/citadel.h"

#include "ph/fd.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_SIZE crypto_sign_PUBLICKEYBYTES
#define KEY_DIGITS ((size_t)KEY_SIZE * 2)
_Static_assert(crypto_sign_BYTES == HEADER_SIGNATURE_SIZE, "ed25519");

struct key {
	uint8_t bytes[KEY_SIZE];
	const char *origin;
};

/* Exactly the digits of a key, perhaps with blanks behind them. */
static bool parse_key(const char *text, struct key *key) {
	size_t length = 0;
	const char *end = NULL;
	return strlen(text) >= KEY_DIGITS &&
	       sodium_hex2bin(key->bytes, KEY_SIZE, text, KEY_DIGITS, NULL, &length, &end) == 0 &&
	       length == KEY_SIZE && text[KEY_DIGITS + strspn(text + KEY_DIGITS, " \t\r\n")] == '\0';
}

static int given_key(const char *option, struct key *key, struct error *error) {
	char text[256];
	key->origin = "the key given";
	if (parse_key(option, key)) {
		return 0;
	}
	ssize_t length = fd_read_file(option, text, sizeof(text));
	if (length < 0) {
		return error_set(error, (int)length,
			"--realmfs-key %s: neither a key (64 hexadecimal digits) nor a file with one: %s",
			option, strerror((int)-length));
	}
	return parse_key(text, key)
		       ? 0
		       : error_set(error, -EINVAL,
				 "--realmfs-key %s: the file holds no key (64 hexadecimal digits)", option);
}

/* citadel.channel=NAME:KEY among the kernel's words; its parser takes '_' for '-'. */
static bool kernel_key(const char *channel, struct key *key) {
	char text[8192], *rest = NULL;
	char *path = citadel_path("/proc/cmdline");
	ssize_t length = path != NULL ? fd_read_file(path, text, sizeof(text)) : -1;
	free(path);
	for (char *word = length > 0 ? strtok_r(text, " \n", &rest) : NULL; word != NULL;
		word = strtok_r(NULL, " \n", &rest)) {
		static const char name[] = "citadel.channel=";
		size_t size = strlen(channel);
		const char *value = word + sizeof(name) - 1;
		if (strncmp(word, name, sizeof(name) - 1) == 0 && strncmp(value, channel, size) == 0 &&
			value[size] == ':' && parse_key(value + size + 1, key)) {
			key->origin = "the key of citadel.channel";
			return true;
		}
	}
	return false;
}

static bool system_key(const char *channel, struct key *key) {
	char name[HEADER_CHANNEL_SIZE], text[256];
	key->origin = "the key of os-release";
	return citadel_os_release("CITADEL_CHANNEL", name, sizeof(name)) == 0 && strcmp(name, channel) == 0 &&
	       citadel_os_release("CITADEL_IMAGE_PUBKEY", text, sizeof(text)) == 0 && parse_key(text, key);
}

/* The key pair's seed, which only root may read. */
static bool keyring_key(const char *channel, struct key *key) {
	uint8_t seed[crypto_sign_SEEDBYTES], secret[crypto_sign_SECRETKEYBYTES];
	if (strcmp(channel, "realmfs-user") != 0 || geteuid() != 0) {
		return false;
	}
	long serial = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "realmfs-user", 0);
	bool found = serial >= 0 &&
		     syscall(SYS_keyctl, KEYCTL_READ, serial, seed, sizeof(seed), 0) == (long)sizeof(seed) &&
		     crypto_sign_seed_keypair(key->bytes, secret, seed) == 0;
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(secret, sizeof(secret));
	key->origin = "the key of root's keyring";
	return found;
}

static bool channel_key(const char *channel, struct key *key) {
	return strcmp(channel, "dev") != 0 &&
	       (kernel_key(channel, key) || system_key(channel, key) || keyring_key(channel, key));
}

static bool is_good(const struct header *header, const struct key *key) {
	return crypto_sign_verify_detached(
		       header->signature, header->metainfo, header->metainfo_size, key->bytes) == 0;
}

static int check_with_key(
	const struct header *header, const struct key *key, char said[256], struct error *error) {
	if (!header->is_signed) {
		return error_set(error, -EBADMSG,
			"the image is not signed, and there is a key to check it: %s", key->origin);
	}
	if (!is_good(header, key)) {
		return error_set(error, -EBADMSG,
			"the signature is wrong: by %s, nobody who may has sealed this image", key->origin);
	}
	snprintf(said, 256, "the signature is good, by %s", key->origin);
	return 0;
}

int signature_check(
	const struct header *header, const char *option, bool required, char said[256], struct error *error) {
	struct key key = {0};
	if (sodium_init() < 0) {
		return error_set(error, -EIO, "cannot check signatures: libsodium does not start");
	}
	int ret = option != NULL ? given_key(option, &key, error) : 0;
	if (ret < 0) {
		return ret;
	}
	if (option != NULL || (header->is_signed && channel_key(header->channel, &key))) {
		return check_with_key(header, &key, said, error);
	}
	if (!header->is_signed) {
		snprintf(said, 256, "the image is not signed");
	} else if (strcmp(header->channel, "dev") == 0) {
		snprintf(said, 256, "the signature is of channel dev, whose secret key everybody has");
	} else {
		snprintf(said, 256, "the signature was not checked: no key of channel '%s' is to be had",
			header->channel);
	}
	return required ? error_set(
				  error, -EBADMSG, "--require-signature: %s; --realmfs-key gives a key", said)
			: 0;
}
