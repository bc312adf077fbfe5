/*
 * What the caller's control groups leave to it: a container or a unit of systemd may have much less than the
 * host. ph's first thread; the input is the host's kernel. Version 2 alone, which has one tree.
 */
#include "plan/parts.h"

#include "ph/fd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE "/sys/fs/cgroup"
#define OWN_GROUP "/proc/self/cgroup"
#define GROUPS_MAX 16384

static uint64_t smaller(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

/* The text of a group's file; false: it has none, as the topmost one. */
static bool read_setting(const char *group, const char *name, char *text, size_t size) {
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), TREE "%s/%s", group, name);
	return length < (int)sizeof(path) && fd_read_file(path, text, size) >= 0;
}

/* In place of a number there may be "max". */
static void read_group(const char *group, struct plan_limits *limits) {
	static const char *const sizes[] = {"memory.max", "memory.high"};
	unsigned long long value, period;
	char text[64];
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (read_setting(group, sizes[i], text, sizeof(text)) && sscanf(text, "%llu", &value) == 1) {
			limits->memory = smaller(limits->memory, value);
		}
	}
	if (read_setting(group, "cpu.max", text, sizeof(text)) &&
		sscanf(text, "%llu %llu", &value, &period) == 2 && period > 0) {
		limits->cpus = smaller(limits->cpus, value / period + (value % period != 0));
	}
}

/* Where this process is in the tree; cut off of the text. A group that lies beside a container's own begins
 * with "/..", and cannot be looked at. */
static char *find_own_group(char *text) {
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "0::/", 4) == 0 && strncmp(line, "0::/..", 6) != 0) {
			return line + 3;
		}
	}
	return NULL;
}

void plan_read_limits(struct plan_limits *limits) {
	char text[GROUPS_MAX];
	*limits = (struct plan_limits){.memory = UINT64_MAX, .cpus = UINT64_MAX};
	char *group = fd_read_file(OWN_GROUP, text, sizeof(text)) >= 0 ? find_own_group(text) : NULL;
	while (group != NULL) {
		read_group(group, limits);
		char *slash = strrchr(group, '/');
		if (slash == NULL) {
			break;
		}
		*slash = '\0';
	}
}
