/* The folders and images that ph looks at on a Citadel, made of nothing. */
#include "realm_citadel.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK CITADEL_BLOCK

static void put(FILE *file, const void *bytes, size_t size) {
	static const char zeros[BLOCK];
	fwrite(bytes, 1, size, file);
	fwrite(zeros, 1, BLOCK - size, file);
}

/* What veritysetup writes in front of the hashes. */
static void put_tree(FILE *file) {
	char block[BLOCK] = "verity\0\0";
	const uint32_t kinds[2] = {1, 1}, sizes[2] = {BLOCK, BLOCK};
	const uint64_t blocks = CITADEL_BLOCKS;
	memcpy(block + 8, kinds, sizeof(kinds));
	memcpy(block + 32, "sha256", 6);
	memcpy(block + 64, sizes, sizeof(sizes));
	memcpy(block + 72, &blocks, sizeof(blocks));
	put(file, block, BLOCK);
	put(file, "", 0);
}

void citadel_make_image(const char *path, char letter) {
	char root[65] = "", body[BLOCK], text[1024], header[BLOCK] = "SGOS\0\2";
	FILE *file = fopen(path, "w");
	if (file == NULL) {
		return;
	}
	memset(root, letter, 64);
	memset(body, letter, sizeof(body));
	int length = snprintf(text, sizeof(text),
		"image-type = \"realmfs\"\nrealmfs-name = \"main\"\nnblocks = %d\nverity-root = \"%s\"\n",
		CITADEL_BLOCKS, root);
	header[6] = (char)(length >> 8);
	header[7] = (char)length;
	memcpy(header + 8, text, (size_t)length);
	put(file, header, BLOCK);
	for (int i = 0; i < CITADEL_BLOCKS; i++) {
		put(file, body, BLOCK);
	}
	put_tree(file);
	fclose(file);
}

void citadel_write(const struct citadel *citadel, const char *name, const char *text) {
	char path[128];
	snprintf(path, sizeof(path), "%s/realms/%s", citadel->top, name);
	FILE *file = fopen(path, "w");
	if (file != NULL) {
		fputs(text, file);
		fclose(file);
	}
}

int citadel_make(struct citadel *citadel) {
	char command[256], image[128];
	strcpy(citadel->top, "/tmp/ph-citadel-XXXXXX");
	if (mkdtemp(citadel->top) == NULL) {
		return -1;
	}
	snprintf(citadel->images, sizeof(citadel->images), "%s/realms/realmfs-images", citadel->top);
	snprintf(command, sizeof(command),
		"cd %s && mkdir -p realms/realmfs-images realms/realm-main/home realms/realm-other/home",
		citadel->top);
	if (system(command) != 0) {
		return -1;
	}
	snprintf(command, sizeof(command), "chown 1000:1000 %s/realms/realm-*/home", citadel->top);
	if (geteuid() == 0 && system(command) != 0) {
		return -1;
	}
	snprintf(image, sizeof(image), "%s/main-realmfs.img", citadel->images);
	citadel_make_image(image, 'a');
	citadel_write(citadel, "config", "realmfs = 'main'\n");
	return setenv("PH_CITADEL", citadel->top, 1);
}

void citadel_remove(struct citadel *citadel) {
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", citadel->top);
	if (system(command) != 0) {
		fprintf(stderr, "cannot remove %s\n", citadel->top);
	}
	unsetenv("PH_CITADEL");
}
