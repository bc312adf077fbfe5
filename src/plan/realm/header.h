/*
 * The first 4096 bytes of a realmfs image: magic, flags, a TOML text about the image, and a signature over
 * that text. The image itself follows, and behind it the tree of hashes by which dm-verity checks each block
 * of it against the root hash in the text.
 */
#ifndef PLAN_REALM_HEADER_H
#define PLAN_REALM_HEADER_H

#include "ph/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_SIZE 4096
#define HEADER_BLOCK 4096
#define HEADER_NAME_SIZE 41 /* of a realmfs, with its NUL */
#define HEADER_CHANNEL_SIZE 65
#define HEADER_SIGNATURE_SIZE 64
#define HEADER_HASH_SIZE 32
#define HEADER_SALT_MAX 256

struct header {
	uint8_t bytes[HEADER_SIZE];
	const uint8_t *metainfo, *signature; /* in bytes */
	size_t metainfo_size;
	bool is_signed;
	char name[HEADER_NAME_SIZE];
	char channel[HEADER_CHANNEL_SIZE]; /* whose key signed it; may be empty */
	uint64_t blocks;                   /* of the image, without the header */
	bool has_root;
	uint8_t root[HEADER_HASH_SIZE];
	uint8_t salt[HEADER_SALT_MAX];
	size_t salt_size;
};

/* Look at header->bytes, the beginning of a file of so many bytes. 0, or -EINVAL with *error saying what is
 * wrong with it (and not which file it is). */
int header_parse(struct header *header, uint64_t file_size, struct error *error);

/* Check the block that describes the tree (the first one behind the image) against the header. 0 or -EINVAL,
 * likewise. */
int header_check_tree(const struct header *header, const uint8_t block[HEADER_BLOCK], uint64_t file_size,
	struct error *error);

/* Where the tree's description begins in the file. */
uint64_t header_tree_offset(const struct header *header);

/* Letters, digits and '-', a letter first, at most max of them: what realms and realmfs images are called. */
bool header_is_name(const char *name, size_t max);

#endif
