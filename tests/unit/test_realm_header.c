/* Headers of sealed images: a right one, each field wrong, cut short, and signed. */
#include "plan/realm/header.h"
#include "plan/realm/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define BLOCKS 300
/* A tree over 300 blocks: three of hashes, and one over them; one in front that describes it. */
#define FILE_SIZE ((1ull + BLOCKS + 1 + 3 + 1) * 4096)

static const char good[] = "image-type = \"realmfs\"\nrealmfs-name = \"main\"\nnblocks = 300\n"
			   "channel = \"realmfs-user\"\nverity-salt = \"0a0b\"\nverity-root = \"" ROOT "\"\n";

static void fill(struct header *header, const char *text) {
	size_t length = strlen(text);
	*header = (struct header){0};
	memcpy(header->bytes, "SGOS\0\2", 6);
	header->bytes[6] = (uint8_t)(length >> 8);
	header->bytes[7] = (uint8_t)length;
	memcpy(header->bytes + 8, text, length);
}

static void assert_bad(struct header *header, uint64_t size, const char *message) {
	struct error error = {0};
	assert_int_equal(header_parse(header, size, &error), -EINVAL);
	if (strstr(error.message, message) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", message, error.message);
	}
	assert_null(strchr(error.message, '\n'));
}

static void assert_bad_text(const char *text, const char *message) {
	struct header header;
	fill(&header, text);
	assert_bad(&header, FILE_SIZE, message);
}

static void a_right_header(void **state) {
	(void)state;
	struct header header;
	struct error error = {0};
	fill(&header, good);
	assert_int_equal(header_parse(&header, FILE_SIZE, &error), 0);
	assert_string_equal(header.name, "main");
	assert_string_equal(header.channel, "realmfs-user");
	assert_true(header.blocks == BLOCKS && header.has_root && !header.is_signed);
	assert_int_equal(header.salt_size, 2);
	assert_true(header.salt[0] == 0x0a && header.root[1] == 0x11 && header.root[31] == 0xff);
	assert_true(header_tree_offset(&header) == (1 + BLOCKS) * 4096);
}

static void each_byte_in_front_is_checked(void **state) {
	(void)state;
	static const struct {
		unsigned at;
		uint8_t value;
		const char *message;
	} wrong[] = {
		{0, 'X', "SGOS"},
		{3, 0, "SGOS"},
		{4, 3, "status"},
		{5, 0, "hash tree is missing"},
		{5, 0x06, "citadel-image decompress"},
		{5, 0x12, "unknown flags"},
		{6, 0xff, "impossible length"},
		{4095, 1, "behind its signature"},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct header header;
		fill(&header, good);
		header.bytes[wrong[i].at] = wrong[i].value;
		assert_bad(&header, FILE_SIZE, wrong[i].message);
	}
	struct header header;
	fill(&header, "");
	assert_bad(&header, FILE_SIZE, "impossible length (0)");
	fill(&header, good);
	header.bytes[6] = 4024 >> 8;
	header.bytes[7] = 4024 & 0xff;
	assert_bad(&header, FILE_SIZE, "impossible length (4024)");
}

static void each_key_is_checked(void **state) {
	(void)state;
	assert_bad_text("image-type = \"kernel\"\n", "not a realmfs");
	assert_bad_text("realmfs-name = \"main\"\n", "not a realmfs");
	assert_bad_text("image-type = \"realmfs\"\n", "lacks the realmfs-name");
	assert_bad_text("image-type = \"realmfs\"\nrealmfs-name = \"m\"\n", "nblocks");
	assert_bad_text("image-type = \"realmfs\"\nrealmfs-name = \"m\"\nnblocks = 9\n", "never sealed");
	assert_bad_text("image-type = \"realmfs\"\nrealmfs-name = \"m\"\nnblocks = 9\nverity-root = \"\"\n",
		"never sealed");
	assert_bad_text("image-type = 1\n", "line 1: image-type");
	assert_bad_text("realmfs-name = \"../x\"\n", "realmfs-name is not a name");
	assert_bad_text("realmfs-name = \"a23456789012345678901234567890123456789012\"\n", "realmfs-name");
	assert_bad_text("nblocks = 0\n", "nblocks must be");
	assert_bad_text("nblocks = -1\n", "nblocks must be");
	assert_bad_text("nblocks = \"300\"\n", "nblocks must be");
	assert_bad_text("nblocks = 4294967296\n", "nblocks must be");
	assert_bad_text("nblocks = 1\nnblocks = 1\n", "line 2: nblocks is there twice");
	assert_bad_text("verity-root = \"00\"\n", "verity-root must be a SHA-256");
	assert_bad_text("verity-root = \"0\"\n", "verity-root must be bytes");
	assert_bad_text("verity-salt = \"xx\"\n", "verity-salt must be bytes");
	assert_bad_text("verity-salt = 12\n", "verity-salt must be bytes");
	assert_bad_text("channel = \"\xff\"\n", "line 1: a string is not UTF-8");
	assert_bad_text("channel\n", "needs =");
}

static void a_short_file(void **state) {
	(void)state;
	struct header header;
	fill(&header, good);
	assert_bad(&header, BLOCKS * 4096, "truncated");
	assert_bad(&header, 4096, "truncated");
}

static void fill_tree(uint8_t block[4096]) {
	memset(block, 0, 4096);
	memcpy(block, "verity\0\0\1\0\0\0\1\0\0\0", 16);
	memcpy(block + 32, "sha256", 6);
	block[65] = block[69] = 16; /* 4096 */
	block[72] = BLOCKS & 0xff;
	block[73] = BLOCKS >> 8;
	block[80] = 2;
	block[88] = 0x0a;
	block[89] = 0x0b;
}

static void the_tree(void **state) {
	(void)state;
	static const unsigned fields[] = {0, 7, 8, 12, 32, 37, 65, 69, 72, 80, 88};
	struct header header;
	struct error error = {0};
	uint8_t block[4096];
	fill(&header, good);
	fill_tree(block);
	assert_int_equal(header_parse(&header, FILE_SIZE, &error), 0);
	assert_int_equal(header_check_tree(&header, block, FILE_SIZE, &error), 0);
	assert_int_equal(header_check_tree(&header, block, FILE_SIZE - 4096, &error), -EINVAL);
	assert_non_null(strstr(error.message, "truncated"));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		error = (struct error){0};
		block[fields[i]] ^= 1;
		assert_int_equal(header_check_tree(&header, block, FILE_SIZE, &error), -EINVAL);
		assert_non_null(strstr(error.message, "hash tree"));
		block[fields[i]] ^= 1;
	}
}

/* ---- signatures ---- */

static char public_key[crypto_sign_PUBLICKEYBYTES * 2 + 1];

static void sign(struct header *header, const char *text) {
	unsigned char public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	const unsigned char seed[crypto_sign_SEEDBYTES] = {7};
	struct error error = {0};
	assert_true(sodium_init() >= 0);
	crypto_sign_seed_keypair(public, secret, seed);
	sodium_bin2hex(public_key, sizeof(public_key), public, sizeof(public));
	fill(header, text);
	size_t length = strlen(text);
	crypto_sign_detached(header->bytes + 8 + length, NULL, (const unsigned char *)text, length, secret);
	assert_int_equal(header_parse(header, FILE_SIZE, &error), 0);
	assert_true(header->is_signed);
}

static int check(const struct header *header, const char *key, bool required, const char *message) {
	char said[256] = "";
	struct error error = {0};
	int ret = signature_check(header, key, required, said, &error);
	const char *text = ret < 0 ? error.message : said;
	if (strstr(text, message) == NULL) {
		fail_msg("\"%s\" is not in \"%s\"", message, text);
	}
	return ret;
}

static void signatures(void **state) {
	(void)state;
	struct header header;
	char wrong_key[sizeof(public_key)];
	sign(&header, good);
	assert_int_equal(check(&header, public_key, true, "the signature is good, by the key given"), 0);
	memcpy(wrong_key, public_key, sizeof(wrong_key));
	wrong_key[0] = wrong_key[0] == '0' ? '1' : '0';
	assert_int_equal(check(&header, wrong_key, false, "the signature is wrong"), -EBADMSG);
	assert_int_equal(check(&header, "no such file", false, "neither a key"), -ENOENT);
	assert_int_equal(check(&header, "/dev/null", false, "holds no key"), -EINVAL);
	for (unsigned at = 8; at < 8 + sizeof(good) - 1 + 64; at += 7) {
		header.bytes[at] ^= 4;
		assert_int_equal(check(&header, public_key, false, "the signature is wrong"), -EBADMSG);
		header.bytes[at] ^= 4;
	}
	fill(&header, good);
	struct error error = {0};
	assert_int_equal(header_parse(&header, FILE_SIZE, &error), 0);
	assert_int_equal(check(&header, public_key, false, "not signed"), -EBADMSG);
	assert_int_equal(check(&header, NULL, false, "the image is not signed"), 0);
	assert_int_equal(check(&header, NULL, true, "--require-signature"), -EBADMSG);
}

static void write_file(const char *top, const char *name, const char *text) {
	char path[256];
	snprintf(path, sizeof(path), "%s%s", top, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void keys_of_channels(void **state) {
	(void)state;
	char top[] = "/tmp/ph-keys-XXXXXX", text[256], command[64];
	struct header header;
	static const char of_base[] =
		"image-type = \"realmfs\"\nrealmfs-name = \"main\"\nnblocks = 300\nchannel = \"base\"\n"
		"verity-root = \"" ROOT "\"\n";
	assert_non_null(mkdtemp(top));
	snprintf(command, sizeof(command), "mkdir %s/etc %s/proc", top, top);
	assert_int_equal(system(command), 0);
	setenv("PH_CITADEL", top, 1);
	sign(&header, of_base);
	assert_int_equal(check(&header, NULL, true, "no key of channel 'base'"), -EBADMSG);
	assert_int_equal(check(&header, NULL, false, "no key of channel 'base'"), 0);
	snprintf(text, sizeof(text), "NAME=x\nCITADEL_CHANNEL=\"base\"\nCITADEL_IMAGE_PUBKEY=\"%s\"\n",
		public_key);
	write_file(top, "/etc/os-release", text);
	assert_int_equal(check(&header, NULL, true, "good, by the key of os-release"), 0);
	write_file(top, "/proc/cmdline",
		"quiet "
		"citadel.channel=base:0000000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(check(&header, NULL, false, "the signature is wrong"), -EBADMSG);
	snprintf(text, sizeof(text), "a citadel.channel=base:%s b\n", public_key);
	write_file(top, "/proc/cmdline", text);
	assert_int_equal(check(&header, NULL, true, "good, by the key of citadel.channel"), 0);
	unsetenv("PH_CITADEL");
	snprintf(command, sizeof(command), "rm -r %s", top);
	assert_int_equal(system(command), 0);
}

static void everybodys_key(void **state) {
	(void)state;
	struct header header;
	sign(&header, "image-type = \"realmfs\"\nrealmfs-name = \"main\"\nnblocks = 300\nchannel = "
		      "\"dev\"\nverity-root = \"" ROOT "\"\n");
	assert_int_equal(check(&header, NULL, false, "whose secret key everybody has"), 0);
	assert_int_equal(check(&header, NULL, true, "whose secret key everybody has"), -EBADMSG);
}

/* The key of this machine's own images, which is root's: only where there is none, and it is taken away
 * again. */
static void key_of_the_keyring(void **state) {
	(void)state;
	const unsigned char seed[crypto_sign_SEEDBYTES] = {7};
	struct header header;
	sign(&header, good);
	bool free = geteuid() == 0 &&
		    syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "realmfs-user", 0) < 0;
	long key =
		free ? syscall(SYS_add_key, "user", "realmfs-user", seed, sizeof(seed), KEY_SPEC_USER_KEYRING)
		     : -1;
	if (key < 0) {
		skip();
	}
	int ret = check(&header, NULL, true, "good, by the key of root's keyring");
	header.bytes[9] ^= 1;
	int changed = check(&header, NULL, false, "the signature is wrong");
	syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
	assert_int_equal(ret, 0);
	assert_int_equal(changed, -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_header),
		cmocka_unit_test(each_byte_in_front_is_checked),
		cmocka_unit_test(each_key_is_checked),
		cmocka_unit_test(a_short_file),
		cmocka_unit_test(the_tree),
		cmocka_unit_test(signatures),
		cmocka_unit_test(keys_of_channels),
		cmocka_unit_test(everybodys_key),
		cmocka_unit_test(key_of_the_keyring),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
