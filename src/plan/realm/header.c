/*
 * The realmfs header. ph's first thread. All of it is hostile: lengths are compared before they are used, the
 * text is parsed within its bounds, and whatever the format does not know is refused, so that a damaged
 * header is not taken for another one.
 */
#include "plan/realm/header.h"

#include "plan/realm/toml.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The layout. */
#define STATUS_AT 4
#define FLAGS_AT 5
#define LENGTH_AT 6
#define METAINFO_AT 8
#define METAINFO_MAX (HEADER_SIZE - METAINFO_AT - HEADER_SIGNATURE_SIZE)

#define FLAG_PREFER_BOOT 0x01
#define FLAG_HASH_TREE 0x02
#define FLAG_COMPRESSED 0x04

static const uint8_t magic[4] = {'S', 'G', 'O', 'S'};

/* dm-verity's own description of the tree, little endian. */
struct verity_superblock {
	uint8_t signature[8];
	uint32_t version, hash_type;
	uint8_t uuid[16];
	char algorithm[32];
	uint32_t data_block_size, hash_block_size;
	uint64_t data_blocks;
	uint16_t salt_size;
	uint8_t unused1[6];
	uint8_t salt[HEADER_SALT_MAX];
	uint8_t unused2[168];
};
_Static_assert(sizeof(struct verity_superblock) == 512, "as in the kernel's documentation");

#define HASHES_PER_BLOCK (HEADER_BLOCK / HEADER_HASH_SIZE)

bool header_is_name(const char *name, size_t max) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t length = strlen(name);
	return length > 0 && length <= max && strspn(name, all) == length && strchr(letters, name[0]) != NULL;
}

/* ---- the text ---- */

struct reading {
	struct header *header;
	bool is_realmfs, has_type, has_blocks, has_name, has_channel, has_root, has_salt;
};

static int copy_text(char *out, size_t size, const struct toml_value *value, struct toml_error *error) {
	if (value->type != TOML_STRING || strlen(value->string) >= size) {
		toml_fail(error, value->line, "must be a text of a bounded length");
		return -EINVAL;
	}
	snprintf(out, size, "%s", value->string);
	return 0;
}

static int hex_digit(char c) {
	static const char digits[] = "0123456789abcdef";
	const char *digit = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return digit == NULL ? -1 : (int)(digit - digits);
}

/* Bytes in hexadecimal, at most max of them. */
static int copy_bytes(
	uint8_t *out, size_t max, size_t *size, const struct toml_value *value, struct toml_error *error) {
	size_t length = value->type == TOML_STRING ? strlen(value->string) : 1;
	if (length % 2 != 0 || length / 2 > max) {
		toml_fail(error, value->line, "must be bytes in hexadecimal");
		return -EINVAL;
	}
	for (size_t i = 0; i < length; i += 2) {
		int high = hex_digit(value->string[i]), low = hex_digit(value->string[i + 1]);
		if (high < 0 || low < 0) {
			toml_fail(error, value->line, "must be bytes in hexadecimal");
			return -EINVAL;
		}
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	*size = length / 2;
	return 0;
}

static int read_type(struct reading *reading, struct toml_value *value, struct toml_error *error) {
	char type[32];
	int ret = copy_text(type, sizeof(type), value, error);
	reading->is_realmfs = ret == 0 && strcmp(type, "realmfs") == 0;
	return ret;
}

static int read_name(struct reading *reading, struct toml_value *value, struct toml_error *error) {
	int ret = copy_text(reading->header->name, HEADER_NAME_SIZE, value, error);
	if (ret == 0 && !header_is_name(reading->header->name, HEADER_NAME_SIZE - 1)) {
		toml_fail(error, value->line, "is not a name of letters, digits and '-'");
		return -EINVAL;
	}
	return ret;
}

static int read_blocks(struct reading *reading, struct toml_value *value, struct toml_error *error) {
	if (value->type != TOML_INTEGER || value->integer <= 0 || value->integer > UINT32_MAX) {
		toml_fail(error, value->line, "must be a number of blocks");
		return -EINVAL;
	}
	reading->header->blocks = (uint64_t)value->integer;
	return 0;
}

/* An empty text is what images have that were never sealed. */
static int read_root(struct reading *reading, struct toml_value *value, struct toml_error *error) {
	size_t size = 0;
	int ret = copy_bytes(reading->header->root, HEADER_HASH_SIZE, &size, value, error);
	if (ret == 0 && size != 0 && size != HEADER_HASH_SIZE) {
		toml_fail(error, value->line, "must be a SHA-256 hash");
		return -EINVAL;
	}
	reading->header->has_root = ret == 0 && size != 0;
	return ret;
}

static int read_metainfo(void *owner, const char *key, struct toml_value *value, struct toml_error *error) {
	struct reading *reading = owner;
	struct header *header = reading->header;
	bool *seen = strcmp(key, "image-type") == 0     ? &reading->has_type
		     : strcmp(key, "realmfs-name") == 0 ? &reading->has_name
		     : strcmp(key, "nblocks") == 0      ? &reading->has_blocks
		     : strcmp(key, "channel") == 0      ? &reading->has_channel
		     : strcmp(key, "verity-root") == 0  ? &reading->has_root
		     : strcmp(key, "verity-salt") == 0  ? &reading->has_salt
							: NULL;
	int ret = 0;
	if (seen != NULL && *seen) {
		toml_fail(error, value->line, "is there twice");
		ret = -EINVAL;
	} else if (seen == &reading->has_type) {
		ret = read_type(reading, value, error);
	} else if (seen == &reading->has_name) {
		ret = read_name(reading, value, error);
	} else if (seen == &reading->has_blocks) {
		ret = read_blocks(reading, value, error);
	} else if (seen == &reading->has_channel) {
		ret = copy_text(header->channel, HEADER_CHANNEL_SIZE, value, error);
	} else if (seen == &reading->has_root) {
		ret = read_root(reading, value, error);
	} else if (seen == &reading->has_salt) {
		ret = copy_bytes(header->salt, HEADER_SALT_MAX, &header->salt_size, value, error);
	}
	if (seen != NULL) {
		*seen = true;
	}
	if (ret < 0) {
		char cause[sizeof(error->cause)];
		snprintf(cause, sizeof(cause), "%s %.60s", key, error->cause);
		toml_fail(error, value->line, cause);
	}
	return ret;
}

static int parse_metainfo(struct header *header, struct error *error) {
	struct reading reading = {.header = header};
	struct toml_error cause;
	int ret = toml_parse(
		(const char *)header->metainfo, header->metainfo_size, read_metainfo, &reading, &cause);
	if (ret < 0) {
		return error_set(error, ret, "the header's text, line %u: %s", cause.line, cause.cause);
	}
	if (!reading.is_realmfs) {
		return error_set(error, -EINVAL,
			"the header says that this is not a realmfs (image-type): it cannot be a root");
	}
	if (!reading.has_name || !reading.has_blocks) {
		return error_set(error, -EINVAL, "the header lacks %s",
			!reading.has_name ? "the realmfs-name" : "the number of blocks (nblocks)");
	}
	return 0;
}

/* ---- the header ---- */

static bool is_zero(const uint8_t *bytes, size_t size) {
	while (size > 0 && *bytes == 0) {
		bytes++;
		size--;
	}
	return size == 0;
}

static int check_flags(unsigned flags, struct error *error) {
	if ((flags & FLAG_COMPRESSED) != 0) {
		return error_set(error, -EINVAL,
			"the image is compressed; citadel-image decompress FILE makes one that can be "
			"booted");
	}
	if ((flags & ~(unsigned)(FLAG_PREFER_BOOT | FLAG_HASH_TREE)) != 0) {
		return error_set(error, -EINVAL, "the header has unknown flags (0x%02x)", flags);
	}
	return 0;
}

/* Blocks of the tree over so many blocks: each level has the hashes of the one below, up to a single block.
 */
static uint64_t tree_blocks(uint64_t blocks) {
	uint64_t total = 0;
	while (blocks > 1) {
		blocks = (blocks + HASHES_PER_BLOCK - 1) / HASHES_PER_BLOCK;
		total += blocks;
	}
	return total;
}

uint64_t header_tree_offset(const struct header *header) {
	return HEADER_SIZE + header->blocks * HEADER_BLOCK;
}

static int check_size(const struct header *header, uint64_t file_size, struct error *error) {
	if (file_size < header_tree_offset(header)) {
		return error_set(error, -EINVAL,
			"the image is truncated: the header speaks of %llu blocks, the file has %llu",
			(unsigned long long)header->blocks,
			(unsigned long long)(file_size / HEADER_BLOCK - 1));
	}
	return 0;
}

static int check_tree_flag(const struct header *header, struct error *error) {
	if (!header->has_root) {
		return error_set(error, -EINVAL,
			"the image was never sealed (no verity-root in its header), so nothing can tell "
			"whether it "
			"is whole; citadel-realmfs update seals it");
	}
	if ((header->bytes[FLAGS_AT] & FLAG_HASH_TREE) == 0) {
		return error_set(error, -EINVAL,
			"the hash tree is missing; citadel-image generate-verity FILE appends it");
	}
	return 0;
}

int header_parse(struct header *header, uint64_t file_size, struct error *error) {
	const uint8_t *bytes = header->bytes;
	if (memcmp(bytes, magic, sizeof(magic)) != 0) {
		return error_set(error, -EINVAL, "not a realmfs image: the header does not begin with SGOS");
	}
	if (bytes[STATUS_AT] != 0) {
		return error_set(error, -EINVAL, "the header's status is %u and must be 0", bytes[STATUS_AT]);
	}
	int ret = check_flags(bytes[FLAGS_AT], error);
	if (ret < 0) {
		return ret;
	}
	size_t size = (size_t)bytes[LENGTH_AT] << 8 | bytes[LENGTH_AT + 1];
	if (size == 0 || size >= METAINFO_MAX) {
		return error_set(error, -EINVAL, "the header's text has an impossible length (%zu)", size);
	}
	header->metainfo = bytes + METAINFO_AT;
	header->metainfo_size = size;
	header->signature = header->metainfo + size;
	header->is_signed = !is_zero(header->signature, HEADER_SIGNATURE_SIZE);
	const uint8_t *rest = header->signature + HEADER_SIGNATURE_SIZE;
	if (!is_zero(rest, (size_t)(bytes + HEADER_SIZE - rest))) {
		return error_set(
			error, -EINVAL, "the header is damaged: there is something behind its signature");
	}
	ret = parse_metainfo(header, error);
	if (ret == 0) {
		ret = check_size(header, file_size, error);
	}
	return ret < 0 ? ret : check_tree_flag(header, error);
}

int header_check_tree(const struct header *header, const uint8_t block[HEADER_BLOCK], uint64_t file_size,
	struct error *error) {
	struct verity_superblock super;
	memcpy(&super, block, sizeof(super));
	bool known = memcmp(super.signature, "verity\0\0", 8) == 0 && le32toh(super.version) == 1 &&
		     le32toh(super.hash_type) == 1 && strncmp(super.algorithm, "sha256", 32) == 0 &&
		     le32toh(super.data_block_size) == HEADER_BLOCK &&
		     le32toh(super.hash_block_size) == HEADER_BLOCK;
	if (!known) {
		return error_set(error, -EINVAL,
			"the hash tree is missing or damaged: it does not begin as veritysetup writes it");
	}
	if (le64toh(super.data_blocks) != header->blocks || le16toh(super.salt_size) != header->salt_size ||
		memcmp(super.salt, header->salt, header->salt_size) != 0) {
		return error_set(error, -EINVAL, "the hash tree is that of another image, or damaged");
	}
	uint64_t end = header_tree_offset(header) + (1 + tree_blocks(header->blocks)) * HEADER_BLOCK;
	if (file_size < end) {
		return error_set(error, -EINVAL,
			"the image is truncated: its hash tree ends at byte %llu, the file at %llu",
			(unsigned long long)end, (unsigned long long)file_size);
	}
	return 0;
}
