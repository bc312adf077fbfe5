/*
 * Which modules, in which order: modules.dep, as depmod(8) writes it, says on each line a module and what it
 * needs, to be loaded from right to left. Main thread, before the guest starts. The version is the image's
 * and checked to be a plain name; the files are this host's own, and what they do they do in the guest.
 */
#include "monitor/modules.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64L << 20)
#define LOADED_MAX 64

static const char *const wanted[] = {"virtio_pci", "virtio_console", "virtio_blk", "virtio_rng",
	"virtio_balloon", "9pnet_virtio", "9p", "crc32c_generic", "ext4", "overlay"};

struct modules {
	struct initramfs *initramfs;
	int folder;
	char *table; /* modules.dep, its lines and words ended by NUL as they are used */
	const char *loaded[LOADED_MAX];
	unsigned count;
};

/* A whole file beneath folder, with a NUL behind it; NULL when it cannot be read. */
static char *read_file(int folder, const char *path, size_t *size) {
	struct stat st;
	char *data = NULL;
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return NULL;
	}
	if (fstat(fd, &st) == 0 && st.st_size <= FILE_MAX) {
		data = calloc(1, (size_t)st.st_size + 1);
	}
	if (data != NULL && fd_read_all(fd, data, (size_t)st.st_size) < 0) {
		free(data);
		data = NULL;
	}
	*size = data != NULL ? (size_t)st.st_size : 0;
	fd_close(&fd);
	return data;
}

static void add_file(struct modules *modules, const char *path) {
	for (unsigned i = 0; i < modules->count; i++) {
		if (strcmp(modules->loaded[i], path) == 0) {
			return;
		}
	}
	size_t size;
	char *data = modules->count < LOADED_MAX ? read_file(modules->folder, path, &size) : NULL;
	if (data == NULL) {
		log_verbose("%s: cannot read it; the guest goes without", path);
		return;
	}
	char name[32];
	snprintf(name, sizeof(name), "modules/%u", modules->count);
	initramfs_add_file(modules->initramfs, name, 0600, data, size);
	modules->loaded[modules->count++] = path;
	free(data);
}

/* Whether path is the file of module name: the same but for '-' and '_', with a suffix. */
static bool is_module(const char *path, const char *name) {
	const char *slash = strrchr(path, '/');
	const char *file = slash != NULL ? slash + 1 : path;
	for (; *name != '\0'; file++, name++) {
		if (*file != *name && !(*file == '-' && *name == '_')) {
			return false;
		}
	}
	return *file == '.';
}

/* needs: the words behind the colon. */
static void add_with_needs(struct modules *modules, const char *path, char *needs) {
	for (char *space = strrchr(needs, ' '); space != NULL; space = strrchr(needs, ' ')) {
		*space = '\0';
		if (space[1] != '\0') {
			add_file(modules, space + 1);
		}
	}
	if (needs[0] != '\0') {
		add_file(modules, needs);
	}
	add_file(modules, path);
}

static void add_module(struct modules *modules, char **lines, const char *name) {
	for (; *lines != NULL; lines++) {
		char *colon = *lines + strlen(*lines) + 1;
		if (is_module(*lines, name)) {
			add_with_needs(modules, *lines, colon);
			return;
		}
	}
}

/* Cut the table into lines, and each line behind its path. NULL when memory is out. */
static char **split_lines(char *table) {
	size_t count = 1;
	for (const char *c = table; *c != '\0'; c++) {
		count += *c == '\n';
	}
	char **lines = calloc(count + 1, sizeof(*lines)), *rest = NULL;
	size_t used = 0;
	for (char *line = strtok_r(table, "\n", &rest); line != NULL && lines != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strchr(line, ':');
		if (colon != NULL) {
			*colon = '\0';
			lines[used++] = line;
		}
	}
	return lines;
}

void modules_add(struct initramfs *initramfs, const char *folder, const char *version) {
	char path[128];
	size_t size;
	snprintf(path, sizeof(path), "%s/%s", folder, version);
	struct modules modules = {.initramfs = initramfs, .folder = -1};
	if (version[0] != '\0') {
		modules.folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (modules.folder < 0) {
		return;
	}
	modules.table = read_file(modules.folder, "modules.dep", &size);
	char **lines = modules.table != NULL ? split_lines(modules.table) : NULL;
	if (lines != NULL) {
		initramfs_add_directory(initramfs, "modules");
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
			add_module(&modules, lines, wanted[i]);
		}
	}
	free(lines);
	free(modules.table);
	fd_close(&modules.folder);
}
